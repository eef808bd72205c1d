"""Owns what is measured and traced around every HTTP request."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from opentelemetry.trace import SpanKind, Status, StatusCode

from chassis import metrics, telemetry

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_QUIET = ("/healthz", "/readyz", "/metrics")


class HttpTelemetry:
    """ASGI middleware: a server span, the request's duration by route template, and the service's name for logs.

    Unrouted requests share the route ``unmatched``: addresses that clients make up must not grow the metrics.
    """

    def __init__(self, app: App, service: str) -> None:
        self._app = app
        self._service = service
        self._in_flight = metrics.HTTP_IN_FLIGHT.labels(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or str(scope.get("path", "")).endswith(_QUIET):
            await self._app(scope, receive, send)
            return
        method = str(scope["method"]) if scope["method"] in _METHODS else "OTHER"
        headers: Iterable[tuple[bytes, bytes]] = scope.get("headers", ())
        traceparent = next((value.decode("latin-1") for key, value in headers if key == b"traceparent"), None)
        started, seen, mount = time.perf_counter(), _Seen(), scope.get("route")

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.start(message, time.perf_counter() - started)
            await send(message)

        with (
            telemetry.serving(self._service),
            telemetry.span(method, traceparent, kind=SpanKind.SERVER, http_method=method) as current,
        ):
            self._in_flight.inc()
            try:
                await self._app(scope, receive, observed)
            finally:
                self._in_flight.dec()
                route = _route(scope, mount)
                duration = seen.first_byte if seen.stream else time.perf_counter() - started
                metrics.HTTP_DURATION.labels(self._service, method, route, str(seen.status)).observe(duration)
                current.update_name(f"{method} {route}")
                telemetry.annotate(current, http_route=route, http_status=seen.status)
                if seen.status >= 500:
                    current.set_status(Status(StatusCode.ERROR))


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Seen:
    """What was seen of a response; 500 until it starts, because an exception then ends it."""

    status = 500
    stream = False
    first_byte = 0.0

    def start(self, message: Message, elapsed: float) -> None:
        self.status, self.first_byte = int(message["status"]), elapsed
        self.stream = any(
            key.lower() == b"content-type" and value.startswith(b"text/event-stream")
            for key, value in message.get("headers", ())
        )


def _route(scope: Scope, mount: object) -> str:
    """The template of the route that was found below the mount through which the request came."""
    route = scope.get("route")
    if route is mount:
        return "unmatched"
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    return str(template) if template else "unmatched"
