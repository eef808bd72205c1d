"""Owns what the media service does with other services' events: it keeps its projection of the units."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as identity

from chassis import units
from chassis.consumer import Consumers, Event
from services.media.cameras.model import Camera
from services.media.speakers.model import Cluster, Loudspeaker

on = Consumers()

UnitEvent = identity.UnitEntered | identity.UnitChanged | identity.UnitEnded


@on(identity.UnitEntered, identity.UnitChanged, identity.UnitEnded)
async def unit_told(tx: AsyncSession, event: Event[UnitEvent]) -> None:
    """Keep the unit; where a village now lies elsewhere its devices follow, so that the right staff sees them."""
    unit = units.from_message(event.data.unit)
    await units.project(tx, unit, event.sequence)
    if unit.level != "village":
        return
    current = await units.find(tx, unit.code)
    if current is None:
        return
    for table in (Cluster, Loudspeaker, Camera):
        await tx.execute(
            sa.update(table).where(table.unit == unit.code, table.path != current.path).values(path=current.path)
        )
