"""Owns test bulletins: their tables, what a stage of acknowledgement proves, and the named errors."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, new_id
from chassis.errors import DomainError, Kind
from services.media.model import Base


class Stage(enum.StrEnum):
    """How far a loudspeaker came with a bulletin, in order; FAILED is its own admission."""

    RECEIVED = "received"
    FETCHED = "fetched"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"


class Verdict(enum.StrEnum):
    """Whether an acknowledgement counts as proof, and why not where it does not."""

    COUNTED = "counted"
    LATE = "late"
    CANCELLED = "cancelled"
    SHORT = "short"
    RETIRED = "retired"


class Progress(enum.StrEnum):
    """Where a bulletin stands as a whole."""

    UNDER_WAY = "under_way"
    FINISHED = "finished"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Bulletin(Base):
    """A test bulletin for the loudspeakers of one village. It is worth nothing after `expires_at`."""

    __tablename__ = "bulletin"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    unit: Mapped[str] = mapped_column(sa.Text)
    commune: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    seconds: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(sa.Text)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def judge(self, stage: Stage, seconds: float | None, at: datetime) -> Verdict:
        """What an acknowledgement received at `at` proves. The server's clock decides, never the device's."""
        if self.cancelled_at is not None:
            return Verdict.CANCELLED
        if at > self.expires_at:
            return Verdict.LATE
        if stage is Stage.FINISHED and (seconds is None or seconds < self.seconds * 0.9):
            return Verdict.SHORT
        return Verdict.COUNTED

    def progress(self, now: datetime, *, targets: int, finished: int) -> Progress:
        """Where it stands at `now`, `finished` of `targets` loudspeakers having played it to the end."""
        if targets and finished >= targets:
            return Progress.FINISHED
        if self.cancelled_at is not None:
            return Progress.CANCELLED
        return Progress.EXPIRED if now > self.expires_at else Progress.UNDER_WAY

    def cancel(self, now: datetime, *, targets: int, finished: int) -> None:
        """Stop it; raises BulletinOver when there is nothing left to stop."""
        if self.progress(now, targets=targets, finished=finished) is not Progress.UNDER_WAY:
            raise BulletinOver
        self.cancelled_at = now


class Delivery(Base):
    """A bulletin's command to one loudspeaker; its id is the command's id, by which the device tells repetitions."""

    __tablename__ = "delivery"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    bulletin_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("bulletin.id"))
    loudspeaker_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("loudspeaker.id"))
    next_send_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    first_sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    cancel_sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Acknowledgement(Base):
    """One stage acknowledged once: a replay finds its row and changes nothing."""

    __tablename__ = "acknowledgement"

    delivery_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("delivery.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    verdict: Mapped[str] = mapped_column(sa.Text)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    device_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    seconds: Mapped[float | None]


class NoLoudspeakers(DomainError):
    code: ClassVar[str] = "no_loudspeakers"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "{unit} chưa có loa thông minh nào đang sử dụng để phát thử."


class ForeignLoudspeaker(DomainError):
    code: ClassVar[str] = "foreign_loudspeaker"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "Có loa không thuộc thôn này, không phải loa thông minh hoặc đã ngừng sử dụng."


class BulletinOver(DomainError):
    code: ClassVar[str] = "bulletin_over"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Bản tin này đã phát xong, đã hủy hoặc đã hết hạn."


class BulletinUnderWay(DomainError):
    code: ClassVar[str] = "bulletin_under_way"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "{unit} đang phát thử một bản tin khác. Xin đợi phát xong hoặc hủy bản tin đó."


class ForeignDelivery(DomainError):
    code: ClassVar[str] = "foreign_delivery"
    kind: ClassVar[Kind] = Kind.NOT_FOUND
    message: ClassVar[str] = "Lệnh phát này không phải của loa này."
