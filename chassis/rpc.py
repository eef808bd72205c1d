"""Owns gRPC entry points: a server whose interceptor authenticates, opens the transaction and tells errors.

A servicer is a plain ``grpc.aio`` servicer with async methods. Around each call the interceptor: requires a deadline,
verifies the bearer token, checks the method's scope, decodes the request (texts brought to NFC), opens one transaction
(unary calls), honours ``idempotency-key``, commits before the reply is sent, and turns errors into a rich status.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import grpc
import sqlalchemy as sa
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.trace import SpanKind
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import idempotency, metrics, telemetry
from chassis.auth import Principal
from chassis.db import Sessions
from chassis.errors import DomainError, Invalid, Malformed, Unauthenticated
from chassis.i18n import Locale, preferred_locale
from chassis.idempotency import Claim, Stored
from chassis.rpc_client import channel
from chassis.rpc_messages import classify, clean, code_of, status_of, uuid_of
from chassis.settings import ServiceSettings
from chassis.tokens import Verifier

__all__ = [
    "ANYONE",
    "SIGNED_IN",
    "Rpc",
    "RpcServer",
    "channel",
    "clean",
    "locale",
    "me",
    "read",
    "transaction",
    "tx",
    "uuid_of",
]

log = telemetry.logger(__name__)

SIGNED_IN = ""
"""In place of a scope: any verified token will do."""
ANYONE = "*"
"""In place of a scope: no token is asked for."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
READINESS_SECONDS = 5.0

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 32 * 1024),
    ("grpc.max_concurrent_streams", 500),
    ("grpc.so_reuseport", 0),
    # A client may ping every 10 s; one that does so more often, three times over, is cut off.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 3),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


@dataclass(frozen=True)
class Rpc:
    """One gRPC service: how it is added to a server, its servicer, a scope per full method name, its file's descriptor.

    ``scopes`` maps ``/package.Service/Method`` to a scope, ``SIGNED_IN`` or ``ANYONE``; the server does not start while
    a method of the file is in no ``scopes``.
    """

    add: Callable[[Any, Any], None]
    servicer: Any
    scopes: Mapping[str, str]
    descriptor: FileDescriptor


class DeadlineMissing(Invalid):
    code = "deadline_missing"
    message = "Lời gọi phải kèm thời hạn (deadline)."


@dataclass
class _Call:
    sessions: Sessions
    locale: Locale
    principal: Principal | None = None
    tx: AsyncSession | None = None


_call: ContextVar[_Call] = ContextVar("xaso_rpc_call")


def me() -> Principal:
    """Who calls; raises :class:`Unauthenticated` where the method takes anyone and nobody was named."""
    principal = _call.get().principal
    if principal is None:
        raise Unauthenticated()
    return principal


def locale() -> Locale:
    """The language the caller asked for by `accept-language`, in which errors are told; Vietnamese where it did not."""
    return _call.get().locale


def tx() -> AsyncSession:
    """The transaction of a unary call; it is committed before the reply is sent."""
    session = _call.get().tx
    if session is None:
        raise RuntimeError("a streaming method opens its own transactions: async with rpc.transaction() as tx")
    return session


@asynccontextmanager
async def transaction() -> AsyncIterator[AsyncSession]:
    """A transaction inside a streaming method, committed at the end of the block, rolled back on any exception."""
    async with _call.get().sessions.begin() as session:
        yield session


@asynccontextmanager
async def read() -> AsyncIterator[AsyncSession]:
    """A transaction for reading inside a streaming method."""
    async with _call.get().sessions.read() as session:
        yield session


class RpcServer:
    """The gRPC port of one service, with health (follows the database) and reflection."""

    def __init__(
        self,
        settings: ServiceSettings,
        rpcs: list[Rpc],
        sessions: Sessions,
        verifier: Verifier,
        *,
        ready: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._settings = settings
        self._rpcs = rpcs
        self._sessions = sessions
        self._ready = ready or self._database_ready
        self._methods = _methods(rpcs)
        self._health = health.aio.HealthServicer()
        self._watch: asyncio.Task[None] | None = None
        self._server = grpc.aio.server(
            interceptors=[_Interceptor(settings.name, sessions, verifier, self._methods)],
            options=_OPTIONS,
            maximum_concurrent_rpcs=2000,
        )

    async def start(self) -> int:
        """Listen on ``settings.host``:``settings.grpc_port`` and return the port; RuntimeError where it is taken."""
        for rpc in self._rpcs:
            rpc.add(rpc.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = sorted({method.rsplit("/", 2)[1] for method in self._methods})
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        address = f"{self._settings.host}:{self._settings.grpc_port}"
        credentials = self._credentials()
        if credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials)
        await self._set_health(names, await self._ready())
        await self._server.start()
        self._watch = asyncio.create_task(self._follow_readiness(names))
        return port

    async def stop(self, grace: float | None = 5.0) -> None:
        """Say "not serving", refuse new calls, give those under way ``grace`` seconds, then cancel them."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)

    def _credentials(self) -> grpc.ServerCredentials | None:
        certificate, key = self._settings.grpc_tls_cert, self._settings.grpc_tls_key
        if certificate is None and key is None:
            return None
        if certificate is None or key is None:
            raise ValueError("grpc_tls_cert and grpc_tls_key are set together or not at all")
        return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])

    async def _database_ready(self) -> bool:
        try:
            async with asyncio.timeout(3), self._sessions.read() as session:
                await session.execute(sa.text("SELECT 1"))
        except (OSError, TimeoutError, sa.exc.SQLAlchemyError):
            return False
        return True

    async def _follow_readiness(self, names: list[str]) -> None:
        while True:
            await asyncio.sleep(READINESS_SECONDS)
            await self._set_health(names, await self._ready())

    async def _set_health(self, names: list[str], ready: bool) -> None:
        states = health_pb2.HealthCheckResponse
        for name in ("", *names):
            await self._health.set(name, states.SERVING if ready else states.NOT_SERVING)


@dataclass(frozen=True)
class _Method:
    name: str
    scope: str
    request: type[Message]
    reply: type[Message]


def _methods(rpcs: list[Rpc]) -> dict[str, _Method]:
    """Every method of the files by full name; raises ValueError where one has no scope or a scope has no method."""
    scopes = {name: scope for rpc in rpcs for name, scope in rpc.scopes.items()}
    found: dict[str, _Method] = {}
    for file in {rpc.descriptor.name: rpc.descriptor for rpc in rpcs}.values():
        for service in file.services_by_name.values():
            for method in service.methods:
                name = f"/{service.full_name}/{method.name}"
                if name not in scopes:
                    raise ValueError(f"{name} has no scope")
                request, reply = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
                found[name] = _Method(name, scopes[name], request, reply)
    unknown = scopes.keys() - found.keys()
    if unknown:
        raise ValueError(f"scopes of methods that do not exist: {', '.join(sorted(unknown))}")
    for rpc in rpcs:
        for name in rpc.scopes:
            behaviour = getattr(rpc.servicer, name.rsplit("/", 1)[1], None)
            if not (inspect.iscoroutinefunction(behaviour) or inspect.isasyncgenfunction(behaviour)):
                raise ValueError(f"{type(rpc.servicer).__name__} has no async method for {name}")
    return found


class _Interceptor(grpc.aio.ServerInterceptor):
    """Wraps every method that belongs to the service; health and reflection pass untouched."""

    def __init__(self, service: str, sessions: Sessions, verifier: Verifier, methods: Mapping[str, _Method]) -> None:
        self._service = service
        self._sessions = sessions
        self._verifier = verifier
        self._methods = methods
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = self._methods.get(handler_call_details.method)
        if method is None:
            return await continuation(handler_call_details)
        handler = self._wrapped.get(method.name)
        if handler is None:
            plain = await continuation(handler_call_details)
            if plain is None:
                return plain
            handler = self._wrapped[method.name] = self._wrap(method, plain)
        return handler

    def _wrap(self, method: _Method, plain: Any) -> grpc.RpcMethodHandler[Any, Any]:
        # Requests arrive as bytes, so that what cannot be decoded is answered as the client's mistake, not as ours.
        serialize = plain.response_serializer
        inner = plain.unary_unary or plain.unary_stream or plain.stream_unary or plain.stream_stream

        async def unary(request: bytes, context: Any) -> Message:
            async with self._guarded(method, context) as call:
                return await self._unary(method, call, _decoded(method, request), inner, context)

        async def to_unary(requests: AsyncIterator[bytes], context: Any) -> Message:
            async with self._guarded(method, context) as call, self._while_good(call):
                reply: Message = await inner(_decoded_stream(method, requests), context)
                return reply

        async def to_stream(request: bytes, context: Any) -> None:
            async with self._guarded(method, context) as call, self._while_good(call):
                await _forward(inner(_decoded(method, request), context), context, call)

        async def both(requests: AsyncIterator[bytes], context: Any) -> None:
            async with self._guarded(method, context) as call, self._while_good(call):
                await _forward(inner(_decoded_stream(method, requests), context), context, call)

        if plain.request_streaming:
            if plain.response_streaming:
                return grpc.stream_stream_rpc_method_handler(both, None, serialize)
            return grpc.stream_unary_rpc_method_handler(to_unary, None, serialize)
        if plain.response_streaming:
            return grpc.unary_stream_rpc_method_handler(to_stream, None, serialize)
        return grpc.unary_unary_rpc_method_handler(unary, None, serialize)

    @asynccontextmanager
    async def _guarded(self, method: _Method, context: Any) -> AsyncIterator[_Started]:
        """What every call gets: a span, a measured duration, a principal, errors as a rich status."""
        metadata = {key: value for key, value in (context.invocation_metadata() or ()) if isinstance(value, str)}
        call = _Call(self._sessions, preferred_locale(metadata.get("accept-language")))
        # The call's task ends with the call, so nothing needs to be set back.
        _call.set(call)
        started = _Started(call, metadata, time.perf_counter())
        outcome = "CANCELLED"
        span = telemetry.span(
            method.name.lstrip("/"), metadata.get("traceparent"), kind=SpanKind.SERVER, rpc_method=method.name
        )
        try:
            with telemetry.serving(self._service), span as current:
                try:
                    await self._admit(method, context, started)
                    yield started
                    outcome = _set_code(context)
                except grpc.aio.AbortError:
                    outcome = _set_code(context, "UNKNOWN")
                    raise
                except Exception as error:
                    known = classify(error, call.locale)
                    outcome = code_of(known).name
                    await _abort(context, known, call.locale)
                finally:
                    telemetry.annotate(current, rpc_status=outcome)
        finally:
            elapsed = (started.first_reply or time.perf_counter()) - started.at
            metrics.RPC_DURATION.labels(self._service, method.name, outcome).observe(elapsed)

    async def _admit(self, method: _Method, context: Any, started: _Started) -> None:
        if context.time_remaining() is None:
            raise DeadlineMissing()
        scheme, _, token = started.metadata.get("authorization", "").partition(" ")
        if token and scheme.lower() == "bearer":
            started.token = token.strip()
            started.call.principal = await self._verifier.verify(started.token)
        if method.scope == ANYONE:
            return
        principal = me()
        if method.scope != SIGNED_IN:
            principal.require_scope(method.scope)

    def _while_good(self, started: _Started) -> AbstractAsyncContextManager[None]:
        """A stream ends with the token it was opened with: revoked, signed out or run out."""
        return self._verifier.while_good(started.token) if started.token else contextlib.nullcontext()

    async def _unary(self, method: _Method, started: _Started, request: Message, inner: Any, context: Any) -> Message:
        wrong = clean(request)
        if wrong is not None:
            raise Invalid(field=wrong, message_="Không được có ký tự điều khiển.")
        async with self._sessions.open() as session:
            started.call.tx = session
            claim = _claim(method, started, request)
            if claim is not None:
                stored = await idempotency.claim(session, claim)
                if stored is not None:
                    metrics.IDEMPOTENT_REPLAYS.labels(self._service).inc()
                    context.set_trailing_metadata((("idempotency-replayed", "true"),))
                    return method.reply.FromString(stored.body)
            reply: Message = await inner(request, context)
            if _set_code(context) != "OK":
                # The servicer named a status instead of raising: what it did until then is taken back.
                await session.rollback()
                return reply
            if context.time_remaining() == 0:
                # The caller has given up and may try again: what it cannot learn of is not done.
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED)
            if claim is not None:
                await idempotency.complete(session, claim, Stored(0, {}, reply.SerializeToString()))
            await _committed(session)
            return reply


@dataclass
class _Started:
    call: _Call
    metadata: dict[str, str]
    at: float
    first_reply: float | None = None
    token: str = ""


def _set_code(context: Any, otherwise: str = "OK") -> str:
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    return next((status.name for status in grpc.StatusCode if status.value[0] == code and code), otherwise)


def _claim(method: _Method, started: _Started, request: Message) -> Claim | None:
    key = started.metadata.get("idempotency-key")
    if key is None:
        return None
    # A key belongs to somebody: shared by all who give no name, it would hand one caller the answer of another.
    who = me().subject
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return Claim(who, method.name, idempotency.checked_key(key), digest)


async def _committed(session: AsyncSession) -> None:
    """Commit to the end even where the caller gives up meanwhile: a half-sent COMMIT would leave the outcome open."""
    commit = asyncio.ensure_future(session.commit())
    try:
        await asyncio.shield(commit)
    except asyncio.CancelledError:
        await asyncio.wait([commit])
        raise


def _decoded(method: _Method, request: bytes) -> Message:
    try:
        return method.request.FromString(request)
    except (DecodeError, ValueError) as error:
        raise Malformed() from error


async def _decoded_stream(method: _Method, requests: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    async for request in requests:
        message = _decoded(method, request)
        # One bad text must not end a stream of thousands: its texts are brought to NFC, the servicer judges the rest.
        clean(message)
        yield message


async def _forward(replies: Any, context: Any, started: _Started) -> None:
    """Send what an async generator yields; a servicer that writes to the context itself is merely awaited."""
    if inspect.isawaitable(replies):
        await replies
        return
    async with contextlib.aclosing(replies):
        async for reply in replies:
            await context.write(reply)
            started.first_reply = started.first_reply or time.perf_counter()


async def _abort(context: Any, error: DomainError, locale: Locale) -> None:
    status = status_of(error, locale)
    trailing = (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("xaso-error-code", error.code),
        ("content-language", locale),
    )
    await context.abort(code_of(error), status.message, trailing)
