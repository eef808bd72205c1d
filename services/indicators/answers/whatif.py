"""Owns the answer to "what would it be if": a sheet with other figures or targets laid over it, and what would do.

Nothing is stored. Figures, units and targets are those of now; `needs` names what the least change would take, and
`singles` lays single things over what is known, `newcomers` things nobody has reported yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import FieldError, InvalidFields
from chassis.units import Unit
from services.indicators.answers import newcomers, singles
from services.indicators.answers.needs import Moved, Need, least_at, need_of
from services.indicators.answers.newcomers import Newcomers
from services.indicators.answers.singles import Single
from services.indicators.answers.standing import Moment, Standing, closure, ground, valid_unit
from services.indicators.calculation.model import SetNotForLevel, unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import judging
from services.indicators.criteria.catalogue import Pair
from services.indicators.criteria.figures import Outcome, Ratio, Summary, Value, whole
from services.indicators.criteria.least import Least


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that would be another: a measure's figure, or of how many units below an item is met.

    `subject` is a measure, or "set/item". Either `value` replaces the figure or `more` is added to it.
    """

    subject: str
    value: Value | None = None
    more: int | None = None


Supposition = Change | Single | Newcomers


@dataclass(frozen=True, slots=True)
class Aim:
    """Another target for a row; `measure` picks one condition of a composed row."""

    item: str
    target: c.Target


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
    """The sheet of a unit before and after; `figures` are those of today, by measure.

    `counted` are the measures that a new thing would change: its things are counted, or nothing is known of them.
    """

    unit: Unit
    criteria: c.CriteriaSet
    before: Summary
    after: Summary
    rows: tuple[Row, ...]
    figures: Mapping[str, Value | None] = field(default_factory=dict)
    counted: frozenset[str] = frozenset()


class Nothing(SetNotForLevel):
    """What-if is asked where a set is judged, not where its units are counted."""

    code: ClassVar[str] = "set_not_judged_here"
    message: ClassVar[str] = "Bộ {set} không được xét cho đơn vị mã {unit}; hãy chọn một đơn vị đúng cấp."


async def suppose(
    tx: AsyncSession,
    code: str,
    criteria: c.CriteriaSet,
    catalogue: c.Catalogue,
    changes: Sequence[Supposition] = (),
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
    # What villages add up to in a commune is judged anew, so that it is never older than the villages themselves; above
    # it, what lies below is judged where something there is supposed.
    deep = unit.level == "commune" or any(isinstance(one, Newcomers) for one in changes)
    known = await ground(tx, [unit], pairs, moment, catalogue, deep=deep)
    today = Standing(known, catalogue)
    faults = _Faults()
    things = [(one, faults.at(f"changes.{n}")) for n, one in enumerate(changes) if isinstance(one, Single)]
    altered, moved = await singles.laid_over(tx, known, unit, pairs, catalogue, things)
    more = [(one, faults.at(f"changes.{n}")) for n, one in enumerate(changes) if isinstance(one, Newcomers)]
    altered, groups = newcomers.laid_over(altered, unit, pairs, catalogue, more)
    moved = replace(moved, new=groups)
    then = _supposed(Standing(altered, catalogue), unit, criteria, pairs, changes, aims, faults)
    rows = []
    for item in items:
        rows.append(await _row(tx, today, then, unit, (criteria.code, item.code), item, moved, detail=detail))
    return Supposed(
        unit,
        criteria,
        judging.summarise([row.before.status for row in rows], criteria.needed),
        judging.summarise([row.after.status for row in rows], criteria.needed),
        tuple(rows),
        {code: today.figure(unit, code) for item in items for code in item.measures},
        frozenset(code for item in items for code in item.measures if _by_counting(today, unit, code)),
    )


def _by_counting(today: Standing, unit: Unit, code: str) -> bool:
    measure = today.catalogue.measures[code]
    if measure.counted is None or measure.level != unit.level:
        return False
    chosen = today.reading(unit, code).chosen
    return chosen is None or chosen.klass == "counted"


@dataclass
class _Faults:
    found: list[FieldError] = field(default_factory=list)

    def add(self, place: str, message: str) -> None:
        self.found.append(FieldError(place, message))

    def at(self, place: str) -> singles.Fault:
        """Faults of fields below a place."""
        return lambda field, message: self.add(f"{place}.{field}", message)


def _supposed(
    today: Standing,
    unit: Unit,
    criteria: c.CriteriaSet,
    pairs: Sequence[Pair],
    changes: Sequence[Supposition],
    aims: Sequence[Aim],
    faults: _Faults,
) -> Standing:
    """The standing with changes and targets laid over it; raises InvalidFields with every fault found."""
    key = unit_key(unit)
    figures: dict[tuple[str, str], Value | None] = {}
    outcomes: dict[tuple[str, Pair], Outcome] = {}
    wanted = closure(today.catalogue, pairs)
    for index, change in enumerate(changes):
        place = f"changes.{index}"
        if not isinstance(change, Change):
            continue
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
    tx: AsyncSession,
    today: Standing,
    then: Standing,
    unit: Unit,
    pair: Pair,
    item: c.Item,
    moved: Moved,
    *,
    detail: bool,
) -> Row:
    rule = then.rule(unit, pair) or item.rule
    before, after = today.outcome(unit, pair), then.outcome(unit, pair)
    needed = least_at(then, unit, pair)
    needs = tuple([await need_of(tx, then, unit, step, moved) for step in needed.steps]) if detail else ()
    return Row(item, rule, before, after, needed, needs)
