"""Owns the arithmetic of compliance up to figures: facts to tallies, tallies to figures of measures.

`judging` makes statuses of the figures. Pure functions over values: no clock, no input or output, whole numbers and
fractions only. Everything is a function of the set of newest facts, never of their order of arrival; that is why any
permutation with duplicates of a stream of facts gives the same sheets as a rebuild from scratch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Figure as Figure
from services.indicators.criteria.figures import Outcome as Outcome
from services.indicators.criteria.figures import Ratio as Ratio
from services.indicators.criteria.figures import Summary as Summary
from services.indicators.criteria.figures import Value as Value
from services.indicators.criteria.figures import whole as whole
from services.indicators.criteria.judging import judge as judge
from services.indicators.criteria.judging import lacking as lacking
from services.indicators.criteria.judging import summarise as summarise

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
OFFSET = timedelta(hours=7)
"""Of Việt Nam's time, ever since 1975; no fact is older."""
Grain = Literal["year", "month"]
"""How finely the heaps of an attribute are told apart by time: as finely as the finest measure that counts it asks."""

Origin = Literal["event", "staff", "partner"]


class FactKey(NamedTuple):
    """What a fact is about, and who says so."""

    attribute: str
    entity: str
    source: str


@dataclass(slots=True)
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
    def about_period(self) -> str:
        """The period the fact is about: the one it names, else the month in which it was observed in Việt Nam."""
        return self.period or self.observed_at.astimezone(VIETNAM).strftime("%Y-%m")

    def counted_in(self, grain: Grain) -> str:
        """The period of the heap it lies in: "2026", or (grain month) "2026-11" or the period it names."""
        return self.about_period if grain == "month" else self.about_period[:4]


class TallyKey(NamedTuple):
    """One heap of counted entities: same unit, attribute, source, period and state.

    `year` is the period as `Fact.counted_in` says it: a year, or something finer where a measure asks for it.
    """

    unit: str
    attribute: str
    source: str
    origin: Origin
    year: str
    state: str


Tally = Mapping[TallyKey, int]


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
    period = fact.counted_in(grain_of(fact.attribute, catalogue))
    return TallyKey(fact.unit, fact.attribute, fact.source, fact.origin, period, state)


def grain_of(attribute: str, catalogue: c.Catalogue) -> Grain:
    """How finely the heaps of an attribute are told apart by time."""
    return "month" if attribute in catalogue.monthly else "year"


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
    figure: Value
    fact: Fact | None = None

    @property
    def rank(self) -> tuple[date, int, str, str]:
        """Within one class: the larger count, or the later period and then the later word."""
        if self.fact is None:
            size = self.figure.denominator if isinstance(self.figure, Ratio) else whole(self.figure)
            return (date.min, size, self.source, "")
        return (about(self.fact), *self.fact.order, self.source)


def about(fact: Fact) -> date:
    """The last day a reported figure speaks of; a figure without a period speaks of the day it was observed."""
    return period_end(fact.period) if fact.period else day_of(fact.observed_at)


def day_of(at: datetime) -> date:
    """The day of an instant in Việt Nam; instants that are told in its time already need no reckoning."""
    return at.date() if at.utcoffset() == OFFSET else at.astimezone(VIETNAM).date()


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
    figure: Value | None
    chosen: Candidate | None
    candidates: tuple[Candidate, ...]

    @property
    def disagrees(self) -> bool:
        return len({c.figure for c in self.candidates}) > 1


def is_current(kind: c.Period | None, period: str, today: date) -> bool:
    """Whether a period ("2026", "2026-Q4" or "2026-11") lies in the year, quarter or month of `today`.

    A coarser period does not lie in a finer one: what was said of the year says nothing of a month.
    """
    if kind is None:
        return True
    if period[:4] != str(today.year):
        return False
    if kind == "year":
        return True
    if kind == "month":
        return period[5:] == f"{today.month:02d}"
    quarter = (today.month + 2) // 3
    return period[5:] == f"Q{quarter}" or (period[5:].isdigit() and (int(period[5:]) + 2) // 3 == quarter)


def read(
    measure: c.Measure, heaps: Tally, reported: Sequence[Fact], today: date, below: Figure | None = None
) -> Reading:
    """The figure of `measure` for one unit from its heaps and the newest facts reported for the unit as a whole.

    `heaps` holds this unit's and, for a measure above the villages, those of the units below it; `reported` only this
    unit's; facts of other attributes are ignored. `below` is the sum of the units below where the measure has one (see
    `added_up`). `today` is the day in Việt Nam.
    """
    found = [*_counted(measure, heaps, reported, today)]
    if below is not None and "below" in measure.prefer:
        found.append(Candidate("below", "", below))
    for fact in reported:
        if fact.attribute != measure.code or fact.withdrawn or fact.value is None:
            continue
        if isinstance(fact.value, str) and fact.value not in measure.states:
            continue
        if fact.origin in measure.prefer and is_current(measure.period, fact.about_period, today):
            found.append(Candidate(fact.origin, fact.source, fact.value, fact))
    if not found:
        return Reading(measure.code, None, None, ())
    if len(found) > 1:
        found.sort(key=lambda one: one.rank, reverse=True)
        found.sort(key=lambda one: measure.prefer.index(one.klass))
    chosen = found[0]
    if measure.policy == "any":
        chosen = next((one for one in found if one.figure is True), chosen)
    return Reading(measure.code, chosen.figure, chosen, tuple(found))


def reported_figure(measure: c.Measure, reported: Iterable[Fact], today: date) -> Value | None:
    """The figure of `read` where nothing is counted or added up, without the list of what everybody says.

    `reported` are the facts reported under the code of the measure.
    """
    if measure.policy != "first":
        return read(measure, {}, list(reported), today).figure
    best: tuple[Any, ...] | None = None
    figure: Value | None = None
    for fact in reported:
        value = fact.value
        if fact.withdrawn or value is None or fact.origin not in measure.prefer:
            continue
        if isinstance(value, str) and value not in measure.states:
            continue
        if measure.period is not None and not is_current(measure.period, fact.about_period, today):
            continue
        rank = (-measure.prefer.index(fact.origin), about(fact), fact.sequence, fact.cause, fact.source)
        if best is None or rank > best:
            best, figure = rank, value
    return figure


def added_up(figures: Sequence[Value | None]) -> Figure | None:
    """The sum of the figures of the units below; known only when each is known and there is one."""
    if not figures:
        return None
    if all(isinstance(figure, Ratio) for figure in figures):
        ratios = [figure for figure in figures if isinstance(figure, Ratio)]
        return Ratio(sum(r.numerator for r in ratios), sum(r.denominator for r in ratios))
    if all(isinstance(figure, int) for figure in figures):
        return sum(whole(figure) for figure in figures)
    return None


def _counted(measure: c.Measure, heaps: Tally, reported: Sequence[Fact], today: date) -> Iterable[Candidate]:
    counted = measure.counted
    if counted is None or "counted" not in measure.prefer or not heaps:
        return
    wanted = counted.attributes
    by_source: dict[str, list[tuple[TallyKey, int]]] = {}
    for key, n in heaps.items():
        if n > 0 and key.attribute in wanted:
            by_source.setdefault(key.source, []).append((key, n))
    register = _register(counted.register, reported) if by_source else None
    for source in sorted(by_source):
        mine = by_source[source]
        if measure.kind == "ratio":
            numerator = _count(counted.numerator, mine, measure.period, today)
            denominator = max(_count(counted.denominator, mine, measure.period, today), register or 0)
            yield Candidate("counted", source, Ratio(numerator, denominator))
        else:
            number = _count(counted.when, mine, measure.period, today)
            yield Candidate("counted", source, number >= counted.at_least if measure.kind == "flag" else number)


def _register(code: str | None, reported: Sequence[Fact]) -> int | None:
    entries = [f for f in reported if f.attribute == code and not f.withdrawn and isinstance(f.value, int)]
    if code is None or not entries:
        return None
    return whole(max(entries, key=lambda f: (about(f), *f.order, f.source)).value)


def _count(
    selection: c.Selection | None, heaps: Sequence[tuple[TallyKey, int]], period: c.Period | None, today: date
) -> int:
    total = 0
    if selection is not None:
        attribute, states = selection.attribute, selection.states
        for key, count in heaps:
            if key.attribute == attribute and key.state in states and is_current(period, key.year, today):
                total += count
    return total
