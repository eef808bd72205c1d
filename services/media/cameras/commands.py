"""Owns what happens to cameras: one use case, one function."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.media.v1 import events_pb2 as events

from chassis import audit, outbox
from chassis.auth import STAFF, Principal
from chassis.db import now
from chassis.errors import NotFound
from services.media import facts
from services.media.cameras import address
from services.media.cameras.model import Camera, CameraInterval, CameraRetired, CameraState, Place
from services.media.settings import Settings
from services.media.speakers.commands import village
from services.media.speakers.model import NameTaken
from services.media.vault import Vault
from services.media.watching import commands as watching

STALE_FACTOR = 3
"""A camera not probed for this many times the pause between probes is unknown from then on."""


@dataclass(frozen=True, slots=True)
class Due:
    """A camera to probe now."""

    id: uuid.UUID
    sealed_url: bytes


def stale_after(settings: Settings) -> timedelta:
    """How long a probe speaks for a camera."""
    return timedelta(seconds=settings.probe_seconds * STALE_FACTOR)


async def register(
    tx: AsyncSession,
    me: Principal,
    vault: Vault,
    *,
    unit: str,
    name: str,
    place: Place,
    url: str,
    loopback: bool,
) -> Camera:
    """Register a camera; its address is checked and sealed. Raises BadAddress, ForbiddenAddress, NameTaken."""
    where = await village(tx, unit)
    me.require(STAFF, where.path)
    address.parse(url, loopback=loopback)
    await facts.lock_village(tx, where.code, where.commune)
    same_name = sa.select(Camera.id).where(
        Camera.unit == where.code,
        sa.func.xaso_fold(Camera.name) == sa.func.xaso_fold(name),
        Camera.retired_at.is_(None),
    )
    if (await tx.execute(same_name)).first():
        raise NameTaken(field="name", unit=where.name, name=name)
    at = now()
    camera = Camera(
        unit=where.code,
        commune=where.commune,
        path=where.path,
        name=name,
        place=place,
        state=CameraState.UNKNOWN,
        state_since=at,
        in_hub=False,
        next_probe_at=at,
        registered_at=at,
    )
    tx.add(camera)
    await tx.flush()
    camera.sealed_url = vault.seal(url, owner=str(camera.id))
    tx.add(CameraInterval(camera_id=camera.id, state=camera.state.value, since=at))
    await _tell(tx, events.CameraRegistered(camera=facts.camera(camera)), camera)
    await audit.record(
        tx, me, action="camera.registered", target=str(camera.id), unit=camera.unit, detail={"kind": place.value}
    )
    return camera


async def retire(tx: AsyncSession, me: Principal, camera_id: uuid.UUID) -> Camera:
    """Take a camera out of the hub; raises CameraRetired the second time."""
    camera = await _for_staff(tx, me, camera_id)
    at = now()
    camera.retire(at)
    await _close_interval(tx, camera, at)
    await watching.release(tx, camera)
    await _tell(tx, events.CameraRetired(camera=facts.camera(camera)), camera)
    await audit.record(tx, me, action="camera.retired", target=str(camera.id), unit=camera.unit, detail={})
    return camera


async def maintain(tx: AsyncSession, me: Principal, camera_id: uuid.UUID, *, on: bool) -> Camera:
    """Begin or end maintenance: meanwhile nobody probes and the time counts neither as up nor as down."""
    camera = await _for_staff(tx, me, camera_id)
    at = now()
    if camera.maintain(on, at):
        await _change(tx, camera, at)
        await audit.record(
            tx, me, action="camera.maintenance", target=str(camera.id), unit=camera.unit, detail={"on": on}
        )
    return camera


async def probe_soon(tx: AsyncSession, me: Principal, camera_id: uuid.UUID) -> Camera:
    """Have a camera probed at once instead of at its next turn; a camera in maintenance is left alone."""
    camera = await _for_staff(tx, me, camera_id)
    if camera.retired_at is not None:
        raise CameraRetired(name=camera.name)
    if camera.state is not CameraState.MAINTENANCE:
        camera.next_probe_at = now()
        await tx.flush()
        await audit.record(tx, me, action="camera.probe_asked", target=str(camera.id), unit=camera.unit, detail={})
    return camera


async def take_due(tx: AsyncSession, *, at: datetime, pause: float, limit: int) -> list[Due]:
    """Claim cameras whose turn it is; the claim lasts until the next turn, so replicas do not probe twice."""
    due = (
        sa.select(Camera.id)
        .where(Camera.retired_at.is_(None), Camera.next_probe_at <= at)
        .order_by(Camera.next_probe_at)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    claim = (
        sa.update(Camera)
        .where(Camera.id.in_(due.scalar_subquery()))
        .values(next_probe_at=at + timedelta(seconds=pause))
        .returning(Camera.id, Camera.sealed_url)
        .execution_options(synchronize_session=False)
    )
    rows = (await tx.execute(claim)).all()
    return [Due(row.id, row.sealed_url) for row in rows if row.sealed_url is not None]


async def probed(
    tx: AsyncSession,
    camera_id: uuid.UUID,
    *,
    ok: bool,
    result: str,
    milliseconds: int,
    at: datetime,
    settings: Settings,
) -> Camera | None:
    """Take the outcome of a probe; returns None for a camera that was retired or put in maintenance meanwhile.

    Where nobody had looked for long, that stretch is entered as unknown before the new state begins.
    """
    camera = await tx.get(Camera, camera_id, with_for_update={"key_share": True})
    if camera is None or camera.retired_at is not None or camera.state is CameraState.MAINTENANCE:
        return None
    gap = camera.unwatched_since(at, stale_after(settings))
    if gap is not None and camera.take(camera.health.unseen(), gap):
        await _new_interval(tx, camera, gap)
    before = camera.in_hub, camera.state_since
    after = camera.health.probed(ok, failures_to_offline=settings.failures_to_offline)
    changed = camera.take(after, at)
    camera.last_probed_at, camera.last_result, camera.last_milliseconds = at, result, milliseconds
    camera.in_hub = camera.in_hub or ok
    if not ok:
        camera.next_probe_at = at + timedelta(seconds=settings.probe_retry_seconds)
    if changed:
        await _new_interval(tx, camera, at)
    if changed or before != (camera.in_hub, camera.state_since) or gap is not None:
        await tx.flush()
        await _tell(tx, events.CameraStateChanged(camera=facts.camera(camera)), camera)
    await tx.flush()
    return camera


async def _change(tx: AsyncSession, camera: Camera, at: datetime) -> None:
    await _new_interval(tx, camera, at)
    await _tell(tx, events.CameraStateChanged(camera=facts.camera(camera)), camera)


async def _new_interval(tx: AsyncSession, camera: Camera, at: datetime) -> None:
    await _close_interval(tx, camera, at)
    tx.add(CameraInterval(camera_id=camera.id, state=camera.state.value, since=at))
    await tx.flush()


async def _close_interval(tx: AsyncSession, camera: Camera, at: datetime) -> None:
    await tx.execute(
        sa.update(CameraInterval)
        .where(CameraInterval.camera_id == camera.id, CameraInterval.until.is_(None))
        .values(until=at)
    )


async def _tell(tx: AsyncSession, message: facts.CameraEvent, camera: Camera) -> None:
    await tx.flush()
    await outbox.add(tx, message, unit=camera.unit, key=camera.commune, subject=str(camera.id))
    await facts.lock_village(tx, camera.unit, camera.commune)


async def _for_staff(tx: AsyncSession, me: Principal, camera_id: uuid.UUID) -> Camera:
    """The camera, locked, for someone who may change it; hidden from everybody else."""
    camera = await tx.get(Camera, camera_id, with_for_update={"key_share": True})
    if camera is None:
        raise NotFound
    me.require(STAFF, camera.path, hide=True)
    return camera
