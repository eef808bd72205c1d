"""Owns the services under the identity tests: one with the tests' own keys, one live on a port with its own."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest_asyncio

from chassis.service import origin
from services.identity import seed
from services.identity.app import service
from services.identity.oidc import clients
from services.identity.settings import Settings
from tests.identity.flow import BACK
from tests.identity.people import CHEAP, SECRETS, Live, sign_in
from tests.support.running import Running, running, serving, settings_for


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def identity(database: Callable[[str], str]) -> AsyncIterator[Running]:
    """The service in this process, its units and people loaded; it accepts tokens of `tests.support.running`."""
    settings = settings_for(Settings, database("identity"), **CHEAP)
    async with running(service, settings, parts=["rpc"]) as run:
        await seed.ensure(run.runner.runtime, SECRETS)
        yield run


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def live(database: Callable[[str], str]) -> AsyncIterator[Live]:
    """The service as people and partners meet it: real HTTP, real keys, real sign-in."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    more: dict[str, Any] = {"public_url": f"http://127.0.0.1:{port}", "jwks_json": "", "login_tries_account": 20}
    settings = settings_for(Settings, database("live"), **CHEAP, **more)
    async with running(service, settings) as run:
        await seed.ensure(run.runner.runtime, SECRETS)
        async with serving(origin([run.runner]), port):
            yield Live(settings.public_url, run)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(live: Live) -> AsyncIterator[httpx.AsyncClient]:
    """A browser signed in as the officer, and two applications to sign in to."""
    async with live.run.tx() as tx:
        for name in ("app", "other"):
            app = clients.NewClient(
                client_id=name,
                name=f"Ứng dụng {name}",
                grant_types=("authorization_code", "refresh_token"),
                scopes=("openid", "profile", "offline_access"),
                redirect_uris=(BACK,),
                first_party=True,
            )
            await clients.ensure(tx, app, by="test")
    async with live.browser() as browser:
        assert (await sign_in(browser, "officer")).status_code == 303
        yield browser
