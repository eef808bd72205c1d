"""Owns the questions about loudspeakers, clusters and villages."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from services.media.model import Village
from services.media.speakers.model import Cluster, Coverage, HubStatus, Loudspeaker, LoudspeakerInterval, State


@dataclass(frozen=True, slots=True)
class SpeakerCounts:
    """How many loudspeakers are in service, smart, and ready."""

    total: int = 0
    smart: int = 0
    ready: int = 0


def below(column: sa.orm.InstrumentedAttribute[str], path: str) -> sa.ColumnElement[bool]:
    """Whether a row's path is `path` or below it."""
    return sa.or_(column == path, column.startswith(f"{path}/", autoescape=True))


async def by_devices(tx: AsyncSession, device_ids: Collection[str]) -> dict[str, Loudspeaker]:
    """The loudspeakers of these devices by device id, locked until the transaction ends, always in the same order.

    Locks of loudspeakers leave the key alone: a new delivery that refers to one, written under the village's lock, must
    not wait for the hub, which takes loudspeaker and village the other way round.
    """
    query = sa.select(Loudspeaker).where(Loudspeaker.device_id.in_(device_ids)).order_by(Loudspeaker.id)
    return {row.device_id: row for row in await tx.scalars(query.with_for_update(key_share=True))}


async def loudspeaker(tx: AsyncSession, speaker_id: uuid.UUID) -> Loudspeaker:
    """One loudspeaker; raises NotFound."""
    row = await tx.get(Loudspeaker, speaker_id)
    if row is None:
        raise NotFound
    return row


async def loudspeakers(
    tx: AsyncSession,
    path: str,
    *,
    limit: int,
    after: Sequence[str] | None = None,
    include_retired: bool = False,
) -> list[Loudspeaker]:
    """Up to `limit` + 1 loudspeakers at or below `path`, by village and time of registration; `after` is (unit, id)."""
    query = sa.select(Loudspeaker).where(below(Loudspeaker.path, path))
    if not include_retired:
        query = query.where(Loudspeaker.retired_at.is_(None))
    if after is not None:
        query = query.where(sa.tuple_(Loudspeaker.unit, Loudspeaker.id) > sa.tuple_(*after_values(after)))
    return list((await tx.scalars(query.order_by(Loudspeaker.unit, Loudspeaker.id).limit(limit + 1))).all())


def after_values(after: Sequence[str]) -> tuple[sa.ColumnElement[str], sa.ColumnElement[uuid.UUID]]:
    """A cursor of (unit, id) as values to compare with; a foreign shape is the caller's Malformed."""
    return sa.literal(str(after[0])), sa.literal(uuid.UUID(str(after[1])))


async def of_villages(tx: AsyncSession, codes: Sequence[str]) -> list[Loudspeaker]:
    """The loudspeakers in service of these villages."""
    query = sa.select(Loudspeaker).where(Loudspeaker.unit.in_(codes), Loudspeaker.retired_at.is_(None))
    return list((await tx.scalars(query.order_by(Loudspeaker.unit, Loudspeaker.id))).all())


async def coverage(tx: AsyncSession, speakers: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Cluster]]:
    """The living clusters each of these loudspeakers covers."""
    query = (
        sa.select(Coverage.loudspeaker_id, Cluster)
        .join(Cluster, Cluster.id == Coverage.cluster_id)
        .where(Coverage.loudspeaker_id.in_(speakers), Cluster.retired_at.is_(None))
        .order_by(Cluster.id)
    )
    found: dict[uuid.UUID, list[Cluster]] = {s: [] for s in speakers}
    for speaker_id, cluster in (await tx.execute(query)).all():
        found[speaker_id].append(cluster)
    return found


async def clusters(tx: AsyncSession, path: str, *, limit: int, after: Sequence[str] | None = None) -> list[Cluster]:
    """Up to `limit` + 1 living clusters at or below `path`, by village; `after` is (unit, id)."""
    query = sa.select(Cluster).where(below(Cluster.path, path), Cluster.retired_at.is_(None))
    if after is not None:
        query = query.where(sa.tuple_(Cluster.unit, Cluster.id) > sa.tuple_(*after_values(after)))
    return list((await tx.scalars(query.order_by(Cluster.unit, Cluster.id).limit(limit + 1))).all())


async def in_earshot(tx: AsyncSession, unit: str) -> set[uuid.UUID]:
    """The clusters of a village that a proven, ready loudspeaker covers now."""
    query = (
        sa.select(Coverage.cluster_id)
        .join(Loudspeaker, Loudspeaker.id == Coverage.loudspeaker_id)
        .where(
            Loudspeaker.unit == unit,
            Loudspeaker.retired_at.is_(None),
            Loudspeaker.smart,
            Loudspeaker.state == State.READY,
            Loudspeaker.last_acknowledged_at.is_not(None),
        )
    )
    return set((await tx.scalars(query)).all())


async def villages(tx: AsyncSession, codes: Sequence[str]) -> dict[str, Village]:
    """What is known of these villages; one that never had a device is missing."""
    rows = await tx.scalars(sa.select(Village).where(Village.unit.in_(codes)))
    return {row.unit: row for row in rows}


async def counts(tx: AsyncSession, path: str) -> SpeakerCounts:
    """How many loudspeakers stand at or below `path`."""
    living = sa.and_(below(Loudspeaker.path, path), Loudspeaker.retired_at.is_(None))
    query = sa.select(
        sa.func.count(),
        sa.func.count().filter(Loudspeaker.smart),
        sa.func.count().filter(Loudspeaker.smart, Loudspeaker.state == State.READY),
    ).where(living)
    return SpeakerCounts(*(await tx.execute(query)).one())


async def states(tx: AsyncSession) -> dict[str, int]:
    """How many smart loudspeakers in service are in each state; every state is named."""
    query = (
        sa.select(Loudspeaker.state, sa.func.count())
        .where(Loudspeaker.retired_at.is_(None), Loudspeaker.smart)
        .group_by(Loudspeaker.state)
    )
    found = {state.value: 0 for state in State}
    found.update({state.value: count for state, count in (await tx.execute(query)).all()})
    return found


async def intervals(tx: AsyncSession, speaker_id: uuid.UUID, limit: int = 50) -> list[LoudspeakerInterval]:
    """The newest stretches of a loudspeaker's states, newest first."""
    query = sa.select(LoudspeakerInterval).where(LoudspeakerInterval.loudspeaker_id == speaker_id)
    return list((await tx.scalars(query.order_by(LoudspeakerInterval.id.desc()).limit(limit))).all())


async def hub(tx: AsyncSession) -> HubStatus | None:
    """Whether the hub has its broker, and since when; None before it ever ran."""
    return await tx.get(HubStatus, True)


async def versions(tx: AsyncSession, commune: str) -> dict[str, int]:
    """The version of every village of a commune, for pages that watch for changes."""
    rows = await tx.execute(sa.select(Village.unit, Village.version).where(Village.commune == commune))
    return {row.unit: row.version for row in rows}
