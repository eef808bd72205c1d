"""Owns what may be said of tourism points and bookings, in forms and in JSON, and what an answer is."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from chassis.text import Line, Paragraph
from services.ecommerce.forms import Day, Description, Name, Short
from services.ecommerce.tourism.bookings import AskToCome
from services.ecommerce.tourism.commands import PointFields
from services.ecommerce.tourism.model import MAX_GROUP, Booking, BookingStatus, PointKind, PointStatus, TourismPoint

if TYPE_CHECKING:
    Note: TypeAlias = str
    Phone: TypeAlias = str
    Words: TypeAlias = str
else:
    Note = Line(200, 0)
    Phone = Line(30, 0)
    Words = Paragraph(500)

Hour = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""An hour of the day in Việt Nam, as 07:30."""


def _decimal(typed: Any) -> Any:
    """20,82 is how people here write 20.82."""
    return typed.replace(",", ".") if isinstance(typed, str) else typed


Latitude = Annotated[float, BeforeValidator(_decimal), Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, BeforeValidator(_decimal), Field(ge=-180, le=180, allow_inf_nan=False)]
Weekday = Annotated[int, Field(ge=1, le=7)]
People = Annotated[int, Field(ge=1, le=MAX_GROUP)]


class PointForm(BaseModel):
    """What is said of a point. An unticked box and an empty field are both absent."""

    name: Name
    kind: PointKind
    unit: Short = Field(description="Code of the village it lies in.")
    description: Description = ""
    lat: Latitude | None = Field(default=None, description="WGS 84, degrees.")
    lon: Longitude | None = None
    open_days: list[Weekday] = Field(default=[], max_length=7, description="ISO weekdays, 1 is Monday.")
    opens: Hour | None = Field(default=None, description="Without hours it is open all day.")
    closes: Hour | None = None
    price_note: Note = ""
    phone: Phone = Field(default="", description="Shown to everybody.")
    phone_agreed: bool = Field(default=False, description="Whoever answers the telephone agrees to its being public.")
    takes_bookings: bool = Field(default=False, description="Visitors may ask for a day online.")
    group_limit: People = 20

    def fields(self) -> PointFields:
        return fields_of({name: getattr(self, name) for name in FIELDS})


FIELDS = tuple(PointForm.model_fields)
"""What is said of a point, by the names that forms, JSON and columns share."""


def fields_of(said: dict[str, Any]) -> PointFields:
    opens, closes = (_hour(said[name]) for name in ("opens", "closes"))
    return PointFields(**{**said, "open_days": tuple(said["open_days"]), "opens": opens, "closes": closes})


def _hour(typed: str | time | None) -> time | None:
    return time.fromisoformat(typed) if isinstance(typed, str) else typed


class PointEdit(PointForm):
    """The form of one point on its way back, with the version that was read."""

    producer_id: uuid.UUID | None = None
    version: int | None = None


class NewPoint(PointForm):
    model_config = ConfigDict(extra="forbid")

    producer_id: uuid.UUID | None = Field(default=None, description="Who runs it; null for the commune (staff only).")


class PointChanges(PointForm):
    """What is left out stays as it is. Another telephone number needs a new `phone_agreed`."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    kind: PointKind = PointKind.GARDEN
    unit: Short = ""
    version: int | None = Field(default=None, description="The `version` that was read; another one now is a 412.")

    def changed(self, point: TourismPoint) -> PointFields:
        given = self.model_dump(exclude_unset=True, exclude={"version"})
        known = {name: getattr(point, name) for name in FIELDS if name != "phone_agreed"}
        return fields_of({**known, "kind": PointKind(point.kind), "phone_agreed": "phone" not in given, **given})


class Closing(BaseModel):
    opens_again_on: Day = Field(description="The first day it is open again.")


class BookingForm(BaseModel):
    """Somebody asks to come. The telephone number is for the answer and is shown to whoever runs the point alone."""

    day: Day
    people: People
    name: Name
    phone: Phone = Field(min_length=1)
    words: Words = ""

    def wanted(self) -> AskToCome:
        return AskToCome(self.day, self.people, self.name, self.phone, self.words)


class NewBooking(BookingForm):
    model_config = ConfigDict(extra="forbid")


class AnswerForm(BaseModel):
    accept: bool
    words: Words = ""


class PointOut(BaseModel):
    id: uuid.UUID
    producer: str | None = Field(description="Name of who runs it; null where the commune looks after it.")
    unit: str
    commune: str
    name: str
    kind: PointKind
    description: str
    lat: float | None
    lon: float | None
    open_days: list[int]
    opens: time | None
    closes: time | None
    opens_again_on: date | None
    price_note: str
    phone: str
    takes_bookings: bool
    bookable: bool
    group_limit: int
    status: PointStatus
    open_now: bool
    next_opening: datetime | None
    version: int
    published_at: datetime | None
    page_url: str
    photo_url: str | None

    @classmethod
    def of(cls, point: TourismPoint, at: datetime, public_url: str) -> PointOut:
        return cls(
            **{name: getattr(point, name) for name in FIELDS if name not in ("phone_agreed", "kind")},
            id=point.id,
            producer=point.producer.name if point.producer else None,
            commune=point.commune,
            kind=PointKind(point.kind),
            opens_again_on=point.opens_again_on,
            bookable=point.bookable,
            status=PointStatus(point.status),
            open_now=point.is_open(at),
            next_opening=point.next_opening(at),
            version=point.version,
            published_at=point.published_at,
            page_url=page_url(point, public_url),
            photo_url=photo_url(point, public_url),
        )


class PointList(BaseModel):
    items: list[PointOut]
    next: str | None


class Asked(BaseModel):
    """What both sides see of a request to come."""

    model_config = ConfigDict(from_attributes=True)

    point_id: uuid.UUID
    day: date
    people: int
    status: BookingStatus
    answer: str
    created_at: datetime
    expires_at: datetime
    answered_at: datetime | None


class BookingOut(Asked):
    """What a visitor sees by the code: no name and no telephone number."""

    code: str

    @classmethod
    def of(cls, booking: Booking, at: datetime) -> BookingOut:
        return cls.model_validate(booking).model_copy(update={"status": booking.standing(at)})


class RequestOut(Asked):
    """What whoever runs the point sees; the code is the visitor's alone."""

    id: uuid.UUID
    name: str = Field(description="Empty for who may not read it, and once it was forgotten, some weeks after the day.")
    phone: str
    words: str

    @classmethod
    def opened(cls, booking: Booking, contact: dict[str, str], at: datetime) -> RequestOut:
        asked = Asked.model_validate(booking).model_copy(update={"status": booking.standing(at)})
        said: dict[str, Any] = {name: contact.get(name, "") for name in ("name", "phone", "words")}
        return cls(**asked.model_dump(), id=booking.id, **said)


class RequestList(BaseModel):
    items: list[RequestOut]
    next: str | None


class Position(BaseModel):
    type: Literal["Point"] = "Point"
    coordinates: tuple[float, float] = Field(description="Longitude, latitude (RFC 7946).")


class Feature(BaseModel):
    type: Literal["Feature"] = "Feature"
    id: uuid.UUID
    geometry: Position
    properties: dict[str, Any]

    @classmethod
    def of(cls, point: TourismPoint, at: datetime, public_url: str) -> Feature:
        said = PointOut.of(point, at, public_url).model_dump(mode="json", exclude={"id", "lat", "lon", "version"})
        return cls(id=point.id, geometry=Position(coordinates=(point.lon or 0.0, point.lat or 0.0)), properties=said)


class FeatureCollection(BaseModel):
    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[Feature]
    next: str | None = Field(description="A foreign member: where the next page starts, null on the last one.")


def page_url(point: TourismPoint, public_url: str) -> str:
    return f"{public_url}/ecommerce/tourism/points/{point.id}"


def photo_url(point: TourismPoint, public_url: str) -> str | None:
    """The address of the picture; the digest in it lets a browser keep one picture for good and see the next one."""
    return None if point.photo is None else f"{page_url(point, public_url)}/photo?v={point.photo[:16]}"
