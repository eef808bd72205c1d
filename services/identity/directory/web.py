"""Owns the front page of the subject Con người and the public staff directory, also as CSV."""

from __future__ import annotations

import csv
import io
from urllib.parse import urlencode

from starlette.responses import Response

from chassis import units
from chassis.paging import After, decode_cursor, page_of
from chassis.units import Unit
from chassis.web import MaybeMe, Page, PageRouter, Tx
from services.identity.accounts.api import as_uuid
from services.identity.directory import queries
from services.identity.teams import queries as teams
from services.identity.units import queries as unit_queries
from services.identity.web import TEMPLATES, crumbs, rail

pages = PageRouter(templates=TEMPLATES)

PAGE = 50
MOST_ROWS = 10_000
FORMULA = ("=", "+", "-", "@", "\t")


@pages.get("/")
async def home(page: Page, tx: Tx, me: MaybeMe) -> Response:
    place = await _place(tx, me.home.unit if me and me.home else "")
    listed = await queries.entries(tx, within=place.path if place else None, limit=5)
    standing = await teams.teams(tx, within=place.path if place else None, standing=True, limit=5)
    return page.render(
        "home.html",
        place=place,
        listed=listed[:5],
        listed_count=await queries.count(tx, place.path) if place else 0,
        teams=standing[:5],
        team_count=await teams.standing_below(tx, place.path) if place else 0,
        names=await unit_queries.names(tx, {e.unit for e in listed} | {t.unit for t in standing}),
        counts=await unit_queries.counts_below(tx, place.path) if place else {},
        unit_path=await crumbs(tx, place),
        staff_nav=rail(page, ""),
    )


@pages.get("/directory")
async def directory_page(page: Page, tx: Tx, me: MaybeMe, unit: str = "", q: str = "", after: After = None) -> Response:
    place = await _place(tx, unit)
    q = q.strip()[:80]
    cursor = decode_cursor(after, 2)
    start = (str(cursor[0]), as_uuid(cursor[1])) if cursor else None
    rows = await queries.entries(tx, within=place.path if place else None, q=q or None, after=start, limit=PAGE)
    shown = page_of(rows, PAGE, key=lambda e: (e.path, str(e.account_id)))
    query = {"unit": place.code if place else "", "q": q}
    return page.render(
        "directory.html",
        place=place,
        rows=shown.items,
        q=q,
        names=await unit_queries.names(tx, {e.unit for e in shown.items}),
        more=f"/identity/directory?{urlencode({**query, 'after': shown.next})}" if shown.next else None,
        first=f"/identity/directory?{urlencode(query)}" if after else None,
        csv_href=f"/identity/directory.csv?{urlencode(query)}",
        unit_path=await crumbs(tx, place),
        staff_nav=rail(page, "directory"),
    )


@pages.get("/directory.csv")
async def directory_csv(page: Page, tx: Tx, unit: str = "", q: str = "") -> Response:
    place = await _place(tx, unit)
    rows = await queries.entries(tx, within=place.path if place else None, q=q.strip()[:80] or None, limit=MOST_ROWS)
    names = await unit_queries.names(tx, {e.unit for e in rows})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([page._(h) for h in ("Họ tên", "Chức vụ", "Đơn vị", "Điện thoại", "Thư điện tử")])
    for e in rows:
        writer.writerow([_cell(v) for v in (e.name, e.position, names.get(e.unit, e.unit), e.phone, e.email)])
    headers = {"content-disposition": 'attachment; filename="danh-ba.csv"'}
    # The byte order mark tells spreadsheet programs that the file is UTF-8.
    return Response("\ufeff" + text.getvalue(), 200, headers, "text/csv; charset=utf-8")


def _cell(value: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if value.startswith(FORMULA) else value


async def _place(tx: Tx, code: str) -> Unit | None:
    if code:
        return await units.get(tx, code)
    top = await units.search(tx, level="province", limit=1)
    return top[0] if top else None
