"""Owns the reading of one unit's sheet, now or as it was known at an instant, in one statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import fetch, now
from chassis.units import LEVELS, VIETNAM, Unit, missing, today
from services.indicators.calculation import engine
from services.indicators.calculation.engine import Figure
from services.indicators.calculation.model import SetNotForLevel, UnknownItem, UnknownSet, fact_of, figure_of, unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import judging, library


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


class _Line(NamedTuple):
    """One item of a sheet as it is stored, beside its unit and its sheet; without an item where none is known."""

    code: str
    name: str
    level: str
    kind: str
    parent: str
    path: str
    valid_from: date
    valid_to: date | None
    met: int | None
    total: int | None
    item_code: str | None
    status: str
    flag: bool | None
    numerator: int | None
    denominator: int | None
    since: datetime | None
    changed_at: datetime | None
    cause: str


# Unit, sheet and items come in one statement; the as-of form takes each item's last line in the log instead.
_SHEET = """
    SELECT u.code, u.name, u.level, u.kind, u.parent, u.path, u.valid_from, u.valid_to, s.met, s.total,
        i.item_code, i.status, i.flag, i.numerator, i.denominator, i.since, i.changed_at, i.cause
    FROM unit u
    LEFT JOIN sheet s ON s.unit = u.code || '@' || u.valid_from AND s.set_code = $2
    LEFT JOIN item i ON i.unit = u.code || '@' || u.valid_from AND i.set_code = $2
    WHERE u.code = $1 AND u.valid_from <= $3 AND (u.valid_to IS NULL OR u.valid_to > $3)
"""
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


def criteria_set(catalogue: c.Catalogue, code: str) -> c.CriteriaSet:
    """The set; raises UnknownSet."""
    found = catalogue.sets.get(code)
    if found is None:
        raise UnknownSet(set=code[:60])
    return found


def item_of(criteria: c.CriteriaSet, code: str) -> c.Item:
    """A row of the set, its own or one that an overlay adds; raises UnknownItem."""
    found = criteria.item(code) or library.catalogue().row(criteria.code, code)
    if found is None:
        raise UnknownItem(set=criteria.code, item=code[:60])
    return found


def unit_of(row: Any) -> Unit:
    return Unit(row.code, row.name, row.level, row.kind, row.parent, row.path, row.valid_from, row.valid_to)


async def sheet(tx: AsyncSession, code: str, criteria: c.CriteriaSet, as_of: datetime | None = None) -> Sheet:
    """How the unit stands now, or as it was known at `as_of`; raises UnknownUnit and SetNotForLevel."""
    at = as_of or now()
    day = at.astimezone(VIETNAM).date()
    rows: Sequence[Any]
    if as_of is None:
        rows = [_Line(*line) for line in await fetch(tx, _SHEET, code, criteria.code, day)]
    else:
        asked = {"code": code, "set_code": criteria.code, "day": day, "at": as_of}
        rows = (await tx.execute(_SHEET_AS_OF, asked)).all()
    if not rows:
        raise await missing(tx, code, day)
    unit = unit_of(rows[0])
    require_offered(criteria, unit)
    found = {row.item_code: row for row in rows if row.item_code is not None}
    items = tuple(_row(item, found.get(item.code)) for item in rows_for(criteria, unit, day))
    return _sheet(unit, criteria, items, rows[0] if as_of is None else _last(rows))


def offered(criteria: c.CriteriaSet, unit: Unit) -> bool:
    """Whether the set says something of the unit: it is one the set is meant for, or such units may lie below it."""
    if unit.level == criteria.level:
        return criteria.judges(unit)
    return LEVELS.index(unit.level) < LEVELS.index(criteria.level) and criteria.area.touches(unit.path)


def require_offered(criteria: c.CriteriaSet, unit: Unit) -> None:
    """Raises SetNotForLevel where the set says nothing of the unit."""
    if not offered(criteria, unit):
        raise SetNotForLevel(set=criteria.code, unit=unit.code)


def rows_for(criteria: c.CriteriaSet, unit: Unit, day: date) -> tuple[c.Item, ...]:
    """The rows a unit's sheet has on a day, overlays merged; of a set that does not hold that day, its own rows."""
    catalogue = library.catalogue()
    if unit.level == criteria.level:
        return catalogue.items_for(criteria.code, unit, day) or criteria.items
    overlays = [overlay for overlay in catalogue.overlays_of(criteria.code) if overlay.holds(unit, day)]
    return criteria.items + tuple(item for overlay in overlays for item in overlay.items)


def _last(rows: Sequence[Any]) -> Any:
    return max(rows, key=lambda row: row.changed_at.timestamp() if row.changed_at else 0.0)


def _row(item: c.Item, row: Any) -> Row:
    if row is None:
        return Row(item, "no_data", None, None, None, "")
    figure = figure_of(row.flag, row.numerator, row.denominator)
    return Row(item, row.status, figure, row.since, row.changed_at, row.cause)


def _sheet(unit: Unit, criteria: c.CriteriaSet, rows: tuple[Row, ...], stored: Any) -> Sheet:
    if unit.level == criteria.level:
        summary = judging.summarise([row.status for row in rows], criteria.needed)
        return Sheet(unit, criteria, summary.status, summary.met, summary.total, rows)
    total = stored.total or 0
    return Sheet(unit, criteria, "measured" if total else "no_data", stored.met or 0, total, rows)


def day_or_instant(value: str) -> datetime:
    """A date (its last moment in Việt Nam) or an instant with an offset; raises ValueError."""
    if len(value) == 10:
        day = date.fromisoformat(value)
        return datetime(day.year, day.month, day.day, 23, 59, 59, 999999, tzinfo=VIETNAM)
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError("an instant needs an offset")
    return instant


_NAMES = sa.text("""
    SELECT DISTINCT ON (code) code, name FROM unit WHERE code = ANY(CAST(:codes AS text[]))
    ORDER BY code, valid_from DESC
""")


async def names(tx: AsyncSession, codes: Collection[str]) -> dict[str, str]:
    """The newest name of each code; codes nobody knows are left out."""
    if not codes:
        return {}
    return {row.code: row.name for row in await tx.execute(_NAMES, {"codes": sorted(codes)})}


_PLACES = sa.text("""
    SELECT DISTINCT ON (path) path, name, valid_to FROM unit WHERE path = ANY(CAST(:paths AS text[]))
    ORDER BY path, valid_from DESC
""")


@dataclass(frozen=True, slots=True)
class Place:
    """A unit that a set names: it and what it lay in, the smallest first; `ended` is the first day without it."""

    names: tuple[str, ...]
    ended: date | None


async def places(tx: AsyncSession, paths: Collection[str]) -> dict[str, Place]:
    """The units of some paths as they were last; paths nobody knows are left out."""
    wanted = {"/".join(path.split("/")[: n + 1]) for path in paths for n in range(path.count("/") + 1)}
    if not wanted:
        return {}
    rows = {row.path: row for row in await tx.execute(_PLACES, {"paths": sorted(wanted)})}
    found = {}
    for path in paths:
        row = rows.get(path)
        if row is not None:
            above = [one for one in rows.values() if path.startswith(f"{one.path}/")]
            inner_first = sorted([row, *above], key=lambda one: -len(one.path))
            ended = row.valid_to if row.valid_to is not None and row.valid_to <= today() else None
            found[path] = Place(tuple(one.name for one in inner_first), ended)
    return found


_TRAITS = sa.text("""
    SELECT * FROM fact WHERE unit = :unit AND attribute = ANY(CAST(:codes AS text[])) AND NOT withdrawn
""")


async def traits(tx: AsyncSession, unit: Unit, items: Iterable[c.Item]) -> dict[str, str]:
    """What is known of the traits (terrain and the like) on which targets of `items` depend, by measure."""
    catalogue = library.catalogue()
    codes = sorted({code for item in items for code in item.measures if catalogue.measures[code].kind == "state"})
    if not codes:
        return {}
    rows = await tx.execute(_TRAITS, {"unit": unit_key(unit), "codes": codes})
    reported = [fact_of(row) for row in rows]
    found = {code: engine.read(catalogue.measures[code], {}, reported, today()).figure for code in codes}
    return {code: value for code, value in found.items() if isinstance(value, str)}
