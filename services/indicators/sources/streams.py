"""Owns how far a client's named stream of observations is taken: its position commits with the observations."""

from __future__ import annotations

from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import DomainError, Kind
from services.indicators.sources.intake import Receipt

MAX_NAME = 128


class StreamMoved(DomainError):
    """Another call has taken the same stream further meanwhile: this one no longer knows where it is."""

    code: ClassVar[str] = "stream_moved"
    kind: ClassVar[Kind] = Kind.PRECONDITION
    message: ClassVar[str] = "Một kết nối khác đang gửi cùng dòng quan sát này. Hãy mở lại dòng."


_POSITION = sa.text("SELECT position FROM observation_stream WHERE client = :client AND stream = :stream")
_ADVANCE = sa.text("""
    INSERT INTO observation_stream AS s (client, stream, position, accepted, duplicate, rejected)
    VALUES (:client, :stream, :after, :accepted, :duplicate, :rejected)
    ON CONFLICT (client, stream) DO UPDATE SET position = excluded.position, at = now(),
        accepted = s.accepted + excluded.accepted, duplicate = s.duplicate + excluded.duplicate,
        rejected = s.rejected + excluded.rejected
    WHERE s.position = :before
    RETURNING position
""")


async def position(tx: AsyncSession, client: str, stream: str) -> int:
    """Up to which position a stream is committed; 0 for one nobody has opened yet."""
    found = await tx.execute(_POSITION, {"client": client, "stream": stream})
    return int(found.scalar_one_or_none() or 0)


async def advance(tx: AsyncSession, client: str, stream: str, before: int, after: int, done: Receipt) -> None:
    """Take a stream from one position to the next; raises StreamMoved where it is no longer at `before`."""
    values = {
        "client": client,
        "stream": stream,
        "before": before,
        "after": after,
        "accepted": done.accepted,
        "duplicate": done.duplicate,
        "rejected": len(done.rejections),
    }
    if (await tx.execute(_ADVANCE, values)).scalar_one_or_none() is None:
        raise StreamMoved
