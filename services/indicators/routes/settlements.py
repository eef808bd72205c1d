"""Owns the JSON of figures that could not be carried over, for who looks after the unit that succeeded."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from chassis import units
from chassis.db import new_id
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
    unit_ended_on: date | None = Field(description="First day without the unit, where it has ended since.")
    continued_by: list[str] = Field(description="Where it has ended: codes of the units of today that came after it.")
    document: str
    decided_at: datetime | None


class SettlementsOut(BaseModel):
    items: list[SettlementOut]
    next: str | None = Field(description="Give it as `after` to get the next page; null on the last.")


async def settlements_out(tx: Tx, found: Sequence[settling.Settlement]) -> list[SettlementOut]:
    onward = await settling.onward(tx, {one.unit for one in found if one.ended_on is not None})
    return [_out(one, onward.get(one.unit, ())) for one in found]


async def _one_out(tx: Tx, me: Me, settlement_id: uuid.UUID) -> SettlementOut:
    (one,) = await settlements_out(tx, [await settling.get(tx, me, settlement_id)])
    return one


def _out(found: settling.Settlement, onward: Sequence[units.Unit]) -> SettlementOut:
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
        unit_ended_on=found.ended_on,
        continued_by=[unit.code for unit in onward],
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
    """What waits to be settled at a unit and below it, unit by unit; of one `reason` where it is named.

    A unit may have ended since: what is settled for it goes on to the units that came after it.
    """
    rows = await settling.waiting(
        tx, me, await settling.place(tx, unit), limit=limit, after=settling.place_of(after), reason=reason
    )
    page = page_of(rows, limit, key=lambda row: (row.path, row.measure, str(row.id)))
    return SettlementsOut(items=await settlements_out(tx, page.items), next=page.next)


@settlements.post("/settlements/{settlement_id}/accept", response_model=SettlementOut)
async def accept_settlement(tx: Tx, me: Me, settlement_id: uuid.UUID, body: AcceptIn) -> SettlementOut:
    """Take what is proposed as the figure of the new unit; `document` names what confirms it."""
    await settling.accept(tx, me, settlement_id, body.document, library.catalogue())
    return await _one_out(tx, me, settlement_id)


@settlements.post("/settlements/{settlement_id}/enter", response_model=SettlementOut)
async def enter_settlement(tx: Tx, me: Me, settlement_id: uuid.UUID, body: EnterIn) -> SettlementOut:
    """Answer with another figure and its evidence; for a unit that has ended it is one of its last day."""
    found = await settling.get(tx, me, settlement_id)
    here = await settling.unit_of(tx, found)
    observed = Observed(
        id=str(new_id()),
        unit=code_of(found.unit),
        observed_at=settling.speaks_at(here),
        value=_value(body.value),
        measure=found.measure,
        period=body.period,
        source=body.evidence.document,
        evidence=body.evidence.text,
    )
    await settling.enter(tx, me, settlement_id, here, observed, library.catalogue())
    return await _one_out(tx, me, settlement_id)


@settlements.post("/settlements/{settlement_id}/dismiss", response_model=SettlementOut)
async def dismiss_settlement(tx: Tx, me: Me, settlement_id: uuid.UUID, body: DismissIn) -> SettlementOut:
    """Put the question aside, with a reason."""
    await settling.dismiss(tx, me, settlement_id, body.reason)
    return await _one_out(tx, me, settlement_id)


def _value(value: RatioValue | FlagValue | CountValue | StateValue) -> Value:
    if isinstance(value, RatioValue):
        return Ratio(value.numerator, value.denominator)
    if isinstance(value, FlagValue):
        return value.flag
    return value.count if isinstance(value, CountValue) else value.state
