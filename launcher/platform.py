"""Owns the whole platform on one machine: engines, five services in one process, one web port, a gRPC port each.

Order of a start: data directory, engines, databases, migrations, first data, web port, then consumers and relays. A
stop goes the other way: the web port drains, relays send what waits, the services end, the engines last.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from chassis import migrations
from chassis.service import Runner, Service, WebServer, origin, web_server
from chassis.settings import ServiceSettings
from launcher import processes
from launcher.addresses import Addresses, Logins
from launcher.datadir import SERVICES, DataDir, Secrets
from launcher.engines import Engines
from launcher.processes import LOOPBACK

DEFAULT_PORT = 8080
FLUSH_SECONDS = 5.0
STOP_SECONDS = 30.0
READY_SECONDS = 60.0

Report = Callable[[str], None]


class PortTaken(RuntimeError):
    """The web port that was asked for belongs to another program."""


class Platform:
    """A platform on `data`; `async with running(...)` is the way to have one."""

    def __init__(self, data: DataDir, port: int, report: Report) -> None:
        self.data = data
        self.port = port
        self.addresses = Addresses(web=f"http://{LOOPBACK}:{port}")
        self._report = report
        self._secrets: Secrets = data.secrets()
        self._engines = Engines(data, self._secrets, os.environ.get("XASO_KAFKA", ""))
        self._runners: list[Runner] = []
        self._server: WebServer | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def logins(self) -> Logins:
        """Logins made at the first start."""
        return self._secrets.logins

    async def start(self) -> None:
        """Bring everything up; returns when every service is ready."""
        self._engines.start(lambda name: self._report(f"{name} runs"))
        services = self._import_services()
        await self._engines.ready()
        databases = await asyncio.to_thread(self._engines.postgres.create_databases, self._secrets.databases)
        made = [self._service(name, module, databases[name]) for name, module in services.items()]
        for service in made:
            # One after another: Alembic keeps the migration under way in a global of the process.
            await migrations.upgrade(service.settings, service.package)
        self._report("databases are migrated")
        self._runners = [Runner(service) for service in made]
        await self._first_data()
        await self._serve()
        await asyncio.gather(*(runner.start(watch=True) for runner in self._runners))
        await self._until_ready()
        await self._until_units_are_everywhere()
        self.addresses = self._found()
        self.data.announce(asdict(self.addresses))

    async def stop(self) -> None:
        """Stop in order; safe after a start that failed half way."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._ends("the web port", self._serving)
        await self._ends("sending what waits", self._flush())
        await self._ends("the services", *(runner.stop() for runner in self._runners))
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

    def _import_services(self) -> dict[str, Any]:
        """Their code, loaded while the engines start."""
        return {name: import_module(f"services.{name}.app") for name in SERVICES}

    def _service(self, name: str, module: Any, database: str) -> Service:
        kind: type[ServiceSettings] = import_module(f"services.{name}.settings").Settings
        given: dict[str, Any] = {
            "database_url": database,
            "kafka": self._engines.bootstrap,
            "public_url": self.addresses.web,
            "grpc_port": self.data.ports(f"grpc-{name}")[f"grpc-{name}"],
            "secret": self._secrets.services[name],
            "audit_checkpoints": self.data.path / "audit" / name,
            # The port is this machine's own; `xaso doctor` reads the figures there.
            "public_internals": True,
        }
        if name == "media":
            given["mqtt"] = f"mqtt://hub:{self._secrets.hub}@{LOOPBACK}:{self._engines.mqtt.port}"
            # The demo's cameras are a small RTSP server of this machine.
            given["probe_loopback"] = True
        service: Service = module.service(kind(**given))
        return service

    async def _first_data(self) -> None:
        """Units and logins; identity does nothing where they are already there."""
        seed = import_module("services.identity.seed")
        identity = next(runner for runner in self._runners if runner.service.name == "identity")
        await seed.ensure(identity.runtime, self._secrets.logins)
        self._report("administrative units and logins are there")

    async def _serve(self) -> None:
        # Bound here and not by uvicorn, which ends the whole process where it cannot.
        web = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        web.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            web.bind((LOOPBACK, self.port))
        except OSError as trouble:
            web.close()
            raise PortTaken(f"port {self.port} could not be opened ({trouble.strerror}): choose another") from None
        self._server = web_server(origin(self._runners), LOOPBACK, self.port)
        self._serving = asyncio.create_task(self._server.serve(sockets=[web]), name="web")
        await self._until(lambda: self._server is not None and self._server.started, "the web port")

    async def _until_ready(self) -> None:
        """Wait until each service has its database and its consumer is joined to Kafka."""
        deadline = time.monotonic() + READY_SECONDS
        for runner in self._runners:
            while wrong := {k: v for k, v in (await runner.checks()).items() if v not in {"ok", "active"}}:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{runner.service.name} did not become ready: {wrong}; see {self.data.log}")
                await asyncio.sleep(0.02)

    async def _until_units_are_everywhere(self) -> None:
        """Wait until each service has the units that identity published: before that its answers would be empty."""
        deadline = time.monotonic() + READY_SECONDS
        known: dict[str, int] = {}
        while True:
            for runner in self._runners:
                async with runner.runtime.sessions.read() as tx:
                    known[runner.service.name] = await tx.scalar(sa.text("SELECT count(*) FROM unit")) or 0
            if all(count >= known["identity"] for count in known.values()):
                return
            if time.monotonic() > deadline:
                # Not a reason to give up: events come late where a broker elsewhere is slow, and they do come.
                self._report("administrative units are still on their way to some services")
                return
            await asyncio.sleep(0.05)

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            if holds():
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not become ready; see {self.data.log}")
            await asyncio.sleep(0.01)

    async def _flush(self) -> None:
        """Give the relays a moment to send what was committed; what stays goes at the next start."""
        deadline = time.monotonic() + FLUSH_SECONDS
        waiting = sa.text("SELECT count(*) FROM outbox WHERE published_at IS NULL")
        for runner in self._runners:
            while time.monotonic() < deadline:
                async with runner.runtime.sessions.read() as tx:
                    if not await tx.scalar(waiting):
                        break
                await asyncio.sleep(0.05)

    def _found(self) -> Addresses:
        return Addresses(
            web=self.addresses.web,
            grpc={runner.service.name: f"{LOOPBACK}:{runner.grpc_port}" for runner in self._runners},
            kafka=self._engines.bootstrap,
            mqtt=f"{LOOPBACK}:{self._engines.mqtt.port}",
            token_endpoint=self._runners[0].settings.token_endpoint,
        )


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
