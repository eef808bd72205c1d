"""Owns who may see and who may change producers and products; pages, JSON and gRPC all come through here."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from chassis.auth import STAFF, VIEWERS, Principal
from chassis.errors import Forbidden, NotFound
from services.ecommerce.model import Producer, Product

PRODUCER = ("producer",)
KEY_MARKERS = ("officer", "leader")
"""Only the commune says which products are its key farm products (sản phẩm nông sản chủ lực)."""


def owns(me: Principal | None, producer: Producer) -> bool:
    """Whether `me` is the producer: the registered account, and still a producer there."""
    return me is not None and producer.account == me.subject and me.may(PRODUCER, producer.path)


def may_change_producer(me: Principal | None, producer: Producer) -> bool:
    return me is not None and (owns(me, producer) or me.may(STAFF, producer.path))


def may_see_producer(me: Principal, producer: Producer) -> bool:
    """The producer itself, and those who watch over its unit."""
    return owns(me, producer) or me.may(VIEWERS, producer.path)


def may_change(me: Principal | None, product: Product) -> bool:
    """The producer itself, or staff of the commune (or above) on the producer's behalf."""
    return me is not None and (owns(me, product.producer) or me.may(STAFF, product.path))


def may_mark_key(me: Principal | None, product: Product) -> bool:
    return me is not None and me.may(KEY_MARKERS, product.path)


def may_see(me: Principal | None, product: Product) -> bool:
    """Everybody what is or was published; drafts only the producer and those who watch over the commune."""
    return product.public or may_change(me, product) or (me is not None and me.may(VIEWERS, product.path))


def require_see(me: Principal | None, product: Product) -> None:
    """Raise NotFound, as if the draft were not there."""
    if not may_see(me, product):
        raise NotFound()


async def visible(tx: AsyncSession, me: Principal | None, product_id: uuid.UUID) -> Product:
    """The product with producer and listings, which `me` may see; raises NotFound."""
    product = (await tx.execute(_whole(product_id))).scalar_one_or_none()
    if product is None:
        raise NotFound()
    require_see(me, product)
    return product


async def locked(tx: AsyncSession, product_id: uuid.UUID) -> Product:
    """The product with producer and listings, its row locked: changes of one product happen one after the other."""
    # The lock is a statement of its own, so that the listings are read only after the one before us has committed.
    held = await tx.execute(sa.select(Product.id).where(Product.id == product_id).with_for_update())
    if held.scalar_one_or_none() is None:
        raise NotFound()
    return (await tx.execute(_whole(product_id).execution_options(populate_existing=True))).scalar_one()


async def changeable(tx: AsyncSession, me: Principal, product_id: uuid.UUID) -> Product:
    """The locked product, which `me` may change; raises NotFound for what `me` may not even see, else Forbidden."""
    product = await locked(tx, product_id)
    require_see(me, product)
    if not may_change(me, product):
        raise Forbidden()
    return product


async def markable(tx: AsyncSession, me: Principal, product_id: uuid.UUID) -> Product:
    """The locked product, whose key mark `me` may set; raises NotFound, Forbidden."""
    product = await locked(tx, product_id)
    require_see(me, product)
    if not may_mark_key(me, product):
        raise Forbidden()
    return product


def _whole(product_id: uuid.UUID) -> sa.Select[Product]:
    return (
        sa.select(Product)
        .where(Product.id == product_id)
        .options(joinedload(Product.producer), selectinload(Product.listings))
    )
