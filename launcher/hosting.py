"""Owns the five services in one process: one web port for all, a gRPC port each, on engines that run already.

Loading this module loads all of the services' code, which takes seconds: the platform starts its engines first and
loads it while they come up.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import sqlalchemy as sa

from chassis import migrations
from chassis.service import Runner, Service, WebServer, origin, web_server
from chassis.settings import ServiceSettings
from launcher.datadir import SERVICES, DataDir, Secrets
from launcher.processes import LOOPBACK, PortTaken
from services.identity import seed

FLUSH_SECONDS = 5.0
READY_SECONDS = 60.0

APPS: dict[str, Any] = {name: import_module(f"services.{name}.app") for name in SERVICES}
SETTINGS: dict[str, Callable[..., ServiceSettings]] = {
    name: import_module(f"services.{name}.settings").Settings for name in SERVICES
}

Report = Callable[[str], None]


class Hosting:
    """The services of one platform at the address `web`."""

    def __init__(self, data: DataDir, secrets: Secrets, web: str, report: Report) -> None:
        self.runners: list[Runner] = []
        self.serving: asyncio.Task[None] | None = None
        self._data = data
        self._secrets = secrets
        self._web = web
        self._report = report
        self._server: WebServer | None = None

    async def migrate(self, databases: Mapping[str, str]) -> None:
        """Bring the databases (`{service: asyncpg address}`) to the newest schema; Kafka is not needed for it."""
        packages = [(SETTINGS[name](database_url=databases[name]), f"services.{name}") for name in SERVICES]
        await migrations.upgrade_all(packages)
        self._report("databases are migrated")

    async def prepare(self, databases: Mapping[str, str], mqtt_port: int, port: int) -> None:
        """All that Kafka is not needed for: the services, first data, the web port."""
        self.runners = [Runner(self._service(name, databases[name], mqtt_port)) for name in SERVICES]
        await self._first_data()
        await self._serve(port)

    async def start(self, kafka: str) -> None:
        """Consumers and relays at the Kafka of that address; returns when every service is ready."""
        for runner in self.runners:
            # Not known before: a broker whose port was taken meanwhile has chosen another one.
            runner.settings.kafka = kafka
        await asyncio.gather(*(runner.start(watch=True) for runner in self.runners))
        await self._until_ready()
        await self._until_units_are_everywhere()

    def close_web(self) -> None:
        """Begin to close the web port: requests under way are answered, `serving` then ends."""
        if self._server is not None:
            self._server.should_exit = True

    async def flush(self) -> None:
        """Give the relays a moment to send what was committed; what stays goes at the next start."""
        deadline = time.monotonic() + FLUSH_SECONDS
        waiting = sa.text("SELECT count(*) FROM outbox WHERE published_at IS NULL")
        for runner in self.runners:
            while time.monotonic() < deadline:
                async with runner.runtime.sessions.read() as tx:
                    if not await tx.scalar(waiting):
                        break
                await asyncio.sleep(0.05)

    def _service(self, name: str, database: str, mqtt_port: int) -> Service:
        given: dict[str, Any] = {
            "database_url": database,
            "public_url": self._web,
            "grpc_port": self._data.ports(f"grpc-{name}")[f"grpc-{name}"],
            "secret": self._secrets.services[name],
            "audit_checkpoints": self._data.path / "audit" / name,
            # The port is this machine's own; `xaso doctor` reads the figures there.
            "public_internals": True,
        }
        if name == "media":
            given["mqtt"] = f"mqtt://hub:{self._secrets.hub}@{LOOPBACK}:{mqtt_port}"
            # The demo's cameras are a small RTSP server of this machine.
            given["probe_loopback"] = True
        service: Service = APPS[name].service(SETTINGS[name](**given))
        return service

    async def _first_data(self) -> None:
        """Units and logins; identity does nothing where they are already there."""
        identity = next(runner for runner in self.runners if runner.service.name == "identity")
        logins: dict[str, Any] = {**self._secrets.logins}
        await seed.ensure(identity.runtime, logins)
        self._report("administrative units and logins are there")

    async def _serve(self, port: int) -> None:
        # Bound here and not by uvicorn, which ends the whole process where it cannot.
        web = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        web.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            web.bind((LOOPBACK, port))
        except OSError as trouble:
            web.close()
            raise PortTaken(f"port {port} could not be opened ({trouble.strerror}): choose another") from None
        self._server = web_server(origin(self.runners), LOOPBACK, port)
        self.serving = asyncio.create_task(self._server.serve(sockets=[web]), name="web")
        deadline = time.monotonic() + READY_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the web port did not become ready; see {self._data.log}")
            await asyncio.sleep(0.01)

    async def _until_ready(self) -> None:
        """Wait until each service has its database and its consumer is joined to Kafka."""
        deadline = time.monotonic() + READY_SECONDS
        for runner in self.runners:
            while wrong := {k: v for k, v in (await runner.checks()).items() if v not in {"ok", "active"}}:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{runner.service.name} did not become ready: {wrong}; see {self._data.log}")
                await asyncio.sleep(0.02)

    async def _until_units_are_everywhere(self) -> None:
        """Wait until each service has the units that identity published: before that its answers would be empty."""
        deadline = time.monotonic() + READY_SECONDS
        counted = sa.text("SELECT count(*) FROM unit")
        wanted = 0
        # Identity first: what it has is what the others wait for.
        for runner in sorted(self.runners, key=lambda runner: runner.service.name != "identity"):
            while True:
                async with runner.runtime.sessions.read() as tx:
                    known = await tx.scalar(counted) or 0
                wanted = max(wanted, known) if runner.service.name == "identity" else wanted
                if known >= wanted:
                    break
                if time.monotonic() > deadline:
                    # Not a reason to give up: events come late where a broker elsewhere is slow, and they do come.
                    self._report("administrative units are still on their way to some services")
                    return
                await asyncio.sleep(0.05)
