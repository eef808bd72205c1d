"""Owns the JSON of figures that could not be carried over, for who looks after the unit that succeeded."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from chassis import units
from chassis.db import new_id, now
from chassis.paging import After, Limit, page_of
from chassis.text import Line, Paragraph
from chassis.web import ApiRouter, Me, Tx
from services.indicators.calculation.model import code_of
from services.indicators.criteria import library
from services.indicators.criteria.figures import Ratio, Value
from services.indicators.reorganisation import settling
from services.indicators.shapes.entries import EvidenceIn, ValueIn
from services.indicators.shapes.reasons import value_out
from services.indicators.shapes.schemas import CountValue, FigureOut, FlagValue, RatioValue, StateValue
from services.indicators.sources.intake import Observed

settlements = ApiRouter(prefix="/api/v1", tags=["indicators"])


Reason = Literal["renew", "no_share", "not_shared", "entities", "mixed", "unknown", "not_open"]


class PartOut(BaseModel):
    """What one predecessor has to give."""

    unit: str = Field(description="The former unit as code@first day.")
    figure: Any = Field(description="Its last figure; null: nothing was known.")
    share: str | None
    given: Any = Field(description="The part that would go over; null: it cannot be said.")
    trouble: str


class SettlementOut(BaseModel):
    id: uuid.UUID
    unit: str
    unit_name: str
    measure: str
    change_set: str
    effective_on: date
    reason: Reason
    proposal: FigureOut | StateValue | None = Field(description="What can be accepted; null: a figure must be entered.")
    parts: list[PartOut]
    status: Literal["open", "accepted", "entered", "dismissed"]
    document: str
    decided_at: datetime | None


class SettlementsOut(BaseModel):
    items: list[SettlementOut]
    next: str | None = Field(description="Give it as `after` to get the next page; null on the last.")


def settlement_out(found: settling.Settlement) -> SettlementOut:
    return SettlementOut(
        id=found.id,
        unit=code_of(found.unit),
        unit_name=found.name,
        measure=found.measure,
        change_set=found.change_set,
        effective_on=found.effective_on,
        reason=found.reason,  # type: ignore[arg-type]  # pydantic checks that it is one of them.
        proposal=value_out(found.proposal),
        parts=[PartOut(**part) for part in found.parts],
        status=found.status,  # type: ignore[arg-type]  # pydantic checks that it is one of the four.
        document=found.document,
        decided_at=found.decided_at,
    )


class AcceptIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    document: Line(400)  # type: ignore[valid-type]  # Line makes a type.


class DismissIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: Paragraph(1500, 1)  # type: ignore[valid-type]  # Paragraph makes a type.


class EnterIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: ValueIn
    period: Line(10, 0) = ""  # type: ignore[valid-type]  # Line makes a type.
    evidence: EvidenceIn


@settlements.get("/settlements", response_model=SettlementsOut)
async def list_settlements(
    tx: Tx,
    me: Me,
    unit: Annotated[str, Query(max_length=40)],
    reason: Reason | None = None,
    limit: Limit = 50,
    after: After = None,
) -> SettlementsOut:
    """What waits to be settled at a unit and below it, unit by unit; of one `reason` where it is named."""
    rows = await settling.waiting(
        tx, me, await units.get(tx, unit), limit=limit, after=settling.place_of(after), reason=reason
    )
    page = page_of(rows, limit, key=lambda row: (row.path, row.measure, str(row.id)))
    return SettlementsOut(items=[settlement_out(row) for row in page.items], next=page.next)


@settlements.post("/settlements/{settlement_id}/accept", response_model=SettlementOut)
async def accept_settlement(tx: Tx, me: Me, settlement_id: uuid.UUID, body: AcceptIn) -> SettlementOut:
    """Take what is proposed as the figure of the new unit; `document` names what confirms it."""
    await settling.accept(tx, me, settlement_id, body.document, library.catalogue())
    return settlement_out(await settling.get(tx, me, settlement_id))


@settlements.post("/settlements/{settlement_id}/enter", response_model=SettlementOut)
async def enter_settlement(tx: Tx, me: Me, settlement_id: uuid.UUID, body: EnterIn) -> SettlementOut:
    """Answer with another figure and its evidence."""
    found = await settling.get(tx, me, settlement_id)
    observed = Observed(
        id=str(new_id()),
        unit=code_of(found.unit),
        observed_at=now(),
        value=_value(body.value),
        measure=found.measure,
        period=body.period,
        source=body.evidence.document,
        evidence=body.evidence.text,
    )
    here = await units.get(tx, code_of(found.unit))
    await settling.enter(tx, me, settlement_id, here, observed, library.catalogue())
    return settlement_out(await settling.get(tx, me, settlement_id))


@settlements.post("/settlements/{settlement_id}/dismiss", response_model=SettlementOut)
async def dismiss_settlement(tx: Tx, me: Me, settlement_id: uuid.UUID, body: DismissIn) -> SettlementOut:
    """Put the question aside, with a reason."""
    await settling.dismiss(tx, me, settlement_id, body.reason)
    return settlement_out(await settling.get(tx, me, settlement_id))


def _value(value: RatioValue | FlagValue | CountValue | StateValue) -> Value:
    if isinstance(value, RatioValue):
        return Ratio(value.numerator, value.denominator)
    if isinstance(value, FlagValue):
        return value.flag
    return value.count if isinstance(value, CountValue) else value.state
