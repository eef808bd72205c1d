"""Owns HTTP entry points: routers whose routes hold the transaction, refuse forged forms and keep idempotency keys.

The route opens one transaction per request (a connection is taken at the first query), commits after the handler has
made its answer and before that answer is sent, and rolls back on any exception. Nothing else commits.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from chassis import auth, idempotency, metrics, problems
from chassis.db import Sessions as _Sessions
from chassis.errors import Unauthenticated
from chassis.idempotency import Claim, Stored
from chassis.incoming import (
    FORM_TYPES,
    SAFE_METHODS,
    SESSION_COOKIE,
    asker,
    bounded,
    check_csrf,
    limit_body,
    refuse_nul,
    request_hash,
)
from chassis.pages import CSRF_COOKIE
from chassis.pages import Page as _Page
from chassis.providing import depends_on, providing

__all__ = ["ApiRouter", "MaybeMe", "Me", "MiB", "Page", "PageRouter", "Sessions", "Tx", "keep_changes"]

MiB = 1024 * 1024


@dataclass(frozen=True)
class RouteOptions:
    """What a route says of itself beside FastAPI's own words."""

    max_body: int | None = None
    csrf: bool = True


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
        return cls.MAYBE if any(depends_on(of, asker) for of in asked) else cls.NEVER


class _Route(APIRoute):
    """A route that owns the transaction of its request."""

    wants_page = False

    def __init__(self, path: str, endpoint: Callable[..., Any], **kwargs: Any) -> None:
        seen, self._providers = providing(endpoint)
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
        refuse_nul(request)
        unsafe = request.method not in SAFE_METHODS
        if unsafe:
            limit_body(request, options.max_body or runtime.settings.max_body_bytes)
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
                await check_csrf(request)
        async with runtime.sessions.open() as tx:
            request.state.tx = tx
            # What a protocol endpoint answers (tokens, say) is for its caller alone and is kept nowhere.
            claim = await self._claim(request) if unsafe and options.csrf else None
            if claim is not None:
                stored = await idempotency.claim(tx, claim)
                if stored is not None:
                    metrics.IDEMPOTENT_REPLAYS.labels(runtime.settings.name).inc()
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
        return bounded(request, response)

    async def _claim(self, request: Request) -> Claim | None:
        key = request.headers.get("idempotency-key")
        if key is None and request.headers.get("content-type", "").startswith(FORM_TYPES):
            value = (await request.form()).get("idempotency_key")
            key = value if isinstance(value, str) and value else None
        if key is None:
            return None
        principal = await asker(request)
        browser = request.cookies.get(CSRF_COOKIE, "")
        # A fingerprint will do: the browser's own secret has no business in the table.
        who = principal.subject if principal else f"browser:{hashlib.sha256(browser.encode()).hexdigest()}"
        route = f"{request.method} {request.url.path}"
        return Claim(who, route, idempotency.checked_key(key), await request_hash(request))

    def _error(self, request: Request, error: Exception) -> Response:
        renderer = request.app.state.renderer
        if self.wants_page:
            return problems.error_page(request, error, renderer)
        return problems.problem(request, error, renderer.json_locale(request))


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
    principal = await asker(request)
    if principal is None:
        raise Unauthenticated
    return principal


async def _page(request: Request) -> _Page:
    # The shell shows who is signed in, so every page knows it.
    await asker(request)
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
MaybeMe = Annotated[auth.Principal | None, Depends(asker)]
"""Who asks, or None."""
Page = Annotated[_Page, Depends(_page)]
"""The page being answered."""
