"""Owns the whole platform on one machine: engines, five services in one process, one web port, a gRPC port each.

Order of a start: data directory, engines, databases, migrations, first data, web port, then consumers and relays. The
engines come up while the services' code is loaded, and what needs PostgreSQL alone does not wait for Kafka. A stop goes
the other way: the web port drains, relays send what waits, the services end, the engines last.
"""

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from chassis import collecting
from launcher import processes
from launcher.addresses import Addresses, Logins
from launcher.datadir import DataDir, Secrets
from launcher.engines import Engines
from launcher.processes import LOOPBACK, PortTaken

if TYPE_CHECKING:
    from launcher.hosting import Hosting

DEFAULT_PORT = 8080
STOP_SECONDS = 30.0

Report = Callable[[str], None]


class Platform:
    """A platform on `data`; `async with running(...)` is the way to have one."""

    def __init__(self, data: DataDir, port: int, report: Report) -> None:
        self.data = data
        self.port = port
        self.addresses = Addresses(web=f"http://{LOOPBACK}:{port}")
        self._report = report
        self._secrets: Secrets = data.secrets()
        self._engines = Engines(data, self._secrets, os.environ.get("XASO_KAFKA", ""))
        self._hosting: Hosting | None = None

    @property
    def logins(self) -> Logins:
        """Logins made at the first start."""
        return self._secrets.logins

    async def start(self) -> None:
        """Bring everything up; returns when every service is ready."""
        self._engines.start(lambda name: self._report(f"{name} runs"))
        with _uncollected():
            # In a thread, so that the loop goes on hearing of engines that failed and of Ctrl-C.
            hosting = (await asyncio.to_thread(_services))(self.data, self._secrets, self.addresses.web, self._report)
            self._hosting = hosting
            databases = await self._engines.databases()
            # Kafka takes longest: what does not need it is done before.
            await hosting.migrate(databases)
            await hosting.prepare(databases, self._engines.mqtt.port, self.port)
            await self._engines.ready()
            await hosting.start(self._engines.bootstrap)
        self.addresses = self._found(hosting)
        self.data.announce(asdict(self.addresses))

    async def stop(self) -> None:
        """Stop in order; safe after a start that failed half way."""
        hosting = self._hosting
        if hosting is not None:
            if hosting.serving is not None:
                hosting.close_web()
                await self._ends("the web port", hosting.serving)
            await self._ends("sending what waits", hosting.flush())
            await self._ends("the services", *(runner.stop() for runner in hosting.runners))
        await self._engines.stop()

    async def _ends(self, what: str, *parts: Awaitable[None]) -> None:
        """Wait for the parts to end, whatever they raise; those that do not are left behind: the engines must stop."""
        tasks = [asyncio.ensure_future(part) for part in parts]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in late:
            frames = [f"{frame.f_code.co_qualname}:{frame.f_lineno}" for frame in task.get_stack()]
            self._report(f"{what}: did not end in {STOP_SECONDS:.0f} s ({', '.join(frames)})")
            task.cancel()
        # Their errors are not news any more, and a task whose error nobody looked at would be complained about.
        await asyncio.gather(*(task for task in tasks if task.done()), return_exceptions=True)

    def _found(self, hosting: "Hosting") -> Addresses:
        return Addresses(
            web=self.addresses.web,
            grpc={runner.service.name: f"{LOOPBACK}:{runner.grpc_port}" for runner in hosting.runners},
            kafka=self._engines.bootstrap,
            mqtt=f"{LOOPBACK}:{self._engines.mqtt.port}",
            token_endpoint=hosting.runners[0].settings.token_endpoint,
        )


def _services() -> "type[Hosting]":
    """Load the services' code."""
    # Here and not above: the engines are started before, and come up while this takes its seconds.
    from launcher.hosting import Hosting

    # Code stays: what is looked through at the end of the start is what came after it.
    gc.freeze()
    return Hosting


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage while the code is loaded and put together: a fifth of that time, and it finds nothing."""
    gc.disable()
    try:
        yield
        collecting.settle()
    finally:
        gc.enable()


def choose_port(asked: int | None, report: Report) -> int:
    """The web port: the one asked for or an error, else 8080, else a free one. Raises PortTaken."""
    if asked:
        if processes.listening(asked):
            raise PortTaken(f"port {asked} belongs to another program: choose another with --port")
        return asked
    if asked is None and not processes.listening(DEFAULT_PORT):
        return DEFAULT_PORT
    free = processes.free_port()
    if asked is None:
        report(f"port {DEFAULT_PORT} belongs to another program: {free} is taken instead")
    return free


@contextlib.asynccontextmanager
async def running(path: Path, port: int | None, report: Report) -> AsyncIterator[Platform]:
    """A started platform on the data directory `path`; stopped in order at the end, also after a failed start.

    Raises DirectoryInUse, PortTaken, EngineFailed, JarsMissing. The services' log goes to `log/platform.log`.
    """
    data = DataDir(path)
    data.hold()
    try:
        with data.log.open("a", encoding="utf-8", buffering=1) as log, contextlib.redirect_stderr(log):
            platform = Platform(data, choose_port(port, report), report)
            try:
                await platform.start()
                yield platform
            finally:
                await asyncio.shield(platform.stop())
    finally:
        data.release()
