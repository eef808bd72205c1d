"""Owns the pages on which producers, and staff who act for them, make lots, take their steps and recall them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.db import now
from chassis.errors import DomainError, Forbidden
from chassis.pages import FormResult
from chassis.web import Me, Page, PageRouter, Tx
from services.ecommerce import access
from services.ecommerce import queries as catalogue
from services.ecommerce.tracing import commands, forms, queries, words
from services.ecommerce.tracing.desk import MOST, Asked, chosen_producer, renamed, shell
from services.ecommerce.tracing.model import Lot

lot_desk = PageRouter()


@lot_desk.get("/lots/new")
async def new_lot(page: Page, tx: Tx, me: Me, producer: Asked = None) -> Response:
    return await _lot_form(page, tx, me, producer, FormResult(None), {})


@lot_desk.post("/lots/new")
async def harvest(page: Page, tx: Tx, me: Me, producer: Asked = None) -> Response:
    form = await page.form(forms.LotForm)
    if form.value is None:
        return await _lot_form(page, tx, me, producer, form, form.errors)
    try:
        lot = await commands.harvest(tx, me, form.value.wanted(), page.renderer.settings.public_url)
    except DomainError as error:
        return await _lot_form(page, tx, me, producer, form, page.errors_of(error), page.status_of(error))
    return page.redirect(_lot_href(lot), flash="Đã lập lô hàng. Ghi đóng gói, rồi công khai và in nhãn.")


async def _lot_form(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    asked: str | None,
    form: FormResult[forms.LotForm],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    producer = await chosen_producer(tx, me, asked)
    if producer is None:
        return page.redirect("/ecommerce/producers/new", flash="Xin đăng ký cơ sở sản xuất trước.", kind="info")
    if not access.may_change_producer(me, producer):
        raise Forbidden()
    rows = await catalogue.products(tx, catalogue.Filter(producer_id=producer.id), now(), MOST)
    plots = (await queries.plots(tx, producer.id, MOST))[:MOST]
    return page.render(
        "lot_form.html",
        title=page._("Lập lô hàng khi thu hoạch"),
        status=status,
        errors=errors,
        typed=form.typed or {"harvested_on": units.today().isoformat()},
        producer=producer,
        products=[(str(row.product.id), row.product.name) for row in rows[:MOST]],
        plots=[(str(plot.id), plot.name) for plot in plots],
        back_href=f"/ecommerce/tracing?producer={producer.id}",
        **await shell(page, tx, me, await units.find(tx, producer.unit)),
    )


@lot_desk.get("/lots/{code}/manage")
async def manage_lot(page: Page, tx: Tx, me: Me, code: str) -> Response:
    return await _lot_page(page, tx, me, await _own(tx, me, code), FormResult(None), {})


@lot_desk.post("/lots/{code}/steps")
async def take_step(page: Page, tx: Tx, me: Me, code: str) -> Response:
    lot = await _own(tx, me, code)
    form = await page.form(forms.StepForm)
    if form.value is None:
        return await _lot_page(page, tx, me, lot, form, form.errors)
    try:
        await commands.take_step(tx, me, code, form.value.wanted(), page.renderer.settings.public_url)
    except DomainError as error:
        errors = renamed(page.errors_of(error), harvested_on="")
        return await _lot_page(page, tx, me, lot, form, errors, page.status_of(error))
    return page.redirect(_lot_href(lot), flash="Đã ghi bước này của lô hàng.")


@lot_desk.post("/lots/{code}/publish")
async def publish(page: Page, tx: Tx, me: Me, code: str) -> Response:
    lot = await commands.publish(tx, me, code)
    return page.redirect(_lot_href(lot), flash="Đã công khai. Ai quét nhãn cũng xem được lô hàng này.")


async def _lot_page(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    lot: Lot,
    form: FormResult[Any],
    errors: dict[str, str],
    status: int = 200,
    template: str = "lot_manage.html",
) -> Response:
    standing = await queries.standing(tx, lot)
    return page.render(
        template,
        title=page._("Lô {code}").format(code=lot.code),
        status=status,
        errors=errors,
        typed={"at": f"{now().astimezone(units.VIETNAM):%Y-%m-%dT%H:%M}", **form.typed},
        lot=lot,
        standing=standing,
        lacking=words.lacking(page, standing),
        possible=[(step.value, page._(words.STEPS[step])) for step in commands.possible_steps(lot)],
        may_lift=me.may(STAFF, lot.path),
        back_href=f"/ecommerce/tracing?producer={lot.producer_id}",
        **await shell(page, tx, me, await units.find(tx, lot.unit)),
    )


@lot_desk.get("/lots/{code}/recall")
async def ask_recall(page: Page, tx: Tx, me: Me, code: str) -> Response:
    lot = await _own(tx, me, code)
    return await _lot_page(page, tx, me, lot, FormResult(None), {}, template="lot_recall.html")


@lot_desk.post("/lots/{code}/recall")
async def recall(page: Page, tx: Tx, me: Me, code: str) -> Response:
    return await _recalling(page, tx, me, code, commands.recall, "Đã thu hồi. Ai quét nhãn cũng thấy cảnh báo.")


@lot_desk.post("/lots/{code}/lift-recall")
async def lift_recall(page: Page, tx: Tx, me: Me, code: str) -> Response:
    done = "Đã thôi thu hồi. Lần thu hồi và lý do vẫn hiện trên trang lô hàng."
    return await _recalling(page, tx, me, code, commands.lift_recall, done)


async def _recalling(page: Page, tx: AsyncSession, me: Principal, code: str, command: Any, done: str) -> Response:
    lot = await _own(tx, me, code)
    form = await page.form(forms.ReasonForm)
    if form.value is None:
        return await _lot_page(page, tx, me, lot, form, form.errors, template="lot_recall.html")
    await command(tx, me, code, form.value.reason, page.renderer.settings.public_url)
    return page.redirect(_lot_href(lot), flash=done)


async def _own(tx: AsyncSession, me: Principal, code: str) -> Lot:
    """The lot, not locked, which `me` may change; raises NotFound, Forbidden."""
    lot = await queries.lot(tx, me, code)
    if not access.may_change_producer(me, lot.producer):
        raise Forbidden()
    return lot


def _lot_href(lot: Lot) -> str:
    return f"/ecommerce/lots/{lot.code}/manage"
