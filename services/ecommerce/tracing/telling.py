"""Owns how a lot is told to the other services: whole public state, from its publication on, when it changed."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession
from xaso.ecommerce.v1 import events_pb2

from chassis import outbox
from services.ecommerce.model import ProducerKind
from services.ecommerce.tracing import queries
from services.ecommerce.tracing.model import Lot


async def message(tx: AsyncSession, lot: Lot) -> events_pb2.Lot:
    """The public state of a lot; its row is locked, so that what is told last is what holds."""
    standing = await queries.standing(tx, lot)
    told = events_pb2.Lot(
        id=str(lot.id),
        code=lot.code,
        unit=lot.unit,
        commune=lot.commune,
        producer_id=str(lot.producer_id),
        cooperative=lot.producer.kind == ProducerKind.COOPERATIVE,
        product_id=str(lot.product_id),
        status=lot.status,
        diary_entries=standing.counted,
        households=lot.households,
        traceable=standing.traceable,
        year=lot.harvested_on.year,
    )
    if lot.published_at is not None:
        told.published_at.FromDatetime(lot.published_at)
    return told


async def changed(tx: AsyncSession, lot: Lot) -> None:
    """Tell of the locked lot; what is not published is its producer's own business."""
    if lot.published_at is not None:
        event = events_pb2.LotChanged(lot=await message(tx, lot))
        await outbox.add(tx, event, unit=lot.unit, key=lot.commune, subject=str(lot.id))
