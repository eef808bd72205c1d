"""Owns the five services under the contract tests: each in this process, on a migrated database of its own."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.running import Running, running, settings_for

ROOT = Path(__file__).parents[2]
NAMES = sorted(p.name for p in (ROOT / "services").iterdir() if (p / "app.py").is_file())
# Cheap hashes: the tests are about who may do what, not about how slow a guess is.
EXTRA: dict[str, dict[str, Any]] = {
    "identity": {"argon2_memory_kib": 64, "argon2_time": 1},
    "media": {"probe_loopback": True},
}


def made(name: str, database_url: str, **more: Any) -> tuple[Callable[[Any], Any], Any]:
    """The factory of a service and settings for it."""
    module = importlib.import_module(f"services.{name}.app")
    settings = importlib.import_module(f"services.{name}.settings").Settings
    return module.service, settings_for(settings, database_url, **EXTRA.get(name, {}), **more)


@asynccontextmanager
async def start(database: Callable[[str], str], *, parts: Iterable[str] = ()) -> AsyncIterator[dict[str, Running]]:
    """All services, without relay, consumer and background tasks unless `parts` asks for them."""
    async with AsyncExitStack() as stack:
        started = {}
        for name in NAMES:
            factory, settings = made(name, database(name))
            started[name] = await stack.enter_async_context(running(factory, settings, parts=parts))
        yield started
