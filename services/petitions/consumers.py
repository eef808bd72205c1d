"""What other services' events change here: the administrative units, and accounts that were erased."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as identity

from chassis import units
from chassis.consumer import Consumers, Event
from services.petitions import commands
from services.petitions.forum import moderating
from services.petitions.polls import commands as poll_commands

on = Consumers()


@on(identity.UnitEntered)
async def unit_entered(tx: AsyncSession, event: Event[identity.UnitEntered]) -> None:
    await units.project(tx, units.from_message(event.data.unit), event.sequence)


@on(identity.UnitChanged)
async def unit_changed(tx: AsyncSession, event: Event[identity.UnitChanged]) -> None:
    await units.project(tx, units.from_message(event.data.unit), event.sequence)


@on(identity.UnitEnded)
async def unit_ended(tx: AsyncSession, event: Event[identity.UnitEnded]) -> None:
    await units.project(tx, units.from_message(event.data.unit), event.sequence)


@on(identity.UnitSucceeded)
async def unit_succeeded(tx: AsyncSession, event: Event[identity.UnitSucceeded]) -> None:
    """Forum and polls of a unit that went over as a whole go with it; of a split one nobody said to whom."""
    if event.data.successors_of_predecessor == 1:
        predecessor, successor = units.from_message(event.data.predecessor), units.from_message(event.data.successor)
        await moderating.follow(tx, predecessor, successor)
        await poll_commands.follow(tx, predecessor, successor)


@on(identity.ResidentErased)
async def resident_erased(tx: AsyncSession, event: Event[identity.ResidentErased]) -> None:
    await commands.anonymise(tx, event.data.account_id)
    await poll_commands.forget(tx, event.data.account_id)
    await moderating.anonymise(tx, event.data.account_id)
