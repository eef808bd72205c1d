"""Owns the questions about notices: what a place reads, what staff sees, when waste is collected, who follows."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.errors import NotFound
from services.media.notices.model import Notice, Status, Subscription, WasteRule
from services.media.speakers.queries import below


async def notice(tx: AsyncSession, notice_id: uuid.UUID) -> Notice:
    """One notice, whatever its state; raises NotFound."""
    row = await tx.get(Notice, notice_id)
    if row is None:
        raise NotFound
    return row


async def public(
    tx: AsyncSession, place: units.Unit, *, limit: int, before: uuid.UUID | None = None
) -> Sequence[Notice]:
    """Up to `limit` + 1 public notices for a village, or for anybody in a commune, last published first.

    The reminders of the waste calendar are left out: the calendar itself stands beside them.
    """
    query = sa.select(Notice).where(
        Notice.commune == place.commune, Notice.status == Status.PUBLISHED, Notice.collection_on.is_(None)
    )
    if place.level == "village":
        query = query.where(sa.or_(Notice.villages == [], Notice.villages.contains([place.code])))
    if before is not None:
        last = sa.select(Notice.published_at).where(Notice.id == before).scalar_subquery()
        query = query.where(sa.tuple_(Notice.published_at, Notice.id) < sa.tuple_(last, before))
    return (await tx.scalars(query.order_by(Notice.published_at.desc(), Notice.id.desc()).limit(limit + 1))).all()


async def listing(tx: AsyncSession, path: str, *, limit: int, before: uuid.UUID | None = None) -> Sequence[Notice]:
    """Up to `limit` + 1 notices at or below `path` in every state, newest first."""
    query = sa.select(Notice).where(below(Notice.path, path))
    if before is not None:
        query = query.where(Notice.id < before)
    return (await tx.scalars(query.order_by(Notice.id.desc()).limit(limit + 1))).all()


async def rules(tx: AsyncSession, path: str) -> Sequence[WasteRule]:
    """The collections at or below `path`, village by village."""
    query = sa.select(WasteRule).where(below(WasteRule.path, path), WasteRule.ended_at.is_(None))
    return (await tx.scalars(query.order_by(WasteRule.unit, WasteRule.at, WasteRule.id).limit(1000))).all()


async def rule(tx: AsyncSession, rule_id: uuid.UUID) -> WasteRule:
    """One rule; raises NotFound."""
    row = await tx.get(WasteRule, rule_id)
    if row is None:
        raise NotFound
    return row


async def phones(tx: AsyncSession, path: str) -> int:
    """How many phones follow a village at or below `path`."""
    count = sa.select(sa.func.count(sa.distinct(Subscription.fingerprint)))
    return int(await tx.scalar(count.where(below(Subscription.path, path))) or 0)
