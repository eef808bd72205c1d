"""Owns booking: a visitor asks to come, whoever runs the point answers, the clock lets go of both. Callers commit."""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import Principal
from chassis.db import new_id, now
from chassis.errors import Invalid, NotFound
from services.ecommerce import contacts
from services.ecommerce.contacts import VisitorCipher
from services.ecommerce.tourism import access, commands, events
from services.ecommerce.tourism.model import (
    AHEAD,
    ANSWER_WITHIN,
    CONTACT_KEPT,
    OPEN_REQUESTS,
    REQUESTS_A_DAY,
    Booking,
    BookingSettled,
    BookingStatus,
    DayFull,
    NotBookable,
    TooManyRequests,
    TourismPoint,
    midnight,
)

_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Letters and digits that nobody mistakes for another one when reading a code aloud."""
_CODE = re.compile(rf"DL[{_LETTERS}]{{10}}")


@dataclass(frozen=True)
class AskToCome:
    """Who wants to come, when, and how many they are."""

    day: date
    people: int
    name: str
    phone: str
    words: str


async def ask(
    tx: AsyncSession, me: Principal | None, point_id: uuid.UUID, wanted: AskToCome, cipher: VisitorCipher
) -> Booking:
    """A request for a day; raises Invalid, NotBookable, DayFull, TooManyRequests. No account is needed."""
    phone = contacts.phone(wanted.phone)
    # The lock makes the counts below hold for everybody who asks at the same time.
    point = await access.locked(tx, me, point_id)
    if not point.bookable:
        raise NotBookable()
    _check(point, wanted)
    at = now()
    await _bounded(tx, point, wanted.day, at)
    booking = Booking(
        id=new_id(),
        point_id=point.id,
        code="DL" + "".join(secrets.choice(_LETTERS) for _ in range(10)),
        day=wanted.day,
        people=wanted.people,
        account=me.subject if me is not None and me.kind == "person" else None,
        status=BookingStatus.REQUESTED.value,
        answer="",
        created_at=at,
        expires_at=min(midnight(wanted.day + timedelta(days=1)), at + ANSWER_WITHIN),
    )
    booking.contact = cipher.seal({"name": wanted.name, "phone": phone, "words": wanted.words}, str(booking.id))
    tx.add(booking)
    await tx.flush()
    return booking


def _check(point: TourismPoint, wanted: AskToCome) -> None:
    today = units.today()
    if not today <= wanted.day <= today + AHEAD:
        raise Invalid(field="day", message_="Xin chọn một ngày từ hôm nay đến {days} ngày tới.", days=AHEAD.days)
    if not point.opens_on(wanted.day):
        raise Invalid(field="day", message_="Điểm này không mở cửa vào ngày đó.")
    if wanted.people > point.group_limit:
        raise Invalid(
            field="people", message_="Điểm này nhận nhiều nhất {limit} người một lượt.", limit=point.group_limit
        )


async def _bounded(tx: AsyncSession, point: TourismPoint, day: date, at: datetime) -> None:
    count = sa.func.count()
    taken = sa.and_(
        Booking.day == day,
        sa.or_(
            Booking.status == BookingStatus.ACCEPTED.value,
            sa.and_(Booking.status == BookingStatus.REQUESTED.value, Booking.expires_at > at),
        ),
    )
    recent = Booking.created_at > at - timedelta(days=1)
    query = sa.select(count.filter(taken), count.filter(recent)).where(
        Booking.point_id == point.id, sa.or_(Booking.day == day, recent)
    )
    on_day, lately = (await tx.execute(query)).one()
    if on_day >= OPEN_REQUESTS:
        raise DayFull(field="day")
    if lately >= REQUESTS_A_DAY:
        raise TooManyRequests()


async def answer(
    tx: AsyncSession, me: Principal, point_id: uuid.UUID, booking_id: uuid.UUID, accept: bool, words: str
) -> Booking:
    """Yes or no, a no with a reason; raises NotFound, Forbidden, Invalid, BookingSettled."""
    point = await access.changeable(tx, me, point_id)
    booking = await tx.get(Booking, booking_id)
    if booking is None or booking.point_id != point.id:
        raise NotFound()
    at = now()
    if booking.standing(at) is not BookingStatus.REQUESTED:
        raise BookingSettled()
    if not accept and not words:
        raise Invalid(field="words", message_="Xin ghi lý do để khách biết.")
    booking.status = (BookingStatus.ACCEPTED if accept else BookingStatus.DECLINED).value
    booking.answer, booking.answered_at = words, at
    if accept:
        await events.changed(tx, point, at)
    await commands.audited(tx, me, point, "tourism_booking.answered", booking=str(booking.id), accepted=accept)
    return booking


async def by_code(tx: AsyncSession, code: str) -> tuple[Booking, TourismPoint]:
    """The booking that a visitor knows the code of; case, spaces and dashes do not matter. Raises NotFound."""
    plain = re.sub(r"[\s-]", "", code).upper()
    if not _CODE.fullmatch(plain):
        raise NotFound()
    query = sa.select(Booking, TourismPoint).where(Booking.code == plain, TourismPoint.id == Booking.point_id)
    found = (await tx.execute(query)).one_or_none()
    if found is None:
        raise NotFound()
    return found[0], found[1]


async def of_point(tx: AsyncSession, point_id: uuid.UUID, limit: int, after: uuid.UUID | None = None) -> list[Booking]:
    """The bookings of a point, newest first; up to `limit` + 1."""
    query = sa.select(Booking).where(Booking.point_id == point_id)
    if after is not None:
        query = query.where(Booking.id < after)
    return list((await tx.execute(query.order_by(Booking.id.desc()).limit(limit + 1))).scalars())


async def of_account(tx: AsyncSession, account: str, limit: int) -> list[tuple[Booking, TourismPoint]]:
    """What somebody asked for while signed in, newest first."""
    query = sa.select(Booking, TourismPoint).where(Booking.account == account, TourismPoint.id == Booking.point_id)
    return [(row[0], row[1]) for row in await tx.execute(query.order_by(Booking.id.desc()).limit(limit))]


async def expire(tx: AsyncSession, at: datetime) -> None:
    """Write down which requests expired, and let go of visitors' names and telephones some weeks after their day."""
    late = sa.update(Booking).where(Booking.status == BookingStatus.REQUESTED.value, Booking.expires_at <= at)
    await tx.execute(late.values(status=BookingStatus.EXPIRED.value).execution_options(synchronize_session=False))
    past = sa.update(Booking).where(Booking.contact.is_not(None), Booking.day < units.today() - CONTACT_KEPT)
    await tx.execute(past.values(contact=None).execution_options(synchronize_session=False))


async def forget_account(tx: AsyncSession, account: str) -> None:
    """A person is erased: what they asked for keeps neither their account nor their name and telephone."""
    theirs = sa.update(Booking).where(Booking.account == account).values(account=None, contact=None)
    await tx.execute(theirs.execution_options(synchronize_session=False))
