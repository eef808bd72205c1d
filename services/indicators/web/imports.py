"""Owns the pages of file imports: template, upload, preview, apply, undo, and the list of who imported what."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from chassis import units
from chassis.errors import Malformed
from chassis.paging import After, decode_cursor, encode_cursor
from chassis.web import Me, MiB, Page, PageRouter, Tx
from services.indicators import views
from services.indicators.answers import queries
from services.indicators.criteria import library
from services.indicators.interchange import (
    importing,
    layout,
    offering,
    previewing,
    reading,
    underway,
    undoing,
    workbooks,
)
from services.indicators.interchange.importing import Import
from services.indicators.interchange.offering import Asked
from services.indicators.shapes.words import cause_words
from services.indicators.sources import evidence
from services.indicators.views.imports import (
    RUNNING,
    STATES,
    announced,
    fault_view,
    measure_title,
    refusal_words,
)
from services.indicators.web.downloads import download
from services.indicators.web.shell import TEMPLATES, SetParam, chosen_set, unit_path

pages = PageRouter(templates=TEMPLATES)

LevelParam = Annotated[Literal["province", "district", "commune", "village"] | None, Query()]
IMPORTS = 20
"""Imports on one page."""
FAULTS = 200
"""Faults on one page."""
SAMPLE = 20
"""Values a preview shows of those it would set."""
MOST_UNITS = 20_000
"""Most rows of a template."""


async def _asked(tx: AsyncSession, me: Me, code: str, set_code: str | None, level: str | None) -> Asked:
    catalogue = library.catalogue()
    return await offering.asked(
        tx, me, code, queries.criteria_set(catalogue, set_code) if set_code else None, level, catalogue
    )


@pages.get("/units/{code}/imports")
async def import_page(
    page: Page,
    tx: Tx,
    me: Me,
    code: str,
    set_code: SetParam = None,
    level: LevelParam = None,
    after: After = None,
) -> Response:
    """Template and upload for a unit, and what was imported for it and below."""
    asked = await _asked(tx, me, code, set_code, level)
    return await _import_page(page, tx, asked, after)


async def _import_page(page: Page, tx: AsyncSession, asked: Asked, after: str | None = None, **more: Any) -> Response:
    cursor = decode_cursor(after, 1)
    try:
        before = uuid.UUID(str(cursor[0])) if cursor else None
    except ValueError as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error
    found = await importing.listed(tx, asked.unit, limit=IMPORTS, before=before)
    shown = found[:IMPORTS]
    here = f"/indicators/units/{asked.unit.code}/imports"
    levels = offering.levels(asked.unit, asked.criteria, library.catalogue())
    following = encode_cursor((str(shown[-1].id),)) if len(found) > IMPORTS else None
    return page.render(
        "imports.html",
        title=page._("Nhập số liệu từ tệp"),
        asked=asked,
        set_title=asked.criteria.title.in_(page.locale),
        sets=[(one.code, one.title.in_(page.locale)) for one in offering.offered(asked.unit, library.catalogue())],
        levels=[(one, page._(views.LEVEL_WORDS[one])) for one in levels],
        level_word=page._(views.LEVEL_WORDS[asked.level]),
        columns=[
            (column.heading, workbooks.allowed(column, page._))
            for column in layout.columns(asked.criteria, asked.level, library.catalogue())
        ],
        imports=shown,
        words=state_words(page),
        unit_path=await unit_path(tx, asked.unit, asked.criteria),
        back_href=f"/indicators/units/{asked.unit.code}?set={asked.criteria.code}",
        back_label=asked.unit.name,
        next=views.address(here, set=asked.criteria.code, after=following) if following else None,
        first=views.address(here, set=asked.criteria.code) if cursor else None,
        **more,
    )


def state_words(page: Page) -> dict[str, str]:
    """How an import stands, in words."""
    return {state: page._(word) for state, word in STATES.items()}


async def _template(page: Page, tx: AsyncSession, asked: Asked) -> workbooks.Template:
    plan = layout.columns(asked.criteria, asked.level, library.catalogue())
    found = await units.search(tx, level=asked.level, within=asked.unit.path, limit=MOST_UNITS)
    kinds = getattr(asked.criteria, "kinds", ()) if asked.level == asked.criteria.level else ()
    meant = [unit for unit in found[:MOST_UNITS] if asked.criteria.area.touches(unit.path)]
    listed = [unit for unit in meant if not kinds or unit.kind in kinds]
    basis = asked.criteria.legal_basis
    return workbooks.Template(asked.criteria.title.vi, basis.number, plan, listed, units.today())


@pages.get("/units/{code}/template.xlsx")
async def template_xlsx(
    page: Page, tx: Tx, me: Me, code: str, set_code: SetParam = None, level: LevelParam = None
) -> Response:
    """An empty workbook to fill in, with the units below this one."""
    asked = await _asked(tx, me, code, set_code, level)
    template = await _template(page, tx, asked)
    body = await run_in_threadpool(workbooks.template_xlsx, template, page._)
    return download(body, f"mau-{asked.unit.code}-{asked.criteria.code}-{asked.level}.xlsx", workbooks.XLSX)


@pages.get("/units/{code}/template.csv")
async def template_csv(
    page: Page, tx: Tx, me: Me, code: str, set_code: SetParam = None, level: LevelParam = None
) -> Response:
    """The same as CSV."""
    asked = await _asked(tx, me, code, set_code, level)
    body = workbooks.template_csv(await _template(page, tx, asked))
    return download(body, f"mau-{asked.unit.code}-{asked.criteria.code}-{asked.level}.csv", workbooks.CSV)


class Sent(BaseModel):
    """The form of an upload; the file comes beside it."""

    model_config = ConfigDict(extra="ignore")


@pages.post("/units/{code}/imports", max_body=26 * MiB)
async def upload(
    page: Page, tx: Tx, me: Me, code: str, set_code: SetParam = None, level: LevelParam = None
) -> Response:
    """Take the file and show what it would do, a large one once it has been read; nothing counts yet."""
    asked = await _asked(tx, me, code, set_code, level)
    form = await page.form(Sent)
    files = form.files.get("file", [])
    if len(files) != 1:
        return await _import_page(page, tx, asked, errors={"file": page._("Xin chọn một tệp XLSX hoặc CSV.")})
    data = await files[0].read(reading.MAX_BYTES + 1)
    sent = previewing.Upload(asked.unit, asked.criteria, asked.level, files[0].filename or "", data)
    try:
        made, _state = await previewing.hand_in(tx, me, sent, library.catalogue())
    except (reading.FileRefused, reading.FileTooLarge, previewing.TooManyWaiting) as error:
        return await _import_page(page, tx, asked, errors=page.errors_of(error))
    return page.redirect(f"/indicators/imports/{made}")


@pages.get("/imports/{import_id}")
async def one_import(
    page: Page, tx: Tx, me: Me, import_id: uuid.UUID, after: Annotated[int, Query(ge=0, lt=10**9)] = 0
) -> Response:
    """An import: what it would set and what is wrong with it; later what became of it."""
    return await _one(page, tx, await importing.get(tx, me, import_id), after)


async def _one(page: Page, tx: AsyncSession, one: Import, after: int = 0, **more: Any) -> Response:
    unit = await units.get(tx, one.unit)
    faults = await importing.faults(tx, one.id, limit=FAULTS, after=after)
    left = await undoing.left(tx, one.id, limit=FAULTS, after=after) if one.state == "undone" else []
    last = (faults[FAULTS - 1].number if len(faults) > FAULTS else 0) or (
        left[FAULTS - 1].number if len(left) > FAULTS else 0
    )
    criteria_set = library.catalogue().sets.get(one.set_code)
    progress = await underway.progress(tx, one.id) if one.state in RUNNING else None
    return page.render(
        "import.html",
        title=one.name,
        one=one,
        unit=unit,
        set_title=criteria_set.title.in_(page.locale) if criteria_set else one.set_code,
        word=state_words(page)[one.state],
        progress=progress,
        announced=announced(one, progress, page._),
        refusal=refusal_words(one, page._),
        twin=await importing.same_file(tx, one) if one.state == "previewed" else None,
        faults=[fault_view(fault, library.catalogue(), page.locale, page._) for fault in faults[:FAULTS]],
        sample=[_sample_line(page, entry) for entry in await importing.first_entries(tx, one.id, SAMPLE)],
        left=[_left_line(page, row) for row in left[:FAULTS]],
        unit_path=await unit_path(tx, unit, chosen_set(one.set_code if criteria_set else None, unit)),
        back_href=f"/indicators/units/{one.unit}/imports?set={one.set_code}&level={one.level}",
        back_label=page._("Nhập số liệu từ tệp"),
        next=f"/indicators/imports/{one.id}?after={last}" if last else None,
        first=f"/indicators/imports/{one.id}" if after else None,
        **more,
    )


def _title(page: Page, code: str) -> str:
    return measure_title(code, library.catalogue(), page.locale)


def _sample_line(page: Page, entry: importing.Entry) -> dict[str, str]:
    measure = library.catalogue().measures.get(entry.measure)
    value = entry.read
    text = value if isinstance(value, str) else views.figure_words(value, measure, page.locale, page._)
    return {
        "cell": entry.cell,
        "unit": entry.unit,
        "about": _title(page, entry.measure),
        "value": text,
        "period": entry.period,
        "document": entry.document,
    }


def _left_line(page: Page, row: Any) -> dict[str, Any]:
    cause = evidence.root(row.cause)
    return {
        "cell": row.cell,
        "unit": row.unit,
        "about": _title(page, row.measure),
        "because": cause_words(cause, page.locale) if cause else "",
        "at": row.observed_at,
    }


class Confirmed(BaseModel):
    """Whether all of a file is to count or none of it, or what is right of it."""

    model_config = ConfigDict(extra="ignore")
    mode: Literal["all", "valid"]


@pages.post("/imports/{import_id}/apply")
async def apply(page: Page, tx: Tx, me: Me, import_id: uuid.UUID) -> Response:
    """Make the values of a preview count: all or none, or those that are right."""
    one = await importing.get(tx, me, import_id)
    form = await page.form(Confirmed)
    if form.value is None:
        return await _one(page, tx, one, errors=form.errors, typed=form.typed)
    try:
        state = await importing.confirm(tx, me, import_id, form.value.mode, library.catalogue())
    except (importing.ImportFaulty, importing.ImportEmpty) as error:
        return await _one(page, tx, one, errors={"mode": page.errors_of(error)[""]}, typed=form.typed, status=409)
    # How far a large one is, its page tells.
    flash = "Đã ghi số liệu của tệp." if state == "applied" else None
    return page.redirect(f"/indicators/imports/{import_id}", flash=flash)


@pages.post("/imports/{import_id}/discard")
async def discard(page: Page, tx: Tx, me: Me, import_id: uuid.UUID) -> Response:
    """Put a preview aside, also while its file is still being read."""
    state = await previewing.put_aside(tx, me, import_id)
    flash = "Đã bỏ tệp, không ghi gì." if state == "discarded" else None
    return page.redirect(f"/indicators/imports/{import_id}", flash=flash)


@pages.get("/imports/{import_id}/undo")
async def ask_undo(page: Page, tx: Tx, me: Me, import_id: uuid.UUID) -> Response:
    """Ask before an undo, with the consequence in words."""
    one = await importing.get(tx, me, import_id)
    if one.state != "applied":
        raise importing.ImportDone
    unit = await units.get(tx, one.unit)
    return page.render(
        "import_undo.html",
        title=page._("Hoàn tác lần nhập tệp"),
        one=one,
        unit=unit,
        unit_path=await unit_path(tx, unit, chosen_set(None, unit)),
        back_href=f"/indicators/imports/{one.id}",
        back_label=one.name,
    )


@pages.post("/imports/{import_id}/undo")
async def undo(page: Page, tx: Tx, me: Me, import_id: uuid.UUID) -> Response:
    """Take back what an import set, unless something newer replaced it."""
    state = await undoing.request(tx, me, import_id, library.catalogue())
    flash = "Đã hoàn tác lần nhập tệp." if state == "undone" else None
    return page.redirect(f"/indicators/imports/{import_id}", flash=flash)
