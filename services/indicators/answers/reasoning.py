"""Owns the tree of reasons: from a row down its rule, the figures, what each source says, to facts and units below.

`reasons_for` makes it of a `Standing`, whatever the rule is made of; the facts behind a figure are given to it. Words
are made where the tree is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from chassis.units import LEVELS, Unit
from services.indicators.answers.standing import Standing
from services.indicators.calculation.engine import Candidate, Fact, Reading
from services.indicators.calculation.model import unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import judging
from services.indicators.criteria.catalogue import Pair
from services.indicators.criteria.figures import Outcome, Value

NodeKind = Literal[
    "item", "overlay", "suspension", "all", "at_least", "ratio", "flag", "count", "children", "trait", "source",
    "group", "fact", "unit", "missing",
]  # fmt: skip

MOST_UNITS = 60
"""Units below named under one node, those that do not meet first; all are counted."""
DEEPEST = 4
"""Rows that look at rows: how far down they are followed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact and where it comes from. `kind` is event, observation, document, succession or
    settlement; `type` the event's name.

    `source` is what an observation names as its system, list or document; `note` what it says besides; `file` the id
    of the document that was kept with it. `former` names the units a figure came over from, `settled_at` when people
    accepted it; `source` is then the document it went over by.
    """

    fact: Fact
    recorded_at: datetime
    kind: str
    type: str
    id: str
    source: str = ""
    note: str = ""
    file: str = ""
    former: tuple[str, ...] = ()
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The facts of entities that lie in one heap: how many, when the last was observed, and the newest of them."""

    attribute: str
    state: str
    source: str
    total: int
    last: datetime
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A suspension ordered for a unit: public like the sheet that shows it."""

    unit: str
    reason: str
    document: str
    starts_on: object
    ends_on: object


@dataclass(frozen=True, slots=True)
class Node:
    """One step of the reasoning. Which fields are filled follows from `kind`; `total` counts what `nodes` may cut off.

    `why` says why a source counts or does not: preferred, only, larger, later, yes (any yes decides), weaker.
    """

    kind: NodeKind
    title: c.Text | None = None
    status: str = ""
    figure: Value | None = None
    target: str = ""
    needed: int | None = None
    measure: str = ""
    attribute: str = ""
    state: str = ""
    pair: Pair | None = None
    unit: Unit | None = None
    klass: str = ""
    source: str = ""
    chosen: bool = False
    why: str = ""
    disagrees: bool = False
    reason: c.Text | None = None
    document: str = ""
    total: int = 0
    last: datetime | None = None
    evidence: Evidence | None = None
    nodes: tuple[Node, ...] = ()


@dataclass
class Basis:
    """What the tree is made of besides the standing: groups by (unit key, attribute), evidence by fact, orders.

    `below` are outcomes of units below, those that do not meet first, with how many there are in all; for pairs that
    the standing does not judge anew.
    """

    groups: Mapping[tuple[str, str], Sequence[Group]] = field(default_factory=dict)
    evidence: Mapping[tuple[str, str, str], Evidence] = field(default_factory=dict)
    orders: Sequence[Order] = ()
    below: Mapping[Pair, tuple[Sequence[tuple[Unit, Outcome]], int]] = field(default_factory=dict)


def reasons_for(standing: Standing, unit: Unit, pair: Pair, basis: Basis, depth: int = 0) -> Node:
    """The tree below one row of a unit."""
    item = next((one for one in standing.catalogue.rows_of(pair[0]) if one.code == pair[1]), None)
    outcome = standing.outcome(unit, pair)
    title = item.title if item else c.Text(pair[1], pair[1])
    node = Node("item", title, outcome.status, outcome.figure, pair=pair, unit=unit)
    criteria = standing.catalogue.sets[pair[0]]
    if LEVELS.index(criteria.level) > LEVELS.index(unit.level):
        nodes, total = _units_below(standing, unit, pair, basis)
        return replace(node, nodes=nodes, total=total)
    held = standing.catalogue.item_for(pair[0], pair[1], unit, standing.day)
    if held is None or depth > DEEPEST:
        return node
    parts: list[Node] = []
    if held.overlay is not None:
        parts.append(_overlay(standing, held))
    if depth == 0:
        parts += [
            Node("suspension", reason=c.Text(order.reason, order.reason), document=order.document, status="suspended")
            for order in basis.orders
        ]
    parts.append(_rule(standing, unit, held.rule, basis, depth))
    return replace(node, title=held.title, target=held.rule.text, nodes=tuple(parts))


def _overlay(standing: Standing, item: c.Item) -> Node:
    overlay = standing.catalogue.overlays[item.overlay or ""]
    before = item.base_rule.text if item.base_rule is not None else ""
    return Node("overlay", overlay.title, target=before, document=overlay.legal_basis.number, source=overlay.code)


def _rule(standing: Standing, unit: Unit, rule: c.Rule, basis: Basis, depth: int) -> Node:
    if isinstance(rule, c.ItemRule):
        return reasons_for(standing, unit, (rule.set_code, rule.item_code), basis, depth + 1)
    figures = standing.figures(unit, rule)
    outcome = judging.judge(rule, figures, lambda s, i: standing.outcome(unit, (s, i)))
    node = Node("all", None, outcome.status, outcome.figure, target=rule.text)
    match rule:
        case c.Suspended():
            inner = _rule(standing, unit, rule.rule, basis, depth)
            return replace(
                node, kind="suspension", title=inner.title, reason=rule.reason, document=rule.document,
                source=rule.overlay, nodes=(inner,),
            )  # fmt: skip
        case c.Composed():
            parts = tuple(_rule(standing, unit, part, basis, depth) for part in rule.rules)
            return replace(node, kind="all" if rule.needed is None else "at_least", needed=rule.needed, nodes=parts)
        case c.ChildrenRule():
            pair = (rule.set_code, rule.item_code)
            below = standing.outcome(unit, pair)
            nodes, total = _units_below(standing, unit, pair, basis)
            row = next((one for one in standing.catalogue.rows_of(pair[0]) if one.code == pair[1]), None)
            title = row.title if row else None
            return replace(
                node, kind="children", title=title, figure=below.figure, pair=pair, nodes=nodes, total=total,
            )  # fmt: skip
    measure = standing.catalogue.measures[rule.measure]
    parts = _measure(standing, unit, measure, basis)
    if isinstance(rule, c.RatioRule | c.CountRule) and rule.by is not None:
        trait = standing.catalogue.measures[rule.by.measure]
        parts = (_trait(standing, unit, trait, basis), *parts)
    return replace(
        node,
        kind="ratio" if isinstance(rule, c.RatioRule) else "flag" if isinstance(rule, c.FlagRule) else "count",
        title=measure.title,
        measure=measure.code,
        disagrees=standing.reading(unit, measure.code).disagrees,
        nodes=parts,
    )


def _trait(standing: Standing, unit: Unit, measure: c.Measure, basis: Basis) -> Node:
    return Node(
        "trait",
        measure.title,
        figure=standing.figure(unit, measure.code),
        measure=measure.code,
        nodes=_measure(standing, unit, measure, basis),
    )


def _units_below(standing: Standing, unit: Unit, pair: Pair, basis: Basis) -> tuple[tuple[Node, ...], int]:
    """Nodes of units below, those that do not meet the row first, then by code; and how many units there are."""
    if pair in basis.below:
        rows, total = basis.below[pair]
    else:
        rows = [(child, standing.outcome(child, pair)) for child in standing.counted_below(unit, pair)]
        rows.sort(key=lambda row: (row[1].status == "met", row[0].code))
        total = len(rows)
    nodes = tuple(
        Node("unit", None, outcome.status, outcome.figure, pair=pair, unit=child)
        for child, outcome in rows[:MOST_UNITS]
    )
    return nodes, total


def _measure(standing: Standing, unit: Unit, measure: c.Measure, basis: Basis) -> tuple[Node, ...]:
    """What every source says of a measure, the one that counts first; or that nobody has said anything."""
    reading = standing.reading(unit, measure.code)
    parts = [_source(standing, unit, measure, reading, one, basis) for one in reading.candidates]
    if measure.below is not None and not any(one.klass == "below" for one in reading.candidates):
        parts.append(_sum_below(standing, unit, measure, None, chosen=False))
    if not parts:
        return (Node("missing", measure.title, "no_data", measure=measure.code),)
    return tuple(parts)


def _source(standing: Standing, unit: Unit, measure: c.Measure, reading: Reading, one: Candidate, basis: Basis) -> Node:
    chosen = one is reading.chosen
    if one.klass == "below":
        return _sum_below(standing, unit, measure, one.figure, chosen=chosen)
    node = Node(
        "source", figure=one.figure, klass=one.klass, source=one.source, chosen=chosen, measure=measure.code,
        why=_why(measure, reading, one),
    )  # fmt: skip
    if one.fact is not None:
        found = basis.evidence.get((one.fact.attribute, one.fact.entity, one.fact.source))
        return replace(node, last=one.fact.observed_at, nodes=(_fact(found),) if found else ())
    groups = tuple(_groups(standing, unit, measure, one, basis))
    return replace(node, last=max((g.last for g in groups if g.last), default=None), nodes=groups)


def _why(measure: c.Measure, reading: Reading, one: Candidate) -> str:
    chosen = reading.chosen
    if chosen is None or len(reading.candidates) == 1:
        return "only" if one is chosen else ""
    rank, top = measure.prefer.index(one.klass), measure.prefer.index(chosen.klass)
    if one is chosen:
        better = [other for other in reading.candidates if other is not one]
        if measure.policy == "any" and any(measure.prefer.index(b.klass) < rank for b in better):
            return "yes"
        same = [other for other in better if other.klass == one.klass]
        return ("larger" if one.fact is None else "later") if len(same) == len(better) else "preferred"
    if measure.policy == "any" and rank < top:
        return "no"
    if rank > top:
        return "weaker"
    return "smaller" if one.fact is None else "earlier"


def _groups(standing: Standing, unit: Unit, measure: c.Measure, one: Candidate, basis: Basis) -> list[Node]:
    counted = measure.counted
    if counted is None:
        return []
    places = [unit]
    if measure.level == "commune" and unit.level == "commune":
        places += standing.known.below(unit, "village")
    found: list[Node] = []
    for attribute in sorted(counted.attributes):
        named = standing.catalogue.attributes.get(attribute)
        for place in places:
            for group in basis.groups.get((unit_key(place), attribute), ()):
                if group.source != one.source:
                    continue
                facts = tuple(_fact(evidence) for evidence in group.evidence)
                title = named.title if named else c.Text(attribute, attribute)
                found.append(
                    Node(
                        "group",
                        title,
                        attribute=attribute,
                        state=group.state,
                        total=group.total,
                        last=group.last,
                        unit=None if place is unit else place,
                        nodes=facts,
                    )
                )
    if counted.register is not None:
        reported = standing.known.reported.get(unit_key(unit), [])
        for fact in reported:
            evidence = basis.evidence.get((fact.attribute, fact.entity, fact.source))
            if fact.attribute == counted.register and evidence is not None:
                found.append(_fact(evidence, standing.catalogue))
    return found


def _fact(evidence: Evidence, catalogue: c.Catalogue | None = None) -> Node:
    attribute = catalogue.attributes.get(evidence.fact.attribute) if catalogue else None
    return Node(
        "fact",
        attribute.title if attribute else None,
        figure=evidence.fact.value,
        attribute=evidence.fact.attribute,
        source=evidence.fact.source,
        last=evidence.fact.observed_at,
        evidence=evidence,
    )


def _sum_below(standing: Standing, unit: Unit, measure: c.Measure, figure: Value | None, *, chosen: bool) -> Node:
    """The figures of the units below that are added up; first the unknown ones, which keep the sum from being known."""
    rows = standing.parts_below(unit, measure)
    rows.sort(key=lambda row: (row[1] is not None, row[0].code))
    unknown = sum(part is None for _, part in rows)
    below = standing.catalogue.measures[measure.below or measure.code]
    nodes = tuple(
        Node("unit", None, "no_data" if part is None else "", part, unit=child, measure=below.code)
        for child, part in rows[:MOST_UNITS]
    )
    return Node(
        "source", figure=figure, klass="below", chosen=chosen, measure=measure.code, total=len(rows), needed=unknown,
        why="unknown_below" if unknown or not rows else "", nodes=nodes,
    )  # fmt: skip


def reduced(node: Node) -> Node:
    """The tree for everybody: figures, kinds of sources, times and numbers of documents; no ids of things or people."""
    nodes = tuple(reduced(part) for part in node.nodes if not (node.kind == "group" and part.kind == "fact"))
    evidence = None if node.evidence is None else without_ids(node.evidence)
    return replace(node, nodes=nodes, evidence=evidence)


def without_ids(evidence: Evidence) -> Evidence:
    """The evidence as everybody may see it."""
    fact = replace(evidence.fact, entity="", cause=evidence.fact.cause.partition(":")[0])
    return replace(evidence, fact=fact, id="", note="", file="")
