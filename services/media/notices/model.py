"""Owns notices to phones, subscriptions, pushes and the rules of waste collection: tables, states, named errors."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterable
from datetime import date, datetime, time
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, new_id
from chassis.errors import DomainError, Kind
from services.media.model import Base


class Topic(enum.StrEnum):
    """What a notice is about; residents choose by it."""

    GENERAL = "general"
    LAW = "law"
    CLIMATE = "climate"
    WASTE_CALENDAR = "waste_calendar"
    HEALTH = "health"
    AGRICULTURE = "agriculture"
    SECURITY = "security"


class Status(enum.StrEnum):
    """Where a notice stands."""

    SCHEDULED = "scheduled"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


class Waste(enum.StrEnum):
    """What is collected."""

    HOUSEHOLD = "household"
    RECYCLABLE = "recyclable"
    BULKY = "bulky"
    HAZARDOUS = "hazardous"


class Notice(Base):
    """A notice for a village, for several, or (no `villages` named) for a whole commune.

    `collection_on` marks the reminders that the waste calendar makes by itself. `told_…` is what the last event said.
    """

    __tablename__ = "notice"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    unit: Mapped[str] = mapped_column(sa.Text)
    commune: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    villages: Mapped[list[str]] = mapped_column(ARRAY(sa.Text), default=list)
    topic: Mapped[str] = mapped_column(sa.Text)
    title: Mapped[str] = mapped_column(sa.Text)
    text: Mapped[str] = mapped_column(sa.Text)
    status: Mapped[str] = mapped_column(sa.Text)
    publish_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(sa.Text)
    collection_on: Mapped[date | None]
    subscriptions: Mapped[int] = mapped_column(default=0)
    received: Mapped[int] = mapped_column(default=0)
    opened: Mapped[int] = mapped_column(default=0)
    told_received: Mapped[int] = mapped_column(default=0)
    told_opened: Mapped[int] = mapped_column(default=0)
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def publish(self, at: datetime, phones: int) -> None:
        """From now on everybody may read it; `phones` have subscribed."""
        self.status, self.published_at, self.subscriptions = Status.PUBLISHED, at, phones

    def withdraw(self, at: datetime) -> bool:
        """Take it back; says whether it was public. Raises NoticeWithdrawn the second time."""
        if self.status == Status.WITHDRAWN:
            raise NoticeWithdrawn
        self.status, self.withdrawn_at = Status.WITHDRAWN, at
        return self.published_at is not None


class Subscription(Base):
    """A phone that wants the notices of a village; `topics` empty means all.

    Where it is reached and its keys exist only sealed; `fingerprint` finds it again by the address the phone shows.
    """

    __tablename__ = "subscription"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    unit: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    topics: Mapped[list[str]] = mapped_column(ARRAY(sa.Text), default=list)
    fingerprint: Mapped[bytes]
    sealed: Mapped[bytes]
    failures: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Push(Base):
    """A notice on its way to one phone; `next_try_at` is empty once there is nothing left to try."""

    __tablename__ = "push"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    notice_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("notice.id"))
    subscription_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("subscription.id", ondelete="SET NULL"))
    next_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    opened_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WasteRule(Base):
    """When a kind of waste is collected in a village: on weekdays (1 is Monday) or on days of the month."""

    __tablename__ = "waste_rule"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    unit: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    kind: Mapped[str] = mapped_column(sa.Text)
    weekdays: Mapped[list[int]] = mapped_column(ARRAY(sa.SmallInteger), default=list)
    month_days: Mapped[list[int]] = mapped_column(ARRAY(sa.SmallInteger), default=list)
    at: Mapped[time]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def falls_on(self, day: date) -> bool:
        """Whether there is a collection on `day`."""
        return day.isoweekday() in self.weekdays or day.day in self.month_days


def next_collection(rules: Iterable[WasteRule], after: date) -> date | None:
    """The first day after `after` on which one of `rules` has a collection; None where there is none in sight.

    Two months are looked at: every day of the month there is comes within them.
    """
    days = (date.fromordinal(after.toordinal() + step) for step in range(1, 63))
    listed = list(rules)
    return next((day for day in days if any(rule.falls_on(day) for rule in listed)), None)


class NoticeWithdrawn(DomainError):
    code: ClassVar[str] = "notice_withdrawn"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Thông báo này đã được thu hồi."


class ForeignVillage(DomainError):
    code: ClassVar[str] = "foreign_village"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "Có thôn không thuộc {unit}."


class WrongPlace(DomainError):
    code: ClassVar[str] = "notice_place"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "Thông báo gửi cho một xã hoặc các thôn của xã, {name} không phải xã hay thôn."


class WrongTime(DomainError):
    code: ClassVar[str] = "notice_time"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "Giờ đăng phải sau bây giờ và trong vòng một năm."


class BadSubscription(DomainError):
    code: ClassVar[str] = "bad_subscription"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "Máy này gửi một địa chỉ nhận thông báo không dùng được."


class VillageFull(DomainError):
    code: ClassVar[str] = "village_full"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "{unit} đã có quá nhiều máy đăng ký. Xin báo cho cán bộ xã."


class WrongDays(DomainError):
    code: ClassVar[str] = "waste_days"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "Hãy chọn các ngày trong tuần, hoặc các ngày trong tháng, không phải cả hai."
