"""Owns the pages about the criteria sets themselves: all of them, and one in plain words."""

from __future__ import annotations

from starlette.responses import Response

from chassis import units
from chassis.web import Page, PageRouter, Tx
from services.indicators import views
from services.indicators.answers import queries
from services.indicators.criteria import library
from services.indicators.web.shell import TEMPLATES

pages = PageRouter(templates=TEMPLATES)


@pages.get("/sets")
async def all_sets(page: Page, tx: Tx) -> Response:
    """Every criteria set, with the level it is for, its legal basis and how long it holds."""
    catalogue = library.catalogue()
    places = await queries.places(tx, {path for one in catalogue.sets.values() for path in one.area.paths})
    return page.render(
        "sets.html",
        title=page._("Các bộ chỉ tiêu"),
        lines=views.set_lines(catalogue, places, units.today(), page.locale, page._),
        search_url="/indicators/units",
    )


@pages.get("/sets/{set_code}")
async def set_page(page: Page, tx: Tx, set_code: str) -> Response:
    """What a set asks for, in plain words, and what provinces lay over it."""
    catalogue = library.catalogue()
    criteria_set = queries.criteria_set(catalogue, set_code)
    places = await queries.places(tx, criteria_set.area.paths)
    view = views.SetView(criteria_set, catalogue, page.locale, page._, places)
    names = await queries.names(tx, {overlay.unit for overlay in view.overlays})
    return page.render(
        "set.html",
        title=criteria_set.title.in_(page.locale),
        view=view,
        names=names,
        back_href="/indicators/sets",
        back_label=page._("Các bộ chỉ tiêu"),
        search_url="/indicators/units",
    )
