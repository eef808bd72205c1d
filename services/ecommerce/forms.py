"""Owns what a person may type into the pages of this service, and what it means."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field

from chassis.text import Line, Paragraph
from chassis.units import VIETNAM, today
from services.ecommerce.channels import MAX_URL
from services.ecommerce.commands import OpenListing, ProductFields, RegisterProducer
from services.ecommerce.model import MAX_PRICE, ProducerKind

if TYPE_CHECKING:
    Name: TypeAlias = str
    Description: TypeAlias = str
    Short: TypeAlias = str
    ShortOrNone: TypeAlias = str
    Decision: TypeAlias = str
    Url: TypeAlias = str
else:
    Name = Line(120)
    Description = Paragraph(4000)
    Short = Line(40)
    ShortOrNone = Line(40, 0)
    Decision = Line(120, 0)
    Url = Line(MAX_URL)

_GROUPED = re.compile(r"\d{1,3}([.,\s ]\d{3})+")


def _dong(typed: Any) -> Any:
    """120.000, 120 000 and 120.000 ₫ are how people write 120000; 12.5 is not a price in đồng."""
    if not isinstance(typed, str):
        return typed
    text = typed.strip().removesuffix("₫").removesuffix("đ").strip()
    return re.sub(r"[.,\s ]", "", text) if _GROUPED.fullmatch(text) else text


Dong = Annotated[int, BeforeValidator(_dong), Field(ge=1, le=MAX_PRICE)]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2100, 1, 1))]


class ProducerForm(BaseModel):
    """A producer registers itself, or an officer registers one."""

    name: Name
    kind: ProducerKind
    unit: Short

    def wanted(self) -> RegisterProducer:
        return RegisterProducer(self.name, self.kind, self.unit)


class ProductForm(BaseModel):
    """What is said of a product."""

    producer_id: uuid.UUID | None = None
    name: Name
    description: Description = ""
    unit: Short
    price: Dong | None = None
    price_unit: ShortOrNone = ""
    ocop_stars: Annotated[int, Field(ge=1, le=5)] | None = None
    ocop_decision: Decision = ""
    version: int | None = None

    def fields(self) -> ProductFields:
        return ProductFields(
            name=self.name,
            description=self.description,
            unit=self.unit,
            price=self.price,
            price_unit=self.price_unit,
            ocop_stars=self.ocop_stars,
            ocop_decision=self.ocop_decision,
        )


class ListingForm(BaseModel):
    """An offer in whole days of Việt Nam: from the first day on, up to and including the last day."""

    channel: Short
    url: Url
    first_day: Day | None = None
    last_day: Day | None = None

    def wanted(self) -> OpenListing:
        begins_later = self.first_day is not None and self.first_day > today()
        return OpenListing(
            channel=self.channel,
            url=self.url,
            valid_from=_midnight(self.first_day) if self.first_day and begins_later else None,
            valid_to=_midnight(self.last_day + timedelta(days=1)) if self.last_day else None,
        )


class KeyForm(BaseModel):
    """The key mark, set or taken away, and the page to return to."""

    key: bool
    back: ShortOrNone = ""


class NoForm(BaseModel):
    """A form that says nothing but that its button was pressed."""


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), VIETNAM).astimezone(UTC)
