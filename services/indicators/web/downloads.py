"""Owns how a file leaves: with a name for every program, never shown by the browser as a page of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse


def download(body: bytes, name: str, media_type: str) -> Response:
    """A file to be saved under `name` (RFC 6266: plain letters for old programs, the full name for others)."""
    return Response(body, media_type=media_type, headers=_headers(name))


def stream(body: AsyncIterator[bytes], name: str, media_type: str) -> Response:
    """The same of a file that is still being made."""
    return StreamingResponse(body, media_type=media_type, headers=_headers(name))


def _headers(name: str) -> dict[str, str]:
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    return {
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
