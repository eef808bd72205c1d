"""Owns the transactional outbox: an event is a row written in the transaction of the change it tells of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Transaction, later, new_id, now, outbox_table
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


# As _ADD, for `chassis.db.later`.
_PUT = """
    @next AS (
        INSERT INTO outbox_sequence (subject, last) VALUES ($1, 1)
        ON CONFLICT (subject) DO UPDATE SET last = outbox_sequence.last + 1
        RETURNING last
    ), @ AS (
        INSERT INTO outbox (event_id, topic, key, type, subject, sequence, unit, occurred_at, traceparent, payload)
        SELECT $2, $3, $4, $5, $1, last, $6, $7, $8, $9 FROM @next
    )
"""


async def put(
    tx: AsyncSession, message: Message, *, unit: str, subject: str, key: str, occurred_at: datetime | None = None
) -> None:
    """As `add` where nobody asks for the sequence: the row is written with the last statement of the transaction."""
    descriptor = message.DESCRIPTOR
    values = (
        subject,
        new_id(),
        descriptor.file.package,
        key,
        descriptor.full_name,
        unit,
        occurred_at or now(),
        current_traceparent(),
        message.SerializeToString(),
    )
    if isinstance(tx, Transaction) and any(text is _PUT and of[0] == subject for text, of in tx.waiting):
        # One statement counts a subject up once.
        await tx.flush()
    await later(tx, (_PUT, values))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event of several that are written together; the fields are those of `add`."""

    message: Message
    unit: Unit
    subject: str
    occurred_at: datetime | None = None


# As _ADD for many aggregates at once. Counters are taken in the order of subjects, so that two transactions that meet
# wait for each other in one order and never deadlock; rows keep the order they were given in.
_ADD_ALL = sa.text("""
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:event_id AS uuid[]), CAST(:topic AS text[]), CAST(:key AS text[]), CAST(:type AS text[]),
            CAST(:subject AS text[]), CAST(:unit AS text[]), CAST(:occurred_at AS timestamptz[]),
            CAST(:payload AS bytea[])
        ) WITH ORDINALITY AS g (event_id, topic, key, type, subject, unit, occurred_at, payload, place)
    ), next AS (
        INSERT INTO outbox_sequence AS s (subject, last) SELECT subject, 1 FROM given ORDER BY subject
        ON CONFLICT (subject) DO UPDATE SET last = s.last + 1
        RETURNING s.subject, s.last
    )
    INSERT INTO outbox (event_id, topic, key, type, subject, sequence, unit, occurred_at, traceparent, payload)
    SELECT event_id, topic, key, type, subject, last, unit, occurred_at, :traceparent, payload
    FROM given JOIN next USING (subject) ORDER BY place
""")


async def add_all(tx: AsyncSession, outgoing: Sequence[Outgoing]) -> None:
    """Write several events of different aggregates in one statement; raises ValueError where two share a subject."""
    if not outgoing:
        return
    if len({one.subject for one in outgoing}) < len(outgoing):
        raise ValueError("two events of one subject: their order would be left to chance")
    at = now()
    descriptors = [one.message.DESCRIPTOR for one in outgoing]
    values = {
        "event_id": [new_id() for _ in outgoing],
        "topic": [d.file.package for d in descriptors],
        "key": [one.unit.commune for one in outgoing],
        "type": [d.full_name for d in descriptors],
        "subject": [one.subject for one in outgoing],
        "unit": [one.unit.code for one in outgoing],
        "occurred_at": [one.occurred_at or at for one in outgoing],
        "payload": [one.message.SerializeToString() for one in outgoing],
        "traceparent": current_traceparent() or "",
    }
    await tx.execute(_ADD_ALL, values)


# As _ADD_ALL for thousands of events of one type: columns travel as joined texts, ids are made by the server.
_ADD_KIND = sa.text("""
    WITH given AS (
        SELECT * FROM unnest(
            string_to_array(:key, E'\\x1f'), string_to_array(:subject, E'\\x1f'), string_to_array(:unit, E'\\x1f'),
            string_to_array(:payload, E'\\x1f')
        ) WITH ORDINALITY AS g (key, subject, unit, payload, place)
    ), next AS (
        INSERT INTO outbox_sequence AS s (subject, last) SELECT subject, 1 FROM given ORDER BY subject
        ON CONFLICT (subject) DO UPDATE SET last = s.last + 1
        RETURNING s.subject, s.last
    )
    INSERT INTO outbox (event_id, topic, key, type, subject, sequence, unit, occurred_at, traceparent, payload)
    SELECT uuidv7(), :topic, key, :type, subject, last, unit, :occurred_at, :traceparent, decode(payload, 'hex')
    FROM given JOIN next USING (subject) ORDER BY place
""").bindparams(
    *(sa.bindparam(n, type_=sa.Text()) for n in ("key", "subject", "unit", "payload", "topic", "type", "traceparent")),
    sa.bindparam("occurred_at", type_=sa.DateTime(timezone=True)),
)


def of_kind(
    kind: type[Message],
    *,
    payloads: Sequence[bytes],
    units: Sequence[Unit],
    subjects: Sequence[str],
    occurred_at: datetime,
) -> tuple[sa.TextClause, dict[str, Any]]:
    """A statement that writes many events of one type, each of another aggregate: `payloads` are serialised messages.

    Subjects must differ; neither they nor codes of units may hold a control character.
    """
    descriptor = kind.DESCRIPTOR
    return _ADD_KIND, {
        "key": "\x1f".join([unit.commune for unit in units]),
        "subject": "\x1f".join(subjects),
        "unit": "\x1f".join([unit.code for unit in units]),
        "payload": "\x1f".join([payload.hex() for payload in payloads]),
        "topic": descriptor.file.package,
        "type": descriptor.full_name,
        "occurred_at": occurred_at,
        "traceparent": current_traceparent() or "",
    }


async def prune(tx: AsyncSession, retention: timedelta) -> int:
    """Forget events published longer ago than `retention`; returns how many."""
    c = outbox_table.c
    result = await tx.execute(sa.delete(outbox_table).where(c.published_at < now() - retention))
    return int(getattr(result, "rowcount", 0))
