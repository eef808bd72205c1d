"""Owns what is said on the side of an import under way: how far it is, and that it is to stop.

The import's own row is locked and its changes unseen until its end, so both are told in short
transactions of their own.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

_PROGRESS = sa.text("SELECT done, total, stop FROM import_progress WHERE import = :id")
_TOLD = sa.text("""
    INSERT INTO import_progress (import, done, total) VALUES (:id, :done, :total)
    ON CONFLICT (import) DO UPDATE SET done = excluded.done, total = excluded.total, at = now()
    RETURNING stop
""")
_STOP = sa.text("""
    INSERT INTO import_progress (import, done, total, stop) VALUES (:id, 0, 0, true)
    ON CONFLICT (import) DO UPDATE SET stop = true
""")
_LAST_LOOK = sa.text("SELECT stop FROM import_progress WHERE import = :id FOR UPDATE")

Tell = Callable[[int, int], Awaitable[None]]
"""Says how much is done, of how much; raises Stopped where somebody asked for an end."""


class Stopped(Exception):
    """Somebody put the import aside while it was under way."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many values are done, of how many (0: not known yet); `stop`: somebody asked for an end."""

    done: int = 0
    total: int = 0
    stop: bool = False


async def progress(tx: AsyncSession, import_id: uuid.UUID) -> Progress:
    """How far an import is that runs in the background."""
    row = (await tx.execute(_PROGRESS, {"id": import_id})).first()
    return Progress(row.done, row.total, row.stop) if row is not None else Progress()


async def tell(tx: AsyncSession, import_id: uuid.UUID, done: int, total: int) -> None:
    """Say how far an import is; raises Stopped where it is to stop."""
    if (await tx.execute(_TOLD, {"id": import_id, "done": done, "total": total})).scalar_one():
        raise Stopped


async def stop(tx: AsyncSession, import_id: uuid.UUID) -> None:
    """Ask who works on an import to stop. Waits for one that is just being finished."""
    await tx.execute(_STOP, {"id": import_id})


async def last_look(tx: AsyncSession, import_id: uuid.UUID) -> None:
    """Raises Stopped where the import is to stop; until the end of `tx` nobody can ask for it any more."""
    if (await tx.execute(_LAST_LOOK, {"id": import_id})).scalar_one_or_none():
        raise Stopped
