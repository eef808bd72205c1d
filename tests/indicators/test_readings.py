"""That programs of other places and higher levels read a commune's figures becomes row 2.1 of the smart commune."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time
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
CODES = ("11074", "11077", "11086", "11113", "11116")
HERE, THERE, THIRD, FOURTH, FIFTH = (commune(code, f"Xã {code}") for code in CODES)
MONTH = now().astimezone(VIETNAM).strftime("%Y-%m")
READ = ("measured", {"flag": True})
NOBODY = ("no_data", None)


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    settings = settings_for(Settings, database("readings"), reading_seconds=0.05)
    async with running(service, settings, parts=["rpc", "tasks"]) as live:
        await live.enter_units(*ladder(), HERE, village(HERE), THERE, THIRD, FOURTH, FIFTH)
        yield Stage(live, HERE, [village(HERE)])


def program(client: str) -> dict[str, Any]:
    return {"kind": "partner", "client_id": client, "scope": "indicators.read", "subject": f"client:{client}"}


PAST = program("dhis2-tinh")


async def get(
    stage: Stage, unit: str, *grants: tuple[str, str], client: str = "ioc-tinh", day: date | None = None
) -> pb.GetResponse:
    held = token(*grants, **program(client))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
        asked = pb.GetRequest(unit=unit, set=SMART)
        if day is not None:
            asked.as_of.FromDatetime(datetime.combine(day, time(12), UTC))
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


async def enter(stage: Stage, unit: str, **more: Any) -> None:
    """A figure of the commune that there is to be read."""
    figure = {
        "unit": unit,
        "measure": "commune.staff_contacts_public",
        "value": {"numerator": 20, "denominator": 20},
        "evidence": {"document": "12/BC-UBND"},
        **more,
    }
    answer = await stage.client.post(f"{API}/observations", json=figure, headers=bearer(("admin", "30")))
    assert answer.status_code == 201, answer.text


async def told(stage: Stage) -> list[tuple[str, str, str, str]]:
    async with stage.running.tx() as tx:
        query = sa.text(
            "SELECT entity, unit, cause, period FROM fact WHERE attribute = 'centre.reading' ORDER BY entity"
        )
        return [(one.entity, one.unit.partition("@")[0], one.cause, one.period) for one in await tx.execute(query)]


async def test_a_higher_level_that_reads_by_grpc_is_a_fact_of_the_month(stage: Stage) -> None:
    await get(stage, HERE.code, ("viewer", "30"), client="ioc-rong")
    await enter(stage, HERE.code)
    assert await row(stage, HERE.code) == NOBODY
    # A company that reports figures, and the commune's own program, share nothing with an authority elsewhere.
    await get(stage, HERE.code, ("partner", "30"), client="vien-thong")
    await get(stage, HERE.code, ("viewer", HERE.path), client="cua-xa")
    await get(stage, HERE.code, ("viewer", "30"))
    for _ in range(3):
        await get(stage, HERE.code, ("viewer", "30"))
    await becomes_read(stage, HERE.code)
    read = (f"{HERE.code}/ioc-tinh@{MONTH}", HERE.code, f"reading:ioc-tinh@{MONTH}", MONTH)
    assert await told(stage) == [read], "and none of who read while there was nothing"
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
    # What watches over the commune itself, too, is still a system of the province.
    grants = (Grant("viewer", THIRD.code, THIRD.path), Grant("viewer", "30", "30"))
    me = Principal("client:x", "x", "partner", grants, client_id="x")
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


async def test_the_past_of_a_code_that_another_commune_has_by_now_is_not_that_ones(stage: Stage) -> None:
    code, turned = "11119", date(2025, 7, 1)
    await stage.running.enter_units(
        replace(commune(code, "Xã Cũ"), valid_to=turned), replace(commune(code, "Xã Mới"), valid_from=turned)
    )
    await enter(stage, code, observed_at="2024-06-01T08:00:00+07:00")
    answer = await get(stage, code, ("viewer", "30"), client="ioc-cu", day=date(2024, 12, 31))
    assert [one.code for one in answer.items if one.HasField("value")] == ["3.1"]
    asked = {"dataSet": SMART, "period": "2024", "orgUnit": code}
    taken = await stage.client.get(f"{API}/dataValueSets", params=asked, headers=bearer(("viewer", "30"), **PAST))
    assert [one["orgUnit"] for one in taken.json()["dataValues"]] == [code, code]
    # A commune that is still the same is read as of a past day, too.
    await enter(stage, FIFTH.code, observed_at="2024-06-01T08:00:00+07:00")
    asked["orgUnit"] = FIFTH.code
    taken = await stage.client.get(f"{API}/dataValueSets", params=asked, headers=bearer(("viewer", "30"), **PAST))
    assert taken.json()["dataValues"]
    await becomes_read(stage, FIFTH.code)
    assert await row(stage, code) == NOBODY


def test_only_programs_that_watch_over_units_are_noted() -> None:
    readings = Readings()
    above = (Grant("viewer", "30", "30"),)
    # A person who looks, also through an application of somebody else, is no system that data is shared with.
    readings.note(Principal("an", "An", "person", above), ["11074"])
    readings.note(Principal("an", "An", "person", above, client_id="app"), ["11074"])
    readings.note(Principal("client:x", "x", "partner", (Grant("partner", "30", "30"),), client_id="x"), ["11074"])
    readings.note(Principal("client:y", "y", "partner", above, client_id="y"), ["11074"])
    assert [one.client for one in readings.take()] == ["y"]


def test_a_program_that_watches_over_more_by_now_is_noted_again() -> None:
    readings = Readings()
    for paths in (("30/298/11074",), ("30/298/11074",), ("30/298/11074", "30")):
        grants = tuple(Grant("viewer", path.rpartition("/")[2], path) for path in paths)
        readings.note(Principal("client:x", "x", "partner", grants, client_id="x"), ["11074"])
    assert [one.paths for one in readings.take()] == [("30/298/11074",), ("30/298/11074", "30")]


def test_a_new_month_is_noted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = Readings()
    me = Principal("client:x", "x", "partner", (Grant("viewer", "30", "30"),), client_id="x")
    # In Việt Nam the month begins seven hours before UTC has it.
    for moment in ("2026-11-30T16:59:59", "2026-11-30T17:00:00", "2026-12-31T16:59:59"):
        at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        monkeypatch.setattr("services.indicators.sources.readings.now", lambda at=at: at)
        readings.note(me, ["11074"])
    taken = [(one.month, one.at.strftime("%m-%dT%H:%M")) for one in readings.take()]
    assert taken == [("2026-11", "11-30T16:59"), ("2026-12", "11-30T17:00")]


def test_a_process_remembers_so_many_and_no_more() -> None:
    readings = Readings()
    me = Principal("client:x", "x", "partner", (Grant("viewer", "30", "30"),), client_id="x")
    readings.note(me, map(str, range(MOST + 10)))
    assert len(readings.take()) == MOST
