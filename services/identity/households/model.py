"""Owns households, what the register of a commune comes to, and the named errors about them.

Where a household lives is personal: address, digital address and point rest sealed in one column and leave this service
only to staff of its village and commune. Events and public counts know whether there is a digital address, not which.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, new_id, now
from chassis.errors import DomainError, Kind, NotFound
from services.identity.model import Base
from services.identity.sealing import Sealer

LIVELIHOODS = {
    "farming": "Nông nghiệp",
    "crafts": "Thủ công",
    "trade": "Thương mại, dịch vụ",
    "wages": "Làm công",
    "other": "Khác",
}
"""What a household mainly lives on."""

POVERTY = {"none": "Không nghèo", "near_poor": "Cận nghèo", "poor": "Nghèo"}
"""What the yearly review of poor and near-poor households found."""

ENDS = {
    "moved": "Hộ chuyển đi nơi khác",
    "merged": "Hộ nhập vào hộ khác",
    "mistake": "Hộ ghi nhầm, ghi trùng",
}
"""Why a household is in the register no longer."""

_COLUMN = "household.place"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a household lives: an address in words, and a digital address (a code with a point in degrees) or none."""

    address: str = ""
    code: str = ""
    lat: float | None = None
    lon: float | None = None

    @property
    def digital(self) -> bool:
        """Whether there is a digital address."""
        return bool(self.code)

    def sealed(self, sealer: Sealer) -> bytes | None:
        """As it rests in the database; None where nothing is known."""
        if self == Place():
            return None
        return sealer.seal(orjson.dumps([self.address, self.code, self.lat, self.lon]).decode(), _COLUMN)

    @classmethod
    def opened(cls, sealer: Sealer, sealed: bytes | None) -> Place:
        """What `sealed` made of it; raises SealBroken."""
        return cls(*orjson.loads(sealer.open(sealed, _COLUMN))) if sealed is not None else cls()


class Household(Base):
    """A household of one village, from the day it was entered to its end; it is told with its whole public state."""

    __tablename__ = "household"
    __table_args__ = (
        sa.Index(
            "uq_household_number",
            "path",
            "number",
            unique=True,
            postgresql_ops={"path": "text_pattern_ops"},
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
        sa.CheckConstraint("people > 0", name="people"),
        sa.CheckConstraint("(poverty IS NULL) = (reviewed_year IS NULL)", name="review"),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_why IS NULL)", name="end"),
    )

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    unit: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    number: Mapped[str] = mapped_column(sa.Text)
    people: Mapped[int] = mapped_column(sa.Integer)
    place_sealed: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    digital_address: Mapped[bool] = mapped_column(sa.Boolean)
    livelihood: Mapped[str | None] = mapped_column(sa.Text)
    poverty: Mapped[str | None] = mapped_column(sa.Text)
    reviewed_year: Mapped[int | None] = mapped_column(sa.Integer)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_why: Mapped[str | None] = mapped_column(sa.Text)

    @property
    def economy_known(self) -> bool:
        """Whether its livelihood and what the yearly review found are both recorded."""
        return self.livelihood is not None and self.poverty is not None


class CommuneRegister(Base):
    """What the register of one commune comes to, as it was last told, and what its staff state of the commune.

    `since` is the first day of the commune it was stated of: what a reorganisation makes of a commune states anew.
    """

    __tablename__ = "household_register"
    __table_args__ = (sa.Index("ix_household_register_path", "path", postgresql_ops={"path": "text_pattern_ops"}),)

    unit: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    path: Mapped[str] = mapped_column(sa.Text)
    since: Mapped[date] = mapped_column(sa.Date)
    villages: Mapped[int] = mapped_column(sa.Integer)
    villages_recorded: Mapped[int] = mapped_column(sa.Integer)
    villages_reviewed: Mapped[int] = mapped_column(sa.Integer)
    year: Mapped[int] = mapped_column(sa.Integer)
    households: Mapped[int] = mapped_column(sa.Integer)
    households_located: Mapped[int] = mapped_column(sa.Integer)
    people: Mapped[int] = mapped_column(sa.Integer)
    households_in_all: Mapped[int] = mapped_column(sa.Integer)
    offices: Mapped[int] = mapped_column(sa.Integer)
    offices_located: Mapped[int] = mapped_column(sa.Integer)

    def take(self, values: Mapping[str, Any]) -> set[str]:
        """Set what differs; returns the names of what did."""
        different = {name for name, value in values.items() if getattr(self, name) != value}
        for name in different:
            setattr(self, name, values[name])
        return different


class NoSuchHousehold(NotFound):
    code = "no_such_household"
    message = "Không có hộ này trong sổ hộ."


class NotAVillage(DomainError):
    code = "not_a_village"
    kind = Kind.CONFLICT
    message = "Hộ được ghi theo thôn, khu dân cư."


class NotACommune(DomainError):
    code = "not_a_commune"
    kind = Kind.CONFLICT
    message = "Sổ hộ được lập ở xã, phường, thị trấn."


class OtherCommune(DomainError):
    code = "other_commune"
    kind = Kind.CONFLICT
    message = "Hộ chỉ chuyển giữa các thôn trong xã. Hộ sang xã khác thì đưa ra khỏi sổ ở đây, ghi mới ở xã đó."


class NumberTaken(DomainError):
    code = "household_number_taken"
    kind = Kind.CONFLICT
    message = "Số {number} đã là của một hộ khác trong thôn."


class HouseholdEnded(DomainError):
    code = "household_ended"
    kind = Kind.CONFLICT
    message = "Hộ này không còn trong sổ hộ."
