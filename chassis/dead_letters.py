"""Owns the events that could not take effect: kept with reason and payload until a person replays them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from aiokafka import ConsumerRecord
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import dead_letter_table, is_transient, new_id, now
from chassis.errors import DomainError, Kind, NotFound

if TYPE_CHECKING:
    from chassis.consumer import Consumers


LOSS = "xaso.loss"
"""In place of an event's type: the letter holds no event, it says that some were lost."""


class AlreadyReplayed(DomainError):
    code = "already_replayed"
    kind = Kind.CONFLICT
    message = "Sự kiện này đã được chạy lại rồi."


class ReplayFailed(DomainError):
    code = "replay_failed"
    kind = Kind.CONFLICT
    message = "Chạy lại chưa được: {reason}"


def _clean(text: str) -> str:
    return text.replace("\x00", "\\0")


async def add(
    tx: AsyncSession, record: ConsumerRecord, headers: dict[str, str], cluster: str, reason: str, tries: int
) -> None:
    """Keep `record`; the same place of the same log is kept once."""
    statement = insert(dead_letter_table).values(
        id=new_id(),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        type=_clean(headers.get("ce_type", "")),
        subject=_clean(headers.get("ce_subject", "")),
        unit=_clean(headers.get("ce_unit", "")),
        headers={_clean(k): _clean(v) for k, v in headers.items()},
        payload=record.value,
        reason=_clean(reason)[:2000],
        tries=tries,
        cluster=cluster,
    )
    await tx.execute(statement.on_conflict_do_nothing())


async def add_loss(
    tx: AsyncSession, place: tuple[str, str, int], first: int, last: int, *, rewound: bool = False
) -> None:
    """Keep the word that events are missing at `place` (cluster, topic, partition) from offset `first` to `last`.

    `rewound` says that the log ends before `first`, where it was read up to, and that the same offsets will hold other
    events: letters of the old ones make room for theirs.
    """
    cluster, topic, partition = place
    if rewound:
        reason = f"lost: the log was read up to offset {first} and ends before it; it is read anew"
    else:
        reason = f"lost: records from offset {first} to {last} were removed before they were read"
    t, id = dead_letter_table, new_id()
    if rewound:
        of_old_log = sa.update(t).where(t.c.cluster == cluster, t.c.topic == topic, t.c.partition == partition)
        await tx.execute(of_old_log.values(cluster=cluster + f"~{id}"))
    statement = insert(t).values(
        id=id,
        topic=topic,
        partition=partition,
        offset=first,
        type=LOSS,
        subject="",
        unit="",
        headers={"first": first, "last": None if rewound else last},
        reason=reason,
        tries=1,
        cluster=f"{cluster}~{id}" if rewound else cluster,
    )
    await tx.execute(statement.on_conflict_do_nothing())


async def waiting(tx: AsyncSession, limit: int, after: uuid.UUID | None = None) -> list[Any]:
    """Dead letters not replayed yet, newest first, up to `limit` + 1."""
    c = dead_letter_table.c
    query = sa.select(dead_letter_table).where(c.replayed_at.is_(None))
    if after is not None:
        query = query.where(c.id < after)
    return list(await tx.execute(query.order_by(c.id.desc()).limit(limit + 1)))


async def count(tx: AsyncSession) -> int:
    """How many dead letters wait."""
    query = sa.select(sa.func.count()).select_from(dead_letter_table).where(dead_letter_table.c.replayed_at.is_(None))
    return int((await tx.execute(query)).scalar_one())


async def replay(tx: AsyncSession, registry: Consumers, dead_letter_id: uuid.UUID, actor: str) -> bool:
    """Give the event to its handler again, in this transaction; raises ReplayFailed with the reason where it fails.

    Returns whether there was one: a letter that tells of a loss is only marked as seen.
    """
    t = dead_letter_table
    row = (await tx.execute(sa.select(t).where(t.c.id == dead_letter_id).with_for_update())).first()
    if row is None:
        raise NotFound
    if row.replayed_at is not None:
        raise AlreadyReplayed
    try:
        event = registry.decode(row.headers, row.payload) if row.type != LOSS else None
        if event is not None:
            await registry.apply(tx, [event])
    except Exception as error:
        if is_transient(error):
            # The database was away or chose us as a deadlock's victim: that says nothing about the event.
            raise
        raise ReplayFailed(reason=f"{type(error).__name__}: {error}"[:300]) from error
    await tx.execute(sa.update(t).where(t.c.id == dead_letter_id).values(replayed_at=now(), replayed_by=actor))
    return bool(row.type != LOSS)
