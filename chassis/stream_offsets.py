"""Owns how far a stream has come: its offsets in the service's own database, written with what they stand for.

The table `stream_offset` holds the next offset to read of each partition, of one cluster: offsets of another one mean
nothing, and are begun anew. Whoever moves them on says where they were, so that of two who think a partition theirs
only one goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncSession

_BEGIN = sa.text("""
    INSERT INTO stream_offset AS s (topic, partition, cluster, next_offset)
    SELECT t, p, :cluster, 0 FROM unnest(CAST(:topic AS text[]), CAST(:partition AS integer[])) AS g (t, p)
    ORDER BY t, p
    ON CONFLICT (topic, partition) DO UPDATE SET cluster = excluded.cluster, next_offset = 0, changed_at = now()
    WHERE s.cluster <> excluded.cluster
""")
_OFFSETS = sa.text("""
    SELECT s.topic, s.partition, s.next_offset FROM stream_offset s
    JOIN unnest(CAST(:topic AS text[]), CAST(:partition AS integer[])) AS g (t, p) ON s.topic = t AND s.partition = p
""")
_ADVANCE = sa.text("""
    UPDATE stream_offset s SET next_offset = g.after, changed_at = now()
    FROM unnest(CAST(:topic AS text[]), CAST(:partition AS integer[]), CAST(:before AS bigint[]),
        CAST(:after AS bigint[])) AS g (topic, partition, before, after)
    WHERE s.topic = g.topic AND s.partition = g.partition AND s.next_offset = g.before AND s.cluster = :cluster
    RETURNING 1
""")

Offsets = dict[TopicPartition, int]
"""The next offset to read of each partition."""


class Superseded(KafkaError):  # type: ignore[misc]  # aiokafka is untyped.
    """Another process has gone on with our partitions: what we hold is out of date."""


async def begin(tx: AsyncSession, cluster: str, partitions: Collection[TopicPartition]) -> Offsets:
    """Where to go on reading; a partition that was never read, or was another cluster's, begins at 0."""
    values = _columns(sorted(partitions))
    await tx.execute(_BEGIN, {**values, "cluster": cluster})
    rows = await tx.execute(_OFFSETS, values)
    return {TopicPartition(row.topic, row.partition): row.next_offset for row in rows}


async def advance(
    tx: AsyncSession, cluster: str, before: Mapping[TopicPartition, int], after: Mapping[TopicPartition, int]
) -> None:
    """Move offsets on; raises Superseded where they are not at `before`, which has the partitions of `after`."""
    if not after:
        return
    partitions = sorted(after)
    values = {
        **_columns(partitions),
        "before": [before[p] for p in partitions],
        "after": [after[p] for p in partitions],
        "cluster": cluster,
    }
    if len((await tx.execute(_ADVANCE, values)).all()) != len(partitions):
        raise Superseded("the offsets have moved")


def _columns(partitions: Collection[TopicPartition]) -> dict[str, list[object]]:
    return {"topic": [p.topic for p in partitions], "partition": [p.partition for p in partitions]}
