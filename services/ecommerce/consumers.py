"""Owns what other services' events change here: administrative units, and people who are erased."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as identity

from chassis import units
from chassis.consumer import Consumers, Event
from services.ecommerce import commands

on = Consumers()


@on(identity.UnitEntered, identity.UnitChanged, identity.UnitEnded)
async def unit_described(tx: AsyncSession, event: Event[Any]) -> None:
    """Keep the unit as identity describes it, and what is registered on it under its present path."""
    described = units.from_message(event.data.unit)
    await units.project(tx, described, event.sequence)
    present = await units.find(tx, described.code)
    if present is not None:
        await commands.relocate(tx, present)


@on(identity.ResidentErased)
async def resident_erased(tx: AsyncSession, event: Event[identity.ResidentErased]) -> None:
    """Let go of the link between a producer and an account that no longer exists."""
    await commands.forget_account(tx, event.data.account_id)
