"""Owns how the service's rows are told to others: the public state in an event, and the village row they change."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.media.v1 import events_pb2 as events

from chassis.db import now
from services.media.cameras.model import Camera
from services.media.model import Village
from services.media.speakers.model import Loudspeaker

LoudspeakerEvent = (
    events.LoudspeakerRegistered
    | events.LoudspeakerStateChanged
    | events.LoudspeakerRetired
    | events.BulletinAcknowledged
)
CameraEvent = events.CameraRegistered | events.CameraStateChanged | events.CameraRetired


def timestamp(at: datetime | None) -> Timestamp | None:
    """An instant as protobuf carries it."""
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def loudspeaker(row: Loudspeaker) -> events.Loudspeaker:
    """The whole public state of a loudspeaker; neither device id nor secret is part of it."""
    return events.Loudspeaker(
        id=str(row.id),
        unit=row.unit,
        name=row.name,
        state=row.state.value,
        state_since=timestamp(row.state_since),
        smart=row.smart,
        in_service=row.in_service,
        last_acknowledged_at=timestamp(row.last_acknowledged_at),
    )


def camera(row: Camera) -> events.Camera:
    """The whole public state of a camera; its address is no part of it."""
    return events.Camera(
        id=str(row.id),
        unit=row.unit,
        name=row.name,
        place=row.place.value,
        state=row.state.value,
        state_since=timestamp(row.state_since),
        in_hub=row.in_hub,
        retired=row.retired_at is not None,
    )


async def lock_village(tx: AsyncSession, unit: str, commune: str) -> Village:
    """The row of a village, locked and marked as changed until the transaction ends; made where it is missing."""
    at = now()
    new = insert(Village).values(
        unit=unit, commune=commune, clusters=0, clusters_in_earshot=0, version=1, changed_at=at
    )
    # The update takes the lock and marks the village as changed for the pages that watch it, in one statement.
    locked = new.on_conflict_do_update(
        index_elements=["unit"], set_={"version": Village.version + 1, "changed_at": at}
    ).returning(Village)
    return (await tx.scalars(locked, execution_options={"populate_existing": True})).one()
