"""Owns the limits on guessing: attempts per key and window, counted in PostgreSQL, so that replicas count together."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import now
from services.identity.sessions.model import Attempts, TooManyAttempts

__all__ = ["TooManyAttempts", "count", "forget", "sweep"]


async def count(tx: AsyncSession, key: bytes, most: int, window: timedelta) -> None:
    """Count one attempt under `key`; raises TooManyAttempts once more than `most` were made in the window.

    It is called, and committed, before the secret is looked at: guesses sent side by side are counted one after the
    other, and none slips past the limit.
    """
    at = now()
    fresh = {"key": key, "count": 1, "window_ends": at + window}
    over = Attempts.window_ends <= at
    statement = insert(Attempts).values(fresh)
    counted = statement.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "count": sa.case((over, 1), else_=Attempts.count + 1),
            "window_ends": sa.case((over, fresh["window_ends"]), else_=Attempts.window_ends),
        },
    ).returning(Attempts.count, Attempts.window_ends)
    made, ends = (await tx.execute(counted)).one()
    if made > most:
        raise TooManyAttempts(minutes=_minutes(ends - at))


async def forget(tx: AsyncSession, key: bytes) -> None:
    """Start counting anew under `key`, after an attempt that succeeded."""
    await tx.execute(sa.delete(Attempts).where(Attempts.key == key))


async def sweep(tx: AsyncSession, at: datetime) -> None:
    """Remove counts whose window is over."""
    await tx.execute(sa.delete(Attempts).where(Attempts.window_ends <= at))


def _minutes(left: timedelta) -> int:
    return max(1, -(-int(left.total_seconds()) // 60))
