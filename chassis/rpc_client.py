"""Owns the gRPC client: a channel that carries token, trace and deadline, and tries reads again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from chassis.telemetry import current_traceparent
from chassis.token_source import TokenSource

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
TRIES = 4
READS = ("Get", "List", "Search", "Find", "Count", "Check", "Explain")

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    # This client tries again by itself, and only what may be tried again.
    ("grpc.enable_retries", 0),
)


@asynccontextmanager
async def channel(
    target: str,
    token_source: TokenSource | None = None,
    tls_ca: Path | None = None,
    *,
    timeout: float = 5.0,  # noqa: ASYNC109 - it is handed on to calls; nothing here waits for it.
    stream_timeout: float = 300.0,
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to ``host:port``. Calls without a timeout get ``timeout`` seconds, streams ``stream_timeout``.

    Unary reads (methods named Get…, List…, Search…, …) and calls with an ``idempotency-key`` are tried again on
    UNAVAILABLE until their deadline, at most four times; a refused token is fetched anew once. ``tls_ca`` is a PEM file
    of the authority that signed the server's certificate; without it the connection is in the clear.
    """
    call = _Outgoing(token_source, timeout, stream_timeout)
    interceptors: list[grpc.aio.ClientInterceptor] = [
        _UnaryUnary(call),
        _UnaryStream(call),
        _StreamUnary(call),
        _StreamStream(call),
    ]
    if tls_ca is None:
        opened = grpc.aio.insecure_channel(target, options=_OPTIONS, interceptors=interceptors)
    else:
        # The file is read once, when a channel is made.
        credentials = grpc.ssl_channel_credentials(await asyncio.to_thread(tls_ca.read_bytes))
        opened = grpc.aio.secure_channel(target, credentials, options=_OPTIONS, interceptors=interceptors)
    async with opened:
        yield opened


class _Outgoing:
    """What every call of a channel is given."""

    def __init__(self, tokens: TokenSource | None, timeout: float, stream_timeout: float) -> None:
        self.tokens = tokens
        self._timeout = timeout
        self._stream_timeout = stream_timeout

    async def details(self, given: Any, *, stream: bool) -> grpc.aio.ClientCallDetails:
        """The call's details with a deadline, the token and the trace."""
        metadata = grpc.aio.Metadata(*(given.metadata or ()))
        present = {key for key, _ in metadata}
        if self.tokens is not None and "authorization" not in present:
            metadata.add("authorization", f"Bearer {await self.tokens.token()}")
        if (traceparent := current_traceparent()) and "traceparent" not in present:
            metadata.add("traceparent", traceparent)
        timeout = given.timeout if given.timeout is not None else self._stream_timeout if stream else self._timeout
        return grpc.aio.ClientCallDetails(given.method, timeout, metadata, given.credentials, given.wait_for_ready)


def _name(method: Any) -> str:
    text = method.decode() if isinstance(method, bytes) else str(method)
    return text.rsplit("/", 1)[1]


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_unary(
        self, continuation: Callable[..., Awaitable[Any]], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        details = await self._outgoing.details(client_call_details, stream=False)
        keyed = any(key == "idempotency-key" for key, _ in details.metadata or ())
        repeatable = keyed or _name(details.method).startswith(READS)
        ends = time.monotonic() + (details.timeout or 0)
        renewed = False
        attempt = 1
        while True:
            call = await continuation(details, request)
            code = await call.code()
            tokens = self._outgoing.tokens
            if code == grpc.StatusCode.UNAUTHENTICATED and tokens is not None and not renewed:
                renewed = True
                tokens.forget()
            elif code == grpc.StatusCode.UNAVAILABLE and repeatable and attempt < TRIES:
                # Full jitter: clients that lost one server must not come back in step.
                await asyncio.sleep(random.uniform(0.05, 0.1 * 2**attempt))  # noqa: S311 - not a secret.
                attempt += 1
            else:
                return call
            left = ends - time.monotonic()
            if left <= 0.01:
                return call
            details = await self._outgoing.details(client_call_details._replace(timeout=left), stream=False)  # type: ignore[attr-defined]  # grpc makes a named tuple, its stubs hide it.


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(await self._outgoing.details(client_call_details, stream=True), request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return await continuation(await self._outgoing.details(client_call_details, stream=True), request_iterator)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return await continuation(await self._outgoing.details(client_call_details, stream=True), request_iterator)
