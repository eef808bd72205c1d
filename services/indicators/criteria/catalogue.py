"""Owns the catalogue: every set, overlay and measure of one moment as one immutable value, and what depends on what.

The types it is made of are those of `rules`; they are to be had here too, so that one import serves.

A process swaps its catalogue as a whole (`library`), so nothing is ever judged by half of an old and half of a new one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

from chassis.units import LEVELS, Unit
from services.indicators.criteria import rules as c
from services.indicators.criteria.rules import STATUSES as STATUSES
from services.indicators.criteria.rules import Attribute as Attribute
from services.indicators.criteria.rules import ByTrait as ByTrait
from services.indicators.criteria.rules import Carry as Carry
from services.indicators.criteria.rules import ChildrenRule as ChildrenRule
from services.indicators.criteria.rules import Composed as Composed
from services.indicators.criteria.rules import Counted as Counted
from services.indicators.criteria.rules import CountRule as CountRule
from services.indicators.criteria.rules import CriteriaSet as CriteriaSet
from services.indicators.criteria.rules import FlagRule as FlagRule
from services.indicators.criteria.rules import Group as Group
from services.indicators.criteria.rules import Item as Item
from services.indicators.criteria.rules import ItemRule as ItemRule
from services.indicators.criteria.rules import LegalBasis as LegalBasis
from services.indicators.criteria.rules import Level as Level
from services.indicators.criteria.rules import Measure as Measure
from services.indicators.criteria.rules import MeasureKind as MeasureKind
from services.indicators.criteria.rules import Operator as Operator
from services.indicators.criteria.rules import Overlay as Overlay
from services.indicators.criteria.rules import Period as Period
from services.indicators.criteria.rules import RatioRule as RatioRule
from services.indicators.criteria.rules import Rule as Rule
from services.indicators.criteria.rules import Selection as Selection
from services.indicators.criteria.rules import SourceClass as SourceClass
from services.indicators.criteria.rules import Suspended as Suspended
from services.indicators.criteria.rules import Suspension as Suspension
from services.indicators.criteria.rules import Target as Target
from services.indicators.criteria.rules import Text as Text
from services.indicators.criteria.rules import WhenZero as WhenZero
from services.indicators.criteria.rules import items_of as items_of
from services.indicators.criteria.rules import measures_of as measures_of
from services.indicators.criteria.rules import suspensions_of as suspensions_of

Pair = tuple[str, str]
"""(set, item)."""


class Cycle(ValueError):
    """Items that wait for each other; `pairs` is the circle, first = last."""

    def __init__(self, pairs: list[Pair]) -> None:
        super().__init__(" → ".join(f"{set_code}/{item}" for set_code, item in pairs))
        self.pairs = pairs


def input_of(pair: Pair) -> str:
    """How an item is named among inputs."""
    return f"item:{pair[0]}/{pair[1]}"


def rows_input(set_code: str) -> str:
    """The input that stands for the rules of a set: whoever touches it has all its rows judged again, and no others."""
    return f"set:{set_code}"


@dataclass(frozen=True)
class Catalogue:
    """Everything the documents define.

    `version` is the digest of the documents, `number` counts the applied changes in the database (0: none, as shipped).
    `order` holds every (set, item), also rows that only an overlay adds, each behind all it looks at.
    `dependants` maps an input (attribute or measure code, `item:<set>/<code>`, or `set:<set>`) to the pairs whose
    outcome may change with it: at the unit the input is about where the set is of its level, else at the unit above of
    the set's level.
    """

    attributes: Mapping[str, c.Attribute]
    measures: Mapping[str, c.Measure]
    sets: Mapping[str, c.CriteriaSet]
    overlays: Mapping[str, c.Overlay] = field(default_factory=dict)
    version: str = ""
    number: int = 0
    order: tuple[Pair, ...] = ()
    dependants: Mapping[str, frozenset[Pair]] = field(default_factory=dict)
    _laid_over: dict[str, tuple[c.Overlay, ...]] = field(default_factory=dict, repr=False, compare=False)
    _merged: dict[tuple[str, tuple[object, ...]], tuple[c.Item, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def monthly(self) -> frozenset[str]:
        """The attributes whose things are told apart by month: a measure counts those of a month or quarter."""
        finer = (m.counted for m in self.measures.values() if m.period in ("quarter", "month"))
        return frozenset(code for counted in finer if counted is not None for code in counted.attributes)

    def touched(self, inputs: frozenset[str] | set[str]) -> set[Pair]:
        """The (set, item) pairs whose outcome may differ when facts of `inputs` change."""
        return {pair for code in inputs for pair in self.dependants.get(code, ())}

    def inputs_of_measure(self, code: str) -> frozenset[str]:
        """Every attribute and measure code the figure depends on, also by way of the measures below it."""
        found: set[str] = set()
        wanted: str | None = code
        while wanted is not None:
            measure = self.measures[wanted]
            found |= measure.inputs
            wanted = measure.below
        return frozenset(found)

    def inputs_of(self, item: c.Item) -> set[str]:
        """Every attribute, measure code and `item:<set>/<code>` the item depends on directly."""
        measures = {code for measure in item.measures for code in self.inputs_of_measure(measure)}
        return measures | {input_of(pair) for pair in item.looks_at}

    def items_for(self, set_code: str, unit: Unit, day: date) -> tuple[c.Item, ...]:
        """The rows that hold for this unit on this day, base and overlays merged; none where the set does not apply."""
        criteria = self.sets.get(set_code)
        # `holds_on` is written out: this is asked for every row that is judged.
        if criteria is None or day < criteria.valid_from or not criteria.judges(unit):
            return ()
        if criteria.valid_to is not None and day >= criteria.valid_to:
            return ()
        laid = self._laid_over.get(set_code)
        found = [overlay for overlay in laid if overlay.holds(unit, day)] if laid else None
        if not found:
            return criteria.items
        suspensions = tuple((o.code, s) for o in found for s in o.suspensions if s.holds(unit, day))
        key = (set_code, (*(overlay.code for overlay in found), *suspensions))
        merged = self._merged.get(key)
        if merged is None:
            merged = self._merged[key] = merge(criteria, found, suspensions)
        return merged

    def item_for(self, set_code: str, item_code: str, unit: Unit, day: date) -> c.Item | None:
        """One row as it holds for this unit on this day."""
        return next((item for item in self.items_for(set_code, unit, day) if item.code == item_code), None)

    def rows_of(self, set_code: str) -> tuple[c.Item, ...]:
        """Every row the set has anywhere: its own, then those that overlays add."""
        own = self.sets[set_code].items
        return own + tuple(item for overlay in self._laid_over.get(set_code, ()) for item in overlay.items)

    def row(self, set_code: str, item_code: str) -> c.Item | None:
        """One row a set has anywhere, its own or one that an overlay adds; None also where there is no such set."""
        if set_code not in self.sets:
            return None
        return next((item for item in self.rows_of(set_code) if item.code == item_code), None)

    def overlays_of(self, set_code: str) -> tuple[c.Overlay, ...]:
        """The overlays of a set, the one for the larger area first."""
        return self._laid_over.get(set_code, ())

    def with_overlays(self, overlays: Mapping[str, c.Overlay]) -> Catalogue:
        """The same documents, but overlays that lie elsewhere; what rows there are and look at stays."""
        return replace(self, overlays=overlays, _laid_over=_laid(overlays), _merged={})


def merge(
    criteria: c.CriteriaSet, overlays: Iterable[c.Overlay], suspensions: Iterable[tuple[str, c.Suspension]]
) -> tuple[c.Item, ...]:
    """The rows of a set with overlays laid over it one after the other; the later one has the last word.

    What overlays add is there before any of them sets a target, whichever came first.
    """
    overlays = list(overlays)
    rows = {item.code: item for item in criteria.items}
    rows |= {item.code: replace(item, overlay=overlay.code) for overlay in overlays for item in overlay.items}
    for overlay in overlays:
        for target in overlay.targets:
            # A row that another overlay adds is not there where or when that overlay does not hold.
            if target.item in rows:
                item = rows[target.item]
                base = item.base_rule or item.rule
                rows[target.item] = replace(item, rule=aimed(item.rule, target), base_rule=base, overlay=overlay.code)
    for code, suspension in suspensions:
        # As above.
        if suspension.item in rows:
            item = rows[suspension.item]
            rule = _suspend(item.rule, suspension, code)
            rows[item.code] = replace(item, rule=rule, base_rule=item.base_rule or item.rule)
    return tuple(rows.values())


def aimed(rule: c.Rule, target: c.Target) -> c.Rule:
    """The rule with another target; of a composed rule the conditions that read the measure the target names."""
    match rule:
        case c.Composed():
            return replace(rule, rules=tuple(aimed(part, target) for part in rule.rules))
        case c.FlagRule() if target.measure in (None, rule.measure):
            return replace(rule, judged=True)
        case c.RatioRule() if target.measure in (None, rule.measure):
            return replace(
                rule, operator=target.operator, target=target.target, target_text=target.target_text, by=None
            )
        case c.CountRule() if target.measure in (None, rule.measure):
            number = None if target.target is None else int(target.target)
            return replace(rule, operator=target.operator, target=number, by=None)
        case c.ChildrenRule() if target.measure is None:
            return replace(rule, operator=target.operator, target=target.target, target_text=target.target_text)
    return rule


def _suspend(rule: c.Rule, suspension: c.Suspension, overlay: str) -> c.Rule:
    measure = suspension.measure
    if measure is not None and isinstance(rule, c.Composed):
        return replace(rule, rules=tuple(_suspend(part, suspension, overlay) for part in rule.rules))
    if measure is not None and measure not in c.measures_of(rule):
        return rule
    return c.Suspended(rule, overlay, suspension.reason, suspension.document)


def catalogue(
    attributes: Mapping[str, c.Attribute],
    measures: Mapping[str, c.Measure],
    sets: Mapping[str, c.CriteriaSet],
    overlays: Mapping[str, c.Overlay] | None = None,
    version: str = "",
    number: int = 0,
) -> Catalogue:
    """A catalogue with its indexes; raises Cycle."""
    bare = Catalogue(attributes, measures, sets, overlays or {}, version, number, _laid_over=_laid(overlays or {}))
    rows = {(s.code, item.code): item for s in sets.values() for item in bare.rows_of(s.code)}
    dependants: dict[str, set[Pair]] = {}
    for pair, item in rows.items():
        for code in (*bare.inputs_of(item), rows_input(pair[0])):
            dependants.setdefault(code, set()).add(pair)
    index = {code: frozenset(pairs) for code, pairs in dependants.items()}
    return replace(bare, order=_ordered(rows, sets), dependants=index)


def _laid(overlays: Mapping[str, c.Overlay]) -> dict[str, tuple[c.Overlay, ...]]:
    """The overlays of each set, the one for the larger area first, of one area the older first."""
    laid: dict[str, tuple[c.Overlay, ...]] = {}
    for overlay in sorted(overlays.values(), key=lambda o: (len(o.unit), o.valid_from, o.code)):
        laid[overlay.set_code] = (*laid.get(overlay.set_code, ()), overlay)
    return laid


def _ordered(rows: Mapping[Pair, c.Item], sets: Mapping[str, c.CriteriaSet]) -> tuple[Pair, ...]:
    """All pairs, each behind those it looks at; otherwise from the villages up, in the order of the files."""
    rank = {pair: (-LEVELS.index(sets[pair[0]].level), place) for place, pair in enumerate(rows)}
    waits = {pair: {seen for seen in item.looks_at if seen in rows} for pair, item in rows.items()}
    behind: dict[Pair, list[Pair]] = {}
    for pair, before in waits.items():
        for seen in before:
            behind.setdefault(seen, []).append(pair)
    ready = [(rank[pair], pair) for pair, before in waits.items() if not before]
    heapq.heapify(ready)
    found: list[Pair] = []
    while ready:
        _, pair = heapq.heappop(ready)
        found.append(pair)
        for later in behind.get(pair, ()):
            waits[later].discard(pair)
            if not waits[later]:
                heapq.heappush(ready, (rank[later], later))
    if len(found) < len(rows):
        raise Cycle(_circle({pair: before for pair, before in waits.items() if before}))
    return tuple(found)


def _circle(waits: Mapping[Pair, set[Pair]]) -> list[Pair]:
    path = [min(waits)]
    while True:
        following = min(seen for seen in waits[path[-1]] if seen in waits)
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)
