"""Owns HTTP entry points: routers whose routes hold the transaction, refuse forged forms and keep idempotency keys.

The route opens one transaction per request (a connection is taken at the first query), commits after the handler has
made its answer and before that answer is sent, and rolls back on any exception. Nothing else commits.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, params
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

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


def _limit(request: Request, limit: int) -> None:
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


class _WhileSignedIn(Response):
    """A stream of events that ends with the session or token it was opened with; the browser may then ask again."""

    def __init__(self, stream: Response, verifier: auth.Verifier, token: str) -> None:
        self.status_code, self.raw_headers, self.background = stream.status_code, stream.raw_headers, None
        self._stream, self._verifier, self._token = stream, verifier, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._verifier.while_good(self._token):
                await self._stream(scope, receive, send)
        except Unauthenticated:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _bounded(request: Request, response: Response) -> Response:
    """`response`, or where it has no end and somebody signed in asked for it, one that ends with the sign-in."""
    kind = response.headers.get("content-type", "")
    if not kind.startswith("text/event-stream") or getattr(request.state, "principal", None) is None:
        return response
    return _WhileSignedIn(response, request.app.state.runtime.verifier, request.state.token)


Provider = Callable[[Request], Awaitable[Any]]


def _provider(of: inspect.Parameter) -> Provider | None:
    """How to make the value of a parameter out of the request alone; None where it takes FastAPI to make it."""
    found = [m for m in getattr(of.annotation, "__metadata__", ()) if type(m) is params.Depends]
    make = found[0].dependency if len(found) == 1 else None
    if make is None or not inspect.iscoroutinefunction(make):
        return None
    needs = inspect.signature(make, eval_str=True).parameters
    if [need.annotation for need in needs.values()] == [Request]:
        return make
    inner = {name: _provider(need) for name, need in needs.items()}
    if not all(inner.values()):
        return None

    async def provide(request: Request) -> Any:
        return await make(**{name: await of(request) for name, of in inner.items() if of is not None})

    return provide


def depends_on(of: inspect.Parameter, make: Callable[..., Any]) -> bool:
    """Whether the value of a parameter is made by `make`, or of something that is."""
    for found in getattr(of.annotation, "__metadata__", ()):
        inner = found.dependency if type(found) is params.Depends else None
        if inner is make:
            return True
        if inner is None or isinstance(inner, type):
            continue
        if any(depends_on(need, make) for need in inspect.signature(inner, eval_str=True).parameters.values()):
            return True
    return False


def _providing(endpoint: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Provider]]:
    """`endpoint` as FastAPI shall see it, and what the route itself provides to it.

    Transaction and principal are made of nothing but the request. FastAPI's way to dependencies is general, and for
    these it took a tenth of a request's time; so the route makes them, and FastAPI sees an endpoint without them.
    """
    if not inspect.iscoroutinefunction(endpoint):
        return endpoint, {}
    signature = inspect.signature(endpoint, eval_str=True)
    found = {name: _provider(of) for name, of in signature.parameters.items()}
    providers = {name: provider for name, provider in found.items() if provider is not None}
    if not providers:
        return endpoint, {}
    rest = [of for name, of in signature.parameters.items() if name not in providers]
    own = next((of.name for of in rest if of.annotation is Request), None)
    keyword = inspect.Parameter.KEYWORD_ONLY
    if own is None:
        rest.append(inspect.Parameter("request", keyword, annotation=Request))

    @wraps(endpoint)
    async def provided(**given: Any) -> Any:
        request: Request = given[own] if own is not None else given.pop("request")
        return await endpoint(**given, **request.state.provided)

    seen = signature.replace(parameters=[of.replace(kind=keyword) for of in rest])
    provided.__signature__ = seen  # type: ignore[attr-defined]  # functions take attributes, and inspect asks for it.
    return provided, providers


class SignedIn(Enum):
    """Whether a route asks who its caller is."""

    NEVER = "never"
    MAYBE = "maybe"
    ALWAYS = "always"

    @classmethod
    def of(cls, endpoint: Callable[..., Any]) -> SignedIn:
        asked = inspect.signature(endpoint, eval_str=True).parameters.values()
        if any(depends_on(of, _me) for of in asked):
            return cls.ALWAYS
        return cls.MAYBE if any(depends_on(of, _principal) for of in asked) else cls.NEVER


class _Route(APIRoute):
    """A route that owns the transaction of its request."""

    wants_page = False

    def __init__(self, path: str, endpoint: Callable[..., Any], **kwargs: Any) -> None:
        seen, self._providers = _providing(endpoint)
        self.signed_in = SignedIn.of(endpoint)
        self.needed_scope = ""
        super().__init__(path, seen, **kwargs)

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
        request.state.needed_scope = self.needed_scope
        _refuse_nul(request)
        unsafe = request.method not in SAFE_METHODS
        if unsafe:
            _limit(request, options.max_body or runtime.settings.max_body_bytes)
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
            if self.signed_in is SignedIn.ALWAYS:
                # Before the body: nobody has us read megabytes only to be told to sign in.
                await _me(request)
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
            request.state.provided = {name: await make(request) for name, make in self._providers.items()}
            response = await inner(request)
            if claim is not None and response.status_code < 400:
                kept = {k: v for k, v in response.headers.items() if k in ("content-type", "location")}
                body = bytes(getattr(response, "body", b""))
                await idempotency.complete(tx, claim, Stored(response.status_code, kept, body))
            if response.status_code < 400 or getattr(request.state, "keep_changes", False):
                await tx.commit()
            else:
                await tx.rollback()
        return _bounded(request, response)

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


@dataclass(frozen=True)
class Access:
    """Who may call an operation: whether a sign-in is asked for, and by which scope an application comes in."""

    method: str
    path: str
    signed_in: SignedIn
    scope: str


def accesses(routes: Iterable[BaseRoute]) -> list[Access]:
    """Who may call what, of all routes that this module made."""
    return [
        Access(method, route.path_format, route.signed_in, route.needed_scope)
        for route in routes
        if isinstance(route, _Route)
        for method in route.methods or ()
    ]


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
    """JSON with problem+json errors and an OpenAPI description.

    `reads` and `writes` name the scopes by which partners, and applications on behalf of people, call the routes for
    reading and for writing; without one an application needs the scope that stands for all a person may do.
    """

    def __init__(self, *, reads: str = "", writes: str = "", **kwargs: Any) -> None:
        super().__init__(route_class=_Route, responses=problems.RESPONSES, **kwargs)
        self._scopes = reads, writes

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **kwargs: Any) -> None:
        super().add_api_route(path, endpoint, **kwargs)
        route = self.routes[-1]
        if isinstance(route, _Route):
            reads, writes = self._scopes
            route.needed_scope = reads if set(route.methods or ()) <= SAFE_METHODS else writes


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
