"""Owns what a criteria set is made of: attributes, measures, rules, items, overlays, as the YAML documents define them.

Types only, for the modules that make them; everybody else takes them from `criteria`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Literal

from chassis.units import Unit
from services.indicators.criteria.areas import EVERYWHERE, Area

Operator = Literal[">", ">=", "="]
MeasureKind = Literal["ratio", "flag", "count", "state"]
SourceClass = Literal["counted", "event", "below", "staff", "partner"]
Level = Literal["province", "district", "commune", "village"]
Period = Literal["year", "quarter", "month"]
Carry = Literal["sum", "share", "renew"]
WhenZero = Literal["no_data", "not_applicable"]

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
    """How facts of entities make the figure of a unit; see `data/README.md`."""

    numerator: Selection | None = None
    denominator: Selection | None = None
    register: str | None = None
    when: Selection | None = None
    at_least: int = 1
    known_by: frozenset[str] = frozenset()
    attributes: frozenset[str] = field(init=False, repr=False, compare=False)
    """Every attribute whose facts are counted, without the register."""

    def __post_init__(self) -> None:
        picked = (s.attribute for s in (self.numerator, self.denominator, self.when) if s is not None)
        # Worked out once: it is asked for at every figure.
        object.__setattr__(self, "attributes", self.known_by | frozenset(picked))


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of a unit of one level, and which of its sources counts.

    `below` is the measure of the units below whose figures are added up, of those of `below_kinds` only where kinds are
    named (a plan for rural communes waits for no township); `states` are the values of a trait, with
    their names in `state_titles`; `unbounded` lets a numerator exceed its denominator (computers per official).
    `carry` says what a reorganisation of units does to the figure; `text` are the words of the source.
    """

    code: str
    title: Text
    kind: MeasureKind
    unit_of_measure: Text
    counted: Counted | None
    prefer: tuple[SourceClass, ...]
    policy: Literal["first", "any"] = "first"
    period: Period | None = None
    level: Level = "village"
    below: str | None = None
    below_kinds: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    state_titles: tuple[Text, ...] = ()
    unbounded: bool = False
    carry: Carry = "renew"
    text: str = ""

    @property
    def inputs(self) -> frozenset[str]:
        """What it depends on by itself: attributes, the register, and its own code for reported figures.

        What a figure added up from below depends on besides is said by `Catalogue.inputs_of_measure`.
        """
        counted = self.counted
        if counted is None:
            return frozenset({self.code})
        register = {counted.register} if counted.register else set()
        return counted.attributes | register | {self.code}


@dataclass(frozen=True, slots=True)
class ByTrait:
    """A target that depends on a trait of the unit: one for each of some states, `otherwise` for all others."""

    measure: str
    cases: tuple[tuple[str, Fraction], ...]
    otherwise: Fraction | None
    texts: tuple[tuple[str, str], ...]
    """State ("" for all others) to the target as written."""

    def targets(self, state: str | None) -> frozenset[Fraction]:
        """The target for a state; all there are while the state is not known."""
        others = frozenset() if self.otherwise is None else frozenset({self.otherwise})
        if state is None:
            return frozenset(target for _, target in self.cases) | others
        return next((frozenset({target}) for name, target in self.cases if name == state), others)

    @property
    def text(self) -> str:
        return " / ".join(text for _, text in self.texts)


@dataclass(frozen=True, slots=True)
class RatioRule:
    """numerator / denominator against a target; without an operator the ratio is measured, not judged."""

    measure: str
    operator: Operator | None = None
    target: Fraction | None = None
    target_text: str = ""
    when_zero: WhenZero = "no_data"
    by: ByTrait | None = None

    @property
    def text(self) -> str:
        asked = self.by.text if self.by else self.target_text
        return f"{self.operator} {asked}" if self.operator else ""


@dataclass(frozen=True, slots=True)
class FlagRule:
    """A yes/no fact that rests on evidence; one that is not `judged` is only measured."""

    measure: str
    judged: bool = True

    @property
    def text(self) -> str:
        return "có" if self.judged else ""


@dataclass(frozen=True, slots=True)
class CountRule:
    """A whole number against a target; without an operator it is measured, not judged."""

    measure: str
    operator: Operator | None = None
    target: int | None = None
    by: ByTrait | None = None

    @property
    def text(self) -> str:
        asked = self.by.text if self.by else self.target
        return f"{self.operator} {asked}" if self.operator else ""


@dataclass(frozen=True, slots=True)
class ChildrenRule:
    """The share (or with `count` the number) of the units of another set's level below this one that meet its item.

    A suspended or inapplicable item takes a unit out of the denominator. `unknown` says what a unit is that nothing is
    known of: `open` leaves the answer open where it could decide, `unmet` counts it as not meeting (a commune without a
    decision is not recognised).
    """

    set_code: str
    item_code: str
    operator: Operator | None = None
    target: Fraction | int | None = None
    target_text: str = ""
    count: bool = False
    when_zero: WhenZero = "no_data"
    unknown: Literal["open", "unmet"] = "open"

    @property
    def text(self) -> str:
        return f"{self.operator} {self.target_text}" if self.operator else ""


@dataclass(frozen=True, slots=True)
class ItemRule:
    """Another item of the same unit is met."""

    set_code: str
    item_code: str

    @property
    def text(self) -> str:
        return f"{self.set_code}/{self.item_code}"


@dataclass(frozen=True, slots=True)
class Composed:
    """At least `needed` of `rules` hold; `needed` None asks for all of them."""

    rules: tuple[Rule, ...]
    needed: int | None = None

    @property
    def text(self) -> str:
        return "đủ các điều kiện" if self.needed is None else f"ít nhất {self.needed} điều kiện"


@dataclass(frozen=True, slots=True)
class Suspended:
    """A rule (or one condition of it) that an overlay keeps from being judged; its figure is still shown."""

    rule: Rule
    overlay: str
    reason: Text
    document: str

    @property
    def text(self) -> str:
        return self.rule.text


Rule = RatioRule | FlagRule | CountRule | ChildrenRule | ItemRule | Composed | Suspended


def measures_of(rule: Rule) -> Iterator[str]:
    """Codes of the measures a rule reads, in the order of the text; a trait behind what it decides."""
    match rule:
        case Composed():
            for part in rule.rules:
                yield from measures_of(part)
        case Suspended():
            yield from measures_of(rule.rule)
        case RatioRule() | CountRule():
            yield rule.measure
            if rule.by is not None:
                yield rule.by.measure
        case FlagRule():
            yield rule.measure


def items_of(rule: Rule) -> Iterator[tuple[str, str]]:
    """The (set, item) pairs a rule looks at, in the order of the text."""
    match rule:
        case Composed():
            for part in rule.rules:
                yield from items_of(part)
        case Suspended():
            yield from items_of(rule.rule)
        case ChildrenRule() | ItemRule():
            yield rule.set_code, rule.item_code


def suspensions_of(rule: Rule) -> Iterator[Suspended]:
    """What of a rule is suspended by an overlay."""
    match rule:
        case Composed():
            for part in rule.rules:
                yield from suspensions_of(part)
        case Suspended():
            yield rule


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a set. `overlay` names the overlay that added it or set its target; `base_rule` is the set's own."""

    code: str
    title: Text
    short: Text
    rule: Rule
    feeds: tuple[str, ...]
    group: str = ""
    note: Text | None = None
    overlay: str | None = None
    base_rule: Rule | None = None

    @property
    def measures(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(measures_of(self.rule)))

    @property
    def looks_at(self) -> tuple[tuple[str, str], ...]:
        """The (set, item) pairs whose outcomes decide this one."""
        return tuple(dict.fromkeys(items_of(self.rule)))


@dataclass(frozen=True, slots=True)
class LegalBasis:
    number: str
    date: date
    issuer: str
    title: str


@dataclass(frozen=True, slots=True)
class Group:
    """A goal under which rows stand together, and the theme it belongs to."""

    code: str
    theme: Text
    title: Text


@dataclass(frozen=True, slots=True)
class CriteriaSet:
    """A set of criteria for the units of one level within an area and (where `kinds` are named) of these kinds.

    `needed` items must be met, None: all. An `auxiliary` set is no official set but conditions others look at. An
    `unofficial` one rests on no document of an authority: it is there to compare with.
    """

    code: str
    title: Text
    level: str
    legal_basis: LegalBasis
    valid_from: date
    valid_to: date | None
    items: tuple[Item, ...]
    kinds: tuple[str, ...] = ()
    area: Area = EVERYWHERE
    auxiliary: bool = False
    unofficial: bool = False
    needed: int | None = None
    groups: tuple[Group, ...] = ()
    target_date: date | None = None
    note: Text | None = None

    def item(self, code: str) -> Item | None:
        return next((i for i in self.items if i.code == code), None)

    def applies_to(self, level: str, kind: str) -> bool:
        """Whether the set is meant for units of that level and kind, wherever they are."""
        return level == self.level and (not self.kinds or kind in self.kinds)

    def judges(self, unit: Unit) -> bool:
        """Whether the unit is one that the set is meant for: its level, its kind, and where it lies."""
        if unit.level != self.level or (self.kinds and unit.kind not in self.kinds):
            return False
        area = self.area
        return area is EVERYWHERE or area.holds(unit.path)

    def holds_on(self, day: date) -> bool:
        """Whether the set counts for judgements of that day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True, slots=True)
class Target:
    """What an overlay asks for in place of a row's own rule: operator and target, or (flags) that it be judged."""

    item: str
    operator: Operator | None
    target: Fraction | None
    target_text: str
    measure: str | None = None


@dataclass(frozen=True, slots=True)
class Suspension:
    """A row (or only its conditions that read `measure`) that is not judged on some days, within some units.

    `place` as that of an overlay.
    """

    item: str
    reason: Text
    document: str
    measure: str | None = None
    unit: str | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    place: Area | None = None

    def holds(self, unit: Unit, day: date) -> bool:
        return (
            (self.unit is None or _lies_in(unit, self.unit, self.place))
            and (self.starts_on is None or self.starts_on <= day)
            and (self.ends_on is None or day < self.ends_on)
        )


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a unit lays over a set for itself and everything below: targets, rows of its own, suspensions.

    `place` is where the unit lies whose code was given out again elsewhere; None where the code alone says it.
    """

    code: str
    set_code: str
    unit: str
    title: Text
    legal_basis: LegalBasis
    valid_from: date
    valid_to: date | None
    targets: tuple[Target, ...] = ()
    items: tuple[Item, ...] = ()
    suspensions: tuple[Suspension, ...] = ()
    place: Area | None = None

    def covers(self, unit: Unit) -> bool:
        """Whether the unit is the one it is for, or lies below that."""
        return _lies_in(unit, self.unit, self.place)

    def holds(self, unit: Unit, day: date) -> bool:
        """Whether it counts for this unit on that day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to) and self.covers(unit)


def _lies_in(unit: Unit, code: str, place: Area | None) -> bool:
    return code in unit.codes if place is None else place.holds(unit.path)
