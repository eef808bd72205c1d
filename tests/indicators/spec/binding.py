"""Owns the way from what the examples say in words to the measures of the shipped sets, as `bindings.yaml` lists it.

A name is bound to
- the code of a measure, or several that all are to have the value;
- `{measure: code, per: 60}`: a count in another unit of measure, whole units only;
- `{measure: code, names: {upland: [state, …]}}`: a trait of the unit; each state is an example of its own;
- `{children: [set, item]}`: how many of the units below meet a row of another set;
- `{item: [set, item]}`: whether this unit meets a row of another set.
Names bound to one measure hold together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from services.indicators.criteria import library
from services.indicators.criteria.figures import Figure, Outcome, Ratio
from services.indicators.criteria.judging import judge
from tests.indicators.spec.cases import Case, Value

FILE = Path(__file__).resolve().parent / "bindings.yaml"
ALL_CHILDREN = 12


@dataclass
class Told:
    """What one example says, in measures and in outcomes of other rows."""

    figures: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)

    def lookup(self, set_code: str, item_code: str) -> Outcome:
        return self.outcomes.get((set_code, item_code), Outcome("no_data", None))


@cache
def bindings() -> dict[str, Any]:
    """set → row → {code, facts}."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
    return found


def statuses_of(case: Case) -> dict[str, str]:
    """The status of the row in each reading of the example (a place may be one of several states)."""
    bound = bindings()[case.set][case.row]
    criteria = library.catalogue().sets[case.set]
    (item,) = [item for item in criteria.items if item.code == bound["code"]]
    facts = bound["facts"]
    return {words: judge(item.rule, told.figures, told.lookup).status for words, told in _readings(case, facts)}


def _readings(case: Case, facts: Mapping[str, Any]) -> Iterator[tuple[str, Told]]:
    traits = {name: facts[name] for name in case.given if isinstance(case.given[name], str)}
    choices = [traits[name]["names"][case.given[name]] for name in traits]
    for states in product(*choices):
        told = Told()
        for (name, binding), state in zip(traits.items(), states, strict=True):
            assert name in case.given
            told.figures[binding["measure"]] = state
        for measure, given in _by_measure(case, facts).items():
            told.figures[measure] = _as_kind(measure, _together(given))
        for name, binding in facts.items():
            _tell_outcome(told, binding, case.given.get(name))
        yield ", ".join(states) or "as told", told


def _by_measure(case: Case, facts: Mapping[str, Any]) -> dict[str, list[Value | None]]:
    """Measure → what each name bound to it says; None where the example does not."""
    found: dict[str, list[Value | None]] = {}
    for name, binding in facts.items():
        given = case.given.get(name)
        if isinstance(binding, dict):
            if "per" in binding:
                assert given is None or isinstance(given, int)
                found.setdefault(binding["measure"], []).append(None if given is None else given // binding["per"])
            continue
        for measure in [binding] if isinstance(binding, str) else binding:
            found.setdefault(measure, []).append(given)
    return found


def _together(given: list[Value | None]) -> Figure | None:
    """One figure that holds when each of several does; a name that is unknown leaves the figure unknown."""
    if any(value is False for value in given):
        return False
    if any(value is None for value in given):
        return None
    values = [Ratio(*value) if isinstance(value, tuple) else value for value in given]
    if len(values) == 1 or all(value == values[0] for value in values):
        only = values[0]
        assert only is not None
        assert not isinstance(only, str)
        return only
    ratios = [value for value in values if isinstance(value, Ratio)]
    assert len(ratios) == len(values)
    nobody = [ratio for ratio in ratios if ratio.denominator == 0]
    return nobody[0] if nobody else min(ratios, key=lambda ratio: Fraction(ratio.numerator, ratio.denominator))


def _as_kind(measure: str, figure: Figure | None) -> Figure | None:
    """`At least one` may be told by a number or by yes and no."""
    if library.catalogue().measures[measure].kind == "flag" and isinstance(figure, int):
        return bool(figure)
    return figure


def _tell_outcome(told: Told, binding: Any, given: Value | None) -> None:
    if not isinstance(binding, dict) or given is None:
        return
    if "children" in binding:
        counted, everything = given if isinstance(given, tuple) else (int(given), ALL_CHILDREN)
        told.outcomes[tuple(binding["children"])] = Outcome("measured", Ratio(counted, everything))
    elif "item" in binding:
        assert isinstance(given, bool)
        told.outcomes[tuple(binding["item"])] = Outcome("met" if given else "unmet", given)
