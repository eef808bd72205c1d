"""Owns the sheet of a unit, as a page and as a table."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF
from chassis.i18n import fmt_date
from chassis.units import LEVELS
from chassis.web import MaybeMe, Page, PageRouter, Tx
from services.indicators import views
from services.indicators.answers import asking, origins, queries
from services.indicators.interchange import workbooks
from services.indicators.web.downloads import download
from services.indicators.web.shell import (
    TEMPLATES,
    SetParam,
    as_of_words,
    last_sheet,
    set_choices,
    set_of,
    unit_path,
)

pages = PageRouter(templates=TEMPLATES)

AsOf = Annotated[str | None, Query(max_length=40)]


@pages.get("/units/{code}")
async def unit_sheet(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    code: str,
    set_code: SetParam = None,
    show: Annotated[str, Query(max_length=20)] = "",
    as_of: AsOf = None,
) -> Response:
    """The sheet of a unit: the answer in a sentence, a ring, one row per criterion, and what changed last."""
    try:
        here = await units.get(tx, code, asking.as_of_day(as_of))
    except units.FormerUnit as former:
        return page.redirect(last_sheet(code, set_code, former))
    catalogue = await asking.catalogue_of(tx, as_of)
    criteria_set = await set_of(tx, set_code, code, as_of)
    if not as_of and LEVELS.index(here.level) < LEVELS.index(criteria_set.level):
        return page.redirect(views.place(here, criteria_set))
    if as_of:
        sheet = (await asking.past(tx, code, criteria_set.code, as_of)).sheet
        drawn: dict[str, Any] = {}
    else:
        sheet = await queries.sheet(tx, code, criteria_set)
        orders = await queries.suspended(tx, here, criteria_set.code, units.today())
        drawn = {
            "trends": await queries.trends(tx, here, criteria_set),
            "orders": views.order_words(orders, page.locale, page._),
        }
    traits = await queries.traits(tx, here, (row.item for row in sheet.rows))
    drawn["documents"] = await origins.behind(tx, {row.cause for row in sheet.rows})
    view = views.SheetView(
        sheet, catalogue, page.locale, page._, missing_only=show == "missing", traits=traits, **drawn
    )
    history = [] if as_of else await queries.latest_changes(tx, here, criteria_set)
    return page.render(
        "sheet.html",
        title=here.name,
        view=view,
        history=[views.history_line(change, catalogue, page.locale, page._) for change in history],
        as_of=as_of_words(as_of, page.locale) if as_of else "",
        asked={"set": criteria_set.code, "as_of": as_of or None},
        today=units.today().isoformat(),
        ended=fmt_date(here.valid_to, page.locale) if here.valid_to else "",
        choices=[] if as_of else await set_choices(tx, here, criteria_set.code, page),
        may_enter=me is not None and me.may(STAFF, here.path),
        unit_path=await unit_path(tx, here, criteria_set, as_of),
        below=await _below(tx, sheet, as_of) if as_of and sheet.rolled_up else [],
        search_url="/indicators/units",
        position=await queries.top_position(tx),
    )


async def _table(page: Page, tx: Tx, code: str, set_code: str | None, as_of: str | None) -> workbooks.Table:
    """The sheet as the page shows it, of today or of another day."""
    day = asking.as_of_day(as_of)
    of = await set_of(tx, set_code, code, as_of)
    sheet = (await asking.past(tx, code, of.code, as_of)).sheet if as_of else await queries.sheet(tx, code, of)
    rows = await queries.suspended(tx, sheet.unit, of.code, day or units.today())
    orders = views.order_words(rows, page.locale, page._)
    sources = await asking.sources(tx, sheet, as_of)
    return views.sheet_table(sheet, await asking.catalogue_of(tx, as_of), orders, sources, page.locale, page._)


async def _below(tx: Tx, sheet: queries.Sheet, as_of: str) -> list[tuple[str, str]]:
    """The units that lay directly below on the day, by name, each with where it can be read."""
    found = await units.children(tx, sheet.unit.code, asking.as_of_day(as_of))
    asked = {"set": sheet.criteria.code, "as_of": as_of}
    return [(unit.name, views.address(f"/indicators/units/{unit.code}", **asked)) for unit in found]


@pages.get("/units/{code}/sheet.csv")
async def sheet_csv(page: Page, tx: Tx, code: str, set_code: SetParam = None, as_of: AsOf = None) -> Response:
    """The sheet as CSV."""
    table = await _table(page, tx, code, set_code, as_of)
    return download(workbooks.csv_of(table), f"{_file_name(code, table.name, as_of)}.csv", workbooks.CSV)


@pages.get("/units/{code}/sheet.xlsx")
async def sheet_xlsx(page: Page, tx: Tx, code: str, set_code: SetParam = None, as_of: AsOf = None) -> Response:
    """The sheet as a workbook."""
    table = await _table(page, tx, code, set_code, as_of)
    body = await run_in_threadpool(workbooks.xlsx_of, table)
    return download(body, f"{_file_name(code, table.name, as_of)}.xlsx", workbooks.XLSX)


def _file_name(code: str, set_code: str, as_of: str | None) -> str:
    day = asking.as_of_day(as_of)
    return f"{code}-{set_code}-{day.isoformat()}" if day else f"{code}-{set_code}"
