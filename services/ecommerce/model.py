"""Owns the tables of producers, products and listings, the life of a product, and the named errors of both.

Indexes and constraints of the tables stand in the migrations, which are what a database really has.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from chassis.db import NAMING, UtcDateTime, new_id
from chassis.errors import DomainError, Kind

MAX_PRICE = 1_000_000_000_000
"""Highest price in đồng; above it somebody's finger stayed on the zero."""


class ProducerKind(StrEnum):
    COOPERATIVE = "cooperative"
    HOUSEHOLD = "household"
    FIRM = "firm"


class Status(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


class Action(StrEnum):
    PUBLISH = "publish"
    WITHDRAW = "withdraw"


TRANSITIONS: dict[tuple[Status, Action], Status] = {
    (Status.DRAFT, Action.PUBLISH): Status.PUBLISHED,
    (Status.PUBLISHED, Action.WITHDRAW): Status.WITHDRAWN,
    # A withdrawal made by mistake, or a product of the season before, comes back under its old address and QR code.
    (Status.WITHDRAWN, Action.PUBLISH): Status.PUBLISHED,
}
"""The one table of what may follow what; a pair that is not here is refused."""


class Phase(StrEnum):
    """Where a listing stands in its validity at one instant."""

    PLANNED = "planned"
    OPEN = "open"
    ENDED = "ended"


class ProductNotPublishable(DomainError):
    code = "product_not_publishable"
    kind = Kind.CONFLICT
    message = "Sản phẩm này đang được đăng bán rồi."


class ProductNotWithdrawable(DomainError):
    code = "product_not_withdrawable"
    kind = Kind.CONFLICT
    message = "Chỉ gỡ được sản phẩm đang đăng bán."


class ProductChangedMeanwhile(DomainError):
    code = "product_changed_meanwhile"
    kind = Kind.PRECONDITION
    message = "Sản phẩm vừa được người khác sửa. Xin xem lại bản mới rồi sửa tiếp."


class ListingOverlaps(DomainError):
    code = "listing_overlaps"
    kind = Kind.CONFLICT
    message = "Sản phẩm đã có một lượt bán ở kênh và địa chỉ này trong khoảng thời gian đó."


class ListingAlreadyEnded(DomainError):
    code = "listing_already_ended"
    kind = Kind.CONFLICT
    message = "Lượt bán này đã kết thúc."


class ListingStillOpen(DomainError):
    code = "listing_still_open"
    kind = Kind.CONFLICT
    message = "Lượt bán này chưa kết thúc."


class TooManyListings(DomainError):
    code = "too_many_listings"
    kind = Kind.CONFLICT
    message = "Một sản phẩm có nhiều nhất {limit} lượt bán chưa kết thúc."


REFUSALS: dict[Action, type[DomainError]] = {
    Action.PUBLISH: ProductNotPublishable,
    Action.WITHDRAW: ProductNotWithdrawable,
}


def after(status: Status, action: Action) -> Status:
    """The status that follows; raises the named refusal where the table has none."""
    try:
        return TRANSITIONS[status, action]
    except KeyError:
        raise REFUSALS[action]() from None


class Base(DeclarativeBase):
    metadata = sa.MetaData(naming_convention=NAMING)


class Producer(Base):
    """Whoever grows or makes products: a cooperative, a household or a firm."""

    __tablename__ = "producer"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(sa.Text)
    kind: Mapped[str] = mapped_column(sa.Text)
    unit: Mapped[str] = mapped_column(sa.Text)
    commune: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    account: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


MAX_OPEN_LISTINGS = 50
"""Most listings of one product that have not ended; every event of the product names them all."""


class Listing(Base):
    """A product offered on one channel at one address, from an instant to an instant (or without an end)."""

    __tablename__ = "listing"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    product_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("product.id"))
    channel: Mapped[str] = mapped_column(sa.Text)
    url: Mapped[str] = mapped_column(sa.Text)
    valid_from: Mapped[datetime] = mapped_column(UtcDateTime)
    valid_to: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When its beginning and its end were told; the clock's work list is what is due and not told.
    opened_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def phase(self, now: datetime) -> Phase:
        """Planned before `valid_from`, ended from `valid_to` on or when called off before it began, open between."""
        if self.valid_to is not None and (self.valid_to <= now or self.called_off):
            return Phase.ENDED
        return Phase.OPEN if self.valid_from <= now else Phase.PLANNED

    @property
    def called_off(self) -> bool:
        """Ended before it began: its validity is empty."""
        return self.valid_to == self.valid_from

    def overlaps(self, begin: datetime, end: datetime | None) -> bool:
        """Whether its validity shares an instant with [begin, end)."""
        if self.called_off:
            return False
        return (self.valid_to is None or begin < self.valid_to) and (end is None or self.valid_from < end)


class Product(Base):
    """A product of one village; its public address and QR code never change."""

    __tablename__ = "product"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    producer_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("producer.id"))
    unit: Mapped[str] = mapped_column(sa.Text)
    commune: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    name: Mapped[str] = mapped_column(sa.Text)
    description: Mapped[str] = mapped_column(sa.Text)
    price: Mapped[int | None] = mapped_column(sa.BigInteger)
    price_unit: Mapped[str] = mapped_column(sa.Text, default="")
    ocop_stars: Mapped[int | None] = mapped_column(sa.SmallInteger)
    ocop_decision: Mapped[str] = mapped_column(sa.Text, default="")
    key_product: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    status: Mapped[str] = mapped_column(sa.Text, default=Status.DRAFT.value)
    version: Mapped[int] = mapped_column(sa.Integer, default=1)
    photo: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Kept by triggers (migration 0004): name, description and the producer's name as they are searched.
    fold: Mapped[str] = mapped_column(
        sa.Text,
        server_default=sa.FetchedValue(),
        server_onupdate=sa.FetchedValue(),
        deferred=True,
        deferred_raiseload=True,
    )

    producer: Mapped[Producer] = relationship(lazy="raise")
    listings: Mapped[list[Listing]] = relationship(lazy="raise", order_by=Listing.id)

    @property
    def told(self) -> bool:
        """Whether the world knows the product: it was published once, or the commune counts it as a key product.

        A draft that is neither is its producer's own business and appears in no event.
        """
        return self.published_at is not None or self.key_product

    @property
    def public(self) -> bool:
        """Whether anybody may read its page. A withdrawn product keeps its page: its labels are still in kitchens."""
        return self.status != Status.DRAFT

    def publish(self, now: datetime) -> None:
        """Put it on sale; raises ProductNotPublishable."""
        self.status = after(Status(self.status), Action.PUBLISH).value
        self.published_at = now
        self.touch(now)

    def withdraw(self, now: datetime) -> None:
        """Take it off sale; raises ProductNotWithdrawable. Its listings keep their validity and stop being live."""
        self.status = after(Status(self.status), Action.WITHDRAW).value
        self.touch(now)

    def touch(self, now: datetime) -> None:
        self.version += 1
        self.changed_at = now

    def is_live(self, listing: Listing, now: datetime) -> bool:
        """Live: the product is published and `valid_from <= now < valid_to`."""
        return self.status == Status.PUBLISHED and listing.phase(now) is Phase.OPEN

    def live_listings(self, now: datetime) -> list[Listing]:
        return [listing for listing in self.listings if self.is_live(listing, now)]


class Photo(Base):
    """The one picture of a product, already made small and bare of everything but pixels.

    It stands in the database and not in a directory: one backup holds all, the picture changes in the same transaction
    as its product, and a hundred thousand pictures of about 150 KB are within what PostgreSQL serves well.
    """

    __tablename__ = "photo"

    product_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("product.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(sa.Text)
    width: Mapped[int] = mapped_column(sa.Integer)
    height: Mapped[int] = mapped_column(sa.Integer)
    jpeg: Mapped[bytes] = mapped_column(sa.LargeBinary)
    thumb: Mapped[bytes] = mapped_column(sa.LargeBinary)
    stored_at: Mapped[datetime] = mapped_column(UtcDateTime)
