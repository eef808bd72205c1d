"""Owns the reading of what lies below a unit: rows of the matrix, who lacks least, and all sets at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.units import Unit
from services.indicators.answers.queries.sheets import offered, rows_for, unit_of
from services.indicators.calculation.model import figure_of
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import judging, library
from services.indicators.criteria.areas import sql_touches
from services.indicators.criteria.figures import Figure, Outcome, Ratio

Order = Literal["code", "most", "least"]
ORDERS: dict[Order, str] = {
    "code": "0::numeric",
    "most": "-coalesce(round(s.met::numeric / nullif(s.total, 0), 9), -1)",
    "least": "coalesce(round(s.met::numeric / nullif(s.total, 0), 9), 2)",
}
"""By code; the largest share of what is asked first; the smallest first. Where nothing is asked comes last."""


@dataclass(frozen=True, slots=True)
class Line:
    """One unit in the matrix: its sheet, without causes. `rank` is what it was sorted by.

    `unknown` says, above the set's level, of how many units below nobody has told anything, by row.
    """

    unit: Unit
    met: int
    total: int
    cells: dict[str, tuple[str, Figure | None]]
    rank: str = "0"
    unknown: dict[str, int] = field(default_factory=dict)

    def told(self, item: str) -> Ratio | None:
        """Above the set's level: of how many units below something is known, of those the row applies to.

        None also where nobody says of how many nothing is known.
        """
        _, figure = self.cells.get(item, ("no_data", None))
        if not isinstance(figure, Ratio) or item not in self.unknown:
            return None
        return Ratio(figure.denominator - self.unknown[item], figure.denominator)


@dataclass(frozen=True, slots=True)
class Pick:
    """Which units below, in which order, behind which (rank, code).

    `level` None: directly below. `status` is that of the sheet, or of `item` where one is named.
    """

    level: str | None = None
    order: Order = "code"
    status: str | None = None
    item: str | None = None
    after: tuple[str, str] | None = None


_VALID = "u.valid_from <= :day AND (u.valid_to IS NULL OR u.valid_to > :day)"
_KEY = "u.code || '@' || u.valid_from"
_LINES = f"""
    SELECT u.*, i.item_code, i.status, i.flag, i.numerator, i.denominator, i.unknown
    FROM (
        SELECT u.*, s.met, s.total, {{rank}} AS rank
        FROM unit u LEFT JOIN sheet s ON s.unit = {_KEY} AND s.set_code = :set_code
        WHERE {_VALID} AND {{conditions}}
        ORDER BY rank, u.code LIMIT :most
    ) u
    LEFT JOIN item i ON i.unit = {_KEY} AND i.set_code = :set_code
    ORDER BY u.rank, u.code
"""
_NEAREST = sa.text(f"""
    SELECT u.*, above.name AS above_name, i.item_code, i.status, i.flag, i.numerator, i.denominator, i.unknown
    FROM (
        SELECT u.*, s.met, s.total FROM unit u JOIN sheet s ON s.unit = {_KEY}
        WHERE s.set_code = :set_code AND u.level = :level AND s.status IN ('unmet', 'no_data') AND s.met > 0
          AND u.path LIKE :below AND {_VALID}
        ORDER BY s.met DESC, u.code LIMIT :most
    ) u
    LEFT JOIN unit above ON above.code = u.parent
        AND above.valid_from <= :day AND (above.valid_to IS NULL OR above.valid_to > :day)
    LEFT JOIN item i ON i.unit = {_KEY} AND i.set_code = :set_code
    ORDER BY u.met DESC, u.code
""")
# One row a unit, its sheets in one column: a row a sheet would spend most of the time on carrying the same unit.
_STANDINGS = sa.text(f"""
    SELECT u.*, (
        SELECT json_object_agg(s.set_code, json_build_array(s.status, s.met, s.total))::text FROM sheet s
        WHERE s.unit = {_KEY} AND (CAST(:set_code AS text) IS NULL OR s.set_code = :set_code)
    ) AS sheets
    FROM unit u
    WHERE (u.path = :path OR u.path LIKE :below) AND u.level = ANY(CAST(:levels AS text[])) AND {_VALID}
    ORDER BY u.code
""")


async def children(
    tx: AsyncSession, unit: Unit, criteria: c.CriteriaSet, *, limit: int, after: str | None = None
) -> list[Line]:
    """The units directly below, each with its cells, by code; up to `limit` + 1, so that a caller sees more."""
    return await lines(tx, unit, criteria, Pick(after=("0", after) if after else None), limit=limit)


async def lines(tx: AsyncSession, unit: Unit, criteria: c.CriteriaSet, pick: Pick, *, limit: int) -> list[Line]:
    """Units below as `pick` says, each with its cells; up to `limit` + 1, so that a caller sees more."""
    asked: dict[str, Any] = {"set_code": criteria.code, "day": units.today(), "most": limit + 1}
    rank = ORDERS[pick.order]
    conditions = []
    if pick.level is None:
        conditions.append("u.parent = :code")
        asked["code"] = unit.code
    else:
        conditions.append("u.path LIKE :below AND u.level = :level")
        asked |= {"below": f"{unit.path}/%", "level": pick.level}
    if criteria.kinds:
        # A ward has no sheet of a set for rural communes: it would stand there as if it lacked everything.
        conditions.append("(u.level <> :own OR u.kind = ANY(CAST(:kinds AS text[])))")
        asked |= {"own": criteria.level, "kinds": list(criteria.kinds)}
    if criteria.area.paths:
        conditions.append(sql_touches("u"))
        asked["areas"] = criteria.area.patterns
    if pick.status is not None and pick.item is not None:
        conditions.append(
            f"coalesce((SELECT i.status FROM item i WHERE i.unit = {_KEY}"
            " AND i.set_code = :set_code AND i.item_code = :item), 'no_data') = :status"
        )
        asked |= {"item": pick.item, "status": pick.status}
    elif pick.status is not None:
        conditions.append("coalesce(s.status, 'no_data') = :status")
        asked["status"] = pick.status
    if pick.after is not None:
        conditions.append(f"({rank}, u.code) > (CAST(CAST(:after_rank AS text) AS numeric), :after)")
        asked |= {"after_rank": pick.after[0], "after": pick.after[1]}
    text = _LINES.format(rank=rank, conditions=" AND ".join(conditions))
    return _lines((await tx.execute(sa.text(text), asked)).all(), criteria)


def _lines(rows: Sequence[Any], criteria: c.CriteriaSet) -> list[Line]:
    found: dict[str, Line] = {}
    for row in rows:
        line = found.get(row.code)
        if line is None:
            unit = unit_of(row)
            total = row.total or (len(rows_for(criteria, unit, units.today())) if row.level == criteria.level else 0)
            line = found[row.code] = Line(unit, row.met or 0, total, {}, str(getattr(row, "rank", 0)))
        if row.item_code is not None:
            line.cells[row.item_code] = (row.status, figure_of(row.flag, row.numerator, row.denominator))
            line.unknown[row.item_code] = row.unknown or 0
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Near:
    """A unit that lacks little, and what: per missing item how many more (None: nobody can say).

    `above` is the name of the unit directly above it.
    """

    line: Line
    missing: tuple[tuple[c.Item, int | None], ...]
    above: str = ""

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
    rows = (await tx.execute(_NEAREST, asked)).all()
    above = {row.code: row.above_name or "" for row in rows}
    found = [Near(line, missing(criteria, line), above[line.unit.code]) for line in _lines(rows, criteria)]
    return sorted(found, key=lambda near: (near.effort, near.line.unit.code))[:most]


def missing(criteria: c.CriteriaSet, line: Line) -> tuple[tuple[c.Item, int | None], ...]:
    """The unmet and unknown items, each with how many more would do; what is only watched is not lacking."""
    lacking = []
    for item in rows_for(criteria, line.unit, units.today()):
        status, figure = line.cells.get(item.code, ("no_data", None))
        if status in ("unmet", "no_data") and judging.judged(item.rule):
            lacking.append((item, more(item, figure)))
    return tuple(lacking)


def more(item: c.Item, figure: Figure | None) -> int | None:
    """How many more would turn the item met; None for yes/no items and where nothing is known."""
    match item.rule:
        case c.RatioRule() | c.CountRule():
            return judging.lacking(item.rule, {item.rule.measure: figure})
        case c.ChildrenRule() if isinstance(figure, Ratio):
            below = Outcome("measured", figure)
            return judging.lacking(item.rule, {}, lambda _set, _item: below)
    return None


_TOLD = sa.text(f"""
    SELECT u.code, count(*) AS told FROM unit u
    JOIN item i ON i.unit = {_KEY} AND i.set_code = :set_code AND i.status <> 'no_data'
    WHERE u.path LIKE :below AND u.level = :level AND {_VALID}
    GROUP BY u.code
""")


async def told(tx: AsyncSession, unit: Unit, criteria: c.CriteriaSet) -> dict[str, int]:
    """Of how many rows something is known, by unit of the set's level below `unit`; units without any are left out."""
    asked = {"set_code": criteria.code, "below": f"{unit.path}/%", "level": criteria.level, "day": units.today()}
    return {row.code: int(row.told) for row in await tx.execute(_TOLD, asked)}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a unit stands with one set: `met` of `total` items, or above the set's level of units."""

    status: str
    met: int
    total: int


@dataclass(frozen=True, slots=True)
class UnitStandings:
    """A unit and how it stands with every set that says something of it."""

    unit: Unit
    sets: dict[str, Standing] = field(default_factory=dict)


async def standings(
    tx: AsyncSession, unit: Unit, levels: Sequence[str], *, set_code: str | None = None
) -> list[UnitStandings]:
    """`unit` and what lies below it, as far as they are of `levels`, by code, with one set or all; one statement."""
    asked = {
        "path": unit.path,
        "below": f"{unit.path}/%",
        "levels": list(levels),
        "set_code": set_code,
        "day": units.today(),
    }
    catalogue = library.catalogue()
    today = units.today()
    wanted = [s for s in catalogue.sets.values() if (s.holds_on(today) if set_code is None else s.code == set_code)]
    plain = not catalogue.overlays
    found = []
    for row in await tx.execute(_STANDINGS, asked):
        here = unit_of(row)
        known = orjson.loads(row.sheets) if row.sheets else {}
        sets = {}
        for criteria in wanted:
            if criteria.area.paths and not criteria.area.touches(here.path):
                continue
            held = known.get(criteria.code)
            if held is not None:
                sets[criteria.code] = Standing(*held)
            elif offered(criteria, here):
                rows = criteria.items if plain else rows_for(criteria, here, today)
                sets[criteria.code] = Standing("no_data", 0, len(rows) if here.level == criteria.level else 0)
        found.append(UnitStandings(here, sets))
    return found
