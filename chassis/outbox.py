"""Owns the transactional outbox: an event is a row written in the transaction of the change it tells of."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import new_id, now, outbox_table
from chassis.telemetry import current_traceparent
from chassis.units import Unit

# One statement: the per-aggregate counter row is locked until the transaction ends, so sequences have no gap and the
# rows of one aggregate get their ids in the order of their commits.
_ADD = sa.text("""
    WITH next AS (
        INSERT INTO outbox_sequence (subject, last) VALUES (:subject, 1)
        ON CONFLICT (subject) DO UPDATE SET last = outbox_sequence.last + 1
        RETURNING last
    )
    INSERT INTO outbox (event_id, topic, key, type, subject, sequence, unit, occurred_at, traceparent, payload)
    SELECT :event_id, :topic, :key, :type, :subject, last, :unit, :occurred_at, :traceparent, :payload FROM next
    RETURNING sequence
""").bindparams(
    sa.bindparam("event_id", type_=sa.Uuid()),
    sa.bindparam("payload", type_=sa.LargeBinary()),
    sa.bindparam("occurred_at", type_=sa.DateTime(timezone=True)),
    *(sa.bindparam(n, type_=sa.Text()) for n in ("subject", "topic", "key", "type", "unit", "traceparent")),
)


async def add(
    tx: AsyncSession,
    message: Message,
    *,
    unit: Unit | str,
    subject: str,
    key: str | None = None,
    occurred_at: datetime | None = None,
) -> int:
    """Write `message` into the outbox of this transaction; returns its sequence within `subject` (1, 2, …).

    The topic is the package of the message, the type its full name. `unit` is the administrative unit concerned; the
    Kafka key is `key` or else the commune of `unit`, so that a commune's events stay in order and in one place.
    """
    descriptor = message.DESCRIPTOR
    code = unit.code if isinstance(unit, Unit) else unit
    commune = unit.commune if isinstance(unit, Unit) else unit
    result = await tx.execute(
        _ADD,
        {
            "event_id": new_id(),
            "topic": descriptor.file.package,
            "key": key or commune,
            "type": descriptor.full_name,
            "subject": subject,
            "unit": code,
            "occurred_at": occurred_at or now(),
            "traceparent": current_traceparent() or "",
            "payload": message.SerializeToString(),
        },
    )
    return int(result.scalar_one())


async def prune(tx: AsyncSession, retention: timedelta) -> int:
    """Forget events published longer ago than `retention`; returns how many."""
    c = outbox_table.c
    result = await tx.execute(sa.delete(outbox_table).where(c.published_at < now() - retention))
    return int(getattr(result, "rowcount", 0))
