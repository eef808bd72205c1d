"""Owns the page on which one sees whether the figures below a unit can be trusted, and its tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.errors import Unauthenticated
from chassis.paging import After
from chassis.units import Unit
from chassis.web import MaybeMe, Page, PageRouter, Sessions, Tx
from services.indicators import views
from services.indicators.answers import queries
from services.indicators.answers.queries import quality
from services.indicators.criteria.catalogue import CriteriaSet
from services.indicators.interchange import workbooks
from services.indicators.views import quality as words
from services.indicators.web import quality_lists as lists
from services.indicators.web.downloads import stream
from services.indicators.web.shell import TEMPLATES, SetParam, chosen_set, set_choices, unit_path

pages = PageRouter(templates=TEMPLATES)

ROWS = 100
"""Rows on one page."""

Show = Annotated[Literal["missing", "old", "differing", "suspended", "rejected"], Query()]
Days = Annotated[int, Query(ge=1, le=3650)]
ItemParam = Annotated[str | None, Query(max_length=60, alias="item")]


async def _asked(
    tx: AsyncSession, me: Principal | None, code: str, set_code: str | None, show: str, item: str | None
) -> tuple[Unit, CriteriaSet]:
    """The unit and the set, if the question makes sense there; what partners sent in vain is for staff."""
    here = await units.get(tx, code)
    of = chosen_set(set_code, here)
    queries.require_offered(of, here)
    if item:
        queries.item_of(of, item)
    if show == "rejected":
        if me is None:
            raise Unauthenticated
        me.require(STAFF, here.path)
    return here, of


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
    here, of = await _asked(tx, me, code, set_code, show, item)
    view = words.QualityView(
        here.name,
        of.title.in_(page.locale),
        await quality.counts(tx, here, of),
        await quality.old_count(tx, here, of, days=days),
        page.locale,
        page._,
    )
    listing = replace(lists.page_of(page, here, of, show, item or None, days), after=after)
    rows, more = await lists.listed(tx, listing, ROWS)
    staff = me is not None and me.may(STAFF, here.path)
    asked = {
        "set": of.code,
        "show": show,
        "item": item or None,
        "days": str(days) if days != quality.OLD_DAYS else None,
    }
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
        days_back=listing.days_back,
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
    sessions: Sessions,
    me: MaybeMe,
    code: str,
    set_code: SetParam = None,
    show: Show = "missing",
    item: ItemParam = None,
    days: Days = quality.OLD_DAYS,
) -> Response:
    """The same list as CSV, to its end."""
    here, of = await _asked(tx, me, code, set_code, show, item)
    asked = lists.page_of(page, here, of, show, item or None, days)
    # The first piece is read before anything is sent, so that what is wrong can still be told as an error.
    first = await lists.listed(tx, asked, lists.PIECE)
    return stream(lists.as_csv(sessions, asked, first), f"{here.code}-{of.code}-{show}.csv", workbooks.CSV)
