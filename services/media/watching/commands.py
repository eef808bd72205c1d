"""Owns what happens to the rules of cameras and to alerts: one use case, one function."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.media.v1 import events_pb2 as events

from chassis import audit, outbox
from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import NotFound
from services.media import facts
from services.media.cameras.model import Camera, CameraRetired, CameraState
from services.media.settings import Settings
from services.media.vault import Vault
from services.media.watching import queries
from services.media.watching.model import (
    MOST_POINTS,
    MOST_RULES,
    Alert,
    BadLine,
    BadZone,
    Kind,
    Point,
    Rule,
    RuleThere,
    SnapshotGone,
    TooManyRules,
    Verdict,
    Watch,
)


@dataclass(frozen=True, slots=True)
class Words:
    """What a rule says: see :class:`Rule`. What is drawn has a name, points and hours, the other kinds have checks."""

    name: str = ""
    checks: int = 3
    points: tuple[Point, ...] = ()
    share: int = 5
    from_minute: int = 0
    to_minute: int = 0


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


async def add_rule(tx: AsyncSession, me: Principal, camera_id: uuid.UUID, kind: Kind, words: Words) -> Rule:
    """Give a camera a rule. Raises CameraRetired, RuleThere, TooManyRules, BadZone, BadLine."""
    camera = await _for_staff(tx, me, camera_id)
    watch = await _watch(tx, camera.id)
    rules = await queries.rules(tx, camera.id)
    if len(rules) >= MOST_RULES:
        raise TooManyRules(most=MOST_RULES)
    if not kind.drawn and any(rule.kind is kind for rule in rules):
        raise RuleThere(field="kind")
    rule = Rule(camera_id=camera.id, kind=kind)
    _say(rule, words)
    tx.add(rule)
    await _settle(tx, camera, watch)
    await _record(tx, me, "camera_rule.added", rule, camera)
    return rule


async def change_rule(tx: AsyncSession, me: Principal, rule_id: uuid.UUID, words: Words) -> Rule:
    """Say a rule anew; it begins from the start. Raises CameraRetired, BadZone, BadLine."""
    rule, camera, watch = await _rule_for_staff(tx, me, rule_id)
    _say(rule, words)
    await _end_alerts(tx, [rule.id])
    await _settle(tx, camera, watch)
    await _record(tx, me, "camera_rule.changed", rule, camera)
    return rule


async def pause_rule(tx: AsyncSession, me: Principal, rule_id: uuid.UUID, *, on: bool) -> Rule:
    """Let a rule rest, or have it applied again."""
    rule, camera, watch = await _rule_for_staff(tx, me, rule_id)
    if rule.paused != on:
        rule.paused = on
        rule.begin(now())
        await _end_alerts(tx, [rule.id])
        await _settle(tx, camera, watch)
        await _record(tx, me, "camera_rule.paused" if on else "camera_rule.resumed", rule, camera)
    return rule


async def remove_rule(tx: AsyncSession, me: Principal, rule_id: uuid.UUID) -> Rule:
    """Take a rule off its camera; its alerts stay."""
    rule, camera, watch = await _rule_for_staff(tx, me, rule_id)
    rule.removed_at = now()
    await _end_alerts(tx, [rule.id])
    await _settle(tx, camera, watch)
    await _record(tx, me, "camera_rule.removed", rule, camera)
    return rule


async def release(tx: AsyncSession, camera: Camera) -> None:
    """A camera is retired: its rules go with it. Told where it was watched."""
    watch = await tx.get(Watch, camera.id, with_for_update=True)
    if watch is None:
        return
    gone = sa.update(Rule).where(Rule.camera_id == camera.id, Rule.removed_at.is_(None)).values(removed_at=now())
    await _end_alerts(tx, (await tx.scalars(gone.returning(Rule.id))).all())
    await _settle(tx, camera, watch)


async def judge(tx: AsyncSession, me: Principal, alert_id: uuid.UUID, verdict: Verdict) -> Alert:
    """Say whether an alert was right; who says otherwise later has the last word, and both are in the audit log."""
    alert = await _alert_for_staff(tx, me, alert_id)
    if alert.verdict is not verdict:
        alert.verdict, alert.judged_at, alert.judged_by, alert.judged_name = verdict, now(), me.subject, me.name
        await tx.flush()
        await audit.record(
            tx, me, "camera_alert.judged", str(alert.id), alert.unit, {"verdict": verdict.value, "kind": alert.kind}
        )
        camera = await tx.get_one(Camera, alert.camera_id)
        await facts.lock_village(tx, camera.unit, camera.commune)
    return alert


async def look_at_snapshot(tx: AsyncSession, me: Principal, vault: Vault, alert_id: uuid.UUID) -> bytes:
    """The picture of an alert (JPEG), for staff of its unit only; that they looked is written down.

    Raises SnapshotGone, VaultClosed.
    """
    alert = await _alert_for_staff(tx, me, alert_id)
    sealed = await tx.scalar(sa.select(Alert.snapshot).where(Alert.id == alert.id))
    if sealed is None:
        raise SnapshotGone
    await audit.record(tx, me, "camera_alert.snapshot_seen", str(alert.id), alert.unit, {"kind": alert.kind})
    return vault.open_bytes(sealed, owner=str(alert.id))


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
            begun.append(_alert(vault, camera, rule, look.snapshots.get(rule.id), at))
        elif was and not rule.warning:
            ended.append(rule.id)
    tx.add_all(begun)
    await _end_alerts(tx, ended)
    if look.decoded and judged:
        watch.evaluated_at = at
    if not await _settle(tx, camera, watch, at=at) and (begun or ended):
        await facts.lock_village(tx, camera.unit, camera.commune)
    return begun


async def lapse(tx: AsyncSession, camera_id: uuid.UUID, *, at: datetime) -> None:
    """Tell that a camera is watched no longer, where an hour has gone by without an evaluation."""
    camera = await tx.get_one(Camera, camera_id, with_for_update={"key_share": True})
    await _settle(tx, camera, await _watch(tx, camera_id), at=at)


async def forget_snapshots(tx: AsyncSession, *, before: datetime, limit: int = 500) -> int:
    """Delete the pictures of alerts older than `before`; returns how many."""
    old = sa.select(Alert.id).where(Alert.has_snapshot, Alert.created_at < before).limit(limit)
    forget = (
        sa.update(Alert)
        .where(Alert.id.in_(old.scalar_subquery()))
        .values(snapshot=None, has_snapshot=False)
        .returning(Alert.id)
        .execution_options(synchronize_session=False)
    )
    return len((await tx.execute(forget)).all())


async def forget_person(tx: AsyncSession, account_id: str) -> None:
    """A person asked for erasure: alerts they judged no longer name them."""
    forget = sa.update(Alert).where(Alert.judged_by == account_id).values(judged_name="")
    await tx.execute(forget.execution_options(synchronize_session=False))


def _say(rule: Rule, words: Words) -> None:
    drawn = rule.kind.drawn
    if drawn:
        _check(rule.kind, words.points)
    rule.name = words.name if drawn else ""
    rule.checks = 1 if drawn else words.checks
    rule.points = [list(point) for point in words.points] if drawn else []
    rule.share = words.share if rule.kind is Kind.ZONE else 0
    rule.from_minute, rule.to_minute = (words.from_minute, words.to_minute) if drawn else (0, 0)
    rule.begin(now())


def _check(kind: Kind, points: Sequence[Point]) -> None:
    """Raise BadLine unless the points are two that lie a tenth of the picture apart; raise BadZone unless they are a
    polygon of at least one percent of its area.
    """
    within = all(0 <= x <= 100 and 0 <= y <= 100 for x, y in points)
    if kind is Kind.LINE:
        if not (within and len(points) == 2 and math.dist(*points) >= 10):
            raise BadLine(field="points")
        return
    pairs = zip(points, [*points[1:], *points[:1]], strict=True)
    if not (within and 3 <= len(points) <= MOST_POINTS and abs(sum(a * d - b * c for (a, b), (c, d) in pairs)) >= 200):
        raise BadZone(field="points", most=MOST_POINTS)


def _alert(vault: Vault, camera: Camera, rule: Rule, snapshot: bytes | None, at: datetime) -> Alert:
    alert = Alert(camera_id=camera.id, rule_id=rule.id, kind=rule.kind, unit=camera.unit, path=camera.path)
    alert.id, alert.created_at, alert.has_snapshot = new_id(), at, snapshot is not None
    if snapshot is not None:
        alert.snapshot = vault.seal_bytes(snapshot, owner=str(alert.id))
    return alert


async def _end_alerts(tx: AsyncSession, rules: Sequence[uuid.UUID]) -> None:
    if rules:
        ended = sa.update(Alert).where(Alert.rule_id.in_(rules), Alert.ended_at.is_(None)).values(ended_at=now())
        await tx.execute(ended.execution_options(synchronize_session=False))


async def _settle(tx: AsyncSession, camera: Camera, watch: Watch, *, at: datetime | None = None) -> bool:
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


async def _watch(tx: AsyncSession, camera_id: uuid.UUID) -> Watch:
    """The watch of a camera that is locked already, made where there is none."""
    watch = await tx.get(Watch, camera_id, with_for_update=True)
    if watch is None:
        watch = Watch(camera_id=camera_id)
        tx.add(watch)
        await tx.flush()
    return watch


async def _for_staff(tx: AsyncSession, me: Principal, camera_id: uuid.UUID) -> Camera:
    """The camera in service, locked, for someone who may change it; hidden from everybody else."""
    camera = await tx.get(Camera, camera_id, with_for_update={"key_share": True})
    if camera is None:
        raise NotFound
    me.require(STAFF, camera.path, hide=True)
    if camera.retired_at is not None:
        raise CameraRetired(name=camera.name)
    return camera


async def _rule_for_staff(tx: AsyncSession, me: Principal, rule_id: uuid.UUID) -> tuple[Rule, Camera, Watch]:
    rule = await queries.rule(tx, rule_id)
    camera = await _for_staff(tx, me, rule.camera_id)
    watch = await _watch(tx, camera.id)
    # Read again under the lock: somebody else may have changed or removed it.
    await tx.refresh(rule)
    if rule.removed_at is not None:
        raise NotFound
    return rule, camera, watch


async def _alert_for_staff(tx: AsyncSession, me: Principal, alert_id: uuid.UUID) -> Alert:
    alert = await tx.get(Alert, alert_id, with_for_update={"key_share": True})
    if alert is None:
        raise NotFound
    me.require(STAFF, alert.path, hide=True)
    return alert


async def _record(tx: AsyncSession, me: Principal, action: str, rule: Rule, camera: Camera) -> None:
    detail = {"camera": str(camera.id), "kind": rule.kind.value}
    await audit.record(tx, me, action, str(rule.id), camera.unit, detail)
