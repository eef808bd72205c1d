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
)

_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Letters and digits that nobody mistakes for another one when reading a code aloud."""
_CODE = re.compile(rf"DL[{_LETTERS}]{{10}}")
CLOSED_THEN = "Điểm này không mở cửa vào ngày đó."


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
    at = now()
    check(point, wanted, at)
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
        expires_at=min(point.ends_on(wanted.day), at + ANSWER_WITHIN),
    )
    booking.contact = cipher.seal({"name": wanted.name, "phone": phone, "words": wanted.words}, str(booking.id))
    tx.add(booking)
    await tx.flush()
    return booking


def check(point: TourismPoint, wanted: AskToCome, at: datetime) -> None:
    """Whether the place takes such a visit, asked for at `at`; raises Invalid."""
    today = at.astimezone(units.VIETNAM).date()
    if not today <= wanted.day <= today + AHEAD:
        raise Invalid(field="day", message_="Xin chọn một ngày từ hôm nay đến {days} ngày tới.", days=AHEAD.days)
    if not point.opens_on(wanted.day):
        raise Invalid(field="day", message_=CLOSED_THEN)
    if point.ends_on(wanted.day) <= at:
        raise Invalid(field="day", message_="Hôm nay điểm này đã đóng cửa. Xin chọn ngày khác.")
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
    """Yes or no, a no with a reason; raises NotFound, Forbidden, Invalid, BookingSettled.

    A yes may still be called off until the day is over: rain, illness, a closure.
    """
    point = await access.changeable(tx, me, point_id)
    booking = await tx.get(Booking, booking_id)
    if booking is None or booking.point_id != point.id:
        raise NotFound()
    at = now()
    calls_off = not accept and booking.may_be_called_off()
    if booking.standing(at) is not BookingStatus.REQUESTED and not calls_off:
        raise BookingSettled()
    if not accept and not words:
        raise Invalid(field="words", message_="Xin ghi lý do để khách biết.")
    if accept and not point.opens_on(booking.day):
        raise Invalid(field="words", message_=CLOSED_THEN)
    booking.status = (BookingStatus.ACCEPTED if accept else BookingStatus.DECLINED).value
    booking.answer, booking.answered_at = words, at
    if accept or calls_off:
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


async def accepted(tx: AsyncSession, point_id: uuid.UUID) -> dict[date, int]:
    """How many people were accepted for which day, of the days to come: so that nobody says yes to more than fit."""
    query = (
        sa.select(Booking.day, sa.func.sum(Booking.people))
        .where(
            Booking.point_id == point_id,
            Booking.status == BookingStatus.ACCEPTED.value,
            Booking.day >= units.today(),
        )
        .group_by(Booking.day)
    )
    return {row[0]: int(row[1]) for row in await tx.execute(query)}


async def waiting(tx: AsyncSession, point_id: uuid.UUID, at: datetime) -> list[Booking]:
    """The requests of a point that wait for an answer, the most urgent first."""
    query = sa.select(Booking).where(
        Booking.point_id == point_id, Booking.status == BookingStatus.REQUESTED.value, Booking.expires_at > at
    )
    return list((await tx.execute(query.order_by(Booking.expires_at, Booking.id))).scalars())


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
    """Write down which requests expired; let go of names, telephones and words weeks after the day or a refusal."""
    late = sa.update(Booking).where(Booking.status == BookingStatus.REQUESTED.value, Booking.expires_at <= at)
    await tx.execute(late.values(status=BookingStatus.EXPIRED.value).execution_options(synchronize_session=False))
    came_to_nothing = Booking.status.in_((BookingStatus.DECLINED.value, BookingStatus.EXPIRED.value))
    ended = sa.func.coalesce(Booking.answered_at, Booking.expires_at)
    past = sa.update(Booking).where(
        Booking.contact.is_not(None),
        sa.or_(Booking.day < units.today() - CONTACT_KEPT, sa.and_(came_to_nothing, ended < at - CONTACT_KEPT)),
    )
    # A host's answer may well begin with the visitor's name.
    await tx.execute(past.values(contact=None, answer="").execution_options(synchronize_session=False))


async def forget_account(tx: AsyncSession, account: str) -> None:
    """A person is erased: what they asked for keeps neither account nor name nor words; what still waits is over."""
    over = sa.case((Booking.status == BookingStatus.REQUESTED.value, BookingStatus.EXPIRED.value), else_=Booking.status)
    theirs = sa.update(Booking).where(Booking.account == account)
    erased = theirs.values(account=None, contact=None, answer="", status=over)
    await tx.execute(erased.execution_options(synchronize_session=False))
