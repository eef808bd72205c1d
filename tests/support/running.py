"""Owns a running service for tests: its schema, its parts in this process, a client, and tokens it accepts.

Tokens are signed with a key made for the run, which the service gets as its issuer's keys.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import ASGIApp

from chassis import migrations, units
from chassis.service import Runner, Service, origin, web_server
from chassis.settings import ServiceSettings
from chassis.units import Unit
from tests.support.waiting import eventually

S = TypeVar("S", bound=ServiceSettings)

ISSUER = "http://127.0.0.1:8080/identity"
_KEY = RSAKey.generate_key(2048, {"kid": "tests", "use": "sig", "alg": "RS256"}, private=True)
JWKS = KeySet([_KEY]).as_dict(private=False)


def token(
    *grants: tuple[str, str],
    subject: str | None = None,
    name: str = "Người thử",
    kind: str = "person",
    scope: str = "xaso",
    client_id: str | None = None,
    lifetime: int = 3600,
    **changed: Any,
) -> str:
    """An access token as identity signs them. A grant is (role, unit path); `changed` replaces or adds claims."""
    clock = int(time.time())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "sub": subject or str(uuid.uuid4()),
        "aud": "xaso",
        "iat": clock,
        "exp": clock + lifetime,
        "jti": str(uuid.uuid4()),
        "name": name,
        "kind": kind,
        "scope": scope,
        "grants": [[role, path.rsplit("/", 1)[-1], path] for role, path in grants],
    }
    if client_id:
        claims["client_id"] = client_id
    claims.update(changed)
    return jwt.encode({"alg": "RS256", "typ": "at+jwt", "kid": "tests"}, claims, _KEY)


def bearer(*grants: tuple[str, str], **kwargs: Any) -> dict[str, str]:
    """The Authorization header of `token(…)`."""
    return {"authorization": f"Bearer {token(*grants, **kwargs)}"}


@dataclass
class Running:
    """A service in this process. `client` speaks to it as a browser on its origin would (cookies are kept)."""

    runner: Runner
    client: httpx.AsyncClient

    @asynccontextmanager
    async def tx(self) -> AsyncIterator[AsyncSession]:
        """A transaction on the service's database, committed at the end: to arrange and to look."""
        async with self.runner.runtime.sessions.begin() as session:
            yield session

    async def enter_units(self, *entered: Unit) -> None:
        async with self.tx() as tx:
            for unit in entered:
                await units.project(tx, unit)

    def fresh_client(self) -> httpx.AsyncClient:
        """Another browser, with no cookies."""
        return client_of(self.runner)


def client_of(runner: Runner) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=origin([runner])), base_url="http://127.0.0.1:8080", timeout=30
    )


@asynccontextmanager
async def serving(app: ASGIApp, port: int = 0, *, at_once: bool = False) -> AsyncIterator[str]:
    """`app` on 127.0.0.1, for browsers; the address of its origin. `at_once` cuts streams that are open at the end."""
    server = web_server(app, "127.0.0.1", port)
    task = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        server.force_exit = at_once
        await task


def settings_for(cls: type[S], database_url: str, **more: Any) -> S:
    """Settings of a service under test; `more` sets kafka, topic_prefix and the service's own."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "public_url": "http://127.0.0.1:8080",
        "jwks_json": json.dumps(JWKS),
        "secret": "a secret of the tests, long enough to be one",
        "json_logs": False,
        "strict_telemetry": True,
        "pool_size": 4,
        **more,
    }
    return cls(**values)


@asynccontextmanager
async def running(
    make: Callable[[S], Service],
    settings: S,
    *,
    parts: Iterable[str] = (),
) -> AsyncIterator[Running]:
    """The service on a migrated database. `parts` of relay, consume, rpc, tasks are started too (default: none)."""
    wanted = set(parts)
    service = make(settings)
    await migrations.upgrade(settings, service.package)
    runner = Runner(service)
    await runner.start(
        relay="relay" in wanted, consume="consume" in wanted, rpc="rpc" in wanted, tasks="tasks" in wanted
    )
    _alive[runner] = f"{service.name}, started for {os.environ.get('PYTEST_CURRENT_TEST', 'no test')}"
    try:
        async with client_of(runner) as client:
            yield Running(runner, client)
    finally:
        await runner.stop()
        del _alive[runner]


_alive: dict[Runner, str] = {}
"""The services that run in this process, each with the test it was started for."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """No service outlives the folder of its tests: one process holds one catalogue of criteria, so a service left over
    answers the next folder's tests by theirs, or changes it under them.
    """
    yield
    left = [] if nextitem is not None and nextitem.path.parent == item.path.parent else sorted(_alive.values())
    assert left == [], "services outlive the folder of their tests"


async def csrf(client: httpx.AsyncClient, page: str) -> str:
    """Open `page` and return the CSRF token that its forms carry."""
    response = await client.get(page, headers={"accept": "text/html"})
    value = client.cookies.get("xaso_csrf")
    assert value, f"{page} answered {response.status_code} and set no CSRF cookie"
    return value


def commune(code: str = "11074", name: str = "Xã Đại Sơn", district: str = "298", province: str = "30") -> Unit:
    """A commune of Hải Dương for tests, valid since 2020."""
    return Unit(code, name, "commune", "xa", district, f"{province}/{district}/{code}", date(2020, 1, 1))


def village(of: Unit, number: int = 1, name: str = "Thôn Nghĩa Dũng") -> Unit:
    """A village of a commune, valid since 2020."""
    code = f"{of.code}-{number:02d}"
    return Unit(code, name, "village", "thon", of.code, f"{of.path}/{code}", date(2020, 1, 1))


def ladder() -> list[Unit]:
    """Hải Dương and Tứ Kỳ, the units above `commune()`."""
    since = date(2020, 1, 1)
    return [
        Unit("30", "Tỉnh Hải Dương", "province", "tinh", "", "30", since),
        Unit("298", "Huyện Tứ Kỳ", "district", "huyen", "30", "30/298", since),
    ]


@pytest.fixture(scope="session")
def test_jwks() -> dict[str, Any]:
    """The public keys of the tests' issuer."""
    return dict(JWKS)
