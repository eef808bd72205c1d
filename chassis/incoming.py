"""Owns what is asked of a request before a handler sees it: a bounded body, no NUL, who asks, that no form is forged.

An answer without an end is bounded as well: it ends with the session that opened it.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from chassis import auth
from chassis.errors import CsrfRefused, Malformed, TooLarge, Unauthenticated
from chassis.pages import CSRF_COOKIE
from chassis.tokens import Verifier

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION_COOKIE = "xaso_session"
DRAIN_BYTES = 32 * 1024 * 1024
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


def limit_body(request: Request, limit: int) -> None:
    """Have the body of `request` refuse to grow past `limit` bytes."""
    declared = request.headers.get("content-length")
    seen, more = 0, request.receive

    async def receive() -> Message:
        nonlocal seen
        message = await more()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit or (declared and declared.isdigit() and int(declared) > limit):
                await _drain(more, seen, message.get("more_body", False))
                raise TooLarge(limit=limit)
        return message

    request._receive = receive


async def _drain(receive: Receive, seen: int, more: bool) -> None:
    """Read on without keeping, up to a bound, so that the client gets to read the refusal."""
    while more and seen < DRAIN_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return
        seen += len(message.get("body", b""))
        more = message.get("more_body", False)


def refuse_nul(request: Request) -> None:
    raw = request.scope.get("query_string", b"")
    if "\x00" in request.scope["path"] or b"%00" in raw or b"\x00" in raw:
        raise Malformed(message_="Địa chỉ có ký tự không hợp lệ.")


async def asker(request: Request) -> auth.Principal | None:
    """Who asks: the bearer token, else the session cookie; None for nobody. A bad bearer token is refused."""
    if hasattr(request.state, "principal"):
        return request.state.principal  # type: ignore[no-any-return]  # it was set below.
    verifier: Verifier = request.app.state.runtime.verifier
    header = request.headers.get("authorization", "")
    principal = None
    if header:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        request.state.token = token.strip()
        principal = await verifier.verify(request.state.token)
    elif SESSION_COOKIE in request.cookies:
        request.state.token = request.cookies[SESSION_COOKIE]
        try:
            principal = await verifier.verify(request.state.token)
        except Unauthenticated:
            # A session that has run out is nobody: public pages stay readable and others ask to sign in.
            principal = None
    if principal is not None:
        _check_application(principal, request)
    request.state.principal = principal
    return principal


def _check_application(principal: auth.Principal, request: Request) -> None:
    """Refuse the token of an application that a person let see who they are, but not act for them.

    Such a token carries the person as subject, and most routes ask for roles only. So it opens nothing but routes of a
    JSON API that name the one scope they need (`ApiRouter`), to a token that has it.
    """
    if principal.kind != "person" or auth.ALL_SCOPES in principal.scopes:
        return
    if not request.state.needed_scope or request.state.needed_scope not in principal.scopes:
        raise auth.ScopeMissing(scope=request.state.needed_scope or auth.ALL_SCOPES)


async def check_csrf(request: Request) -> None:
    if request.headers.get("authorization"):
        return
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise CsrfRefused
    origin = request.headers.get("origin")
    if origin and origin != "null":
        ours = {urlsplit(request.app.state.runtime.settings.public_url).netloc, request.headers.get("host", "")}
        if urlsplit(origin).netloc not in ours:
            raise CsrfRefused
    cookie = request.cookies.get(CSRF_COOKIE, "")
    sent = request.headers.get("x-csrf-token", "")
    if not sent and request.headers.get("content-type", "").startswith(FORM_TYPES):
        value = (await request.form()).get("csrf_token")
        sent = value if isinstance(value, str) else ""
    if not cookie or not hmac.compare_digest(cookie.encode(), sent.encode()):
        raise CsrfRefused


async def request_hash(request: Request) -> bytes:
    """A keyed hash of what is asked; a form counts by its fields, since a browser draws a new boundary each time.

    Keyed, because a bare hash of a form with a password would let whoever reads the table try passwords against it.
    """
    secret = request.app.state.runtime.settings.secret.get_secret_value()
    digest = hmac.new(secret.encode(), request.scope.get("query_string", b""), hashlib.sha256)
    if not request.headers.get("content-type", "").startswith(FORM_TYPES):
        digest.update(await request.body())
        return digest.digest()
    for name, value in (await request.form()).multi_items():
        if name == "csrf_token":
            continue
        digest.update(name.encode() + b"\0")
        if isinstance(value, UploadFile):
            digest.update(await value.read())
            await value.seek(0)
        else:
            digest.update(value.encode())
        digest.update(b"\0")
    return digest.digest()


class _WhileSignedIn(Response):
    """A stream of events that ends with the session or token it was opened with; the browser may then ask again."""

    def __init__(self, stream: Response, verifier: Verifier, token: str) -> None:
        self.status_code, self.raw_headers, self.background = stream.status_code, stream.raw_headers, None
        self._stream, self._verifier, self._token = stream, verifier, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._verifier.while_good(self._token):
                await self._stream(scope, receive, send)
        except Unauthenticated:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def bounded(request: Request, response: Response) -> Response:
    """`response`, or where it has no end and somebody signed in asked for it, one that ends with the sign-in."""
    kind = response.headers.get("content-type", "")
    if not kind.startswith("text/event-stream") or getattr(request.state, "principal", None) is None:
        return response
    return _WhileSignedIn(response, request.app.state.runtime.verifier, request.state.token)
