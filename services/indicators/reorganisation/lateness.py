"""Owns that what is said late about a former unit reaches its successors soon, whichever way it came.

Every write bumps the `epoch` of the units it touches (see `calculation.state`), in its own transaction: where that of a
former unit's group has moved, something was said, and is there to be read. Groups whose code is in use again move all
the time, so a look takes its share of the time and no more: the longer one took, the later the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from chassis import units
from chassis.db import Sessions
from services.indicators.criteria import catalogue as c
from services.indicators.reorganisation import carrying
from services.indicators.reorganisation.carrying import LATE_FOR

SHARE = 0.05
"""Of the time that goes by, how much is spent on looking."""
MOST = 500
"""Successors worked out in one transaction."""

_EPOCHS = sa.text("SELECT commune, value FROM epoch WHERE EXISTS (SELECT FROM succession)")
_LATE = sa.text("""
    WITH former AS (
        SELECT code || '@' || valid_from AS key FROM unit WHERE code = ANY(CAST(:groups AS text[]))
        UNION
        SELECT code || '@' || valid_from FROM unit WHERE level = 'village' AND parent = ANY(CAST(:groups AS text[]))
    )
    SELECT s.successor FROM succession s JOIN former f ON f.key = s.predecessor
    WHERE greatest(s.effective_on, s.received_at::date) > CAST(:recent AS date) AND s.successor > :after AND EXISTS (
        SELECT FROM fact_history h
        WHERE h.unit = s.predecessor AND h.recorded_at > s.carried_at - interval '10 minutes'
          AND h.source <> 'succession'
          AND h.observed_at < CAST(s.effective_on AS timestamp) AT TIME ZONE 'Asia/Ho_Chi_Minh')
    GROUP BY s.successor ORDER BY s.successor LIMIT :most
""")


@dataclass
class Lateness:
    """The epochs as they were at the last look. The first look takes every group for moved."""

    sessions: Sessions
    catalogue: Callable[[], c.Catalogue]
    _seen: dict[str, int] = field(default_factory=dict)

    async def look(self) -> int:
        """Carry over what was said about former units since the last look; returns how many figures changed."""
        async with self.sessions.read() as tx:
            now = {row.commune: row.value for row in await tx.execute(_EPOCHS)}
        moved = sorted(group for group, value in now.items() if self._seen.get(group) != value)
        changed = await self._carry(moved) if moved else 0
        self._seen = now
        return changed

    async def _carry(self, groups: list[str]) -> int:
        changed, last = 0, ""
        while True:
            asked = {"groups": groups, "recent": units.today() - LATE_FOR, "after": last, "most": MOST}
            async with self.sessions.begin() as tx:
                late = list((await tx.execute(_LATE, asked)).scalars())
                changed += await carrying.carry(tx, late, self.catalogue())
            if len(late) < MOST:
                return changed
            last = late[-1]

    async def follow(self, seconds: float) -> None:
        """Look again and again, at most every `seconds`."""
        while True:
            began = time.monotonic()
            await self.look()
            await asyncio.sleep(max(seconds, (time.monotonic() - began) * (1 / SHARE - 1)))
