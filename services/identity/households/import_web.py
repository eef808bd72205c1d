"""Owns the pages that take households out as a file and bring them in by one."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from chassis import audit, units
from chassis.auth import VIEWERS, Principal
from chassis.errors import DomainError
from chassis.text import Paragraph
from chassis.units import Unit
from chassis.web import Me, MiB, Page, PageRouter, Tx
from services.identity.households import importing, queries, reading
from services.identity.households.commands import KEEPERS, Details
from services.identity.households.importing import Found, Mode
from services.identity.households.model import NotACommune
from services.identity.households.shapes import Code, HouseholdIn
from services.identity.households.web import MOST_VILLAGES, place_of
from services.identity.web import TEMPLATES, AtDesk, crumbs, rail

pages = PageRouter(templates=TEMPLATES)

SHOWN_FAULTS = 100
EXPORTED = 100_000
"""More households than any commune has."""
Text: Any = Paragraph(reading.MOST_BYTES, 1)


class UploadForm(BaseModel):
    """The unit a file is for; the file comes beside."""

    unit: Code


class ApplyForm(BaseModel):
    """A file that was looked at, as text, and which of its rows are wanted."""

    unit: Code
    content: Text
    mode: Mode


@pages.get("/households.csv")
async def export(tx: Tx, me: Me, desk: AtDesk, unit: str = "") -> Response:
    place = await _place(tx, me, unit, VIEWERS)
    names = queries.names(await queries.villages(tx, place))
    sealer = desk.tools.sealer
    rows = []
    for one in await queries.listed(tx, sealer, place, limit=EXPORTED):
        known = HouseholdIn.of(Details.of(one.household, sealer)).model_dump()
        rows.append({**known, "unit": names.get(one.household.unit, one.household.unit)})
    # Where everybody of a commune lives leaves the service here: who took it out stays known.
    detail = {"households": len(rows)}
    await audit.record(tx, me, action="household.exported", target=place.code, unit=place.code, detail=detail)
    return _file(rows, f"so-ho-{place.code}.csv")


@pages.get("/households/template.csv")
async def template(tx: Tx, me: Me, unit: str = "") -> Response:
    place = await _place(tx, me, unit, KEEPERS)
    villages = [place] if place.level == "village" else await units.search(tx, parent=place.code, limit=MOST_VILLAGES)
    return _file([{"unit": name} for name in queries.names(villages).values()], f"mau-so-ho-{place.code}.csv")


@pages.get("/households/import")
async def import_page(page: Page, tx: Tx, me: Me, unit: str = "") -> Response:
    return await _show(page, tx, await _place(tx, me, unit, KEEPERS))


@pages.post("/households/import")
async def look(page: Page, tx: Tx, me: Me, desk: AtDesk) -> Response:
    form = await page.form(UploadForm)
    place = await _place(tx, me, str(form.typed.get("unit", ""))[:20], KEEPERS)
    files = form.files.get("file", [])
    if not files:
        return await _show(page, tx, place, errors={"file": page._("Chưa chọn tệp.")})
    try:
        content = reading.text_of(await files[0].read())
        found = await importing.run(
            tx, desk.tools.sealer, me, importing.Sent(place.code, content, page.locale), "preview"
        )
    except DomainError as error:
        return await _show(page, tx, place, errors=page.errors_of(error), status=page.status_of(error))
    return await _show(page, tx, place, found=found, content=content)


@pages.post("/households/import/apply", max_body=2 * MiB)
async def apply(page: Page, tx: Tx, me: Me, desk: AtDesk) -> Response:
    form = await page.form(ApplyForm)
    place = await _place(tx, me, str(form.typed.get("unit", ""))[:20], KEEPERS)
    if form.value is None:
        return await _show(page, tx, place, errors={"": page._("Tệp không đọc được. Xin chọn lại.")})
    sent = importing.Sent(place.code, form.value.content, page.locale)
    try:
        found = await importing.run(tx, desk.tools.sealer, me, sent, form.value.mode)
    except DomainError as error:
        return await _show(page, tx, place, errors=page.errors_of(error), status=page.status_of(error))
    if not found.done:
        # Somebody changed the register since the file was looked at: it is looked at again.
        return await _show(page, tx, place, found=found, content=form.value.content, status=409)
    flash = page._("Đã ghi {new} hộ mới, sửa {changed} hộ.").format(new=found.new, changed=found.changed)
    return page.redirect(f"/identity/households?unit={place.code}", flash=flash)


async def _show(
    page: Page, tx: Tx, place: Unit, *, found: Found | None = None, content: str = "", status: int = 200, **shown: Any
) -> Response:
    return page.render(
        "households_import.html",
        status=status,
        place=place,
        found=found,
        faults=found.faults[:SHOWN_FAULTS] if found else [],
        content=content,
        limit=reading.MOST_ROWS,
        unit_path=await crumbs(tx, place),
        staff_nav=rail(page, "households"),
        **shown,
    )


async def _place(tx: Tx, me: Principal, code: str, roles: tuple[str, ...]) -> Unit:
    """The village or commune asked for, where `me` holds one of `roles`; raises Forbidden, NotACommune."""
    place = await place_of(tx, me, code)
    me.require(roles, place.path)
    if place.level not in ("village", "commune"):
        raise NotACommune(field="unit")
    return place


def _file(rows: list[dict[str, Any]], name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(reading.written(rows), 200, headers, "text/csv; charset=utf-8")
