"""Owns the rules that watch cameras: tables, when a rule begins to warn and when it stops, and the named errors."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime, timedelta
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, new_id
from chassis.errors import DomainError
from chassis.errors import Kind as ErrorKind
from chassis.units import VIETNAM
from services.media.model import Base

Point = tuple[int, int]
"""A place in a picture: percentages of its width from the left and of its height from the top, whole numbers."""

FRESH = timedelta(hours=1)
"""For how long an evaluation says that a camera is watched."""
MOST_RULES = 12
MOST_POINTS = 12


class Kind(enum.StrEnum):
    """What a rule looks for: no picture at all, the same picture again and again, nothing to be seen, motion in a zone,
    motion over a line. The last two are drawn into the picture.
    """

    NO_PICTURE = "no_picture"
    FROZEN = "frozen"
    COVERED = "covered"
    ZONE = "zone"
    LINE = "line"

    @property
    def drawn(self) -> bool:
        return self in (Kind.ZONE, Kind.LINE)


class Verdict(enum.StrEnum):
    """What a person says of an alert."""

    NEW = "new"
    CONFIRMED = "confirmed"
    FALSE_ALARM = "false_alarm"


def _kind() -> sa.Enum:
    return sa.Enum(Kind, native_enum=False, length=16, values_callable=lambda e: [k.value for k in e])


class Rule(Base):
    """A rule of one camera. `checks` looks in a row must find it before it warns.

    What is drawn has `points` (corners of the zone, ends of the line) and the minutes of the day (Asia/Ho_Chi_Minh)
    between which it warns; `from_minute` = `to_minute` is all day, a later `from_minute` goes over midnight. Of a zone
    `share` percent must move.
    """

    __tablename__ = "camera_rule"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    camera_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("camera.id"))
    kind: Mapped[Kind] = mapped_column(_kind())
    name: Mapped[str] = mapped_column(sa.Text, default="")
    checks: Mapped[int] = mapped_column(default=1)
    points: Mapped[list[list[int]]] = mapped_column(JSONB, default=list)
    share: Mapped[int] = mapped_column(default=0)
    from_minute: Mapped[int] = mapped_column(default=0)
    to_minute: Mapped[int] = mapped_column(default=0)
    paused: Mapped[bool] = mapped_column(default=False)
    streak: Mapped[int] = mapped_column(default=0)
    warning: Mapped[bool] = mapped_column(default=False)
    last_alert_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    said_at: Mapped[datetime] = mapped_column(UtcDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def drawing(self) -> tuple[Point, ...]:
        return tuple((x, y) for x, y in self.points)

    def awake(self, at: datetime) -> bool:
        """Whether it warns at this time of the day."""
        local = at.astimezone(VIETNAM)
        minute = local.hour * 60 + local.minute
        if self.from_minute <= self.to_minute:
            return self.from_minute == self.to_minute or self.from_minute <= minute < self.to_minute
        return minute >= self.from_minute or minute < self.to_minute

    def take(self, found: bool, at: datetime, *, quiet: timedelta) -> bool:
        """Believe one look; returns whether an alert begins. After one, `quiet` passes before the next."""
        if not found:
            self.streak, self.warning = 0, False
            return False
        self.streak = min(self.streak + 1, self.checks)
        rested = self.last_alert_at is None or at - self.last_alert_at >= quiet
        if self.warning or self.streak < self.checks or not rested:
            return False
        self.warning, self.last_alert_at = True, at
        return True

    def begin(self, at: datetime) -> None:
        """Begin anew: what was seen so far was seen for other words, or before a pause."""
        self.said_at, self.streak, self.warning, self.last_alert_at = at, 0, False, None


class Watch(Base):
    """Whether a camera is watched: when it is looked at next, what the last look found, and what was told of it."""

    __tablename__ = "camera_watch"

    camera_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("camera.id"), primary_key=True)
    rules_active: Mapped[int] = mapped_column(default=0)
    working: Mapped[bool] = mapped_column(default=False)
    next_look_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_look_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_result: Mapped[str | None] = mapped_column(sa.Text)
    evaluated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fingerprint: Mapped[bytes | None] = mapped_column(sa.LargeBinary)

    def works(self, at: datetime) -> bool:
        """Whether an active rule was evaluated on a decoded picture within the last hour."""
        return self.rules_active > 0 and self.evaluated_at is not None and at - self.evaluated_at < FRESH


class Alert(Base):
    """Something a rule found. `snapshot` is one sealed JPEG picture, kept for a few weeks; `ended_at` is empty while it
    goes on.
    """

    __tablename__ = "camera_alert"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    camera_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("camera.id"))
    rule_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("camera_rule.id"))
    kind: Mapped[Kind] = mapped_column(_kind())
    unit: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    verdict: Mapped[Verdict] = mapped_column(
        sa.Enum(Verdict, native_enum=False, length=16, values_callable=lambda e: [v.value for v in e]),
        default=Verdict.NEW,
    )
    judged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    judged_by: Mapped[str | None] = mapped_column(sa.Text)
    judged_name: Mapped[str] = mapped_column(sa.Text, default="")
    has_snapshot: Mapped[bool] = mapped_column(default=False)
    snapshot: Mapped[bytes | None] = mapped_column(sa.LargeBinary, deferred=True)


class RuleThere(DomainError):
    code: ClassVar[str] = "rule_there"
    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    message: ClassVar[str] = "Camera này đã có quy tắc đó. Hãy sửa quy tắc đang có."


class TooManyRules(DomainError):
    code: ClassVar[str] = "too_many_rules"
    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    message: ClassVar[str] = "Mỗi camera có nhiều nhất {most} quy tắc."


class BadZone(DomainError):
    code: ClassVar[str] = "bad_zone"
    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    message: ClassVar[str] = "Vùng cần từ 3 đến {most} đỉnh, mỗi đỉnh dạng ngang,dọc từ 0 đến 100, và có diện tích."


class BadLine(DomainError):
    code: ClassVar[str] = "bad_line"
    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    message: ClassVar[str] = "Vạch cần đúng hai đầu cách xa nhau, mỗi đầu dạng ngang,dọc từ 0 đến 100."


class SnapshotGone(DomainError):
    code: ClassVar[str] = "snapshot_gone"
    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    message: ClassVar[str] = "Ảnh của cảnh báo này không còn được lưu."
