"""Owns the public pages of lots: where a lot comes from, its label and QR code, the published lots of a unit."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from chassis import units
from chassis.auth import VIEWERS
from chassis.errors import NotFound
from chassis.paging import After, page_of
from chassis.web import MaybeMe, Page, PageRouter, Tx
from services.ecommerce import access, qr, views
from services.ecommerce.cursors import id_key, id_position
from services.ecommerce.queries import unit_names
from services.ecommerce.tracing import epcis, queries, words

PAGE = 50

pages = PageRouter()


@pages.get("/lots")
async def lots(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str | None, Query(max_length=40)] = None,
    after: After = None,
) -> Response:
    code = unit or (me.home.unit if me is not None and me.home is not None else None)
    here = await units.get(tx, code) if code else None
    path = here.path if here else ""
    watching = me is not None and bool(path) and me.may(VIEWERS, path)
    rows = await queries.lots(tx, path=path, everything=watching, limit=PAGE, after=id_position(after))
    found = page_of(rows, PAGE, id_key)
    base = "/ecommerce/lots" + (f"?{urlencode({'unit': here.code})}" if here else "?")
    return page.render(
        "lots.html",
        title=page._("Lô hàng có trang truy xuất"),
        unit=here,
        lots=found.items,
        watching=watching,
        names=await unit_names(tx, (lot.unit for lot in found.items)),
        next_href=f"{base}&{urlencode({'after': found.next})}" if found.next else None,
        first_href=base if after else None,
        unit_path=await views.unit_path(tx, here, lambda below: f"/ecommerce/lots?unit={below}"),
        staff_nav=views.rail(page, me, "lots"),
        **words.words(page),
    )


@pages.get("/lots/{code}")
async def lot(page: Page, tx: Tx, me: MaybeMe, code: str) -> Response:
    shown = await queries.lot(tx, me, code)
    standing = await queries.standing(tx, shown)
    here = await units.find(tx, shown.unit)
    names = await unit_names(tx, [plot.unit for plot in shown.plots])
    return page.render(
        "lot.html",
        title=f"{page._('BỊ THU HỒI')}: {shown.code}"
        if shown.recalled
        else page._("Lô {code}").format(code=shown.code),
        lot=shown,
        unit=here,
        standing=standing,
        way=words.way(page._, shown, standing, names),
        lacking=words.lacking(page, standing),
        plot_names={plot.id: plot.name for plot in shown.plots},
        may_change=me is not None and access.may_change_producer(me, shown.producer),
        label_url=epcis.label_address(shown, page.renderer.settings.public_url),
        unit_path=await views.unit_path(tx, here, views.catalogue_href),
        staff_nav=views.rail(page, me, ""),
        **words.words(page),
    )


@pages.get("/lots/{code}/label")
async def label(page: Page, tx: Tx, me: MaybeMe, code: str) -> Response:
    shown = await queries.lot(tx, me, code)
    here = await units.find(tx, shown.unit)
    return page.render(
        "lot_label.html",
        title=page._("Nhãn in"),
        lot=shown,
        above=await units.breadcrumb(tx, here) if here else [],
        label_url=epcis.label_address(shown, page.renderer.settings.public_url),
        back_href=f"/ecommerce/lots/{shown.code}",
        **words.words(page),
    )


@pages.get("/lots/{code}/qr.svg")
async def qr_svg(request: Request, tx: Tx, me: MaybeMe, code: str) -> Response:
    shown = await queries.lot(tx, me, code)
    address = epcis.label_address(shown, request.app.state.runtime.settings.public_url)
    kept = "public, max-age=86400" if shown.published_at else "private, no-store"
    return Response(qr.svg(address, shown.code), media_type="image/svg+xml", headers={"cache-control": kept})


@pages.get("/01/{gtin}/10/{code}")
async def digital_link(page: Page, tx: Tx, me: MaybeMe, gtin: str, code: str) -> Response:
    """A GS1 Digital Link of a label leads to the page of the lot, which warns where it is recalled.

    What a scanner added to the address goes along, as the standard asks.
    """
    shown = await queries.lot(tx, me, code)
    if not shown.gtin or epcis.gtin_of(gtin) != shown.gtin:
        raise NotFound()
    asked = page.request.url.query
    return page.redirect(f"/ecommerce/lots/{shown.code}" + (f"?{asked}" if asked else ""))
