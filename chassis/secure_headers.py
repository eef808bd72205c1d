"""Owns what every answer tells browsers for safety: headers, and over HTTPS the strict form of our cookies."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    # Nothing from elsewhere is loaded or run; pictures that a page makes itself come as blobs.
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'self'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"permissions-policy", b"geolocation=(self), camera=(self), microphone=()"),
)
OURS = b"xaso_"
STRICT = b"__Host-"
"""Browsers take a cookie of such a name only over HTTPS, for the whole of this host and from no other host."""


class SecurityHeaders:
    """ASGI middleware: the headers that every answer carries unless a route set its own.

    With ``https`` answers also say that this host is to be reached by HTTPS only (for ``hsts_seconds``; 0 says
    nothing), and the cookies that services call ``xaso_…`` travel as ``__Host-xaso_…``: neither a page on plain HTTP
    nor a neighbouring host can plant one. A cookie that comes without the prefix is not ours and is not seen.
    """

    def __init__(self, app: ASGIApp, *, https: bool = False, hsts_seconds: int = 0) -> None:
        self.app = app
        self.https = https
        self.headers = SECURITY_HEADERS
        if https and hsts_seconds:
            self.headers += ((b"strict-transport-security", b"max-age=%d" % hsts_seconds),)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.https and scope["type"] == "http":
            scope = {**scope, "headers": [_received(name, value) for name, value in scope["headers"]]}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: Headers = list(message.get("headers", ()))
                present = {name for name, _ in headers}
                headers.extend(pair for pair in self.headers if pair[0] not in present)
                message["headers"] = [_sent(*pair) for pair in headers] if self.https else headers
            await send(message)

        await self.app(scope, receive, with_headers)


def _received(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A header of a request: its cookies by the names that services know."""
    if name != b"cookie":
        return name, value
    cookies = (part.strip() for part in value.split(b";"))
    kept = (cookie.removeprefix(STRICT) for cookie in cookies if not cookie.startswith(OURS))
    return name, b"; ".join(kept)


def _sent(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A header of an answer: a cookie of ours by the name, with the path and the word that browsers ask for."""
    if name != b"set-cookie" or not value.startswith(OURS):
        return name, value
    first, *others = (part.strip() for part in value.split(b";"))
    kept = [part for part in others if part.partition(b"=")[0].lower() not in (b"path", b"secure", b"domain")]
    return name, b"; ".join([STRICT + first, *kept, b"Path=/", b"Secure"])
