"""Owns what a criteria set is: attributes, measures, rules and items, as the YAML files under `data/` define them.

Types only; `library` reads the files, `engine` computes with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Literal

Operator = Literal[">", ">=", "="]
MeasureKind = Literal["ratio", "flag", "count"]
SourceClass = Literal["counted", "event", "staff", "partner"]

STATUSES = ("met", "unmet", "no_data", "not_applicable", "measured", "suspended")


@dataclass(frozen=True, slots=True)
class Text:
    """A title in both languages."""

    vi: str
    en: str

    def in_(self, locale: str) -> str:
        """The text for a reader of `locale`."""
        return self.en if locale == "en" else self.vi


@dataclass(frozen=True, slots=True)
class Attribute:
    """One thing that can be known of an entity; `states` are the values it may have (flags: "true", "false")."""

    code: str
    entity: str
    kind: Literal["flag", "count", "state"]
    states: tuple[str, ...]
    title: Text


@dataclass(frozen=True, slots=True)
class Selection:
    """The entities whose attribute has one of the states."""

    attribute: str
    states: frozenset[str]


@dataclass(frozen=True, slots=True)
class Counted:
    """How facts of entities make the figure of a unit; see the head of `data/measures.yaml`."""

    numerator: Selection | None = None
    denominator: Selection | None = None
    register: str | None = None
    when: Selection | None = None
    at_least: int = 1
    known_by: frozenset[str] = frozenset()

    @property
    def attributes(self) -> frozenset[str]:
        """Every attribute whose facts are counted, without the register."""
        picked = (s.attribute for s in (self.numerator, self.denominator, self.when) if s is not None)
        return self.known_by | frozenset(picked)


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of a unit, and which of its sources counts."""

    code: str
    title: Text
    kind: MeasureKind
    unit_of_measure: Text
    counted: Counted | None
    prefer: tuple[SourceClass, ...]
    policy: Literal["first", "any"] = "first"
    period: Literal["year"] | None = None

    @property
    def inputs(self) -> frozenset[str]:
        """Codes of all the figure depends on: attributes, the register, and its own code for reported figures."""
        counted = self.counted
        if counted is None:
            return frozenset({self.code})
        register = {counted.register} if counted.register else set()
        return counted.attributes | register | {self.code}


@dataclass(frozen=True, slots=True)
class RatioRule:
    """numerator / denominator against a target; without a target the ratio is measured, not judged."""

    measure: str
    operator: Operator | None = None
    target: Fraction | None = None
    target_text: str = ""
    when_zero: Literal["no_data", "not_applicable"] = "no_data"

    @property
    def text(self) -> str:
        return f"{self.operator} {self.target_text}" if self.operator else ""


@dataclass(frozen=True, slots=True)
class FlagRule:
    """A yes/no fact that rests on evidence."""

    measure: str

    @property
    def text(self) -> str:
        return "có"


@dataclass(frozen=True, slots=True)
class CountRule:
    """A whole number against a target; without a target it is measured, not judged."""

    measure: str
    operator: Operator | None = None
    target: int | None = None

    @property
    def text(self) -> str:
        return f"{self.operator} {self.target}" if self.operator else ""


@dataclass(frozen=True, slots=True)
class Composed:
    """At least `needed` of `rules` hold; `needed` None asks for all of them."""

    rules: tuple[Rule, ...]
    needed: int | None = None

    @property
    def text(self) -> str:
        return "đủ các điều kiện" if self.needed is None else f"ít nhất {self.needed} điều kiện"


Rule = RatioRule | FlagRule | CountRule | Composed


def measures_of(rule: Rule) -> Iterator[str]:
    """Codes of the measures a rule reads, in the order of the text."""
    if isinstance(rule, Composed):
        for part in rule.rules:
            yield from measures_of(part)
    else:
        yield rule.measure


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a set."""

    code: str
    title: Text
    short: Text
    rule: Rule
    feeds: tuple[str, ...]

    @property
    def measures(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(measures_of(self.rule)))


@dataclass(frozen=True, slots=True)
class LegalBasis:
    number: str
    date: date
    issuer: str
    title: str


@dataclass(frozen=True, slots=True)
class CriteriaSet:
    """An official set of criteria for units of one level; all of its items are needed."""

    code: str
    title: Text
    level: str
    legal_basis: LegalBasis
    valid_from: date
    valid_to: date | None
    items: tuple[Item, ...]

    def item(self, code: str) -> Item | None:
        return next((i for i in self.items if i.code == code), None)


@dataclass(frozen=True)
class Catalogue:
    """Everything the files define, with the ways back from an input to what depends on it."""

    attributes: dict[str, Attribute]
    measures: dict[str, Measure]
    sets: dict[str, CriteriaSet]
    dependants: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)

    def touched(self, inputs: frozenset[str] | set[str]) -> set[tuple[str, str]]:
        """The (set, item) pairs whose figure may differ when facts of `inputs` change."""
        return {pair for code in inputs for pair in self.dependants.get(code, ())}

    def inputs_of(self, item: Item) -> set[str]:
        """Every attribute and measure code the item depends on."""
        return {code for measure in item.measures for code in self.measures[measure].inputs}


def catalogue(
    attributes: dict[str, Attribute], measures: dict[str, Measure], sets: dict[str, CriteriaSet]
) -> Catalogue:
    """A catalogue with its dependency index."""
    dependants: dict[str, set[tuple[str, str]]] = {}
    for criteria in sets.values():
        for item in criteria.items:
            for measure in item.measures:
                for code in measures[measure].inputs:
                    dependants.setdefault(code, set()).add((criteria.code, item.code))
    return Catalogue(attributes, measures, sets, {code: frozenset(pairs) for code, pairs in dependants.items()})
