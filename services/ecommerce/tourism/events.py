"""Owns how a tourism point is told to the other services: whole state, nothing personal, one event per change."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.ecommerce.v1 import events_pb2

from chassis import outbox
from chassis.units import VIETNAM
from services.ecommerce.tourism.model import Booking, BookingStatus, TourismPoint


async def changed(tx: AsyncSession, point: TourismPoint, at: datetime) -> None:
    """Tell how the point stands; of a point that was never published nobody is told."""
    if point.published_at is None:
        return
    await tx.flush()
    message = events_pb2.TourismPoint(
        id=str(point.id),
        unit=point.unit,
        commune=point.commune,
        kind=point.kind,
        status=point.status,
        has_location=point.lat is not None,
        has_opening=point.has_opening,
        bookable=point.bookable,
        bookings_this_year=await _accepted(tx, point, at),
    )
    told = events_pb2.TourismPointChanged(point=message)
    await outbox.add(tx, told, unit=point.unit, key=point.commune, subject=str(point.id), occurred_at=at)


async def _accepted(tx: AsyncSession, point: TourismPoint, at: datetime) -> int:
    year = at.astimezone(VIETNAM).year
    query = sa.select(sa.func.count()).where(
        Booking.point_id == point.id,
        Booking.status == BookingStatus.ACCEPTED.value,
        sa.func.date_part("year", Booking.day) == year,
    )
    return int((await tx.execute(query)).scalar_one())
