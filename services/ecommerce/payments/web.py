"""Owns the pages of staff who collect: payees, the charges of a month, and one charge."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.errors import DomainError
from chassis.pages import FormResult
from chassis.paging import After, page_of
from chassis.web import Me, Page, PageRouter, Tx
from services.ecommerce.forms import NoForm
from services.ecommerce.payments import commands, queries, views
from services.ecommerce.payments.charge_cursor import charge_key, charge_position
from services.ecommerce.payments.forms import ActiveForm, ChargeForm, PayeeEdit, PayeeForm
from services.ecommerce.payments.model import ChargeState, Payee
from services.ecommerce.payments.schemas import page_url
from services.ecommerce.payments.views import AskedUnit, Id
from services.ecommerce.queries import unit_names

PAGE = 50

collecting = PageRouter()


@collecting.get("/payments")
async def desk(page: Page, tx: Tx, me: Me, unit: AskedUnit = None) -> Response:
    here = await views.watched(tx, me, unit)
    today = units.today()
    period = views.present_period(today)
    rows = [(one, await queries.tally(tx, one.id, period)) for one in await queries.payees(tx, here)]
    return page.render(
        "payments/desk.html",
        title=page._("Thu phí"),
        unit=here,
        rows=rows,
        names=await unit_names(tx, {one.unit for one, _tally in rows}),
        period=period,
        year=today.year,
        reach=await queries.reach(tx, here, today.year),
        businesses=await queries.business_tally(tx, here),
        may_change=me.may(STAFF, here.path),
        **await views.shell(page, tx, me, "payments", here.code),
    )


@collecting.get("/payments/payees/new")
async def new_payee(page: Page, tx: Tx, me: Me, unit: AskedUnit = None) -> Response:
    return await _payee_form(page, tx, me, await views.watched(tx, me, unit), FormResult(None), {})


@collecting.post("/payments/payees/new")
async def register_payee(page: Page, tx: Tx, me: Me, unit: AskedUnit = None) -> Response:
    form = await page.form(PayeeForm)
    here = await views.watched(tx, me, unit)
    if form.value is None:
        return await _payee_form(page, tx, me, here, form, form.errors)
    try:
        payee = await commands.register_payee(tx, me, form.value.unit, form.value.fields())
    except DomainError as error:
        return await _payee_form(page, tx, me, here, form, page.errors_of(error), page.status_of(error))
    return page.redirect(_href(payee), flash="Đã đăng ký đơn vị thu.")


async def _payee_form(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    here: units.Unit,
    form: FormResult[PayeeForm],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    me.require(STAFF, here.path)
    commune = here.level == "commune"
    listed = [here] if commune else await units.search(tx, level="commune", within=here.path, limit=200)
    return page.render(
        "payments/payee_form.html",
        title=page._("Đăng ký đơn vị thu"),
        status=status,
        errors=errors,
        typed={"unit": here.code if commune else "", **form.typed},
        communes=[(one.code, one.name) for one in listed],
        action=f"/ecommerce/payments/payees/new?unit={here.code}",
        back_href=f"/ecommerce/payments?unit={here.code}",
        **await views.shell(page, tx, me, "payments", here.code),
    )


@collecting.get("/payments/payees/{id}")
async def payee(
    page: Page,
    tx: Tx,
    me: Me,
    id: Id,
    period: Annotated[str, Query(max_length=7)] = "",
    state: Annotated[str, Query(max_length=12)] = "",
    after: After = None,
) -> Response:
    shown = await queries.payee(tx, me, id)
    periods = await queries.periods(tx, shown.id)
    present = views.present_period(units.today())
    asked = period if period in periods else (present if present in periods or not periods else periods[0])
    wanted = state if state in {one.value for one in ChargeState} else ""
    rows = await queries.charges(tx, shown.id, asked, wanted, PAGE, charge_position(after))
    found = page_of(rows, PAGE, charge_key)

    def href(**changed: str) -> str:
        query = {"period": asked, "state": wanted, **changed}
        return f"{_href(shown)}?" + urlencode({k: v for k, v in query.items() if v})

    return page.render(
        "payments/payee.html",
        title=shown.name,
        payee=shown,
        periods=periods,
        period=asked,
        state=wanted,
        tally=await queries.tally(tx, shown.id, asked),
        charges=found.items,
        waiting=await queries.notices(tx, shown.id, PAGE, waiting=True),
        names=await unit_names(tx, {one.household.unit for one in found.items}),
        may_change=me.may(STAFF, shown.path),
        href=href,
        next_href=href(after=found.next) if found.next else None,
        first_href=href() if after else None,
        back_href=f"/ecommerce/payments?unit={shown.unit}",
        **await views.shell(page, tx, me, "payments", shown.unit),
    )


@collecting.post("/payments/payees/{id}/active")
async def set_active(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    form = await page.form(ActiveForm)
    shown = await queries.payee(tx, me, id, change=True)
    if form.value is not None:
        await commands.change_payee(tx, me, id, active=form.value.active)
    return page.redirect(_href(shown), flash="Đã lưu thay đổi.")


@collecting.get("/payments/payees/{id}/edit")
async def edit_payee(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    shown = await queries.payee(tx, me, id, change=True)
    typed = {name: getattr(shown, name) for name in PayeeEdit.model_fields}
    return await _edit_form(page, tx, me, shown, FormResult(None, typed=typed), {})


@collecting.post("/payments/payees/{id}/edit")
async def change_payee(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    shown = await queries.payee(tx, me, id, change=True)
    form = await page.form(PayeeEdit)
    if form.value is None:
        return await _edit_form(page, tx, me, shown, form, form.errors)
    await commands.change_payee(tx, me, id, **form.value.model_dump())
    return page.redirect(_href(shown), flash="Đã lưu thay đổi.")


async def _edit_form(
    page: Page, tx: AsyncSession, me: Principal, shown: Payee, form: FormResult[PayeeEdit], errors: dict[str, str]
) -> Response:
    return page.render(
        "payments/payee_edit.html",
        title=page._("Sửa đơn vị thu"),
        errors=errors,
        typed=form.typed,
        payee=shown,
        back_href=_href(shown),
        **await views.shell(page, tx, me, "payments", shown.unit),
    )


@collecting.get("/payments/payees/{id}/issue")
async def new_charge(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    shown = await queries.payee(tx, me, id, change=True)
    return await _charge_form(page, tx, me, shown, FormResult(None), {})


@collecting.post("/payments/payees/{id}/issue")
async def issue(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    shown = await queries.payee(tx, me, id, change=True)
    form = await page.form(ChargeForm)
    if form.value is None:
        return await _charge_form(page, tx, me, shown, form, form.errors)
    value = form.value
    wanted = [commands.Wanted(value.village, value.number, value.amount)]
    try:
        (charge,) = await commands.issue(tx, me, id, value.period, value.due_on, wanted)
    except DomainError as error:
        errors = {"number" if "household" in name else name: text for name, text in page.errors_of(error).items()}
        return await _charge_form(page, tx, me, shown, form, errors, page.status_of(error))
    return page.redirect(f"/ecommerce/payments/charges/{charge.id}", flash="Đã lập khoản thu.")


async def _charge_form(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    shown: Payee,
    form: FormResult[ChargeForm],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    villages = [one for one in await units.children(tx, shown.commune) if one.level == "village"]
    today = units.today()
    return page.render(
        "payments/charge_form.html",
        title=page._("Lập một khoản thu"),
        status=status,
        errors=errors,
        typed={"period": views.present_period(today), **form.typed},
        payee=shown,
        villages=[(one.code, one.name) for one in villages],
        months=views.months(today),
        back_href=_href(shown),
        **await views.shell(page, tx, me, "payments", shown.unit),
    )


@collecting.get("/payments/charges/{id}")
async def charge(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    shown = await queries.charge(tx, me, id)
    names = await unit_names(tx, [shown.household.unit])
    return page.render(
        "payments/charge.html",
        title=page._("Khoản thu của hộ {number}").format(number=shown.household.number),
        charge=shown,
        payee=shown.payee,
        village=names.get(shown.household.unit, shown.household.unit),
        notices=await queries.notices_of(tx, shown.id),
        link=page_url(shown, page.renderer.settings.public_url),
        may_change=me.may(STAFF, shown.payee.path),
        back_href=f"{_href(shown.payee)}?period={shown.period}",
        **await views.shell(page, tx, me, "payments", shown.payee.unit),
    )


@collecting.post("/payments/charges/{id}/cash")
async def pay_cash(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    await page.form(NoForm)
    await commands.pay_cash(tx, me, id)
    return page.redirect(f"/ecommerce/payments/charges/{id}", flash="Đã ghi thu tiền mặt.")


@collecting.post("/payments/charges/{id}/cancel")
async def cancel(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    await page.form(NoForm)
    await commands.cancel(tx, me, id)
    return page.redirect(f"/ecommerce/payments/charges/{id}", flash="Đã hủy khoản thu.")


def _href(payee: Payee) -> str:
    return f"/ecommerce/payments/payees/{payee.id}"
