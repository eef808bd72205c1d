"""Owns the reading of the log of changes: what follows a position, the last ones, and the trends of 90 days."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.units import VIETNAM, Unit
from services.indicators.calculation.model import Change, change_of, unit_key
from services.indicators.criteria import catalogue as c

_CHANGES = """
    SELECT * FROM change WHERE position > :after {unit} {set}
    ORDER BY position LIMIT :most
"""
_TOP = sa.text("SELECT coalesce(max(position), 0) FROM change WHERE position IS NOT NULL")
_TREND = sa.text("""
    SELECT DISTINCT ON (item_code, day) item_code, (at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day,
        numerator, denominator
    FROM change WHERE unit = :unit AND set_code = :set_code AND at >= :since
    ORDER BY item_code, day, id DESC
""")
_LATEST = sa.text("""
    SELECT * FROM change WHERE position IS NOT NULL AND unit = :unit AND set_code = :set_code
    ORDER BY position DESC LIMIT :most
""")


async def changes(
    tx: AsyncSession, after: int, *, path: str | None = None, set_code: str | None = None, limit: int = 500
) -> list[Change]:
    """The log after a position, oldest first. `path` stands for the unit and everything below it."""
    asked: dict[str, Any] = {"after": after, "most": limit}
    unit = ""
    if path is not None:
        unit = "AND (path = :path OR path LIKE :below)"
        asked |= {"path": path, "below": f"{path}/%"}
    if set_code is not None:
        asked["set_code"] = set_code
    text = _CHANGES.format(unit=unit, set="AND set_code = :set_code" if set_code is not None else "")
    return [change_of(row) for row in await tx.execute(sa.text(text), asked)]


async def latest_changes(tx: AsyncSession, unit: Unit, criteria: c.CriteriaSet, most: int = 10) -> list[Change]:
    """The last changes of a unit's own sheet, newest first."""
    rows = await tx.execute(_LATEST, {"unit": unit_key(unit), "set_code": criteria.code, "most": most})
    return [change_of(row) for row in rows]


TREND_DAYS = 90


async def trends(tx: AsyncSession, unit: Unit, criteria: c.CriteriaSet) -> dict[str, list[float | None]]:
    """Per item of a unit's own sheet the percentage at the end of each of the last 90 days, oldest first.

    None before the first change within them; items that never were a ratio are left out.
    """
    today = units.today()
    first = today - timedelta(days=TREND_DAYS - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=VIETNAM)
    found: dict[str, dict[date, float | None]] = {}
    for row in await tx.execute(_TREND, {"unit": unit_key(unit), "set_code": criteria.code, "since": since}):
        share = 100 * row.numerator / row.denominator if row.denominator else None
        found.setdefault(row.item_code, {})[row.day] = share
    points: dict[str, list[float | None]] = {}
    for item, days in found.items():
        last: float | None = None
        line = []
        for offset in range(TREND_DAYS):
            last = days.get(first + timedelta(days=offset), last)
            line.append(last)
        if any(point is not None for point in line):
            points[item] = line
    return points


async def top_position(tx: AsyncSession) -> int:
    """The position of the newest change; 0 before the first."""
    return int((await tx.execute(_TOP)).scalar_one())
