"""Owns the tables of plots, diaries and lots, what may follow what in the life of a lot, and the named errors."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chassis.db import UtcDateTime, new_id
from chassis.errors import DomainError, Kind
from services.ecommerce.model import Base, Producer, Product

MAX_PLOTS = 20
"""Most plots one lot comes from; all of them are locked while it is made."""
MAX_STEPS = 100
"""Most steps of one lot; all of them stand on its page."""
LONGEST_SEASON = timedelta(days=730)
"""Longest time from the beginning of a season to its harvest, and the oldest work that may still be written down."""


class Work(StrEnum):
    SOWING = "sowing"
    WATERING = "watering"
    WEEDING = "weeding"
    FERTILISER = "fertiliser"
    PESTICIDE = "pesticide"
    HARVEST = "harvest"
    OTHER = "other"


class DoneBy(StrEnum):
    """Who did the work, as a role: a diary names no person."""

    PRODUCER = "producer"
    HOUSEHOLDS = "households"
    HIRED = "hired"


class Uom(StrEnum):
    KILOGRAM = "kg"
    TONNE = "tonne"
    LITRE = "litre"
    PIECE = "piece"


class Step(StrEnum):
    HARVEST = "harvest"
    PACKING = "packing"
    SHIPPING = "shipping"
    CLOSING = "closing"
    RECALL = "recall"
    LIFTING = "lifting"


class LotStatus(StrEnum):
    OPEN = "open"
    SHIPPED = "shipped"
    RECALLED = "recalled"
    CLOSED = "closed"


TRANSITIONS: dict[tuple[LotStatus, Step], LotStatus] = {
    (LotStatus.OPEN, Step.PACKING): LotStatus.OPEN,
    (LotStatus.OPEN, Step.SHIPPING): LotStatus.SHIPPED,
    (LotStatus.SHIPPED, Step.SHIPPING): LotStatus.SHIPPED,
    (LotStatus.SHIPPED, Step.CLOSING): LotStatus.CLOSED,
    (LotStatus.OPEN, Step.RECALL): LotStatus.RECALLED,
    (LotStatus.SHIPPED, Step.RECALL): LotStatus.RECALLED,
    # What is sold out still stands in kitchens.
    (LotStatus.CLOSED, Step.RECALL): LotStatus.RECALLED,
}
"""What may follow what; lifting a recall leads back to the status before it. A pair that is not here is refused."""


class HarvestInQuietDays(DomainError):
    code = "harvest_in_quiet_days"
    kind = Kind.CONFLICT
    message = (
        "Chưa hết thời gian cách ly: {plot} dùng {product} ngày {day}, phải cách ly {quiet_days} ngày. "
        "Sớm nhất ngày {first} mới được thu hoạch."
    )


class EntryAlreadyStruck(DomainError):
    code = "entry_already_struck"
    kind = Kind.CONFLICT
    message = "Dòng nhật ký này đã được sửa rồi. Xin mở lại trang và sửa dòng mới."


class StepNotPossible(DomainError):
    code = "lot_step_not_possible"
    kind = Kind.CONFLICT
    message = "Lô hàng đang ở trạng thái không làm được việc này."


class LotAlreadyPacked(DomainError):
    code = "lot_already_packed"
    kind = Kind.CONFLICT
    message = "Lô hàng này đã ghi đóng gói rồi."


class LotNotPacked(DomainError):
    code = "lot_not_packed"
    kind = Kind.CONFLICT
    message = "Phải ghi đóng gói trước khi ghi xuất hàng."


class LotAlreadyPublished(DomainError):
    code = "lot_already_published"
    kind = Kind.CONFLICT
    message = "Lô hàng này đã công khai rồi."


class StepRepeated(DomainError):
    code = "lot_step_repeated"
    kind = Kind.CONFLICT
    message = "Bước này đã được ghi rồi."


class TooManySteps(DomainError):
    code = "too_many_lot_steps"
    kind = Kind.CONFLICT
    message = "Một lô hàng có nhiều nhất {limit} bước."


def after(status: LotStatus, step: Step) -> LotStatus:
    """The status that follows; raises StepNotPossible where the table has none."""
    try:
        return TRANSITIONS[status, step]
    except KeyError:
        raise StepNotPossible() from None


class Plot(Base):
    """A field of a producer; `growing_area_code` is the mã số vùng trồng, empty where none was granted."""

    __tablename__ = "plot"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    producer_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("producer.id"))
    unit: Mapped[str] = mapped_column(sa.Text)
    commune: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    name: Mapped[str] = mapped_column(sa.Text)
    growing_area_code: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    producer: Mapped[Producer] = relationship(lazy="raise")


class DiaryEntry(Base):
    """One line of a plot's diary. It is never changed: a correction strikes it through and may put another below it."""

    __tablename__ = "diary_entry"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    plot_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("plot.id"))
    day: Mapped[date] = mapped_column(sa.Date)
    work: Mapped[str] = mapped_column(sa.Text)
    product: Mapped[str] = mapped_column(sa.Text)
    quiet_days: Mapped[int] = mapped_column(sa.SmallInteger)
    done_by: Mapped[str] = mapped_column(sa.Text)
    households: Mapped[int] = mapped_column(sa.Integer)
    note: Mapped[str] = mapped_column(sa.Text)
    # Whether staff of the commune wrote it down for the producer.
    by_staff: Mapped[bool] = mapped_column(sa.Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    replaces: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("diary_entry.id"))
    struck_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    struck_reason: Mapped[str] = mapped_column(sa.Text, default="")

    @property
    def first_harvest(self) -> date:
        """The first day on which what grows there may be harvested."""
        return self.day + timedelta(days=self.quiet_days)

    def forbids(self, harvest: date) -> bool:
        """Whether it stands, and its quiet days are not over on the day of the harvest."""
        return self.struck_at is None and self.day <= harvest < self.first_harvest


lot_plot = sa.Table(
    "lot_plot",
    Base.metadata,
    sa.Column("lot_id", sa.ForeignKey("lot.id"), primary_key=True),
    sa.Column("plot_id", sa.ForeignKey("plot.id"), primary_key=True),
)


class Lot(Base):
    """What was harvested on one day from some plots for one product; its code and its address never change."""

    __tablename__ = "lot"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    code: Mapped[str] = mapped_column(sa.Text)
    producer_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("producer.id"))
    product_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("product.id"))
    unit: Mapped[str] = mapped_column(sa.Text)
    commune: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    # 14 digits, the check digit right; empty where the product has no GTIN.
    gtin: Mapped[str] = mapped_column(sa.Text)
    season_from: Mapped[date] = mapped_column(sa.Date)
    harvested_on: Mapped[date] = mapped_column(sa.Date)
    quantity: Mapped[Decimal] = mapped_column(sa.Numeric(12, 3))
    uom: Mapped[str] = mapped_column(sa.Text)
    households: Mapped[int] = mapped_column(sa.Integer)
    status: Mapped[str] = mapped_column(sa.Text, default=LotStatus.OPEN.value)
    status_before_recall: Mapped[str] = mapped_column(sa.Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    producer: Mapped[Producer] = relationship(lazy="raise")
    product: Mapped[Product] = relationship(lazy="raise")
    plots: Mapped[list[Plot]] = relationship(secondary=lot_plot, lazy="raise", order_by=Plot.id)
    steps: Mapped[list[LotStep]] = relationship(lazy="raise", order_by="LotStep.at, LotStep.id")

    @property
    def packed(self) -> bool:
        return any(step.kind == Step.PACKING for step in self.steps)

    @property
    def recalled(self) -> bool:
        return self.status == LotStatus.RECALLED

    @property
    def last_reason(self) -> str:
        """Why it was recalled, the newest time."""
        return next((step.reason for step in reversed(self.steps) if step.kind == Step.RECALL), "")


class LotStep(Base):
    """A step of a lot with the EPCIS event it was told as; neither ever changes."""

    __tablename__ = "lot_step"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    lot_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("lot.id"))
    kind: Mapped[str] = mapped_column(sa.Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    place: Mapped[str] = mapped_column(sa.Text)
    quantity: Mapped[Decimal] = mapped_column(sa.Numeric(12, 3))
    reason: Mapped[str] = mapped_column(sa.Text, default="")
    by_staff: Mapped[bool] = mapped_column(sa.Boolean)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    biz_step: Mapped[str] = mapped_column(sa.Text)
    epc_class: Mapped[str] = mapped_column(sa.Text)
    event_id: Mapped[str] = mapped_column(sa.Text)
    event: Mapped[dict[str, Any]] = mapped_column(pg.JSONB)
