"""Owns HTTP entry points: routers whose routes hold the transaction, refuse forged forms and keep idempotency keys.

The route opens one transaction per request (a connection is taken at the first query), commits after the handler has
made its answer and before that answer is sent, and rolls back on any exception. Nothing else commits.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from chassis import auth, idempotency, problems, telemetry
from chassis.db import Sessions as _Sessions
from chassis.errors import CsrfRefused, Malformed, TooLarge, Unauthenticated
from chassis.idempotency import Claim, Stored
from chassis.pages import CSRF_COOKIE
from chassis.pages import Page as _Page

__all__ = ["ApiRouter", "MaybeMe", "Me", "MiB", "Page", "PageRouter", "Sessions", "Tx", "keep_changes"]

MiB = 1024 * 1024
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION_COOKIE = "xaso_session"
DRAIN_BYTES = 32 * MiB
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True)
class RouteOptions:
    """What a route says of itself beside FastAPI's own words."""

    max_body: int | None = None
    csrf: bool = True


def _limited(request: Request, limit: int) -> Request:
    """The same request whose body refuses to grow past `limit` bytes."""
    declared = request.headers.get("content-length")
    seen = 0

    async def receive() -> Message:
        nonlocal seen
        message = await request.receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit or (declared and declared.isdigit() and int(declared) > limit):
                await _drain(request, seen, message.get("more_body", False))
                raise TooLarge(limit=limit)
        return message

    return Request(request.scope, receive, request._send)


async def _drain(request: Request, seen: int, more: bool) -> None:
    """Read on without keeping, up to a bound, so that the client gets to read the refusal."""
    while more and seen < DRAIN_BYTES:
        message = await request.receive()
        if message["type"] != "http.request":
            return
        seen += len(message.get("body", b""))
        more = message.get("more_body", False)


def _refuse_nul(request: Request) -> None:
    raw = request.scope.get("query_string", b"")
    if "\x00" in request.scope["path"] or b"%00" in raw or b"\x00" in raw:
        raise Malformed(message_="Địa chỉ có ký tự không hợp lệ.")


async def _principal(request: Request) -> auth.Principal | None:
    """Who asks: the bearer token, else the session cookie; None for nobody. A bad bearer token is refused."""
    if hasattr(request.state, "principal"):
        return request.state.principal  # type: ignore[no-any-return]  # it was set below.
    verifier: auth.Verifier = request.app.state.runtime.verifier
    header = request.headers.get("authorization", "")
    principal = None
    if header:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        principal = await verifier.verify(token.strip())
    elif SESSION_COOKIE in request.cookies:
        try:
            principal = await verifier.verify(request.cookies[SESSION_COOKIE])
        except Unauthenticated:
            # A session that has run out is nobody: public pages stay readable and others ask to sign in.
            principal = None
    if principal is not None:
        _check_application(principal, request)
    request.state.principal = principal
    return principal


def _check_application(principal: auth.Principal, request: Request) -> None:
    """Refuse the token of an application that a person let see who they are, but not act for them.

    Such a token carries the person as subject, and most routes ask for roles only. So it opens nothing but a JSON API
    for which it has a scope by name, whose routes then ask for it.
    """
    if principal.kind != "person" or auth.ALL_SCOPES in principal.scopes:
        return
    service = request.app.state.runtime.settings.name
    if request.state.wants_page or not any(scope.startswith(f"{service}.") for scope in principal.scopes):
        raise auth.ScopeMissing(scope=auth.ALL_SCOPES)


async def _check_csrf(request: Request) -> None:
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


async def _request_hash(request: Request) -> bytes:
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


class _Route(APIRoute):
    """A route that owns the transaction of its request."""

    wants_page = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()
        options: RouteOptions = getattr(self.endpoint, "route_options", RouteOptions())

        async def handle(request: Request) -> Response:
            try:
                return await self._answer(request, inner, options)
            except Exception as error:
                return self._error(request, error)

        return handle

    async def _answer(
        self, request: Request, inner: Callable[[Request], Awaitable[Response]], options: RouteOptions
    ) -> Response:
        runtime = request.app.state.runtime
        request.state.wants_page = self.wants_page
        _refuse_nul(request)
        unsafe = request.method not in SAFE_METHODS
        if unsafe:
            request = _limited(request, options.max_body or runtime.settings.max_body_bytes)
        try:
            return await self._transact(request, inner, options, unsafe)
        finally:
            # Uploaded files lie in temporary files until somebody closes them.
            await request.close()

    async def _transact(
        self, request: Request, inner: Callable[[Request], Awaitable[Response]], options: RouteOptions, unsafe: bool
    ) -> Response:
        runtime = request.app.state.runtime
        if unsafe:
            await request.body()
            if options.csrf and (self.wants_page or SESSION_COOKIE in request.cookies):
                await _check_csrf(request)
        async with runtime.sessions.open() as tx:
            request.state.tx = tx
            # What a protocol endpoint answers (tokens, say) is for its caller alone and is kept nowhere.
            claim = await self._claim(request) if unsafe and options.csrf else None
            if claim is not None:
                stored = await idempotency.claim(tx, claim)
                if stored is not None:
                    telemetry.IDEMPOTENT_REPLAYS.labels(runtime.settings.name).inc()
                    headers = {**stored.headers, "idempotency-replayed": "true"}
                    return Response(stored.body, stored.status, headers)
            response = await inner(request)
            if claim is not None and response.status_code < 400:
                kept = {k: v for k, v in response.headers.items() if k in ("content-type", "location")}
                body = bytes(getattr(response, "body", b""))
                await idempotency.complete(tx, claim, Stored(response.status_code, kept, body))
            if response.status_code < 400 or getattr(request.state, "keep_changes", False):
                await tx.commit()
            else:
                await tx.rollback()
        return response

    async def _claim(self, request: Request) -> Claim | None:
        key = request.headers.get("idempotency-key")
        if key is None and request.headers.get("content-type", "").startswith(FORM_TYPES):
            value = (await request.form()).get("idempotency_key")
            key = value if isinstance(value, str) and value else None
        if key is None:
            return None
        principal = await _principal(request)
        browser = request.cookies.get(CSRF_COOKIE, "")
        # A fingerprint will do: the browser's own secret has no business in the table.
        who = principal.subject if principal else f"browser:{hashlib.sha256(browser.encode()).hexdigest()}"
        route = f"{request.method} {request.url.path}"
        return Claim(who, route, idempotency.checked_key(key), await _request_hash(request))

    def _error(self, request: Request, error: Exception) -> Response:
        renderer = request.app.state.renderer
        if self.wants_page:
            return problems.error_page(request, error, renderer)
        return problems.problem(request, error, renderer.locale(request))


class _PageRoute(_Route):
    wants_page = True


H = TypeVar("H", bound=Callable[..., Any])


def _options(decorate: Callable[[H], H], max_body: int | None, csrf: bool) -> Callable[[H], H]:
    def register(endpoint: H) -> H:
        endpoint.route_options = RouteOptions(max_body, csrf)  # type: ignore[attr-defined]  # functions take attributes.
        return decorate(endpoint)

    return register


class _Router(APIRouter):
    """Routes for writing that say, beside FastAPI's own words, how large a body may be and whether CSRF is checked."""

    def post(self, path: str, *, max_body: int | None = None, csrf: bool = True, **kwargs: Any) -> Callable[[H], H]:
        """As FastAPI's; `max_body` (bytes) raises the limit of the body, `csrf=False` is for protocol endpoints."""
        return _options(super().post(path, **kwargs), max_body, csrf)

    def put(self, path: str, *, max_body: int | None = None, csrf: bool = True, **kwargs: Any) -> Callable[[H], H]:
        return _options(super().put(path, **kwargs), max_body, csrf)

    def patch(self, path: str, *, max_body: int | None = None, csrf: bool = True, **kwargs: Any) -> Callable[[H], H]:
        return _options(super().patch(path, **kwargs), max_body, csrf)

    def delete(self, path: str, *, max_body: int | None = None, csrf: bool = True, **kwargs: Any) -> Callable[[H], H]:
        return _options(super().delete(path, **kwargs), max_body, csrf)


class PageRouter(_Router):
    """Pages: HTML, forms with a CSRF token, errors as pages. `templates` is the service's own folder of templates."""

    def __init__(self, *, templates: Path | None = None, **kwargs: Any) -> None:
        super().__init__(route_class=_PageRoute, default_response_class=HTMLResponse, include_in_schema=False, **kwargs)
        self.templates = templates


class ApiRouter(_Router):
    """JSON with problem+json errors and an OpenAPI description."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(route_class=_Route, responses=problems.RESPONSES, **kwargs)


# Coroutines although they wait for nothing: the framework runs plain functions in a thread, which costs every request
# more than all the rest of its dependencies.
async def _tx(request: Request) -> AsyncSession:
    return request.state.tx  # type: ignore[no-any-return]  # the route set it.


async def _sessions(request: Request) -> _Sessions:
    return request.app.state.runtime.sessions  # type: ignore[no-any-return]  # the service set it.


async def _me(request: Request) -> auth.Principal:
    principal = await _principal(request)
    if principal is None:
        raise Unauthenticated
    return principal


async def _page(request: Request) -> _Page:
    # The shell shows who is signed in, so every page knows it.
    await _principal(request)
    return _Page(request, request.app.state.renderer)


def keep_changes(request: Request) -> None:
    """Commit although the answer tells of an error: a failed sign-in must be remembered."""
    request.state.keep_changes = True


Tx = Annotated[AsyncSession, Depends(_tx)]
"""The transaction of the request."""
Sessions = Annotated[_Sessions, Depends(_sessions)]
"""For streams, which outlive a transaction: `async with sessions.read() as tx`."""
Me = Annotated[auth.Principal, Depends(_me)]
"""Who asks; 401 (or the way to sign in) for nobody."""
MaybeMe = Annotated[auth.Principal | None, Depends(_principal)]
"""Who asks, or None."""
Page = Annotated[_Page, Depends(_page)]
"""The page being answered."""
