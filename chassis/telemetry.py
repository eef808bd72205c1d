"""Logs and traces: every log key and span attribute of the platform is registered in this file (metrics: `metrics.py`).

What is not registered does not leave the process: with ``strict_telemetry`` (tests, development) it raises, in
production it is dropped. Nothing personal is registered, and texts of exceptions, which may quote a row, stay out of
production logs.
"""

from __future__ import annotations

import atexit
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import structlog
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from chassis.settings import ServiceSettings

# --- What may leave the process -------------------------------------------------------------------------------------

LOG_KEYS: frozenset[str] = frozenset(
    # Set by this module itself.
    {"event", "level", "timestamp", "module", "service", "trace_id", "span_id", "exception", "dropped", "exc_info"}
    # What happened, to what, and how it ended.
    | {"action", "outcome", "error", "code", "reason", "status", "state", "count", "seconds", "tries", "limit", "hint"}
    | {"accepted", "duplicate", "rejected", "total", "version", "signal", "enabled", "size"}
    # Requests.
    | {"method", "route", "scope", "client_id", "deadline", "target"}
    # Events, outbox, consumers.
    | {
        "event_id",
        "event_type",
        "topic",
        "partition",
        "offset",
        "sequence",
        "subject",
        "group",
        "key",
        "lag",
        "cluster",
    }
    | {"task", "process", "pid", "host", "port", "grpc_port", "address", "depth", "since", "attempt", "batch"}
    # Domain identifiers: opaque ids and unit codes, never a person's.
    | {"unit", "level_name", "set", "item", "measure", "device", "camera", "speaker", "bulletin", "petition", "product"}
    | {"listing", "facts", "units", "checkpoint", "finding", "migration", "kid", "path", "source"}
)
"""Keys a log line may carry. ``target``, ``subject`` and ``path`` are ids and unit paths, ``address`` is host:port."""

PERSONAL_KEYS: frozenset[str] = frozenset(
    {"phone", "name", "full_name", "email", "password", "token", "secret", "authorization", "cookie", "citizen_id"}
    | {"birth_date", "date_of_birth", "place", "latitude", "longitude", "photo", "body", "text", "content", "comment"}
    | {
        "access_token",
        "refresh_token",
        "id_token",
        "client_secret",
        "csrf_token",
        "user",
        "username",
        "ip",
        "code_verifier",
    }
)
"""Keys that never pass, at any depth of a value."""

SPAN_ATTRIBUTES: Mapping[str, str] = {
    "service": "xaso.service",
    "http_method": "http.request.method",
    "http_route": "http.route",
    "http_status": "http.response.status_code",
    "rpc_method": "rpc.method",
    "rpc_status": "rpc.grpc.status_code",
    "rpc_peer": "server.address",
    "topic": "messaging.destination.name",
    "partition": "messaging.destination.partition.id",
    "offset": "messaging.kafka.offset",
    "event_type": "cloudevents.event_type",
    "event_id": "cloudevents.event_id",
    "subject": "cloudevents.event_subject",
    "sequence": "cloudevents.event_sequence",
    "unit": "xaso.unit",
    "outcome": "xaso.outcome",
    "count": "xaso.count",
    "task": "xaso.task",
    "device": "xaso.device",
    "set": "xaso.set",
    "measure": "xaso.measure",
}
"""Keyword of :func:`span` → name of the attribute (OpenTelemetry semantic conventions where there is one)."""

# --- Logs -----------------------------------------------------------------------------------------------------------


class UnregisteredName(Exception):
    """A log key or span attribute is used that is not registered in ``chassis/telemetry.py``."""


_service: ContextVar[str] = ContextVar("xaso_service", default="")
_strict = False


@contextmanager
def serving(service: str) -> Iterator[None]:
    """Name the service on whose behalf logs and spans are written inside the block (five may share a process)."""
    mark = _service.set(service)
    try:
        yield
    finally:
        _service.reset(mark)


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a module. Events are ``snake_case`` words, details are registered keys."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(module=name))


def _place(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the service and the trace, so that a log line leads to the request or the event behind it."""
    if service := _service.get():
        event.setdefault("service", service)
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"], event["span_id"] = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return event


def _explain(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Turn ``exc_info`` into types and lines of code; the texts, which may quote a row, only where ``strict``."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else None
    if error is not None:
        event["exception"] = describe(error)
    if isinstance(event.get("error"), BaseException):
        event["error"] = type(event["error"]).__name__
    return event


def describe(error: BaseException) -> str:
    """An exception as types, SQLSTATE, constraint and places in the code, innermost cause first."""
    if _strict:
        return "".join(traceback.format_exception(error))
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < 5:
        facts = [str(value) for key in ("sqlstate", "constraint_name") if (value := getattr(seen, key, None))]
        frames = traceback.extract_tb(seen.__traceback__)
        # Our own frames say who asked, the last one says where it broke; the library's way in between says nothing.
        shown = [frame for frame in frames[:-1] if "site-packages" not in frame.filename][-10:] + frames[-1:]
        places = " > ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in shown)
        parts.append(f"{type(seen).__module__}.{type(seen).__qualname__} {' '.join(facts)} at {places}")
        seen = seen.__cause__ or getattr(seen, "orig", None) or seen.__context__
    return "\n".join(reversed(parts))


def _registered_only(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    unknown = sorted(key for key in event if key not in LOG_KEYS or key in PERSONAL_KEYS)
    if unknown and _strict:
        raise UnregisteredName(f"log keys not registered in chassis/telemetry.py: {', '.join(unknown)}")
    for key in unknown:
        del event[key]
    if unknown:
        event["dropped"] = unknown
    for key, value in event.items():
        event[key] = redacted(value)
    return event


def redacted(value: Any) -> Any:
    """A value fit for logs and the audit log: personal keys blanked at any depth, odd types as text."""
    if isinstance(value, Mapping):
        return {k: "[redacted]" if str(k).lower() in PERSONAL_KEYS else redacted(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


class _Stderr:
    """Writes to whatever standard error is now: standard output belongs to ``--json``."""

    def __init__(self, *_: Any) -> None:
        pass

    def msg(self, line: str) -> None:
        sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = exception = fatal = failure = err = warn = log = msg


class _Bridge(logging.Handler):
    """Brings what libraries log through the standard library into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger(module=record.name).log(
                record.levelno, record.getMessage()[:500], exc_info=record.exc_info or None
            )
        except Exception:
            self.handleError(record)


def _install(*, json_logs: bool, strict: bool) -> None:
    global _strict
    _strict = strict
    render: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json_logs
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _place,
            _explain,
            _registered_only,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Stderr,
        cache_logger_on_first_use=False,
    )


def configure(settings: ServiceSettings) -> None:
    """Set up logs and traces of the process. The first service that names a collector decides where traces go."""
    global _exporting
    _install(json_logs=settings.json_logs, strict=settings.strict_telemetry)
    root = logging.getLogger()
    if not any(isinstance(handler, _Bridge) for handler in root.handlers):
        root.addHandler(_Bridge(logging.WARNING))
    # Access lines carry addresses and query strings of people; the metrics and spans say what is needed.
    logging.getLogger("uvicorn.access").disabled = True
    # While a broker is away the client says so many times a second; the relay and the consumer say it once a round.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if settings.otlp_endpoint and not _exporting:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        secure = settings.otlp_endpoint.startswith("https://")
        exporter = OTLPSpanExporter(settings.otlp_endpoint, insecure=not secure, timeout=5)
        add_span_processor(BatchSpanProcessor(exporter))
        atexit.register(_provider.shutdown)
        _exporting = True


# --- Traces ---------------------------------------------------------------------------------------------------------

_exporting = False
_recording = False
"""Whether anybody receives spans. Until then a span is its two ids, which logs, outbox and calls hand on."""
_ids = RandomIdGenerator()
_provider = TracerProvider(resource=Resource.create({"service.name": "xaso"}), shutdown_on_exit=False)
_tracer = _provider.get_tracer("xaso")
_w3c = TraceContextTextMapPropagator()


def add_span_processor(processor: SpanProcessor) -> None:
    """Send finished spans to ``processor`` as well."""
    global _recording
    _recording = True
    _provider.add_span_processor(processor)


@contextmanager
def recorded_spans() -> Iterator[InMemorySpanExporter]:
    """Keep the spans that finish inside the block in memory, for tests and the doctor."""
    exporter = InMemorySpanExporter()
    add_span_processor(SimpleSpanProcessor(exporter))
    try:
        yield exporter
    finally:
        exporter.shutdown()


def flush(seconds: float = 5.0) -> None:
    """Hand over what the batch exporter still holds; at the end of the process this happens by itself."""
    _provider.force_flush(int(seconds * 1000))


def _context_of(traceparent: str | None) -> Context | None:
    return _w3c.extract({"traceparent": traceparent}, Context()) if traceparent else None


def current_traceparent() -> str:
    """The W3C ``traceparent`` of the current span; empty outside of any."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def span(
    name: str, traceparent: str | None = None, *, kind: SpanKind = SpanKind.INTERNAL, **attributes: Any
) -> AbstractContextManager[Span]:
    """A span around the block, child of ``traceparent`` where one is given, else of the current span.

    Attributes are keywords registered in ``SPAN_ATTRIBUTES``. An exception marks the span as failed with its type only.
    """
    context = _context_of(traceparent)
    if _recording:
        return _recorded(name, context, kind, attributes)
    if _strict:
        _named(attributes)
    return _Unrecorded(context)


@contextmanager
def _recorded(name: str, context: Context | None, kind: SpanKind, attributes: Mapping[str, Any]) -> Iterator[Span]:
    service = _service.get()
    named = _named({"service": service, **attributes} if service else attributes)
    with _tracer.start_as_current_span(
        name, context=context, kind=kind, attributes=named, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


class _Unrecorded:
    """A span that only has ids: a twentieth of the cost of one that nobody would receive."""

    __slots__ = ("_context", "_mark")

    def __init__(self, context: Context | None) -> None:
        self._context = context

    def __enter__(self) -> Span:
        parent = trace.get_current_span(self._context).get_span_context()
        known = parent.is_valid
        ids = SpanContext(
            parent.trace_id if known else _ids.generate_trace_id(),
            _ids.generate_span_id(),
            is_remote=False,
            # Other processes may record: what they are told must not keep them from it.
            trace_flags=parent.trace_flags if known else TraceFlags(TraceFlags.SAMPLED),
            trace_state=parent.trace_state,
        )
        current = NonRecordingSpan(ids)
        self._mark = attach(trace.set_span_in_context(current, self._context))
        return current

    def __exit__(self, *_: object) -> None:
        detach(self._mark)


def annotate(current: Span, **attributes: Any) -> None:
    """Add registered attributes to a span that runs."""
    if _strict or current.is_recording():
        current.set_attributes(_named(attributes))


def _named(attributes: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(attributes.keys() - SPAN_ATTRIBUTES.keys())
    if unknown and _strict:
        raise UnregisteredName(f"span attributes not registered in chassis/telemetry.py: {', '.join(unknown)}")
    return {
        SPAN_ATTRIBUTES[key]: value if isinstance(value, str | bool | int | float) else str(value)
        for key, value in attributes.items()
        if key in SPAN_ATTRIBUTES and value is not None
    }


# Until a service configures the process, lines are as they are in production.
_install(json_logs=True, strict=False)
