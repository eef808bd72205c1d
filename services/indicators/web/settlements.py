"""Owns the page on which staff settle figures that could not be carried over to their unit."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.errors import Malformed
from chassis.paging import After, decode_cursor, encode_cursor
from chassis.text import Line
from chassis.web import Me, Page, PageRouter, Tx
from services.indicators import views
from services.indicators.calculation.model import code_of
from services.indicators.criteria import library
from services.indicators.reorganisation import settling
from services.indicators.reorganisation.settling import Settlement
from services.indicators.web.shell import TEMPLATES, chosen_set, unit_path

pages = PageRouter(templates=TEMPLATES)

ROWS = 30
"""Questions on one page."""

_NAMES = sa.text("""
    SELECT code || '@' || valid_from AS key, name FROM unit WHERE code || '@' || valid_from = ANY(CAST(:keys AS text[]))
      AND code = ANY(CAST(:codes AS text[]))
""")


class Decision(BaseModel):
    """What is done with one question, and the document or reason it rests on."""

    model_config = ConfigDict(extra="ignore")
    action: Literal["accept", "dismiss"]
    document: Line(400)  # type: ignore[valid-type]  # Line makes a type.


@pages.get("/settlements")
async def waiting(
    page: Page, tx: Tx, me: Me, unit: Annotated[str | None, Query(max_length=40)] = None, after: After = None
) -> Response:
    """What waits at the reader's unit and below it, a page at a time."""
    here = await units.get(tx, unit or (me.home.unit if me.home is not None else ""))
    cursor = decode_cursor(after, 1)
    try:
        last = uuid.UUID(str(cursor[0])) if cursor else None
    except ValueError as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error
    found = await settling.waiting(tx, me, here, limit=ROWS, after=last)
    shown = found[:ROWS]
    following = encode_cursor((str(shown[-1].id),)) if len(found) > ROWS else None
    address = "/indicators/settlements"
    return page.render(
        "settlements.html",
        title=page._("Số liệu cần giải quyết sau sắp xếp"),
        unit=here,
        rows=views.settlement_views(shown, await _names(tx, shown), library.catalogue(), page.locale, page._),
        unit_path=await unit_path(tx, here, chosen_set(None)),
        next=views.address(address, unit=here.code, after=following) if following else None,
        first=views.address(address, unit=here.code) if after else None,
    )


async def _names(tx: AsyncSession, shown: Sequence[Settlement]) -> dict[str, str]:
    keys = sorted({part["unit"] for one in shown for part in one.parts})
    rows = await tx.execute(_NAMES, {"keys": keys, "codes": [code_of(key) for key in keys]})
    return {row.key: row.name for row in rows}


async def _one(page: Page, tx: AsyncSession, me: Principal, found: Settlement, **more: Any) -> Response:
    here = await units.get(tx, code_of(found.unit))
    (view,) = views.settlement_views([found], await _names(tx, [found]), library.catalogue(), page.locale, page._)
    return page.render(
        "settlement.html",
        title=view.title,
        unit=here,
        view=view,
        is_open=found.status == "open",
        may_settle=me.may(STAFF, found.path),
        unit_path=await unit_path(tx, here, chosen_set(None)),
        back_href=views.address("/indicators/settlements", unit=here.code),
        back_label=page._("Số liệu cần giải quyết sau sắp xếp"),
        **more,
    )


@pages.get("/settlements/{settlement_id}")
async def settlement(page: Page, tx: Tx, me: Me, settlement_id: uuid.UUID) -> Response:
    """One question: what each former unit had, what is proposed, and what can be done."""
    return await _one(page, tx, me, await settling.get(tx, me, settlement_id))


@pages.post("/settlements/{settlement_id}")
async def settle(page: Page, tx: Tx, me: Me, settlement_id: uuid.UUID) -> Response:
    """Accept what is proposed, or put the question aside; what confirms it must be named."""
    found = await settling.get(tx, me, settlement_id)
    me.require(STAFF, found.path)
    form = await page.form(Decision)
    if form.value is None:
        return await _one(page, tx, me, found, errors=form.errors, typed=form.typed)
    if form.value.action == "accept":
        await settling.accept(tx, me, settlement_id, form.value.document, library.catalogue())
    else:
        await settling.dismiss(tx, me, settlement_id, form.value.document)
    back = views.address("/indicators/settlements", unit=code_of(found.unit))
    return page.redirect(back, flash="Đã ghi cách giải quyết.")
