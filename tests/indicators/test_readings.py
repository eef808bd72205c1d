"""That programs of other places and higher levels read a commune's figures becomes row 2.1 of the smart commune."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis.auth import Grant, Principal
from chassis.db import now
from chassis.units import VIETNAM
from services.indicators.app import service
from services.indicators.criteria import library
from services.indicators.settings import Settings
from services.indicators.sources.readings import MOST, Readings, tell
from tests.indicators.conftest import Stage
from tests.support.running import bearer, commune, ladder, running, settings_for, token, village
from tests.support.waiting import eventually

API, SMART = "/indicators/api/v1", "mard-2023-smart-commune"
HERE, THERE, THIRD, FOURTH = (commune(code, f"Xã {code}") for code in ("11074", "11077", "11086", "11113"))
MONTH = now().astimezone(VIETNAM).strftime("%Y-%m")
READ = ("measured", {"flag": True})
NOBODY = ("no_data", None)


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    settings = settings_for(Settings, database("readings"), reading_seconds=0.05)
    async with running(service, settings, parts=["rpc", "tasks"]) as live:
        await live.enter_units(*ladder(), HERE, village(HERE), THERE, THIRD, FOURTH)
        yield Stage(live, HERE, [village(HERE)])


def program(client: str) -> dict[str, Any]:
    return {"kind": "partner", "client_id": client, "scope": "indicators.read", "subject": f"client:{client}"}


async def get(stage: Stage, unit: str, *grants: tuple[str, str], client: str = "ioc-tinh") -> pb.GetResponse:
    held = token(*grants, **program(client))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
        asked = pb.GetRequest(unit=unit, set=SMART)
        metadata = (("authorization", f"Bearer {held}"),)
        return await stubs.ComplianceServiceStub(channel).Get(asked, timeout=30, metadata=metadata)


async def row(stage: Stage, unit: str) -> tuple[str, Any]:
    answer = await stage.client.get(f"{API}/units/{unit}/sets/{SMART}")
    item = next(item for item in answer.json()["items"] if item["code"] == "2.1")
    return item["status"], item["value"]


async def becomes_read(stage: Stage, unit: str) -> None:
    async def so() -> bool:
        return await row(stage, unit) == READ

    await eventually(so)


async def enter(stage: Stage, unit: str) -> None:
    """A figure of the commune that there is to be read."""
    figure = {
        "unit": unit,
        "measure": "commune.staff_contacts_public",
        "value": {"numerator": 20, "denominator": 20},
        "evidence": {"document": "12/BC-UBND"},
    }
    answer = await stage.client.post(f"{API}/observations", json=figure, headers=bearer(("admin", "30")))
    assert answer.status_code == 201, answer.text


async def told(stage: Stage) -> list[tuple[str, str, str]]:
    async with stage.running.tx() as tx:
        query = sa.text("SELECT entity, unit, cause FROM fact WHERE attribute = 'centre.reading' ORDER BY entity")
        return [(one.entity, one.unit.partition("@")[0], one.cause) for one in await tx.execute(query)]


async def test_a_higher_level_that_reads_by_grpc_is_a_fact_of_the_month(stage: Stage) -> None:
    assert await row(stage, HERE.code) == NOBODY
    # A company that reports figures, and the commune's own program, share nothing with an authority elsewhere.
    await get(stage, HERE.code, ("partner", "30"), client="vien-thong")
    await get(stage, HERE.code, ("viewer", HERE.path), client="cua-xa")
    await get(stage, HERE.code, ("viewer", "30"))
    for _ in range(3):
        await get(stage, HERE.code, ("viewer", "30"))
    await becomes_read(stage, HERE.code)
    assert await told(stage) == [(f"{HERE.code}/ioc-tinh@{MONTH}", HERE.code, f"reading:ioc-tinh@{MONTH}")]
    assert await row(stage, THERE.code) == NOBODY, "what was not read was not shared"
    path = f"{API}/units/{HERE.code}/sets/{SMART}/items/2.1/explanation"
    why = await stage.client.get(path, headers=bearer(("officer", HERE.path)))
    assert f"ioc-tinh@{MONTH}" in why.text, "who, and in which month"
    public = (await stage.client.get(path)).json()["item"]
    assert public["because"] == f"reading:ioc-tinh@{MONTH}", "names of systems are public, as those of partners are"


async def test_a_data_value_set_taken_by_another_commune_counts_for_what_was_in_it(stage: Stage) -> None:
    await enter(stage, THERE.code)
    asked = {"dataSet": SMART, "period": str(now().year), "orgUnit": "30", "children": "true"}
    mine = bearer(("viewer", THIRD.path), **program("xa-ban"))
    taken = await stage.client.get(f"{API}/dataValueSets", params=asked, headers=mine)
    assert {value["orgUnit"] for value in taken.json()["dataValues"]} >= {THERE.code}
    await becomes_read(stage, THERE.code)
    assert await row(stage, THIRD.code) == NOBODY, "nothing is known of it, so nothing of it was taken"


async def test_what_could_not_be_told_is_kept_and_telling_twice_has_effect_once(stage: Stage) -> None:
    readings = Readings()
    me = Principal("client:x", "x", "partner", (Grant("viewer", "30", "30"),), client_id="x")
    readings.note(me, [THIRD.code, THIRD.code, village(HERE).code, "khong-co"])
    readings.note(None, [THIRD.code])
    taken = readings.take()
    assert [one.unit for one in taken] == [THIRD.code, village(HERE).code, "khong-co"]
    assert readings.take() == []
    readings.give_back(taken)
    assert readings.take() == taken
    async with stage.running.tx() as tx:
        assert await tell(tx, taken, library.catalogue()) == 1
        assert await tell(tx, taken, library.catalogue()) == 0
    assert await row(stage, THIRD.code) == READ


async def test_a_change_that_was_watched_was_read(stage: Stage) -> None:
    held = token(("viewer", "30"), **program("bo"))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
        asked = pb.WatchRequest(unit=FOURTH.code, set=SMART)
        watch = stubs.ComplianceServiceStub(channel).Watch(
            asked, timeout=60, metadata=(("authorization", f"Bearer {held}"),)
        )
        await watch.initial_metadata()
        await enter(stage, FOURTH.code)
        assert (await watch.read()).unit == FOURTH.code
        await becomes_read(stage, FOURTH.code)
        watch.cancel()


def test_a_process_remembers_so_many_and_no_more() -> None:
    readings = Readings()
    me = Principal("client:x", "x", "partner", (Grant("viewer", "30", "30"),), client_id="x")
    readings.note(me, map(str, range(MOST + 10)))
    assert len(readings.take()) == MOST
