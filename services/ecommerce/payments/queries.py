"""Owns the reads of payments: what a person may see of them, lists, and what a commune has."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager, joinedload

from chassis.auth import STAFF, VIEWERS, Principal
from chassis.errors import NotFound
from chassis.units import Unit
from services.ecommerce.payments.model import (
    COUNTED,
    BankNotice,
    Business,
    Charge,
    ChargeState,
    CollectingYear,
    Household,
    Means,
    NoticeState,
    Payee,
    PaymentTold,
)

Position = tuple[str, str, uuid.UUID]
"""Where a list of charges goes on: village, number of the household, id."""


async def payee(tx: AsyncSession, me: Principal, payee_id: uuid.UUID, *, change: bool = False) -> Payee:
    """The payee, which `me` may see; raises NotFound, and Forbidden where `change` is asked of who may only look."""
    found = await tx.get(Payee, payee_id)
    if found is None:
        raise NotFound()
    _allowed(me, found.path, change)
    return found


async def charge(
    tx: AsyncSession, me: Principal, charge_id: uuid.UUID, *, change: bool = False, lock: bool = False
) -> Charge:
    """The charge with its payee and household, its row locked where asked; raises NotFound, Forbidden."""
    query = sa.select(Charge).where(Charge.id == charge_id)
    if lock:
        # The lock is a statement of its own: what is read after it is what the one before us committed.
        await tx.execute(query.with_only_columns(Charge.id).with_for_update())
    whole = query.options(joinedload(Charge.payee), joinedload(Charge.household))
    found = (await tx.execute(whole.execution_options(populate_existing=True))).scalar_one_or_none()
    if found is None:
        raise NotFound()
    _allowed(me, found.payee.path, change)
    return found


async def business(tx: AsyncSession, me: Principal, business_id: uuid.UUID, *, change: bool = False) -> Business:
    """The business, its row locked where it is to change; raises NotFound, Forbidden."""
    found = await tx.get(Business, business_id, with_for_update=True if change else None)
    if found is None:
        raise NotFound()
    _allowed(me, found.path, change)
    return found


async def notice(tx: AsyncSession, me: Principal, notice_id: uuid.UUID, *, change: bool = False) -> BankNotice:
    """The bank notice; raises NotFound, Forbidden."""
    found = await tx.get(BankNotice, notice_id)
    if found is None or found.payee_id is None:
        raise NotFound()
    await payee(tx, me, found.payee_id, change=change)
    return found


def _allowed(me: Principal, path: str, change: bool) -> None:
    me.require(VIEWERS, path, hide=True)
    if change:
        me.require(STAFF, path)


async def by_token(tx: AsyncSession, token: str) -> Charge:
    """The charge behind the link that its household was given; raises NotFound."""
    query = sa.select(Charge).where(Charge.token == token)
    found = await tx.execute(query.options(joinedload(Charge.payee), joinedload(Charge.household)))
    one = found.scalar_one_or_none()
    if one is None or one.state == ChargeState.CANCELLED:
        raise NotFound()
    return one


async def payees(tx: AsyncSession, unit: Unit) -> list[Payee]:
    """The payees of a unit, those that collect first, by name; a commune has a handful."""
    query = sa.select(Payee).where(_under(unit, Payee.path.expression))
    return list((await tx.execute(query.order_by(Payee.active.desc(), Payee.name, Payee.id).limit(200))).scalars())


async def charges(
    tx: AsyncSession, payee_id: uuid.UUID, period: str, state: str, limit: int, after: Position | None = None
) -> list[Charge]:
    """The charges of a month by village and household; up to `limit` + 1. `state` "" stands for all."""
    query = (
        sa.select(Charge)
        .join(Household, Household.id == Charge.household_id)
        .options(contains_eager(Charge.household))
        .where(Charge.payee_id == payee_id, Charge.period == period)
    )
    if state:
        query = query.where(Charge.state == state)
    order = (Household.unit, Household.number, Charge.id)
    if after is not None:
        query = query.where(sa.tuple_(*order) > sa.tuple_(*map(sa.literal, after)))
    return list((await tx.execute(query.order_by(*order).limit(limit + 1))).scalars())


async def notices(
    tx: AsyncSession, payee_id: uuid.UUID, limit: int, after: uuid.UUID | None = None, *, waiting: bool = False
) -> list[BankNotice]:
    """The bank notices of a payee, newest first; `waiting`: only those whose money is to be looked after."""
    query = sa.select(BankNotice).where(BankNotice.payee_id == payee_id)
    if waiting:
        quiet = [state.value for state in (*COUNTED, NoticeState.TEST) if state is not NoticeState.OVER]
        query = query.where(BankNotice.state.not_in(quiet), BankNotice.refunded == 0)
    if after is not None:
        query = query.where(BankNotice.id < after)
    return list((await tx.execute(query.order_by(BankNotice.id.desc()).limit(limit + 1))).scalars())


async def notices_of(tx: AsyncSession, charge_id: uuid.UUID) -> Sequence[BankNotice]:
    """Every notice that named a charge, oldest first."""
    query = sa.select(BankNotice).where(BankNotice.charge_id == charge_id).order_by(BankNotice.id)
    return (await tx.execute(query)).scalars().all()


@dataclass(frozen=True)
class Tally:
    """A month of a payee: households charged, those that paid, those of them that paid online, đồng asked and paid."""

    charged: int
    paid: int
    online: int
    asked: int
    got: int


async def tally(tx: AsyncSession, payee_id: uuid.UUID, period: str) -> Tally:
    """What a payee collected of a month, in one statement."""
    paid = Charge.state == ChargeState.PAID.value
    count, total = sa.func.count(), sa.func.coalesce(sa.func.sum(Charge.amount), 0)
    query = sa.select(
        count,
        count.filter(paid),
        count.filter(paid, Charge.means == Means.BANK.value),
        total,
        sa.func.coalesce(sa.func.sum(Charge.amount).filter(paid), 0),
    ).where(Charge.payee_id == payee_id, Charge.period == period, Charge.state != ChargeState.CANCELLED.value)
    return Tally(*(int(value) for value in (await tx.execute(query)).one()))


async def periods(tx: AsyncSession, payee_id: uuid.UUID) -> list[str]:
    """The months a payee has charges of, the newest first; at most two years of them."""
    query = sa.select(Charge.period).where(Charge.payee_id == payee_id).distinct()
    return list((await tx.execute(query.order_by(Charge.period.desc()).limit(24))).scalars())


@dataclass(frozen=True)
class Reach:
    """Households of a unit that live there, and those that paid online in a year; `known` where it collects."""

    households: int
    online: int
    known: bool


async def reach(tx: AsyncSession, unit: Unit, year: int) -> Reach:
    """What criterion 8.1 sees of a commune: the households told of, and those that paid online."""
    living = sa.select(sa.func.count()).where(_under(unit, Household.path.expression), Household.ended.is_(False))
    told = PaymentTold
    online = sa.select(sa.func.count()).where(
        told.commune == unit.code, told.year == year, told.paid_online > 0, told.ended.is_(False)
    )
    known = await tx.get(CollectingYear, (unit.code, year)) is not None
    return Reach((await tx.scalar(living)) or 0, (await tx.scalar(online)) or 0, known)


async def households(tx: AsyncSession, commune: str) -> list[Household]:
    """The households that live in a commune, by village and number."""
    query = sa.select(Household).where(Household.commune == commune, Household.ended.is_(False))
    return list((await tx.execute(query.order_by(Household.unit, Household.number))).scalars())


async def businesses(tx: AsyncSession, unit: Unit, limit: int, after: uuid.UUID | None = None) -> list[Business]:
    """The businesses of a unit, newest first; up to `limit` + 1."""
    query = sa.select(Business).where(_under(unit, Business.path.expression))
    if after is not None:
        query = query.where(Business.id < after)
    return list((await tx.execute(query.order_by(Business.id.desc()).limit(limit + 1))).scalars())


async def business_tally(tx: AsyncSession, unit: Unit) -> tuple[int, int]:
    """Businesses of a unit that run, and those of them that take online payment."""
    count = sa.func.count()
    query = sa.select(count, count.filter(Business.online_since.is_not(None)))
    row = (await tx.execute(query.where(_under(unit, Business.path.expression), Business.ended_on.is_(None)))).one()
    return int(row[0]), int(row[1])


def _under(unit: Unit, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return sa.or_(column == unit.path, column.startswith(f"{unit.path}/", autoescape=True))
