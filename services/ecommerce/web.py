"""Owns the public pages: the catalogue of a unit, the page of a product, its photo, QR code and label."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from chassis import units
from chassis.auth import Principal
from chassis.db import now
from chassis.paging import After, page_of
from chassis.web import MaybeMe, Page, PageRouter, Tx
from services.ecommerce import access, pictures, qr, queries, schemas, views
from services.ecommerce.cursors import catalogue_key, catalogue_position
from services.ecommerce.tracing import queries as tracing
from services.ecommerce.views import ProductId

PAGE = 24
LOTS = 5
"""Published lots, the newest, that the page of a product leads to."""

pages = PageRouter(templates=Path(__file__).parent / "templates")


async def _unit(tx: AsyncSession, me: Principal | None, code: str | None) -> units.Unit | None:
    """The unit asked for, else the reader's own, else everywhere."""
    if code:
        return await units.get(tx, code)
    return await units.find(tx, me.home.unit) if me is not None and me.home is not None else None


@pages.get("/")
async def catalogue(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str | None, Query(max_length=40)] = None,
    q: Annotated[str, Query(max_length=100)] = "",
    key: bool = False,
    live: bool = False,
    after: After = None,
) -> Response:
    at = now()
    here = None if unit == "all" else await _unit(tx, me, unit)
    path = here.path if here else ""
    wanted = queries.Filter(path=path, q=q, key_only=key, live_only=live)
    found = page_of(await queries.catalogue(tx, wanted, at, PAGE, catalogue_position(after)), PAGE, catalogue_key)
    asked = {"unit": here.code if here else "all", "q": q, "key": "true" if key else "", "live": "true" if live else ""}

    def href(**changed: str) -> str:
        return "/ecommerce/?" + urlencode({k: v for k, v in {**asked, **changed}.items() if v})

    children = await units.children(tx, here.code) if here else []
    return page.render(
        "catalogue.html",
        title=page._("Sản phẩm địa phương"),
        unit=here,
        unit_path=await views.unit_path(tx, here, views.catalogue_href),
        staff_nav=views.rail(page, me, "catalogue"),
        tally=await queries.tally(tx, path, at),
        rows=found.items,
        names=await queries.unit_names(tx, (row.product.unit for row in found.items)),
        below=[(child.code, child.name) for child in children],
        asked={"q": q, "key": key, "live": live, "after": after},
        href=href,
        next_href=href(after=found.next) if found.next else None,
        **views.words(page),
    )


@pages.get("/products/{product_id}")
async def product(page: Page, tx: Tx, me: MaybeMe, product_id: ProductId) -> Response:
    at = now()
    shown = await access.visible(tx, me, product_id)
    here = await units.find(tx, shown.unit)
    return page.render(
        "product.html",
        title=shown.name,
        product=shown,
        unit=here,
        above=await units.breadcrumb(tx, here) if here else [],
        unit_path=await views.unit_path(tx, here, views.catalogue_href),
        staff_nav=views.rail(page, me, ""),
        buy=shown.live_listings(at),
        lots=(await tracing.lots(tx, product_id=shown.id, limit=LOTS))[:LOTS],
        may_change=access.may_change(me, shown),
        page_url=schemas.page_url(shown.id, page.renderer.settings.public_url),
        **views.words(page),
    )


@pages.get("/products/{product_id}/label")
async def label(page: Page, tx: Tx, me: MaybeMe, product_id: ProductId) -> Response:
    shown = await access.visible(tx, me, product_id)
    here = await units.find(tx, shown.unit)
    return page.render(
        "label.html",
        title=page._("Nhãn in"),
        product=shown,
        above=await units.breadcrumb(tx, here) if here else [],
        page_url=schemas.page_url(shown.id, page.renderer.settings.public_url),
        back_href=f"/ecommerce/products/{shown.id}",
        **views.words(page),
    )


@pages.get("/products/{product_id}/qr.svg")
async def qr_svg(request: Request, tx: Tx, me: MaybeMe, product_id: ProductId) -> Response:
    shown = await access.visible(tx, me, product_id)
    address = schemas.page_url(shown.id, request.app.state.runtime.settings.public_url)
    return Response(qr.svg(address, shown.name), media_type="image/svg+xml", headers=_kept(shown.public))


@pages.get("/products/{product_id}/qr.png")
async def qr_png(
    request: Request, tx: Tx, me: MaybeMe, product_id: ProductId, scale: Annotated[int, Query(ge=2, le=40)] = 10
) -> Response:
    shown = await access.visible(tx, me, product_id)
    address = schemas.page_url(shown.id, request.app.state.runtime.settings.public_url)
    return Response(qr.png(address, scale), media_type="image/png", headers=_kept(shown.public))


@pages.get("/products/{product_id}/photo")
async def photo(
    request: Request, tx: Tx, me: MaybeMe, product_id: ProductId, small: bool = False, v: str = ""
) -> Response:
    shown = await access.visible(tx, me, product_id)
    return await pictures.answer(request, shown, small, v, partial(queries.photo, tx, product_id, small=small))


def _kept(public: bool) -> dict[str, str]:
    return {"cache-control": "public, max-age=86400" if public else "private, no-store"}
