"""Owns how a file leaves: with a name for every program, never shown by the browser as a page of ours."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response


def download(body: bytes, name: str, media_type: str) -> Response:
    """A file to be saved under `name` (RFC 6266: plain letters for old programs, the full name for others)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    headers = {
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    return Response(body, media_type=media_type, headers=headers)
