"""Owns the arithmetic of compliance: facts to tallies, tallies to figures of measures, figures to statuses of items.

Pure functions over values: no clock, no input or output, whole numbers and fractions only. Everything is a function of
the set of newest facts, never of their order of arrival; that is why any permutation with duplicates of a stream of
facts gives the same sheets as a rebuild from scratch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from services.indicators import criteria as c

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")

Origin = Literal["event", "staff", "partner"]


class Ratio(NamedTuple):
    """0 <= numerator <= denominator, whole numbers."""

    numerator: int
    denominator: int


Value = Ratio | bool | int | str
"""Of a fact: a ratio, a flag, a count, or the name of a state."""

Figure = Ratio | bool | int
"""Of a measure or an item."""


class FactKey(NamedTuple):
    """What a fact is about, and who says so."""

    attribute: str
    entity: str
    source: str


@dataclass(frozen=True, slots=True)
class Fact:
    """What one source last said about one attribute of one entity (or, under the code of a measure, of a unit).

    `unit` is the key of the unit (code@valid_from). `sequence` orders what the source said: the sequence of an event
    within its aggregate, or the microseconds of an observation's time. `cause` names the event, observation or
    document, as type:id.
    """

    attribute: str
    entity: str
    source: str
    origin: Origin
    unit: str
    value: Value | None
    sequence: int
    cause: str
    observed_at: datetime
    period: str = ""
    withdrawn: bool = False

    @property
    def key(self) -> FactKey:
        return FactKey(self.attribute, self.entity, self.source)

    @property
    def order(self) -> tuple[int, str]:
        """Later wins; the cause breaks a tie, so that the winner does not depend on the order of arrival."""
        return (self.sequence, self.cause)

    @property
    def year(self) -> str:
        """The calendar year the fact is about, in Việt Nam."""
        return self.period[:4] or str(self.observed_at.astimezone(VIETNAM).year)


class TallyKey(NamedTuple):
    """One heap of counted entities: same unit, attribute, source, year and state."""

    unit: str
    attribute: str
    source: str
    origin: Origin
    year: str
    state: str


Tally = Mapping[TallyKey, int]


def whole(value: Value | None) -> int:
    """A count as a number; raises TypeError for anything else, which the library and the intake rule out."""
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"{value!r} is no count")


def newest(facts: Iterable[Fact]) -> dict[FactKey, Fact]:
    """The winning fact of each key."""
    winners: dict[FactKey, Fact] = {}
    for fact in facts:
        held = winners.get(fact.key)
        if held is None or fact.order > held.order:
            winners[fact.key] = fact
    return winners


def heap(fact: Fact | None, catalogue: c.Catalogue) -> TallyKey | None:
    """The heap a fact is counted in; None when it is withdrawn, a count, or reported under the code of a measure."""
    if fact is None or fact.withdrawn or fact.value is None:
        return None
    attribute = catalogue.attributes.get(fact.attribute)
    if attribute is None or attribute.kind == "count":
        return None
    state = fact.value if isinstance(fact.value, str) else ("true" if fact.value else "false")
    return TallyKey(fact.unit, fact.attribute, fact.source, fact.origin, fact.year, state)


def deltas(pairs: Iterable[tuple[Fact | None, Fact]], catalogue: c.Catalogue) -> dict[TallyKey, int]:
    """What (before, after) pairs of facts add to and take from the heaps; heaps that stay as they are are left out."""
    change: Counter[TallyKey] = Counter()
    for before, after in pairs:
        out, into = heap(before, catalogue), heap(after, catalogue)
        if out is not None:
            change[out] -= 1
        if into is not None:
            change[into] += 1
    return {key: count for key, count in change.items() if count}


def tally(facts: Iterable[Fact], catalogue: c.Catalogue) -> dict[TallyKey, int]:
    """The heaps of a whole set of newest facts, from scratch."""
    return deltas(((None, fact) for fact in facts), catalogue)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one source says of a measure; `facts` is the one reported fact, or None where facts were counted."""

    klass: c.SourceClass
    source: str
    figure: Figure
    fact: Fact | None = None

    @property
    def rank(self) -> tuple[date, int, str, str]:
        """Within one class: the larger count, or the later period and then the later word."""
        if self.fact is None:
            size = self.figure.denominator if isinstance(self.figure, Ratio) else int(self.figure)
            return (date.min, size, self.source, "")
        return (about(self.fact), *self.fact.order, self.source)


def about(fact: Fact) -> date:
    """The last day a reported figure speaks of; a figure without a period speaks of the day it was observed."""
    return period_end(fact.period) if fact.period else fact.observed_at.astimezone(VIETNAM).date()


def period_end(period: str) -> date:
    """The last day of "2026", "2026-Q4" or "2026-11"; raises ValueError for anything else."""
    start, end = period_bounds(period)
    return date.fromordinal(end.toordinal() - 1) if end > start else start


def period_bounds(period: str) -> tuple[date, date]:
    """The first day of a period and the first day after it; raises ValueError for a malformed one."""
    year_text, _, rest = period.partition("-")
    if len(year_text) != 4 or not (year_text.isascii() and year_text.isdigit()) or ("-" in period and not rest):
        raise ValueError(period)
    year = int(year_text)
    if not 1900 <= year <= 9998:
        raise ValueError(period)
    if not rest:
        return date(year, 1, 1), date(year + 1, 1, 1)
    if rest in ("Q1", "Q2", "Q3", "Q4"):
        first, months = int(rest[1]) * 3 - 2, 3
    elif len(rest) == 2 and rest.isascii() and rest.isdigit():
        first, months = int(rest), 1
    else:
        raise ValueError(period)
    start = date(year, first, 1)
    after = first + months
    return start, date(year + (after > 12), (after - 1) % 12 + 1, 1)


@dataclass(frozen=True, slots=True)
class Reading:
    """The figure of a measure: the one that counts (None: unknown) and everything the sources say."""

    measure: str
    figure: Figure | None
    chosen: Candidate | None
    candidates: tuple[Candidate, ...]

    @property
    def disagrees(self) -> bool:
        return len({c.figure for c in self.candidates}) > 1


def read(measure: c.Measure, heaps: Tally, reported: Sequence[Fact], today: date) -> Reading:
    """The figure of `measure` for one unit from its heaps and the newest facts reported for the unit as a whole.

    `heaps` and `reported` hold only this unit's; facts of other attributes are ignored. `today` is the day in Việt Nam.
    """
    year = str(today.year) if measure.period == "year" else None
    found = [*_counted(measure, heaps, reported, year)]
    for fact in reported:
        if fact.attribute != measure.code or fact.withdrawn or isinstance(fact.value, str | None):
            continue
        if fact.origin in measure.prefer and year in (None, fact.year):
            found.append(Candidate(fact.origin, fact.source, fact.value, fact))
    found.sort(key=lambda one: one.rank, reverse=True)
    found.sort(key=lambda one: measure.prefer.index(one.klass))
    if not found:
        return Reading(measure.code, None, None, ())
    chosen = found[0]
    if measure.policy == "any":
        chosen = next((one for one in found if one.figure is True), chosen)
    return Reading(measure.code, chosen.figure, chosen, tuple(found))


def _counted(measure: c.Measure, heaps: Tally, reported: Sequence[Fact], year: str | None) -> Iterable[Candidate]:
    counted = measure.counted
    if counted is None or "counted" not in measure.prefer:
        return
    register = _register(counted.register, reported)
    for source in sorted({key.source for key in heaps if key.attribute in counted.attributes}):
        mine = {key: n for key, n in heaps.items() if key.source == source and n > 0}
        if not any(key.attribute in counted.attributes for key in mine):
            continue
        if measure.kind == "ratio":
            numerator = _count(counted.numerator, mine, year)
            denominator = max(_count(counted.denominator, mine, year), register or 0)
            yield Candidate("counted", source, Ratio(numerator, denominator))
        else:
            number = _count(counted.when, mine, year)
            yield Candidate("counted", source, number >= counted.at_least if measure.kind == "flag" else number)


def _register(code: str | None, reported: Sequence[Fact]) -> int | None:
    entries = [f for f in reported if f.attribute == code and not f.withdrawn and isinstance(f.value, int)]
    if code is None or not entries:
        return None
    return whole(max(entries, key=lambda f: (about(f), *f.order, f.source)).value)


def _count(selection: c.Selection | None, heaps: Tally, year: str | None) -> int:
    if selection is None:
        return 0
    return sum(
        count
        for key, count in heaps.items()
        if key.attribute == selection.attribute and key.state in selection.states and year in (None, key.year)
    )


class Outcome(NamedTuple):
    """Status and figure of an item (or of one part of its rule)."""

    status: str
    figure: Figure | None


def judge(rule: c.Rule, figures: Mapping[str, Figure | None]) -> Outcome:
    """The outcome of `rule` for the figures of its measures."""
    if isinstance(rule, c.Composed):
        return _compose(rule, [judge(part, figures).status for part in rule.rules])
    figure = figures.get(rule.measure)
    if figure is None:
        return Outcome("no_data", None)
    if isinstance(rule, c.FlagRule):
        return Outcome("met" if figure is True else "unmet", bool(figure))
    if isinstance(rule, c.RatioRule):
        if not isinstance(figure, Ratio):
            return Outcome("no_data", None)
        if figure.denominator == 0:
            return Outcome(rule.when_zero, figure)
        if rule.target is None or rule.operator is None:
            return Outcome("measured", figure)
        left, right = figure.numerator * rule.target.denominator, rule.target.numerator * figure.denominator
        return Outcome("met" if _holds(left, rule.operator, right) else "unmet", figure)
    if rule.target is None or rule.operator is None:
        return Outcome("measured", figure)
    return Outcome("met" if _holds(whole(figure), rule.operator, rule.target) else "unmet", figure)


def _holds(left: int, operator: c.Operator, right: int) -> bool:
    if operator == ">":
        return left > right
    return left >= right if operator == ">=" else left == right


def _compose(rule: c.Composed, statuses: Sequence[str]) -> Outcome:
    judged = [s for s in statuses if s in ("met", "unmet", "no_data")]
    if not judged:
        return Outcome("measured" if "measured" in statuses else "not_applicable", None)
    needed = len(judged) if rule.needed is None else rule.needed
    met, unknown = judged.count("met"), judged.count("no_data")
    if met >= needed:
        return Outcome("met", True)
    if met + unknown >= needed:
        return Outcome("no_data", None)
    return Outcome("unmet", False)


def evaluate(
    item: c.Item,
    catalogue: c.Catalogue,
    heaps: Tally,
    reported: Sequence[Fact],
    today: date,
    *,
    suspended: bool = False,
) -> Outcome:
    """Status and figure of one item for one unit. A suspended item still shows its figure."""
    figures = {code: read(catalogue.measures[code], heaps, reported, today).figure for code in item.measures}
    outcome = judge(item.rule, figures)
    return Outcome("suspended", outcome.figure) if suspended else outcome


class Summary(NamedTuple):
    """Status of a whole sheet; `met` of `total` items."""

    status: str
    met: int
    total: int


def summarise(statuses: Sequence[str]) -> Summary:
    """The status of a set whose items all are needed: one unmet item decides; one unknown item leaves it open."""
    return Summary(_compose(c.Composed(()), statuses).status, statuses.count("met"), len(statuses))


def lacking(rule: c.Rule, figures: Mapping[str, Figure | None]) -> int | None:
    """The least that would turn an unmet or unknown rule met: how many more to count; None where it cannot be said."""
    if isinstance(rule, c.Composed):
        parts = [lacking(part, figures) for part in rule.rules if judge(part, figures).status in ("unmet", "no_data")]
        known = sorted(part for part in parts if part is not None)
        if rule.needed is None:
            return sum(known) if len(known) == len(parts) else None
        met = sum(judge(part, figures).status == "met" for part in rule.rules)
        return sum(known[: max(rule.needed - met, 0)]) if len(known) >= rule.needed - met else None
    figure = figures.get(rule.measure)
    if isinstance(rule, c.FlagRule):
        return 0 if figure is True else 1
    if rule.target is None or figure is None:
        return None
    if isinstance(rule, c.CountRule):
        return max(rule.target + (rule.operator == ">") - whole(figure), 0)
    if not isinstance(figure, Ratio) or figure.denominator == 0:
        return None
    asked = Fraction(rule.target) * figure.denominator
    least = asked.numerator // asked.denominator + 1 if rule.operator == ">" else math.ceil(asked)
    return max(least - figure.numerator, 0) if least <= figure.denominator else None
