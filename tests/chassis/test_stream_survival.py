"""Processes of the stream are killed (`kill -9`) at the worst moments, and Kafka and PostgreSQL under them.

The stream is that of the indicators service, with all it does: facts, heaps, statuses, log, outbox and offsets in one
transaction. A writer is told words over HTTP and sends them through its outbox; the clients keep what they were told.
In the end nothing acknowledged may be lost, nothing may have effect twice, each key's words must come in their order,
and facts, heaps and items must be what an in-order fold and a rebuild make of the same words. That the checker can see
is proven by planted bugs that it must report.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from launcher.kafka import EmbeddedKafka
from launcher.postgres import EmbeddedPostgres
from tests.support.ledger.check import Told
from tests.support.stream.check import Outcome, Word, findings
from tests.support.stream.world import StreamWorld, made
from tests.support.waiting import eventually


@pytest.fixture
async def world(postgres: EmbeddedPostgres, kafka: EmbeddedKafka, tmp_path: Path) -> AsyncIterator[StreamWorld]:
    """A world on the shared engines, where only our own processes die."""
    async with made(postgres, kafka, tmp_path) as one:
        yield one


@pytest.fixture
async def fragile_world(
    tmp_path: Path, postgres_of_own: EmbeddedPostgres, kafka_of_own: EmbeddedKafka
) -> AsyncIterator[StreamWorld]:
    """A world on engines of its own, which may be killed."""
    async with made(postgres_of_own.start(), kafka_of_own.start(), tmp_path) as one:
        yield one


@pytest.mark.parametrize("fault", ["folded", "written", "committed"])
async def test_the_stream_is_killed_around_its_write(world: StreamWorld, fault: str) -> None:
    world.writer.start()
    await world.up()
    world.stream.start(fault)
    assert await world.write_until(world.stream.died())
    before = len(world.told.acknowledged)
    world.stream.start()
    await world.write_until(world.so(lambda: world.has_folded(before)))
    assert await world.settled() == []


async def test_kafka_is_killed_under_load(fragile_world: StreamWorld) -> None:
    world = fragile_world
    world.stream.start()
    world.writer.start()
    await world.up()
    load = asyncio.create_task(world.write(600, pause=0.02))
    await world.so(lambda: world.has_folded(60))
    world.kafka.kill()
    before = len(world.told.acknowledged)
    await eventually(lambda: len(world.told.acknowledged) > before + 60)
    await asyncio.to_thread(world.kafka.start)
    await load
    assert not world.told.failed
    assert not world.told.unknown, "a broker that is away must not disturb a write"
    assert await world.settled() == []


async def test_kafka_is_replaced_by_an_empty_one(fragile_world: StreamWorld) -> None:
    """The outbox refills it; the stream reads the new log from its start, and what it knew has no effect twice."""
    world = fragile_world
    world.stream.start()
    world.writer.start()
    await world.up()
    await world.write(300)
    assert await world.settled() == []
    world.kafka.kill()
    await world.write(60)
    await asyncio.to_thread(world.kafka.wipe)
    await asyncio.to_thread(world.kafka.start)
    await world.write(60)
    assert await world.settled() == []
    world.stream.kill()
    world.stream.start()
    await world.write(40)
    assert await world.settled() == []


async def test_the_stream_is_away_while_kafka_is_replaced(fragile_world: StreamWorld) -> None:
    """Offsets of the lost log are higher than the new one is long: they neither skip nor block."""
    world = fragile_world
    world.stream.start()
    world.writer.start()
    await world.up()
    await world.write(300)
    assert await world.settled() == []
    world.stream.kill()
    world.kafka.kill()
    await asyncio.to_thread(world.kafka.wipe)
    await asyncio.to_thread(world.kafka.start)
    await world.write(60)
    world.stream.start()
    assert await world.settled() == []


async def test_the_postmaster_is_killed_under_writes(fragile_world: StreamWorld) -> None:
    world = fragile_world
    world.stream.start()
    world.writer.start()
    await world.up()
    load = asyncio.create_task(world.write(600, pause=0.02))
    await world.so(lambda: world.has_folded(60))
    world.postgres.kill()
    await eventually(lambda: len(world.told.unknown) > 5)
    await asyncio.to_thread(world.postgres.start)
    await load
    await world.up()
    await world.write(60)
    assert len(world.told.acknowledged) > 60
    assert await world.settled() == []


async def test_one_of_two_is_killed_when_the_partitions_are_shared_out(world: StreamWorld) -> None:
    one, other = world.streams
    world.writer.start()
    await world.up()
    one.start("asked")
    await world.write_until(world.so(lambda: world.has_folded(60)), 0.05)
    other.start()
    assert await world.write_until(one.died(), 0.05)
    one.start()
    before = len(world.told.acknowledged)
    await world.write_until(world.so(lambda: world.has_folded(before)), 0.05)
    assert await world.settled() == []
    other.kill()
    await world.write(60)
    assert await world.settled() == []


async def test_one_that_stood_still_does_not_write_over_its_successor(world: StreamWorld) -> None:
    """What a process holds whose partitions went to another is out of date: it drops it and reads on from the table."""
    one, other = world.streams
    world.writer.start()
    await world.up()
    one.start("still")
    await world.write_until(world.so(one.stopped))
    other.start()
    await world.so(world.caught_up)
    one.resume()
    await world.write(60)
    other.kill()
    await world.write(60)
    # It goes on alone; what lies above is rolled up by the other one, which has the tasks.
    await world.so(lambda: world.has_folded(len(world.told.acknowledged)))
    other.start()
    assert await world.settled() == []


@pytest.mark.parametrize(("bug", "words"), [("lose", {"lost", "fact"}), ("twice", {"doubled"}), ("deaf", {"rebuilt"})])
async def test_the_checker_sees_a_planted_bug(world: StreamWorld, bug: str, words: set[str]) -> None:
    world.writer.start()
    await world.up()
    world.stream.start(bug)
    await world.write(120)
    found = await world.settled()
    assert words <= {finding.split(":")[0] for finding in found}, found


def test_the_checker_sees_wrong_heaps_broken_chains_and_untold_changes() -> None:
    item = ("11071-01@2020-01-01", "hd-288-2023", "288.1")
    changes = [(item, "no_data", "met"), (item, "no_data", "unmet")]
    outcome = Outcome({}, {("11071-01", "petition.answer", "open"): 1}, [], changes, 1)
    kinds = {finding.split(":")[0] for finding in findings(Told(), [], outcome)}
    assert kinds == {"heap", "broken chain", "untold"}
    assert findings(Told(), list[Word](), Outcome({}, {}, [], changes[:1], 1)) == []
