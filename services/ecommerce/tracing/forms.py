"""Owns what may be typed or sent about plots, diaries and lots, and what it means."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from chassis.text import Line, Paragraph
from chassis.units import VIETNAM
from services.ecommerce.tracing.commands import NewLot, NewStep
from services.ecommerce.tracing.diaries import EntryFields, NewPlot
from services.ecommerce.tracing.model import DoneBy, Step, Uom, Work

if TYPE_CHECKING:
    Name: TypeAlias = str
    Short: TypeAlias = str
    ShortOrNone: TypeAlias = str
    LineOrNone: TypeAlias = str
    Note: TypeAlias = str
    Reason: TypeAlias = str
else:
    Name = Line(120)
    Short = Line(40)
    ShortOrNone = Line(40, 0)
    LineOrNone = Line(120, 0)
    Note = Paragraph(500)
    Reason = Paragraph(500, 5)

_GROUPED = re.compile(r"\d{1,3}([.\s ]\d{3})+(,\d+)?")


def _decimal(typed: Any) -> Any:
    """1.250,5 and 12,5 are how people write 1250.5 and 12.5; 12.5 stays what it is."""
    if not isinstance(typed, str):
        return typed
    text = typed.strip()
    if _GROUPED.fullmatch(text):
        text = re.sub(r"[.\s ]", "", text)
    return text.replace(",", ".")


def _local(typed: datetime) -> datetime:
    """The time of a form is the time in Việt Nam."""
    if not 2000 <= typed.year < 2100:
        raise PydanticCustomError("far_away", "Xin ghi ngày giờ sau năm 2000.")
    return (typed.replace(tzinfo=VIETNAM) if typed.tzinfo is None else typed).astimezone(UTC)


MAX_QUANTITY = Decimal(999_999_999)
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2100, 1, 1))]
Quantity = Annotated[Decimal, Field(gt=0, le=MAX_QUANTITY, decimal_places=3)]
Amount = Annotated[Quantity, BeforeValidator(_decimal)]
"""A quantity as people type it; programs write a `Quantity`, in which 1.250 is one and a quarter."""
QuietDays = Annotated[int, Field(ge=0, le=365)]
Households = Annotated[int, Field(ge=0, le=10_000)]
LocalTime = Annotated[datetime, AfterValidator(_local)]


class PlotForm(BaseModel):
    name: Name
    unit: Short
    growing_area_code: ShortOrNone = ""

    def wanted(self) -> NewPlot:
        return NewPlot(self.name, self.unit, self.growing_area_code)


class EntryForm(BaseModel):
    day: Day
    work: Work
    product: LineOrNone = ""
    quiet_days: QuietDays | None = None
    done_by: DoneBy = DoneBy.PRODUCER
    households: Households = 0
    note: Note = ""

    def fields(self) -> EntryFields:
        return EntryFields(**{name: getattr(self, name) for name in EntryFields.__dataclass_fields__})


class CorrectionForm(EntryForm):
    """What should have been written, and why it was not."""

    reason: Reason


class LotForm(BaseModel):
    product_id: uuid.UUID
    plots: list[uuid.UUID]
    season_from: Day
    harvested_on: Day
    quantity: Amount
    uom: Uom
    households: Households = 0
    gtin: ShortOrNone = ""

    def wanted(self) -> NewLot:
        return NewLot(**{**vars(self), "plots": tuple(self.plots)})


class StepForm(BaseModel):
    kind: Step
    at: LocalTime
    place: Name
    quantity: Amount | None = None

    def wanted(self) -> NewStep:
        return NewStep(self.kind, self.at, self.place, self.quantity)


class ReasonForm(BaseModel):
    reason: Reason
