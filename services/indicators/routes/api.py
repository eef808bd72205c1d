"""Owns the JSON API and the stream of changes. Sheets are public: they hold figures of units, nothing of persons."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Literal

import orjson
from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from chassis import server_events, units
from chassis.auth import covers
from chassis.db import new_id, now
from chassis.errors import Malformed
from chassis.paging import After, Limit, decode_cursor, page_of
from chassis.units import LEVELS
from chassis.web import ApiRouter, MaybeMe, Me, Sessions, Tx
from services.indicators import commands
from services.indicators.answers import asking, queries
from services.indicators.answers.live import Live
from services.indicators.calculation.engine import Ratio, Value
from services.indicators.calculation.model import Change
from services.indicators.criteria import library
from services.indicators.routes.speaking import Lang, spoken
from services.indicators.shapes import entries, reasons, schemas
from services.indicators.shapes.words import cause_words
from services.indicators.sources import evidence
from services.indicators.sources.intake import Observed, unit_then

api = ApiRouter(prefix="/api/v1", tags=["indicators"])

AsOf = Annotated[str | None, Query(max_length=40, description="A date, or an instant with its offset; default: now.")]
KnownAt = Annotated[
    str | None, Query(max_length=40, description="Leave out what was recorded after this date or instant.")
]
Code = Annotated[str | None, Query(max_length=40)]


@api.get("/units", response_model=schemas.UnitsOut)
async def list_units(
    tx: Tx,
    level: Literal["province", "district", "commune", "village"] | None = None,
    parent: Code = None,
    q: Annotated[str | None, Query(max_length=100)] = None,
    as_of: AsOf = None,
    limit: Limit = 50,
    after: After = None,
) -> schemas.UnitsOut:
    """Administrative units by code, as they were on a day."""
    cursor = decode_cursor(after, 1)
    found = await units.search(
        tx,
        level=level,
        parent=parent,
        q=q,
        as_of=asking.as_of_day(as_of),
        limit=limit,
        after=str(cursor[0]) if cursor else None,
    )
    page = page_of(found, limit, key=lambda unit: (unit.code,))
    return schemas.UnitsOut(items=[schemas.unit_out(unit) for unit in page.items], next=page.next)


@api.get("/sets", response_model=schemas.SetsOut)
async def list_sets() -> schemas.SetsOut:
    """The criteria sets that are computed."""
    return schemas.SetsOut(items=[schemas.set_summary(s) for s in library.catalogue().sets.values()])


@api.get("/sets/{set_code}", response_model=schemas.SetOut)
async def get_set(set_code: str) -> schemas.SetOut:
    """The definition of a set: its rows, their rules and targets, and the measures each row uses."""
    catalogue = library.catalogue()
    return schemas.set_out(queries.criteria_set(catalogue, set_code), catalogue)


@api.get("/units/{code}/overview", response_model=schemas.OverviewOut)
async def get_overview(
    tx: Tx,
    code: str,
    level: Annotated[
        Literal["district", "commune", "village"] | None,
        Query(description="Default: the first level below with units."),
    ] = None,
) -> Response:
    """How the units below one stand with every set that holds today, in one answer; `unit` itself stands first."""
    here = await units.get(tx, code)
    below = list(LEVELS[LEVELS.index(here.level) + 1 :]) if level is None else [level]
    found = await queries.standings(tx, here, [here.level, *below[:2]])
    if level is None:
        # A province of today has no districts: its communes lie directly below it.
        shown = next((one for one in below if any(s.unit.level == one for s in found)), here.level)
        found = [one for one in found if one.unit.level in (here.level, shown)]
    # A thousand units by twenty sets: written by hand, since building them as models takes longer than asking for them.
    return Response(
        orjson.dumps(schemas.overview_json(here, found, library.catalogue())), media_type="application/json"
    )


@api.get(
    "/units/{code}/sets/{set_code}",
    response_model=schemas.SheetOut,
    responses={200: {"model": schemas.SourcedSheetOut | schemas.SheetOut}},
)
async def get_sheet(
    request: Request,
    response: Response,
    tx: Tx,
    code: str,
    set_code: str,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    lang: Lang = None,
    sources: Annotated[bool, Query(description="Also who says each value, and by which document.")] = False,
) -> schemas.SheetOut | Response:
    """How a unit stands with a set, now or on another day: unit, set, overlays, suspensions and facts of that day.

    The header `xaso-answered-from` says whether a sheet of the past was judged anew from `facts` or, for units with
    many below them, is what the `log` of changes says had been computed by then.
    """
    locale = spoken(request, response, lang)
    if not as_of and not known_at:
        sheet = await queries.sheet(tx, code, queries.criteria_set(library.catalogue(), set_code))
        if not sources:
            return schemas.sheet_out(sheet, locale)
        return _sourced(schemas.sourced_out(sheet, locale, await asking.sources(tx, sheet)), response)
    past = await asking.past(tx, code, set_code, as_of, known_at)
    response.headers["xaso-answered-from"] = past.basis
    if not sources:
        return schemas.sheet_out(past.sheet, locale)
    named = await asking.sources(tx, past.sheet, as_of, known_at)
    return _sourced(schemas.sourced_out(past.sheet, locale, named), response)


def _sourced(sheet: schemas.SourcedSheetOut, told: Response) -> Response:
    """Written by itself: the sheet without sources, which is asked for all the time, is then checked as one model."""
    return Response(sheet.model_dump_json(), media_type="application/json", headers=dict(told.headers))


@api.get("/units/{code}/sets/{set_code}/items/{item_code}/explanation", response_model=reasons.ExplanationOut)
async def get_explanation(
    request: Request,
    response: Response,
    tx: Tx,
    me: MaybeMe,
    code: str,
    set_code: str,
    item_code: str,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    limit: Limit = 100,
    after: After = None,
    lang: Lang = None,
) -> reasons.ExplanationOut:
    """What the figure of an item rests on: the rule, figures, sources, and the events or documents behind them.

    Now or on another day, as for a sheet; of another day without what had been withdrawn by then.

    Everybody sees figures, kinds of sources, times and numbers of documents; ids of things, single households and
    notes are for those who look after the unit.
    """
    of = await asking.found(tx, code, set_code, as_of, known_at)
    if of.basis:
        response.headers["xaso-answered-from"] = of.basis
    item = asking.row_of(of.sheet, item_code)
    ids = asking.sees_ids(me, of.sheet.unit)
    found = await asking.explain(tx, of, item, limit, after, ids=ids)
    return reasons.explanation_out(found, of.catalogue, spoken(request, response, lang), asking.cursor_after(found))


def _event(change: Change, words: str | None) -> bytes:
    data = change.json()
    if words is not None:
        data |= {"because": cause_words(change.cause, words), "cause": change.cause}
    return server_events.event(data, id=change.position)


@api.get("/changes", response_class=StreamingResponse, responses=server_events.DOCUMENTED)
async def changes(
    request: Request,
    sessions: Sessions,
    unit: Annotated[Code, Query(description="This unit and everything below it.")] = None,
    set: Annotated[str | None, Query(max_length=60)] = None,
    after: Annotated[int | None, Query(ge=0, lt=10**18, description="Start behind this; Last-Event-ID wins.")] = None,
    words: Annotated[Literal["vi", "en"] | None, Query(description="Say `because` in words, for people.")] = None,
    last_event_id: server_events.LastEventId = None,
) -> StreamingResponse:
    """Changes of items as server-sent events, without gaps behind Last-Event-ID; silence is broken by comments."""
    if set is not None:
        queries.criteria_set(library.catalogue(), set)
    path = None
    if unit is not None:
        async with sessions.read() as tx:
            path = (await units.get(tx, unit)).path
    start = server_events.seen(last_event_id)
    if start is None:
        start = after
    live: Live = request.app.state.runtime.service.live

    async def stream() -> AsyncIterator[bytes]:
        follow = live.follow(sessions.read, start, path=path, set_code=set)
        # The first line goes out once the position is taken: a reader that has it misses nothing from then on.
        await anext(follow)
        yield server_events.RETRY
        async for change in follow:
            yield server_events.SILENCE if change is None else _event(change, words)

    return server_events.response(stream(), "indicators")


@api.post("/observations", status_code=201, response_model=entries.ObservationOut)
async def enter_observation(tx: Tx, me: Me, body: entries.ObservationIn, response: Response) -> entries.ObservationOut:
    """One figure entered by an officer of the unit, with what proves it. 200 where it was there before."""
    at = body.observed_at or now()
    unit = await unit_then(tx, me, body.unit, at)
    observed = Observed(
        id=body.id or str(new_id()),
        unit=unit.code,
        observed_at=at,
        value=value_of(body.value),
        measure=body.measure,
        period=body.period,
        source=body.evidence.document,
        evidence=body.evidence.text,
        attachment=await _attachment(tx, me, unit, body.evidence.file),
        withdrawn=body.withdrawn,
    )
    outcome = await commands.enter(tx, me, unit, observed, library.catalogue())
    if outcome == "duplicate":
        response.status_code = 200
    return entries.ObservationOut(id=observed.id, outcome="accepted" if outcome == "accepted" else "duplicate")


async def _attachment(tx: Tx, me: Me, unit: units.Unit, file: uuid.UUID | None) -> uuid.UUID | None:
    """The document named, which must have been handed in for the unit or one above or below it."""
    if file is None:
        return None
    kept = await evidence.get(tx, me, file)
    if not (covers(kept.path, unit.path) or covers(unit.path, kept.path)):
        raise evidence.UnknownDocument(field="evidence.file")
    return kept.id


def value_of(value: schemas.FigureOut | schemas.StateValue | None) -> Value | None:
    if isinstance(value, schemas.RatioValue):
        return Ratio(value.numerator, value.denominator)
    if isinstance(value, schemas.FlagValue):
        return value.flag
    if isinstance(value, schemas.StateValue):
        return value.state
    return value.count if value is not None else None


@api.post("/suspensions", status_code=201, response_model=entries.SuspensionOut)
async def create_suspension(tx: Tx, me: Me, body: entries.SuspensionIn) -> entries.SuspensionOut:
    """Suspend an item for a unit and everything below it, with a reason and a document; administrators only."""
    order = commands.Suspend(
        unit=body.unit,
        set_code=body.set,
        item_code=body.item,
        starts_on=body.starts_on or units.today(),
        ends_on=body.ends_on,
        reason=body.reason,
        document=body.document,
    )
    created = await commands.suspend(tx, me, order, library.catalogue())
    return entries.suspension_out(await queries.suspension(tx, created))


@api.post("/suspensions/{suspension_id}/lift", response_model=entries.SuspensionOut)
async def lift_suspension(tx: Tx, me: Me, suspension_id: uuid.UUID) -> entries.SuspensionOut:
    """End a suspension now."""
    await commands.lift(tx, me, suspension_id, library.catalogue())
    return entries.suspension_out(await queries.suspension(tx, suspension_id))


@api.get("/suspensions", response_model=entries.SuspensionsOut)
async def list_suspensions(
    tx: Tx,
    unit: Code = None,
    set: Annotated[str | None, Query(max_length=60)] = None,
    limit: Limit = 50,
    after: After = None,
) -> entries.SuspensionsOut:
    """Suspensions, newest first: for `unit`, everything below it and above it."""
    path = (await units.get(tx, unit)).path if unit else None
    cursor = decode_cursor(after, 1)
    try:
        before = uuid.UUID(str(cursor[0])) if cursor else None
    except ValueError as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error
    rows = await queries.suspensions(tx, path=path, set_code=set, limit=limit, before=before)
    page = page_of(rows, limit, key=lambda row: (str(row.id),))
    return entries.SuspensionsOut(items=[entries.suspension_out(row) for row in page.items], next=page.next)
