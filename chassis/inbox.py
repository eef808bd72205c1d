"""Owns the inbox: the ids of the events whose effect this service has committed, so that none has effect twice."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import inbox_table, now

# Only this statement's own conflict means "duplicate"; any other unique violation in a handler is a bug and shows.
_CLAIM = sa.text("""
    INSERT INTO inbox (event_id) SELECT unnest(CAST(:ids AS uuid[])) ON CONFLICT DO NOTHING RETURNING event_id
""").bindparams(sa.bindparam("ids", type_=pg.ARRAY(pg.UUID(as_uuid=True))))


async def claim(tx: AsyncSession, event_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Take `event_ids` for this transaction; returns those that had no effect before."""
    # Sorted, so that two transactions that meet wait for each other in one order and never deadlock.
    result = await tx.execute(_CLAIM, {"ids": sorted(set(event_ids), key=int)})
    return set(result.scalars())


async def prune(tx: AsyncSession, older_than: timedelta) -> int:
    """Forget ids older than any event that could still be sent again; returns how many."""
    result = await tx.execute(sa.delete(inbox_table).where(inbox_table.c.received_at < now() - older_than))
    return int(getattr(result, "rowcount", 0))
