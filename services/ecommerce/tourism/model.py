"""Owns the tables of tourism points and bookings, the life of both, when a point is open, and the named errors."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chassis.db import UtcDateTime, new_id
from chassis.errors import DomainError, Kind
from chassis.units import VIETNAM, today
from services.ecommerce.model import Base, Producer

MAX_GROUP = 500
"""Most people of one booking anywhere."""
OPEN_REQUESTS = 20
"""Most bookings of one point for one day that are asked for or accepted."""
REQUESTS_A_DAY = 60
"""Most bookings that one point takes in within 24 hours: past that somebody is playing with the form."""
AHEAD = timedelta(days=180)
ANSWER_WITHIN = timedelta(hours=72)
"""A request nobody answered by then has expired; also when the place closes on the day that was asked for."""
CONTACT_KEPT = timedelta(days=30)
"""How long what visitors and hosts wrote to each other is kept: after the day, or after a request came to nothing."""
CLOSED_AT_MOST = timedelta(days=366)


class PointKind(StrEnum):
    GARDEN = "garden"
    FARM = "farm"
    CRAFT_VILLAGE = "craft_village"
    HERITAGE = "heritage"
    HOMESTAY = "homestay"
    LANDSCAPE = "landscape"


class PointStatus(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    CLOSED = "closed"


class BookingStatus(StrEnum):
    REQUESTED = "requested"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"


class PointNotInState(DomainError):
    code = "point_not_in_state"
    kind = Kind.CONFLICT
    message = "Điểm du lịch này không ở trạng thái làm được việc đó. Xin tải lại trang."


class PointChangedMeanwhile(DomainError):
    code = "point_changed_meanwhile"
    kind = Kind.PRECONDITION
    message = "Điểm du lịch vừa được người khác sửa. Xin xem lại bản mới rồi sửa tiếp."


class NotBookable(DomainError):
    code = "not_bookable"
    kind = Kind.CONFLICT
    message = "Điểm này hiện không nhận đặt chỗ qua mạng."


class DayFull(DomainError):
    code = "day_full"
    kind = Kind.CONFLICT
    message = "Ngày này đã có nhiều người hỏi đặt chỗ. Xin chọn ngày khác."


class TooManyRequests(DomainError):
    code = "too_many_requests"
    kind = Kind.RATE_LIMITED
    message = "Điểm này vừa nhận quá nhiều yêu cầu. Xin gọi điện hoặc thử lại vào ngày mai."


class BookingSettled(DomainError):
    code = "booking_settled"
    kind = Kind.CONFLICT
    message = "Yêu cầu này đã được trả lời hoặc đã hết hạn."


class TourismPoint(Base):
    """A place to visit in one village, run by a producer or, without one, looked after by the commune.

    `open_days` are ISO weekdays (1 is Monday), none where nobody said when it is open; without hours it is open all
    day. `phone` is there only where whoever answers it agreed to its being public.
    """

    __tablename__ = "tourism_point"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    producer_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("producer.id"))
    unit: Mapped[str] = mapped_column(sa.Text)
    commune: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    name: Mapped[str] = mapped_column(sa.Text)
    kind: Mapped[str] = mapped_column(sa.Text)
    description: Mapped[str] = mapped_column(sa.Text)
    lat: Mapped[float | None] = mapped_column(sa.Float)
    lon: Mapped[float | None] = mapped_column(sa.Float)
    open_days: Mapped[list[int]] = mapped_column(sa.ARRAY(sa.SmallInteger))
    opens: Mapped[time | None] = mapped_column(sa.Time)
    closes: Mapped[time | None] = mapped_column(sa.Time)
    price_note: Mapped[str] = mapped_column(sa.Text)
    phone: Mapped[str] = mapped_column(sa.Text)
    takes_bookings: Mapped[bool] = mapped_column(sa.Boolean)
    group_limit: Mapped[int] = mapped_column(sa.Integer)
    status: Mapped[str] = mapped_column(sa.Text)
    opens_again_on: Mapped[date | None] = mapped_column(sa.Date)
    photo: Mapped[str | None] = mapped_column(sa.Text)
    version: Mapped[int] = mapped_column(sa.Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fold: Mapped[str] = mapped_column(sa.Text, sa.Computed("xaso_fold(name || ' ' || description)"), deferred=True)

    producer: Mapped[Producer | None] = relationship(lazy="raise")

    @property
    def public(self) -> bool:
        return self.status != PointStatus.DRAFT

    @property
    def has_opening(self) -> bool:
        return bool(self.open_days)

    @property
    def bookable(self) -> bool:
        """Whether a visitor can ask for a day here now."""
        return self.takes_bookings and self.has_opening and self.status == PointStatus.PUBLISHED

    def opens_on(self, day: date) -> bool:
        """Whether it is open at some time of the day."""
        return day.isoweekday() in self.open_days and (self.opens_again_on is None or day >= self.opens_again_on)

    def ends_on(self, day: date) -> datetime:
        """The instant at which a day is over for visitors: when it closes, else midnight."""
        if self.closes is None:
            return midnight(day + timedelta(days=1))
        return datetime.combine(day, self.closes, VIETNAM).astimezone(UTC)

    def is_open(self, at: datetime) -> bool:
        """Whether a visitor who comes at `at` finds it open."""
        local = at.astimezone(VIETNAM)
        if not self.opens_on(local.date()):
            return False
        return self.opens is None or self.closes is None or self.opens <= local.time() < self.closes

    def next_opening(self, at: datetime) -> datetime | None:
        """The next instant, after `at`, at which it opens; None where nobody said when it does."""
        if not self.open_days:
            return None
        first = at.astimezone(VIETNAM).date()
        if self.opens_again_on is not None:
            first = max(first, self.opens_again_on)
        for ahead in range(8):
            begins = datetime.combine(first + timedelta(days=ahead), self.opens or time(), VIETNAM)
            if self.opens_on(begins.date()) and begins > at:
                return begins.astimezone(UTC)
        return None

    def touch(self, at: datetime) -> None:
        self.version += 1
        self.changed_at = at


class Booking(Base):
    """A visitor asks to come on a day; the operator says yes or no in words. `code` is the visitor's way back to it."""

    __tablename__ = "tourism_booking"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    point_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("tourism_point.id"))
    code: Mapped[str] = mapped_column(sa.Text, unique=True)
    day: Mapped[date] = mapped_column(sa.Date)
    people: Mapped[int] = mapped_column(sa.Integer)
    contact: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    account: Mapped[str | None] = mapped_column(sa.Text)
    status: Mapped[str] = mapped_column(sa.Text)
    answer: Mapped[str] = mapped_column(sa.Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def standing(self, at: datetime) -> BookingStatus:
        """Its status at an instant: a request that nobody answered in time has expired, written so yet or not."""
        if self.status == BookingStatus.REQUESTED and self.expires_at <= at:
            return BookingStatus.EXPIRED
        return BookingStatus(self.status)

    def may_be_called_off(self) -> bool:
        """Whether a yes may still become a no: the day is not over."""
        return self.status == BookingStatus.ACCEPTED and self.day >= today()

    def stands(self, at: datetime) -> bool:
        """Whether somebody still means to come."""
        return self.may_be_called_off() or self.standing(at) is BookingStatus.REQUESTED


class PointPhoto(Base):
    """The picture of a point, small and bare of everything but pixels, as that of a product."""

    __tablename__ = "tourism_photo"

    point_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("tourism_point.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(sa.Text)
    width: Mapped[int] = mapped_column(sa.Integer)
    height: Mapped[int] = mapped_column(sa.Integer)
    jpeg: Mapped[bytes] = mapped_column(sa.LargeBinary)
    thumb: Mapped[bytes] = mapped_column(sa.LargeBinary)
    stored_at: Mapped[datetime] = mapped_column(UtcDateTime)


def midnight(day: date) -> datetime:
    """The instant a day begins in Việt Nam."""
    return datetime.combine(day, time(), VIETNAM).astimezone(UTC)
