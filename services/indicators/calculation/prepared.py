"""Owns what is worked out once per catalogue so that nothing is worked out per event: ranks, levels, grains, rows.

A catalogue is an immutable value, so everything here is a function of it; the last few are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from chassis.units import LEVELS, Unit
from services.indicators.calculation import engine
from services.indicators.calculation.engine import Grain
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import judging
from services.indicators.criteria.catalogue import Pair

KEPT = 3
"""Catalogues remembered: the one in force, and those that transactions under way began with."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """`counted` are the attributes whose facts lie in heaps; the facts of `whole` codes are read one by one.

    `rank` is the place of a pair in the order of evaluation, `level` the level a set judges, `levels` that of a
    measure or (as its code says) of a register.
    """

    catalogue: c.Catalogue
    counted: frozenset[str]
    whole: tuple[str, ...]
    grains: dict[str, Grain]
    rank: dict[Pair, int]
    level: dict[str, str]
    levels: dict[str, str]
    _rows: dict[int, tuple[tuple[c.Item, ...], dict[str, c.Item]]] = field(default_factory=dict)
    _early: dict[int, tuple[tuple[c.Item, ...], tuple[str, ...]]] = field(default_factory=dict)

    def rows(self, set_code: str, unit: Unit, day: date) -> dict[str, c.Item]:
        """The rows of a set that hold for this unit on this day, by code; empty where the set does not apply."""
        items = self.catalogue.items_for(set_code, unit, day)
        known = self._rows.get(id(items))
        if known is None or known[0] is not items:
            known = self._rows[id(items)] = (items, {item.code: item for item in items})
        return known[1]

    def early(self, set_code: str, unit: Unit, day: date) -> tuple[str, ...]:
        """The rows that may have something to say before any fact comes: suspended, or looking at other items."""
        items = self.catalogue.items_for(set_code, unit, day)
        known = self._early.get(id(items))
        if known is None or known[0] is not items:
            found = [item.code for item in items if item.looks_at or judging.judge(item.rule, {}).status != "no_data"]
            known = self._early[id(items)] = (items, tuple(found))
        return known[1]


_kept: list[Prepared] = []


def prepared(catalogue: c.Catalogue) -> Prepared:
    """What is worked out for `catalogue`."""
    for known in _kept:
        if known.catalogue is catalogue:
            return known
    made = _prepare(catalogue)
    _kept.insert(0, made)
    del _kept[KEPT:]
    return made


def _prepare(catalogue: c.Catalogue) -> Prepared:
    counted = frozenset(a.code for a in catalogue.attributes.values() if a.kind != "count")
    registers = {a.code for a in catalogue.attributes.values() if a.kind == "count"}
    return Prepared(
        catalogue=catalogue,
        counted=counted,
        whole=tuple(sorted(registers | set(catalogue.measures))),
        grains={code: engine.grain_of(code, catalogue) for code in counted},
        rank={pair: place for place, pair in enumerate(catalogue.order)},
        levels={code: code.partition(".")[0] for code in registers if code.partition(".")[0] in LEVELS}
        | {measure.code: measure.level for measure in catalogue.measures.values()},
        level={criteria.code: criteria.level for criteria in catalogue.sets.values()},
    )
