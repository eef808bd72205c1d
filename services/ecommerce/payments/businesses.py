"""Owns the use cases of service businesses: who is registered, and how it is known to take online payment."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import Invalid
from services.ecommerce.payments import queries, telling
from services.ecommerce.payments.model import TEST_MARK, Business, BusinessMeans, RegistrationTaken, new_code


@dataclass(frozen=True)
class BusinessFields:
    """A business with its number in the register of businesses; bank and account where it takes transfers, else ""."""

    name: str
    registration: str
    bank_bin: str = ""
    account: str = ""
    holder: str = ""


async def register(tx: AsyncSession, me: Principal, code: str, fields: BusinessFields) -> Business:
    """A business of a village or commune; raises Invalid, Forbidden, RegistrationTaken."""
    unit = await units.find(tx, code)
    if unit is None or unit.level not in ("commune", "village"):
        raise Invalid(field="unit", message_="Xin chọn một xã hoặc một thôn trong danh sách.")
    me.require(STAFF, unit.path)
    if bool(fields.bank_bin) != bool(fields.account) or bool(fields.account) != bool(fields.holder):
        raise Invalid(field="account", message_="Ngân hàng, số tài khoản, chủ tài khoản: ghi đủ cả ba, hoặc để trống.")
    await telling.in_turn(tx, unit.commune)
    taken = sa.select(Business.id).where(
        Business.commune == unit.commune, Business.registration == fields.registration, Business.ended_on.is_(None)
    )
    if (await tx.execute(taken)).first() is not None:
        raise RegistrationTaken(field="registration")
    business = Business(
        id=new_id(),
        unit=unit.code,
        commune=unit.commune,
        path=unit.path,
        code=new_code(TEST_MARK),
        means="",
        evidence="",
        created_at=now(),
        **asdict(fields),
    )
    tx.add(business)
    await tx.flush()
    await _done(tx, me, business, "business.registered")
    return business


async def document(tx: AsyncSession, me: Principal, business_id: uuid.UUID, since: date, evidence: str) -> Business:
    """Staff write down since when and by what it takes online payment; raises Invalid, BusinessEnded."""
    business = await queries.business(tx, me, business_id, change=True)
    business.require_running()
    if since > units.today():
        raise Invalid(field="online_since", message_="Ngày này chưa tới.")
    if not evidence:
        raise Invalid(field="evidence", message_="Cần ghi bằng chứng.")
    business.online_since, business.means, business.evidence = since, BusinessMeans.DOCUMENTED.value, evidence
    await tx.flush()
    await _done(tx, me, business, "business.documented")
    return business


async def withdraw(tx: AsyncSession, me: Principal, business_id: uuid.UUID) -> Business:
    """It no longer takes online payment; saying it twice changes nothing. Raises BusinessEnded."""
    business = await queries.business(tx, me, business_id, change=True)
    business.require_running()
    if business.online_since is not None:
        business.online_since, business.means, business.evidence = None, "", ""
        await tx.flush()
        await _done(tx, me, business, "business.offline")
    return business


async def end(tx: AsyncSession, me: Principal, business_id: uuid.UUID) -> Business:
    """It closed, or was entered by mistake; raises BusinessEnded."""
    business = await queries.business(tx, me, business_id, change=True)
    business.require_running()
    business.ended_on = units.today()
    await tx.flush()
    await _done(tx, me, business, "business.ended")
    return business


async def move(tx: AsyncSession, where: sa.ColumnElement[bool], to: units.Unit, **said: str) -> None:
    """Businesses go along with their place and are told of anew; what two communes both listed is one from then on."""
    moving = sa.select(Business).where(where, Business.path != to.path).order_by(Business.id).with_for_update()
    for one in (await tx.execute(moving.execution_options(populate_existing=True))).scalars().all():
        twin = sa.select(Business).where(
            Business.commune == to.commune,
            Business.registration == one.registration,
            Business.ended_on.is_(None),
            Business.id != one.id,
        )
        other = (await tx.execute(twin.with_for_update())).scalar_one_or_none() if one.ended_on is None else None
        if other is not None:
            # The one that is known to take online payment stays, else the one that was there.
            lost = other if one.online_since and not other.online_since else one
            lost.ended_on = units.today()
            await tx.flush()
            if lost is other:
                await telling.business_changed(tx, other)
        one.path, one.commune, one.unit = to.path, to.commune, said.get("unit", one.unit)
        await tx.flush()
        await telling.business_changed(tx, one)


async def _done(tx: AsyncSession, me: Principal, business: Business, action: str) -> None:
    await telling.business_changed(tx, business)
    await audit.record(tx, me, action, str(business.id), business.unit, {})
