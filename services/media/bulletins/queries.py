"""Owns the questions about test bulletins: how far each loudspeaker came, and where a bulletin stands."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from services.media.bulletins.model import Acknowledgement, Bulletin, Delivery, Progress, Stage, Verdict
from services.media.speakers.model import Loudspeaker
from services.media.speakers.queries import below


@dataclass(frozen=True, slots=True)
class Proof:
    """What one loudspeaker acknowledged of a bulletin, by stage."""

    loudspeaker: Loudspeaker
    delivery: Delivery
    stages: dict[Stage, Acknowledgement] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        ack = self.stages.get(Stage.FINISHED)
        return ack is not None and ack.verdict == Verdict.COUNTED


@dataclass(frozen=True, slots=True)
class Sent:
    """A bulletin with where it stands."""

    bulletin: Bulletin
    targets: int
    finished: int
    progress: Progress


async def bulletin(tx: AsyncSession, bulletin_id: uuid.UUID) -> Bulletin:
    """One bulletin; raises NotFound."""
    row = await tx.get(Bulletin, bulletin_id)
    if row is None:
        raise NotFound
    return row


async def proofs(tx: AsyncSession, bulletin_id: uuid.UUID) -> list[Proof]:
    """How far every loudspeaker of a bulletin came, by name."""
    targets = (
        sa.select(Delivery, Loudspeaker)
        .join(Loudspeaker, Loudspeaker.id == Delivery.loudspeaker_id)
        .where(Delivery.bulletin_id == bulletin_id)
        .order_by(Loudspeaker.name, Loudspeaker.id)
    )
    found = {d.id: Proof(speaker, d) for d, speaker in (await tx.execute(targets)).all()}
    acks = sa.select(Acknowledgement).join(Delivery, Delivery.id == Acknowledgement.delivery_id)
    for ack in await tx.scalars(acks.where(Delivery.bulletin_id == bulletin_id)):
        found[ack.delivery_id].stages[Stage(ack.stage)] = ack
    return list(found.values())


def sent_of(bulletin: Bulletin, targets: int, finished: int, now: datetime) -> Sent:
    return Sent(bulletin, targets, finished, bulletin.progress(now, targets=targets, finished=finished))


async def listing(
    tx: AsyncSession, path: str, now: datetime, *, limit: int, before: uuid.UUID | None = None
) -> list[Sent]:
    """Up to `limit` + 1 bulletins at or below `path`, newest first."""
    query = sa.select(Bulletin).where(below(Bulletin.path, path))
    if before is not None:
        query = query.where(Bulletin.id < before)
    rows = list((await tx.scalars(query.order_by(Bulletin.id.desc()).limit(limit + 1))).all())
    counted = await _counts(tx, [b.id for b in rows])
    return [sent_of(b, *counted.get(b.id, (0, 0)), now) for b in rows]


async def _counts(tx: AsyncSession, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[int, int]]:
    finished = sa.and_(
        Acknowledgement.delivery_id == Delivery.id,
        Acknowledgement.stage == Stage.FINISHED,
        Acknowledgement.verdict == Verdict.COUNTED,
    )
    query = (
        sa.select(Delivery.bulletin_id, sa.func.count(Delivery.id), sa.func.count(Acknowledgement.delivery_id))
        .outerjoin(Acknowledgement, finished)
        .where(Delivery.bulletin_id.in_(ids))
        .group_by(Delivery.bulletin_id)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in (await tx.execute(query)).all()}


async def delivery(tx: AsyncSession, delivery_id: uuid.UUID) -> tuple[Delivery, Bulletin] | None:
    """A delivery and its bulletin."""
    query = (
        sa.select(Delivery, Bulletin)
        .join(Bulletin, Bulletin.id == Delivery.bulletin_id)
        .where(Delivery.id == delivery_id)
    )
    row = (await tx.execute(query)).first()
    return (row[0], row[1]) if row else None
