"""Owns the pages about one row: why it stands as it does, and how it came about."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF
from chassis.paging import After
from chassis.web import MaybeMe, Page, PageRouter, Tx
from services.indicators import views
from services.indicators.answers import asking, history, needs
from services.indicators.calculation.model import UnknownItem
from services.indicators.web.shell import TEMPLATES, SetParam, as_of_words, set_of, unit_path

pages = PageRouter(templates=TEMPLATES)

FACTS = 50
"""Facts of an explanation on one page."""
TURNS = 50
"""Changes of a row on one page."""
MOST_LINES = 20_000
"""Changes in one table to take home."""


AsOf = Annotated[str | None, Query(max_length=40)]


@pages.get("/units/{code}/items/{item_code}")
async def explain(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    code: str,
    item_code: str,
    set_code: SetParam = None,
    as_of: AsOf = None,
    after: After = None,
) -> Response:
    """Why an item stands as it does, or stood. Ids of things and single facts are for those who look after the unit."""
    criteria_set = await set_of(tx, set_code, code, as_of)
    of = await asking.found(tx, code, criteria_set.code, as_of)
    sheet, catalogue = of.sheet, of.catalogue
    item = asking.row_of(sheet, item_code)
    ids = asking.sees_ids(me, sheet.unit)
    found = await asking.explain(tx, of, item, FACTS, after, ids=ids)
    following = asking.cursor_after(found)
    here = f"/indicators/units/{sheet.unit.code}/items/{item.code}"
    asked = {"set": criteria_set.code, "as_of": as_of or None}
    least = None
    if of.moment.is_now and found.row.status in ("unmet", "no_data") and not sheet.rolled_up:
        needed, steps = await needs.least_of(tx, sheet.unit, (criteria_set.code, item.code), catalogue)
        least = views.LeastView(needed, steps, catalogue, page.locale, page._, ids=ids)
    view = views.ExplanationView(found, catalogue, page.locale, page._, as_of=as_of or None)
    return page.render(
        "explanation.html",
        title=f"{item.code} · {sheet.unit.name}",
        view=view,
        least=least,
        ids=ids,
        as_of=as_of_words(as_of, page.locale) if as_of else "",
        may_enter=of.moment.is_now and me is not None and me.may(STAFF, sheet.unit.path),
        unit_path=await unit_path(tx, sheet.unit, criteria_set, as_of),
        back_href=views.address(f"/indicators/units/{sheet.unit.code}", **asked),
        back_label=sheet.unit.name,
        search_url="/indicators/units",
        history_href=views.address(f"{here}/history", **asked),
        next=views.address(here, after=following, **asked) if following else None,
        first=views.address(here, **asked) if after else None,
    )


@pages.get("/units/{code}/items/{item_code}/history")
async def row_history(
    page: Page, tx: Tx, code: str, item_code: str, set_code: SetParam = None, as_of: AsOf = None, after: After = None
) -> Response:
    """How a row came about: a chart of a year against the target, and every change."""
    criteria_set = await set_of(tx, set_code, code, as_of)
    row = asking.RowAsked(code, criteria_set.code, item_code, as_of or "")
    found = await asking.row_history(tx, row, TURNS, after)
    here = f"/indicators/units/{found.unit.code}/items/{found.item.code}"
    asked = {"set": criteria_set.code, "as_of": as_of or None}
    catalogue = await asking.catalogue_of(tx, as_of)
    view = views.CourseView(found.item, found.turns, found.course, found.today, catalogue, page.locale, page._)
    return page.render(
        "history.html",
        title=f"{found.item.code} · {found.unit.name}",
        unit=found.unit,
        view=view,
        unit_path=await unit_path(tx, found.unit, criteria_set, as_of),
        back_href=views.address(here, **asked),
        back_label=page._("Vì sao?"),
        search_url="/indicators/units",
        csv_href=views.address(f"{here}/history.csv", **asked),
        next=views.address(f"{here}/history", after=found.next, **asked) if found.next else None,
        first=views.address(f"{here}/history", **asked) if after else None,
    )


@pages.get("/units/{code}/items/{item_code}/history.csv")
async def row_history_csv(
    page: Page, tx: Tx, code: str, item_code: str, set_code: SetParam = None, as_of: AsOf = None
) -> Response:
    """Every change of a row as CSV (UTF-8 with BOM), newest first."""
    criteria_set = await set_of(tx, set_code, code, as_of)
    unit = await units.get(tx, code, asking.as_of_day(as_of))
    if all(one.code != item_code for one in (await asking.catalogue_of(tx, as_of)).rows_of(criteria_set.code)):
        raise UnknownItem(set=criteria_set.code, item=item_code[:60])
    turns = await history.turns(tx, unit, (criteria_set.code, item_code), limit=MOST_LINES)
    body = views.history_csv(unit.code, criteria_set.code, item_code, turns[:MOST_LINES], page.locale, page._)
    headers = {"content-disposition": f'attachment; filename="{unit.code}-{criteria_set.code}-{item_code}.csv"'}
    return Response(body.encode("utf-8-sig"), media_type="text/csv; charset=utf-8", headers=headers)
