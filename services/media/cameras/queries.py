"""Owns the questions about cameras: the registry, their intervals, the uptime."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from services.media.cameras.model import Camera, CameraInterval, CameraState, Uptime
from services.media.speakers.queries import after_values, below


@dataclass(frozen=True, slots=True)
class CameraCounts:
    """How many cameras are in service and online."""

    total: int = 0
    online: int = 0


async def camera(tx: AsyncSession, camera_id: uuid.UUID) -> Camera:
    """One camera; raises NotFound."""
    row = await tx.get(Camera, camera_id)
    if row is None:
        raise NotFound
    return row


async def cameras(
    tx: AsyncSession,
    path: str,
    *,
    limit: int,
    after: Sequence[str] | None = None,
    include_retired: bool = False,
) -> list[Camera]:
    """Up to `limit` + 1 cameras at or below `path`, by village and time of registration; `after` is (unit, id)."""
    query = sa.select(Camera).where(below(Camera.path, path))
    if not include_retired:
        query = query.where(Camera.retired_at.is_(None))
    if after is not None:
        query = query.where(sa.tuple_(Camera.unit, Camera.id) > sa.tuple_(*after_values(after)))
    return list((await tx.scalars(query.order_by(Camera.unit, Camera.id).limit(limit + 1))).all())


async def of_villages(tx: AsyncSession, codes: Sequence[str]) -> list[Camera]:
    """The cameras in service of these villages."""
    query = sa.select(Camera).where(Camera.unit.in_(codes), Camera.retired_at.is_(None))
    return list((await tx.scalars(query.order_by(Camera.unit, Camera.id))).all())


async def counts(tx: AsyncSession, path: str) -> CameraCounts:
    """How many cameras stand at or below `path`."""
    query = sa.select(sa.func.count(), sa.func.count().filter(Camera.state == CameraState.ONLINE)).where(
        below(Camera.path, path), Camera.retired_at.is_(None)
    )
    return CameraCounts(*(await tx.execute(query)).one())


async def states(tx: AsyncSession) -> dict[str, int]:
    """How many cameras in service are in each state; every state is named."""
    query = sa.select(Camera.state, sa.func.count()).where(Camera.retired_at.is_(None)).group_by(Camera.state)
    found = {state.value: 0 for state in CameraState}
    found.update({state.value: count for state, count in (await tx.execute(query)).all()})
    return found


async def intervals(tx: AsyncSession, camera_id: uuid.UUID, limit: int = 50) -> list[CameraInterval]:
    """The newest stretches of a camera's states, newest first."""
    query = sa.select(CameraInterval).where(CameraInterval.camera_id == camera_id)
    return list((await tx.scalars(query.order_by(CameraInterval.id.desc()).limit(limit))).all())


async def uptimes(
    tx: AsyncSession, cameras: Sequence[Camera], *, now: datetime, days: int, stale: timedelta
) -> dict[uuid.UUID, Uptime]:
    """Seconds per state of each camera within the last `days` days.

    The present stretch counts only as long as the last probe speaks for it; what is left of it is unknown.
    """
    start = now - timedelta(days=days)
    query = sa.select(CameraInterval).where(
        CameraInterval.camera_id.in_([c.id for c in cameras]),
        sa.or_(CameraInterval.until.is_(None), CameraInterval.until > start),
    )
    seconds: dict[uuid.UUID, dict[str, float]] = {c.id: {} for c in cameras}
    by_id = {c.id: c for c in cameras}
    for row in await tx.scalars(query):
        begin, end = max(row.since, start), row.until or now
        gap = by_id[row.camera_id].unwatched_since(now, stale) if row.until is None else None
        known = min(end, gap) if gap is not None else end
        sums = seconds[row.camera_id]
        sums[row.state] = sums.get(row.state, 0) + max(0.0, (known - begin).total_seconds())
        sums["unknown"] = sums.get("unknown", 0) + max(0.0, (end - max(known, begin)).total_seconds())
    return {camera_id: Uptime(**{k: int(v) for k, v in sums.items()}) for camera_id, sums in seconds.items()}
