"""Owns the JSON questions that go beyond a sheet: what it would be if, what would do, how a row came about."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body

from chassis import units
from chassis.errors import Malformed
from chassis.paging import After, Limit, decode_cursor, encode_cursor
from chassis.web import ApiRouter, MaybeMe, Tx
from services.indicators.answers import asking, history, queries, whatif
from services.indicators.calculation.model import UnknownItem
from services.indicators.criteria import library
from services.indicators.routes.api import AsOf, Lang
from services.indicators.shapes import reasons, supposing, telling

inquiries = ApiRouter(prefix="/api/v1", tags=["indicators"])


@inquiries.post("/units/{code}/sets/{set_code}/what-if", response_model=supposing.SupposedOut)
async def what_if(
    tx: Tx, me: MaybeMe, code: str, set_code: str, body: Annotated[supposing.SupposeIn, Body()], lang: Lang = "vi"
) -> supposing.SupposedOut:
    """The sheet as it would be with other figures or targets, and the least that would turn each row; not stored."""
    catalogue = library.catalogue()
    found = await whatif.suppose(
        tx,
        code,
        queries.criteria_set(catalogue, set_code),
        catalogue,
        [supposing.change_of(change) for change in body.changes],
        [supposing.aim_of(target) for target in body.targets],
    )
    return supposing.supposed_out(found, catalogue, lang, ids=asking.sees_ids(me, found.unit))


@inquiries.get("/units/{code}/sets/{set_code}/items/{item_code}/reasons", response_model=reasons.ReasonsOut)
async def get_reasons(
    tx: Tx, me: MaybeMe, code: str, set_code: str, item_code: str, lang: Lang = "vi"
) -> reasons.ReasonsOut:
    """Why an item stands as it does, as one tree from the row down to facts; without ids for everybody else."""
    sheet = await queries.sheet(tx, code, queries.criteria_set(library.catalogue(), set_code))
    ids = asking.sees_ids(me, sheet.unit)
    found = await asking.explain(tx, sheet, asking.row_of(sheet, item_code), 1, None, ids=ids)
    return reasons.ReasonsOut(
        unit=sheet.unit.code, set=set_code, item=item_code, reduced=not ids, tree=reasons.node_out(found.tree, lang)
    )


@inquiries.get("/units/{code}/sets/{set_code}/items/{item_code}/history", response_model=telling.HistoryOut)
async def get_history(
    tx: Tx, code: str, set_code: str, item_code: str, as_of: AsOf = None, limit: Limit = 50, after: After = None
) -> telling.HistoryOut:
    """Every change of a row, newest first, and its course of a year. `as_of` picks the unit the code named then."""
    catalogue = library.catalogue()
    criteria = queries.criteria_set(catalogue, set_code)
    if all(item.code != item_code for item in catalogue.rows_of(set_code)):
        raise UnknownItem(set=criteria.code, item=item_code[:60])
    unit = await units.get(tx, code, asking.as_of_day(as_of))
    cursor = decode_cursor(after, 1)
    if cursor and not (isinstance(cursor[0], int) and 0 <= cursor[0] < 2**63):
        raise Malformed(field="after", message_="Vị trí trang không đọc được.")
    pair = (criteria.code, item_code)
    found = await history.turns(tx, unit, pair, limit=limit, before_id=cursor[0] if cursor else None)
    following = encode_cursor((found[limit - 1].id,)) if len(found) > limit else None
    today = asking.as_of_day(as_of) or units.today()
    all_of = await history.course(tx, unit, pair, catalogue, today=today)
    return telling.history_out(unit.code, criteria.code, item_code, found[:limit], following, all_of)
