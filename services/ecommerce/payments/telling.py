"""Owns what is told of payments: of each household what it paid online in a year, of each business whether it can.

Only differences become events, so telling twice changes nothing. A household's state follows from its charges; what was
told stands in `payment_told`. Households of a commune are told of only in years in which it collects here: where it
does not, nothing is known of how they pay, which is not the same as nobody paying online.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.ecommerce.v1 import events_pb2 as events

from chassis import outbox
from chassis.outbox import Outgoing
from chassis.units import VIETNAM, Unit
from services.ecommerce.payments.model import (
    Business,
    Charge,
    ChargeState,
    CollectingYear,
    Household,
    Means,
    Payee,
    PaymentTold,
)


def year_of(at: datetime) -> int:
    """The calendar year of an instant in Việt Nam."""
    return at.astimezone(VIETNAM).year


async def in_turn(tx: AsyncSession, commune: str) -> None:
    """Hold the commune's turn until the transaction ends: its year begins before or after a household comes to it."""
    await tx.execute(
        sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"collecting:{commune}"}
    )


async def begin_year(tx: AsyncSession, commune: str, year: int) -> None:
    """The commune collects in this year: from now on each of its households is told of. Repeating changes nothing."""
    if await tx.get(CollectingYear, (commune, year)) is not None:
        return
    await in_turn(tx, commune)
    begun = insert(CollectingYear).values(commune=commune, year=year).on_conflict_do_nothing()
    if (await tx.execute(begun.returning(CollectingYear.year))).first() is None:
        return
    there = sa.select(Household.id).where(Household.commune == commune, Household.ended.is_(False))
    await tell(tx, list((await tx.execute(there)).scalars()), year)


async def tell_if_collecting(tx: AsyncSession, household: Household, year: int) -> None:
    """Tell of one household that came, moved or ended, where its commune collects in the year or it was told before."""
    collecting = await tx.get(CollectingYear, (household.commune, year)) is not None
    if collecting or await tx.get(PaymentTold, (household.id, year)) is not None:
        await tell(tx, [household.id], year)


async def tell(tx: AsyncSession, households: Sequence[uuid.UUID], year: int) -> None:
    """Tell of the households whose state in the year is not as it was last told. Comes last: it holds their rows."""
    await tx.flush()
    locked = sa.select(Household).where(Household.id.in_(households)).order_by(Household.id).with_for_update()
    present = list((await tx.execute(locked.execution_options(populate_existing=True))).scalars())
    paid = await _paid(tx, households, year)
    query = sa.select(PaymentTold).where(PaymentTold.household_id.in_(households), PaymentTold.year == year)
    told = {one.household_id: one for one in (await tx.execute(query)).scalars()}
    outgoing = []
    for household in present:
        before = told.get(household.id)
        services = paid.get(household.id, {})
        state: dict[str, Any] = {
            "unit": household.unit,
            "commune": household.commune,
            "paid_online": sum(services.values()),
            "services": sorted(services),
            "ended": household.ended,
        }
        if before is None:
            if household.ended or not household.path:
                continue
            tx.add(PaymentTold(household_id=household.id, year=year, **state))
        elif all(getattr(before, name) == value for name, value in state.items()):
            continue
        else:
            for name, value in state.items():
                setattr(before, name, value)
        message = events.HouseholdPayment(household_id=str(household.id), year=year, **state)
        # Of the unit only its code and its commune are asked.
        place = Unit(household.unit, "", "village", "", household.commune, household.path, date.min)
        changed = events.HouseholdPaymentChanged(payment=message)
        outgoing.append(Outgoing(changed, place, f"{household.id}@{year}"))
    await outbox.add_all(tx, outgoing)


async def _paid(tx: AsyncSession, households: Sequence[uuid.UUID], year: int) -> dict[uuid.UUID, dict[str, int]]:
    """How many charges each household paid through the bank in the year, by service."""
    begin, end = (datetime(one, 1, 1, tzinfo=VIETNAM).astimezone(UTC) for one in (year, year + 1))
    query = (
        sa.select(Charge.household_id, Payee.service, sa.func.count())
        .join(Payee, Payee.id == Charge.payee_id)
        .where(
            Charge.household_id.in_(households),
            Charge.state == ChargeState.PAID.value,
            Charge.means == Means.BANK.value,
            Charge.paid_at >= begin,
            Charge.paid_at < end,
        )
        .group_by(Charge.household_id, Payee.service)
    )
    found: dict[uuid.UUID, dict[str, int]] = {}
    for household, service, count in await tx.execute(query):
        found.setdefault(household, {})[service] = count
    return found


async def business_changed(tx: AsyncSession, business: Business) -> None:
    """Tell of a business as it stands."""
    message = events.Business(
        id=str(business.id),
        unit=business.unit,
        commune=business.commune,
        online_payment=business.online_since is not None,
        ended=business.ended_on is not None,
    )
    await outbox.add(
        tx,
        events.BusinessChanged(business=message),
        unit=business.unit,
        key=business.commune,
        subject=str(business.id),
    )
