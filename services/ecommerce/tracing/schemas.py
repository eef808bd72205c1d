"""Owns the JSON of plots, diaries and lots: what a body may be and what an answer is."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, Field

from services.ecommerce.schemas import Body, Instant
from services.ecommerce.tracing import epcis, forms
from services.ecommerce.tracing.commands import NewLot, NewStep
from services.ecommerce.tracing.diaries import EntryFields
from services.ecommerce.tracing.model import (
    MAX_PLOTS,
    DiaryEntry,
    DoneBy,
    Lot,
    LotStatus,
    LotStep,
    Plot,
    Step,
    Uom,
    Work,
)
from services.ecommerce.tracing.queries import Standing

Households = Annotated[int, Field(strict=True, ge=0, le=10_000)]
QuietDays = Annotated[int, Field(strict=True, ge=0, le=365)]


class NewPlotBody(Body, forms.PlotForm):
    producer_id: uuid.UUID


class NewEntry(Body):
    """A work on a plot. It names no person: who did it is a role, and how many households took part."""

    day: forms.Day
    work: Work
    product: forms.LineOrNone = Field(default="", description="What was put on the field; for fertiliser, pesticide.")
    quiet_days: QuietDays | None = Field(default=None, description="Days to a harvest; asked for with pesticide.")
    done_by: DoneBy = DoneBy.PRODUCER
    households: Households = 0
    note: forms.Note = ""

    def fields(self) -> EntryFields:
        return EntryFields(**{name: getattr(self, name) for name in EntryFields.__dataclass_fields__})


class Correction(Body):
    """A line is struck through; `entry`, where given, is written in its place."""

    reason: forms.Reason
    entry: NewEntry | None = None


class NewLotBody(Body):
    product_id: uuid.UUID
    plots: Annotated[list[uuid.UUID], Field(min_length=1, max_length=MAX_PLOTS)]
    season_from: forms.Day = Field(description="First day of the season; diaries count from it to the harvest.")
    harvested_on: forms.Day
    quantity: forms.Quantity
    uom: Uom
    households: Households = Field(default=0, description="How many households delivered.")
    gtin: forms.ShortOrNone = Field(default="", description="8, 12, 13 or 14 digits with their check digit.")

    def wanted(self) -> NewLot:
        return NewLot(**{**vars(self), "plots": tuple(self.plots)})


class NewStepBody(Body):
    kind: Step = Field(description="packing, shipping or closing.")
    at: Instant
    place: forms.Name
    quantity: forms.Quantity | None = Field(default=None, description="The whole rest of the lot where left out.")

    def wanted(self) -> NewStep:
        return NewStep(self.kind, self.at, self.place, self.quantity)


class Because(Body):
    reason: forms.Reason


class PlotOut(BaseModel):
    id: uuid.UUID
    producer_id: uuid.UUID
    unit: str
    name: str
    growing_area_code: str

    @classmethod
    def of(cls, plot: Plot) -> PlotOut:
        return cls(**{name: getattr(plot, name) for name in cls.model_fields})


class PlotList(BaseModel):
    items: list[PlotOut]
    next: str | None


class EntryOut(BaseModel):
    id: uuid.UUID
    plot_id: uuid.UUID
    day: date
    work: Work
    product: str
    quiet_days: int
    done_by: DoneBy
    households: int
    note: str
    by_staff: bool
    created_at: datetime
    replaces: uuid.UUID | None
    struck_at: datetime | None
    struck_reason: str

    @classmethod
    def of(cls, entry: DiaryEntry) -> EntryOut:
        return cls(**{name: getattr(entry, name) for name in cls.model_fields})


class EntryList(BaseModel):
    items: list[EntryOut]
    next: str | None


class StepOut(BaseModel):
    kind: Step
    at: datetime
    place: str
    quantity: float
    reason: str
    by_staff: bool
    recorded_at: datetime
    event_id: str

    @classmethod
    def of(cls, step: LotStep) -> StepOut:
        values = {name: getattr(step, name) for name in cls.model_fields}
        return cls(**{**values, "quantity": float(step.quantity)})


class LotSummary(BaseModel):
    code: str
    producer_id: uuid.UUID
    product_id: uuid.UUID
    unit: str
    gtin: str
    season_from: date
    harvested_on: date
    quantity: float
    uom: Uom
    households: int
    status: LotStatus
    published_at: datetime | None

    @classmethod
    def of(cls, lot: Lot) -> LotSummary:
        values = {name: getattr(lot, name) for name in LotSummary.model_fields}
        return cls(**{**values, "quantity": float(lot.quantity)})


class LotList(BaseModel):
    items: list[LotSummary]
    next: str | None


class LotOut(LotSummary):
    diary_entries: int
    traceable: bool
    page_url: str
    digital_link: str | None
    plots: list[uuid.UUID]
    steps: list[StepOut]

    @classmethod
    def whole(cls, lot: Lot, standing: Standing, public_url: str) -> LotOut:
        return cls(
            **LotSummary.of(lot).model_dump(),
            diary_entries=standing.counted,
            traceable=standing.traceable,
            page_url=epcis.lot_address(lot.code, public_url),
            digital_link=epcis.label_address(lot, public_url) if lot.gtin else None,
            plots=[plot.id for plot in lot.plots],
            steps=[StepOut.of(step) for step in sorted(lot.steps, key=lambda step: (step.at, step.id))],
        )
