"""Owns imports too large for a request: read, applied and undone in the background, one after another, each as a whole.

The import's row is locked while it runs, so that two processes never do the same one; a process that dies leaves it as
it was, and the next one begins again. What cannot be applied is marked so and counts for nothing; a file that cannot be
read ends with its reason.
"""

from __future__ import annotations

import uuid
from typing import Literal

import sqlalchemy as sa

from chassis import telemetry
from chassis.db import Sessions, is_transient
from services.indicators.criteria import catalogue as c
from services.indicators.interchange import importing, previewing, underway, undoing
from services.indicators.interchange.reading import FileRefused

log = telemetry.logger(__name__)

Kind = Literal["any", "files", "figures"]
"""What is waited for: files to be read, or figures to be set or set back."""
_TAKE = "SELECT id FROM import WHERE state IN ({states}) ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"
_WAITING = {
    "any": sa.text(_TAKE.format(states="'reading', 'queued', 'undoing'")),
    "files": sa.text(_TAKE.format(states="'reading'")),
    "figures": sa.text(_TAKE.format(states="'queued', 'undoing'")),
}


async def work(sessions: Sessions, catalogue: c.Catalogue, kind: Kind = "any") -> bool:
    """Do the oldest waiting import; returns whether there was one. Raises what may pass by itself."""
    taken: uuid.UUID | None = None
    try:
        async with sessions.begin() as tx:
            taken = (await tx.execute(_WAITING[kind])).scalar_one_or_none()
            if taken is None:
                return False
            one = await importing.find(tx, taken)
            me, import_id = importing.actor_of(one), taken

            async def tell(done: int, total: int) -> None:
                async with sessions.begin() as aside:
                    await underway.tell(aside, import_id, done, total)

            if one.state == "reading":
                await previewing.read(tx, me, one, catalogue, tell)
            elif one.state == "queued":
                await importing.apply(tx, me, one, one.mode or "all", catalogue, tell)
            else:
                await undoing.undo(tx, me, one, catalogue, tell)
    except Exception as error:
        if taken is None or is_transient(error):
            raise
        await _ended(sessions, taken, error)
    return True


async def _ended(sessions: Sessions, import_id: uuid.UUID, error: Exception) -> None:
    """Say of an import that it was put aside, or why it came to nothing."""
    async with sessions.begin() as tx:
        if isinstance(error, underway.Stopped):
            await previewing.discard(tx, import_id)
            return
        if not isinstance(error, FileRefused):
            log.error("import_refused", error=type(error).__name__, exc_info=error)
        await importing.refuse(tx, import_id, error)
