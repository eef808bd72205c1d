"""Owns the use cases of lots: harvest, packing, shipping, publication, recalls. One function each; callers commit."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import Forbidden, Invalid
from chassis.i18n import fmt_number
from services.ecommerce import access
from services.ecommerce.model import Producer, Product
from services.ecommerce.tracing import diaries, epcis, queries, telling
from services.ecommerce.tracing.model import (
    LONGEST_SEASON,
    MAX_PLOTS,
    MAX_STEPS,
    TRANSITIONS,
    Lot,
    LotAlreadyPacked,
    LotAlreadyPublished,
    LotNotPacked,
    LotStatus,
    LotStep,
    Plot,
    Step,
    StepNotPossible,
    StepRepeated,
    TooManySteps,
    Uom,
    after,
)

TAKEN = {Step.PACKING: "lot.packed", Step.SHIPPING: "lot.shipped", Step.CLOSING: "lot.closed"}
"""The steps that are taken one after the other, as the audit names them."""
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Letters of lot codes: none that is mistaken for another on a wet label."""


@dataclass(frozen=True)
class NewLot:
    """A harvest: `quantity` in `uom`, brought in by that many `households`; `gtin` 8 to 14 digits or ""."""

    product_id: uuid.UUID
    plots: tuple[uuid.UUID, ...]
    season_from: date
    harvested_on: date
    quantity: Decimal
    uom: Uom
    households: int
    gtin: str = ""


@dataclass(frozen=True)
class NewStep:
    """Packing, shipping or closing: when, where, and how much (None: the whole lot)."""

    kind: Step
    at: datetime
    place: str
    quantity: Decimal | None = None


async def harvest(tx: AsyncSession, me: Principal, wanted: NewLot, public_url: str) -> Lot:
    """Make a lot of what was harvested; raises Invalid, Forbidden, HarvestInQuietDays."""
    product = await tx.get(Product, wanted.product_id)
    producer = None if product is None else await tx.get(Producer, product.producer_id)
    if product is None or producer is None:
        raise Invalid(field="product_id", message_="Không có sản phẩm này.")
    if not access.may_change_producer(me, producer):
        raise Forbidden()
    _check_season(wanted)
    gtin = epcis.gtin_of(wanted.gtin) if wanted.gtin else ""
    if gtin is None:
        raise Invalid(field="gtin", message_="Mã GTIN không đúng: cần 8, 12, 13 hoặc 14 chữ số với số kiểm tra đúng.")
    plots = await _locked_plots(tx, producer, wanted.plots)
    await diaries.check_quiet_days(tx, plots, wanted.harvested_on)
    lot = Lot(
        id=new_id(),
        code=await _new_code(tx, wanted.harvested_on),
        producer_id=producer.id,
        product_id=product.id,
        unit=product.unit,
        commune=product.commune,
        path=product.path,
        gtin=gtin,
        season_from=wanted.season_from,
        harvested_on=wanted.harvested_on,
        quantity=wanted.quantity,
        uom=wanted.uom.value,
        households=wanted.households,
        status=LotStatus.OPEN.value,
        status_before_recall="",
        created_at=now(),
        producer=producer,
        product=product,
        plots=plots,
        steps=[],
    )
    tx.add(lot)
    taken = NewStep(Step.HARVEST, epcis.beginning(wanted.harvested_on), "")
    await _append(tx, me, lot, taken, public_url)
    await diaries.leave_trace(tx, me, producer, "lot.harvested", lot.id, lot.unit)
    return lot


async def take_step(tx: AsyncSession, me: Principal, code: str, wanted: NewStep, public_url: str) -> Lot:
    """Write down that a lot was packed, shipped or sold out; raises the named refusals."""
    if wanted.kind not in TAKEN:
        raise Invalid(field="kind", message_="Xin chọn một bước trong danh sách.")
    lot = await _own(tx, me, code)
    status = after(LotStatus(lot.status), wanted.kind)
    if wanted.kind is Step.PACKING and lot.packed:
        raise LotAlreadyPacked()
    if wanted.kind is Step.SHIPPING and not lot.packed:
        raise LotNotPacked()
    _check_time(lot, wanted)
    _check_quantity(lot, wanted)
    await diaries.check_quiet_days(tx, lot.plots, lot.harvested_on)
    await _append(tx, me, lot, wanted, public_url)
    # Only after the step: where it was refused, the page that says so still shows the lot as it is.
    lot.status = status.value
    await telling.changed(tx, lot)
    await diaries.leave_trace(tx, me, lot.producer, TAKEN[wanted.kind], lot.id, lot.unit)
    return lot


async def publish(tx: AsyncSession, me: Principal, code: str) -> Lot:
    """Open the page of a lot to everybody, for good; raises LotAlreadyPublished."""
    lot = await _own(tx, me, code)
    if lot.published_at is not None:
        raise LotAlreadyPublished()
    lot.published_at = now()
    await telling.changed(tx, lot)
    await diaries.leave_trace(tx, me, lot.producer, "lot.published", lot.id, lot.unit)
    return lot


async def recall(tx: AsyncSession, me: Principal, code: str, reason: str, public_url: str) -> Lot:
    """Warn of a lot, for everybody who scans its label: by the producer or staff, whether it was published or not."""
    lot = await _own(tx, me, code)
    status = after(LotStatus(lot.status), Step.RECALL)
    lot.status_before_recall, lot.status = lot.status, status.value
    lot.published_at = lot.published_at or now()
    await _append(tx, me, lot, NewStep(Step.RECALL, now(), ""), public_url, reason)
    await telling.changed(tx, lot)
    await audit.record(tx, me, "lot.recalled", str(lot.id), lot.unit)
    return lot


async def lift_recall(tx: AsyncSession, me: Principal, code: str, reason: str, public_url: str) -> Lot:
    """Staff find that a recalled lot is sound; recall and lifting stay on its page. Raises StepNotPossible."""
    lot = await _own(tx, me, code)
    if not me.may(STAFF, lot.path):
        raise Forbidden()
    if not lot.recalled:
        raise StepNotPossible()
    lot.status, lot.status_before_recall = lot.status_before_recall, ""
    await _append(tx, me, lot, NewStep(Step.LIFTING, now(), ""), public_url, reason)
    await telling.changed(tx, lot)
    await audit.record(tx, me, "lot.recall_lifted", str(lot.id), lot.unit)
    return lot


async def relocate(tx: AsyncSession, unit: units.Unit) -> None:
    """A unit moved below another: its plots and lots lie on its new path."""
    for table in (Plot, Lot):
        moved = sa.update(table).where(table.unit == unit.code, table.path != unit.path)
        await tx.execute(
            moved.values(path=unit.path, commune=unit.commune).execution_options(synchronize_session=False)
        )


async def producer_changed(tx: AsyncSession, producer_id: uuid.UUID) -> None:
    """Its kind may be another one, which the events of its lots tell."""
    query = sa.select(Lot.id).where(Lot.producer_id == producer_id, Lot.published_at.is_not(None)).order_by(Lot.id)
    for lot_id in (await tx.execute(query)).scalars().all():
        await telling.changed(tx, await queries.locked(tx, lot_id))


def _check_season(wanted: NewLot) -> None:
    today = units.today()
    if not today - LONGEST_SEASON <= wanted.harvested_on <= today:
        raise Invalid(field="harvested_on", message_="Ngày thu hoạch phải trong hai năm gần đây, không ở sau hôm nay.")
    if not wanted.harvested_on - LONGEST_SEASON <= wanted.season_from <= wanted.harvested_on:
        raise Invalid(field="season_from", message_="Ngày đầu vụ phải trước ngày thu hoạch, nhiều nhất hai năm.")


def _check_time(lot: Lot, wanted: NewStep) -> None:
    """Nothing is packed before the harvest, shipped before the packing, or sold out before it was shipped."""
    before = {Step.PACKING, Step.SHIPPING} if wanted.kind is Step.CLOSING else {Step.PACKING}
    if wanted.at < lot.steps[0].at or wanted.at > now() + timedelta(minutes=5):
        raise Invalid(field="at", message_="Thời điểm phải từ ngày thu hoạch đến bây giờ.")
    if any(wanted.at < step.at for step in lot.steps if step.kind in before):
        raise Invalid(field="at", message_="Thời điểm phải sau bước đã ghi trước đó của lô.")


def left_for(lot: Lot, kind: Step) -> Decimal:
    """How much of a lot a step may still be about: what was harvested, or, once packed, what was packed."""
    sums = {step: sum((one.quantity for one in lot.steps if one.kind == step), Decimal()) for step in Step}
    if kind is Step.SHIPPING:
        return sums[Step.PACKING] - sums[Step.SHIPPING]
    return sums[Step.PACKING] if kind is Step.CLOSING else lot.quantity


def possible_steps(lot: Lot) -> list[Step]:
    """The steps that may follow now, for a form to offer."""
    following = [step for step in TAKEN if (LotStatus(lot.status), step) in TRANSITIONS]
    return [step for step in following if (step is Step.PACKING) != lot.packed and left_for(lot, step) > 0]


def _check_quantity(lot: Lot, wanted: NewStep) -> None:
    left = left_for(lot, wanted.kind)
    if left <= 0:
        raise StepNotPossible()
    if wanted.quantity is not None and wanted.quantity > left:
        raise Invalid(
            field="quantity", message_="Nhiều hơn lượng còn lại của lô ({left}).", left=fmt_number(left, decimals=3)
        )


async def _append(
    tx: AsyncSession, me: Principal, lot: Lot, wanted: NewStep, public_url: str, reason: str = ""
) -> None:
    """The step with its EPCIS event; raises TooManySteps, StepRepeated."""
    # A recall is never one too many.
    if len(lot.steps) >= MAX_STEPS and wanted.kind not in (Step.RECALL, Step.LIFTING):
        raise TooManySteps(limit=MAX_STEPS)
    step = LotStep(
        id=new_id(),
        lot_id=lot.id,
        kind=wanted.kind.value,
        at=wanted.at,
        place=wanted.place,
        quantity=wanted.quantity if wanted.quantity is not None else left_for(lot, wanted.kind),
        reason=reason,
        by_staff=not access.owns(me, lot.producer),
        recorded_at=now(),
        biz_step=epcis.SHAPES[wanted.kind][1],
        epc_class=epcis.epc_class(lot, public_url),
    )
    step.event = epcis.event(lot, step, public_url)
    step.event_id = step.event["eventID"]
    if any(old.event_id == step.event_id for old in lot.steps):
        raise StepRepeated()
    lot.steps.append(step)
    await tx.flush()


async def _new_code(tx: AsyncSession, day: date) -> str:
    while True:
        code = f"{day:%y%m%d}-" + "".join(secrets.choice(ALPHABET) for _ in range(6))
        if await tx.scalar(sa.select(Lot.id).where(Lot.code == code)) is None:
            return code


async def _locked_plots(tx: AsyncSession, producer: Producer, wanted: tuple[uuid.UUID, ...]) -> list[Plot]:
    chosen = set(wanted)
    if not 1 <= len(chosen) <= MAX_PLOTS:
        raise Invalid(field="plots", message_="Xin chọn từ 1 đến {most} thửa ruộng.", most=MAX_PLOTS)
    query = sa.select(Plot).where(Plot.id.in_(chosen), Plot.producer_id == producer.id).order_by(Plot.id)
    plots = list((await tx.execute(query.with_for_update())).scalars())
    if len(plots) != len(chosen):
        raise Invalid(field="plots", message_="Thửa ruộng này không phải của cơ sở làm ra sản phẩm.")
    return plots


async def _own(tx: AsyncSession, me: Principal, code: str) -> Lot:
    """The locked lot, which `me` may change; raises NotFound for what `me` may not even see, else Forbidden.

    Its producer and its plots are held first: a spray that is being written down, or another kind of the producer, is
    then either seen here or finds the lot as it is left here. Without, a lot would be published as sound and stay so.
    """
    seen = await queries.lot(tx, me, code)
    plots = [plot.id for plot in seen.plots]
    await tx.execute(sa.select(Producer.id).where(Producer.id == seen.producer_id).with_for_update(read=True))
    await tx.execute(sa.select(Plot.id).where(Plot.id.in_(plots)).order_by(Plot.id).with_for_update(read=True))
    lot = await queries.locked(tx, seen.id)
    if not access.may_change_producer(me, lot.producer):
        raise Forbidden()
    return lot
