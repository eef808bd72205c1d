"""Owns files of payments: what comes in with a preview, all or nothing, and tables to take home."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import Principal
from chassis.errors import DomainError
from chassis.pages import FormResult
from chassis.web import Me, Page, PageRouter, Tx
from services.ecommerce.payments import commands, queries, settling, tables, views
from services.ecommerce.payments.forms import FileForm, Period, StatementForm
from services.ecommerce.payments.model import Payee
from services.ecommerce.payments.schemas import page_url
from services.ecommerce.payments.tables import Fault
from services.ecommerce.payments.views import Id
from services.ecommerce.queries import unit_names

files = PageRouter()


@files.get("/payments/payees/{id}/file")
async def charges_file(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    payee = await queries.payee(tx, me, id, change=True)
    return await _file_page(page, tx, me, payee, "charges", FormResult[FileForm](None), {})


@files.post("/payments/payees/{id}/file")
async def take_charges(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    """The file first, which shows what it would do; its text once more, which does it."""
    payee = await queries.payee(tx, me, id, change=True)
    form = await page.form(FileForm)
    if form.value is None:
        return await _file_page(page, tx, me, payee, "charges", form, form.errors)
    value = form.value
    try:
        text = value.text or await _chosen(form)
        read = tables.charges_of(text)
        _found, wrong = await commands.matched(tx, payee, value.period, read.rows)
        faults = sorted(read.faults + [_fault(page, read.lines, one) for one in wrong], key=lambda one: one.line)
        if value.text and not faults:
            await commands.issue(tx, me, id, value.period, value.due_on, read.rows)
            return page.redirect(
                f"/ecommerce/payments/payees/{id}?period={value.period}", flash="Đã lập các khoản thu."
            )
    except DomainError as error:
        return await _file_page(page, tx, me, payee, "charges", form, page.errors_of(error), page.status_of(error))
    total = sum(row.amount for row in read.rows)
    return await _preview(
        page, tx, me, payee, "charges", faults, text,
        count=len(read.rows), total=total, period=value.period, due_on=value.due_on,
    )  # fmt: skip


@files.get("/payments/payees/{id}/statement")
async def statement_file(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    payee = await queries.payee(tx, me, id, change=True)
    return await _file_page(page, tx, me, payee, "statement", FormResult[StatementForm](None), {})


@files.post("/payments/payees/{id}/statement")
async def take_statement(page: Page, tx: Tx, me: Me, id: Id) -> Response:
    payee = await queries.payee(tx, me, id, change=True)
    form = await page.form(StatementForm)
    if form.value is None:
        return await _file_page(page, tx, me, payee, "statement", form, form.errors)
    try:
        text = form.value.text or await _chosen(form)
        read = tables.statement_of(text, payee)
        if form.value.text and not read.faults:
            await settling.take_statement(tx, me, id, read.rows)
            return page.redirect(f"/ecommerce/payments/payees/{id}", flash="Đã đối soát sao kê.")
    except DomainError as error:
        return await _file_page(page, tx, me, payee, "statement", form, page.errors_of(error), page.status_of(error))
    return await _preview(
        page, tx, me, payee, "statement", read.faults, text,
        count=len(read.rows),
        total=sum(row.amount for row in read.rows),
        before=len(await settling.known(tx, payee, read.rows)),
        unknown=await settling.unclear(tx, me, payee, read.rows),
    )  # fmt: skip


async def _chosen(form: FormResult[Any]) -> str:
    """The text of the file that was chosen; without one, an empty file, which says so itself."""
    chosen = form.files.get("file")
    return tables.text_of(await chosen[0].read() if chosen else b"")


def _fault(page: Page, lines: list[int], wrong: Any) -> Fault:
    return Fault(lines[int(wrong.field.split(".")[1])], "ho", page._(wrong.message).format(**wrong.params))


async def _file_page(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    payee: Payee,
    what: str,
    form: FormResult[Any],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    today = units.today()
    return page.render(
        "payments/file.html",
        title=page._("Lập khoản thu từ tệp") if what == "charges" else page._("Đối soát sao kê ngân hàng"),
        status=status,
        errors=errors,
        typed={"period": views.present_period(today), **form.typed},
        payee=payee,
        what=what,
        months=views.months(today),
        back_href=f"/ecommerce/payments/payees/{payee.id}",
        **await views.shell(page, tx, me, "payments", payee.unit),
    )


async def _preview(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    payee: Payee,
    what: str,
    faults: list[Fault],
    text: str,
    *,
    count: int,
    total: int,
    period: str = "",
    due_on: date | None = None,
    before: int = 0,
    unknown: int = 0,
) -> Response:
    return page.render(
        "payments/preview.html",
        title=page._("Xem trước tệp"),
        status=422 if faults else 200,
        payee=payee,
        what=what,
        faults=[(one.line, one.column, page._(one.text)) for one in faults[: tables.MAX_FAULTS]],
        text=text,
        count=count,
        total=total,
        period=period,
        due_on=due_on,
        before=before,
        unknown=unknown,
        back_href=f"/ecommerce/payments/payees/{payee.id}/{'file' if what == 'charges' else 'statement'}",
        **await views.shell(page, tx, me, "payments", payee.unit),
    )


@files.get("/payments/payees/{id}/template.csv")
async def template(tx: Tx, me: Me, id: Id) -> Response:
    """Every household of the commune, to write an amount beside it."""
    payee = await queries.payee(tx, me, id, change=True)
    rows = await queries.households(tx, payee.commune)
    names = await unit_names(tx, {row.unit for row in rows})
    heads = (*tables.CHARGE_HEADS, "ten_thon")
    cells = ((row.unit, row.number, "", names.get(row.unit, "")) for row in rows)
    return views.table(f"khoan-thu-{payee.unit}", heads, cells)


@files.get("/payments/payees/{id}/charges.csv")
async def export(page: Page, tx: Tx, me: Me, id: Id, period: Period | None = None) -> Response:
    """The charges of a month with their states and the link of each household."""
    payee = await queries.payee(tx, me, id)
    period = period or views.present_period(units.today())
    rows = await queries.charges(tx, payee.id, period, "", 100_000)
    names = await unit_names(tx, {row.household.unit for row in rows})
    words = views.words(page)
    _ = page._
    heads = [_(one) for one in _HEADS]
    url = page.renderer.settings.public_url
    cells = (
        (
            names.get(row.household.unit, row.household.unit),
            row.household.number,
            views.month(row.period),
            row.amount,
            row.received,
            row.due_on.isoformat(),
            words["states"][row.state],
            words["means_words"][row.means],
            row.code,
            page_url(row, url),
        )
        for row in rows
    )
    return views.table(f"khoan-thu-{payee.unit}-{period}", heads, cells)


_HEADS = (
    "Thôn",
    "Hộ số",
    "Tháng",
    "Số tiền (đồng)",
    "Đã nhận qua ngân hàng (đồng)",
    "Hạn trả",
    "Trạng thái",
    "Trả bằng",
    "Nội dung chuyển khoản",
    "Trang thanh toán của hộ",
)
