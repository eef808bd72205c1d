"""Owns reading topics again from their first record up to given offsets, beside the process that follows them.

It belongs to no consumer group, commits nothing and takes no partition from anybody, so that whoever follows the topics
goes on undisturbed. Nothing behind the asked offsets is handed out: what another process has not yet taken into effect
is none of ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import kafka, telemetry
from chassis.dead_letters import LOSS
from chassis.settings import ServiceSettings
from chassis.stream import Record

FETCH_RECORDS = 5_000
"""Most records handed out before the caller may do something with them."""
SILENCE_SECONDS = 30.0
"""How long records that must be there may fail to come."""

_COMMITTED = sa.text("SELECT topic, partition, next_offset FROM stream_offset WHERE cluster = :cluster")
_SET_ASIDE = sa.text("""
    SELECT topic, partition, "offset", headers ->> 'ce_id' AS id FROM dead_letter
    WHERE cluster = :cluster AND replayed_at IS NULL
""")
_LOST = sa.text("""
    SELECT DISTINCT topic FROM dead_letter
    WHERE type = :loss AND (cluster = :cluster OR starts_with(cluster, :cluster || '~'))
""")


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass
class Held:
    """What was read of one partition: where its log begins, how many records, and when the first was written."""

    begin: int
    next: int
    records: int = 0
    first_ms: int | None = None

    @property
    def whole(self) -> bool:
        """Whether every record ever written up to `next` is there: nothing was removed at the head or in between."""
        return self.begin == 0 and self.records == self.next


class LogBroken(Exception):
    """Records that the table of offsets says were read do not come, or nothing does; the text says which."""


class Log:
    """Topics being read again; `opened` makes one."""

    def __init__(self, consumer: AIOKafkaConsumer, cluster: str) -> None:
        self._consumer = consumer
        self.cluster = cluster
        self.held: dict[Place, Held] = {}

    async def read(
        self,
        until: Mapping[Place, int],
        take: Callable[[Record], None],
        pause: Callable[[], Awaitable[None]],
        silence: float = SILENCE_SECONDS,
    ) -> None:
        """Hand every record not handed out before and below the offsets of `until` to `take`.

        `pause` is awaited between fetches, when nothing is on its way. Raises LogBroken where for `silence` seconds
        records do not come.
        """
        await self._assign(until)
        waiting = {TopicPartition(*p): n for p, n in until.items() if self.held[p].next < n}
        heard = time.monotonic()
        while waiting:
            found = await self._consumer.getmany(*waiting, timeout_ms=250, max_records=FETCH_RECORDS)
            for partition, records in found.items():
                self._hand_out(partition, records, waiting[partition], take)
            heard = time.monotonic() if found else heard
            for partition in list(waiting):
                held = self.held[Place(*partition)]
                held.next = max(held.next, min(await self._consumer.position(partition), waiting[partition]))
                if held.next >= waiting[partition]:
                    # Another record of it may have been fetched already: the next time begins right here.
                    self._consumer.seek(partition, held.next)
                    del waiting[partition]
            if waiting and time.monotonic() - heard > silence:
                named = ", ".join(f"{p.topic}/{p.partition}" for p in sorted(waiting))
                raise LogBroken(f"no records for {silence:.0f} s from {named}")
            await pause()

    def _hand_out(
        self, partition: TopicPartition, records: list[Record], until: int, take: Callable[[Record], None]
    ) -> None:
        held = self.held[Place(*partition)]
        for record in records:
            if record.offset >= until:
                return
            if held.first_ms is None:
                held.first_ms = record.timestamp
            held.records += 1
            held.next = record.offset + 1
            take(record)

    async def _assign(self, until: Mapping[Place, int]) -> None:
        """Know all partitions asked for; what was read of those known before stays."""
        fresh = [TopicPartition(*p) for p in until if p not in self.held]
        if not fresh:
            return
        self._consumer.assign([*(TopicPartition(*p) for p in self.held), *fresh])
        begins = await self._consumer.beginning_offsets(fresh)
        for partition in fresh:
            begin = begins[partition]
            self.held[Place(*partition)] = Held(begin, begin)
        for place, held in self.held.items():
            self._consumer.seek(TopicPartition(*place), held.next)


@asynccontextmanager
async def opened(settings: ServiceSettings) -> AsyncIterator[Log]:
    """A reader of the cluster behind the settings; raises LogBroken where it is not there, or goes away meanwhile."""
    try:
        async with asyncio.timeout(kafka.START_DEADLINE_SECONDS):
            cluster = await kafka.cluster_id(settings)
    except (KafkaError, TimeoutError) as error:
        raise LogBroken(f"no answer from Kafka: {telemetry.describe(error)}") from error
    consumer = kafka.consumer(settings, [], None)
    try:
        await consumer.start()
        yield Log(consumer, cluster)
    except KafkaError as error:
        raise LogBroken(f"Kafka gave up: {telemetry.describe(error)}") from error
    finally:
        await kafka.close_quietly(consumer)


async def committed(tx: AsyncSession, cluster: str) -> dict[Place, int]:
    """Up to where the service's stream has taken each partition of this cluster into effect."""
    rows = await tx.execute(_COMMITTED, {"cluster": cluster})
    return {Place(row.topic, row.partition): row.next_offset for row in rows}


async def set_aside(tx: AsyncSession, cluster: str) -> dict[tuple[str, int, int], str | None]:
    """Topic, partition and offset to the event's id, of what lies among the dead letters and was not replayed.

    Another event at the same place came there after the log was cut.
    """
    rows = await tx.execute(_SET_ASIDE, {"cluster": cluster})
    return {(row.topic, row.partition, row.offset): row.id for row in rows}


async def lost(tx: AsyncSession, cluster: str) -> set[str]:
    """Topics of which a part went missing (see `gaps`), so that nobody can say any more what was in them."""
    return set((await tx.execute(_LOST, {"cluster": cluster, "loss": LOSS})).scalars())
