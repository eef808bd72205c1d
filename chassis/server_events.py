"""Owns server-sent events: how one is written, the response that carries them, and where a reader comes back to.

An event has an id, so a browser that lost its connection says by `Last-Event-ID` what it saw last. Silence is broken by
comments, so that proxies keep the connection and both ends learn that the other is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import Header
from starlette.responses import StreamingResponse

from chassis import metrics
from chassis.errors import Malformed

MEDIA_TYPE = "text/event-stream"
RETRY = b"retry: 2000\n\n"
"""Tells a browser to come back after two seconds; sent first, it says that the stream has begun."""
SILENCE = b": .\n\n"
"""A comment: nothing happened."""
DOCUMENTED: dict[int | str, dict[str, Any]] = {200: {"content": {MEDIA_TYPE: {}}}}
"""The answer of such a route, as OpenAPI tells it."""

LastEventId = Annotated[str | None, Header(alias="last-event-id", max_length=40)]
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def event(data: Any, *, id: int, name: str = "change") -> bytes:
    """One event; `data` becomes a line of JSON."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (id, name.encode(), orjson.dumps(data))


def seen(last_event_id: str | None) -> int | None:
    """The id a reader saw last, None where it is new; raises Malformed."""
    if not last_event_id:
        return None
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19):
        raise Malformed(field="Last-Event-ID", message_="Vị trí trong dòng thay đổi không đọc được.")
    return int(last_event_id)


def response(lines: AsyncIterator[bytes], service: str) -> StreamingResponse:
    """The response that carries what `lines` yields, counted among the open streams of a service."""
    return StreamingResponse(_counted(lines, service), media_type=MEDIA_TYPE, headers=_HEADERS)


async def _counted(lines: AsyncIterator[bytes], service: str) -> AsyncIterator[bytes]:
    metrics.STREAM_CLIENTS.labels(service).inc()
    try:
        async for line in lines:
            yield line
    finally:
        metrics.STREAM_CLIENTS.labels(service).dec()
        # A reader that goes away ends this generator, not the one inside: what that holds is given back now.
        close = getattr(lines, "aclose", None)
        if close is not None:
            await close()
