"""Owns one round of judging in memory: what is dirty is judged in order, and what changes makes others dirty.

Pure but for the state it judges: no input or output, no clock.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from chassis.auth import covers
from chassis.units import LEVELS, Unit
from services.indicators.calculation import engine
from services.indicators.calculation.engine import Fact, Figure, Outcome, Ratio, Reading, Summary, TallyKey, Value
from services.indicators.calculation.prepared import Prepared
from services.indicators.calculation.state import NOTHING, Known, State
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import judging
from services.indicators.criteria.catalogue import Pair, input_of


@dataclass(frozen=True, slots=True)
class Changed:
    """An item of a unit whose status or figure became another."""

    key: str
    unit: Unit
    set_code: str
    item_code: str
    before: str
    outcome: Outcome
    cause: str
    quiet: bool = False
    """Neither status nor figure changed, only how much of it is unknown: nothing to tell anybody."""


Work = tuple[int, str, Pair]
"""(place in the order of evaluation, unit key, pair)."""


@dataclass
class Judge:
    """One round of judging: what is dirty is judged in the catalogue's order, and what changes makes others dirty."""

    state: State
    ready: Prepared
    today: date
    suspended: Sequence[tuple[str, str, str]]
    changed: list[Changed] = field(default_factory=list)
    above: dict[tuple[str, str], str] = field(default_factory=dict)
    """(path, set) whose units above the commune must be looked at, with the cause."""
    _work: list[Work] = field(default_factory=list)
    _causes: dict[tuple[str, Pair], str] = field(default_factory=dict)

    def touch(self, known: Known, code: str, cause: str) -> None:
        """An input changed at a unit: note every item that may look different now.

        What a unit was when it ended stays: a late word is carried to what it became, and judged there.
        """
        if known.unit.valid_to is not None and known.unit.valid_to <= self.today:
            return
        for pair in self.ready.catalogue.dependants.get(code, ()):
            level = self.ready.level[pair[0]]
            if level == known.unit.level:
                self.ask(known, pair, cause)
            elif level == "commune" and known.unit.level == "village":
                commune = self.state.commune_of(known, self.today)
                if commune is not None:
                    self.ask(commune, pair, cause)
            elif LEVELS.index(level) < LEVELS.index(known.unit.level):
                self.above[known.unit.path, pair[0]] = cause

    def ask(self, known: Known, pair: Pair, cause: str) -> None:
        spot = (known.key, pair)
        held = self._causes.get(spot)
        if held is None:
            heapq.heappush(self._work, (self.ready.rank.get(pair, 0), known.key, pair))
        if held is None or cause > held:
            self._causes[spot] = cause

    def needing_below(self) -> list[Unit]:
        """Units above the communes of which an item is noted whose figures are counted or added up from below."""
        found: dict[str, Unit] = {}
        for _, key, (set_code, item_code) in self._work:
            unit = self.state.units[key].unit
            if unit.level in ("province", "district"):
                item = self.ready.rows(set_code, unit, self.today).get(item_code)
                measures = [self.ready.catalogue.measures[code] for code in item.measures] if item else []
                if any(measure.below or measure.counted for measure in measures):
                    found[key] = unit
        return list(found.values())

    def run(self) -> None:
        """Judge what is noted until nothing is left."""
        while self._work:
            _, key, pair = heapq.heappop(self._work)
            cause = self._causes.pop((key, pair))
            known = self.state.units[key]
            item = self.ready.rows(pair[0], known.unit, self.today).get(pair[1])
            if item is None:
                continue
            outcome = self.outcome(known, pair, item)
            before = known.items.get(pair, NOTHING)
            if outcome != before or type(outcome.figure) is not type(before.figure):
                known.items[pair] = outcome
                self.changed.append(Changed(key, known.unit, *pair, before.status, outcome, cause))
                self.touch(known, input_of(pair), cause)

    def outcome(self, known: Known, pair: Pair, item: c.Item) -> Outcome:
        """Status and figure of an item. A suspended item still shows its figure."""
        figures = {code: self.figure(known, code) for code in item.measures}
        if item.looks_at:
            found = judging.judge(item.rule, figures, lambda s, i: self.lookup(known, (s, i)))
        else:
            found = judging.judge(item.rule, figures)
        if self.suspended and self.is_suspended(known.unit, pair):
            return Outcome("suspended", found.figure)
        return found

    def is_suspended(self, unit: Unit, pair: Pair) -> bool:
        return any((s, i) == pair and covers(path, unit.path) for s, i, path in self.suspended)

    def lookup(self, known: Known, pair: Pair) -> Outcome:
        """The outcome of another item at the same unit; of a set for the units below, what they add up to."""
        level = self.ready.level.get(pair[0])
        if level == "village" and known.unit.level == "commune":
            criteria = self.ready.catalogue.sets[pair[0]]
            below = [
                one.items.get(pair, NOTHING)
                for one in self.state.children(known, self.today)
                if criteria.judges(one.unit)
            ]
            return added_up(below)
        return known.items.get(pair, NOTHING)

    def figure(self, known: Known, code: str) -> Value | None:
        """The figure of a measure for a unit, or None where nobody knows."""
        measure = self.ready.catalogue.measures[code]
        counted = measure.counted
        if measure.below is None and (
            counted is None
            or (measure.level == "village" and not any(name in known.heaps for name in counted.attributes))
        ):
            facts = known.reported.get(code)
            return engine.reported_figure(measure, facts.values(), self.today) if facts else None
        return self.reading(known, measure).figure

    def reading(self, known: Known, measure: c.Measure) -> Reading:
        """Everything the sources say of a measure of a unit."""
        heaps = self._heaps(known, measure)
        reported: Iterable[Fact] = known.reported.get(measure.code, {}).values()
        if measure.counted is not None and measure.counted.register is not None:
            reported = [*reported, *known.reported.get(measure.counted.register, {}).values()]
        return engine.read(measure, heaps, list(reported), self.today, self._below(known, measure))

    def _heaps(self, known: Known, measure: c.Measure) -> Mapping[TallyKey, int]:
        if measure.counted is None:
            return {}
        parts = [known.heaps[name] for name in measure.counted.attributes if name in known.heaps]
        if measure.level != "village":
            waiting = list(self.state.children(known, self.today))
            while waiting:
                child = waiting.pop()
                parts += [child.heaps[name] for name in measure.counted.attributes if name in child.heaps]
                waiting += self.state.children(child, self.today)
        if len(parts) == 1:
            return parts[0]
        return {key: count for part in parts for key, count in part.items()}

    def _below(self, known: Known, measure: c.Measure) -> Figure | None:
        if measure.below is None:
            return None
        children = self.state.children(known, self.today)
        if measure.below_kinds:
            children = [one for one in children if one.unit.kind in measure.below_kinds]
        return engine.added_up([self.figure(one, measure.below) for one in children])

    def summaries(self) -> dict[tuple[str, str], Summary]:
        """The new summary of each sheet an item of which changed."""
        found: dict[tuple[str, str], Summary] = {}
        for one in self.changed:
            sheet = (one.key, one.set_code)
            if sheet not in found:
                found[sheet] = self.summary(self.state.units[one.key], one.set_code)
        return found

    def summary(self, known: Known, set_code: str) -> Summary:
        rows = self.ready.rows(set_code, known.unit, self.today)
        statuses = [known.items.get((set_code, code), NOTHING).status for code in rows]
        return judging.summarise(statuses, self.ready.catalogue.sets[set_code].needed)


def added_up(outcomes: Sequence[Outcome]) -> Outcome:
    """What the outcomes of units below make of an item above: how many meet it, of those it applies to.

    No source asks the unit above for a share of its units by itself, so the share is measured, not judged.
    """
    if not outcomes:
        return Outcome("no_data", None)
    applicable = [one.status for one in outcomes if one.status not in ("not_applicable", "suspended")]
    if not applicable:
        return Outcome("not_applicable", Ratio(0, 0))
    return Outcome("measured", Ratio(applicable.count("met"), len(applicable)), applicable.count("no_data"))
