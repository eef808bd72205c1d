"""Owns the reads of tourism points: the public list, what somebody looks after, pictures."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from chassis.text import fold
from services.ecommerce.model import Producer
from services.ecommerce.tourism.model import Booking, BookingStatus, PointKind, PointPhoto, PointStatus, TourismPoint


@dataclass(frozen=True)
class PointFilter:
    """What a list shows. `path` is a unit path, "" for everywhere; `account` narrows to what somebody runs."""

    path: str = ""
    q: str = ""
    kind: PointKind | None = None
    bookable: bool = False
    located: bool = False
    account: str | None = None


def _under(path: str) -> sa.ColumnElement[bool]:
    return sa.or_(TourismPoint.path == path, TourismPoint.path.startswith(f"{path}/", autoescape=True))


def _matching(wanted: PointFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.path:
        found.append(_under(wanted.path))
    if wanted.kind is not None:
        found.append(TourismPoint.kind == wanted.kind.value)
    if wanted.bookable:
        found.append(sa.and_(TourismPoint.takes_bookings, TourismPoint.status == PointStatus.PUBLISHED.value))
    if wanted.located:
        found.append(TourismPoint.lat.is_not(None))
    if wanted.account is not None:
        found.append(Producer.account == wanted.account)
    return found + [TourismPoint.fold.contains(word, autoescape=True) for word in fold(wanted.q).split()[:8]]


def _points(wanted: PointFilter) -> sa.Select[TourismPoint]:
    return (
        sa.select(TourismPoint)
        .join(Producer, Producer.id == TourismPoint.producer_id, isouter=True)
        .options(contains_eager(TourismPoint.producer))
        .where(*_matching(wanted))
    )


async def published(
    tx: AsyncSession, wanted: PointFilter, limit: int, after: tuple[datetime, uuid.UUID] | None = None
) -> list[TourismPoint]:
    """Points everybody may see, newest first publication first; up to `limit` + 1 after the position `after`."""
    query = _points(wanted).where(TourismPoint.status != PointStatus.DRAFT.value)
    if after is not None:
        query = query.where(sa.tuple_(TourismPoint.published_at, TourismPoint.id) < sa.tuple_(*map(sa.literal, after)))
    query = query.order_by(TourismPoint.published_at.desc(), TourismPoint.id.desc()).limit(limit + 1)
    return list((await tx.execute(query)).scalars())


async def points(
    tx: AsyncSession, wanted: PointFilter, limit: int, after: uuid.UUID | None = None
) -> list[TourismPoint]:
    """Points in any state, newest first, for those who may see drafts; up to `limit` + 1 after `after`."""
    query = _points(wanted)
    if after is not None:
        query = query.where(TourismPoint.id < after)
    return list((await tx.execute(query.order_by(TourismPoint.id.desc()).limit(limit + 1))).scalars())


async def waiting(tx: AsyncSession, ids: list[uuid.UUID], at: datetime) -> dict[uuid.UUID, int]:
    """How many requests wait for an answer, of the points that have any."""
    query = (
        sa.select(Booking.point_id, sa.func.count())
        .where(Booking.point_id.in_(ids), Booking.status == BookingStatus.REQUESTED.value, Booking.expires_at > at)
        .group_by(Booking.point_id)
    )
    return {row[0]: row[1] for row in await tx.execute(query)}


async def photo(tx: AsyncSession, point_id: uuid.UUID, *, small: bool) -> bytes | None:
    """The JPEG of a point, or the square of it for lists."""
    wanted = PointPhoto.thumb if small else PointPhoto.jpeg
    return (await tx.execute(sa.select(wanted).where(PointPhoto.point_id == point_id))).scalar_one_or_none()
