"""Owns what stands behind the least change: which single things could be counted, which units below lack least.

`criteria.least` says how many more; here they are named, as far as somebody reported them one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.units import Unit
from services.indicators.answers.standing import Ground, Moment, Standing, ground
from services.indicators.calculation.engine import Fact
from services.indicators.calculation.model import restore, unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.catalogue import Pair
from services.indicators.criteria.figures import Ratio, Value
from services.indicators.criteria.least import Least, Step, least

MOST_ENTITIES = 50
"""Entities named under one step; all are counted."""
NEAREST = 10
"""Units below named under one step, those that need least first."""
MOST_CHILDREN = 400
"""Units below that are looked at for the nearest."""
GONE = ("retired", "dissolved")
"""States of things that are no longer there: nobody makes a criterion met by mending them."""


@dataclass(frozen=True, slots=True)
class Group:
    """So many new things with the same attributes: their states by the attribute's code."""

    count: int
    states: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Moved:
    """What a question supposes of things: known ones as they are and as they would be, and groups of new ones."""

    known: Sequence[tuple[Fact | None, Fact]] = ()
    new: Sequence[Group] = ()


NOTHING_MOVED = Moved()


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing behind a figure that would have to change: its opaque id and its state today.

    It would count if `counted_by`, an attribute of it, were `counts_as`.
    """

    attribute: str
    entity: str
    source: str
    value: Value | None
    counted_by: str
    counts_as: Value


@dataclass(frozen=True, slots=True)
class Near:
    """A unit below that does not meet the item yet, and what it would take there."""

    unit: Unit
    least: Least


@dataclass(frozen=True, slots=True)
class Need:
    """A step with what stands behind it. `total` counts the entities, `unreported` those no source ever named."""

    step: Step
    entities: tuple[Entity, ...] = ()
    total: int = 0
    unreported: int = 0
    nearest: tuple[Near, ...] = ()
    inner: Least | None = None


def least_at(standing: Standing, unit: Unit, pair: Pair) -> Least:
    """The least that would turn an item of a unit met."""
    rule = standing.rule(unit, pair)
    status = standing.outcome(unit, pair).status
    if rule is None or status not in ("met", "unmet", "no_data"):
        return Least(status, False)
    unbounded = {code for code in c.measures_of(rule) if standing.catalogue.measures[code].unbounded}
    figures = standing.figures(unit, rule)
    return least(rule, figures, lambda s, i: standing.outcome(unit, (s, i)), unbounded=unbounded)


async def least_of(tx: AsyncSession, unit: Unit, pair: Pair, catalogue: c.Catalogue) -> tuple[Least, tuple[Need, ...]]:
    """The least that would turn one row of a unit met today, with what stands behind each step."""
    known = await ground(tx, [unit], [pair], Moment(), catalogue, deep=unit.level == "commune")
    standing = Standing(known, catalogue)
    found = least_at(standing, unit, pair)
    return found, tuple([await need_of(tx, standing, unit, step) for step in found.steps])


async def need_of(tx: AsyncSession, standing: Standing, unit: Unit, step: Step, moved: Moved = NOTHING_MOVED) -> Need:
    """A step with the things or units behind it, after what `moved` supposes of single things."""
    if step.kind in ("children", "item"):
        set_code, _, item_code = step.subject.partition("/")
        if step.kind == "item":
            return Need(step, inner=least_at(standing, unit, (set_code, item_code)))
        return Need(step, nearest=await _nearest(tx, standing.catalogue, unit, (set_code, item_code)))
    measure = standing.catalogue.measures[step.subject]
    entities, total = await entities_to_change(tx, standing.known, unit, measure, moved=moved)
    return Need(step, entities, total, _unreported(standing, unit, step))


def state_of(value: Value | None) -> str:
    """The state a thing is counted by: of a yes/no "true" or "false"; empty for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ""


def places_of(known: Ground, unit: Unit) -> list[Unit]:
    """The units whose single things count for a unit: itself, and the villages of a commune."""
    return [unit, *(known.below(unit, "village") if unit.level != "village" else ())]


def _unreported(standing: Standing, unit: Unit, step: Step) -> int:
    """How many a register knows of beyond those that some source named."""
    measure = standing.catalogue.measures[step.subject]
    chosen = standing.reading(unit, measure.code).chosen
    if chosen is None or chosen.klass != "counted" or measure.counted is None or measure.counted.denominator is None:
        return 0
    picked = measure.counted.denominator
    heaps = standing.known.heaps
    named = sum(
        count
        for place in places_of(standing.known, unit)
        for key, count in heaps.get(unit_key(place), {}).items()
        if key.attribute == picked.attribute and key.state in picked.states and key.source == chosen.source
    )
    return max(chosen.figure.denominator - named, 0) if isinstance(chosen.figure, Ratio) else 0


_BEHIND = sa.text("""
    SELECT attribute, entity, source, state, numerator, denominator, count(*) OVER () AS total FROM fact
    WHERE unit = ANY(CAST(:units AS text[])) AND attribute = :attribute AND NOT withdrawn
      AND (CAST(:within AS text[]) IS NULL OR state = ANY(CAST(:within AS text[])))
      AND NOT state = ANY(CAST(:without AS text[]))
      AND NOT (entity || ' ' || source) = ANY(CAST(:moved AS text[]))
      AND NOT EXISTS (
        SELECT 1 FROM fact f WHERE f.attribute = :other AND f.entity = fact.entity AND f.source = fact.source
          AND f.unit = fact.unit AND f.state = ANY(CAST(:counted AS text[])) AND NOT f.withdrawn)
    ORDER BY entity, source LIMIT :most
""")


async def entities_to_change(
    tx: AsyncSession,
    known: Ground,
    unit: Unit,
    measure: c.Measure,
    most: int = MOST_ENTITIES,
    moved: Moved = NOTHING_MOVED,
) -> tuple[tuple[Entity, ...], int]:
    """The entities that are not counted though they could be, by id, and how many there are in all.

    Things in `moved` are taken as they are supposed; new ones are counted without being named.
    """
    counted = measure.counted
    wanted = (counted.numerator or counted.when) if counted else None
    if counted is None or wanted is None:
        return (), 0
    pool = counted.denominator or wanted
    within = sorted(counted.denominator.states) if counted.denominator else None
    without = sorted({*wanted.states, *(GONE if within is None else ())})
    supposed = [after for _, after in moved.known if after.attribute in (pool.attribute, wanted.attribute)]
    values: dict[str, Any] = {
        "units": [unit_key(place) for place in places_of(known, unit)],
        "attribute": pool.attribute,
        "other": wanted.attribute,
        "within": within,
        "without": without,
        "counted": sorted(wanted.states),
        "moved": [f"{fact.entity} {fact.source}" for fact in supposed],
        "most": most,
    }
    counts_as = restore(sorted(wanted.states)[0], None, None)
    rows = (await tx.execute(_BEHIND, values)).all()
    # A thing that is supposed to be otherwise, and still could be counted, is named first.
    open_still = [
        (fact.attribute, fact.entity, fact.source, fact.value)
        for fact in supposed
        if fact.attribute == pool.attribute
        and not fact.withdrawn
        and (state := state_of(fact.value)) not in without
        and (within is None or state in within)
    ]
    there = [(r.attribute, r.entity, r.source, restore(r.state, r.numerator, r.denominator)) for r in rows]
    named = [Entity(*one, wanted.attribute, counts_as or False) for one in [*open_still, *there][:most]]
    new = sum(
        group.count
        for group in moved.new
        if (state := group.states.get(pool.attribute, ""))
        and state not in without
        and (within is None or state in within)
        and group.states.get(wanted.attribute) not in wanted.states
    )
    return tuple(named), len(open_still) + new + (rows[0].total if rows else 0)


_OPEN_BELOW = sa.text("""
    SELECT u.code, u.name, u.level, u.kind, u.parent, u.path, u.valid_from, u.valid_to FROM unit u
    LEFT JOIN item i ON i.unit = u.code || '@' || u.valid_from AND i.set_code = :set_code AND i.item_code = :item_code
    WHERE u.path LIKE :below AND u.level = :level AND u.valid_from <= :day AND (u.valid_to IS NULL OR u.valid_to > :day)
      AND coalesce(i.status, 'no_data') IN ('unmet', 'no_data')
    ORDER BY i.status IS NULL, i.status = 'no_data', u.code LIMIT :most
""")


async def _nearest(tx: AsyncSession, catalogue: c.Catalogue, unit: Unit, pair: Pair) -> tuple[Near, ...]:
    """The units below that lack least to meet an item, best first."""
    criteria = catalogue.sets[pair[0]]
    moment = Moment()
    values = {
        "set_code": pair[0],
        "item_code": pair[1],
        "below": f"{unit.path}/%",
        "level": criteria.level,
        "day": moment.day,
        "most": MOST_CHILDREN,
    }
    rows = await tx.execute(_OPEN_BELOW, values)
    below = [Unit(r.code, r.name, r.level, r.kind, r.parent, r.path, r.valid_from, r.valid_to) for r in rows]
    below = [child for child in below if criteria.judges(child)]
    if not below:
        return ()
    standing = Standing(await ground(tx, below, [pair], moment, catalogue, deep=False), catalogue)
    found = [Near(child, least_at(standing, child, pair)) for child in below]
    found = [near for near in found if near.least.reachable and near.least.status != "met"]
    found.sort(key=lambda near: (len(near.least.missing), near.least.effort, near.unit.code))
    return tuple(found[:NEAREST])
