"""Owns the shapes of an explanation in JSON: sources, facts, children, suspensions."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from services.indicators.answers.explanation import Explanation
from services.indicators.answers.queries import Line as ChildLine
from services.indicators.answers.reasoning import Evidence, Node, NodeKind
from services.indicators.calculation.engine import Fact, Reading
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Ratio, Value
from services.indicators.shapes.schemas import (
    CountValue,
    FigureOut,
    FlagValue,
    ItemOut,
    RatioValue,
    StateValue,
    Status,
    figure_out,
    item_out,
)


class SourceOut(BaseModel):
    """The event, observation or document behind a fact."""

    kind: Literal["event", "observation", "document", "succession", "settlement"]
    type: str
    id: str
    service: str = Field(description="The service or client that said it.")
    time: datetime
    sequence: int
    note: str = Field(description="What an observation or document says of its origin.")
    file: str | None = Field(default=None, description="The document kept with it, under /indicators/documents/.")
    former_units: list[str] = Field(
        default_factory=list, description="Names of the former units a figure came over from; `note` says by what."
    )
    settled_at: datetime | None = Field(default=None, description="When staff accepted a figure of former units.")


class FactOut(BaseModel):
    attribute: str
    entity: str
    unit: str = Field(description="Where it is: the unit itself, or one of its villages.")
    value: FigureOut | StateValue | None
    period: str
    withdrawn: bool
    recorded_at: datetime
    source: SourceOut


def value_out(value: Value | None) -> FigureOut | StateValue | None:
    return StateValue(state=value) if isinstance(value, str) else figure_out(value)


def fact_out(evidence: Evidence) -> FactOut:
    fact: Fact = evidence.fact
    return FactOut(
        attribute=fact.attribute,
        entity=fact.entity,
        unit=fact.unit.partition("@")[0],
        value=value_out(fact.value),
        period=fact.period,
        withdrawn=fact.withdrawn,
        recorded_at=evidence.recorded_at,
        source=_source_out(evidence),
    )


def _source_out(evidence: Evidence) -> SourceOut:
    return SourceOut(
        kind=evidence.kind,  # type: ignore[arg-type]  # pydantic checks that it is one of the five.
        type=evidence.type,
        id=evidence.id,
        service=evidence.fact.source,
        time=evidence.fact.observed_at,
        sequence=evidence.fact.sequence,
        note=" · ".join(part for part in (evidence.source, evidence.note) if part),
        file=evidence.file or None,
        former_units=list(evidence.former),
        settled_at=evidence.settled_at,
    )


class CandidateOut(BaseModel):
    source_class: Literal["counted", "event", "below", "staff", "partner"]
    source: str
    value: FigureOut | StateValue
    chosen: bool


class ReadingOut(BaseModel):
    measure: str
    title: str
    value: FigureOut | StateValue | None
    disagrees: bool = Field(description="Whether the sources give different figures.")
    sources: list[CandidateOut]


def reading_out(reading: Reading, measure: c.Measure, locale: str) -> ReadingOut:
    return ReadingOut(
        measure=reading.measure,
        title=measure.title.in_(locale),
        value=value_out(reading.figure),
        disagrees=reading.disagrees,
        sources=[
            CandidateOut(
                source_class=one.klass,
                source=one.source,
                value=_said(one.figure),
                chosen=one is reading.chosen,
            )
            for one in reading.candidates
        ],
    )


def _said(value: Value) -> FigureOut | StateValue:
    if isinstance(value, Ratio):
        return RatioValue(numerator=value.numerator, denominator=value.denominator)
    if isinstance(value, str):
        return StateValue(state=value)
    return FlagValue(flag=value) if isinstance(value, bool) else CountValue(count=value)


class SuspensionBrief(BaseModel):
    id: uuid.UUID
    unit: str
    reason: str
    document: str
    starts_on: date
    ends_on: date | None


class ChildOut(BaseModel):
    unit: str
    name: str
    status: Status
    value: FigureOut | None


class NodeOut(BaseModel):
    """One step of the reasoning; which fields say something follows from `kind`."""

    kind: NodeKind
    title: str
    status: Status | None
    value: FigureOut | StateValue | None
    target: str = Field(description="What the rule asks for, as written; of an overlay: what the set itself asks for.")
    needed: int | None = Field(description="How many conditions must hold; of a sum from below: how many are unknown.")
    measure: str | None
    attribute: str | None
    state: str | None
    set: str | None
    item: str | None
    unit: str | None
    unit_name: str | None
    source_class: Literal["counted", "event", "below", "staff", "partner"] | None
    source: str
    chosen: bool = Field(description="Whether this is the source that counts.")
    why: str = Field(
        description="Why it counts or not: only, preferred, larger, later, yes; weaker, smaller, earlier, no."
    )
    disagrees: bool
    reason: str
    document: str
    total: int = Field(description="How many there are in all, where only some are named.")
    time: datetime | None
    evidence: SourceOut | None
    nodes: list[NodeOut]


def node_out(node: Node, locale: str) -> NodeOut:
    return NodeOut(
        kind=node.kind,
        title=node.title.in_(locale) if node.title else "",
        status=node.status or None,  # type: ignore[arg-type]  # pydantic checks that it is one of the six.
        value=value_out(node.figure),
        target=node.target,
        needed=node.needed,
        measure=node.measure or None,
        attribute=node.attribute or None,
        state=node.state or None,
        set=node.pair[0] if node.pair else None,
        item=node.pair[1] if node.pair else None,
        unit=node.unit.code if node.unit else None,
        unit_name=node.unit.name if node.unit else None,
        source_class=node.klass or None,  # type: ignore[arg-type]  # pydantic checks that it is one of the five.
        source=node.source,
        chosen=node.chosen,
        why=node.why,
        disagrees=node.disagrees,
        reason=node.reason.in_(locale) if node.reason else "",
        document=node.document,
        total=node.total,
        time=node.last,
        evidence=_source_out(node.evidence) if node.evidence else None,
        nodes=[node_out(part, locale) for part in node.nodes],
    )


class ReasonsOut(BaseModel):
    """Why an item stands as it does, as one tree: rule, figures, sources, facts, units below."""

    unit: str
    set: str
    item: str
    reduced: bool = Field(description="Without ids of things and observations: for who does not look after the unit.")
    tree: NodeOut


class ExplanationOut(BaseModel):
    """Why an item stands as it does: figures per measure and source, then the facts with what each rests on."""

    unit: str
    set: str
    item: ItemOut
    measures: list[ReadingOut]
    facts: list[FactOut]
    children: list[ChildOut] = Field(description="Above the set's level: the units directly below, instead of facts.")
    suspensions: list[SuspensionBrief]
    next: str | None = Field(description="Give it as `after` to get the next facts; null on the last page.")


def explanation_out(found: Explanation, catalogue: c.Catalogue, locale: str, following: str | None) -> ExplanationOut:
    code = found.row.item.code
    return ExplanationOut(
        unit=found.sheet.unit.code,
        set=found.sheet.criteria.code,
        item=item_out(found.row, locale, found.sheet.rolled_up),
        measures=[reading_out(r, catalogue.measures[r.measure], locale) for r in found.readings],
        facts=[fact_out(evidence) for evidence in found.evidence],
        children=[_child(line, code) for line in found.children],
        suspensions=[
            SuspensionBrief(
                id=s.id, unit=s.unit, reason=s.reason, document=s.document, starts_on=s.starts_on, ends_on=s.ends_on
            )
            for s in found.suspensions
        ],
        next=following,
    )


def _child(line: ChildLine, item: str) -> ChildOut:
    status, figure = line.cells.get(item, ("no_data", None))
    return ChildOut(
        unit=line.unit.code,
        name=line.unit.name,
        status=status,  # type: ignore[arg-type]  # pydantic checks that it is one of the six.
        value=figure_out(figure),
    )
