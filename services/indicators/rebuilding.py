"""Owns the command `rebuild`: everything computed again from the facts, and what was found wrong told."""

from __future__ import annotations

import sys

import sqlalchemy as sa

from chassis.db import Sessions, make_engine
from services.indicators import commands
from services.indicators.criteria import editions, library
from services.indicators.settings import Settings


async def rebuild(settings: Settings | None = None) -> int:
    """Rebuild heaps and statuses in one transaction; 0 where nothing was wrong, 1 where something was mended."""
    engine = make_engine(settings or Settings())
    try:
        async with Sessions(engine).begin() as tx:
            # A province's facts take longer than a request may.
            await tx.execute(sa.text("SET LOCAL lock_timeout = 0"))
            await editions.refresh(tx)
            found = await commands.rebuild(tx, library.catalogue())
    finally:
        await engine.dispose()
    sys.stdout.write(f"facts read: {found.facts}; heaps mended: {found.heaps}; items changed: {found.items}\n")
    return 1 if found.heaps or found.items else 0
