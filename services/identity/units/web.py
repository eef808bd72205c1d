"""Owns the pages of administrative units: browsing, searching, and entering the villages of a commune."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF
from chassis.errors import DomainError
from chassis.paging import After, decode_cursor, page_of
from chassis.text import Line
from chassis.units import Unit
from chassis.web import MaybeMe, Me, Page, PageRouter, Tx
from services.identity.units import commands, queries
from services.identity.web import TEMPLATES, rail

pages = PageRouter(templates=TEMPLATES)

Name: Any = Line(80)
PAGE = 50


class VillageForm(BaseModel):
    """The form that enters a village."""

    name: Name
    kind: Literal["thon", "khu"]


class RenameForm(BaseModel):
    """The form that renames a village."""

    name: Name


@pages.get("/units")
async def browse(page: Page, tx: Tx, me: MaybeMe, q: str = "", after: After = None) -> Response:
    q = q.strip()[:80]
    if not q:
        top = await units.search(tx, level="province", limit=1)
        if top:
            return page.redirect(f"/identity/units/{top[0].code}")
    cursor = decode_cursor(after, 1)
    found = await units.search(tx, q=q or None, limit=PAGE, after=str(cursor[0]) if cursor else None)
    shown = page_of(found, PAGE, key=lambda u: (u.code,))
    above = await queries.names(tx, {c for u in shown.items for c in u.codes[:-1]})
    more = f"/identity/units?{urlencode({'q': q, 'after': shown.next})}" if shown.next else None
    return page.render(
        "units_found.html",
        q=q,
        found=shown.items,
        above=above,
        more=more,
        staff_nav=rail(page, "units"),
        search_url="/identity/units",
    )


@pages.get("/units/{code}")
async def unit_page(page: Page, tx: Tx, me: MaybeMe, code: str, as_of: date | None = None) -> Response:
    return await _show(page, tx, me, code, as_of)


@pages.post("/units/{code}/villages")
async def enter_village(page: Page, tx: Tx, me: Me, code: str) -> Response:
    commune = await units.get(tx, code)
    me.require(STAFF, commune.path)
    form = await page.form(VillageForm)
    if form.value is None:
        return await _show(page, tx, me, code, errors=form.errors, typed=form.typed)
    try:
        village = await commands.enter_village(tx, me, commands.EnterVillage(code, form.value.name, form.value.kind))
    except DomainError as error:
        errors, status = page.errors_of(error), page.status_of(error)
        return await _show(page, tx, me, code, errors=errors, typed=form.typed, status=status)
    return page.redirect(
        f"/identity/units/{code}",
        flash=page._("Đã nhập {name}, mã {code}.").format(name=village.name, code=village.code),
    )


@pages.post("/units/{code}/rename")
async def rename_village(page: Page, tx: Tx, me: Me, code: str) -> Response:
    form = await page.form(RenameForm)
    if form.value is None:
        me.require(STAFF, (await units.get(tx, code)).path)
        return await _show(page, tx, me, code, errors=form.errors, typed=form.typed)
    try:
        village = await commands.rename_village(tx, me, code, form.value.name)
    except DomainError as error:
        errors, status = page.errors_of(error), page.status_of(error)
        return await _show(page, tx, me, code, errors=errors, typed=form.typed, status=status)
    return page.redirect(f"/identity/units/{code}", flash=page._("Đã đổi tên thành {name}.").format(name=village.name))


async def _show(
    page: Page, tx: Tx, me: MaybeMe, code: str, as_of: date | None = None, *, status: int = 200, **shown: Any
) -> Response:
    unit, day = await queries.generation(tx, code, as_of)
    # What stands today can be worked on; any other day is for reading.
    stands = await units.find(tx, code) == unit
    above = await queries.breadcrumb(tx, unit, day)
    return page.render(
        "unit.html",
        status=status,
        unit=unit,
        day=day,
        stands=stands,
        related=await queries.relations(tx, unit),
        children=await units.children(tx, code, day),
        counts=await queries.counts_below(tx, unit.path, day),
        kinds=list(commands.VILLAGE_KINDS.items()),
        may_enter=stands and unit.level == "commune" and me is not None and me.may(STAFF, unit.path),
        may_rename=stands and unit.level == "village" and me is not None and me.may(STAFF, unit.path),
        unit_path=[{"code": u.code, "name": u.name, "href": _address(u, None if stands else day)} for u in above],
        address=_address,
        one_day=timedelta(days=1),
        staff_nav=rail(page, "units"),
        search_url="/identity/units",
        **shown,
    )


def _address(unit: Unit, day: date | None) -> str:
    """The page of a unit: as of `day`, or as it stands today."""
    return f"/identity/units/{unit.code}" + (f"?as_of={day}" if day else "")
