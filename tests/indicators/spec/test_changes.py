"""The stream of changes and gRPC Watch: nothing missing, nothing twice, whoever writes at the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta

import grpc
import pytest
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis.units import Unit
from tests.indicators.spec.world import SET, Change, World, ago, figure, first, partner, ratio, speaker

FIBRE = "village.fibre_households"
READER = partner(scope="indicators.read")
KEYS = {"id", "unit", "set", "item", "before", "after", "value", "changed_at", "because", "met", "total"}


async def flip(world: World, unit: Unit, minutes: int, *, met: bool) -> None:
    await world.take(figure(unit, FIBRE, (90 if met else 70, 100), at=ago(hours=1) + timedelta(minutes=minutes)))


async def test_a_change_says_what_changed_where_when_and_why(world: World) -> None:
    (village,) = await world.villages(1)
    async with world.listening(after=0, unit=village.code, set=SET) as stream:
        told = speaker(village)
        await world.publish(told)
        (change,) = await first(stream, 1)
    # Beyond the changed item the line carries the standing of the unit, for the ring of an open page.
    assert set(change.data) >= KEYS
    assert change.data["id"] == change.id
    assert (*change.place, change.data["before"], change.data["after"]) == (
        village.code, SET, "288.2", "no_data", "met",
    )  # fmt: skip
    assert change.data["value"] == {"flag": True}
    assert change.data["because"] == f"xaso.media.v1.LoudspeakerStateChanged:{told.id}"
    assert (change.data["met"], change.data["total"]) == (1, 9)
    items = {item["code"]: item for item in (await world.sheet(village))["items"]}
    told_at, sheet_at = (datetime.fromisoformat(at) for at in (change.data["changed_at"], items["288.2"]["changed_at"]))
    assert told_at == sheet_at


async def test_a_reader_gets_what_happens_after_it_came(world: World) -> None:
    (village,) = await world.villages(1)
    await flip(world, village, 0, met=True)
    async with world.listening(after=0, unit=village.code) as past:
        (before,) = await first(past, 1)
    async with world.listening(unit=village.code) as stream:
        await flip(world, village, 1, met=False)
        (change,) = await first(stream, 1)
    assert change.id > before.id
    assert (change.data["before"], change.data["after"]) == ("met", "unmet")


async def test_each_cut_resumes_behind_the_last_id(world: World) -> None:
    (village,) = await world.villages(1)
    for minute in range(8):
        await flip(world, village, minute, met=minute % 2 == 0)
    async with world.listening(after=0, unit=village.code, set=SET) as stream:
        whole = await first(stream, 8)
    assert [change.data["after"] for change in whole] == ["met", "unmet"] * 4
    for cut in range(7):
        async with world.listening(last=whole[cut].id, unit=village.code, set=SET) as stream:
            assert await first(stream, 7 - cut) == whole[cut + 1 :]
    # The header wins over the address, which a browser keeps when it reconnects.
    async with world.listening(last=whole[5].id, after=0, unit=village.code, set=SET) as stream:
        assert await first(stream, 2) == whole[6:]


async def test_a_unit_stands_for_all_below_it_and_for_nothing_beside_it(world: World) -> None:
    one, other = await world.villages(2)
    async with world.listening(after=0, unit=one.code) as past:
        await flip(world, one, 0, met=True)
        start = (await first(past, 1))[0]
    async with (
        world.listening(last=start.id, unit="298") as district,
        world.listening(last=start.id, unit=one.code) as own,
    ):
        await flip(world, other, 0, met=True)
        await flip(world, one, 1, met=False)
        async with asyncio.timeout(30):
            wanted = {other.code, one.code}
            while wanted:
                wanted.discard((await anext(district)).place[0])
        assert [change.place[0] for change in await first(own, 1)] == [one.code]


async def test_many_writers_at_once_leave_no_gap_and_no_duplicate(world: World) -> None:
    """Readers come and go at random points while partners write; each puts the same history together."""
    units = await world.villages(6)
    writes = 12

    async def report(unit: Unit) -> None:
        for minute in range(writes):
            await flip(world, unit, minute, met=minute % 2 == 0)

    async def read(length: int, total: int) -> list[Change]:
        found: list[Change] = []
        seen = origin.id
        while len(found) < total:
            async with world.listening(last=seen, unit="11086", set=SET) as stream:
                async with asyncio.timeout(40):
                    for _ in range(length):
                        change = await anext(stream)
                        seen = change.id
                        if change.place[0] in codes:
                            found.append(change)
                        if len(found) >= total:
                            break
        return found

    codes = {unit.code for unit in units}
    (mark,) = await world.villages(1)
    await flip(world, mark, 0, met=True)
    async with world.listening(after=0, unit=mark.code) as stream:
        (origin,) = await first(stream, 1)
    total = len(units) * writes
    writers = asyncio.gather(*(report(unit) for unit in units))
    readers = await asyncio.gather(*(read(length, total) for length in (5, 13, 10_000)))
    await writers
    assert readers[0] == readers[1] == readers[2]
    ids = [change.id for change in readers[0]]
    assert ids == sorted(set(ids))
    histories: dict[str, list[str]] = defaultdict(list)
    for change in readers[0]:
        before = histories[change.place[0]][-1] if histories[change.place[0]] else "no_data"
        assert change.data["before"] == before
        histories[change.place[0]].append(change.data["after"])
    assert dict(histories) == {code: ["met", "unmet"] * (writes // 2) for code in codes}


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 20, "\u0663"])
async def test_a_wrong_last_event_id_is_refused(world: World, last: str) -> None:
    # Streamed, so that an answer which is a stream after all does not hold the test for ever.
    path, headers = "/indicators/api/v1/changes", [(b"last-event-id", last.encode())]
    async with world.client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code in (400, 422)
        assert answer.headers["content-type"].startswith("application/problem+json")


class Watching:
    """One call of Watch, read change by change."""

    def __init__(self, world: World, **request: str) -> None:
        self.call = stubs.ComplianceServiceStub(world.channel).Watch(
            pb.WatchRequest(**request), metadata=READER, timeout=40
        )

    async def next(self, count: int) -> list[pb.WatchResponse]:
        return [await self.call.read() for _ in range(count)]

    async def end(self) -> None:
        self.call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.call.read()


async def test_watch_resumes_from_its_token_without_gap_or_duplicate_while_others_write(world: World) -> None:
    units = await world.villages(4)
    for unit in units:
        await flip(world, unit, 0, met=True)
    async with world.listening(after=0, unit=units[0].code, set=SET) as stream:
        (start,) = await first(stream, 1)
    watching = Watching(world, unit=units[0].code, set=SET)
    await asyncio.wait_for(watching.call.initial_metadata(), 20)
    await flip(world, units[0], 1, met=False)
    (opened,) = await watching.next(1)
    await watching.end()
    assert (opened.unit, opened.set, opened.item, opened.before, opened.after) == (
        units[0].code, SET, "288.5", "met", "unmet",
    )  # fmt: skip
    assert ratio(opened.value.ratio.numerator, opened.value.ratio.denominator) == ratio(70, 100)
    assert start.id > 0

    async def write(unit: Unit) -> None:
        for minute in range(2, 12):
            await flip(world, unit, minute, met=minute % 2 == 0)

    async def read(length: int) -> list[pb.WatchResponse]:
        """The ten flips of the first village, in calls of `length` responses each."""
        found: list[pb.WatchResponse] = []
        token = opened.resume_token
        while len(found) < 10:
            part = Watching(world, unit=units[0].code, set=SET, resume_token=token)
            found += await part.next(min(length, 10 - len(found)))
            await part.end()
            token = found[-1].resume_token
        return found

    writing = asyncio.gather(*(write(unit) for unit in units))
    some, whole = await asyncio.gather(read(3), read(10))
    await writing
    assert some == whole
    assert [change.after for change in whole] == ["met", "unmet"] * 5
    assert [change.before for change in whole] == ["unmet", "met"] * 5
    async with world.listening(last=start.id, unit=units[0].code, set=SET) as stream:
        told = await first(stream, 11)
    assert [change.data["after"] for change in told][1:] == [change.after for change in whole]


async def test_watch_refuses_what_it_cannot_watch(world: World) -> None:
    for request, expected in (
        ({"unit": "99999"}, grpc.StatusCode.NOT_FOUND),
        ({"set": "khong-co"}, grpc.StatusCode.NOT_FOUND),
        ({"resume_token": "x\0"}, grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await Watching(world, **request).next(1)
        assert caught.value.code() == expected
