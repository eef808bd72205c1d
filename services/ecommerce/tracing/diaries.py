"""Owns the use cases of plots and their diaries: what is written stays, and quiet days are kept. Callers commit."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.auth import Principal
from chassis.db import new_id, now
from chassis.errors import Forbidden, Invalid
from services.ecommerce import access
from services.ecommerce.model import Producer
from services.ecommerce.tracing import queries, telling
from services.ecommerce.tracing.model import (
    LONGEST_SEASON,
    DiaryEntry,
    DoneBy,
    EntryAlreadyStruck,
    HarvestInQuietDays,
    Plot,
    Work,
)

NAMED_PRODUCT = (Work.FERTILISER, Work.PESTICIDE)
"""Works that put something on the field; the diary says what."""


@dataclass(frozen=True)
class NewPlot:
    """`unit` is a village of the producer's commune; `growing_area_code` the granted mã số vùng trồng or ""."""

    name: str
    unit: str
    growing_area_code: str = ""


@dataclass(frozen=True)
class EntryFields:
    """A work on a plot. `quiet_days` is for pesticides: so many days lie between it and a harvest."""

    day: date
    work: Work
    product: str = ""
    quiet_days: int | None = None
    done_by: DoneBy = DoneBy.PRODUCER
    households: int = 0
    note: str = ""


async def add_plot(tx: AsyncSession, me: Principal, producer_id: uuid.UUID, wanted: NewPlot) -> Plot:
    """A new plot of that producer; raises NotFound, Forbidden, Invalid."""
    producer = await queries.producer(tx, me, producer_id)
    if not access.may_change_producer(me, producer):
        raise Forbidden()
    village = await units.find(tx, wanted.unit)
    if village is None or village.level != "village" or village.commune != producer.commune:
        raise Invalid(field="unit", message_="Xin chọn một thôn của xã nơi đặt cơ sở.")
    plot = Plot(
        id=new_id(),
        producer_id=producer.id,
        unit=village.code,
        commune=village.commune,
        path=village.path,
        name=wanted.name,
        growing_area_code=wanted.growing_area_code,
        created_at=now(),
        producer=producer,
    )
    tx.add(plot)
    await tx.flush()
    await leave_trace(tx, me, producer, "plot.added", plot.id, plot.unit)
    return plot


async def write_entry(tx: AsyncSession, me: Principal, plot_id: uuid.UUID, fields: EntryFields) -> DiaryEntry:
    """Write a work into the diary of a plot; raises NotFound, Forbidden, Invalid, HarvestInQuietDays."""
    plot = await _locked_plot(tx, me, plot_id)
    entry = await _enter(tx, me, plot, fields)
    await leave_trace(tx, me, plot.producer, "diary.written", entry.id, plot.unit)
    await _retell(tx, plot, entry.day)
    return entry


async def correct_entry(
    tx: AsyncSession, me: Principal, entry_id: uuid.UUID, reason: str, fields: EntryFields | None
) -> DiaryEntry:
    """Strike a line through, and write `fields` in its place where given; both stay readable. Returns the newest."""
    plot = await _locked_plot(tx, me, (await queries.entry(tx, me, entry_id)).plot_id)
    old = await tx.get_one(DiaryEntry, entry_id, populate_existing=True)
    if old.struck_at is not None:
        raise EntryAlreadyStruck()
    # What is refused is refused before anything changes: the page that says so still shows the line as it stands.
    entry = old if fields is None else await _enter(tx, me, plot, fields, replaces=old)
    old.struck_at, old.struck_reason = now(), reason
    await tx.flush()
    await leave_trace(tx, me, plot.producer, "diary.corrected", old.id, plot.unit)
    await _retell(tx, plot, min(old.day, entry.day))
    return entry


async def _enter(
    tx: AsyncSession, me: Principal, plot: Plot, fields: EntryFields, replaces: DiaryEntry | None = None
) -> DiaryEntry:
    today = units.today()
    if not today - LONGEST_SEASON <= fields.day <= today:
        raise Invalid(field="day", message_="Ngày làm phải trong hai năm gần đây, không ở sau hôm nay.")
    if fields.work in NAMED_PRODUCT and not fields.product:
        raise Invalid(field="product", message_="Xin ghi tên phân bón hoặc thuốc đã dùng.")
    if fields.work is Work.PESTICIDE and fields.quiet_days is None:
        raise Invalid(field="quiet_days", message_="Xin ghi số ngày cách ly in trên nhãn thuốc.")
    if fields.done_by is DoneBy.HOUSEHOLDS and not fields.households:
        raise Invalid(field="households", message_="Xin ghi số hộ tham gia.")
    if fields.work is Work.HARVEST:
        await check_quiet_days(tx, [plot], fields.day, besides=replaces)
    values = {**asdict(fields), "work": fields.work.value, "done_by": fields.done_by.value}
    values["quiet_days"] = fields.quiet_days or 0 if fields.work is Work.PESTICIDE else 0
    staff = not access.owns(me, plot.producer)
    known = {"plot_id": plot.id, "by_staff": staff, "replaces": replaces.id if replaces else None}
    entry = DiaryEntry(id=new_id(), created_at=now(), **known, **values)
    tx.add(entry)
    await tx.flush()
    return entry


async def check_quiet_days(
    tx: AsyncSession, plots: Sequence[Plot], day: date, besides: DiaryEntry | None = None
) -> None:
    """Raises HarvestInQuietDays, which names the spray that forbids it longest; `besides` is being struck through."""
    names = {plot.id: plot.name for plot in plots}
    query = sa.select(DiaryEntry).where(
        DiaryEntry.plot_id.in_(names), DiaryEntry.quiet_days > 0, DiaryEntry.struck_at.is_(None), DiaryEntry.day <= day
    )
    sprays = (await tx.execute(query)).scalars()
    forbidding = [entry for entry in sprays if entry.forbids(day) and entry is not besides]
    if forbidding:
        last = max(forbidding, key=lambda entry: entry.first_harvest)
        raise HarvestInQuietDays(
            field="harvested_on",
            plot=names[last.plot_id],
            product=last.product,
            day=f"{last.day:%d/%m/%Y}",
            quiet_days=last.quiet_days,
            first=f"{last.first_harvest:%d/%m/%Y}",
        )


async def _locked_plot(tx: AsyncSession, me: Principal, plot_id: uuid.UUID) -> Plot:
    """The plot, which `me` may change, locked: diary and harvests of a plot are written one after the other."""
    plot = await queries.plot(tx, me, plot_id)
    if not access.may_change_producer(me, plot.producer):
        raise Forbidden()
    await tx.execute(sa.select(Plot.id).where(Plot.id == plot_id).with_for_update())
    return plot


async def _retell(tx: AsyncSession, plot: Plot, since: date) -> None:
    """What is written late, or corrected, changes what is told of published lots of the plot."""
    for lot in await queries.published_of_plot(tx, plot.id, since):
        await telling.changed(tx, lot)


async def leave_trace(
    tx: AsyncSession, me: Principal, producer: Producer, action: str, target: uuid.UUID, unit: str
) -> None:
    """Staff who act for a producer leave a trace; a producer's own work needs none."""
    if not access.owns(me, producer):
        await audit.record(tx, me, action, str(target), unit)
