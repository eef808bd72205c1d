"""Owns the page on which staff settle figures that could not be carried over to their unit."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.paging import After, encode_cursor
from chassis.text import Line
from chassis.units import Unit
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


Reason = Annotated[Literal["", "renew", "no_share", "not_shared", "entities", "mixed", "unknown", "not_open"], Query()]


class Decision(BaseModel):
    """What is done with one question, and the document or reason it rests on."""

    model_config = ConfigDict(extra="ignore")
    action: Literal["accept", "dismiss"]
    document: Line(400)  # type: ignore[valid-type]  # Line makes a type.


@pages.get("/settlements")
async def waiting(
    page: Page,
    tx: Tx,
    me: Me,
    unit: Annotated[str | None, Query(max_length=40)] = None,
    reason: Reason = "",
    after: After = None,
) -> Response:
    """What waits at the reader's unit and below it, a page at a time."""
    here = await settling.place(tx, unit or (me.home.unit if me.home is not None else ""))
    place = settling.place_of(after)
    found = await settling.waiting(tx, me, here, limit=ROWS, after=place, reason=reason or None)
    shown = found[:ROWS]
    last = shown[-1] if len(found) > ROWS else None
    following = encode_cursor((last.path, last.measure, str(last.id))) if last is not None else None
    address, asked = "/indicators/settlements", {"unit": here.code, "reason": reason or None}
    counts = await settling.counts(tx, me, here)
    return page.render(
        "settlements.html",
        title=page._("Số liệu cần giải quyết sau sắp xếp"),
        unit=here,
        unit_href=views.address(f"/indicators/units/{here.code}", as_of=_last_day(here)),
        rows=await _views(page, tx, shown),
        total=sum(counts.values()),
        reasons=[(code, n, page._(settling.REASONS[code])) for code, n in counts.items()],
        reason=reason,
        unit_path=await unit_path(tx, here, chosen_set(None, here), _last_day(here)),
        next=views.address(address, after=following, **asked) if following else None,
        first=views.address(address, **asked) if after else None,
    )


def _last_day(unit: Unit) -> str | None:
    """The day whose pages still show a unit that has ended; None for one that stands."""
    if unit.valid_to is None or unit.valid_to > units.today():
        return None
    return (unit.valid_to - timedelta(days=1)).isoformat()


def _list_href(unit: Unit) -> str:
    """The list a question stands in. The code of a unit that has ended may name another one today."""
    return views.address("/indicators/settlements", unit=unit.code if _last_day(unit) is None else unit.parent)


def _entry_href(unit: Unit, found: Settlement) -> str:
    return views.address(f"/indicators/units/{unit.code}/entry", measure=found.measure)


async def _names(tx: AsyncSession, shown: Sequence[Settlement]) -> dict[str, str]:
    keys = sorted({part["unit"] for one in shown for part in one.parts})
    rows = await tx.execute(_NAMES, {"keys": keys, "codes": [code_of(key) for key in keys]})
    return {row.key: row.name for row in rows}


async def _views(page: Page, tx: AsyncSession, shown: Sequence[Settlement]) -> list[views.SettlementView]:
    heirs = await settling.heirs(tx, {part["unit"] for one in shown for part in one.parts})
    return views.settlement_views(shown, await _names(tx, shown), heirs, library.catalogue(), page.locale, page._)


async def _one(page: Page, tx: AsyncSession, me: Principal, found: Settlement, **more: Any) -> Response:
    here = await settling.unit_of(tx, found)
    onward = (await settling.onward(tx, {found.unit})).get(found.unit, []) if found.ended_on is not None else []
    (view,) = await _views(page, tx, [found])
    heirs = await settling.heirs(tx, {part["unit"] for part in found.parts})
    have = await settling.figures_of(tx, {one.key for of in heirs.values() for one in of}, found.measure)
    return page.render(
        "settlement.html",
        title=view.title,
        unit=here,
        view=view,
        shared=views.shared_among(
            found, await _names(tx, [found]), heirs, have, library.catalogue(), page.locale, page._
        ),
        is_open=found.status == "open",
        may_settle=me.may(STAFF, found.path),
        ended_on=found.ended_on,
        onward=[(one.name, _entry_href(one, found)) for one in onward],
        unit_path=await unit_path(tx, here, chosen_set(None, here), _last_day(here)),
        back_href=_list_href(here),
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
    back = _list_href(await settling.unit_of(tx, found))
    return page.redirect(back, flash="Đã ghi cách giải quyết.")
