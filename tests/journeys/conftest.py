"""Owns the platform that journeys are made on: `xaso up` as a process, and on it the village of the demonstration."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
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
def xaso(data: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A started platform and what it announced; asked to stop at the end, and killed if it does not."""
    command = [sys.executable, "-m", "launcher.cli", *more, "--json", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
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


@pytest.fixture(scope="module")
def announced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a platform on an empty directory says of itself."""
    with xaso(tmp_path_factory.mktemp("journeys"), "up") as (_, told):
        yield told


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(announced: dict[str, Any]) -> AsyncIterator[Site]:
    """The platform with the whole story played on it, the devices still on the air."""
    logins = announced["logins"]
    addresses = Addresses(**{name: announced[name] for name in ("web", "grpc", "kafka", "mqtt", "token_endpoint")})
    async with contextlib.AsyncExitStack() as exits:
        outcomes = await play(addresses, logins, 0.0, lambda step: None, Devices(exits))
        assert [outcome.after for outcome in outcomes] == [outcome.expected for outcome in outcomes]
        yield await asyncio.wait_for(find(addresses.web, logins), 60)
