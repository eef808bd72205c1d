"""Owns cameras: the table, the one state machine with its hysteresis, intervals, and the named errors."""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, new_id
from chassis.errors import DomainError, Kind
from services.media.model import Base


class CameraState(enum.StrEnum):
    """What the probes say: UNKNOWN while nobody looked, MAINTENANCE while the commune works on it."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"
    MAINTENANCE = "maintenance"


class Place(enum.StrEnum):
    """Where a camera looks, as criterion 288.4 tells the places apart."""

    PUBLIC_PLACE = "public_place"
    MAIN_ROAD = "main_road"


@dataclass(frozen=True, slots=True)
class Health:
    """What is believed of a camera and how many probes in a row have failed."""

    state: CameraState = CameraState.UNKNOWN
    failures: int = 0

    def probed(self, ok: bool, *, failures_to_offline: int) -> Health:
        """The belief after one probe: one success is enough to be online, one failure is not enough to be offline."""
        if self.state is CameraState.MAINTENANCE:
            return self
        if ok:
            return Health(CameraState.ONLINE, 0)
        failures = self.failures + 1
        return Health(CameraState.OFFLINE if failures >= failures_to_offline else self.state, failures)

    def unseen(self) -> Health:
        """The belief after a stretch in which nobody looked."""
        if self.state is CameraState.MAINTENANCE:
            return self
        return replace(self, state=CameraState.UNKNOWN)


class Camera(Base):
    """A camera of a village. The address, with its user name and password, exists only sealed."""

    __tablename__ = "camera"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    unit: Mapped[str] = mapped_column(sa.Text)
    commune: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    name: Mapped[str] = mapped_column(sa.Text)
    place: Mapped[Place] = mapped_column(
        sa.Enum(Place, native_enum=False, values_callable=lambda e: [p.value for p in e])
    )
    sealed_url: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    state: Mapped[CameraState] = mapped_column(
        sa.Enum(CameraState, native_enum=False, values_callable=lambda e: [s.value for s in e])
    )
    state_since: Mapped[datetime] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(default=0)
    in_hub: Mapped[bool] = mapped_column(default=False)
    next_probe_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_probed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_result: Mapped[str | None] = mapped_column(sa.Text)
    last_milliseconds: Mapped[int | None]
    registered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def health(self) -> Health:
        return Health(self.state, self.failures)

    def take(self, health: Health, at: datetime) -> bool:
        """Believe `health` from `at` on; returns whether the state is another one."""
        changed = health.state is not self.state
        self.failures = health.failures
        if changed:
            self.state, self.state_since = health.state, at
        return changed

    def unwatched_since(self, at: datetime, stale: timedelta) -> datetime | None:
        """From when on nobody has looked, if that is longer than `stale` ago; None while it is watched."""
        if self.state not in {CameraState.ONLINE, CameraState.OFFLINE} or self.last_probed_at is None:
            return None
        end = max(self.last_probed_at + stale, self.state_since)
        return end if at > end else None

    def maintain(self, on: bool, at: datetime) -> bool:
        """Begin or end maintenance; returns whether that changed anything."""
        if self.retired_at is not None:
            raise CameraRetired(name=self.name)
        if on == (self.state is CameraState.MAINTENANCE):
            return False
        state = CameraState.MAINTENANCE if on else CameraState.UNKNOWN
        self.next_probe_at = None if on else at
        return self.take(Health(state, 0), at)

    def retire(self, at: datetime) -> None:
        """Take it out of the hub for good and forget its address."""
        if self.retired_at is not None:
            raise CameraRetired(name=self.name)
        self.retired_at, self.in_hub, self.next_probe_at, self.sealed_url = at, False, None, None


class CameraInterval(Base):
    """A stretch of time a camera was in one state; `until` is empty for the present one."""

    __tablename__ = "camera_interval"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    camera_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("camera.id"))
    state: Mapped[str] = mapped_column(sa.Text)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime | None] = mapped_column(UtcDateTime)


@dataclass(frozen=True, slots=True)
class Uptime:
    """Seconds per state within a window; uptime is online / (online + offline), unknown stands beside it."""

    online: int = 0
    offline: int = 0
    unknown: int = 0
    maintenance: int = 0

    @property
    def judged(self) -> int:
        """Seconds for which the state is known: the denominator; 0 means there is no figure."""
        return self.online + self.offline


class CameraRetired(DomainError):
    code: ClassVar[str] = "camera_retired"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Camera “{name}” đã ngừng sử dụng."


class BadAddress(DomainError):
    """The address of a camera is refused; it is never part of the message."""

    code: ClassVar[str] = "bad_address"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = (
        "Địa chỉ camera chưa đúng. Cần dạng rtsp://máy:554/đường-dẫn, không có khoảng trắng hay ký tự lạ."
    )


class ForbiddenAddress(DomainError):
    code: ClassVar[str] = "forbidden_address"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = (
        "Địa chỉ này không phải của một camera trong mạng (địa chỉ nội bộ máy chủ hoặc dành riêng)."
    )
