"""Owns the use cases: who registers, publishes, marks, lists and withdraws. One function each; callers commit."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import Forbidden, Invalid, NotFound
from services.ecommerce import access, events
from services.ecommerce.channels import address, channel
from services.ecommerce.model import (
    MAX_OPEN_LISTINGS,
    Listing,
    ListingAlreadyEnded,
    ListingOverlaps,
    ListingStillOpen,
    Phase,
    Photo,
    Producer,
    ProducerKind,
    Product,
    ProductChangedMeanwhile,
    Status,
    TooManyListings,
)
from services.ecommerce.pictures import Picture

ERASED_HOUSEHOLD = "Hộ sản xuất"


@dataclass(frozen=True)
class RegisterProducer:
    """`unit` is a commune or a village; `account` the subject that will act as the producer, None for nobody yet."""

    name: str
    kind: ProducerKind
    unit: str
    account: str | None = None


@dataclass(frozen=True)
class ProductFields:
    """What a producer says of a product. Price in đồng for one `price_unit`, None where it is not stated."""

    name: str
    description: str
    unit: str
    price: int | None
    price_unit: str
    ocop_stars: int | None
    ocop_decision: str


@dataclass(frozen=True)
class OpenListing:
    """An offer on a channel. `valid_from` None means now, `valid_to` None means until it is ended."""

    channel: str
    url: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None


async def register_producer(tx: AsyncSession, me: Principal, wanted: RegisterProducer) -> Producer:
    """A producer registers itself, or staff register one; raises Forbidden outside of their units."""
    unit = await units.find(tx, wanted.unit)
    if unit is None or unit.level not in ("commune", "village"):
        raise Invalid(field="unit", message_="Xin chọn một xã hoặc một thôn trong danh sách.")
    staff = me.may(STAFF, unit.path)
    if not staff and (not me.may(access.PRODUCER, unit.path) or wanted.account not in (None, me.subject)):
        raise Forbidden()
    producer = Producer(
        id=new_id(),
        name=wanted.name,
        kind=wanted.kind.value,
        unit=unit.code,
        commune=unit.commune,
        path=unit.path,
        account=wanted.account if staff else me.subject,
        created_at=now(),
    )
    tx.add(producer)
    await tx.flush()
    if staff:
        await audit.record(
            tx,
            me,
            action="producer.registered",
            target=str(producer.id),
            unit=unit.code,
            detail={"kind": producer.kind},
        )
    return producer


async def change_producer(tx: AsyncSession, me: Principal, producer_id: uuid.UUID, **changed: str | None) -> Producer:
    """Change `name`, `kind` or, for staff only, the `account` that acts as the producer; raises NotFound, Forbidden."""
    query = sa.select(Producer).where(Producer.id == producer_id).with_for_update()
    producer = (await tx.execute(query)).scalar_one_or_none()
    if producer is None or not access.may_see_producer(me, producer):
        raise NotFound()
    staff = me.may(STAFF, producer.path)
    if not access.may_change_producer(me, producer) or ("account" in changed and not staff):
        raise Forbidden()
    for name, value in changed.items():
        setattr(producer, name, value)
    if staff and changed:
        await audit.record(tx, me, "producer.changed", str(producer.id), producer.unit, {"changed": sorted(changed)})
    return producer


async def add_product(tx: AsyncSession, me: Principal, producer_id: uuid.UUID, fields: ProductFields) -> Product:
    """A new draft of that producer; raises Invalid, Forbidden."""
    producer = await tx.get(Producer, producer_id)
    if producer is None:
        raise Invalid(field="producer_id", message_="Không có cơ sở sản xuất này.")
    if not access.may_change_producer(me, producer):
        raise Forbidden()
    village = await _village(tx, producer, fields.unit)
    at = now()
    product = Product(
        id=new_id(),
        producer_id=producer.id,
        commune=village.commune,
        path=village.path,
        key_product=False,
        status=Status.DRAFT.value,
        version=1,
        created_at=at,
        changed_at=at,
        producer=producer,
        listings=[],
        **_valued(fields),
    )
    tx.add(product)
    await tx.flush()
    await _audit_for_producer(tx, me, product, "product.added")
    return product


async def change_product(
    tx: AsyncSession, me: Principal, product_id: uuid.UUID, fields: ProductFields, version: int | None = None
) -> Product:
    """Replace what is said of a product; `version`, where given, must be the one that was read."""
    product = await access.changeable(tx, me, product_id)
    if version is not None and version != product.version:
        raise ProductChangedMeanwhile()
    village = await _village(tx, product.producer, fields.unit)
    wanted = {**_valued(fields), "path": village.path}
    if all(getattr(product, name) == value for name, value in wanted.items()):
        return product
    for name, value in wanted.items():
        setattr(product, name, value)
    at = now()
    product.touch(at)
    if product.told:
        await events.changed(tx, product, at)
    await _audit_for_producer(tx, me, product, "product.changed")
    return product


async def publish(tx: AsyncSession, me: Principal, product_id: uuid.UUID) -> Product:
    """Put on sale; raises ProductNotPublishable."""
    product = await access.changeable(tx, me, product_id)
    at = now()
    product.publish(at)
    await events.published(tx, product, at)
    await _audit_for_producer(tx, me, product, "product.published")
    return product


async def withdraw(tx: AsyncSession, me: Principal, product_id: uuid.UUID) -> Product:
    """Take off sale; raises ProductNotWithdrawable."""
    product = await access.changeable(tx, me, product_id)
    at = now()
    product.withdraw(at)
    await events.withdrawn(tx, product, at)
    await _audit_for_producer(tx, me, product, "product.withdrawn")
    return product


async def mark_key(tx: AsyncSession, me: Principal, product_id: uuid.UUID, key: bool) -> Product:
    """The commune counts it among its key farm products, or no longer does. Saying it twice changes nothing."""
    product = await access.markable(tx, me, product_id)
    if product.key_product == key:
        return product
    product.key_product = key
    at = now()
    product.touch(at)
    # Told even where the product falls back to an untold draft: others counted it until now.
    await events.changed(tx, product, at)
    action = "product.marked_key" if key else "product.unmarked_key"
    await audit.record(tx, me, action=action, target=str(product.id), unit=product.unit, detail={})
    return product


async def set_photo(tx: AsyncSession, me: Principal, product_id: uuid.UUID, picture: Picture | None) -> Product:
    """Replace the photo, or remove it with None. No event: a photo is not part of what others are told."""
    product = await access.changeable(tx, me, product_id)
    at = now()
    await tx.execute(sa.delete(Photo).where(Photo.product_id == product.id))
    if picture is not None:
        tx.add(Photo(product_id=product.id, stored_at=at, **asdict(picture)))
    product.photo = picture.digest if picture else None
    product.touch(at)
    await _audit_for_producer(tx, me, product, "product.photo_changed")
    return product


async def open_listing(tx: AsyncSession, me: Principal, product_id: uuid.UUID, wanted: OpenListing) -> Listing:
    """Offer a product on a channel; raises Invalid, ListingOverlaps, TooManyListings."""
    at = now()
    place = channel(wanted.channel)
    url = address(place, wanted.url)
    begin, end = wanted.valid_from or at, wanted.valid_to
    if end is not None and end <= begin:
        raise Invalid(field="valid_to", message_="Ngày kết thúc phải sau ngày bắt đầu.")
    if end is not None and end <= at:
        raise Invalid(field="valid_to", message_="Ngày kết thúc phải ở sau hôm nay.")
    product = await access.changeable(tx, me, product_id)
    listing = await _begin(tx, product, Listing(channel=place.code, url=url, valid_from=begin, valid_to=end), at)
    await _audit_for_producer(tx, me, product, "listing.opened", listing=str(listing.id))
    return listing


async def end_listing(tx: AsyncSession, me: Principal, product_id: uuid.UUID, listing_id: uuid.UUID) -> Listing:
    """End a listing now; one that has not begun is called off. Raises NotFound, ListingAlreadyEnded."""
    product = await access.changeable(tx, me, product_id)
    listing = _of(product, listing_id)
    at = now()
    phase = listing.phase(at)
    if phase is Phase.ENDED:
        raise ListingAlreadyEnded()
    listing.valid_to = at if phase is Phase.OPEN else listing.valid_from
    listing.opened_at = listing.opened_at or at
    listing.ended_at = at
    if product.told and phase is Phase.OPEN:
        await events.listing_ended(tx, product, listing, at, at)
    elif product.told:
        await events.changed(tx, product, at)
    await _audit_for_producer(tx, me, product, "listing.ended", listing=str(listing.id))
    return listing


async def resume_listing(tx: AsyncSession, me: Principal, product_id: uuid.UUID, listing_id: uuid.UUID) -> Listing:
    """Undo an end: a new listing at the same place, without end. Raises ListingStillOpen, ListingOverlaps."""
    product = await access.changeable(tx, me, product_id)
    old = _of(product, listing_id)
    at = now()
    if old.phase(at) is not Phase.ENDED:
        raise ListingStillOpen()
    again = Listing(channel=old.channel, url=old.url, valid_from=max(at, old.valid_from), valid_to=None)
    listing = await _begin(tx, product, again, at)
    await _audit_for_producer(tx, me, product, "listing.opened", listing=str(listing.id))
    return listing


async def turn_listings(tx: AsyncSession, at: datetime, limit: int) -> int:
    """Tell what the clock did: listings whose validity began or passed by `at`. Returns how many products turned.

    Products that another transaction holds are left for the next look, so that several processes may do this at once.
    """
    # Each half is answered by its own partial index, which holds only what is not told yet.
    begun = sa.select(Listing.product_id).where(
        Listing.opened_at.is_(None), Listing.ended_at.is_(None), Listing.valid_from <= at
    )
    passed = sa.select(Listing.product_id).where(Listing.ended_at.is_(None), Listing.valid_to <= at)
    due = sa.union(begun.limit(limit), passed.limit(limit)).subquery()
    query = (
        sa.select(Product.id)
        .where(Product.id.in_(sa.select(due.c.product_id)))
        .order_by(Product.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    products = list((await tx.execute(query)).scalars())
    for product_id in products:
        await _turn(tx, await access.locked(tx, product_id), at)
    return len(products)


async def _turn(tx: AsyncSession, product: Product, at: datetime) -> None:
    for listing in product.listings:
        if listing.ended_at is None and listing.opened_at is None and listing.valid_from <= at:
            listing.opened_at = at
            if product.told:
                await events.listing_opened(tx, product, listing, at, listing.valid_from)
        if listing.ended_at is None and listing.valid_to is not None and listing.valid_to <= at:
            listing.ended_at = at
            if product.told:
                await events.listing_ended(tx, product, listing, at, listing.valid_to)


async def relocate(tx: AsyncSession, unit: units.Unit) -> None:
    """A unit moved below another: what is registered on it lies on its new path."""
    for table in (Producer, Product):
        moved = sa.update(table).where(table.unit == unit.code, table.path != unit.path)
        await tx.execute(
            moved.values(path=unit.path, commune=unit.commune).execution_options(synchronize_session=False)
        )


async def forget_account(tx: AsyncSession, account: str) -> None:
    """A person is erased: nobody acts as their producers any more, and a household no longer bears their name.

    The products stay, under the care of the commune's staff: they are the village's, and labels lead to them.
    """
    named_after = sa.case((Producer.kind == ProducerKind.HOUSEHOLD.value, ERASED_HOUSEHOLD), else_=Producer.name)
    erased = sa.update(Producer).where(Producer.account == account).values(account=None, name=named_after)
    await tx.execute(erased.execution_options(synchronize_session=False))


async def _begin(tx: AsyncSession, product: Product, listing: Listing, at: datetime) -> Listing:
    if sum(old.phase(at) is not Phase.ENDED for old in product.listings) >= MAX_OPEN_LISTINGS:
        raise TooManyListings(limit=MAX_OPEN_LISTINGS)
    for old in product.listings:
        same = old.channel == listing.channel and old.url == listing.url
        if same and old.overlaps(listing.valid_from, listing.valid_to):
            raise ListingOverlaps(field="url")
    listing.id = new_id()
    listing.created_at = at
    begun = listing.phase(at) is Phase.OPEN
    listing.opened_at = at if begun else None
    product.listings.append(listing)
    await tx.flush()
    if product.told and begun:
        await events.listing_opened(tx, product, listing, at, at)
    elif product.told:
        await events.changed(tx, product, at)
    return listing


def _of(product: Product, listing_id: uuid.UUID) -> Listing:
    for listing in product.listings:
        if listing.id == listing_id:
            return listing
    raise NotFound()


def _valued(fields: ProductFields) -> dict[str, object]:
    """The columns of `fields`; a unit without a price, or a decision without stars, means nothing and is dropped."""
    if fields.ocop_stars is not None and not fields.ocop_decision:
        raise Invalid(field="ocop_decision", message_="Xin ghi số quyết định công nhận hạng sao OCOP.")
    values = asdict(fields)
    if fields.price is None:
        values["price_unit"] = ""
    if fields.ocop_stars is None:
        values["ocop_decision"] = ""
    return values


async def _village(tx: AsyncSession, producer: Producer, code: str) -> units.Unit:
    """The village a product comes from: one of the producer's own commune."""
    village = await units.find(tx, code)
    if village is None or village.level != "village":
        raise Invalid(field="unit", message_="Xin chọn một thôn trong danh sách.")
    if village.commune != producer.commune:
        raise Invalid(field="unit", message_="Thôn này không thuộc xã của cơ sở sản xuất.")
    return village


async def _audit_for_producer(tx: AsyncSession, me: Principal, product: Product, action: str, **detail: str) -> None:
    """Staff who act for a producer leave a trace; a producer's own work needs none."""
    if not access.owns(me, product.producer):
        await audit.record(
            tx,
            me,
            action=action,
            target=str(product.id),
            unit=product.unit,
            detail={"version": product.version, **detail},
        )
