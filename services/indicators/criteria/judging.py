"""Owns the step from figures to statuses: what a rule says of the figures of a unit, and what a sheet adds up to.

Pure functions over values: no clock, no input or output, whole numbers and fractions only. What is not known stays
open as long as it could still decide: a share is unmet only where no answer of the unknown could make it met.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Figure, Outcome, Ratio, Summary, Value, whole

Figures = Mapping[str, Value | None]
"""Measure code to its figure; None or absent: nobody knows."""

Lookup = Callable[[str, str], Outcome]
"""(set, item) to the outcome at this same unit: the unit's own, or (for a set of a lower level) the rolled-up ratio."""


def unknown_everywhere(_set_code: str, _item_code: str) -> Outcome:
    """The lookup of somebody who has no other outcomes at hand."""
    return Outcome("no_data", None)


def judge(rule: c.Rule, figures: Figures, lookup: Lookup = unknown_everywhere) -> Outcome:
    """The outcome of `rule` for the figures of its measures and the outcomes of the items it names."""
    match rule:
        case c.Composed():
            parts = [judge(part, figures, lookup) for part in rule.rules]
            if not judged(rule):
                return _watch(parts, rule.needed)
            return _compose([part.status for part in parts], rule.needed)
        case c.Suspended():
            return Outcome("suspended", judge(rule.rule, figures, lookup).figure)
        case c.FlagRule():
            return _flag(rule, figures.get(rule.measure))
        case c.ItemRule():
            return _item(lookup(rule.set_code, rule.item_code).status)
        case c.ChildrenRule():
            return _children(rule, lookup(rule.set_code, rule.item_code))
        case c.RatioRule():
            return _ratio(rule, figures)
        case c.CountRule():
            return _count(rule, figures)


def _flag(rule: c.FlagRule, figure: Value | None) -> Outcome:
    if figure is None:
        return Outcome("no_data", None)
    if not rule.judged:
        return Outcome("measured", bool(figure))
    return Outcome("met" if figure is True else "unmet", bool(figure))


def _item(status: str) -> Outcome:
    return Outcome(status, {"met": True, "unmet": False}.get(status))


def _ratio(rule: c.RatioRule, figures: Figures) -> Outcome:
    figure = figures.get(rule.measure)
    if not isinstance(figure, Ratio):
        return Outcome("no_data", None)
    if figure.denominator == 0:
        return Outcome(rule.when_zero, figure)
    if rule.operator is None:
        return Outcome("measured", figure)
    return Outcome(_verdict(rule, rule.operator, figures, figure), figure)


def _count(rule: c.CountRule, figures: Figures) -> Outcome:
    figure = figures.get(rule.measure)
    if figure is None or isinstance(figure, str | Ratio):
        return Outcome("no_data", None)
    number = whole(figure)
    if rule.operator is None:
        return Outcome("measured", number)
    return Outcome(_verdict(rule, rule.operator, figures, Ratio(number, 1)), number)


def _targets(rule: c.RatioRule | c.CountRule, figures: Figures) -> frozenset[Fraction]:
    """What may be asked of this unit: one target, or all that come into question while its trait is not known."""
    if rule.by is None:
        return frozenset() if rule.target is None else frozenset({Fraction(rule.target)})
    trait = figures.get(rule.by.measure)
    return rule.by.targets(trait if isinstance(trait, str) else None)


def _verdict(rule: c.RatioRule | c.CountRule, operator: c.Operator, figures: Figures, figure: Ratio) -> str:
    """The status of a figure; where there is but one target, as mostly, without making a set of it."""
    if rule.by is None:
        if rule.target is None:
            return "measured"
        return "met" if holds(figure, operator, rule.target) else "unmet"
    verdicts = {holds(figure, operator, target) for target in _targets(rule, figures)}
    if len(verdicts) != 1:
        return "no_data" if verdicts else "measured"
    return "met" if verdicts.pop() else "unmet"


def holds(figure: Ratio, operator: c.Operator, target: Fraction | int) -> bool:
    """Whether numerator / denominator stands to the target as asked, compared as whole numbers."""
    left, right = figure.numerator * target.denominator, target.numerator * figure.denominator
    if operator == ">":
        return left > right
    return left >= right if operator == ">=" else left == right


def _children(rule: c.ChildrenRule, below: Outcome) -> Outcome:
    figure = below.figure
    if not isinstance(figure, Ratio):
        return Outcome("no_data", None)
    if figure.denominator == 0:
        return Outcome(rule.when_zero, figure)
    shown: Figure = figure.numerator if rule.count else figure
    if rule.operator is None or rule.target is None:
        return Outcome("measured", shown)
    whole_of = 1 if rule.count else figure.denominator
    open_ones = 0 if rule.unknown == "unmet" else below.unknown
    least, most = (Ratio(figure.numerator + more, whole_of) for more in (0, open_ones))
    target = Fraction(rule.target)
    if rule.operator == "=":
        if open_ones == 0:
            return Outcome("met" if holds(least, "=", target) else "unmet", shown)
        wanted = target * whole_of
        reachable = wanted.denominator == 1 and least.numerator <= wanted <= most.numerator
        return Outcome("no_data" if reachable else "unmet", shown)
    if holds(least, rule.operator, target):
        return Outcome("met", shown)
    return Outcome("no_data" if holds(most, rule.operator, target) else "unmet", shown)


def _compose(statuses: Sequence[str], needed: int | None) -> Outcome:
    judged = [s for s in statuses if s in ("met", "unmet", "no_data")]
    if not judged:
        for status in ("measured", "suspended"):
            if status in statuses:
                return Outcome(status, None)
        return Outcome("not_applicable", None)
    # Of conditions that are suspended or do not apply nobody can ask more than are left.
    asked = len(judged) if needed is None else min(needed, len(judged))
    met, unknown = judged.count("met"), judged.count("no_data")
    if met >= asked:
        return Outcome("met", True)
    if met + unknown >= asked:
        return Outcome("no_data", None)
    return Outcome("unmet", False)


def _watch(parts: Sequence[Outcome], needed: int | None) -> Outcome:
    """Conditions that are only watched: where all are a yes or no, so is the whole, known as soon as it can be."""
    there = [part for part in parts if part.status in ("measured", "no_data")]
    if not there or not all(isinstance(part.figure, bool | None) for part in there):
        return _compose([part.status for part in parts], needed)
    asked = len(there) if needed is None else min(needed, len(there))
    yes = sum(part.figure is True for part in there)
    unknown = sum(part.status == "no_data" for part in there)
    if yes < asked <= yes + unknown:
        return Outcome("no_data", None)
    return Outcome("measured", yes >= asked)


def summarise(statuses: Sequence[str], needed: int | None = None) -> Summary:
    """The status of a sheet. `needed` None: every item is; one unmet item decides, one unknown item leaves it open."""
    return Summary(_compose(statuses, needed).status, statuses.count("met"), len(statuses))


def judged(rule: c.Rule) -> bool:
    """Whether a rule names a level to reach; one that does not is only watched."""
    match rule:
        case c.Composed():
            return any(judged(part) for part in rule.rules)
        case c.Suspended():
            return judged(rule.rule)
        case c.FlagRule():
            return rule.judged
        case c.ItemRule():
            return True
        case c.RatioRule() | c.CountRule() | c.ChildrenRule():
            return rule.operator is not None


def judged_rows(items: Iterable[c.Item]) -> int:
    """How many rows name a level to reach: of so many a unit can meet one; the others are only watched."""
    return sum(judged(item.rule) for item in items)


def parts_of(rule: c.Rule) -> Iterator[c.Rule]:
    """The conditions of a rule that stand for themselves, in the order of the text."""
    if isinstance(rule, c.Composed):
        for part in rule.rules:
            yield from parts_of(part)
    else:
        yield rule


def lacking(rule: c.Rule, figures: Figures, lookup: Lookup = unknown_everywhere) -> int | None:
    """The least that would turn an unmet or unknown rule met: how many more to count; None where it cannot be said."""
    match rule:
        case c.Composed():
            return _lacking_parts(rule, figures, lookup)
        case c.Suspended():
            return 0
        case c.FlagRule():
            return 0 if figures.get(rule.measure) is True else 1
        case c.ItemRule():
            return 0 if lookup(rule.set_code, rule.item_code).status == "met" else 1
        case c.ChildrenRule():
            below = lookup(rule.set_code, rule.item_code).figure
            if not isinstance(below, Ratio) or rule.operator is None or rule.target is None:
                return None
            most = below.denominator
            return _more(below.numerator, 1 if rule.count else most, most, rule.operator, Fraction(rule.target))
        case c.RatioRule() | c.CountRule():
            return _lacking_number(rule, figures)


def _lacking_parts(rule: c.Composed, figures: Figures, lookup: Lookup) -> int | None:
    statuses = [judge(part, figures, lookup).status for part in rule.rules]
    parts = [
        lacking(part, figures, lookup)
        for part, status in zip(rule.rules, statuses, strict=True)
        if status in ("unmet", "no_data")
    ]
    known = sorted(part for part in parts if part is not None)
    if rule.needed is None:
        return sum(known) if len(known) == len(parts) else None
    judged = sum(status in ("met", "unmet", "no_data") for status in statuses)
    open_ones = max(min(rule.needed, judged) - statuses.count("met"), 0)
    return sum(known[:open_ones]) if len(known) >= open_ones else None


def _lacking_number(rule: c.RatioRule | c.CountRule, figures: Figures) -> int | None:
    figure = figures.get(rule.measure)
    targets = _targets(rule, figures)
    if figure is None or isinstance(figure, str) or rule.operator is None or not targets:
        return None
    target = max(targets)
    if isinstance(rule, c.CountRule):
        return None if isinstance(figure, Ratio) else _more(whole(figure), 1, None, rule.operator, target)
    if not isinstance(figure, Ratio) or figure.denominator == 0:
        return None
    return _more(figure.numerator, figure.denominator, figure.denominator, rule.operator, target)


def _more(have: int, of: int, most: int | None, operator: c.Operator, target: Fraction) -> int | None:
    asked = target * of
    least = asked.numerator // asked.denominator + 1 if operator == ">" else math.ceil(asked)
    return max(least - have, 0) if most is None or least <= most else None
