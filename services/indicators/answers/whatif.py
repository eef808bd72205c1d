"""Owns the answer to "what would it be if": a sheet with other figures or targets laid over it, and what would do.

Nothing is stored. Figures, units and targets are those of now; `least` finds how little would turn each row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import FieldError, InvalidFields
from chassis.units import Unit
from services.indicators.answers.standing import Ground, Moment, Standing, closure, ground, valid_unit
from services.indicators.calculation.model import SetNotForLevel, restore, unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import judging
from services.indicators.criteria.catalogue import Pair
from services.indicators.criteria.figures import Figure, Outcome, Ratio, Summary, Value, whole
from services.indicators.criteria.least import Least, Step, least

MOST_ENTITIES = 50
"""Entities named under one step; all are counted."""
NEAREST = 10
"""Units below named under one step, those that need least first."""
MOST_CHILDREN = 400
"""Units below that are looked at for the nearest."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that would be another: a measure's figure, or of how many units below an item is met.

    `subject` is a measure, or "set/item". Either `value` replaces the figure or `more` is added to it.
    """

    subject: str
    value: Value | None = None
    more: int | None = None


@dataclass(frozen=True, slots=True)
class Aim:
    """Another target for a row; `measure` picks one condition of a composed row."""

    item: str
    target: c.Target


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing behind a figure that would have to change: its opaque id and its state today."""

    attribute: str
    entity: str
    source: str
    value: Value | None


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


@dataclass(frozen=True, slots=True)
class Row:
    """A row before and after, and the least that would turn it from where it stands afterwards."""

    item: c.Item
    rule: c.Rule
    before: Outcome
    after: Outcome
    least: Least
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Supposed:
    """The sheet of a unit before and after; `figures` are those of today, by measure."""

    unit: Unit
    criteria: c.CriteriaSet
    before: Summary
    after: Summary
    rows: tuple[Row, ...]
    figures: Mapping[str, Value | None] = field(default_factory=dict)


class Nothing(SetNotForLevel):
    """What-if is asked where a set is judged, not where its units are counted."""

    code: ClassVar[str] = "set_not_judged_here"
    message: ClassVar[str] = "Bộ {set} không được xét cho đơn vị mã {unit}; hãy chọn một đơn vị đúng cấp."


async def suppose(
    tx: AsyncSession,
    code: str,
    criteria: c.CriteriaSet,
    catalogue: c.Catalogue,
    changes: Sequence[Change] = (),
    aims: Sequence[Aim] = (),
    *,
    detail: bool = True,
) -> Supposed:
    """The sheet as it is and as it would be; raises UnknownUnit, Nothing and InvalidFields. Stores nothing.

    With `detail` each step of the least change names the entities and units behind it.
    """
    moment = Moment()
    unit = await valid_unit(tx, code, moment)
    items = catalogue.items_for(criteria.code, unit, moment.day)
    if not items:
        raise Nothing(set=criteria.code, unit=unit.code)
    pairs = [(criteria.code, item.code) for item in items]
    # What villages add up to in a commune is judged anew, so that it is never older than the villages themselves.
    known = await ground(tx, [unit], pairs, moment, catalogue, deep=unit.level == "commune")
    today = Standing(known, catalogue)
    then = _supposed(today, unit, criteria, pairs, changes, aims)
    rows = []
    for item in items:
        rows.append(await _row(tx, today, then, unit, (criteria.code, item.code), item, detail=detail))
    return Supposed(
        unit,
        criteria,
        judging.summarise([row.before.status for row in rows], criteria.needed),
        judging.summarise([row.after.status for row in rows], criteria.needed),
        tuple(rows),
        {code: today.figure(unit, code) for item in items for code in item.measures},
    )


@dataclass
class _Faults:
    found: list[FieldError] = field(default_factory=list)

    def add(self, place: str, message: str) -> None:
        self.found.append(FieldError(place, message))


def _supposed(
    today: Standing,
    unit: Unit,
    criteria: c.CriteriaSet,
    pairs: Sequence[Pair],
    changes: Sequence[Change],
    aims: Sequence[Aim],
) -> Standing:
    """The standing with changes and targets laid over it; raises InvalidFields with every fault found."""
    faults = _Faults()
    key = unit_key(unit)
    figures: dict[tuple[str, str], Value | None] = {}
    outcomes: dict[tuple[str, Pair], Outcome] = {}
    wanted = closure(today.catalogue, pairs)
    for index, change in enumerate(changes):
        place = f"changes.{index}"
        if "/" in change.subject:
            set_code, _, item_code = change.subject.partition("/")
            outcome = _below(today, unit, (set_code, item_code), wanted, change, place, faults)
            if outcome is not None:
                outcomes[key, (set_code, item_code)] = outcome
        else:
            held = figures.get((key, change.subject))
            figures[key, change.subject] = _figure(today, unit, change, held, place, faults)
    rules = _rules(today, unit, criteria, aims, faults)
    if faults.found:
        raise InvalidFields(faults.found)
    return Standing(today.known, today.catalogue, figures=figures, outcomes=outcomes, rules=rules)


def _figure(
    today: Standing, unit: Unit, change: Change, held: Value | None, place: str, faults: _Faults
) -> Value | None:
    measure = today.catalogue.measures.get(change.subject)
    if measure is None:
        faults.add(f"{place}.measure", "Không có thước đo mang mã này.")
        return None
    value = change.value
    if change.more is not None:
        value = _more(held if held is not None else today.figure(unit, measure.code), measure, change.more)
        if value is None:
            faults.add(f"{place}.more", "Chưa có số liệu nên không thể cộng thêm; hãy nêu cả giá trị.")
            return None
    wrong = unfit(measure, value)
    if wrong:
        faults.add(f"{place}.value", wrong)
    return value


def _more(held: Value | None, measure: c.Measure, more: int) -> Value | None:
    if isinstance(held, Ratio):
        return Ratio(held.numerator + more, held.denominator)
    if measure.kind == "count":
        return (whole(held) if isinstance(held, int) else 0) + more
    return None


def unfit(measure: c.Measure, value: Value | None) -> str:
    """Why a measure cannot have the value, in Vietnamese; empty where it can."""
    if value is None:
        return "Thiếu giá trị."
    fits = {"flag": isinstance(value, bool), "ratio": isinstance(value, Ratio), "state": isinstance(value, str)}
    if not fits.get(measure.kind, isinstance(value, int) and not isinstance(value, bool)):
        return "Giá trị không đúng loại của thước đo."
    if isinstance(value, str) and value not in measure.states:
        return "Thước đo không có giá trị này."
    if isinstance(value, Ratio):
        if value.numerator < 0 or value.denominator < 0:
            return "Giá trị không được âm."
        if value.numerator > value.denominator and not measure.unbounded:
            return "Tử số lớn hơn mẫu số."
    if isinstance(value, int) and value < 0:
        return "Giá trị không được âm."
    return ""


def _below(
    today: Standing, unit: Unit, pair: Pair, wanted: set[Pair], change: Change, place: str, faults: _Faults
) -> Outcome | None:
    """The roll-up of a lower set at the unit as it would be; of how many units nothing is known shrinks with it."""
    held = today.outcome(unit, pair) if pair in wanted else Outcome("no_data", None)
    if pair not in wanted or (pair[0] in today.catalogue.sets and _own(today, unit, pair)):
        faults.add(f"{place}.item", "Bộ này không xét theo chỉ tiêu đó của các đơn vị bên dưới.")
        return None
    value = change.value
    if change.more is not None:
        if not isinstance(held.figure, Ratio):
            faults.add(f"{place}.more", "Chưa có số liệu nên không thể cộng thêm; hãy nêu cả giá trị.")
            return None
        value = Ratio(held.figure.numerator + change.more, held.figure.denominator)
    if not isinstance(value, Ratio) or not 0 <= value.numerator <= value.denominator:
        faults.add(f"{place}.value", "Phải là bao nhiêu đơn vị đạt trên bao nhiêu đơn vị.")
        return None
    return Outcome("measured", value, min(held.unknown, value.denominator - value.numerator))


def _own(today: Standing, unit: Unit, pair: Pair) -> bool:
    return today.catalogue.sets[pair[0]].level == unit.level


def _rules(
    today: Standing, unit: Unit, criteria: c.CriteriaSet, aims: Sequence[Aim], faults: _Faults
) -> dict[Pair, c.Rule]:
    rules: dict[Pair, c.Rule] = {}
    for index, aim in enumerate(aims):
        pair = (criteria.code, aim.item)
        rule = rules.get(pair) or today.rule(unit, pair)
        if rule is None:
            faults.add(f"targets.{index}.item", "Bộ chỉ tiêu không có mục này.")
            continue
        rules[pair] = c.aimed(rule, aim.target)
        if rules[pair] == rule and not _asks(rule, aim.target):
            faults.add(f"targets.{index}.target", "Mục này không có mức nào để đặt lại như vậy.")
    return rules


def _asks(rule: c.Rule, target: c.Target) -> bool:
    """Whether the rule (or one of its conditions) already asks for just this target."""
    return any(
        getattr(part, "operator", None) == target.operator and getattr(part, "target", None) == target.target
        for part in judging.parts_of(rule)
    )


async def _row(
    tx: AsyncSession, today: Standing, then: Standing, unit: Unit, pair: Pair, item: c.Item, *, detail: bool
) -> Row:
    rule = then.rule(unit, pair) or item.rule
    before, after = today.outcome(unit, pair), then.outcome(unit, pair)
    needed = least_at(then, unit, pair)
    needs = tuple([await _need(tx, then, unit, step) for step in needed.steps]) if detail else ()
    return Row(item, rule, before, after, needed, needs)


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
    return found, tuple([await _need(tx, standing, unit, step) for step in found.steps])


async def _need(tx: AsyncSession, standing: Standing, unit: Unit, step: Step) -> Need:
    if step.kind in ("children", "item"):
        set_code, _, item_code = step.subject.partition("/")
        if step.kind == "item":
            return Need(step, inner=least_at(standing, unit, (set_code, item_code)))
        return Need(step, nearest=await _nearest(tx, standing.catalogue, unit, (set_code, item_code)))
    entities, total = await entities_to_change(tx, standing.known, unit, standing.catalogue.measures[step.subject])
    return Need(step, entities, total, _unreported(standing, unit, step))


def _unreported(standing: Standing, unit: Unit, step: Step) -> int:
    """How many a register knows of beyond those that some source named."""
    measure = standing.catalogue.measures[step.subject]
    chosen = standing.reading(unit, measure.code).chosen
    if chosen is None or chosen.klass != "counted" or measure.counted is None or measure.counted.denominator is None:
        return 0
    picked = measure.counted.denominator
    heaps = standing.known.heaps
    places = [unit, *(standing.known.below(unit, "village") if unit.level != "village" else ())]
    named = sum(
        count
        for place in places
        for key, count in heaps.get(unit_key(place), {}).items()
        if key.attribute == picked.attribute and key.state in picked.states and key.source == chosen.source
    )
    figure: Figure | Value | None = chosen.figure
    return max(figure.denominator - named, 0) if isinstance(figure, Ratio) else 0


_BEHIND = sa.text("""
    SELECT attribute, entity, source, state, numerator, denominator, count(*) OVER () AS total FROM fact
    WHERE unit = ANY(CAST(:units AS text[])) AND attribute = :attribute AND NOT withdrawn
      AND (CAST(:within AS text[]) IS NULL OR state = ANY(CAST(:within AS text[])))
      AND NOT state = ANY(CAST(:without AS text[]))
      AND NOT EXISTS (
        SELECT 1 FROM fact f WHERE f.attribute = :other AND f.entity = fact.entity AND f.source = fact.source
          AND f.unit = fact.unit AND f.state = ANY(CAST(:without AS text[])) AND NOT f.withdrawn)
    ORDER BY entity, source LIMIT :most
""")


async def entities_to_change(
    tx: AsyncSession, known: Ground, unit: Unit, measure: c.Measure, most: int = MOST_ENTITIES
) -> tuple[tuple[Entity, ...], int]:
    """The entities that are not counted though they could be, by id, and how many there are in all."""
    counted = measure.counted
    wanted = (counted.numerator or counted.when) if counted else None
    if counted is None or wanted is None:
        return (), 0
    pool = counted.denominator or wanted
    places = [unit, *(known.below(unit, "village") if unit.level != "village" else ())]
    values: dict[str, Any] = {
        "units": [unit_key(place) for place in places],
        "attribute": pool.attribute,
        "other": wanted.attribute,
        "within": sorted(counted.denominator.states) if counted.denominator else None,
        "without": sorted(wanted.states),
        "most": most,
    }
    rows = (await tx.execute(_BEHIND, values)).all()
    found = tuple(Entity(r.attribute, r.entity, r.source, restore(r.state, r.numerator, r.denominator)) for r in rows)
    return found, rows[0].total if rows else 0


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
    below = [child for child in below if criteria.applies_to(child.level, child.kind)]
    if not below:
        return ()
    standing = Standing(await ground(tx, below, [pair], moment, catalogue, deep=False), catalogue)
    found = [Near(child, least_at(standing, child, pair)) for child in below]
    found = [near for near in found if near.least.reachable and near.least.status != "met"]
    found.sort(key=lambda near: (len(near.least.missing), near.least.effort, near.unit.code))
    return tuple(found[:NEAREST])
