"""Owns the answer to "how little would do": the least change of figures that turns a rule met.

Pure functions over a rule, the figures of a unit and what is rolled up to it. A share is turned by counting more in its
numerator, the denominator staying as it is; a yes/no by one yes; a share of the units below by more of them meeting
their item. Every plan found is tried on `judging.judge` before it is given out, and made as small as it can be: one
less of any of its steps would not do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Outcome, Ratio, Value, whole
from services.indicators.criteria.judging import Figures, Lookup, judge, unknown_everywhere

StepKind = Literal["numerator", "count", "flag", "children", "item"]

MOST_COMBINATIONS = 2_000
"""Choices of branches that are compared one by one; beyond it the branches are taken cheapest first."""


@dataclass(frozen=True, slots=True)
class Step:
    """One figure that would have to become another.

    `subject` is the code of a measure, or "set/item" for kinds `children` and `item`. `more` is how many more must be
    counted (below 0: fewer, only where exactly so many are asked for), `becomes` the figure afterwards.
    """

    kind: StepKind
    subject: str
    more: int
    becomes: Value

    @property
    def effort(self) -> int:
        return abs(self.more)


@dataclass(frozen=True, slots=True)
class Least:
    """What it takes. `status` is how the rule stands today.

    `reachable` False: counting more cannot do it, or the rule is not judged at all. `missing` are the measures nobody
    has told anything of, whose figures must come first; where there are any, `steps` are only what is known besides.
    """

    status: str
    reachable: bool
    steps: tuple[Step, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether `steps` are all it takes."""
        return self.reachable and not self.missing

    @property
    def effort(self) -> int:
        """How much has to be counted more, in all."""
        return sum(step.effort for step in self.steps)


@dataclass(frozen=True, slots=True)
class _Plan:
    steps: Mapping[tuple[str, str], Step]
    missing: frozenset[str] = frozenset()

    @property
    def rank(self) -> tuple[int, int, int]:
        """What can be said exactly goes first, then the least to count, then the fewest places to act."""
        return (len(self.missing), sum(step.effort for step in self.steps.values()), len(self.steps))


@dataclass(frozen=True, slots=True)
class _Standing:
    figures: Figures
    lookup: Lookup
    unbounded: Collection[str]


def least(
    rule: c.Rule, figures: Figures, lookup: Lookup = unknown_everywhere, *, unbounded: Collection[str] = ()
) -> Least:
    """The least that would turn `rule` met. `unbounded` are measures whose numerator may exceed the denominator."""
    status = judge(rule, figures, lookup).status
    if status == "met":
        return Least("met", True)
    if status not in ("unmet", "no_data"):
        return Least(status, False)
    plan = _plan(rule, _Standing(figures, lookup, unbounded))
    if plan is None:
        return Least(status, False)
    steps = tuple(plan.steps.values())
    if plan.missing:
        return Least(status, True, steps, tuple(sorted(plan.missing)))
    if not holds_after(rule, steps, figures, lookup):
        return Least(status, False)
    return Least(status, True, _smallest(rule, steps, figures, lookup))


def applied(steps: Iterable[Step], figures: Figures, lookup: Lookup = unknown_everywhere) -> tuple[Figures, Lookup]:
    """The figures and outcomes as they would be after `steps`."""
    changed: dict[str, Value | None] = dict(figures)
    outcomes: dict[tuple[str, str], Outcome] = {}
    for step in steps:
        if step.kind in ("numerator", "count", "flag"):
            changed[step.subject] = step.becomes
            continue
        set_code, _, item_code = step.subject.partition("/")
        if step.kind == "item":
            outcomes[set_code, item_code] = Outcome("met", True)
        elif isinstance(step.becomes, Ratio):
            before = lookup(set_code, item_code)
            unknown = min(before.unknown, step.becomes.denominator - step.becomes.numerator)
            outcomes[set_code, item_code] = Outcome(before.status, step.becomes, unknown)

    def looked_up(set_code: str, item_code: str) -> Outcome:
        return outcomes.get((set_code, item_code)) or lookup(set_code, item_code)

    return changed, looked_up


def holds_after(rule: c.Rule, steps: Iterable[Step], figures: Figures, lookup: Lookup = unknown_everywhere) -> bool:
    """Whether the rule would be met after `steps`."""
    return judge(rule, *applied(steps, figures, lookup)).status == "met"


def one_less(step: Step) -> Step | None:
    """The same step with one less to count; None where nothing is left of it."""
    if step.effort <= 1:
        return None
    return _with(step, step.more - (1 if step.more > 0 else -1))


def _with(step: Step, more: int) -> Step:
    off = more - step.more
    if isinstance(step.becomes, Ratio):
        return replace(step, more=more, becomes=Ratio(step.becomes.numerator + off, step.becomes.denominator))
    return replace(step, more=more, becomes=whole(step.becomes) + off)


def _plan(rule: c.Rule, standing: _Standing) -> _Plan | None:
    match rule:
        case c.Composed():
            return _plan_parts(rule, standing)
        case c.FlagRule():
            return _single(Step("flag", rule.measure, 1, True))
        case c.ItemRule():
            return _single(Step("item", f"{rule.set_code}/{rule.item_code}", 1, True))
        case c.ChildrenRule():
            return _plan_children(rule, standing)
        case c.RatioRule() | c.CountRule():
            return _plan_number(rule, standing)
        case c.Suspended():
            return _Plan({})


def _single(step: Step) -> _Plan:
    return _Plan({(step.kind, step.subject): step})


def _plan_parts(rule: c.Composed, standing: _Standing) -> _Plan | None:
    statuses = [judge(part, standing.figures, standing.lookup).status for part in rule.rules]
    judged = sum(status in ("met", "unmet", "no_data") for status in statuses)
    asked = judged if rule.needed is None else min(rule.needed, judged)
    needed = asked - statuses.count("met")
    open_parts = [part for part, status in zip(rule.rules, statuses, strict=True) if status in ("unmet", "no_data")]
    plans = [plan for plan in (_plan(part, standing) for part in open_parts) if plan is not None]
    if len(plans) < needed:
        return None
    # Two branches may be served by the same figure, so the cheapest choice is not always that of the cheapest parts.
    if math.comb(len(plans), needed) > MOST_COMBINATIONS:
        return _merged(sorted(plans, key=lambda plan: plan.rank)[:needed])
    return min((_merged(chosen) for chosen in itertools.combinations(plans, needed)), key=lambda plan: plan.rank)


def _merged(plans: Sequence[_Plan]) -> _Plan:
    steps: dict[tuple[str, str], Step] = {}
    for plan in plans:
        for key, step in plan.steps.items():
            held = steps.get(key)
            if held is None or step.more > held.more:
                steps[key] = step
    return _Plan(steps, frozenset().union(*(plan.missing for plan in plans)))


def _plan_children(rule: c.ChildrenRule, standing: _Standing) -> _Plan | None:
    subject = f"{rule.set_code}/{rule.item_code}"
    figure = standing.lookup(rule.set_code, rule.item_code).figure
    if not isinstance(figure, Ratio) or figure.denominator == 0:
        return _Plan({}, frozenset({subject}))
    if rule.operator is None or rule.target is None:
        return None
    whole_of = 1 if rule.count else figure.denominator
    wanted = _wanted(rule.operator, Fraction(rule.target), whole_of, figure.numerator)
    if wanted is None or not 0 <= wanted <= figure.denominator:
        return None
    becomes = Ratio(wanted, figure.denominator)
    return _single(Step("children", subject, wanted - figure.numerator, becomes))


def _plan_number(rule: c.RatioRule | c.CountRule, standing: _Standing) -> _Plan | None:
    if rule.operator is None:
        return None
    if rule.by is None:
        targets = frozenset() if rule.target is None else frozenset({Fraction(rule.target)})
    else:
        trait = standing.figures.get(rule.by.measure)
        targets = rule.by.targets(trait if isinstance(trait, str) else None)
    if not targets or (rule.operator == "=" and len(targets) > 1):
        return None
    target = max(targets)
    figure = standing.figures.get(rule.measure)
    if isinstance(rule, c.CountRule):
        have = whole(figure) if isinstance(figure, int) else 0
        wanted = _wanted(rule.operator, target, 1, have)
        return None if wanted is None else _single(Step("count", rule.measure, wanted - have, wanted))
    if not isinstance(figure, Ratio) or figure.denominator == 0:
        return _Plan({}, frozenset({rule.measure}))
    wanted = _wanted(rule.operator, target, figure.denominator, figure.numerator)
    if wanted is None or (wanted > figure.denominator and rule.measure not in standing.unbounded):
        return None
    step = Step("numerator", rule.measure, wanted - figure.numerator, Ratio(wanted, figure.denominator))
    return _single(step)


def _wanted(operator: c.Operator, target: Fraction, of: int, have: int) -> int | None:
    """The number nearest to `have` that stands to `of` as asked; None where no whole number does."""
    asked = target * of
    if operator == "=":
        return asked.numerator if asked.denominator == 1 else None
    wanted = asked.numerator // asked.denominator + 1 if operator == ">" else math.ceil(asked)
    return max(wanted, have)


def _smallest(rule: c.Rule, steps: Sequence[Step], figures: Figures, lookup: Lookup) -> tuple[Step, ...]:
    """The steps without what they can do without, the dearest tried first; each then as small as it may be."""
    kept = list(steps)
    for step in sorted(kept, key=lambda one: -one.effort):
        others = [one for one in kept if one is not step]
        if holds_after(rule, others, figures, lookup):
            kept = others
    for place, step in enumerate(kept):
        if step.more <= 1:
            continue
        low, high = 1, step.more
        while low < high:
            middle = (low + high) // 2
            if holds_after(rule, [*kept[:place], _with(step, middle), *kept[place + 1 :]], figures, lookup):
                high = middle
            else:
                low = middle + 1
        kept[place] = _with(step, high)
    return tuple(kept)
