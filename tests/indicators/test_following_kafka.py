"""The service's stream on a real Kafka: two that share it lose nothing; offsets of another cluster mean nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from sqlalchemy import text
from xaso.media.v1 import events_pb2 as media

from chassis.stream import Stream
from launcher.kafka import EmbeddedKafka
from services.indicators import commands
from services.indicators.app import service
from services.indicators.calculation import ledger
from services.indicators.criteria import library
from services.indicators.settings import Settings
from services.indicators.stream.consumers import on
from services.indicators.stream.sink import stream
from tests.indicators.stories import Said, observed
from tests.support.running import Running, commune, ladder, running, settings_for, village
from tests.support.waiting import eventually


@asynccontextmanager
async def followed(live: Running, settings: Settings) -> AsyncIterator[Stream]:
    """One more consumer of the service, as another process would run it."""
    made = stream(settings, live.runner.runtime.sessions, on, library.catalogue)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def send(producer: AIOKafkaProducer, prefix: str, told: Sequence[Said], partitions: int = 4) -> None:
    waits = [
        await producer.send(
            f"{prefix}{one.message.DESCRIPTOR.file.package}",
            one.message.SerializeToString(),
            partition=n % partitions,
            headers=one.headers,
        )
        for n, one in enumerate(told)
    ]
    await asyncio.gather(*waits)


async def test_two_that_share_the_stream_lose_and_double_nothing_over_a_rebalance(
    database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    prefix = f"{topic_prefix}two-"
    settings = settings_for(Settings, database("two"), kafka=kafka.bootstrap, topic_prefix=prefix)
    here = commune()
    villages = [village(here, n) for n in range(1, 9)]
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    told = [
        Said(
            observed(villages[n % 8].code, n % 3 > 0, attribute="household.fibre", entity=f"h{n}"), f"h{n}", 1, f"e{n}"
        )
        for n in range(6000)
    ]
    refused = Said(observed(villages[0].code, (2, 1), measure="village.fibre_households"), "bad", 1, "bad")
    unreadable = Said(media.LoudspeakerRetired(), "x", None, "poison")
    try:
        async with running(service, settings) as live:
            await live.enter_units(*ladder(), here, *villages)
            async with live.tx() as tx:
                await ledger.adopt(tx, [here.code], library.catalogue())

            async def committed() -> int:
                async with live.tx() as tx:
                    found = await tx.execute(text("SELECT count(*) FROM fact WHERE attribute = 'household.fibre'"))
                    return int(found.scalar_one())

            async def some(least: int) -> bool:
                return await committed() >= least

            async with followed(live, settings) as first:
                await eventually(lambda: first.connected)
                await send(producer, prefix, [*told[:2000], refused, unreadable])
                await eventually(lambda: some(1))
                async with followed(live, settings) as second:
                    # The rebalance comes in the middle of this.
                    for start in range(2000, 4000, 100):
                        await send(producer, prefix, told[start : start + 100])
                    await eventually(lambda: bool(first._next and second._next), seconds=60)
                    assert not set(first._next) & set(second._next)
            async with followed(live, settings):
                await send(producer, prefix, told[4000:])
                await eventually(lambda: some(6000), seconds=60)
            async with live.tx() as tx:
                assert (await tx.execute(text("SELECT count(*) FROM fact_history"))).scalar_one() == 6000
                tallied = await tx.execute(text("SELECT state, sum(count) FROM tally GROUP BY 1"))
                assert {r[0]: int(r[1]) for r in tallied} == {"true": 4000, "false": 2000}
                letters = (await tx.execute(text("SELECT reason FROM dead_letter ORDER BY reason"))).scalars().all()
                assert letters[0] == "refused: numerator_above_denominator"
                assert letters[1].startswith("unreadable: ")
                assert len(letters) == 2
                found = await commands.rebuild(tx, library.catalogue())
                assert (found.heaps, found.items) == (0, 0)
    finally:
        await producer.stop()


async def test_offsets_of_another_cluster_mean_nothing_and_are_begun_anew(
    database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    prefix = f"{topic_prefix}again-"
    settings = settings_for(Settings, database("again"), kafka=kafka.bootstrap, topic_prefix=prefix)
    here = commune()
    unit = village(here)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        async with running(service, settings) as live:
            await live.enter_units(*ladder(), here, unit)

            async def row() -> Any:
                async with live.tx() as tx:
                    found = await tx.execute(
                        text("""
                            SELECT sum(next_offset) AS read, min(cluster) AS cluster,
                                (SELECT count(*) FROM fact_history)
                            FROM stream_offset WHERE topic LIKE '%observations%'
                        """)
                    )
                    return found.one()

            async def read(count: int) -> bool:
                return (await row())[0] == count

            told = [Said(observed(unit.code, n, measure="village.households"), "n", n, f"e{n}") for n in range(1, 21)]
            async with followed(live, settings):
                await send(producer, prefix, told, partitions=1)
                await eventually(lambda: read(20))
            before = await row()
            async with live.tx() as tx:
                await tx.execute(text("UPDATE stream_offset SET cluster = 'gone', next_offset = 999"))
            async with followed(live, settings):
                await eventually(lambda: read(20))
            assert await row() == before
    finally:
        await producer.stop()
