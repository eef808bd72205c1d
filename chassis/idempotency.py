"""Owns Idempotency-Key: a write repeated with its key gets the first answer again and has no second effect.

The record is written in the transaction of the write itself, so it exists exactly when the effect does. A second
request that arrives while the first runs waits on the unique index and then replays the first's answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import idempotency_table, later, now
from chassis.errors import IdempotencyKeyReused, Invalid

MAX_KEY = 255
KEPT = timedelta(hours=24)


@dataclass(frozen=True)
class Stored:
    """The answer that was given to the first request with a key."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Claim:
    """One use of a key: who, on which route, with which content (a hash)."""

    principal: str
    route: str
    key: str
    request_hash: bytes


def checked_key(key: str) -> str:
    """The key itself; raises Invalid unless it is 1 to 255 printable ASCII characters."""
    if not 1 <= len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise Invalid(field="Idempotency-Key", message_="Mã chống gửi trùng phải là 1 đến 255 ký tự ASCII in được.")
    return key


_TAKE = """
    INSERT INTO idempotency (principal, route, key, request_hash) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING RETURNING key
"""
_COMPLETE = """
    @ AS (
        UPDATE idempotency SET status = $4, headers = $5, body = $6 WHERE principal = $1 AND route = $2 AND key = $3
    )
"""


async def claim(tx: AsyncSession, request: Claim) -> Stored | None:
    """Take the key for this transaction; returns the stored answer where the key has been used before.

    Raises IdempotencyKeyReused where it was used for another content.
    """
    connection = await tx.connection()
    taken = await connection.exec_driver_sql(
        _TAKE, (request.principal, request.route, request.key, request.request_hash)
    )
    if taken.first() is not None:
        return None
    t = idempotency_table
    row = (
        await tx.execute(
            sa.select(t).where(t.c.principal == request.principal, t.c.route == request.route, t.c.key == request.key)
        )
    ).one()
    if bytes(row.request_hash) != request.request_hash:
        raise IdempotencyKeyReused
    return Stored(row.status, dict(row.headers), bytes(row.body))


async def complete(tx: AsyncSession, request: Claim, answer: Stored) -> None:
    """Keep the answer beside the key, in the transaction that took it."""
    headers = orjson.dumps(answer.headers).decode()
    values = (request.principal, request.route, request.key, answer.status, headers, answer.body)
    await later(tx, (_COMPLETE, values))


async def prune(tx: AsyncSession) -> int:
    """Forget keys older than 24 hours; returns how many."""
    result = await tx.execute(sa.delete(idempotency_table).where(idempotency_table.c.created_at < now() - KEPT))
    return int(getattr(result, "rowcount", 0))
