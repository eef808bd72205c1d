"""Owns the JSON entry points of plots, diaries and lots, and the EPCIS 2.0 query of their events.

Of EPCIS this is the reading of events alone: capture, named queries and subscriptions are not offered.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Request
from starlette.responses import Response

from chassis import units
from chassis.auth import VIEWERS
from chassis.db import now
from chassis.errors import DomainError, Kind, Malformed
from chassis.paging import After, Limit, page_of
from chassis.web import ApiRouter, MaybeMe, Me, Tx
from services.ecommerce.cursors import catalogue_position, id_key, id_position
from services.ecommerce.schemas import Instant
from services.ecommerce.tracing import commands, diaries, epcis, queries, schemas
from services.ecommerce.tracing.model import Lot, LotStep

api = ApiRouter(prefix="/api/v1", reads="ecommerce.read")
events = ApiRouter(prefix="/epcis/v2", reads="ecommerce.read")

PER_PAGE = 30
"""Events of a page where the caller does not say, as the standard has it."""


class QueryParameterException(DomainError):
    code = "query_parameter"
    kind = Kind.MALFORMED
    message = "Tham số truy vấn {name} không được hỗ trợ hoặc không đọc được."


def _public_url(request: Request) -> str:
    return str(request.app.state.runtime.settings.public_url)


async def _whole(request: Request, tx: Tx, lot: Lot) -> schemas.LotOut:
    return schemas.LotOut.whole(lot, await queries.standing(tx, lot), _public_url(request))


@api.get("/plots")
async def list_plots(tx: Tx, me: Me, producer: uuid.UUID, limit: Limit = 50, after: After = None) -> schemas.PlotList:
    """The plots of a producer, for itself and those who watch over its unit."""
    await queries.producer(tx, me, producer)
    page = page_of(await queries.plots(tx, producer, limit, id_position(after)), limit, id_key)
    return schemas.PlotList(items=[schemas.PlotOut.of(plot) for plot in page.items], next=page.next)


@api.post("/plots", status_code=201)
async def add_plot(tx: Tx, me: Me, body: schemas.NewPlotBody) -> schemas.PlotOut:
    """A plot in a village of the producer's commune."""
    return schemas.PlotOut.of(await diaries.add_plot(tx, me, body.producer_id, body.wanted()))


@api.get("/plots/{plot_id}/diary")
async def read_diary(tx: Tx, me: Me, plot_id: uuid.UUID, limit: Limit = 50, after: After = None) -> schemas.EntryList:
    """The diary of a plot with what was struck through, the line written last first."""
    await queries.plot(tx, me, plot_id)
    page = page_of(await queries.diary(tx, plot_id, limit, id_position(after)), limit, id_key)
    return schemas.EntryList(items=[schemas.EntryOut.of(entry) for entry in page.items], next=page.next)


@api.post("/plots/{plot_id}/diary", status_code=201)
async def write_entry(tx: Tx, me: Me, plot_id: uuid.UUID, body: schemas.NewEntry) -> schemas.EntryOut:
    """Write a work into the diary; a harvest within the quiet days of a pesticide is refused."""
    return schemas.EntryOut.of(await diaries.write_entry(tx, me, plot_id, body.fields()))


@api.post("/diary/{entry_id}/correct")
async def correct_entry(tx: Tx, me: Me, entry_id: uuid.UUID, body: schemas.Correction) -> schemas.EntryOut:
    """Strike a line through, which stays readable, and write another one in its place where `entry` is given."""
    fields = body.entry.fields() if body.entry else None
    return schemas.EntryOut.of(await diaries.correct_entry(tx, me, entry_id, body.reason, fields))


@api.get("/lots")
async def list_lots(
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str | None, Query(max_length=40)] = None,
    producer: uuid.UUID | None = None,
    product: uuid.UUID | None = None,
    limit: Limit = 50,
    after: After = None,
) -> schemas.LotList:
    """Published lots, newest first; all lots of a unit for those who watch over it, of a producer for itself."""
    path = (await units.get(tx, unit)).path if unit else ""
    everything = me is not None and bool(path) and me.may(VIEWERS, path)
    if producer is not None and not everything:
        everything = await queries.sees_all_of(tx, me, producer)
    rows = await queries.lots(
        tx,
        path=path,
        producer_id=producer,
        product_id=product,
        everything=everything,
        limit=limit,
        after=id_position(after),
    )
    page = page_of(rows, limit, id_key)
    return schemas.LotList(items=[schemas.LotSummary.of(lot) for lot in page.items], next=page.next)


@api.post("/lots", status_code=201)
async def harvest(request: Request, tx: Tx, me: Me, body: schemas.NewLotBody, response: Response) -> schemas.LotOut:
    """Make a lot of what was harvested; refused within the quiet days of a pesticide."""
    lot = await commands.harvest(tx, me, body.wanted(), _public_url(request))
    response.headers["location"] = f"/ecommerce/api/v1/lots/{lot.code}"
    return await _whole(request, tx, lot)


@api.get("/lots/{code}")
async def get_lot(request: Request, tx: Tx, me: MaybeMe, code: str) -> schemas.LotOut:
    """A lot with its steps; one that is not published is not found by strangers."""
    return await _whole(request, tx, await queries.lot(tx, me, code))


@api.post("/lots/{code}/steps")
async def take_step(request: Request, tx: Tx, me: Me, code: str, body: schemas.NewStepBody) -> schemas.LotOut:
    """Write down that the lot was packed, shipped or sold out."""
    return await _whole(request, tx, await commands.take_step(tx, me, code, body.wanted(), _public_url(request)))


@api.post("/lots/{code}/publish")
async def publish(request: Request, tx: Tx, me: Me, code: str) -> schemas.LotOut:
    """Open the page of the lot to everybody, for good."""
    return await _whole(request, tx, await commands.publish(tx, me, code))


@api.post("/lots/{code}/recall")
async def recall(request: Request, tx: Tx, me: Me, code: str, body: schemas.Because) -> schemas.LotOut:
    """Warn everybody who scans the label."""
    return await _whole(request, tx, await commands.recall(tx, me, code, body.reason, _public_url(request)))


@api.post("/lots/{code}/lift-recall")
async def lift_recall(request: Request, tx: Tx, me: Me, code: str, body: schemas.Because) -> schemas.LotOut:
    """Staff say that the lot is sound after all; recall and lifting stay on its page."""
    return await _whole(request, tx, await commands.lift_recall(tx, me, code, body.reason, _public_url(request)))


_KNOWN = {
    "MATCH_epcClass",
    "MATCH_anyEPCClass",
    "EQ_bizStep",
    "EQ_eventID",
    "GE_eventTime",
    "LT_eventTime",
    "orderDirection",
    "perPage",
    "nextPageToken",
}


@events.get("/events")
async def query_events(
    request: Request,
    response: Response,
    tx: Tx,
    matched: Annotated[str, Query(alias="MATCH_epcClass", max_length=2000, description="Pipe-delimited.")] = "",
    matched_any: Annotated[str, Query(alias="MATCH_anyEPCClass", max_length=2000, description="The same here.")] = "",
    biz_steps: Annotated[str, Query(alias="EQ_bizStep", max_length=400, description="Pipe-delimited.")] = "",
    event_ids: Annotated[str, Query(alias="EQ_eventID", max_length=2000, description="Pipe-delimited.")] = "",
    begin: Annotated[Instant | None, Query(alias="GE_eventTime")] = None,
    end: Annotated[Instant | None, Query(alias="LT_eventTime")] = None,
    direction: Annotated[str, Query(alias="orderDirection", pattern="^(ASC|DESC)$")] = "DESC",
    per_page: Annotated[int, Query(alias="perPage", ge=1, le=200)] = PER_PAGE,
    token: Annotated[str | None, Query(alias="nextPageToken", max_length=400)] = None,
) -> dict[str, Any]:
    """Events of published lots as an EPCISQueryDocument, ordered by event time; `Link` names the next page."""
    for name in request.query_params:
        # An answer to another question than the one asked would be worse than none.
        if name not in _KNOWN:
            raise QueryParameterException(field=name[:40], name=name[:40])
    wanted = queries.EventFilter(
        epc_classes=_either(matched, matched_any),
        biz_steps=tuple(step.removeprefix(f"{epcis.CBV}BizStep-") for step in _listed(biz_steps)),
        event_ids=_listed(event_ids),
        begin=begin,
        end=end,
        newest_first=direction == "DESC",
    )
    page = page_of(await queries.events(tx, wanted, per_page, _position(token)), per_page, _key)
    response.headers.update(epcis.HEADERS)
    if page.next:
        asked = {**request.query_params, "nextPageToken": page.next}
        response.headers["link"] = f'<{_public_url(request)}/ecommerce/epcis/v2/events?{urlencode(asked)}>; rel="next"'
    return epcis.document((step.event for step in page.items), now())


def _listed(typed: str) -> tuple[str, ...]:
    return tuple(part for part in typed.split("|") if part)


def _either(one: str, other: str) -> tuple[str, ...]:
    """Both parameters ask the same of events of one quantity; where both are there, both must hold."""
    listed = [set(_listed(typed)) for typed in (one, other) if typed]
    both = set.intersection(*listed) if listed else set()
    return tuple(sorted(both)) if both or not listed else ("",)


def _key(step: LotStep) -> tuple[str, str]:
    return step.at.isoformat(), str(step.id)


def _position(token: str | None) -> tuple[datetime, uuid.UUID] | None:
    try:
        return catalogue_position(token)
    except Malformed:
        raise QueryParameterException(field="nextPageToken", name="nextPageToken") from None
