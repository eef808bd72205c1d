"""Owns what happens to loudspeakers and clusters: one use case, one function."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.media.v1 import events_pb2 as events

from chassis import audit, outbox, units
from chassis.auth import STAFF, Principal
from chassis.db import now
from chassis.errors import NotFound
from services.media import facts
from services.media.speakers import wire
from services.media.speakers.model import (
    Cluster,
    Coverage,
    ForeignCluster,
    HubStatus,
    Loudspeaker,
    LoudspeakerInterval,
    LoudspeakerRetired,
    NameTaken,
    NotAVillage,
    NotSmart,
    Outcome,
    Report,
    State,
)
from services.media.vault import Vault

ENTERERS = (*STAFF, "village_head")
"""Who may enter the residential clusters of a village."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A new loudspeaker with the secret that is shown this once."""

    loudspeaker: Loudspeaker
    secret: str


async def village(tx: AsyncSession, code: str) -> units.Unit:
    """The village `code`; raises UnknownUnit or NotAVillage."""
    unit = await units.get(tx, code)
    if unit.level != "village":
        raise NotAVillage(field="unit", name=unit.name)
    return unit


async def enter_cluster(tx: AsyncSession, me: Principal, *, unit: str, name: str) -> Cluster:
    """Enter a residential cluster of a village; raises NameTaken."""
    place = await village(tx, unit)
    me.require(ENTERERS, place.path)
    await facts.lock_village(tx, place.code, place.commune)
    same_name = sa.select(Cluster.id).where(
        Cluster.unit == place.code,
        sa.func.xaso_fold(Cluster.name) == sa.func.xaso_fold(name),
        Cluster.retired_at.is_(None),
    )
    if (await tx.execute(same_name)).first():
        raise NameTaken(field="name", unit=place.name, name=name)
    cluster = Cluster(unit=place.code, path=place.path, name=name, created_at=now())
    tx.add(cluster)
    await tx.flush()
    await tell_audibility(tx, place.code, place.commune)
    await audit.record(tx, me, action="cluster.entered", target=str(cluster.id), unit=place.code, detail={})
    return cluster


async def retire_cluster(tx: AsyncSession, me: Principal, cluster_id: uuid.UUID) -> Cluster:
    """Take a cluster off the list (merged, moved); repeated calls change nothing."""
    cluster = await tx.get(Cluster, cluster_id)
    if cluster is None:
        raise NotFound
    me.require(ENTERERS, cluster.path, hide=True)
    # Loudspeaker, village, cluster: everybody locks in this order.
    await facts.lock_village(tx, cluster.unit, commune_of(cluster.path))
    await tx.refresh(cluster, with_for_update={"key_share": True})
    if cluster.retired_at is None:
        cluster.retired_at = now()
        await tx.flush()
        await tell_audibility(tx, cluster.unit, commune_of(cluster.path))
        await audit.record(tx, me, action="cluster.retired", target=str(cluster.id), unit=cluster.unit, detail={})
    return cluster


def commune_of(path: str) -> str:
    """The commune's code in the path of a village."""
    return path.split("/")[-2]


async def register(
    tx: AsyncSession, me: Principal, vault: Vault, *, unit: str, name: str, smart: bool, clusters: Sequence[uuid.UUID]
) -> Registered:
    """Register a loudspeaker and make its device id and secret; raises NameTaken, ForeignCluster."""
    place = await village(tx, unit)
    me.require(STAFF, place.path)
    await facts.lock_village(tx, place.code, place.commune)
    await _check_clusters(tx, place.code, clusters)
    same_name = sa.select(Loudspeaker.id).where(
        Loudspeaker.unit == place.code,
        sa.func.xaso_fold(Loudspeaker.name) == sa.func.xaso_fold(name),
        Loudspeaker.retired_at.is_(None),
    )
    if (await tx.execute(same_name)).first():
        raise NameTaken(field="name", unit=place.name, name=name)
    at, secret, device = now(), wire.new_secret(), wire.new_device_id()
    speaker = Loudspeaker(
        unit=place.code,
        commune=place.commune,
        path=place.path,
        name=name,
        smart=smart,
        device_id=device,
        sealed_secret=vault.seal(secret, owner=device) if smart else None,
        state=State.UNKNOWN,
        state_since=at,
        registered_at=at,
    )
    tx.add(speaker)
    await tx.flush()
    tx.add_all(Coverage(loudspeaker_id=speaker.id, cluster_id=c) for c in dict.fromkeys(clusters))
    tx.add(LoudspeakerInterval(loudspeaker_id=speaker.id, state=speaker.state.value, since=at))
    await tx.flush()
    await _tell(tx, events.LoudspeakerRegistered(loudspeaker=facts.loudspeaker(speaker)), speaker)
    await tell_audibility(tx, speaker.unit, speaker.commune)
    await audit.record(
        tx, me, action="loudspeaker.registered", target=str(speaker.id), unit=speaker.unit, detail={"device": device}
    )
    return Registered(speaker, secret if smart else "")


async def cover(tx: AsyncSession, me: Principal, speaker_id: uuid.UUID, clusters: Sequence[uuid.UUID]) -> Loudspeaker:
    """Say anew which clusters a loudspeaker covers."""
    speaker = await _for_staff(tx, me, speaker_id)
    if speaker.retired_at is not None:
        raise LoudspeakerRetired(name=speaker.name)
    await facts.lock_village(tx, speaker.unit, speaker.commune)
    await _check_clusters(tx, speaker.unit, clusters)
    await tx.execute(sa.delete(Coverage).where(Coverage.loudspeaker_id == speaker.id))
    tx.add_all(Coverage(loudspeaker_id=speaker.id, cluster_id=c) for c in dict.fromkeys(clusters))
    await tx.flush()
    await tell_audibility(tx, speaker.unit, speaker.commune)
    await audit.record(
        tx,
        me,
        action="loudspeaker.covers",
        target=str(speaker.id),
        unit=speaker.unit,
        detail={"clusters": [str(c) for c in clusters]},
    )
    return speaker


async def renew_secret(tx: AsyncSession, me: Principal, vault: Vault, speaker_id: uuid.UUID) -> Registered:
    """Replace the secret of a device, because the old one was lost or seen; the old one counts no more."""
    speaker = await _for_staff(tx, me, speaker_id)
    if speaker.retired_at is not None:
        raise LoudspeakerRetired(name=speaker.name)
    if not speaker.smart:
        raise NotSmart(name=speaker.name)
    secret = wire.new_secret()
    speaker.sealed_secret = vault.seal(secret, owner=speaker.device_id)
    await tx.flush()
    await audit.record(
        tx, me, action="loudspeaker.secret_renewed", target=str(speaker.id), unit=speaker.unit, detail={}
    )
    return Registered(speaker, secret)


async def retire(tx: AsyncSession, me: Principal, speaker_id: uuid.UUID) -> Loudspeaker:
    """Take a loudspeaker out of service; raises LoudspeakerRetired the second time."""
    speaker = await _for_staff(tx, me, speaker_id)
    at = now()
    speaker.retire(at)
    await tx.execute(
        sa.update(LoudspeakerInterval)
        .where(LoudspeakerInterval.loudspeaker_id == speaker.id, LoudspeakerInterval.until.is_(None))
        .values(until=at)
    )
    await tx.flush()
    await _tell(tx, events.LoudspeakerRetired(loudspeaker=facts.loudspeaker(speaker)), speaker)
    await tell_audibility(tx, speaker.unit, speaker.commune)
    await audit.record(tx, me, action="loudspeaker.retired", target=str(speaker.id), unit=speaker.unit, detail={})
    return speaker


async def hear(
    tx: AsyncSession, speaker: Loudspeaker, report: Report, *, received_at: datetime, device_at: datetime | None
) -> Outcome:
    """Take one sign of life of a locked loudspeaker and tell where its state changed.

    After CHANGED the caller owes the village a `tell_audibility` in the same transaction: once per village, not for
    every sign.
    """
    standing, outcome = speaker.standing.hear(report)
    if outcome is Outcome.STALE:
        return outcome
    if not report.retained and report.state is not State.LOST:
        speaker.last_heartbeat_at = received_at
    if device_at is not None:
        speaker.clock_skew_seconds = _skew(device_at, received_at)
    if speaker.take(standing, received_at):
        await _tell_state(tx, speaker, received_at)
    return outcome


def _skew(device_at: datetime, received_at: datetime) -> int:
    """How far a device's clock is ahead (positive) or behind, in seconds, within what the column holds."""
    seconds = (device_at - received_at).total_seconds()
    return int(max(-2_000_000_000, min(2_000_000_000, seconds)))


async def silence(tx: AsyncSession, *, before: datetime, at: datetime, listening_since: datetime) -> int:
    """Declare lost every loudspeaker not heard since `before`; returns how many.

    While the hub itself was not listening nobody can have been heard: `listening_since` counts as a sign of life.
    """
    if listening_since >= before:
        return 0
    silent = (
        sa.select(Loudspeaker)
        .where(
            Loudspeaker.retired_at.is_(None),
            Loudspeaker.state.in_([State.READY, State.INIT]),
            sa.func.greatest(Loudspeaker.last_heartbeat_at, Loudspeaker.state_since) < before,
        )
        .order_by(Loudspeaker.id)
        .limit(200)
        .with_for_update(skip_locked=True, key_share=True)
    )
    count = 0
    villages = set()
    for speaker in (await tx.scalars(silent)).all():
        standing, outcome = speaker.standing.silence()
        if outcome is Outcome.CHANGED and speaker.take(standing, at):
            await _tell_state(tx, speaker, at)
            villages.add((speaker.unit, speaker.commune))
            count += 1
    for unit, commune in sorted(villages):
        await tell_audibility(tx, unit, commune)
    return count


async def _tell_state(tx: AsyncSession, speaker: Loudspeaker, at: datetime) -> None:
    await tx.execute(
        sa.update(LoudspeakerInterval)
        .where(LoudspeakerInterval.loudspeaker_id == speaker.id, LoudspeakerInterval.until.is_(None))
        .values(until=at)
    )
    tx.add(LoudspeakerInterval(loudspeaker_id=speaker.id, state=speaker.state.value, since=at))
    await tx.flush()
    await _tell(tx, events.LoudspeakerStateChanged(loudspeaker=facts.loudspeaker(speaker)), speaker)


async def tell_audibility(tx: AsyncSession, unit: str, commune: str) -> None:
    """Count anew which clusters of a village are in earshot; publishes only where the figure is another one."""
    row = await facts.lock_village(tx, unit, commune)
    every = sa.select(sa.func.count()).select_from(Cluster).where(Cluster.unit == unit, Cluster.retired_at.is_(None))
    heard = (
        sa.select(sa.func.count(sa.distinct(Cluster.id)))
        .join(Coverage, Coverage.cluster_id == Cluster.id)
        .join(Loudspeaker, Loudspeaker.id == Coverage.loudspeaker_id)
        .where(
            Cluster.unit == unit,
            Cluster.retired_at.is_(None),
            Loudspeaker.retired_at.is_(None),
            Loudspeaker.smart,
            Loudspeaker.state == State.READY,
            Loudspeaker.last_acknowledged_at.is_not(None),
        )
    )
    counted = (await tx.execute(sa.select(every.scalar_subquery(), heard.scalar_subquery()))).one()
    clusters, in_earshot = int(counted[0]), int(counted[1])
    if (clusters, in_earshot) == (row.clusters, row.clusters_in_earshot):
        return
    row.clusters, row.clusters_in_earshot = clusters, in_earshot
    await tx.flush()
    message = events.VillageAudibilityChanged(unit=unit, clusters=clusters, clusters_in_earshot=in_earshot)
    await outbox.add(tx, message, unit=unit, key=commune, subject=unit)


async def _tell(tx: AsyncSession, message: facts.LoudspeakerEvent, speaker: Loudspeaker) -> None:
    await outbox.add(tx, message, unit=speaker.unit, key=speaker.commune, subject=str(speaker.id))


async def _for_staff(tx: AsyncSession, me: Principal, speaker_id: uuid.UUID) -> Loudspeaker:
    """The loudspeaker, locked, for someone who may change it; hidden from everybody else."""
    speaker = await tx.get(Loudspeaker, speaker_id, with_for_update={"key_share": True})
    if speaker is None:
        raise NotFound
    me.require(STAFF, speaker.path, hide=True)
    return speaker


async def _check_clusters(tx: AsyncSession, unit: str, clusters: Sequence[uuid.UUID]) -> None:
    wanted = set(clusters)
    if not wanted:
        return
    found = (
        sa.select(sa.func.count())
        .select_from(Cluster)
        .where(Cluster.id.in_(wanted), Cluster.unit == unit, Cluster.retired_at.is_(None))
    )
    if (await tx.execute(found)).scalar_one() != len(wanted):
        raise ForeignCluster(field="clusters")


def deadline(seconds: float, factor: float, at: datetime) -> datetime:
    """The instant before which a last sign of life is too old."""
    return at - timedelta(seconds=seconds * factor)


async def note_hub(tx: AsyncSession, *, connected: bool) -> None:
    """Remember since when the hub has, or lacks, its broker."""
    at = now()
    row = insert(HubStatus).values(one=True, connected=connected, since=at)
    await tx.execute(
        row.on_conflict_do_update(
            index_elements=["one"],
            set_={"connected": connected, "since": at},
            where=HubStatus.connected.is_distinct_from(connected),
        )
    )
