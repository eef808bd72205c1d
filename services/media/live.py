"""Owns the live stream of a commune's devices (server-sent events): open pages learn that something changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi.responses import StreamingResponse

from chassis import server_events
from chassis.db import Sessions as Database
from chassis.web import ApiRouter, Me, Sessions
from services.media import access
from services.media.speakers import queries
from services.media.speakers.api import UnitQuery

api = ApiRouter(prefix="/api/v1", reads=access.READ)

_POLL_SECONDS = 1.0
_COMMENT_EVERY = 15


@api.get("/changes", response_class=StreamingResponse, responses=server_events.DOCUMENTED)
async def changes(
    sessions: Sessions,
    me: Me,
    unit: UnitQuery = None,
    last_event_id: server_events.LastEventId = None,
) -> StreamingResponse:
    """An event `change` with `{"unit", "version"}` for each village of a commune whose devices changed.

    The id of an event is the sum of all versions: it only grows, so a reader that comes back learns whether it missed
    anything.
    """
    async with sessions.read() as tx:
        place = await access.unit_to_read(tx, me, unit)
    return server_events.response(_stream(sessions, place.commune, server_events.seen(last_event_id)), "media")


async def _stream(sessions: Database, commune: str, seen: int | None) -> AsyncIterator[bytes]:
    known: dict[str, int] = {}
    rounds = 0
    yield server_events.RETRY
    while True:
        async with sessions.read() as tx:
            found = await queries.versions(tx, commune)
        total = sum(found.values())
        if rounds == 0 and (seen is None or seen == total):
            known = found
        for code in [c for c, version in found.items() if known.get(c) != version]:
            yield server_events.event({"unit": code, "version": found[code]}, id=total)
        known, rounds = found, rounds + 1
        if rounds % _COMMENT_EVERY == 0:
            yield server_events.SILENCE
        await asyncio.sleep(_POLL_SECONDS)
