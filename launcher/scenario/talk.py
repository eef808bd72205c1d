"""Owns how the scenario speaks HTTP as a person would: sign-in form, session cookie, JSON, and waiting with an end."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx

from launcher.addresses import Login

T = TypeVar("T")

PATIENCE_SECONDS = 90.0
"""Longest wait for the platform to show what was done; an idle machine needs well under a second."""
REQUEST_SECONDS = 20.0
TRIES = 4
CSRF_FIELD = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class ScenarioFailed(RuntimeError):
    """The platform did not do what the scenario expects of it; the message says what and where."""


async def until(look: Callable[[], Awaitable[T | None]], what: Callable[[], str]) -> T:
    """The first answer of `look` that is not None; raises ScenarioFailed with `what` when none came in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = 0.02
    while True:
        found = await look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise ScenarioFailed(f"waited {PATIENCE_SECONDS:.0f} s in vain: {what()}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.25)


class Visitor:
    """Somebody with a browser at the platform's origin; signed in or not."""

    def __init__(self, http: httpx.AsyncClient, who: str) -> None:
        self._http = http
        self.who = who

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON at `path`; raises ScenarioFailed on any answer that is not 2xx."""
        found = await self.ask(path, **params)
        if not found.is_success:
            raise self._refused("GET", path, found)
        return found.json()

    async def ask(self, path: str, **params: Any) -> httpx.Response:
        """The answer to a GET, whatever it is."""
        given = {name: value for name, value in params.items() if value is not None}
        # No parameters are not none of them: an empty mapping would cut off those that stand in `path`.
        return await self._send("GET", path, params=given or None)

    async def post(self, path: str, body: dict[str, Any] | None = None, **more: Any) -> Any:
        """Send JSON (or `files`) once: a repetition after a broken connection carries the same Idempotency-Key."""
        key = {"idempotency-key": str(uuid.uuid4())}
        content = more if more else {"json": body if body is not None else {}}
        answer = await self._send("POST", path, headers=key, **content)
        if not answer.is_success:
            raise self._refused("POST", path, answer)
        return answer.json()

    async def all(self, path: str, **params: Any) -> list[Any]:
        """Every item of a list that comes in pages."""
        found: list[Any] = []
        after = None
        while True:
            page = await self.get(path, **params, after=after, limit=200)
            found += page["items"]
            after = page["next"]
            if after is None:
                return found

    @asynccontextmanager
    async def listen(self, path: str, **params: Any) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of a stream of server-sent events."""
        async with self._http.stream("GET", path, params=params) as answer:
            if not answer.is_success:
                await answer.aread()
                raise self._refused("GET", path, answer)
            yield answer.aiter_lines()

    async def sign_in(self, login: Login) -> None:
        """Fill in the sign-in form as a browser would; the session cookie stays with this visitor."""
        form = await self.ask("/identity/login")
        token = CSRF_FIELD.search(form.text)
        if not form.is_success or token is None:
            raise self._refused("GET", "/identity/login", form)
        fields = {"login": login["user"], "password": login["password"], "csrf_token": token[1]}
        answer = await self._send("POST", "/identity/login", data=fields)
        if "xaso_session" not in self._http.cookies:
            raise ScenarioFailed(f"{self.who} could not sign in as {login['user']} ({answer.status_code})")
        # JSON requests of a signed-in browser prove in this header that a page of the same origin sent them.
        self._http.headers["x-csrf-token"] = token[1]

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        for attempt in range(1, TRIES + 1):
            try:
                answer = await self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if attempt == TRIES:
                    raise ScenarioFailed(f"{self.who}: {method} {path}: {type(error).__name__} {error}") from error
            else:
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or attempt == TRIES:
                    return answer
            await asyncio.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _refused(self, method: str, path: str, answer: httpx.Response) -> ScenarioFailed:
        return ScenarioFailed(f"{self.who}: {method} {path} answered {answer.status_code}: {answer.text[:400]}")


@asynccontextmanager
async def visitor(web: str, who: str, login: Login | None = None) -> AsyncIterator[Visitor]:
    """A visitor of the platform at the origin `web`, signed in where a login is given."""
    async with httpx.AsyncClient(base_url=web, timeout=REQUEST_SECONDS, trust_env=False) as http:
        made = Visitor(http, who)
        if login is not None:
            await made.sign_in(login)
        yield made
