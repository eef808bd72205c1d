"""Owns what comes of looks at cameras: whose turn it is, what a look found, and whether a camera is watched."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.media.v1 import events_pb2 as events

from chassis import outbox
from chassis.db import now
from services.media import facts
from services.media.cameras.model import Camera, CameraState
from services.media.settings import Settings
from services.media.vault import Vault
from services.media.watching import alerts, queries
from services.media.watching.model import Alert, Kind, Rule, Watch


@dataclass(frozen=True, slots=True)
class Due:
    """A camera to look at now, its rules, and the fingerprint of the look before."""

    camera: uuid.UUID
    sealed_url: bytes
    fingerprint: bytes | None
    rules: Sequence[Rule]


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look begun at `since` found: a fixed word, the fingerprint where a picture was decoded, what each rule
    answered, and pictures.
    """

    since: datetime
    result: str
    decoded: bool
    fingerprint: bytes | None
    found: Mapping[uuid.UUID, bool]
    snapshots: Mapping[uuid.UUID, bytes]


async def take_due(tx: AsyncSession, *, at: datetime, lease: float, limit: int) -> list[Due]:
    """Claim cameras whose turn it is for `lease` seconds, longer than any look: replicas do not look twice."""
    due = (
        sa.select(Watch.camera_id)
        .join(Camera, Camera.id == Watch.camera_id)
        .where(
            Watch.rules_active > 0,
            Watch.next_look_at <= at,
            Camera.retired_at.is_(None),
            Camera.state != CameraState.MAINTENANCE,
        )
        .order_by(Watch.next_look_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Watch)
    )
    claim = (
        sa.update(Watch)
        .where(Watch.camera_id.in_(due.scalar_subquery()))
        .values(next_look_at=at + timedelta(seconds=lease))
        .returning(Watch.camera_id, Watch.fingerprint)
        .execution_options(synchronize_session=False)
    )
    before = {row.camera_id: row.fingerprint for row in await tx.execute(claim)}
    sealed = await tx.execute(sa.select(Camera.id, Camera.sealed_url).where(Camera.id.in_(before)))
    rules: dict[uuid.UUID, list[Rule]] = {camera: [] for camera in before}
    active = sa.select(Rule).where(Rule.camera_id.in_(before), Rule.removed_at.is_(None), Rule.paused.is_(False))
    for rule in await tx.scalars(active):
        rules[rule.camera_id].append(rule)
    return [Due(row.id, row.sealed_url, before[row.id], rules[row.id]) for row in sealed if row.sealed_url is not None]


async def looked(
    tx: AsyncSession, vault: Vault, camera_id: uuid.UUID, look: Looked, *, at: datetime, settings: Settings
) -> list[Alert]:
    """Take what a look found; returns the alerts that begin. Rules changed or paused meanwhile are not judged by it."""
    camera = await tx.get(Camera, camera_id, with_for_update={"key_share": True})
    watch = await tx.get(Watch, camera_id, with_for_update=True)
    if camera is None or watch is None or camera.retired_at is not None or camera.state is CameraState.MAINTENANCE:
        return []
    watch.last_look_at, watch.last_result = at, look.result
    watch.next_look_at = max(at, look.since + timedelta(seconds=settings.watch_seconds))
    if look.decoded:
        watch.fingerprint = look.fingerprint
    begun, ended = [], []
    quiet = timedelta(seconds=settings.watch_quiet_seconds)
    rules = [rule for rule in await queries.rules(tx, camera_id) if not rule.paused and rule.said_at <= look.since]
    judged = [rule for rule in rules if rule.id in look.found]
    for rule in judged:
        was = rule.warning
        if rule.take(look.found[rule.id], at, quiet=quiet):
            begun.append(alerts.begun(vault, camera, rule, look.snapshots.get(rule.id), at))
        elif was and not rule.warning:
            ended.append(rule.id)
    tx.add_all(begun)
    await alerts.end(tx, ended)
    if look.decoded and judged:
        watch.evaluated_at = at
    if not await settle(tx, camera, watch, at=at) and (begun or ended):
        await facts.lock_village(tx, camera.unit, camera.commune)
    return begun


async def lapse(tx: AsyncSession, camera_id: uuid.UUID, *, at: datetime) -> None:
    """Tell that a camera is watched no longer, where an hour has gone by without an evaluation.

    What it was last seen to show nobody knows to go on: of its alerts only that there is no picture stays.
    """
    camera = await tx.get_one(Camera, camera_id, with_for_update={"key_share": True})
    watch = await watch_of(tx, camera_id)
    if watch.works(at):
        return
    unseen = [rule for rule in await queries.rules(tx, camera_id) if rule.kind is not Kind.NO_PICTURE]
    for rule in unseen:
        rule.streak, rule.warning = 0, False
    await alerts.end(tx, [rule.id for rule in unseen])
    await settle(tx, camera, watch, at=at)


async def settle(tx: AsyncSession, camera: Camera, watch: Watch, *, at: datetime | None = None) -> bool:
    """Count the active rules and say whether the camera is watched; tells of it, and returns True, if that changed."""
    at = at or now()
    await tx.flush()
    before = watch.rules_active, watch.working
    watch.rules_active = sum(not rule.paused for rule in await queries.rules(tx, camera.id))
    if not watch.rules_active:
        watch.evaluated_at, watch.fingerprint, watch.next_look_at = None, None, None
    elif watch.next_look_at is None:
        watch.next_look_at = at
    watch.working = watch.works(at)
    await tx.flush()
    if before == (watch.rules_active, watch.working):
        return False
    told = events.CameraWatch(
        camera_id=str(camera.id),
        unit=camera.unit,
        rules_active=watch.rules_active,
        working=watch.working,
        last_evaluated_at=facts.timestamp(watch.evaluated_at),
        alerts_this_month=await queries.alerts_of_month(tx, camera.id, at),
    )
    message = events.CameraWatchChanged(watch=told)
    await outbox.add(tx, message, unit=camera.unit, key=camera.commune, subject=str(camera.id))
    await facts.lock_village(tx, camera.unit, camera.commune)
    return True


async def watch_of(tx: AsyncSession, camera_id: uuid.UUID) -> Watch:
    """The watch of a camera that is locked already, made where there is none."""
    watch = await tx.get(Watch, camera_id, with_for_update=True)
    if watch is None:
        watch = Watch(camera_id=camera_id)
        tx.add(watch)
        await tx.flush()
    return watch
