"""Owns the JSON of file imports: send a file, see what it would do, apply it or not, follow it, undo it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import File, Form, Request, Response, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from chassis import server_events, units
from chassis.auth import STAFF
from chassis.errors import Malformed
from chassis.i18n import translator
from chassis.paging import After, Limit, decode_cursor, encode_cursor, page_of
from chassis.web import ApiRouter, Me, MiB, Sessions, Tx
from services.indicators.answers import queries
from services.indicators.criteria import library
from services.indicators.interchange import importing, offering, previewing, reading, underway, undoing
from services.indicators.interchange.importing import Import
from services.indicators.interchange.underway import Progress
from services.indicators.routes.exchange import UnitCode
from services.indicators.routes.speaking import Lang, spoken
from services.indicators.settings import Settings
from services.indicators.views.imports import RUNNING, fault_view, refusal_words

imports = ApiRouter(prefix="/api/v1", tags=["indicators"])

Level = Literal["province", "district", "commune", "village"]
State = Literal["reading", "unreadable", "discarded", "previewed", "queued", "applied", "refused", "undoing", "undone"]
TOLD_SECONDS = 1.0
"""Time between two looks at how far an import is."""


class ProgressOut(BaseModel):
    """How many values are done of what is being read, applied or undone."""

    done: int
    total: int = Field(description="0 while a file is being opened: how many it holds is not known yet.")
    stopping: bool = Field(description="Somebody put it aside; it ends within seconds.")


class RefusalOut(BaseModel):
    """Why a file cannot be read at all."""

    reason: str = Field(description="A stable code.")
    detail: str = Field(description="The same in words.")


class ImportOut(BaseModel):
    """A file as it was handed in and what became of it; counts are of values."""

    id: uuid.UUID
    unit: str
    set: str
    level: Level
    name: str
    state: State = Field(description="reading, queued and undoing end by themselves: see `progress`.")
    mode: Literal["all", "valid"] | None
    rows: int
    valid: int = Field(description="Values that are right.")
    faults: int = Field(description="Places to mend.")
    accepted: int = Field(description="Values that were set.")
    restored: int = Field(description="Values that an undo set back.")
    kept: int = Field(description="Values that an undo left, since something newer had replaced them.")
    progress: ProgressOut | None = Field(description="Of a reading, import or undo under way.")
    refusal: RefusalOut | None = Field(description="Of an unreadable file.")
    same_as: uuid.UUID | None = Field(description="An earlier import of the very same file.")
    document: str = Field(description="Where the file can be had.")
    digest: str = Field(description="SHA-256 of the file.")
    cleared: bool = Field(description="It came to nothing, and what the file held is kept no longer.")
    created_by: str
    created_at: datetime
    applied_by: str | None
    applied_at: datetime | None
    undone_by: str | None
    undone_at: datetime | None


class ImportsOut(BaseModel):
    items: list[ImportOut]
    next: str | None = Field(description="Give it as `after` to get the next page; null on the last.")


class FaultOut(BaseModel):
    """One thing wrong with a file."""

    cell: str
    measure: str | None = Field(description="Null: it is about the row or the column.")
    reason: str = Field(description="A stable code.")
    detail: str = Field(description="The same in words.")
    allowed: str = Field(description="What may stand there, in words.")


class FaultsOut(BaseModel):
    sheet: str
    items: list[FaultOut]
    next: str | None = Field(description="As above; the first 1,000 faults are kept.")


class ValueOut(BaseModel):
    """A value that is right: what it would set, or has set."""

    cell: str
    unit: str
    measure: str
    value: dict[str, Any] = Field(description="As in observations: numerator and denominator, flag, count or state.")
    period: str
    document: str
    day: str


class ValuesOut(BaseModel):
    items: list[ValueOut]
    next: str | None = Field(description="As above.")


class KeptOut(BaseModel):
    """A value that an undo left as it was."""

    cell: str
    unit: str
    measure: str
    period: str
    because: str = Field(description="The word that holds now, as type:id.")
    observed_at: datetime


class KeptsOut(BaseModel):
    items: list[KeptOut]
    next: str | None = Field(description="As above.")


class ApplyIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    mode: Literal["all", "valid"] = Field(
        default="all", description="All values or, where one place is wrong, none; or only those that are right."
    )


async def _out(tx: Tx, one: Import, locale: str) -> ImportOut:
    progress, refusal = None, None
    if one.state in RUNNING:
        told = await underway.progress(tx, one.id)
        progress = ProgressOut(done=told.done, total=told.total, stopping=told.stop)
    if one.refusal is not None:
        refusal = RefusalOut(reason=one.refusal["reason"], detail=refusal_words(one, translator(locale)))
    twin = await importing.same_file(tx, one) if one.state == "previewed" else None
    return ImportOut(
        id=one.id,
        unit=one.unit,
        set=one.set_code,
        level=one.level,  # type: ignore[arg-type]  # pydantic checks that it is one of the four.
        name=one.name,
        state=one.state,  # type: ignore[arg-type]  # pydantic checks that it is one of them.
        mode=one.mode,  # type: ignore[arg-type]  # as above.
        rows=one.rows,
        valid=one.valid,
        faults=one.faults,
        accepted=one.accepted,
        restored=one.restored,
        kept=one.kept,
        progress=progress,
        refusal=refusal,
        same_as=twin.id if twin is not None else None,
        document=f"/indicators/documents/{one.document}",
        digest=one.digest.hex(),
        cleared=one.cleared,
        created_by=one.created_by,
        created_at=one.created_at,
        applied_by=one.applied_by,
        applied_at=one.applied_at,
        undone_by=one.undone_by,
        undone_at=one.undone_at,
    )


_TAKEN: dict[int | str, dict[str, Any]] = {
    202: {"model": ImportOut, "description": "The file is large and read in the background: see `progress`."}
}


@imports.post("/imports", status_code=201, response_model=ImportOut, responses=_TAKEN, max_body=26 * MiB)
async def create_import(
    request: Request,
    response: Response,
    tx: Tx,
    me: Me,
    unit: Annotated[str, Form(max_length=40)],
    set: Annotated[str, Form(max_length=60)],
    file: Annotated[UploadFile, File()],
    level: Annotated[Level | None, Form()] = None,
) -> ImportOut:
    """Take a file (XLSX or CSV after the template, 25 MB) for a unit and what lies below it; nothing counts yet.

    What it would do is told at once, of a large one (256 KiB, 1,000 values) where `Location` says, once it was read.
    """
    catalogue = library.catalogue()
    asked = await offering.asked(tx, me, unit, queries.criteria_set(catalogue, set), level, catalogue)
    data = await file.read(reading.MAX_BYTES + 1)
    sent = previewing.Upload(asked.unit, asked.criteria, asked.level, file.filename or "", data)
    made, state = await previewing.hand_in(tx, me, sent, catalogue)
    response.headers["location"] = f"/indicators/api/v1/imports/{made}"
    if state == "reading":
        response.status_code = 202
    return await _out(tx, await importing.get(tx, me, made), spoken(request, response))


@imports.get("/imports", response_model=ImportsOut)
async def list_imports(
    request: Request,
    response: Response,
    tx: Tx,
    me: Me,
    unit: UnitCode,
    limit: Limit = 50,
    after: After = None,
    lang: Lang = None,
) -> ImportsOut:
    """Imports for a unit and everything below it, newest first; for its staff."""
    here = await units.get(tx, unit)
    me.require(STAFF, here.path)
    cursor = decode_cursor(after, 1)
    try:
        before = uuid.UUID(str(cursor[0])) if cursor else None
    except ValueError as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error
    found = await importing.listed(tx, here, limit=limit, before=before)
    page = page_of(found, limit, key=lambda one: (str(one.id),))
    locale = spoken(request, response, lang)
    return ImportsOut(items=[await _out(tx, one, locale) for one in page.items], next=page.next)


@imports.get("/imports/{import_id}", response_model=ImportOut)
async def get_import(
    request: Request, response: Response, tx: Tx, me: Me, import_id: uuid.UUID, lang: Lang = None
) -> ImportOut:
    """How an import stands, and how far one under way is."""
    return await _out(tx, await importing.get(tx, me, import_id), spoken(request, response, lang))


def _number(after: str | None) -> int:
    """The place in a file behind which a page begins."""
    cursor = decode_cursor(after, 1)
    if cursor and not (isinstance(cursor[0], int) and 0 <= cursor[0] < 10**9):
        raise Malformed(field="after", message_="Vị trí trang không đọc được.")
    return cursor[0] if cursor else 0


@imports.get("/imports/{import_id}/faults", response_model=FaultsOut)
async def list_faults(
    request: Request,
    response: Response,
    tx: Tx,
    me: Me,
    import_id: uuid.UUID,
    limit: Limit = 100,
    after: After = None,
    lang: Lang = None,
) -> FaultsOut:
    """What is wrong with the file, in its order: the cell, the reason, what is allowed there."""
    one = await importing.get(tx, me, import_id)
    page = page_of(
        await importing.faults(tx, one.id, limit=limit, after=_number(after)), limit, key=lambda row: (row.number,)
    )
    locale = spoken(request, response, lang)
    items = []
    for row in page.items:
        words = fault_view(row, library.catalogue(), locale, translator(locale))
        items.append(
            FaultOut(
                cell=row.cell,
                measure=row.measure or None,
                reason=row.reason,
                detail=words.wrong,
                allowed=words.allowed,
            )
        )
    return FaultsOut(sheet=one.sheet, items=items, next=page.next)


@imports.get("/imports/{import_id}/values", response_model=ValuesOut)
async def list_values(tx: Tx, me: Me, import_id: uuid.UUID, after: After = None) -> ValuesOut:
    """The values that are right, in the order of the file, some hundreds to a page."""
    one = await importing.get(tx, me, import_id)
    number, found = await importing.page_of_entries(tx, one.id, _number(after))
    items = [
        ValueOut(
            cell=entry.cell,
            unit=entry.unit,
            measure=entry.measure,
            value=entry.value,
            period=entry.period,
            document=entry.document,
            day=entry.day,
        )
        for entry in found
    ]
    return ValuesOut(items=items, next=encode_cursor((number,)) if number is not None else None)


@imports.get("/imports/{import_id}/kept", response_model=KeptsOut)
async def list_kept(tx: Tx, me: Me, import_id: uuid.UUID, limit: Limit = 100, after: After = None) -> KeptsOut:
    """What an undo left as it was, since something newer holds."""
    one = await importing.get(tx, me, import_id)
    rows = await undoing.left(tx, one.id, limit=limit, after=_number(after))
    page = page_of(rows, limit, key=lambda row: (row.number,))
    items = [
        KeptOut(
            cell=row.cell,
            unit=row.unit,
            measure=row.measure,
            period=row.period,
            because=row.cause,
            observed_at=row.observed_at,
        )
        for row in page.items
    ]
    return KeptsOut(items=items, next=page.next)


_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": ImportOut, "description": "It is large and done in the background: see `progress`."}
}


@imports.post("/imports/{import_id}/apply", response_model=ImportOut, responses=_ACCEPTED)
async def apply_import(
    request: Request, response: Response, tx: Tx, me: Me, import_id: uuid.UUID, body: ApplyIn
) -> ImportOut:
    """Make the values of a preview count, all or none of them, or those that are right."""
    if await importing.confirm(tx, me, import_id, body.mode, library.catalogue()) == "queued":
        response.status_code = 202
    return await _out(tx, await importing.get(tx, me, import_id), spoken(request, response))


_STOPPING: dict[int | str, dict[str, Any]] = {
    202: {"model": ImportOut, "description": "It is just being read; the reading stops within seconds."}
}


@imports.post("/imports/{import_id}/discard", response_model=ImportOut, responses=_STOPPING)
async def discard_import(request: Request, response: Response, tx: Tx, me: Me, import_id: uuid.UUID) -> ImportOut:
    """Put a preview aside, also while its file is still being read."""
    if await previewing.put_aside(tx, me, import_id) == "reading":
        response.status_code = 202
    return await _out(tx, await importing.get(tx, me, import_id), spoken(request, response))


@imports.post("/imports/{import_id}/undo", response_model=ImportOut, responses=_ACCEPTED)
async def undo_import(request: Request, response: Response, tx: Tx, me: Me, import_id: uuid.UUID) -> ImportOut:
    """Take back what an import set, unless something newer replaced it."""
    if await undoing.request(tx, me, import_id, library.catalogue()) == "undoing":
        response.status_code = 202
    return await _out(tx, await importing.get(tx, me, import_id), spoken(request, response))


@imports.get("/imports/{import_id}/progress", response_class=StreamingResponse, responses=server_events.DOCUMENTED)
async def follow_import(request: Request, sessions: Sessions, me: Me, import_id: uuid.UUID) -> StreamingResponse:
    """How far an import is, as server-sent events: `change` whenever it got on, `end` when it is done."""
    async with sessions.read() as tx:
        await importing.get(tx, me, import_id)
    settings: Settings = request.app.state.runtime.settings
    return server_events.response(_progress(sessions, import_id, settings.heartbeat_seconds), "indicators")


async def _progress(sessions: Sessions, import_id: uuid.UUID, heartbeat_seconds: float) -> AsyncIterator[bytes]:
    yield server_events.RETRY
    said: dict[str, Any] | None = None
    at = time.monotonic()
    while True:
        async with sessions.read() as tx:
            one = await importing.find(tx, import_id)
            far = await underway.progress(tx, one.id) if one.state in RUNNING else Progress(one.valid, one.valid)
        told = {"state": one.state, "done": far.done, "total": far.total}
        if told != said:
            yield server_events.event(told, id=far.done)
            said, at = told, time.monotonic()
        elif time.monotonic() - at > heartbeat_seconds:
            yield server_events.SILENCE
            at = time.monotonic()
        if one.state not in RUNNING:
            yield server_events.event(told, id=far.done, name="end")
            return
        await asyncio.sleep(TOLD_SECONDS)
