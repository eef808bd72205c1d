"""Owns what a stream does not find in a log where it expected it: told to staff, to the log and to the metrics.

Kafka drops a log's beginning when its retention is over, and a restored or replaced log may end before the place up to
which it was read. Either way events may be lost, and somebody has to see to it: a dead letter without content says
where. Offsets inside of a log that hold nothing are left by compaction and by marks of transactions, and lose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aiokafka import ConsumerRecord, TopicPartition
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import dead_letters, metrics, telemetry

log = telemetry.logger(__name__)


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets that were not where they were expected.

    They were `removed` from the log's start before they were read, or `cut` off its end after they were read, or are a
    `hole` inside of it. `found` is the next offset there is.
    """

    partition: TopicPartition
    expected: int
    found: int
    kind: Literal["removed", "cut", "hole"]

    @property
    def size(self) -> int:
        return abs(self.found - self.expected)


def sifted(
    partition: TopicPartition, records: Sequence[ConsumerRecord], expected: int
) -> tuple[list[ConsumerRecord], list[Gap]]:
    """The records from `expected` on, without those that were read before, and the holes before and between them."""
    fresh = [record for record in records if record.offset >= expected]
    holes: list[Gap] = []
    for record in fresh:
        if record.offset != expected:
            holes.append(Gap(partition, expected, record.offset, "hole"))
        expected = record.offset + 1
    return fresh, holes


async def set_aside(tx: AsyncSession, cluster: str, gaps: Sequence[Gap]) -> None:
    """Put a letter beside the dead ones for each loss, in the transaction that goes on behind it."""
    for gap in gaps:
        if gap.kind != "hole":
            place = (cluster, gap.partition.topic, gap.partition.partition)
            await dead_letters.add_loss(tx, place, gap.expected, gap.found - 1, rewound=gap.kind == "cut")


def tell(service: str, gaps: Sequence[Gap]) -> None:
    """Count and log the gaps whose letters are committed."""
    for gap in gaps:
        metrics.STREAM_GAPS.labels(service, gap.partition.topic, gap.kind).inc(gap.size)
        (log.warning if gap.kind == "hole" else log.error)(
            "stream_gap",
            reason=gap.kind,
            topic=gap.partition.topic,
            partition=gap.partition.partition,
            offset=gap.expected,
            count=gap.size,
        )
