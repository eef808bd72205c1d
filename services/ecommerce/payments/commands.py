"""Owns the use cases of staff: payees, charges of a month, cash and what was charged by mistake. Callers commit."""

from __future__ import annotations

import secrets
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import FieldError, Invalid, InvalidFields
from services.ecommerce.payments import businesses, queries, telling
from services.ecommerce.payments.model import (
    CHARGE_MARK,
    Business,
    Charge,
    ChargeState,
    CollectingYear,
    Household,
    Payee,
    PayeeNotActive,
    PaymentTold,
    ServiceKind,
    new_code,
)
from services.ecommerce.queries import unit_names


@dataclass(frozen=True)
class PayeeFields:
    """Who collects for which service, and where the money goes: BIN of the bank, account, name of its holder."""

    name: str
    service: ServiceKind
    bank_bin: str
    account: str
    holder: str


@dataclass(frozen=True)
class Wanted:
    """One charge to issue: village, number of the household there, and đồng."""

    village: str
    number: str
    amount: int


async def register_payee(tx: AsyncSession, me: Principal, code: str, fields: PayeeFields) -> Payee:
    """A payee of a commune; raises Invalid, Forbidden."""
    unit = await units.find(tx, code)
    if unit is None or unit.level != "commune":
        raise Invalid(field="unit", message_="Xin chọn một xã trong danh sách.")
    me.require(STAFF, unit.path)
    payee = Payee(
        id=new_id(), unit=unit.code, commune=unit.code, path=unit.path, active=True, created_at=now(), **asdict(fields)
    )
    tx.add(payee)
    await tx.flush()
    await audit.record(tx, me, "payee.registered", str(payee.id), unit.code, {"service": payee.service})
    return payee


async def change_payee(tx: AsyncSession, me: Principal, payee_id: uuid.UUID, **changed: str | bool) -> Payee:
    """Mend what is said of a payee, or (`active`) stop collecting and collect again; codes of open charges follow."""
    payee = await queries.payee(tx, me, payee_id, change=True)
    named = sorted(name for name, value in changed.items() if getattr(payee, name) != value)
    for name in named:
        setattr(payee, name, changed[name])
    if named:
        await audit.record(tx, me, "payee.changed", str(payee.id), payee.unit, {"changed": named})
    return payee


async def issue(
    tx: AsyncSession, me: Principal, payee_id: uuid.UUID, period: str, due_on: date, wanted: Sequence[Wanted]
) -> list[Charge]:
    """Charge households for a month, all or none of them; raises PayeeNotActive, and InvalidFields naming each row."""
    payee = await queries.payee(tx, me, payee_id, change=True)
    if not payee.active:
        raise PayeeNotActive()
    # Two lists of one payee come one after the other, so that the second is told what the first charged.
    await tx.execute(sa.select(Payee.id).where(Payee.id == payee.id).with_for_update())
    found, faults = await matched(tx, payee, period, wanted)
    if faults:
        raise InvalidFields(faults)
    at = now()
    charges = [
        Charge(
            id=new_id(),
            payee_id=payee.id,
            household_id=household.id,
            period=period,
            amount=one.amount,
            due_on=due_on,
            code=new_code(CHARGE_MARK),
            token=secrets.token_urlsafe(18),
            state=ChargeState.OPEN.value,
            means="",
            received=0,
            created_at=at,
            payee=payee,
            household=household,
        )
        for one, household in zip(wanted, found, strict=True)
    ]
    tx.add_all(charges)
    await tx.flush()
    detail = {"period": period, "charges": len(charges)}
    await audit.record(tx, me, "charges.issued", str(payee.id), payee.unit, detail)
    await telling.begin_year(tx, payee.commune, telling.year_of(at))
    return charges


async def matched(
    tx: AsyncSession, payee: Payee, period: str, wanted: Sequence[Wanted]
) -> tuple[list[Household], list[FieldError]]:
    """The household of each row, and what is wrong with which (field `charges.<row from 0>.…`)."""
    at = _as_listed(await queries.households(tx, payee.commune))
    names = await unit_names(tx, {one.village for one in wanted})
    query = sa.select(Charge.household_id).where(
        Charge.payee_id == payee.id, Charge.period == period, Charge.state != ChargeState.CANCELLED.value
    )
    charged = set((await tx.execute(query)).scalars())
    found, faults = [], []
    for row, asked in enumerate(wanted):
        household = at.get((asked.village, asked.number))
        place = f"charges.{row}.household"
        if household is None:
            said = {"number": asked.number, "village": names.get(asked.village, asked.village)}
            faults.append(FieldError(place, "Không có hộ số {number} ở {village} trong sổ hộ của xã.", said))
        elif household.id in charged:
            faults.append(FieldError(place, "Hộ này đã có khoản thu của tháng này."))
        else:
            charged.add(household.id)
            found.append(household)
    return found, faults


def _as_listed(living: Sequence[Household]) -> dict[tuple[str, str], Household]:
    """Households by village and number, and by what an office program makes of a number: 12 of 012."""
    short = [((one.unit, one.number.lstrip("0")), one) for one in living]
    meant = Counter(key for key, _one in short)
    # Where it could be either of two households, it is neither.
    return {key: one for key, one in short if meant[key] == 1} | {(one.unit, one.number): one for one in living}


async def pay_cash(tx: AsyncSession, me: Principal, charge_id: uuid.UUID) -> Charge:
    """The household paid at the counter; raises ChargeNotOpen."""
    charge = await queries.charge(tx, me, charge_id, change=True, lock=True)
    charge.pay_cash(now())
    await audit.record(tx, me, "charge.paid_cash", str(charge.id), charge.payee.unit, {})
    return charge


async def cancel(tx: AsyncSession, me: Principal, charge_id: uuid.UUID) -> Charge:
    """It was charged by mistake; raises ChargeNotOpen, ChargeHasMoney."""
    charge = await queries.charge(tx, me, charge_id, change=True, lock=True)
    charge.cancel()
    await audit.record(tx, me, "charge.cancelled", str(charge.id), charge.payee.unit, {})
    return charge


@dataclass(frozen=True)
class Told:
    """What the register of households says of one of them; `sequence` orders what it says."""

    id: uuid.UUID
    unit: str
    number: str
    ended: bool
    sequence: int


async def keep_household(tx: AsyncSession, told: Told) -> None:
    """Keep a household as its register tells of it; older words change nothing."""
    unit = await units.find(tx, told.unit)
    commune, path = (unit.commune, unit.path) if unit else ("", "")
    await telling.in_turn(tx, commune)
    values = {**asdict(told), "commune": commune, "path": path}
    statement = insert(Household).values(values)
    newer = statement.on_conflict_do_update(
        index_elements=["id"], set_=values, where=Household.sequence < told.sequence
    )
    if (await tx.execute(newer.returning(Household.id))).first() is None:
        return
    household = await tx.get(Household, told.id, populate_existing=True)
    if household is not None:
        await telling.tell_if_collecting(tx, household, telling.year_of(now()))


async def relocate(tx: AsyncSession, unit: units.Unit) -> None:
    """A unit moved: what is registered on it lies on its new path, and its households are told of anew."""
    await tx.execute(_moving(Payee, Payee.unit == unit.code, unit))
    await businesses.move(tx, Business.unit == unit.code, unit)
    moved = _moving(Household, Household.unit == unit.code, unit).returning(Household.id)
    households = list((await tx.execute(moved)).scalars())
    year = telling.year_of(now())
    told = sa.select(PaymentTold.household_id).where(PaymentTold.household_id.in_(households), PaymentTold.year == year)
    if not households:
        return
    if (await tx.execute(told.limit(1))).first() is not None:
        await telling.begin_year(tx, unit.commune, year)
    elif await tx.get(CollectingYear, (unit.commune, year)) is None:
        return
    await telling.tell(tx, households, year)


async def follow(tx: AsyncSession, predecessor: units.Unit, successor: units.Unit) -> None:
    """A commune went over as a whole: its payees, and businesses listed on it, are the successor's."""
    whole = sa.and_(Payee.unit == predecessor.code, Payee.path == predecessor.path)
    await tx.execute(_moving(Payee, whole, successor).values(unit=successor.code))
    listed = sa.and_(Business.unit == predecessor.code, Business.path == predecessor.path)
    await businesses.move(tx, listed, successor, unit=successor.code)


def _moving(table: type[Payee] | type[Household], where: sa.ColumnElement[bool], to: units.Unit) -> sa.Update:
    moved = sa.update(table).where(where, table.path != to.path).values(path=to.path, commune=to.commune)
    return moved.execution_options(synchronize_session=False)
