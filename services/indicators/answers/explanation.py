"""Owns the answer to "why": from an item down to its measures, sources, facts, and the events or documents of each.

`explain` reads what `reasoning` makes a tree of, now or at another moment. Facts are also given as one flat list, in
pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.units import LEVELS, Unit
from services.indicators.answers import queries
from services.indicators.answers.handovers import handovers
from services.indicators.answers.origins import NOW, named_by
from services.indicators.answers.queries import Line, Row, Sheet
from services.indicators.answers.reasoning import MOST_UNITS, Basis, Evidence, Group, Node, Order, reasons_for, reduced
from services.indicators.answers.reasoning import without_ids as without_ids
from services.indicators.answers.standing import HELD_THEN, Moment, Standing, closure, ground
from services.indicators.calculation.engine import Reading
from services.indicators.calculation.model import fact_of, figure_of, unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.areas import sql_holds
from services.indicators.criteria.catalogue import Pair
from services.indicators.criteria.figures import Outcome
from services.indicators.sources import evidence as documents

MOST_FACTS = 10
"""Facts of entities named under one state of one source, the newest first; all are counted."""

_FACTS = """
    SELECT * FROM {facts}
    WHERE unit = ANY(CAST(:units AS text[])) AND attribute = ANY(CAST(:inputs AS text[]))
      AND (attribute, entity, source) > (:attribute, :entity, :source)
    ORDER BY attribute, entity, source LIMIT :most
"""
_GROUPS = """
    SELECT * FROM (
        SELECT f.*, row_number() OVER heap AS place, count(*) OVER whole AS total, max(observed_at) OVER whole AS last
        FROM {facts}
        WHERE unit = ANY(CAST(:units AS text[])) AND attribute = ANY(CAST(:inputs AS text[])) AND NOT withdrawn
        WINDOW whole AS (PARTITION BY unit, attribute, source, state),
            heap AS (PARTITION BY unit, attribute, source, state ORDER BY observed_at DESC, entity)
    ) AS ranked WHERE place <= :most OR state IS NULL
    ORDER BY unit, attribute, source, state, place
"""
_NOW, _THEN = "fact f", f"({HELD_THEN}) AS f"
_FACTS_NOW, _FACTS_THEN = sa.text(_FACTS.format(facts=_NOW)), sa.text(_FACTS.format(facts=_THEN))
_GROUPS_NOW, _GROUPS_THEN = sa.text(_GROUPS.format(facts=_NOW)), sa.text(_GROUPS.format(facts=_THEN))
_SUSPENSIONS = sa.text("""
    SELECT id, unit, reason, document, starts_on, ends_on FROM suspension
    WHERE set_code = :set_code AND item_code = :item_code AND (lifted_at IS NULL OR lifted_at > :at)
      AND (CAST(:known_at AS timestamptz) IS NULL OR created_at <= :known_at)
      AND starts_on <= :day AND (ends_on IS NULL OR ends_on > :day)
      AND (path = :path OR :path LIKE path || '/%')
    ORDER BY starts_on, id
""")
_BELOW = f"""
    SELECT u.code, u.name, u.level, u.kind, u.parent, u.path, u.valid_from, u.valid_to,
        coalesce(i.status, 'no_data') AS status, i.flag, i.numerator, i.denominator, count(*) OVER () AS total
    FROM unit u
    LEFT JOIN {{items}} ON true
    WHERE u.path LIKE :below AND u.level = :level AND (cardinality(CAST(:kinds AS text[])) = 0 OR u.kind = ANY(:kinds))
      AND {sql_holds("u")} AND u.valid_from <= :day AND (u.valid_to IS NULL OR u.valid_to > :day)
    ORDER BY coalesce(i.status, 'no_data') = 'met', u.code LIMIT :most
"""
_ROW = "h.unit = u.code || '@' || u.valid_from AND h.set_code = :set_code AND h.item_code = :item_code"
_BELOW_NOW = sa.text(_BELOW.format(items=f"LATERAL (SELECT h.* FROM item h WHERE {_ROW}) i"))
_BELOW_THEN = sa.text(
    _BELOW.format(
        items=f"""LATERAL (
            SELECT h.after AS status, h.flag, h.numerator, h.denominator FROM change h
            WHERE {_ROW} AND h.at <= :at ORDER BY h.id DESC LIMIT 1
        ) i"""
    )
)
_LOGGED = sa.text("""
    SELECT DISTINCT ON (unit) unit, after AS status, flag, numerator, denominator FROM change
    WHERE unit = ANY(CAST(:units AS text[])) AND set_code = :set_code AND item_code = :item_code AND at <= :at
    ORDER BY unit, id DESC
""")


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything an item of a unit rests on; above the set's level, the children instead of facts."""

    sheet: Sheet
    row: Row
    readings: tuple[Reading, ...]
    evidence: tuple[Evidence, ...]
    places: Mapping[str, Unit]
    """The units whose facts are counted, by key: the unit, of a measure of communes also its villages."""
    next: tuple[str, str, str] | None
    suspensions: tuple[Any, ...]
    children: tuple[Line, ...]
    next_child: str | None
    tree: Node


async def explain(
    tx: AsyncSession,
    sheet: Sheet,
    item: c.Item,
    catalogue: c.Catalogue,
    *,
    limit: int,
    after: tuple[str, str, str] | None = None,
    after_child: str | None = None,
    ids: bool = True,
    moment: Moment = NOW,
) -> Explanation:
    """Why the item stands as it does, or stood at `moment`; facts (or children) in pages of `limit`.

    `sheet` and `catalogue` are those of the moment. Of the past only facts that held are told, none that was withdrawn.
    `ids` False leaves out the ids of things and observations and the facts of single entities: what everybody may see.
    """
    row = next(row for row in sheet.rows if row.item.code == item.code)
    pair = (sheet.criteria.code, item.code)
    asked = {"set_code": pair[0], "item_code": pair[1], "path": sheet.unit.path, "day": moment.day}
    suspensions = tuple((await tx.execute(_SUSPENSIONS, asked | _seen_at(moment))).all())
    standing = await _standing(tx, sheet.unit, pair, catalogue, moment)
    basis = await _basis(tx, standing, sheet.unit, pair, suspensions)
    tree = reasons_for(standing, sheet.unit, pair, basis)
    if sheet.rolled_up:
        if moment.is_now:
            lines = await queries.children(tx, sheet.unit, sheet.criteria, limit=limit, after=after_child)
        else:
            lines = await _lines_then(tx, standing, sheet, pair, limit=limit, after=after_child)
        last = lines[limit - 1].unit.code if len(lines) > limit else None
        return Explanation(sheet, row, (), (), {}, None, suspensions, tuple(lines[:limit]), last, tree)
    held = catalogue.item_for(*pair, sheet.unit, standing.day) or item
    readings = tuple(standing.reading(sheet.unit, code) for code in held.measures)
    inputs = {code for measure in held.measures for code in catalogue.measures[measure].inputs}
    if not ids:
        inputs -= {
            code for code in inputs if code in catalogue.attributes and catalogue.attributes[code].kind != "count"
        }
    places = _places(standing, sheet.unit, held.measures)
    evidence, following = await _evidence(tx, places, inputs, moment, limit, after)
    if not ids:
        evidence = [without_ids(one) for one in evidence]
        tree = reduced(tree)
    return Explanation(sheet, row, readings, tuple(evidence), places, following, suspensions, (), None, tree)


def _seen_at(moment: Moment) -> dict[str, Any]:
    return {"at": moment.instant, "known_at": moment.known_at}


async def _standing(tx: AsyncSession, unit: Unit, pair: Pair, catalogue: c.Catalogue, moment: Moment) -> Standing:
    # A sheet of the past is judged anew from the bottom; the tree has to show what it was judged from.
    deep = unit.level == "commune" or not moment.is_now
    return Standing(await ground(tx, [unit], [pair], moment, catalogue, deep=deep), catalogue)


async def _lines_then(
    tx: AsyncSession, standing: Standing, sheet: Sheet, pair: Pair, *, limit: int, after: str | None
) -> list[Line]:
    """The units that lay directly below, by code, each with its outcome then; up to `limit` + 1."""
    criteria = sheet.criteria
    found = [
        unit
        for unit in await units.children(tx, sheet.unit.code, standing.day)
        if (unit.level != criteria.level or criteria.judges(unit))
        and criteria.area.touches(unit.path)
        and (after is None or unit.code > after)
    ][: limit + 1]
    if not standing.known.deep:
        return await _lines_logged(tx, found, pair, standing.known.moment)
    lines = []
    for unit in found:
        outcome = standing.outcome(unit, pair)
        cell = (outcome.status, outcome.figure)
        lines.append(Line(unit, 0, 0, {pair[1]: cell}, unknown={pair[1]: outcome.unknown}))
    return lines


async def _lines_logged(tx: AsyncSession, found: Sequence[Unit], pair: Pair, moment: Moment) -> list[Line]:
    """As the log has it, like the figure above them. It does not say of how many units nothing was known."""
    asked = {"units": [unit_key(u) for u in found], "set_code": pair[0], "item_code": pair[1], "at": moment.instant}
    rows = {row.unit: row for row in await tx.execute(_LOGGED, asked)}
    lines = []
    for unit in found:
        row = rows.get(unit_key(unit))
        cells = {pair[1]: (row.status, figure_of(row.flag, row.numerator, row.denominator))} if row else {}
        lines.append(Line(unit, 0, 0, cells))
    return lines


def _places(standing: Standing, unit: Unit, measures: Iterable[str]) -> dict[str, Unit]:
    """The units whose facts make the figures of some measures, by key: things in villages are counted for a commune."""
    found = [unit]
    named = (standing.catalogue.measures[code] for code in measures)
    if any(one.counted is not None and one.level == "commune" for one in named):
        found += standing.known.below(unit, "village")
    return {unit_key(one): one for one in found}


async def _basis(tx: AsyncSession, standing: Standing, unit: Unit, pair: Pair, suspensions: Sequence[Any]) -> Basis:
    catalogue = standing.catalogue
    wanted = closure(catalogue, [pair])
    own = {one for one in wanted if catalogue.sets[one[0]].level == unit.level}
    measures = {m for one in own for item in catalogue.rows_of(one[0]) if item.code == one[1] for m in item.measures}
    inputs = {code for measure in measures for code in catalogue.measures[measure].inputs}
    asked: dict[str, Any] = {
        "units": list(_places(standing, unit, measures)),
        "inputs": sorted(inputs),
        "most": MOST_FACTS,
    }
    if standing.known.moment.is_now:
        rows = (await tx.execute(_GROUPS_NOW, asked)).all()
    else:
        rows = (await tx.execute(_GROUPS_THEN, asked | _seen_at(standing.known.moment))).all()
    told = await _tell(tx, rows)
    groups: dict[tuple[str, str], list[Group]] = {}
    heaps: dict[tuple[str, str, str, str], list[int]] = {}
    for place, row in enumerate(rows):
        if row.state is not None:
            heaps.setdefault((row.unit, row.attribute, row.source, row.state), []).append(place)
    for (key, attribute, source, state), places in heaps.items():
        first = rows[places[0]]
        group = Group(attribute, state, source, first.total, first.last, tuple(told[place] for place in places))
        groups.setdefault((key, attribute), []).append(group)
    by_fact = {(one.fact.attribute, one.fact.entity, one.fact.source): one for one in told}
    orders = [Order(s.unit, s.reason, s.document, s.starts_on, s.ends_on) for s in suspensions]
    below = {} if standing.known.deep else await _below(tx, standing, unit, wanted, pair)
    return Basis(groups, by_fact, orders, below)


async def _below(
    tx: AsyncSession, standing: Standing, unit: Unit, wanted: Iterable[Pair], asked: Pair
) -> dict[Pair, tuple[list[tuple[Unit, Outcome]], int]]:
    """The units below whose outcomes the rules look at, one question for each row looked at."""
    catalogue = standing.catalogue
    looked_at = {asked} if LEVELS.index(catalogue.sets[asked[0]].level) > LEVELS.index(unit.level) else set()
    for one in wanted:
        if catalogue.sets[one[0]].level == unit.level:
            item = catalogue.item_for(*one, unit, standing.day)
            looks_at = item.looks_at if item else ()
            looked_at |= {pair for pair in looks_at if catalogue.sets[pair[0]].level != unit.level}
    found: dict[Pair, tuple[list[tuple[Unit, Outcome]], int]] = {}
    for pair in sorted(looked_at):
        criteria = catalogue.sets[pair[0]]
        values = {
            "set_code": pair[0],
            "item_code": pair[1],
            "below": f"{unit.path}/%",
            "level": criteria.level,
            "kinds": list(criteria.kinds),
            "areas": criteria.area.patterns,
            "day": standing.day,
            "most": MOST_UNITS,
        }
        moment = standing.known.moment
        if moment.is_now:
            rows = (await tx.execute(_BELOW_NOW, values)).all()
        else:
            rows = (await tx.execute(_BELOW_THEN, values | {"at": moment.instant})).all()
        outcomes = [
            (queries.unit_of(r), Outcome(r.status, figure_of(r.flag, r.numerator, r.denominator))) for r in rows
        ]
        found[pair] = (outcomes, rows[0].total if rows else 0)
    return found


async def _evidence(
    tx: AsyncSession,
    places: Mapping[str, Unit],
    inputs: set[str],
    moment: Moment,
    limit: int,
    after: tuple[str, str, str] | None,
) -> tuple[list[Evidence], tuple[str, str, str] | None]:
    attribute, entity, source = after or ("", "", "")
    asked: dict[str, Any] = {
        "units": list(places),
        "inputs": sorted(inputs),
        "attribute": attribute,
        "entity": entity,
        "source": source,
        "most": limit + 1,
    }
    if moment.is_now:
        rows = (await tx.execute(_FACTS_NOW, asked)).all()
    else:
        rows = (await tx.execute(_FACTS_THEN, asked | _seen_at(moment))).all()
    found = await _tell(tx, rows[:limit])
    last = found[-1].fact if len(rows) > limit and found else None
    return found, (last.attribute, last.entity, last.source) if last else None


async def _tell(tx: AsyncSession, rows: Sequence[Any]) -> list[Evidence]:
    """Rows of `fact` with what is known of where they come from."""
    notes = await named_by(tx, [row.cause for row in rows])
    # What an undone import says again rests on what first said it.
    files = await documents.behind(tx, [documents.root(row.cause) for row in rows])
    over = await handovers(tx, {row.cause for row in rows})
    found = []
    for row in rows:
        cause = documents.root(row.cause) or row.cause
        kind, _, name = cause.partition(":")
        source, note = notes.get(name, ("", ""))
        file = files.get(cause)
        known = kind if kind in ("observation", "document", "succession", "settlement") else "event"
        one = Evidence(fact_of(row), row.recorded_at, known, kind, name, source, note, str(file.id) if file else "")
        came = over.get(row.cause)
        if came is not None:
            # Who settled it stands where the staff member of an entry does.
            name = f"{came.settled_by}/{name}" if came.settled_by else name
            one = replace(one, id=name, source=came.document, former=came.former, settled_at=came.settled_at)
        found.append(one)
    return found
