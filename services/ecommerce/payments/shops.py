"""Owns the pages of service businesses: which a commune has, and how each is known to take online payment."""

from __future__ import annotations

from urllib.parse import urlencode

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.errors import DomainError, NotFound
from chassis.pages import FormResult
from chassis.paging import After, page_of
from chassis.web import Me, Page, PageRouter, Tx
from services.ecommerce import qr
from services.ecommerce.cursors import id_key, id_position
from services.ecommerce.forms import NoForm
from services.ecommerce.payments import businesses, queries, vietqr, views
from services.ecommerce.payments.forms import BusinessForm, OnlineForm
from services.ecommerce.payments.model import Business
from services.ecommerce.payments.views import AskedUnit, Id
from services.ecommerce.queries import unit_names

PAGE = 50
TEST_AMOUNT = 1_000
"""Đồng of a test payment."""

shops = PageRouter()


@shops.get("/payments/businesses")
async def listed(page: Page, tx: Tx, me: Me, unit: AskedUnit = None, after: After = None) -> Response:
    here = await views.watched(tx, me, unit)
    found = page_of(await queries.businesses(tx, here, PAGE, id_position(after)), PAGE, id_key)
    running, online = await queries.business_tally(tx, here)
    base = f"/ecommerce/payments/businesses?unit={here.code}"
    return page.render(
        "payments/businesses.html",
        title=page._("Cơ sở kinh doanh dịch vụ"),
        unit=here,
        rows=found.items,
        running=running,
        online=online,
        names=await unit_names(tx, {one.unit for one in found.items}),
        may_change=me.may(STAFF, here.path),
        next_href=f"{base}&{urlencode({'after': found.next})}" if found.next else None,
        first_href=base if after else None,
        **await views.shell(page, tx, me, "businesses", here.code),
    )


@shops.get("/payments/businesses/new")
async def new_business(page: Page, tx: Tx, me: Me, unit: AskedUnit = None) -> Response:
    return await _form(page, tx, me, await views.watched(tx, me, unit), FormResult(None), {})


@shops.post("/payments/businesses/new")
async def register(page: Page, tx: Tx, me: Me, unit: AskedUnit = None) -> Response:
    form = await page.form(BusinessForm)
    here = await views.watched(tx, me, unit)
    if form.value is None:
        return await _form(page, tx, me, here, form, form.errors)
    try:
        business = await businesses.register(tx, me, form.value.unit, form.value.fields())
    except DomainError as error:
        return await _form(page, tx, me, here, form, page.errors_of(error), page.status_of(error))
    return page.redirect(_href(business), flash="Đã ghi cơ sở vào danh sách.")


async def _form(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    here: units.Unit,
    form: FormResult[BusinessForm],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    me.require(STAFF, here.path)
    if here.level in ("commune", "village"):
        choices = [here, *await units.children(tx, here.code)]
    else:
        choices = await units.search(tx, level="commune", within=here.path, limit=200)
    return page.render(
        "payments/business_form.html",
        title=page._("Ghi cơ sở kinh doanh"),
        status=status,
        errors=errors,
        typed=form.typed,
        choices=[(one.code, one.name) for one in choices],
        action=f"/ecommerce/payments/businesses/new?unit={here.code}",
        back_href=f"/ecommerce/payments/businesses?unit={here.code}",
        **await views.shell(page, tx, me, "businesses", here.code),
    )


@shops.get("/payments/businesses/{id}")
async def business(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    return await _page(page, tx, me, await queries.business(tx, me, id), FormResult(None), {})


async def _page(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    shown: Business,
    form: FormResult[OnlineForm],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    names = await unit_names(tx, [shown.unit])
    return page.render(
        "payments/business.html",
        title=shown.name,
        status=status,
        errors=errors,
        typed=form.typed,
        business=shown,
        place=names.get(shown.unit, shown.unit),
        test_amount=TEST_AMOUNT,
        may_change=me.may(STAFF, shown.path) and shown.ended_on is None,
        back_href=f"/ecommerce/payments/businesses?unit={shown.commune}",
        **await views.shell(page, tx, me, "businesses", shown.unit),
    )


@shops.get("/payments/businesses/{id}/qr.svg")
async def code(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    shown = await queries.business(tx, me, id)
    if not shown.account:
        raise NotFound()
    text = vietqr.payload(shown.bank_bin, shown.account, TEST_AMOUNT, shown.code)
    headers = {"cache-control": "private, no-store"}
    return Response(qr.svg(text, page._("Mã VietQR")), media_type="image/svg+xml", headers=headers)


@shops.post("/payments/businesses/{id}/online")
async def document(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    shown = await queries.business(tx, me, id, change=True)
    form = await page.form(OnlineForm)
    if form.value is None:
        return await _page(page, tx, me, shown, form, form.errors)
    try:
        await businesses.document(tx, me, id, form.value.online_since, form.value.evidence)
    except DomainError as error:
        return await _page(page, tx, me, shown, form, page.errors_of(error), page.status_of(error))
    return page.redirect(_href(shown), flash="Đã ghi nhận.")


@shops.post("/payments/businesses/{id}/offline")
async def withdraw(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    await page.form(NoForm)
    shown = await businesses.withdraw(tx, me, id)
    return page.redirect(_href(shown), flash="Đã ghi nhận.")


@shops.post("/payments/businesses/{id}/end")
async def end(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    await page.form(NoForm)
    shown = await businesses.end(tx, me, id)
    return page.redirect(_href(shown), flash="Đã ghi là ngừng kinh doanh.")


def _href(business: Business) -> str:
    return f"/ecommerce/payments/businesses/{business.id}"
