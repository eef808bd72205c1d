"""Owns the live stream of a commune's devices (server-sent events): open pages learn that something changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Header
from fastapi.responses import StreamingResponse

from chassis import telemetry
from chassis.db import Sessions as Database
from chassis.web import ApiRouter, Me, Sessions
from services.media import access
from services.media.speakers import queries
from services.media.speakers.api import UnitQuery

api = ApiRouter(prefix="/api/v1", reads=access.READ)

_POLL_SECONDS = 1.0
_COMMENT_EVERY = 15


@api.get("/changes", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def changes(
    sessions: Sessions,
    me: Me,
    unit: UnitQuery = None,
    last_event_id: Annotated[str, Header(max_length=40)] = "",
) -> StreamingResponse:
    """An event `change` with `{"unit", "version"}` for each village of a commune whose devices changed.

    The id of an event is the sum of all versions: it only grows, so a reader that comes back learns whether it missed
    anything.
    """
    async with sessions.read() as tx:
        place = await access.unit_to_read(tx, me, unit)
    seen = int(last_event_id) if last_event_id.isdecimal() else None
    return StreamingResponse(
        _stream(sessions, place.commune, seen),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _stream(sessions: Database, commune: str, seen: int | None) -> AsyncIterator[str]:
    telemetry.STREAM_CLIENTS.labels("media").inc()
    try:
        known: dict[str, int] = {}
        rounds = 0
        yield "retry: 2000\n\n"
        while True:
            async with sessions.read() as tx:
                found = await queries.versions(tx, commune)
            total = sum(found.values())
            if rounds == 0 and (seen is None or seen == total):
                known = found
            for code in [c for c, version in found.items() if known.get(c) != version]:
                body = json.dumps({"unit": code, "version": found[code]})
                yield f"id: {total}\nevent: change\ndata: {body}\n\n"
            known, rounds = found, rounds + 1
            if rounds % _COMMENT_EVERY == 0:
                yield ": still here\n\n"
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        telemetry.STREAM_CLIENTS.labels("media").dec()
