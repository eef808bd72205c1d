"""Owns what happens to test bulletins: sent, dispatched, acknowledged, cancelled."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.media.v1 import events_pb2 as events

from chassis import audit, outbox
from chassis.auth import STAFF, Principal
from chassis.db import now
from chassis.errors import NotFound
from services.media import facts
from services.media.bulletins.model import (
    Acknowledgement,
    Bulletin,
    BulletinUnderWay,
    Delivery,
    ForeignDelivery,
    ForeignLoudspeaker,
    NoLoudspeakers,
    Stage,
    Verdict,
)
from services.media.speakers.commands import village
from services.media.speakers.model import Loudspeaker

TEST_SECONDS = 10
"""Length of the test tone."""


@dataclass(frozen=True, slots=True)
class Command:
    """A message the hub must send now: `cancel` or the bulletin itself."""

    delivery: uuid.UUID
    bulletin: uuid.UUID
    commune: str
    device: str
    sealed_secret: bytes
    seconds: int
    expires_at: datetime
    cancel: bool


async def send_test(
    tx: AsyncSession, me: Principal, *, unit: str, loudspeakers: Sequence[uuid.UUID] | None, minutes: int
) -> Bulletin:
    """Let the smart loudspeakers of a village (all, or those named) play the test tone.

    Raises NoLoudspeakers, ForeignLoudspeaker, or BulletinUnderWay while another test of the village is running.
    """
    place = await village(tx, unit)
    me.require(STAFF, place.path)
    await facts.lock_village(tx, place.code, place.commune)
    at = now()
    if await _under_way(tx, place.code, at):
        raise BulletinUnderWay(unit=place.name)
    usable = sa.select(Loudspeaker.id).where(
        Loudspeaker.unit == place.code, Loudspeaker.smart, Loudspeaker.retired_at.is_(None)
    )
    targets = set((await tx.scalars(usable)).all())
    if loudspeakers is not None:
        if not targets.issuperset(loudspeakers):
            raise ForeignLoudspeaker(field="loudspeakers")
        targets = set(loudspeakers)
    if not targets:
        raise NoLoudspeakers(field="unit", unit=place.name)
    bulletin = Bulletin(
        unit=place.code,
        commune=place.commune,
        path=place.path,
        seconds=TEST_SECONDS,
        created_at=at,
        created_by=me.subject,
        expires_at=at + timedelta(minutes=minutes),
    )
    tx.add(bulletin)
    await tx.flush()
    tx.add_all(Delivery(bulletin_id=bulletin.id, loudspeaker_id=t, next_send_at=at) for t in sorted(targets))
    await tx.flush()
    await audit.record(
        tx, me, action="bulletin.sent", target=str(bulletin.id), unit=place.code, detail={"loudspeakers": len(targets)}
    )
    return bulletin


async def _under_way(tx: AsyncSession, unit: str, at: datetime) -> bool:
    """Whether a loudspeaker of the village still has a valid bulletin to play."""
    ended = sa.exists().where(
        Acknowledgement.delivery_id == Delivery.id,
        Acknowledgement.stage.in_([Stage.FINISHED, Stage.FAILED]),
    )
    open_ = (
        sa.select(Delivery.id)
        .join(Bulletin, Bulletin.id == Delivery.bulletin_id)
        .join(Loudspeaker, Loudspeaker.id == Delivery.loudspeaker_id)
        .where(
            Bulletin.unit == unit,
            Bulletin.cancelled_at.is_(None),
            Bulletin.expires_at > at,
            Loudspeaker.retired_at.is_(None),
            ~ended,
        )
        .limit(1)
    )
    return (await tx.execute(open_)).first() is not None


async def cancel(tx: AsyncSession, me: Principal, bulletin_id: uuid.UUID) -> Bulletin:
    """Cancel a bulletin that is under way; raises BulletinOver."""
    bulletin = await tx.get(Bulletin, bulletin_id, with_for_update={"key_share": True})
    if bulletin is None:
        raise NotFound
    me.require(STAFF, bulletin.path, hide=True)
    targets, finished = await counts(tx, bulletin.id)
    bulletin.cancel(now(), targets=targets, finished=finished)
    # Those that were never sent stay silent; the others are told to stop by the hub.
    await tx.execute(sa.update(Delivery).where(Delivery.bulletin_id == bulletin.id).values(next_send_at=None))
    await tx.flush()
    await audit.record(tx, me, action="bulletin.cancelled", target=str(bulletin.id), unit=bulletin.unit, detail={})
    return bulletin


async def counts(tx: AsyncSession, bulletin_id: uuid.UUID) -> tuple[int, int]:
    """How many loudspeakers a bulletin is for and how many proved to have played it."""
    finished = sa.and_(
        Acknowledgement.delivery_id == Delivery.id,
        Acknowledgement.stage == Stage.FINISHED,
        Acknowledgement.verdict == Verdict.COUNTED,
    )
    query = (
        sa.select(sa.func.count(Delivery.id), sa.func.count(Acknowledgement.delivery_id))
        .outerjoin(Acknowledgement, finished)
        .where(Delivery.bulletin_id == bulletin_id)
    )
    targets, done = (await tx.execute(query)).one()
    return int(targets), int(done)


async def take_due(tx: AsyncSession, *, at: datetime, resend: float, limit: int = 100) -> list[Command]:
    """Claim the commands to send now and plan their repetition; at least once, the device tells repetitions by id."""
    due = (
        sa.select(Delivery, Bulletin, Loudspeaker)
        .join(Bulletin, Bulletin.id == Delivery.bulletin_id)
        .join(Loudspeaker, Loudspeaker.id == Delivery.loudspeaker_id)
        .where(
            Delivery.next_send_at <= at,
            Bulletin.expires_at > at,
            Bulletin.cancelled_at.is_(None),
            Loudspeaker.retired_at.is_(None),
        )
        .order_by(Delivery.next_send_at, Delivery.id)
        .limit(limit)
        .with_for_update(of=Delivery, skip_locked=True, key_share=True)
    )
    commands = []
    for delivery, bulletin, speaker in (await tx.execute(due)).all():
        delivery.next_send_at = at + timedelta(seconds=resend)
        delivery.first_sent_at = delivery.first_sent_at or at
        delivery.attempts += 1
        commands.append(_command(delivery, bulletin, speaker, cancel=False))
    stop = (
        sa.select(Delivery, Bulletin, Loudspeaker)
        .join(Bulletin, Bulletin.id == Delivery.bulletin_id)
        .join(Loudspeaker, Loudspeaker.id == Delivery.loudspeaker_id)
        .where(
            Bulletin.cancelled_at.is_not(None),
            Bulletin.expires_at > at,
            Delivery.first_sent_at.is_not(None),
            Delivery.cancel_sent_at.is_(None),
            Loudspeaker.retired_at.is_(None),
        )
        .limit(limit)
        .with_for_update(of=Delivery, skip_locked=True, key_share=True)
    )
    for delivery, bulletin, speaker in (await tx.execute(stop)).all():
        delivery.cancel_sent_at = at
        commands.append(_command(delivery, bulletin, speaker, cancel=True))
    return commands


def _command(delivery: Delivery, bulletin: Bulletin, speaker: Loudspeaker, *, cancel: bool) -> Command:
    return Command(
        delivery=delivery.id,
        bulletin=bulletin.id,
        commune=speaker.commune,
        device=speaker.device_id,
        sealed_secret=speaker.sealed_secret or b"",
        seconds=bulletin.seconds,
        expires_at=bulletin.expires_at,
        cancel=cancel,
    )


async def acknowledge(
    tx: AsyncSession,
    speaker: Loudspeaker,
    delivery_id: uuid.UUID,
    stage: Stage,
    *,
    seconds: float | None,
    at: datetime,
    device_at: datetime | None,
) -> Verdict | None:
    """Note how far a locked loudspeaker came; returns None for a replay. Raises ForeignDelivery.

    The first finished acknowledgement that counts proves the loudspeaker and may bring its clusters into earshot:
    unless it was a replay, the caller owes the village a `tell_audibility` in the same transaction.
    """
    delivery = await tx.get(Delivery, delivery_id)
    if delivery is None or delivery.loudspeaker_id != speaker.id:
        raise ForeignDelivery
    # Shared: a cancellation that is being committed is waited for, so that it is either before or after this. It locks
    # the bulletin before its deliveries, as is done here.
    bulletin = await tx.get_one(Bulletin, delivery.bulletin_id, with_for_update={"read": True}, populate_existing=True)
    verdict = bulletin.judge(stage, seconds, at)
    row = insert(Acknowledgement).values(
        delivery_id=delivery.id,
        stage=stage.value,
        verdict=verdict.value,
        received_at=at,
        device_at=device_at,
        seconds=seconds,
    )
    fresh = await tx.execute(row.on_conflict_do_nothing().returning(Acknowledgement.delivery_id))
    if fresh.first() is None:
        return None
    delivery.next_send_at = None
    if stage is Stage.FINISHED and verdict is Verdict.COUNTED:
        speaker.last_acknowledged_at = at
        await tx.flush()
        message = events.BulletinAcknowledged(bulletin_id=str(bulletin.id), loudspeaker=facts.loudspeaker(speaker))
        await outbox.add(tx, message, unit=speaker.unit, key=speaker.commune, subject=str(speaker.id))
    return verdict


async def hurry(tx: AsyncSession, loudspeaker_id: uuid.UUID, at: datetime) -> None:
    """Send at once what a loudspeaker that has come back has not played to the end; the device knows repetitions."""
    ended = sa.exists().where(
        Acknowledgement.delivery_id == Delivery.id,
        Acknowledgement.stage.in_([Stage.FINISHED, Stage.FAILED]),
    )
    valid = sa.select(Bulletin.id).where(Bulletin.cancelled_at.is_(None), Bulletin.expires_at > at)
    await tx.execute(
        sa.update(Delivery)
        .where(Delivery.loudspeaker_id == loudspeaker_id, Delivery.bulletin_id.in_(valid), ~ended)
        .values(next_send_at=at)
        .execution_options(synchronize_session=False)
    )
