"""Owns who may see, change and answer for a tourism point; pages and JSON all come through here."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from chassis.auth import STAFF, VIEWERS, Principal
from chassis.errors import Forbidden, NotFound
from services.ecommerce import access
from services.ecommerce.tourism.model import TourismPoint


def owns(me: Principal | None, point: TourismPoint) -> bool:
    """Whether `me` is the producer that runs the point."""
    return point.producer is not None and access.owns(me, point.producer)


def may_change(me: Principal | None, point: TourismPoint) -> bool:
    """Whoever runs it, or staff of the commune (or above)."""
    return me is not None and (owns(me, point) or me.may(STAFF, point.path))


def may_read_visitors(me: Principal, point: TourismPoint) -> bool:
    """Whoever receives the guests reads who they are: the producer, or staff where nobody acts as a producer there."""
    if owns(me, point):
        return True
    return (point.producer is None or point.producer.account is None) and me.may(STAFF, point.path)


def may_see(me: Principal | None, point: TourismPoint) -> bool:
    """Everybody what is published; a draft only those who may change it and who watch over the commune."""
    return point.public or may_change(me, point) or (me is not None and me.may(VIEWERS, point.path))


async def visible(tx: AsyncSession, me: Principal | None, point_id: uuid.UUID) -> TourismPoint:
    """The point with its producer, which `me` may see; raises NotFound."""
    point = (await tx.execute(_whole(point_id))).scalar_one_or_none()
    if point is None or not may_see(me, point):
        raise NotFound()
    return point


async def own(tx: AsyncSession, me: Principal, point_id: uuid.UUID) -> TourismPoint:
    """The point, not locked, for whoever may change it; raises NotFound, Forbidden."""
    point = await visible(tx, me, point_id)
    if not may_change(me, point):
        raise Forbidden()
    return point


async def locked(tx: AsyncSession, me: Principal | None, point_id: uuid.UUID) -> TourismPoint:
    """The point which `me` may see, its row locked: what happens at one point happens one after the other."""
    held = await tx.execute(sa.select(TourismPoint.id).where(TourismPoint.id == point_id).with_for_update())
    if held.scalar_one_or_none() is None:
        raise NotFound()
    point = (await tx.execute(_whole(point_id).execution_options(populate_existing=True))).scalar_one()
    if not may_see(me, point):
        raise NotFound()
    return point


async def changeable(tx: AsyncSession, me: Principal, point_id: uuid.UUID) -> TourismPoint:
    """The locked point, which `me` may change; raises NotFound for what `me` may not even see, else Forbidden."""
    point = await locked(tx, me, point_id)
    if not may_change(me, point):
        raise Forbidden()
    return point


def _whole(point_id: uuid.UUID) -> sa.Select[TourismPoint]:
    return sa.select(TourismPoint).where(TourismPoint.id == point_id).options(joinedload(TourismPoint.producer))
