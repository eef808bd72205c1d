"""Owns how a product is told to the other services: whole state, no personal data, one event per change."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.ecommerce.v1 import events_pb2

from chassis import outbox
from services.ecommerce.model import Listing, Phase, Product

ENDED_KEPT = 20
"""How many ended listings, the latest, an event still names; planned and open ones are always all named."""


def listing_message(product: Product, listing: Listing, now: datetime) -> events_pb2.Listing:
    """The listing as it stands at `now`."""
    message = events_pb2.Listing(
        id=str(listing.id), channel=listing.channel, url=listing.url, live=product.is_live(listing, now)
    )
    message.valid_from.FromDatetime(listing.valid_from)
    if listing.valid_to is not None:
        message.valid_to.FromDatetime(listing.valid_to)
    return message


def product_message(product: Product, now: datetime) -> events_pb2.Product:
    """The product with its listings as they stand at `now`, in the order they were made."""
    ended = [listing for listing in product.listings if listing.phase(now) is Phase.ENDED]
    ended.sort(key=lambda listing: (listing.valid_to or now, listing.id))
    forgotten = {listing.id for listing in ended[:-ENDED_KEPT]}
    return events_pb2.Product(
        id=str(product.id),
        unit=product.unit,
        producer_id=str(product.producer_id),
        name=product.name,
        key_product=product.key_product,
        status=product.status,
        listings=[
            listing_message(product, listing, now) for listing in product.listings if listing.id not in forgotten
        ],
        live_listings=len(product.live_listings(now)),
        ocop_stars=product.ocop_stars or 0,
    )


async def published(tx: AsyncSession, product: Product, now: datetime) -> None:
    await _tell(tx, product, events_pb2.ProductPublished(product=product_message(product, now)), now)


async def changed(tx: AsyncSession, product: Product, now: datetime) -> None:
    await _tell(tx, product, events_pb2.ProductChanged(product=product_message(product, now)), now)


async def withdrawn(tx: AsyncSession, product: Product, now: datetime) -> None:
    await _tell(tx, product, events_pb2.ProductWithdrawn(product=product_message(product, now)), now)


async def listing_opened(tx: AsyncSession, product: Product, listing: Listing, now: datetime, at: datetime) -> None:
    """`at` is when it opened, `now` the instant whose state is told: later changes must not be undone by this event."""
    message = events_pb2.ListingOpened(
        product=product_message(product, now), listing=listing_message(product, listing, now)
    )
    await _tell(tx, product, message, at)


async def listing_ended(tx: AsyncSession, product: Product, listing: Listing, now: datetime, at: datetime) -> None:
    """`at` is when it ended, `now` the instant whose state is told."""
    message = events_pb2.ListingEnded(
        product=product_message(product, now), listing=listing_message(product, listing, now)
    )
    await _tell(tx, product, message, at)


async def _tell(tx: AsyncSession, product: Product, message: Message, at: datetime) -> None:
    await outbox.add(tx, message, unit=product.unit, key=product.commune, subject=str(product.id), occurred_at=at)
