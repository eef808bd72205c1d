"""Owns the reads of plots, diaries, lots and their events, and how far the way of a lot is written down."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from chassis.auth import VIEWERS, Principal
from chassis.errors import Forbidden, NotFound
from services.ecommerce import access
from services.ecommerce.model import Producer
from services.ecommerce.tracing.model import DiaryEntry, Lot, LotStep, Plot, Work, lot_plot


@dataclass(frozen=True)
class Standing:
    """How far the way of a lot is written down; `bare_plots` have no work of the season in their diary."""

    entries: Sequence[DiaryEntry]
    bare_plots: Sequence[Plot]
    broken: Sequence[DiaryEntry]
    packed: bool

    @property
    def counted(self) -> int:
        return sum(entry.struck_at is None for entry in self.entries)

    @property
    def traceable(self) -> bool:
        return self.packed and not self.bare_plots and not self.broken


def standing_of(lot: Lot, entries: Sequence[DiaryEntry]) -> Standing:
    """What the diaries of its plots say of a lot; `entries` may reach beyond its season."""
    season = [entry for entry in entries if lot.season_from <= entry.day <= lot.harvested_on]
    tended = {entry.plot_id for entry in season if entry.struck_at is None and entry.work != Work.HARVEST}
    return Standing(
        entries=season,
        bare_plots=[plot for plot in lot.plots if plot.id not in tended],
        # A spray of the season before forbids a harvest as well as one of this season.
        broken=[entry for entry in entries if entry.forbids(lot.harvested_on)],
        packed=lot.packed,
    )


async def standing(tx: AsyncSession, lot: Lot) -> Standing:
    plots = [plot.id for plot in lot.plots]
    query = sa.select(DiaryEntry).where(DiaryEntry.plot_id.in_(plots), DiaryEntry.day <= lot.harvested_on)
    seasonal = sa.or_(DiaryEntry.day >= lot.season_from, DiaryEntry.work == Work.PESTICIDE.value)
    found = await tx.execute(query.where(seasonal).order_by(DiaryEntry.day, DiaryEntry.id))
    return standing_of(lot, found.scalars().all())


async def plots(tx: AsyncSession, producer_id: uuid.UUID, limit: int, after: uuid.UUID | None = None) -> list[Plot]:
    """Plots of a producer, newest first; up to `limit` + 1."""
    query = sa.select(Plot).where(Plot.producer_id == producer_id).options(joinedload(Plot.producer))
    if after is not None:
        query = query.where(Plot.id < after)
    return list((await tx.execute(query.order_by(Plot.id.desc()).limit(limit + 1))).scalars())


async def plot(tx: AsyncSession, me: Principal, plot_id: uuid.UUID) -> Plot:
    """A plot which `me` may see: its producer, and those who watch over its unit. Raises NotFound."""
    query = sa.select(Plot).where(Plot.id == plot_id).options(joinedload(Plot.producer))
    found = (await tx.execute(query)).scalar_one_or_none()
    if found is None or not access.may_see_producer(me, found.producer):
        raise NotFound()
    return found


async def diary(
    tx: AsyncSession, plot_id: uuid.UUID, limit: int, after: uuid.UUID | None = None
) -> Sequence[DiaryEntry]:
    """The diary of a plot with what was struck, the line written last first; up to `limit` + 1."""
    query = sa.select(DiaryEntry).where(DiaryEntry.plot_id == plot_id)
    if after is not None:
        query = query.where(DiaryEntry.id < after)
    return (await tx.execute(query.order_by(DiaryEntry.id.desc()).limit(limit + 1))).scalars().all()


async def entry(tx: AsyncSession, me: Principal, entry_id: uuid.UUID) -> DiaryEntry:
    """A line of a diary which `me` may change; raises NotFound, Forbidden."""
    found = await tx.get(DiaryEntry, entry_id)
    if found is None:
        raise NotFound()
    of = await plot(tx, me, found.plot_id)
    if not access.may_change_producer(me, of.producer):
        raise Forbidden()
    return found


def _whole() -> sa.Select[Lot]:
    return sa.select(Lot).options(
        joinedload(Lot.producer), joinedload(Lot.product), selectinload(Lot.plots), selectinload(Lot.steps)
    )


async def lot(tx: AsyncSession, me: Principal | None, code: str) -> Lot:
    """A lot with all that belongs to it, which `me` may see; raises NotFound for what is not published."""
    found = (await tx.execute(_whole().where(Lot.code == code.upper()))).scalar_one_or_none()
    if found is None or not may_see(me, found):
        raise NotFound()
    return found


def may_see(me: Principal | None, lot: Lot) -> bool:
    """Everybody what is published; else the producer, and those who watch over its unit or the lot's."""
    if lot.published_at is not None:
        return True
    return me is not None and (access.may_see_producer(me, lot.producer) or me.may(VIEWERS, lot.path))


async def locked(tx: AsyncSession, lot_id: uuid.UUID) -> Lot:
    """A lot with all that belongs to it, its row locked: steps of one lot are taken one after the other."""
    await tx.execute(sa.select(Lot.id).where(Lot.id == lot_id).with_for_update())
    query = _whole().where(Lot.id == lot_id).execution_options(populate_existing=True)
    return (await tx.execute(query)).scalar_one()


async def published_of_plot(tx: AsyncSession, plot_id: uuid.UUID, since: date) -> list[Lot]:
    """Published lots of a plot harvested since a day, each locked, in one order for everybody."""
    query = sa.select(Lot.id).join(lot_plot, lot_plot.c.lot_id == Lot.id).order_by(Lot.id)
    wanted = query.where(lot_plot.c.plot_id == plot_id, Lot.published_at.is_not(None), Lot.harvested_on >= since)
    return [await locked(tx, lot_id) for lot_id in (await tx.execute(wanted)).scalars().all()]


async def lots(
    tx: AsyncSession,
    *,
    path: str = "",
    producer_id: uuid.UUID | None = None,
    product_id: uuid.UUID | None = None,
    everything: bool = False,
    limit: int,
    after: uuid.UUID | None = None,
) -> list[Lot]:
    """Lots of a unit, a producer or a product, newest first; unpublished ones with `everything`. Up to `limit` + 1."""
    query = sa.select(Lot).options(joinedload(Lot.producer), joinedload(Lot.product))
    if path:
        query = query.where(sa.or_(Lot.path == path, Lot.path.startswith(f"{path}/", autoescape=True)))
    if producer_id is not None:
        query = query.where(Lot.producer_id == producer_id)
    if product_id is not None:
        query = query.where(Lot.product_id == product_id)
    if not everything:
        query = query.where(Lot.published_at.is_not(None))
    if after is not None:
        query = query.where(Lot.id < after)
    return list((await tx.execute(query.order_by(Lot.id.desc()).limit(limit + 1))).scalars())


@dataclass(frozen=True)
class EventFilter:
    """What a program asks the events for; times are [begin, end)."""

    epc_classes: tuple[str, ...] = ()
    biz_steps: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    begin: datetime | None = None
    end: datetime | None = None
    newest_first: bool = True


async def events(
    tx: AsyncSession, wanted: EventFilter, limit: int, after: tuple[datetime, uuid.UUID] | None = None
) -> Sequence[LotStep]:
    """Steps of published lots by event time; up to `limit` + 1 after the position."""
    query = sa.select(LotStep).join(Lot, Lot.id == LotStep.lot_id).where(Lot.published_at.is_not(None))
    if wanted.epc_classes:
        query = query.where(LotStep.epc_class.in_(wanted.epc_classes))
    if wanted.biz_steps:
        query = query.where(LotStep.biz_step.in_(wanted.biz_steps))
    if wanted.event_ids:
        query = query.where(LotStep.event_id.in_(wanted.event_ids))
    if wanted.begin is not None:
        query = query.where(LotStep.at >= wanted.begin)
    if wanted.end is not None:
        query = query.where(LotStep.at < wanted.end)
    here = sa.tuple_(LotStep.at, LotStep.id)
    if after is not None:
        there: Any = sa.tuple_(*map(sa.literal, after))
        query = query.where(here < there if wanted.newest_first else here > there)
    order = (LotStep.at.desc(), LotStep.id.desc()) if wanted.newest_first else (LotStep.at, LotStep.id)
    return (await tx.execute(query.order_by(*order).limit(limit + 1))).scalars().all()


async def producer(tx: AsyncSession, me: Principal, producer_id: uuid.UUID) -> Producer:
    """A producer whom `me` may see; raises NotFound."""
    found = await tx.get(Producer, producer_id)
    if found is None or not access.may_see_producer(me, found):
        raise NotFound()
    return found


async def sees_all_of(tx: AsyncSession, me: Principal | None, producer_id: uuid.UUID) -> bool:
    """Whether `me` may see what this producer has not published."""
    found = await tx.get(Producer, producer_id) if me is not None else None
    return me is not None and found is not None and access.may_see_producer(me, found)
