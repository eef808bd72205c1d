"""Owns what other services' events change here: administrative units, and people who are erased."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as identity

from chassis import units
from chassis.consumer import Consumers, Event
from services.ecommerce import commands
from services.ecommerce.payments import commands as payments
from services.ecommerce.tourism import bookings
from services.ecommerce.tourism import commands as tourism
from services.ecommerce.tracing import commands as tracing

on = Consumers()


@on(identity.UnitEntered, identity.UnitChanged, identity.UnitEnded)
async def unit_described(tx: AsyncSession, event: Event[Any]) -> None:
    """Keep the unit as identity describes it, and what is registered on it under its present path."""
    described = units.from_message(event.data.unit)
    await units.project(tx, described, event.sequence)
    present = await units.find(tx, described.code)
    if present is not None:
        await commands.relocate(tx, present)
        await payments.relocate(tx, present)
        await tourism.relocate(tx, present)
        await tracing.relocate(tx, present)


@on(identity.UnitSucceeded)
async def unit_succeeded(tx: AsyncSession, event: Event[identity.UnitSucceeded]) -> None:
    """Payees of a commune that went over as a whole go with it; of a split one nobody said to whom."""
    if event.data.successors_of_predecessor == 1:
        predecessor, successor = units.from_message(event.data.predecessor), units.from_message(event.data.successor)
        await payments.follow(tx, predecessor, successor)


@on(identity.HouseholdChanged)
async def household_changed(tx: AsyncSession, event: Event[identity.HouseholdChanged]) -> None:
    """Keep the households that charges are for: a number within a village, nothing of who lives there."""
    told = event.data.household
    await payments.keep_household(
        tx, payments.Told(uuid.UUID(told.id), told.unit, told.number, told.ended, event.sequence)
    )


@on(identity.ResidentErased)
async def resident_erased(tx: AsyncSession, event: Event[identity.ResidentErased]) -> None:
    """Let go of the link between a producer and an account that no longer exists, and of their telephone number."""
    await tourism.forget_account(tx, event.data.account_id)
    await commands.forget_account(tx, event.data.account_id)
    await bookings.forget_account(tx, event.data.account_id)
