"""Owns what is read: a unit's sheet (one statement), the matrix of a unit's children, the log of changes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.db import now
from chassis.units import LEVELS, VIETNAM, Unit, UnknownUnit
from services.indicators import criteria as c
from services.indicators import engine
from services.indicators.engine import Figure
from services.indicators.model import (
    Change,
    SetNotForLevel,
    UnknownItem,
    UnknownSet,
    UnknownSuspension,
    change_of,
    figure_of,
    unit_key,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One item of a sheet. `since` is the last change of status, `changed_at` of status or figure; None: never."""

    item: c.Item
    status: str
    figure: Figure | None
    since: datetime | None
    changed_at: datetime | None
    cause: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """How a unit stands with a set. Above the set's own level `met` of `total` are units of that level, not items."""

    unit: Unit
    criteria: c.CriteriaSet
    status: str
    met: int
    total: int
    rows: tuple[Row, ...]

    @property
    def rolled_up(self) -> bool:
        return self.unit.level != self.criteria.level


@dataclass(frozen=True, slots=True)
class Line:
    """One child in the matrix: its sheet, without causes."""

    unit: Unit
    met: int
    total: int
    cells: dict[str, tuple[str, Figure | None]]


# Unit, sheet and items come in one statement; the as-of form takes each item's last line in the log instead.
_SHEET = sa.text("""
    SELECT u.*, s.status AS sheet_status, s.met, s.total,
        i.item_code, i.status, i.flag, i.numerator, i.denominator, i.since, i.changed_at, i.cause
    FROM unit u
    LEFT JOIN sheet s ON s.unit = u.code || '@' || u.valid_from AND s.set_code = :set_code
    LEFT JOIN item i ON i.unit = u.code || '@' || u.valid_from AND i.set_code = :set_code
    WHERE u.code = :code AND u.valid_from <= :day AND (u.valid_to IS NULL OR u.valid_to > :day)
""")
_SHEET_AS_OF = sa.text("""
    SELECT u.*, CAST(NULL AS text) AS sheet_status, i.met, i.total, i.item_code, i.after AS status,
        i.flag, i.numerator, i.denominator, i.since, i.at AS changed_at, i.cause
    FROM unit u
    LEFT JOIN LATERAL (
        SELECT DISTINCT ON (h.item_code) h.*, (
            SELECT min(b.at) FROM change b
            WHERE b.unit = h.unit AND b.set_code = h.set_code AND b.item_code = h.item_code AND b.id <= h.id
              AND b.id > coalesce((
                SELECT max(d.id) FROM change d
                WHERE d.unit = h.unit AND d.set_code = h.set_code AND d.item_code = h.item_code AND d.id <= h.id
                  AND d.after <> h.after), 0)
        ) AS since
        FROM change h
        WHERE h.unit = u.code || '@' || u.valid_from AND h.set_code = :set_code AND h.at <= :at
        ORDER BY h.item_code, h.id DESC
    ) i ON true
    WHERE u.code = :code AND u.valid_from <= :day AND (u.valid_to IS NULL OR u.valid_to > :day)
""")
_CHILDREN = sa.text("""
    SELECT u.*, s.met, s.total, i.item_code, i.status, i.flag, i.numerator, i.denominator
    FROM (
        SELECT * FROM unit WHERE parent = :code AND code > :after
          AND valid_from <= :day AND (valid_to IS NULL OR valid_to > :day)
        ORDER BY code LIMIT :most
    ) u
    LEFT JOIN sheet s ON s.unit = u.code || '@' || u.valid_from AND s.set_code = :set_code
    LEFT JOIN item i ON i.unit = u.code || '@' || u.valid_from AND i.set_code = :set_code
    ORDER BY u.code
""")
_NEAREST = sa.text("""
    SELECT u.*, s.met, s.total, i.item_code, i.status, i.flag, i.numerator, i.denominator
    FROM (
        SELECT u.*, s.met, s.total FROM unit u JOIN sheet s ON s.unit = u.code || '@' || u.valid_from
        WHERE s.set_code = :set_code AND u.level = :level AND s.status IN ('unmet', 'no_data') AND s.met > 0
          AND u.path LIKE :below AND u.valid_from <= :day AND (u.valid_to IS NULL OR u.valid_to > :day)
        ORDER BY s.met DESC, u.code LIMIT :most
    ) u
    JOIN sheet s ON s.unit = u.code || '@' || u.valid_from AND s.set_code = :set_code
    LEFT JOIN item i ON i.unit = u.code || '@' || u.valid_from AND i.set_code = :set_code
    ORDER BY s.met DESC, u.code
""")
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


def criteria_set(catalogue: c.Catalogue, code: str) -> c.CriteriaSet:
    """The set; raises UnknownSet."""
    found = catalogue.sets.get(code)
    if found is None:
        raise UnknownSet(set=code[:60])
    return found


def item_of(criteria: c.CriteriaSet, code: str) -> c.Item:
    """The item; raises UnknownItem."""
    found = criteria.item(code)
    if found is None:
        raise UnknownItem(set=criteria.code, item=code[:60])
    return found


def _unit(row: Any) -> Unit:
    return Unit(row.code, row.name, row.level, row.kind, row.parent, row.path, row.valid_from, row.valid_to)


async def sheet(tx: AsyncSession, code: str, criteria: c.CriteriaSet, as_of: datetime | None = None) -> Sheet:
    """How the unit stands now, or as it was known at `as_of`; raises UnknownUnit and SetNotForLevel."""
    at = as_of or now()
    asked = {"code": code, "set_code": criteria.code, "day": at.astimezone(VIETNAM).date()}
    if as_of is None:
        rows = (await tx.execute(_SHEET, asked)).all()
    else:
        rows = (await tx.execute(_SHEET_AS_OF, {**asked, "at": as_of})).all()
    if not rows:
        raise UnknownUnit(unit=code[:40])
    unit = _unit(rows[0])
    if LEVELS.index(unit.level) > LEVELS.index(criteria.level):
        raise SetNotForLevel(set=criteria.code, unit=unit.code)
    found = {row.item_code: row for row in rows if row.item_code is not None}
    items = tuple(_row(item, found.get(item.code)) for item in criteria.items)
    return _sheet(unit, criteria, items, rows[0] if as_of is None else _last(rows))


def _last(rows: Sequence[Any]) -> Any:
    return max(rows, key=lambda row: row.changed_at.timestamp() if row.changed_at else 0.0)


def _row(item: c.Item, row: Any) -> Row:
    if row is None:
        return Row(item, "no_data", None, None, None, "")
    figure = figure_of(row.flag, row.numerator, row.denominator)
    return Row(item, row.status, figure, row.since, row.changed_at, row.cause)


def _sheet(unit: Unit, criteria: c.CriteriaSet, rows: tuple[Row, ...], stored: Any) -> Sheet:
    if unit.level == criteria.level:
        summary = engine.summarise([row.status for row in rows])
        return Sheet(unit, criteria, summary.status, summary.met, summary.total, rows)
    total = stored.total or 0
    return Sheet(unit, criteria, "measured" if total else "no_data", stored.met or 0, total, rows)


async def children(
    tx: AsyncSession, unit: Unit, criteria: c.CriteriaSet, *, limit: int, after: str | None = None
) -> list[Line]:
    """The units directly below, each with its cells, by code; up to `limit` + 1, so that a caller sees more."""
    asked = {
        "code": unit.code,
        "set_code": criteria.code,
        "day": units.today(),
        "after": after or "",
        "most": limit + 1,
    }
    return _lines((await tx.execute(_CHILDREN, asked)).all(), criteria)


def _lines(rows: Sequence[Any], criteria: c.CriteriaSet) -> list[Line]:
    lines: dict[str, Line] = {}
    for row in rows:
        own = row.level == criteria.level
        line = lines.setdefault(
            row.code, Line(_unit(row), row.met or 0, row.total or (len(criteria.items) if own else 0), {})
        )
        if row.item_code is not None:
            line.cells[row.item_code] = (row.status, figure_of(row.flag, row.numerator, row.denominator))
    return list(lines.values())


@dataclass(frozen=True, slots=True)
class Near:
    """A unit that lacks little, and what: per missing item how many more (None: nobody can say)."""

    line: Line
    missing: tuple[tuple[c.Item, int | None], ...]

    @property
    def effort(self) -> tuple[int, int, int]:
        """Fewest rows first, then those whose lack is known, then the least to add."""
        unknown = sum(more is None for _, more in self.missing)
        return (len(self.missing), unknown, sum(more or 0 for _, more in self.missing))


async def nearest(tx: AsyncSession, unit: Unit, criteria: c.CriteriaSet, most: int = 10) -> list[Near]:
    """The units of the set's level below `unit` that lack least, best first."""
    asked = {
        "set_code": criteria.code,
        "level": criteria.level,
        "below": f"{unit.path}/%",
        "day": units.today(),
        "most": most * 3,
    }
    lines = _lines((await tx.execute(_NEAREST, asked)).all(), criteria)
    found = [Near(line, missing(criteria, line.cells)) for line in lines]
    return sorted(found, key=lambda near: (near.effort, near.line.unit.code))[:most]


def missing(
    criteria: c.CriteriaSet, cells: dict[str, tuple[str, Figure | None]]
) -> tuple[tuple[c.Item, int | None], ...]:
    """The unmet and unknown items, each with how many more would do."""
    lacking = []
    for item in criteria.items:
        status, figure = cells.get(item.code, ("no_data", None))
        if status in ("unmet", "no_data"):
            lacking.append((item, more(item, figure)))
    return tuple(lacking)


def more(item: c.Item, figure: Figure | None) -> int | None:
    """How many more would turn the item met; None for yes/no items and where nothing is known."""
    if isinstance(item.rule, (c.RatioRule, c.CountRule)):
        return engine.lacking(item.rule, {item.rule.measure: figure})
    return None


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


def day_or_instant(value: str) -> datetime:
    """A date (its last moment in Việt Nam) or an instant with an offset; raises ValueError."""
    if len(value) == 10:
        day = date.fromisoformat(value)
        return datetime(day.year, day.month, day.day, 23, 59, 59, 999999, tzinfo=VIETNAM)
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError("an instant needs an offset")
    return instant


_SUSPENSIONS = """
    SELECT id, set_code, item_code, unit, reason, document, starts_on, ends_on, created_at, lifted_at FROM suspension
    WHERE {conditions} ORDER BY id DESC LIMIT :most
"""


async def suspension(tx: AsyncSession, suspension_id: uuid.UUID) -> Any:
    """One suspension as a row; raises UnknownSuspension."""
    text = _SUSPENSIONS.format(conditions="id = :id")
    row = (await tx.execute(sa.text(text), {"id": suspension_id, "most": 1})).first()
    if row is None:
        raise UnknownSuspension
    return row


async def suspensions(
    tx: AsyncSession, *, path: str | None, set_code: str | None, limit: int, before: uuid.UUID | None
) -> list[Any]:
    """Suspensions that concern `path` (above, on or below it), newest first; up to `limit` + 1."""
    asked: dict[str, Any] = {"most": limit + 1}
    conditions = ["true"]
    if path is not None:
        conditions.append("(path = :path OR path LIKE :below OR :path LIKE path || '/%')")
        asked |= {"path": path, "below": f"{path}/%"}
    if set_code is not None:
        conditions.append("set_code = :set_code")
        asked["set_code"] = set_code
    if before is not None:
        conditions.append("id < :before")
        asked["before"] = before
    text = _SUSPENSIONS.format(conditions=" AND ".join(conditions))
    return list((await tx.execute(sa.text(text), asked)).all())
