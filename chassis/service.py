"""Assembles a process of a service: its web application, gRPC server, relay, consumer and background tasks."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis import (
    audit,
    collecting,
    dead_letters,
    i18n,
    idempotency,
    inbox,
    metrics,
    migrations,
    openapi,
    outbox,
    problems,
    telemetry,
)
from chassis.consumer import Consumer, Consumers
from chassis.db import Sessions, is_transient, make_engine, open_ahead
from chassis.http_telemetry import HttpTelemetry
from chassis.incoming import SAFE_METHODS
from chassis.pages import SUBJECTS, Renderer
from chassis.relay import Relay, dsn, republish
from chassis.rpc import Rpc, RpcServer
from chassis.secure_headers import SecurityHeaders
from chassis.settings import ServiceSettings
from chassis.staff_pages import dead_letter_pages
from chassis.tokens import Verifier, trusted
from chassis.web import ApiRouter, PageRouter

log = telemetry.logger(__name__)

JANITOR_SECONDS = 3600.0
MEASURE_SECONDS = 15.0
SUBJECT_SECONDS = 15.0
CANCEL_SECONDS = 5.0
Task = Callable[["Runtime"], Awaitable[None]]


@dataclass
class Service:
    """What a service is made of; `services/<name>/app.py` returns one."""

    settings: ServiceSettings
    package: str
    title: str
    pages: list[PageRouter] = field(default_factory=list)
    api: list[ApiRouter] = field(default_factory=list)
    consumers: Consumers | None = None
    rpcs: list[Rpc] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    everywhere: list[Task] = field(default_factory=list)
    """Tasks of every process that answers or consumes, not only of the one that has the others."""
    make_consumer: Callable[[ServiceSettings, Sessions, Consumers], Consumer] = Consumer
    """How the consumer is made: one transaction per batch (`Consumer`), or a `stream.Stream`."""

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def folder(self) -> Path:
        module = sys.modules[self.package]
        return Path(str(module.__file__)).parent


@dataclass
class Runtime:
    """What runs on behalf of a service; handlers reach it as `request.app.state.runtime`, tasks get it handed."""

    service: Service
    settings: ServiceSettings
    engine: AsyncEngine
    sessions: Sessions
    verifier: Verifier


class Runner:
    """One service in this process: `start` what is asked for, `stop` it in order."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.settings = service.settings
        telemetry.configure(self.settings)
        engine = make_engine(self.settings)
        self.runtime = Runtime(service, self.settings, engine, Sessions(engine), Verifier(self.settings))
        self.relay = Relay(self.settings)
        self.consumer: Consumer | None = None
        if service.consumers is not None:
            self.consumer = service.make_consumer(self.settings, self.runtime.sessions, service.consumers)
        self.grpc: RpcServer | None = None
        self.grpc_port = 0
        self.app = self._application()
        self.asgi = HttpTelemetry(_safely(self.app, self.settings), self.settings.name)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(
        self, *, relay: bool = True, consume: bool = True, rpc: bool = True, tasks: bool = True, watch: bool = False
    ) -> None:
        """Start the parts asked for; the web application needs no start. `watch` is for who serves pages to people."""
        if rpc and self.service.rpcs:
            self.grpc = RpcServer(self.settings, self.service.rpcs, self.runtime.sessions, self.runtime.verifier)
            self.grpc_port = await self.grpc.start()
        if watch:
            self._spawn("subjects", self.watch_subjects)
            self._spawn("connections", partial(open_ahead, self.runtime.engine, self.settings.pool_size))
        self._spawn("ended", self.runtime.verifier.follow_ended)
        if relay:
            self._spawn("relay", self.relay.run)
            self._spawn("janitor", self._janitor)
            sealer = audit.Sealer(self.settings, self.runtime.sessions)
            self._spawn("audit", sealer.run)
        if consume and self.consumer is not None:
            self._spawn("consume", self.consumer.run)
        for task in (
            *(self.service.everywhere if tasks or rpc or consume else ()),
            *(self.service.tasks if tasks else ()),
        ):
            self._spawn(task.__name__, partial(task, self.runtime))

    async def stop(self) -> None:
        """Stop: gRPC drains, then loops end (a batch under way is rolled back and comes again), then the pool."""
        if self.grpc is not None:
            await self.grpc.stop(2.0)
        await _end(self._tasks)
        self._tasks.clear()
        await self.runtime.verifier.close()
        await self.runtime.engine.dispose()

    def _spawn(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._supervise(name, run), name=f"{self.settings.name}:{name}"))

    async def _supervise(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Keep a loop alive: what it raises is logged and it starts again, ever more slowly."""
        pause = 0.5
        with telemetry.serving(self.settings.name):
            while True:
                started = asyncio.get_running_loop().time()
                try:
                    await run()
                    return
                except (Exception, asyncio.CancelledError) as error:
                    # A cancellation that is not ours came out of a library's background task.
                    current = asyncio.current_task()
                    if isinstance(error, asyncio.CancelledError) and (current is None or current.cancelling()):
                        raise
                    if is_transient(error):
                        # A lock was not to be had, or the database is away: that passes, and is nobody's fault.
                        log.warning("task_waits", task=name, error=type(error).__name__)
                    else:
                        metrics.TASK_FAILURES.labels(self.settings.name, name).inc()
                        log.error("task_failed", task=name, error=type(error).__name__, exc_info=error)
                pause = 0.5 if asyncio.get_running_loop().time() - started > 60 else min(pause * 2, 30.0)
                await asyncio.sleep(pause)

    async def watch_subjects(self) -> None:
        """Know which of the other subjects answer, so that the shell can grey one that is down; never returns."""
        others = [name for name, _ in SUBJECTS if name != self.settings.name]
        tls = trusted(environment=True)
        async with httpx.AsyncClient(base_url=self.settings.public_url, timeout=5, verify=tls) as client:

            async def is_down(name: str) -> bool:
                try:
                    return (await client.get(f"/{name}/readyz")).status_code != 200
                except httpx.HTTPError:
                    return True

            async def down() -> set[str]:
                found = await asyncio.gather(*(is_down(name) for name in others))
                return {name for name, gone in zip(others, found, strict=True) if gone}

            # The origin may still be starting: nobody is called down for that. But what the first question loads
            # (certificates, modules) is loaded now, and not in the middle of other people's requests.
            await down()
            await asyncio.sleep(SUBJECT_SECONDS / 3)
            while True:
                self.app.state.subjects_down = await down()
                await asyncio.sleep(SUBJECT_SECONDS)

    async def _janitor(self) -> None:
        """Forget what has served: hourly, in small transactions; between, measure what waits."""
        retention = timedelta(days=self.settings.outbox_retention_days)
        rounds = 0
        while True:
            if rounds % int(JANITOR_SECONDS / MEASURE_SECONDS) == 0:
                async with self.runtime.sessions.begin() as tx:
                    await idempotency.prune(tx)
                async with self.runtime.sessions.begin() as tx:
                    # An event may come again while its sender can still republish it: keep the inbox twice as long.
                    await inbox.prune(tx, retention * 2)
                async with self.runtime.sessions.begin() as tx:
                    await outbox.prune(tx, retention)
            rounds += 1
            async with self.runtime.sessions.read() as tx:
                metrics.DEAD_LETTERS.labels(self.settings.name).set(await dead_letters.count(tx))
            await asyncio.sleep(MEASURE_SECONDS)

    def _application(self) -> FastAPI:
        service = self.service
        prefix = f"/{service.name}"
        app = FastAPI(
            title=service.title,
            openapi_url="/openapi.json",
            docs_url=None,
            redoc_url=None,
            servers=[{"url": prefix}],
            root_path_in_servers=False,
            redirect_slashes=False,
        )
        routers = [*service.pages]
        if service.consumers is not None:
            routers.append(dead_letter_pages(service.consumers))
        templates = [r.templates for r in routers if r.templates is not None]
        translations = i18n.register(service.folder / "locale", self.settings.web_dir / "locale")
        app.state.runtime = self.runtime
        app.state.renderer = Renderer(self.settings, list(dict.fromkeys(templates)), translations)
        app.state.subjects_down = set()
        # The routes themselves and not their routers, which FastAPI would search one inside the other at each request.
        for router in (*service.api, *routers):
            app.router.routes.extend(router.routes)
        openapi.describe(app, self.settings)
        app.add_route("/healthz", self._healthz, include_in_schema=False)
        if self.settings.public_internals:
            app.add_route("/readyz", self._readyz, include_in_schema=False)
            app.add_route("/metrics", self._metrics, include_in_schema=False)
        else:
            app.add_route("/readyz", self._ready_or_not, include_in_schema=False)
        app.add_exception_handler(HTTPException, _unrouted)
        app.add_exception_handler(RequestValidationError, _unrouted)
        return app

    async def _healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readyz(self, _request: Request) -> Response:
        checks = await self.checks()
        ready = checks["database"] == "ok"
        return JSONResponse({"status": "ready" if ready else "not ready", "checks": checks}, 200 if ready else 503)

    async def _ready_or_not(self, _request: Request) -> Response:
        """As `_readyz`, for everybody: what the service is made of and what ails it is the operator's business."""
        ready = await self._database() == "ok"
        return JSONResponse({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    def internals(self) -> Starlette:
        """What the operator's machines ask of a process, for a port that nobody else reaches."""
        answers = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}
        return Starlette(routes=[Route(path, answer) for path, answer in answers.items()])

    async def checks(self) -> dict[str, str]:
        """What the service needs and how it stands: `ok` or what is wrong. Only the database decides readiness."""
        found = {"database": await self._database()}
        if self.consumer is not None:
            found["consumer"] = self.consumer.halted or ("ok" if self.consumer.connected else "not connected")
        found["relay"] = "active" if self.relay.active else "standby"
        return found

    async def _database(self) -> str:
        try:
            async with asyncio.timeout(3), self.runtime.sessions.read() as tx:
                await tx.execute(sa.text("SELECT 1"))
        except (OSError, TimeoutError, sa.exc.SQLAlchemyError) as error:
            return type(error).__name__
        return "ok"

    async def _metrics(self, _request: Request) -> Response:
        return Response(metrics.render_metrics(self.settings.name), media_type=metrics.METRICS_CONTENT_TYPE)


def _unrouted(request: Request, error: Exception) -> Response:
    """The answer where no route was found or the framework refused before one ran."""
    renderer = request.app.state.renderer
    if "text/html" in request.headers.get("accept", ""):
        request.state.principal = None
        return problems.error_page(request, error, renderer)
    return problems.problem(request, error, renderer.json_locale(request))


def _safely(app: ASGIApp, settings: ServiceSettings) -> ASGIApp:
    return SecurityHeaders(app, https=settings.https, hsts_seconds=settings.hsts_seconds)


class _HashedFiles(StaticFiles):
    """The built front end: names carry a hash of the content, so a browser may keep a file for good."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  # handed through unchanged.
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response


class _Origin(Starlette):
    """One origin for several services: what begins with a service's name goes straight to it, the rest is routed."""

    def __init__(
        self, services: Mapping[str, ASGIApp], routes: Sequence[Route | Mount], settings: ServiceSettings
    ) -> None:
        super().__init__(
            routes=routes,
            # Services see to their own; this is for the door, the front end and addresses outside of all of them.
            middleware=[Middleware(_safely, settings), Middleware(_Zip)],
            exception_handlers={HTTPException: _unrouted},
        )
        self._services = {name: (app, _Zip(app)) for name, app in services.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name, slash, _ = scope["path"][1:].partition("/")
            service = self._services.get(name) if slash else None
            if service is not None:
                root = scope.get("root_path", "")
                mounted = {**scope, "app": self, "app_root_path": root, "root_path": f"{root}/{name}"}
                plain, zipped = service
                # What is never cached needs no word on how it varies, so the answer to a write may go as it is.
                kept = scope["method"] in SAFE_METHODS or any(
                    key == b"accept-encoding" and b"gzip" in value for key, value in scope["headers"]
                )
                await (zipped if kept else plain)(mounted, receive, send)
                return
        await super().__call__(scope, receive, send)


_Zip = partial(GZipMiddleware, minimum_size=600, compresslevel=5)


def origin(runners: Sequence[Runner]) -> Starlette:
    """One origin for the services given: each under its prefix, the front end under /static, the door at /."""
    names = {r.settings.name for r in runners}

    async def door(_request: Request) -> Response:
        return RedirectResponse("/indicators/" if "indicators" in names else f"/{runners[0].settings.name}/", 303)

    async def bare(request: Request) -> Response:
        return RedirectResponse(request.url.path + "/", 307)

    dist = runners[0].settings.web_dir / "dist"
    root = _Origin(
        {runner.settings.name: runner.asgi for runner in runners},
        [
            Route("/", door),
            *(Route(f"/{name}", bare) for name in names),
            Mount("/static", app=_HashedFiles(directory=dist, check_dir=False)),
        ],
        runners[0].settings,
    )
    # An address outside of every service, or one that no prefix matches, is answered in the first one's look.
    root.state.renderer = runners[0].app.state.renderer
    return root


class WebServer(uvicorn.Server):
    """uvicorn inside our own event loop: signals are the process's business, not the server's."""

    def install_signal_handlers(self) -> None:
        return

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # the base class's own signature varies.
        yield


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel until every task has ended: one cancellation swallowed by a library must not keep a process alive."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=CANCEL_SECONDS)
        for task in waiting:
            where = [f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno}" for frame in task.get_stack()]
            log.warning("task_ends_late", task=task.get_name(), path=where)


def web_server(app: Starlette, host: str, port: int) -> WebServer:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
        server_header=False,
        h11_max_incomplete_event_size=65_536,
    )
    return WebServer(config)


PARTS = ("web", "consume", "relay", "migrate", "republish", "all")


def main(make: Callable[[], Service]) -> None:
    """`python -m services.<name> web|consume|relay|migrate|republish|all`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--since-hours", type=float, default=24.0, help="republish: how far back, in hours")
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run(make(), arguments.part, timedelta(hours=arguments.since_hours)))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one (not on Windows): the same loop as the launcher's, a fifth less work per request."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


async def run(service: Service, part: str, since: timedelta) -> None:
    """Run one part of a service until SIGTERM or Ctrl-C."""
    if part in ("migrate", "all"):
        await migrations.upgrade(service.settings, service.package)
    if part == "migrate":
        return
    if part == "republish":
        connection = await asyncpg.connect(dsn(service.settings))
        try:
            log.warning("republished", count=await republish(connection, since))
        finally:
            await connection.close()
        return
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    runner = Runner(service)
    everything = part == "all"
    web = part in ("web", "all")
    host, metrics_port = service.settings.host, service.settings.metrics_port
    servers = [web_server(origin([runner]), host, service.settings.port)] if web else []
    if metrics_port is not None:
        # Also of a process that only consumes or relays: it has figures and a health of its own.
        servers.append(web_server(runner.internals(), host, metrics_port))
    serving = [asyncio.create_task(server.serve()) for server in servers]
    await runner.start(
        relay=everything or part == "relay",
        consume=everything or part == "consume",
        rpc=web,
        tasks=everything or part == "consume",
        watch=web,
    )
    collecting.settle()
    await stopping.wait()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*serving)
    await runner.stop()
