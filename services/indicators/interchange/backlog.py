"""Owns imports too large for a request: applied and undone in the background, one after another, each as a whole.

The import's row is locked while it runs, so that two processes never do the same one; a process that dies leaves it as
it was, and the next one begins again. What cannot be applied is marked so and counts for nothing.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from chassis import telemetry
from chassis.db import Sessions, is_transient
from services.indicators.criteria import catalogue as c
from services.indicators.interchange import importing, undoing

log = telemetry.logger(__name__)

_TAKE = sa.text("""
    SELECT id FROM import WHERE state IN ('queued', 'undoing') ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
""")


async def work(sessions: Sessions, catalogue: c.Catalogue) -> bool:
    """Do the oldest waiting import; returns whether there was one. Raises what may pass by itself."""
    taken: uuid.UUID | None = None
    try:
        async with sessions.begin() as tx:
            taken = (await tx.execute(_TAKE)).scalar_one_or_none()
            if taken is None:
                return False
            one = await importing.find(tx, taken)
            me, import_id = importing.actor_of(one), taken

            async def tell(done: int, total: int) -> None:
                async with sessions.begin() as aside:
                    await importing.tell(aside, import_id, done, total)

            if one.state == "queued":
                await importing.apply(tx, me, one, one.mode or "all", catalogue, tell)
            else:
                await undoing.undo(tx, me, one, catalogue, tell)
    except Exception as error:
        if taken is None or is_transient(error):
            raise
        log.error("import_refused", error=type(error).__name__, exc_info=error)
        async with sessions.begin() as tx:
            await importing.refuse(tx, taken, error)
    return True
