"""Owns the platform that journeys are made on: `xaso up` as a process, and on it the village of the demonstration."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from launcher.addresses import Addresses
from launcher.scenario import Devices, play
from tests.journeys.site import Site, find

STOP_SECONDS = 90


@contextlib.contextmanager
def xaso(data: Path, *more: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A started platform and what it announced; asked to stop at the end, and killed if it does not."""
    command = [sys.executable, "-m", "launcher.cli", *more, "--json", "--port", "0", "--data", str(data)]
    environment = {**os.environ, **settings}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield process, json.loads(line)
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) == 0
        finally:
            process.kill()


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of the platform that the journeys share."""
    return tmp_path_factory.mktemp("journeys")


@pytest.fixture(scope="package")
def listening() -> Iterator[socket.socket]:
    """Where the push service of the journeys will be; the platform is told of it when it starts."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture(scope="package")
def announced(data: Path, listening: socket.socket) -> Iterator[dict[str, Any]]:
    """What a platform on an empty directory says of itself; one for all files here that are run by one process."""
    host, port = listening.getsockname()
    with xaso(data, "up", XASO_MEDIA_PUSH_HOST=f"{host}:{port}") as (_, told):
        yield told


@pytest.fixture(scope="package")
def addresses(announced: dict[str, Any]) -> Addresses:
    """Where the platform is found."""
    return Addresses(**{name: announced[name] for name in ("web", "grpc", "kafka", "mqtt", "token_endpoint")})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(announced: dict[str, Any], addresses: Addresses) -> AsyncIterator[Site]:
    """The platform with the whole story played on it, the devices still on the air."""
    logins = announced["logins"]
    async with contextlib.AsyncExitStack() as exits:
        outcomes = await play(addresses, logins, 0.0, lambda step: None, Devices(exits))
        assert [outcome.after for outcome in outcomes] == [outcome.expected for outcome in outcomes]
        yield await asyncio.wait_for(find(addresses.web, logins), 60)
