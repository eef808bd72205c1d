"""Changes as they come: in the order of commits, without gaps over reconnects, to those who asked for the unit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
from sqlalchemy import text
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis.service import origin
from chassis.units import Unit
from services.indicators.app import service
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage
from tests.indicators.test_events import speaker
from tests.support.running import commune, ladder, running, serving, settings_for, token, village

READER = token(("viewer", "30"))


@dataclass
class Served(Stage):
    """A stage that a browser could reach."""

    address: str = ""


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Served]:
    """The service with its tasks, its gRPC port and a real web server: only there does an answer stream."""
    settings = settings_for(Settings, database("stream"), heartbeat_seconds=0.3, sequence_poll_seconds=0.2)
    async with running(service, settings, parts=["rpc", "tasks"]) as live:
        here = commune()
        first = village(here)
        await live.enter_units(*ladder(), here, first)
        async with serving(origin([live.runner])) as address:
            yield Served(live, here, [first], address=address)


@asynccontextmanager
async def listening(stage: Served, headers: dict[str, str] | None = None, **params: Any) -> AsyncIterator[Any]:
    """The lines of a stream of changes."""
    async with httpx.AsyncClient(base_url=stage.address, timeout=30) as client:
        path = "/indicators/api/v1/changes"
        async with client.stream("GET", path, params=params, headers=headers or {}) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.aiter_lines()
            assert (await anext(lines)).startswith("retry:")
            yield lines


async def take(lines: AsyncIterator[str], count: int) -> list[dict[str, Any]]:
    """The next changes, each with its id checked."""
    found: list[dict[str, Any]] = []
    id = ""
    async with asyncio.timeout(30):
        async for line in lines:
            if line.startswith("id: "):
                id = line[4:]
            elif line.startswith("data: "):
                change = json.loads(line[6:])
                assert str(change["id"]) == id
                found.append(change)
                if len(found) == count:
                    break
    return found


async def flip(stage: Stage, unit: Unit, state: str) -> None:
    id = f"loa-{unit.code}"
    await stage.tell(stage.event(speaker(unit, state, id=id), id))


async def test_a_change_reaches_who_watches_the_unit_or_what_lies_above_it(stage: Served) -> None:
    unit = await stage.new_village()
    async with (
        listening(stage, unit=unit.code, set="hd-288-2023") as own,
        listening(stage, unit="298") as above,
        listening(stage, unit=stage.villages[0].code) as other,
    ):
        # A heartbeat says that the stream is open: from here on nothing is missed.
        for lines in (own, above, other):
            while (await anext(lines)) != ": .":
                pass
        await flip(stage, unit, "ready")
        change = (await take(own, 1))[0]
        assert (change["unit"], change["item"], change["before"], change["after"]) == (
            unit.code, "288.2", "no_data", "met",
        )  # fmt: skip
        assert change["value"] == {"flag": True}
        assert change["because"].startswith("xaso.media.v1.LoudspeakerStateChanged:")
        async with asyncio.timeout(30):
            while True:
                seen = (await take(above, 1))[0]
                if seen["unit"] == "298" and seen["item"] == "288.2":
                    break
        await flip(stage, stage.villages[0], "ready")
        assert (await take(other, 1))[0]["unit"] == stage.villages[0].code


async def test_a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice(stage: Served) -> None:
    unit = await stage.new_village()
    async with listening(stage, unit=unit.code) as lines:
        while (await anext(lines)) != ": .":
            pass
        await flip(stage, unit, "ready")
        last = (await take(lines, 1))[0]
    for state in ("lost", "ready", "lost"):
        await flip(stage, unit, state)
    async with listening(stage, {"last-event-id": str(last["id"])}, unit=unit.code) as lines:
        missed = await take(lines, 3)
    assert [change["after"] for change in missed] == ["unmet", "met", "unmet"]
    assert [change["id"] for change in missed] == sorted({change["id"] for change in missed})
    async with listening(stage, unit=unit.code, after=0) as lines:
        assert [change["after"] for change in await take(lines, 4)] == ["met", "unmet", "met", "unmet"]


async def test_concurrent_writers_leave_no_gap_for_a_reader(stage: Served) -> None:
    villages = [await stage.new_village() for _ in range(6)]
    async with listening(stage, unit="11074", set="hd-288-2023") as lines:
        while (await anext(lines)) != ": .":
            pass

        async def write(unit: Unit) -> None:
            for state in ("ready", "lost") * 5:
                await flip(stage, unit, state)

        await asyncio.gather(*(write(unit) for unit in villages))
        wanted, seen = {unit.code: 0 for unit in villages}, []
        while min(wanted.values()) < 10:
            change = (await take(lines, 1))[0]
            seen.append(change["id"])
            if change["unit"] in wanted:
                wanted[change["unit"]] += 1
        assert set(wanted.values()) == {10}
        assert seen == sorted(set(seen))


async def test_a_stream_lives_on_when_the_database_cuts_its_connections(stage: Served) -> None:
    unit = await stage.new_village()
    async with listening(stage, unit=unit.code) as lines:
        while (await anext(lines)) != ": .":
            pass
        await stage.running.runner.runtime.engine.dispose()
        async with stage.running.tx() as tx:
            cut = text("""
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
            assert (await tx.execute(cut)).scalar_one() >= 2
        await flip(stage, unit, "ready")
        assert (await take(lines, 1))[0]["after"] == "met"


async def test_bad_positions_and_unknown_units_are_refused(stage: Served) -> None:
    async with httpx.AsyncClient(base_url=stage.address) as client:
        path = "/indicators/api/v1/changes"
        assert (await client.get(path, headers={"last-event-id": "x1"})).status_code == 400
        assert (await client.get(path, params={"unit": "99999"})).status_code == 404
        assert (await client.get(path, params={"set": "nope"})).status_code == 404
        assert (await client.get(path, params={"after": -1})).status_code == 422


def metadata() -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {READER}"),)


async def test_watch_streams_changes_and_resumes_from_its_token(stage: Served) -> None:
    unit = await stage.new_village()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
        stub = stubs.ComplianceServiceStub(channel)
        await flip(stage, unit, "ready")
        watch = stub.Watch(
            pb.WatchRequest(unit=unit.code, set="hd-288-2023", resume_token="0"), timeout=30, metadata=metadata()
        )
        first = await watch.read()
        assert (first.unit, first.item, first.after, first.value.flag) == (unit.code, "288.2", "met", True)
        await flip(stage, unit, "lost")
        second = await watch.read()
        assert (second.before, second.after) == ("met", "unmet")
        watch.cancel()
        again = stub.Watch(
            pb.WatchRequest(unit=unit.code, set="hd-288-2023", resume_token=first.resume_token),
            timeout=30,
            metadata=metadata(),
        )
        assert (await again.read()).resume_token == second.resume_token
        again.cancel()


async def test_get_answers_now_and_then(stage: Served) -> None:
    unit = await stage.new_village()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
        stub = stubs.ComplianceServiceStub(channel)

        async def get(**changed: Any) -> pb.GetResponse:
            request = pb.GetRequest(**{"unit": unit.code, "set": "hd-288-2023", **changed})
            answer: pb.GetResponse = await stub.Get(request, timeout=10, metadata=metadata())
            return answer

        before = await get()
        assert (before.status, before.met, before.total, len(before.items)) == ("no_data", 0, 9, 9)
        assert not before.items[1].HasField("value")
        moment = pb.GetRequest().as_of
        moment.GetCurrentTime()
        await flip(stage, unit, "ready")
        after = await get()
        assert (after.met, after.items[1].status, after.items[1].value.flag) == (1, "met", True)
        assert after.items[4].target == "> 80%"
        assert (await get(as_of=moment)).met == 0
        for wrong, code in (
            ({"unit": "99999"}, grpc.StatusCode.NOT_FOUND),
            ({"set": "nope"}, grpc.StatusCode.NOT_FOUND),
            ({"unit": ""}, grpc.StatusCode.NOT_FOUND),
            ({"unit": "a\x00"}, grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await get(**wrong)
            assert caught.value.code() == code, wrong
