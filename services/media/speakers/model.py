"""Owns loudspeakers: their tables, the one state machine of a device, and the named errors."""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, new_id
from chassis.errors import DomainError, Kind
from services.media.model import Base


class State(enum.StrEnum):
    """The life cycle a device states of itself, after the Homie convention; UNKNOWN until it was heard once."""

    UNKNOWN = "unknown"
    INIT = "init"
    READY = "ready"
    DISCONNECTED = "disconnected"
    SLEEPING = "sleeping"
    LOST = "lost"


class Source(enum.StrEnum):
    """Which sign of life a report is."""

    STATE = "state"
    BIRTH = "birth"
    HEARTBEAT = "heartbeat"


class Outcome(enum.StrEnum):
    """What a report did: CHANGED the state, was the SAME as known, or was STALE and must not count."""

    CHANGED = "changed"
    SAME = "same"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Report:
    """One sign of life of a device. `birth` numbers its connections; it only ever grows."""

    source: Source
    birth: int
    state: State | None = None
    sequence: int = 0
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What is believed of a device: `silenced` tells a loss by the watchdog from one the device's will reported."""

    state: State = State.UNKNOWN
    birth: int = 0
    sequence: int = 0
    silenced: bool = False

    def hear(self, report: Report) -> tuple[Standing, Outcome]:
        """The belief after `report`.

        A report of an older birth is stale: the will of a dead connection may arrive after the device is back. Within
        one birth a death is final, unless only the watchdog supposed it: then a live sign (never a retained one, which
        the broker repeats from memory) brings the device back.
        """
        if report.birth < self.birth or (report.retained and report.source is Source.HEARTBEAT):
            return self, Outcome.STALE
        if report.birth > self.birth:
            return self._reborn(report)
        if report.source is Source.BIRTH:
            return self, Outcome.SAME
        if report.source is Source.HEARTBEAT:
            return self._beat(report)
        if report.state is None:
            return self, Outcome.STALE
        return self._stated(report, report.state)

    def silence(self) -> tuple[Standing, Outcome]:
        """The belief after too long a silence: a device that should speak is lost."""
        if self.state not in {State.READY, State.INIT}:
            return self, Outcome.SAME
        return replace(self, state=State.LOST, silenced=True), Outcome.CHANGED

    def _reborn(self, report: Report) -> tuple[Standing, Outcome]:
        state = {Source.BIRTH: State.INIT, Source.HEARTBEAT: State.READY, Source.STATE: report.state}[report.source]
        after = Standing(state=state or State.INIT, birth=report.birth, sequence=report.sequence)
        return after, Outcome.SAME if after.state is self.state else Outcome.CHANGED

    def _beat(self, report: Report) -> tuple[Standing, Outcome]:
        dead = self.state is State.DISCONNECTED or (self.state is State.LOST and not self.silenced)
        if dead or report.sequence <= self.sequence:
            return self, Outcome.STALE
        after = replace(self, sequence=report.sequence)
        if self.state in {State.LOST, State.INIT}:
            return replace(after, state=State.READY, silenced=False), Outcome.CHANGED
        return after, Outcome.SAME

    def _stated(self, report: Report, state: State) -> tuple[Standing, Outcome]:
        if self.state is State.LOST and not self.silenced:
            return self, Outcome.SAME if state is State.LOST else Outcome.STALE
        if self.silenced and report.retained and state not in {State.LOST, State.DISCONNECTED, State.SLEEPING}:
            return self, Outcome.STALE
        after = replace(self, state=state, silenced=False)
        return after, Outcome.SAME if state is self.state else Outcome.CHANGED


class Cluster(Base):
    """A residential cluster (cụm dân cư) of a village: the smallest place one asks "does it hear the loudspeaker?"."""

    __tablename__ = "cluster"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    unit: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    name: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Loudspeaker(Base):
    """A loudspeaker of a village. The columns birth, sequence, silenced and state are its Standing."""

    __tablename__ = "loudspeaker"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    unit: Mapped[str] = mapped_column(sa.Text)
    commune: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    name: Mapped[str] = mapped_column(sa.Text)
    smart: Mapped[bool]
    device_id: Mapped[str] = mapped_column(sa.Text, unique=True)
    sealed_secret: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    state: Mapped[State] = mapped_column(
        sa.Enum(State, native_enum=False, values_callable=lambda e: [s.value for s in e])
    )
    state_since: Mapped[datetime] = mapped_column(UtcDateTime)
    birth: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    sequence: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    silenced: Mapped[bool] = mapped_column(default=False)
    last_heartbeat_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    clock_skew_seconds: Mapped[int | None] = mapped_column(sa.Integer)
    last_acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    registered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def standing(self) -> Standing:
        return Standing(state=self.state, birth=self.birth, sequence=self.sequence, silenced=self.silenced)

    @property
    def in_service(self) -> bool:
        return self.retired_at is None

    @property
    def audible(self) -> bool:
        """Whether the clusters it covers count as in earshot."""
        proven = self.last_acknowledged_at is not None
        return self.in_service and self.smart and self.state is State.READY and proven

    def take(self, standing: Standing, now: datetime) -> bool:
        """Believe `standing` from `now` on; returns whether the state is another one."""
        changed = standing.state is not self.state
        self.birth, self.sequence, self.silenced = standing.birth, standing.sequence, standing.silenced
        if changed:
            self.state, self.state_since = standing.state, now
        return changed

    def retire(self, now: datetime) -> None:
        """Take it out of service for good."""
        if self.retired_at is not None:
            raise LoudspeakerRetired(name=self.name)
        self.retired_at = now
        self.sealed_secret = None


class Coverage(Base):
    """Which residential clusters a loudspeaker covers, as the commune found on the spot."""

    __tablename__ = "coverage"

    loudspeaker_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("loudspeaker.id"), primary_key=True)
    cluster_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("cluster.id"), primary_key=True, index=True)


class LoudspeakerInterval(Base):
    """A stretch of time a loudspeaker was in one state; `until` is empty for the present one."""

    __tablename__ = "loudspeaker_interval"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    loudspeaker_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("loudspeaker.id"))
    state: Mapped[str] = mapped_column(sa.Text)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class HubStatus(Base):
    """Whether the MQTT hub has its broker: one row, so that a page can say how old the states are."""

    __tablename__ = "hub_status"

    one: Mapped[bool] = mapped_column(primary_key=True, default=True)
    connected: Mapped[bool]
    since: Mapped[datetime] = mapped_column(UtcDateTime)


class LoudspeakerRetired(DomainError):
    code: ClassVar[str] = "loudspeaker_retired"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Loa “{name}” đã ngừng sử dụng."


class NotSmart(DomainError):
    code: ClassVar[str] = "not_smart"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "“{name}” là loa thường, không có thiết bị để kết nối."


class NotAVillage(DomainError):
    code: ClassVar[str] = "not_a_village"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "{name} không phải là thôn; loa, camera và cụm dân cư thuộc về một thôn."


class NameTaken(DomainError):
    code: ClassVar[str] = "name_taken"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "{unit} đã có “{name}”. Xin đặt tên khác."


class ForeignCluster(DomainError):
    code: ClassVar[str] = "foreign_cluster"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "Có cụm dân cư không thuộc thôn này hoặc đã bỏ."
