"""Owns the shapes of an explanation in JSON: sources, facts, children, suspensions."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from services.indicators import criteria as c
from services.indicators import engine
from services.indicators.engine import Fact, Figure, Ratio, Reading, Value
from services.indicators.explanation import Evidence, Explanation
from services.indicators.queries import Line as ChildLine
from services.indicators.schemas import (
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

    kind: Literal["event", "observation", "document"]
    type: str
    id: str
    service: str = Field(description="The service or client that said it.")
    time: datetime
    sequence: int
    note: str = Field(description="What an observation or document says of its origin.")


class FactOut(BaseModel):
    attribute: str
    entity: str
    value: FigureOut | StateValue | None
    period: str
    withdrawn: bool
    recorded_at: datetime
    source: SourceOut


def _value_out(value: Value | None) -> FigureOut | StateValue | None:
    return StateValue(state=value) if isinstance(value, str) else figure_out(value)


def fact_out(evidence: Evidence) -> FactOut:
    fact: Fact = evidence.fact
    return FactOut(
        attribute=fact.attribute,
        entity=fact.entity,
        value=_value_out(fact.value),
        period=fact.period,
        withdrawn=fact.withdrawn,
        recorded_at=evidence.recorded_at,
        source=SourceOut(
            kind=evidence.kind,  # type: ignore[arg-type]  # pydantic checks that it is one of the three.
            type=evidence.type,
            id=evidence.id,
            service=fact.source,
            time=fact.observed_at,
            sequence=fact.sequence,
            note=evidence.note,
        ),
    )


class CandidateOut(BaseModel):
    source_class: Literal["counted", "event", "staff", "partner"]
    source: str
    value: FigureOut
    chosen: bool


class ReadingOut(BaseModel):
    measure: str
    title: str
    value: FigureOut | None
    disagrees: bool = Field(description="Whether the sources give different figures.")
    sources: list[CandidateOut]


def reading_out(reading: Reading, measure: c.Measure, locale: str) -> ReadingOut:
    return ReadingOut(
        measure=reading.measure,
        title=measure.title.in_(locale),
        value=figure_out(reading.figure),
        disagrees=reading.disagrees,
        sources=[
            CandidateOut(
                source_class=one.klass,
                source=one.source,
                value=RatioValue(**_plain(one.figure)) if isinstance(one.figure, Ratio) else _simple(one.figure),
                chosen=one is reading.chosen,
            )
            for one in reading.candidates
        ],
    )


def _plain(ratio: Ratio) -> dict[str, int]:
    return {"numerator": ratio.numerator, "denominator": ratio.denominator}


def _simple(figure: Figure) -> FlagValue | CountValue:
    return FlagValue(flag=figure) if isinstance(figure, bool) else CountValue(count=engine.whole(figure))


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
