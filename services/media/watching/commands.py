"""Owns what staff do to the rules of cameras: one use case, one function."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit
from chassis.auth import STAFF, Principal
from chassis.db import now
from chassis.errors import NotFound
from services.media.cameras.model import Camera, CameraRetired
from services.media.watching import alerts, looks, queries
from services.media.watching.model import (
    MOST_POINTS,
    MOST_RULES,
    BadLine,
    BadZone,
    Kind,
    Point,
    Rule,
    RuleThere,
    TooManyRules,
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


async def add_rule(tx: AsyncSession, me: Principal, camera_id: uuid.UUID, kind: Kind, words: Words) -> Rule:
    """Give a camera a rule. Raises CameraRetired, RuleThere, TooManyRules, BadZone, BadLine."""
    camera = await _for_staff(tx, me, camera_id)
    watch = await looks.watch_of(tx, camera.id)
    rules = await queries.rules(tx, camera.id)
    if len(rules) >= MOST_RULES:
        raise TooManyRules(most=MOST_RULES)
    if not kind.drawn and any(rule.kind is kind for rule in rules):
        raise RuleThere(field="kind")
    rule = Rule(camera_id=camera.id, kind=kind)
    _say(rule, words)
    tx.add(rule)
    await looks.settle(tx, camera, watch)
    await _record(tx, me, "camera_rule.added", rule, camera)
    return rule


async def change_rule(tx: AsyncSession, me: Principal, rule_id: uuid.UUID, words: Words) -> Rule:
    """Say a rule anew; it begins from the start. Raises CameraRetired, BadZone, BadLine."""
    rule, camera, watch = await _rule_for_staff(tx, me, rule_id)
    _say(rule, words)
    await alerts.end(tx, [rule.id])
    await looks.settle(tx, camera, watch)
    await _record(tx, me, "camera_rule.changed", rule, camera)
    return rule


async def pause_rule(tx: AsyncSession, me: Principal, rule_id: uuid.UUID, *, on: bool) -> Rule:
    """Let a rule rest, or have it applied again."""
    rule, camera, watch = await _rule_for_staff(tx, me, rule_id)
    if rule.paused != on:
        rule.paused = on
        rule.begin(now())
        await alerts.end(tx, [rule.id])
        await looks.settle(tx, camera, watch)
        await _record(tx, me, "camera_rule.paused" if on else "camera_rule.resumed", rule, camera)
    return rule


async def remove_rule(tx: AsyncSession, me: Principal, rule_id: uuid.UUID) -> Rule:
    """Take a rule off its camera; its alerts stay."""
    rule, camera, watch = await _rule_for_staff(tx, me, rule_id)
    rule.removed_at = now()
    await alerts.end(tx, [rule.id])
    await looks.settle(tx, camera, watch)
    await _record(tx, me, "camera_rule.removed", rule, camera)
    return rule


async def release(tx: AsyncSession, camera: Camera) -> None:
    """A camera is retired: its rules go with it. Told where it was watched."""
    watch = await tx.get(Watch, camera.id, with_for_update=True)
    if watch is None:
        return
    gone = sa.update(Rule).where(Rule.camera_id == camera.id, Rule.removed_at.is_(None)).values(removed_at=now())
    await alerts.end(tx, (await tx.scalars(gone.returning(Rule.id))).all())
    await looks.settle(tx, camera, watch)


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
    watch = await looks.watch_of(tx, camera.id)
    # Read again under the lock: somebody else may have changed or removed it.
    await tx.refresh(rule)
    if rule.removed_at is not None:
        raise NotFound
    return rule, camera, watch


async def _record(tx: AsyncSession, me: Principal, action: str, rule: Rule, camera: Camera) -> None:
    detail = {"camera": str(camera.id), "kind": rule.kind.value}
    await audit.record(tx, me, action, str(rule.id), camera.unit, detail)
