"""Owns the pages of money that arrived: what became of it, placing it on a charge, and recording that it went back."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis.auth import STAFF, Principal
from chassis.errors import DomainError, Forbidden
from chassis.pages import FormResult
from chassis.web import Me, Page, PageRouter, Tx
from services.ecommerce.payments import queries, settling, views
from services.ecommerce.payments.forms import PlaceForm, RefundForm
from services.ecommerce.payments.model import PLACEABLE, BankNotice
from services.ecommerce.payments.views import Id

notices = PageRouter()


@notices.get("/payments/notices/{id}")
async def notice(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    return await _notice_page(page, tx, me, await queries.notice(tx, me, id), FormResult(None), {})


@notices.post("/payments/notices/{id}/refund")
async def refund(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    shown = await queries.notice(tx, me, id, change=True)
    form = await page.form(RefundForm)
    if form.value is None:
        return await _notice_page(page, tx, me, shown, form, form.errors)
    try:
        await settling.refund(tx, me, id, form.value.amount, form.value.reason)
    except DomainError as error:
        return await _notice_page(page, tx, me, shown, form, page.errors_of(error), page.status_of(error))
    return page.redirect(f"/ecommerce/payments/notices/{id}", flash="Đã ghi hoàn trả.")


@notices.post("/payments/notices/{id}/place")
async def place(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    """Money that waits is counted towards the charge that it was for."""
    shown = await queries.notice(tx, me, id, change=True)
    form = await page.form(PlaceForm)
    if form.value is None:
        return await _notice_page(page, tx, me, shown, form, form.errors)
    try:
        placed = await settling.place(tx, me, id, form.value.code)
    except DomainError as error:
        return await _notice_page(page, tx, me, shown, form, page.errors_of(error), page.status_of(error))
    return page.redirect(f"/ecommerce/payments/charges/{placed.charge_id}", flash="Đã ghi vào khoản thu.")


async def _notice_page(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    shown: BankNotice,
    form: FormResult[Any],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    if shown.payee_id is None:
        raise Forbidden()
    payee = await queries.payee(tx, me, shown.payee_id)
    charge = await queries.charge(tx, me, shown.charge_id) if shown.charge_id else None
    surplus = min(charge.surplus, shown.amount) if charge else 0
    return page.render(
        "payments/notice.html",
        title=page._("Tiền đã nhận"),
        status=status,
        errors=errors,
        typed=form.typed,
        notice=shown,
        suggested=surplus or shown.amount,
        placeable=shown.state in PLACEABLE,
        payee=payee,
        may_change=me.may(STAFF, payee.path),
        back_href=f"/ecommerce/payments/payees/{payee.id}",
        **await views.shell(page, tx, me, "payments", payee.unit),
    )
