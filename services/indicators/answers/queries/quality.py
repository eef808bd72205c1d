"""Owns the reading of what is wrong with the figures below a unit: missing, old, disagreeing, suspended, set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.db import now
from chassis.units import Unit
from services.indicators.answers.queries.sheets import rows_for, unit_of
from services.indicators.calculation.engine import Fact, Reading
from services.indicators.calculation.evaluation import Judge
from services.indicators.calculation.model import fact_of, unit_key
from services.indicators.calculation.prepared import prepared
from services.indicators.calculation.state import State
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import library
from services.indicators.criteria.areas import sql_holds

OLD_DAYS = 180
"""A figure reported longer ago than this is old, unless the reader asks for other days."""

_VALID = "u.valid_from <= :day AND (u.valid_to IS NULL OR u.valid_to > :day)"
_KEY = "u.code || '@' || u.valid_from"
_WITHIN = f"(u.path = :path OR u.path LIKE :below) AND {_VALID}"
_OF_KIND = "(CAST(:kinds AS text[]) IS NULL OR u.kind = ANY(CAST(:kinds AS text[])))"
_OF_SET = f"{_WITHIN} AND u.level = :level AND {_OF_KIND} AND {sql_holds('u')}"

_MISSING = sa.text(f"""
    SELECT u.*, wanted.item_code, wanted.place
    FROM unit u CROSS JOIN unnest(CAST(:items AS text[])) WITH ORDINALITY AS wanted (item_code, place)
    LEFT JOIN item i ON i.unit = {_KEY} AND i.set_code = :set_code AND i.item_code = wanted.item_code
    WHERE {_OF_SET} AND coalesce(i.status, 'no_data') = 'no_data' AND (u.code, wanted.place) > (:code, :place)
    ORDER BY u.code, wanted.place LIMIT :most
""")
_COUNTS = sa.text(f"""
    SELECT wanted.item_code, count(*) AS units,
        count(*) FILTER (WHERE coalesce(i.status, 'no_data') = 'no_data') AS missing,
        count(*) FILTER (WHERE i.status = 'suspended') AS suspended
    FROM unit u CROSS JOIN unnest(CAST(:items AS text[])) WITH ORDINALITY AS wanted (item_code, place)
    LEFT JOIN item i ON i.unit = {_KEY} AND i.set_code = :set_code AND i.item_code = wanted.item_code
    WHERE {_OF_SET}
    GROUP BY wanted.item_code, wanted.place ORDER BY wanted.place
""")
# The newest word on a measure decides whether it is old: last year's figure is no fault where this year's is there.
_NEWEST = f"""
    SELECT DISTINCT ON (u.code, f.attribute) u.code AS unit_code, u.name AS unit_name, u.parent AS unit_parent, f.*,
        coalesce(nullif(f.period, ''), to_char(f.observed_at AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY-MM')) AS about
    FROM unit u JOIN fact f ON f.unit = {_KEY} AND f.attribute = ANY(CAST(:codes AS text[])) AND NOT f.withdrawn
    WHERE {_WITHIN}
    ORDER BY u.code, f.attribute, f.observed_at DESC, f.source
"""
_OLD = """
    observed_at < :before
    OR attribute = ANY(CAST(:yearly AS text[])) AND left(about, 4) <> :year
    OR attribute = ANY(CAST(:quarterly AS text[])) AND about <> ALL(CAST(:quarter AS text[]))
    OR attribute = ANY(CAST(:monthly AS text[])) AND about <> :month
"""
_STALE = sa.text(f"""
    SELECT n.*, {_OLD} AS old FROM ({_NEWEST}) n
    WHERE (n.unit_code, n.attribute) > (:code, :attribute) AND ({_OLD})
    ORDER BY n.unit_code, n.attribute LIMIT :most
""")
_STALE_COUNT = sa.text(f"SELECT count(*) FROM ({_NEWEST}) n WHERE {_OLD}")
# Where more than one source may speak: two that report, one that reports beside facts that are counted, or one beside
# the sum of the units below. Whether they differ is told by reading them as the sheets do.
_SEVERAL = sa.text(f"""
    WITH here AS MATERIALIZED (SELECT u.*, {_KEY} AS key FROM unit u WHERE {_WITHIN} AND u.code >= :code)
    SELECT u.*, said.measure FROM (
        SELECT unit, measure FROM (
            SELECT f.unit, f.attribute AS measure, f.source || '/' || f.origin AS voice FROM here JOIN fact f
            ON f.unit = here.key AND f.attribute = ANY(CAST(:codes AS text[])) AND NOT f.withdrawn
            UNION
            SELECT t.unit, m.measure, t.source || '/counted' FROM here JOIN tally t ON t.unit = here.key
            JOIN unnest(CAST(:measures AS text[]), CAST(:inputs AS text[])) AS m (measure, input)
                ON m.input = t.attribute
            WHERE t.count > 0
            UNION
            SELECT f.unit, f.attribute, '/below' FROM here JOIN fact f
            ON f.unit = here.key AND f.attribute = ANY(CAST(:summed AS text[])) AND NOT f.withdrawn
        ) voices GROUP BY unit, measure HAVING count(*) > 1
    ) said
    JOIN here u ON said.unit = u.key
    WHERE (u.code, said.measure) > (:code, :measure)
    ORDER BY u.code, said.measure LIMIT :most
""")
_ORDERS = sa.text("""
    SELECT s.id, s.unit, s.path, s.item_code, s.reason, s.document, s.starts_on, s.ends_on FROM suspension s
    WHERE s.lifted_at IS NULL AND s.starts_on <= :day AND (s.ends_on IS NULL OR s.ends_on > :day)
      AND s.set_code = :set_code AND (s.path = :path OR s.path LIKE :below OR :path LIKE s.path || '/%')
      AND (s.path, s.item_code, CAST(s.id AS text)) > (:after_path, :after_item, :after_id)
    ORDER BY s.path, s.item_code, CAST(s.id AS text) LIMIT :most
""")
_ASIDE = sa.text(f"""
    SELECT count(*) AS letters, min(d.dead_at) AS since FROM dead_letter d
    WHERE d.replayed_at IS NULL AND d.unit IN (SELECT u.code FROM unit u WHERE {_WITHIN})
""")


@dataclass(frozen=True, slots=True)
class Gap:
    """A row of a unit nothing is known of."""

    unit: Unit
    item: c.Item
    place: int


@dataclass(frozen=True, slots=True)
class Count:
    """How many of the `units` a row is for lack its figure, and for how many it is suspended."""

    item: c.Item
    units: int
    missing: int
    suspended: int


@dataclass(frozen=True, slots=True)
class Old:
    """The newest figure anybody reported of a measure, where it is old or of a period that is over."""

    code: str
    name: str
    parent: str
    measure: c.Measure
    fact: Fact


@dataclass(frozen=True, slots=True)
class Dispute:
    """A measure on which the sources of a unit differ."""

    unit: Unit
    measure: c.Measure
    reading: Reading


def _asked(unit: Unit, criteria: c.CriteriaSet | None = None) -> dict[str, Any]:
    asked: dict[str, Any] = {"path": unit.path, "below": f"{unit.path}/%", "day": units.today()}
    if criteria is not None:
        items = [item.code for item in rows_for(criteria, unit, units.today())]
        asked |= {"level": criteria.level, "kinds": list(criteria.kinds) or None, "items": items}
        asked |= {"set_code": criteria.code, "areas": criteria.area.patterns}
    return asked


async def missing_figures(
    tx: AsyncSession,
    unit: Unit,
    criteria: c.CriteriaSet,
    *,
    item: str | None = None,
    after: tuple[str, int] | None = None,
    limit: int,
) -> list[Gap]:
    """The rows nothing is known of, by unit and then in the order of the set; up to `limit` + 1."""
    asked = _asked(unit, criteria) | {"most": limit + 1}
    asked |= {"code": after[0] if after else "", "place": after[1] if after else 0}
    rows = {one.code: one for one in rows_for(criteria, unit, units.today())}
    if item is not None:
        # A row that an overlay adds elsewhere is missing nowhere here.
        asked["items"] = [item] if item in rows else []
    return [Gap(unit_of(row), rows[row.item_code], row.place) for row in await tx.execute(_MISSING, asked)]


async def counts(tx: AsyncSession, unit: Unit, criteria: c.CriteriaSet) -> list[Count]:
    """Per row of the set, how many units lack its figure."""
    rows = {one.code: one for one in rows_for(criteria, unit, units.today())}
    found = await tx.execute(_COUNTS, _asked(unit, criteria))
    return [Count(rows[row.item_code], row.units, row.missing, row.suspended) for row in found]


def measures_of(unit: Unit, criteria: c.CriteriaSet) -> list[c.Measure]:
    """The measures the set reads, and those further down whose figures are added up for it."""
    catalogue = library.catalogue()
    found: dict[str, c.Measure] = {}
    for item in rows_for(criteria, unit, units.today()):
        for code in item.measures:
            wanted: str | None = code
            while wanted is not None and wanted not in found:
                found[wanted] = catalogue.measures[wanted]
                wanted = found[wanted].below
    return list(found.values())


def _ages(measures: Sequence[c.Measure], days: int) -> dict[str, Any]:
    """What the statements about age need: the codes by period, and the periods that are on."""
    today = units.today()
    quarter = (today.month + 2) // 3
    months = [f"{today.year}-{month:02d}" for month in range(3 * quarter - 2, 3 * quarter + 1)]

    def of(period: str) -> list[str]:
        return [measure.code for measure in measures if measure.period == period]

    return {
        "codes": [measure.code for measure in measures],
        "before": now() - timedelta(days=days),
        "yearly": of("year"),
        "year": str(today.year),
        "quarterly": of("quarter"),
        "quarter": [f"{today.year}-Q{quarter}", *months],
        "monthly": of("month"),
        "month": f"{today.year}-{today.month:02d}",
    }


async def old_figures(
    tx: AsyncSession,
    unit: Unit,
    criteria: c.CriteriaSet,
    *,
    days: int = OLD_DAYS,
    after: tuple[str, str] | None = None,
    limit: int,
) -> list[Old]:
    """Reported figures that are older than `days` or of a period that is over, by unit; up to `limit` + 1."""
    measures = measures_of(unit, criteria)
    code, attribute = after or ("", "")
    asked = {**_asked(unit), **_ages(measures, days), "code": code, "attribute": attribute, "most": limit + 1}
    by_code = {measure.code: measure for measure in measures}
    rows = await tx.execute(_STALE, asked)
    return [Old(row.unit_code, row.unit_name, row.unit_parent, by_code[row.attribute], fact_of(row)) for row in rows]


async def old_count(tx: AsyncSession, unit: Unit, criteria: c.CriteriaSet, *, days: int = OLD_DAYS) -> int:
    """How many reported figures are old."""
    asked = {**_asked(unit), **_ages(measures_of(unit, criteria), days)}
    return int((await tx.execute(_STALE_COUNT, asked)).scalar_one())


async def disputes(
    tx: AsyncSession, unit: Unit, criteria: c.CriteriaSet, *, after: tuple[str, str] | None = None, limit: int
) -> tuple[list[Dispute], tuple[str, str] | None]:
    """Measures on which the sources differ, and behind what to go on (None at the end).

    `limit` bounds how many places with several sources are read at once, so a page may show fewer, or none.
    """
    catalogue = library.catalogue()
    measures = {measure.code: measure for measure in measures_of(unit, criteria)}
    pairs = [(m.code, a) for m in measures.values() if m.counted for a in sorted(m.counted.attributes)]
    code, measure = after or ("", "")
    asked = _asked(unit) | {
        "codes": list(measures),
        "measures": [one for one, _ in pairs],
        "inputs": [one for _, one in pairs],
        "summed": [m.code for m in measures.values() if m.below],
        "code": code,
        "measure": measure,
        "most": limit + 1,
    }
    rows = (await tx.execute(_SEVERAL, asked)).all()
    places = [(unit_of(row), measures[row.measure]) for row in rows[:limit]]
    state, ready = State(), prepared(catalogue)
    await state.load(tx, sorted({here.commune for here, _ in places}), ready)
    judge = Judge(state, ready, units.today(), ())
    found = []
    for here, wanted in places:
        known = state.units.get(unit_key(here))
        reading = judge.reading(known, wanted) if known is not None else None
        if reading is not None and reading.disagrees:
            found.append(Dispute(here, wanted, reading))
    following = (places[-1][0].code, places[-1][1].code) if len(rows) > limit else None
    return found, following


async def orders(
    tx: AsyncSession, unit: Unit, criteria: c.CriteriaSet, *, after: tuple[str, str, str] | None = None, limit: int
) -> list[Any]:
    """Orders of suspension in force today for `unit`, above it or below it, by path, row and id; up to `limit` + 1."""
    path, item, id = after or ("", "", "")
    place = {"after_path": path, "after_item": item, "after_id": id, "most": limit + 1}
    return list((await tx.execute(_ORDERS, _asked(unit, criteria) | place)).all())


@dataclass(frozen=True, slots=True)
class Aside:
    """Events about these units that could not take effect and wait for somebody; `since` the oldest."""

    count: int
    since: datetime | None


async def set_aside(tx: AsyncSession, unit: Unit) -> Aside:
    """How many events about `unit` and what lies below it were set aside."""
    row = (await tx.execute(_ASIDE, _asked(unit))).one()
    return Aside(row.letters, row.since)


def overlay_orders(unit: Unit, criteria: c.CriteriaSet, day: date) -> list[tuple[c.Overlay, c.Suspension]]:
    """What overlays suspend for `unit` on a day."""
    return [
        (overlay, suspension)
        for overlay in library.catalogue().overlays_of(criteria.code)
        if overlay.holds(unit, day)
        for suspension in overlay.suspensions
        if suspension.holds(unit, day)
    ]
