"""Owns the questions about the rules of cameras and about alerts."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from chassis.units import VIETNAM
from services.media.cameras.model import Camera
from services.media.speakers.queries import below
from services.media.watching.model import FRESH, Alert, Rule, Verdict, Watch


@dataclass(frozen=True, slots=True)
class Listed:
    """An alert with the camera and the rule it is of."""

    alert: Alert
    camera: Camera
    rule: Rule


_LISTED = sa.select(Alert, Camera, Rule).join(Camera, Camera.id == Alert.camera_id).join(Rule, Rule.id == Alert.rule_id)


async def rule(tx: AsyncSession, rule_id: uuid.UUID) -> Rule:
    """One rule that was not removed; raises NotFound."""
    row = await tx.get(Rule, rule_id)
    if row is None or row.removed_at is not None:
        raise NotFound
    return row


async def rules(tx: AsyncSession, camera_id: uuid.UUID) -> list[Rule]:
    """The rules of a camera, oldest first."""
    query = sa.select(Rule).where(Rule.camera_id == camera_id, Rule.removed_at.is_(None)).order_by(Rule.id)
    return list((await tx.scalars(query)).all())


async def watch(tx: AsyncSession, camera_id: uuid.UUID) -> Watch:
    """Whether and how a camera is watched; one that never had a rule is not."""
    return await tx.get(Watch, camera_id) or Watch(camera_id=camera_id, rules_active=0, working=False)


async def lapsed(tx: AsyncSession, at: datetime, limit: int = 200) -> Sequence[uuid.UUID]:
    """Cameras that were told to be watched and have not been for an hour."""
    query = sa.select(Watch.camera_id).where(Watch.working, Watch.evaluated_at <= at - FRESH).limit(limit)
    return (await tx.scalars(query)).all()


async def alert(tx: AsyncSession, alert_id: uuid.UUID) -> Listed:
    """One alert; raises NotFound."""
    row = (await tx.execute(_LISTED.where(Alert.id == alert_id))).one_or_none()
    if row is None:
        raise NotFound
    return Listed(*row)


async def alerts(
    tx: AsyncSession,
    path: str,
    *,
    limit: int,
    before: uuid.UUID | None = None,
    verdict: Verdict | None = None,
    camera_id: uuid.UUID | None = None,
) -> list[Listed]:
    """Up to `limit` + 1 alerts at or below `path`, newest first."""
    query = _LISTED.where(below(Alert.path, path))
    if before is not None:
        query = query.where(Alert.id < before)
    if verdict is not None:
        query = query.where(Alert.verdict == verdict)
    if camera_id is not None:
        query = query.where(Alert.camera_id == camera_id)
    found = await tx.execute(query.order_by(Alert.id.desc()).limit(limit + 1))
    return [Listed(*row) for row in found.all()]


async def waiting(tx: AsyncSession, path: str) -> int:
    """How many alerts at or below `path` nobody has judged yet."""
    query = sa.select(sa.func.count()).where(below(Alert.path, path), Alert.verdict == Verdict.NEW)
    return await tx.scalar(query) or 0


async def alerts_of_month(tx: AsyncSession, camera_id: uuid.UUID, at: datetime) -> int:
    """How many alerts a camera raised in the month of `at`, up to it."""
    start = at.astimezone(VIETNAM).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    query = sa.select(sa.func.count()).where(Alert.camera_id == camera_id, Alert.created_at.between(start, at))
    return await tx.scalar(query) or 0
