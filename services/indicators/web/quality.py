"""Owns the page on which one sees whether the figures below a unit can be trusted, and its tables."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF
from chassis.errors import Malformed
from chassis.paging import After, decode_cursor, encode_cursor
from chassis.units import Unit
from chassis.web import MaybeMe, Page, PageRouter, Tx
from services.indicators import views
from services.indicators.answers import queries
from services.indicators.answers.queries import quality
from services.indicators.criteria import catalogue as criteria
from services.indicators.interchange import workbooks
from services.indicators.views import quality as words
from services.indicators.web.downloads import download
from services.indicators.web.shell import TEMPLATES, SetParam, chosen_set, set_choices, unit_path

pages = PageRouter(templates=TEMPLATES)

ROWS = 100
"""Rows on one page."""
PLACES = 40
"""Places with several sources that are read for one page."""
CSV_ROWS = 20_000
"""Most rows of one file."""

Show = Annotated[Literal["missing", "old", "differing", "suspended"], Query()]
Days = Annotated[int, Query(ge=1, le=3650)]
ItemParam = Annotated[str | None, Query(max_length=60, alias="item")]


def _cursor(after: str | None, *, number: bool) -> tuple[str, Any] | None:
    found = decode_cursor(after, 2)
    if found is None:
        return None
    if number and not (isinstance(found[1], int) or str(found[1]).isdecimal()):
        raise Malformed(field="after", message_="Vị trí trang không đọc được.")
    return str(found[0]), int(found[1]) if number else str(found[1])


async def _rows(
    page: Page,
    tx: AsyncSession,
    here: Unit,
    of: criteria.CriteriaSet,
    show: str,
    item: str | None,
    days: int,
    after: str | None,
    limit: int,
) -> tuple[list[Any], str | None]:
    """What is listed, in words, and the cursor behind it."""
    locale, _ = page.locale, page._
    if show == "missing":
        gaps = await quality.missing_figures(tx, here, of, item=item, after=_cursor(after, number=True), limit=limit)
        more = encode_cursor((gaps[limit - 1].unit.code, gaps[limit - 1].place)) if len(gaps) > limit else None
        names = await queries.names(tx, {gap.unit.parent for gap in gaps})
        return list(words.gaps(gaps[:limit], of.code, names, locale, _)), more
    if show == "old":
        old = await quality.old_figures(tx, here, of, days=days, after=_cursor(after, number=False), limit=limit)
        more = encode_cursor((old[limit - 1].code, old[limit - 1].measure.code)) if len(old) > limit else None
        names = await queries.names(tx, {one.parent for one in old})
        return list(words.old(old[:limit], names, locale, _)), more
    if show == "differing":
        found, following = await quality.disputes(
            tx, here, of, after=_cursor(after, number=False), limit=min(limit, PLACES)
        )
        names = await queries.names(tx, {one.unit.parent for one in found})
        return list(words.disputes(found, names, locale, _)), encode_cursor(following) if following else None
    orders = await quality.orders(tx, here, of)
    overlays = quality.overlay_orders(here, of, units.today())
    names = await queries.names(tx, {r.unit for r in orders} | {one.unit or o.unit for o, one in overlays})
    return list(words.rests(orders, overlays, of, names, locale, _)), None


@pages.get("/units/{code}/quality")
async def quality_page(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    code: str,
    set_code: SetParam = None,
    show: Show = "missing",
    item: ItemParam = None,
    days: Days = quality.OLD_DAYS,
    after: After = None,
) -> Response:
    """Missing, old, disagreeing and suspended figures of a unit and everything below it."""
    of = chosen_set(set_code)
    here = await units.get(tx, code)
    queries.require_offered(of, here)
    if item:
        queries.item_of(of, item)
    view = words.QualityView(
        here.name,
        of.title.in_(page.locale),
        await quality.counts(tx, here, of),
        await quality.old_count(tx, here, of, days=days),
        page.locale,
        page._,
    )
    rows, more = await _rows(page, tx, here, of, show, item or None, days, after, ROWS)
    staff = me is not None and me.may(STAFF, here.path)
    asked = {"set": of.code, "show": show, "item": item or None, "days": str(days) if show == "old" else None}
    address = f"/indicators/units/{here.code}/quality"
    return page.render(
        "quality.html",
        title=page._("Chất lượng số liệu"),
        unit=here,
        set=of,
        set_title=of.title.in_(page.locale),
        view=view,
        show=show,
        item=item or "",
        days=days,
        rows=rows,
        choices=await set_choices(tx, here, of.code, page, page_of="quality"),
        aside=await quality.set_aside(tx, here) if staff else None,
        may_enter=staff,
        is_admin=me is not None and any(g.role == "admin" and "/" not in g.path for g in me.grants),
        table=views.address(f"{address}.csv", **asked),
        unit_path=await unit_path(tx, here, of),
        back_href=views.place(here, of),
        back_label=here.name,
        search_url="/indicators/units",
        next=views.address(address, after=more, **asked) if more else None,
        first=views.address(address, **asked) if after else None,
    )


@pages.get("/units/{code}/quality.csv")
async def quality_csv(
    page: Page,
    tx: Tx,
    code: str,
    set_code: SetParam = None,
    show: Show = "missing",
    item: ItemParam = None,
    days: Days = quality.OLD_DAYS,
) -> Response:
    """The same list as CSV, as far as CSV_ROWS."""
    of = chosen_set(set_code)
    here = await units.get(tx, code)
    queries.require_offered(of, here)
    if item:
        queries.item_of(of, item)
    rows: list[Any] = []
    after: str | None = None
    while len(rows) < CSV_ROWS:
        more, after = await _rows(page, tx, here, of, show, item or None, days, after, 1000)
        rows += more
        if after is None:
            break
    table = words.quality_table(show, rows, page._)
    return download(workbooks.csv_of(table), f"{here.code}-{of.code}-{show}.csv", workbooks.CSV)
