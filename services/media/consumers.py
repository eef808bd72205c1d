"""Owns what the media service does with other services' events: it keeps its projection of the units."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as identity

from chassis import units
from chassis.consumer import Consumers, Event
from services.media.cameras.model import Camera
from services.media.notices import subscribing
from services.media.notices.model import Notice, Subscription, WasteRule
from services.media.speakers.model import Cluster, Loudspeaker
from services.media.watching.alerts import forget_person
from services.media.watching.model import Alert

on = Consumers()

UnitEvent = identity.UnitEntered | identity.UnitChanged | identity.UnitEnded


@on(identity.UnitEntered, identity.UnitChanged, identity.UnitEnded)
async def unit_told(tx: AsyncSession, event: Event[UnitEvent]) -> None:
    """Keep the unit; where a village now lies elsewhere what is in it follows, so that the right staff sees it."""
    unit = units.from_message(event.data.unit)
    await units.project(tx, unit, event.sequence)
    if unit.level not in ("village", "commune"):
        return
    current = await units.find(tx, unit.code)
    if current is None:
        return
    moved = sa.update(Notice).where(Notice.unit == unit.code, Notice.path != current.path)
    await tx.execute(moved.values(path=current.path, commune=current.commune))
    if unit.level == "commune":
        return
    for table in (Cluster, Loudspeaker, Camera, Alert, Subscription, WasteRule):
        await tx.execute(
            sa.update(table).where(table.unit == unit.code, table.path != current.path).values(path=current.path)
        )


@on(identity.UnitSucceeded)
async def unit_succeeded(tx: AsyncSession, event: Event[identity.UnitSucceeded]) -> None:
    """Phones go with their village where it went over as a whole; of a split one nobody said to whom."""
    predecessor, successor = units.from_message(event.data.predecessor), units.from_message(event.data.successor)
    whole = event.data.successors_of_predecessor == 1 and predecessor.code != successor.code
    if whole and successor.level == "village":
        await subscribing.follow(tx, predecessor, successor)


@on(identity.ResidentErased)
async def resident_erased(tx: AsyncSession, event: Event[identity.ResidentErased]) -> None:
    """Alerts of cameras no longer name who judged them."""
    await forget_person(tx, event.data.account_id)
