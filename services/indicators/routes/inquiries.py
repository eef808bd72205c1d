"""Owns the JSON questions that go beyond a sheet: what it would be if, what would do, how a row came about."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Query, Request, Response

from chassis.paging import After, Limit
from chassis.web import ApiRouter, MaybeMe, Tx
from services.indicators.answers import asking, queries, whatif
from services.indicators.criteria import library
from services.indicators.routes.api import AsOf, KnownAt
from services.indicators.routes.speaking import Lang, spoken
from services.indicators.shapes import reasons, supposing, telling

inquiries = ApiRouter(prefix="/api/v1", tags=["indicators"])


@inquiries.post("/units/{code}/sets/{set_code}/what-if", response_model=supposing.SupposedOut)
async def what_if(
    request: Request,
    response: Response,
    tx: Tx,
    me: MaybeMe,
    code: str,
    set_code: str,
    body: Annotated[supposing.SupposeIn, Body()],
    lang: Lang = None,
) -> supposing.SupposedOut:
    """The sheet as it would be with other figures or targets, and the least that would turn each row; not stored."""
    catalogue = library.catalogue()
    criteria = queries.criteria_set(catalogue, set_code)
    changes = [supposing.change_of(change) for change in body.changes]
    await asking.allow(tx, me, code, changes)
    aims = [supposing.aim_of(target) for target in body.targets]
    found = await whatif.suppose(tx, code, criteria, catalogue, changes, aims)
    locale = spoken(request, response, lang)
    return supposing.supposed_out(found, catalogue, locale, ids=asking.sees_ids(me, found.unit))


@inquiries.get("/units/{code}/sets/{set_code}/items/{item_code}/reasons", response_model=reasons.ReasonsOut)
async def get_reasons(
    request: Request,
    response: Response,
    tx: Tx,
    me: MaybeMe,
    code: str,
    set_code: str,
    item_code: str,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    lang: Lang = None,
) -> reasons.ReasonsOut:
    """Why an item stands as it does, or stood, as a tree from the row down to facts; without ids for everybody else."""
    of = await asking.found(tx, code, set_code, as_of, known_at)
    if of.basis:
        response.headers["xaso-answered-from"] = of.basis
    ids = asking.sees_ids(me, of.sheet.unit)
    found = await asking.explain(tx, of, asking.row_of(of.sheet, item_code), 1, None, ids=ids)
    tree = reasons.node_out(found.tree, spoken(request, response, lang))
    return reasons.ReasonsOut(unit=of.sheet.unit.code, set=set_code, item=item_code, reduced=not ids, tree=tree)


Day = Annotated[str | None, Query(max_length=10, description="A day in Việt Nam, as 2026-01-31.")]


@inquiries.get("/units/{code}/sets/{set_code}/items/{item_code}/history", response_model=telling.HistoryOut)
async def get_history(
    tx: Tx,
    code: str,
    set_code: str,
    item_code: str,
    as_of: AsOf = None,
    first: Annotated[Day, Query(alias="from")] = None,
    last: Annotated[Day, Query(alias="to")] = None,
    limit: Limit = 50,
    after: After = None,
) -> telling.HistoryOut:
    """Every change of a row, newest first, and its course of a year, or of the days from `from` to `to`.

    `as_of` picks the unit the code named then.
    """
    asked = asking.RowAsked(code, set_code, item_code, as_of or "", first or "", last or "")
    return telling.history_out(await asking.row_history(tx, asked, limit, after))
