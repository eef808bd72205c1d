"""Owns the pages of producers, and of staff who act for them: plots, diaries, lots and their steps, recalls."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Depends, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import Principal
from chassis.errors import DomainError, NotFound
from chassis.pages import FormResult
from chassis.paging import After, page_of
from chassis.web import Me, Page, PageRouter, Tx
from services.ecommerce import access, views
from services.ecommerce import queries as catalogue
from services.ecommerce.cursors import id_key, id_position
from services.ecommerce.model import Producer
from services.ecommerce.tracing import diaries, forms, queries, words
from services.ecommerce.tracing.model import DiaryEntry, EntryAlreadyStruck, Plot

PAGE = 50
MOST = 200
"""Plots and products a form offers to choose from."""

desk = PageRouter()


async def _plot_id(plot_id: str) -> uuid.UUID:
    return views.id_of(plot_id)


async def _entry_id(entry_id: str) -> uuid.UUID:
    return views.id_of(entry_id)


PlotId = Annotated[uuid.UUID, Depends(_plot_id)]
EntryId = Annotated[uuid.UUID, Depends(_entry_id)]
Asked = Annotated[str | None, Query(max_length=40)]


@desk.get("/tracing")
async def tracing(page: Page, tx: Tx, me: Me, producer: Asked = None, after: After = None) -> Response:
    return await _tracing_page(page, tx, me, producer, FormResult(None), {}, after=after)


@desk.post("/tracing")
async def add_plot(page: Page, tx: Tx, me: Me, producer: Asked = None) -> Response:
    form = await page.form(forms.PlotForm)
    if form.value is None:
        return await _tracing_page(page, tx, me, producer, form, form.errors)
    here = await chosen_producer(tx, me, producer)
    if here is None:
        raise NotFound()
    try:
        plot = await diaries.add_plot(tx, me, here.id, form.value.wanted())
    except DomainError as error:
        return await _tracing_page(page, tx, me, producer, form, page.errors_of(error), page.status_of(error))
    return page.redirect(_diary_href(plot.id), flash="Đã thêm thửa ruộng. Ghi việc đầu tiên của vụ này.")


async def _tracing_page(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    asked: str | None,
    form: FormResult[forms.PlotForm],
    errors: dict[str, str],
    status: int = 200,
    after: str | None = None,
) -> Response:
    here = await chosen_producer(tx, me, asked)
    own = await catalogue.producers(tx, account=me.subject, limit=20)
    place = await units.find(tx, here.unit) if here else None
    position = id_position(after)
    rows = await queries.lots(tx, producer_id=here.id, everything=True, limit=PAGE, after=position) if here else []
    found = page_of(rows, PAGE, id_key)
    plots = (await queries.plots(tx, here.id, MOST))[:MOST] if here else []
    href = f"/ecommerce/tracing?producer={here.id}" if here else ""
    return page.render(
        "tracing.html",
        title=page._("Truy xuất nguồn gốc"),
        status=status,
        errors=errors,
        typed=form.typed,
        producer=here,
        own=own,
        plots=plots,
        names=await catalogue.unit_names(tx, (plot.unit for plot in plots)),
        lots=found.items,
        next_href=f"{href}&after={found.next}" if found.next else None,
        first_href=href if after else None,
        villages=[(one.code, one.name) for one in await catalogue.villages(tx, [here.commune])] if here else [],
        may_change=here is not None and access.may_change_producer(me, here),
        **await shell(page, tx, me, place),
    )


@desk.get("/plots/{plot_id}")
async def diary(page: Page, tx: Tx, me: Me, plot_id: PlotId, after: After = None) -> Response:
    return await _diary_page(page, tx, me, await queries.plot(tx, me, plot_id), FormResult(None), {}, after=after)


@desk.post("/plots/{plot_id}")
async def write_entry(page: Page, tx: Tx, me: Me, plot_id: PlotId) -> Response:
    plot = await queries.plot(tx, me, plot_id)
    form = await page.form(forms.EntryForm)
    if form.value is None:
        return await _diary_page(page, tx, me, plot, form, form.errors)
    try:
        await diaries.write_entry(tx, me, plot_id, form.value.fields())
    except DomainError as error:
        errors = renamed(page.errors_of(error), harvested_on="day")
        return await _diary_page(page, tx, me, plot, form, errors, page.status_of(error))
    return page.redirect(_diary_href(plot_id), flash="Đã ghi nhật ký.")


async def _diary_page(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    plot: Plot,
    form: FormResult[forms.EntryForm],
    errors: dict[str, str],
    status: int = 200,
    after: str | None = None,
) -> Response:
    found = page_of(await queries.diary(tx, plot.id, PAGE, id_position(after)), PAGE, id_key)
    here = await units.find(tx, plot.unit)
    return page.render(
        "diary.html",
        title=plot.name,
        status=status,
        errors=errors,
        typed=form.typed or {"day": units.today().isoformat()},
        plot=plot,
        unit=here,
        entries=found.items,
        may_change=access.may_change_producer(me, plot.producer),
        next_href=f"{_diary_href(plot.id)}?after={found.next}" if found.next else None,
        first_href=_diary_href(plot.id) if after else None,
        back_href=f"/ecommerce/tracing?producer={plot.producer_id}",
        **await shell(page, tx, me, here),
    )


@desk.get("/diary/{entry_id}/correct")
async def ask_correction(page: Page, tx: Tx, me: Me, entry_id: EntryId) -> Response:
    entry = await queries.entry(tx, me, entry_id)
    if entry.struck_at is not None:
        return page.redirect(_diary_href(entry.plot_id), flash=EntryAlreadyStruck.message, kind="info")
    return await _correction_page(page, tx, me, entry, FormResult(None, typed=_typed(entry)), {})


@desk.post("/diary/{entry_id}/correct")
async def correct(page: Page, tx: Tx, me: Me, entry_id: EntryId) -> Response:
    entry = await queries.entry(tx, me, entry_id)
    form = await page.form(forms.CorrectionForm)
    if form.value is None:
        return await _correction_page(page, tx, me, entry, form, form.errors)
    try:
        await diaries.correct_entry(tx, me, entry_id, form.value.reason, form.value.fields())
    except DomainError as error:
        errors = renamed(page.errors_of(error), harvested_on="day")
        return await _correction_page(page, tx, me, entry, form, errors, page.status_of(error))
    return page.redirect(_diary_href(entry.plot_id), flash="Đã sửa. Dòng cũ còn đó và được gạch ngang.")


@desk.post("/diary/{entry_id}/strike")
async def strike(page: Page, tx: Tx, me: Me, entry_id: EntryId) -> Response:
    entry = await queries.entry(tx, me, entry_id)
    form = await page.form(forms.ReasonForm)
    if form.value is None:
        again: FormResult[Any] = FormResult(None, typed={**_typed(entry), "strike": form.typed.get("reason", "")})
        return await _correction_page(page, tx, me, entry, again, renamed(form.errors, reason="strike"))
    await diaries.correct_entry(tx, me, entry_id, form.value.reason, None)
    return page.redirect(_diary_href(entry.plot_id), flash="Đã gạch dòng đó. Người xem vẫn đọc được nó và lý do.")


def _typed(entry: DiaryEntry) -> dict[str, Any]:
    """A line as the form that corrects it begins."""
    return {name: getattr(entry, name) for name in forms.EntryForm.model_fields}


async def _correction_page(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    entry: DiaryEntry,
    form: FormResult[Any],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    plot = await queries.plot(tx, me, entry.plot_id)
    return page.render(
        "diary_correct.html",
        title=page._("Sửa nhật ký"),
        status=status,
        errors=errors,
        typed=form.typed,
        entry=entry,
        plot=plot,
        back_href=_diary_href(plot.id),
        **await shell(page, tx, me, await units.find(tx, plot.unit)),
    )


async def chosen_producer(tx: AsyncSession, me: Principal, asked: str | None) -> Producer | None:
    """The producer named in the address, else the first of one's own; raises NotFound."""
    if asked:
        return await queries.producer(tx, me, views.id_of(asked))
    own = await catalogue.producers(tx, account=me.subject, limit=1)
    return own[0] if own else None


async def shell(page: Page, tx: AsyncSession, me: Principal, unit: units.Unit | None) -> dict[str, Any]:
    return {**await views.shell(page, tx, me, "tracing", unit), **words.words(page)}


def _diary_href(plot_id: uuid.UUID) -> str:
    return f"/ecommerce/plots/{plot_id}"


def renamed(errors: dict[str, str], **names: str) -> dict[str, str]:
    """Errors under the names that fields have in the form."""
    return {names.get(field, field): text for field, text in errors.items()}
