"""Owns the pages of the commune's staff: its products, which of them are key products, its producers, the export."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, VIEWERS, Principal
from chassis.db import now
from chassis.errors import Forbidden, NotFound
from chassis.paging import After, page_of
from chassis.web import Me, Page, PageRouter, Tx
from services.ecommerce import access, commands, queries, views
from services.ecommerce.cursors import id_key, id_position, product_key
from services.ecommerce.forms import KeyForm
from services.ecommerce.model import Status
from services.ecommerce.views import ProductId

PAGE = 50
EXPORT_PAGE = 200

office = PageRouter()

VIEWS = {
    "all": queries.Filter(),
    "key": queries.Filter(key_only=True),
    "unlisted": queries.Filter(key_only=True, unlisted_only=True, statuses=(Status.PUBLISHED,)),
    "draft": queries.Filter(statuses=(Status.DRAFT,)),
    "withdrawn": queries.Filter(statuses=(Status.WITHDRAWN,)),
}
"""The chips of the commune's list and what each one shows."""


def _view(show: str, path: str, q: str) -> queries.Filter:
    return queries.Filter(**{**vars(VIEWS.get(show, VIEWS["all"])), "path": path, "q": q})


@office.get("/manage")
async def commune(
    page: Page,
    tx: Tx,
    me: Me,
    unit: Annotated[str | None, Query(max_length=40)] = None,
    show: Annotated[str, Query(max_length=20)] = "all",
    q: Annotated[str, Query(max_length=100)] = "",
    after: After = None,
) -> Response:
    at = now()
    here = await _watched(tx, me, unit)
    rows = await queries.products(tx, _view(show, here.path, q), at, PAGE, id_position(after))
    found = page_of(rows, PAGE, product_key)

    def href(path: str = "/ecommerce/manage", **changed: str) -> str:
        asked = {"unit": here.code, "show": show, "q": q, **changed}
        return f"{path}?" + urlencode({k: v for k, v in asked.items() if v})

    return page.render(
        "manage.html",
        title=page._("Sản phẩm của xã"),
        unit=here,
        tally=await queries.tally(tx, here.path, at),
        rows=found.items,
        names=await queries.unit_names(tx, (row.product.unit for row in found.items)),
        show=show if show in VIEWS else "all",
        q=q,
        href=href,
        may_mark=me.may(access.KEY_MARKERS, here.path),
        next_href=href(after=found.next) if found.next else None,
        first_href=href() if after else None,
        **await views.shell(page, tx, me, "manage", here),
    )


@office.get("/manage.csv")
async def export(
    tx: Tx,
    me: Me,
    page: Page,
    unit: Annotated[str | None, Query(max_length=40)] = None,
    show: Annotated[str, Query(max_length=20)] = "all",
    q: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    at = now()
    here = await _watched(tx, me, unit)
    wanted, after = _view(show, here.path, q), None
    out = io.StringIO()
    # Excel on an office PC takes UTF-8 for what it is only behind a byte order mark.
    out.write("\ufeff")
    table = csv.writer(out)
    _ = page._
    table.writerow(_(head) for head in _HEADS)
    words = views.words(page)
    while True:
        rows = await queries.products(tx, wanted, at, EXPORT_PAGE, after)
        names = await queries.unit_names(tx, (row.product.unit for row in rows))
        for row in rows[:EXPORT_PAGE]:
            table.writerow(_safe(cell) for cell in _cells(row, names, words))
        if len(rows) <= EXPORT_PAGE:
            break
        after = rows[EXPORT_PAGE - 1].product.id
    headers = {"content-disposition": f'attachment; filename="san-pham-{here.code}.csv"'}
    return Response(out.getvalue().encode(), media_type="text/csv; charset=utf-8", headers=headers)


_HEADS = (
    "Sản phẩm",
    "Cơ sở sản xuất",
    "Loại hình",
    "Thôn",
    "Giá (đồng)",
    "Đơn vị tính",
    "Sao OCOP",
    "Nông sản chủ lực",
    "Trạng thái",
    "Số kênh đang bán",
)


def _cells(row: queries.Row, names: dict[str, str], words: dict[str, Any]) -> tuple[object, ...]:
    product = row.product
    return (
        product.name,
        product.producer.name,
        words["kinds"][product.producer.kind],
        names.get(product.unit, product.unit),
        product.price if product.price is not None else "",
        product.price_unit,
        product.ocop_stars or "",
        "x" if product.key_product else "",
        words["statuses"][product.status],
        row.live,
    )


def _safe(cell: object) -> object:
    """A name that begins like a formula is told to spreadsheets as text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


@office.get("/producers")
async def producers(
    page: Page, tx: Tx, me: Me, unit: Annotated[str | None, Query(max_length=40)] = None, after: After = None
) -> Response:
    here = await _watched(tx, me, unit)
    rows = await queries.producers(tx, path=here.path, limit=PAGE, after=id_position(after))
    found = page_of(rows, PAGE, id_key)
    base = f"/ecommerce/producers?unit={here.code}"
    return page.render(
        "producers.html",
        title=page._("Cơ sở sản xuất"),
        unit=here,
        producers=found.items,
        may_register=me.may(STAFF, here.path),
        names=await queries.unit_names(tx, (producer.unit for producer in found.items)),
        next_href=f"{base}&{urlencode({'after': found.next})}" if found.next else None,
        first_href=base if after else None,
        **await views.shell(page, tx, me, "producers", here),
    )


@office.post("/products/{product_id}/key")
async def mark_key(page: Page, tx: Tx, me: Me, product_id: ProductId) -> Response:
    form = await page.form(KeyForm)
    if form.value is None:
        raise NotFound()
    product = await commands.mark_key(tx, me, product_id, form.value.key)
    flash = "Đã đánh dấu nông sản chủ lực." if form.value.key else "Đã bỏ dấu nông sản chủ lực."
    listed = form.value.back == "list"
    return page.redirect(
        f"/ecommerce/manage?unit={product.commune}" if listed else views.desk_href(product_id), flash=flash
    )


async def _watched(tx: AsyncSession, me: Principal, code: str | None) -> units.Unit:
    """The unit asked for, or the first one `me` watches over; raises Forbidden."""
    if code is None:
        code = next((grant.unit for grant in me.grants if grant.role in VIEWERS), None)
    if code is None:
        raise Forbidden()
    unit = await units.get(tx, code)
    me.require(VIEWERS, unit.path)
    return unit
