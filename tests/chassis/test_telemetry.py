"""Logs, traces and metrics: only what is registered leaves the process, and one trace leads through it."""

import ast
import asyncio
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.trace import SpanKind, StatusCode

import chassis
from chassis import metrics, telemetry
from chassis.db import make_engine
from chassis.settings import ServiceSettings
from chassis.telemetry import LOG_KEYS, PERSONAL_KEYS, SPAN_ATTRIBUTES, UnregisteredName
from tests.support.running import settings_for

ROOT = Path(chassis.__file__).parents[1]
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def configure(*, strict: bool, json_logs: bool = True) -> None:
    telemetry.configure(
        settings_for(ServiceSettings, "unused", name="tests", strict_telemetry=strict, json_logs=json_logs)
    )


@pytest.fixture
def production() -> Iterator[None]:
    configure(strict=False)
    yield
    configure(strict=True, json_logs=False)


@pytest.fixture
def development() -> None:
    configure(strict=True)


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """What was logged since the last call, as JSON."""

    def read() -> list[dict[str, Any]]:
        captured = capsys.readouterr()
        assert captured.out == "", "standard output belongs to --json"
        return [json.loads(line) for line in captured.err.splitlines()]

    return read


log = telemetry.logger("tests.chassis")

# --- Logs ---


def test_a_line_says_what_where_and_when(production: None, lines: Lines) -> None:
    with telemetry.serving("petitions"), telemetry.span("work") as span:
        log.info("petition_closed", petition="p-1", unit="11074", count=2)
    (line,) = lines()
    context = span.get_span_context()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "petition_closed",
        "level": "info",
        "module": "tests.chassis",
        "service": "petitions",
        "petition": "p-1",
        "unit": "11074",
        "count": 2,
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
    }


def test_production_drops_what_is_not_registered(production: None, lines: Lines) -> None:
    log.info("resident_called", unit="11074", phone="0909123456", nickname="Tý")
    (line,) = lines()
    assert line["dropped"] == ["nickname", "phone"]
    assert "0909123456" not in json.dumps(line)
    assert "Tý" not in json.dumps(line, ensure_ascii=False)
    assert line["unit"] == "11074"


@pytest.mark.parametrize("key", ["phone", "nickname"])
def test_development_refuses_what_is_not_registered(development: None, key: str) -> None:
    with pytest.raises(UnregisteredName, match=key):
        log.info("resident_called", **{key: "x"})


def test_personal_keys_are_blanked_at_any_depth(production: None, lines: Lines) -> None:
    log.info("seen", facts=[{"Phone": "0909", "n": 1, "deep": {"address": "x", "token": "y"}}])
    (line,) = lines()
    assert line["facts"] == [{"Phone": "[redacted]", "n": 1, "deep": {"address": "x", "token": "[redacted]"}}]


def test_no_personal_key_is_registered() -> None:
    assert LOG_KEYS.isdisjoint(PERSONAL_KEYS)
    assert PERSONAL_KEYS.isdisjoint(SPAN_ATTRIBUTES)


async def test_the_text_of_an_exception_stays_inside(
    production: None, lines: Lines, database: Callable[[str], str]
) -> None:
    """A database's error quotes the row it refused; the log names the constraint and the place in the code."""
    engine = make_engine(settings_for(ServiceSettings, database("telemetry"), name="tests"))
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE person (phone text CONSTRAINT one_phone UNIQUE)"))
    insert = sa.text("INSERT INTO person VALUES (:phone)")
    try:
        async with engine.begin() as connection:
            await connection.execute(insert, {"phone": "0909123456"})
            await connection.execute(insert, {"phone": "0909123456"})
    except sa.exc.IntegrityError as error:
        log.error("write_failed", exc_info=error)
    await engine.dispose()
    (line,) = lines()
    assert "0909123456" not in json.dumps(line)
    assert "23505 one_phone" in line["exception"]
    assert "test_telemetry.py" in line["exception"]


def test_development_sees_the_whole_exception(development: None, lines: Lines) -> None:
    try:
        raise ValueError("the reason")
    except ValueError:
        log.exception("failed")
    assert "the reason" in lines()[0]["exception"]


def test_libraries_speak_through_the_same_lines(production: None, lines: Lines) -> None:
    logging.getLogger("some.library").warning("trouble with %s", "x")
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("uvicorn.access").warning("GET /petitions?phone=0909123456")
    (line,) = lines()
    assert (line["event"], line["module"], line["level"]) == ("trouble with x", "some.library", "warning")


def test_configuring_twice_does_not_double_the_lines(production: None, lines: Lines) -> None:
    configure(strict=False)
    logging.getLogger("some.library").warning("once")
    assert len(lines()) == 1


def test_people_at_a_terminal_get_words(capsys: pytest.CaptureFixture[str]) -> None:
    configure(strict=True, json_logs=False)
    log.info("started", port=8080)
    printed = capsys.readouterr().err
    assert "started" in printed
    assert not printed.startswith("{")


# --- The register and the code ---


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Every call of a method in the platform's own source, with the names of object and method."""
    for folder in ("chassis", "services", "launcher"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    place = f"{path.relative_to(ROOT)}:{node.lineno}"
                    yield place, f"{ast.unparse(node.func.value)}.{node.func.attr}", node


def test_every_log_key_in_the_code_is_registered() -> None:
    levels = {f"{name}.{level}" for name in ("log", "self.log", "self._log") for level in _LEVELS}
    used = [(place, word.arg) for place, name, call in calls() if name in levels for word in call.keywords]
    assert len(used) > 20
    assert [f"{place} {key}" for place, key in used if key is not None and key not in LOG_KEYS] == []


_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


def test_every_span_attribute_in_the_code_is_registered() -> None:
    known = {"traceparent", "kind", *SPAN_ATTRIBUTES}
    used = [
        (place, word.arg)
        for place, name, call in calls()
        if name in ("telemetry.span", "telemetry.annotate")
        for word in call.keywords
    ]
    assert used
    assert [f"{place} {key}" for place, key in used if key is not None and key not in known] == []


def test_metrics_are_made_in_one_file_and_name_their_service() -> None:
    makers = {"Counter", "Gauge", "Histogram", "Summary", "Info"}
    for folder in ("chassis", "services", "launcher"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "metrics.py" or folder != "chassis":
                source = path.read_text("utf-8")
                assert not re.search(
                    r"from prometheus_client[\w.]* import .*\b(" + "|".join(makers) + r")\b", source
                ), path
    ours = [family for family in metrics.REGISTRY.collect() if family.name.startswith("xaso_")]
    assert len(ours) > 10
    for metric in vars(metrics).values():
        if type(metric).__name__ in makers:
            assert metric._labelnames[0] == "service", metric


# --- Traces ---


def test_spans_nest_and_carry_registered_attributes(development: None) -> None:
    with (
        telemetry.recorded_spans() as recorder,
        telemetry.serving("media"),
        telemetry.span("outer", unit="11074"),
        telemetry.span("inner", count=3, device=None),
    ):
        inside = telemetry.current_traceparent()
    inner, outer = recorder.get_finished_spans()
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert dict(outer.attributes or {}) == {"xaso.service": "media", "xaso.unit": "11074"}
    assert dict(inner.attributes or {}) == {"xaso.service": "media", "xaso.count": 3}
    assert inside.split("-")[1:3] == [f"{inner.context.trace_id:032x}", f"{inner.context.span_id:016x}"]
    assert telemetry.current_traceparent() == ""


def test_a_span_continues_the_trace_it_is_handed() -> None:
    """As a consumer does with an event: the parent is the event's, not whatever runs around it."""
    with (
        telemetry.recorded_spans() as recorder,
        telemetry.span("around"),
        telemetry.span("consume", TRACEPARENT, kind=SpanKind.CONSUMER),
    ):
        handed_on = telemetry.current_traceparent()
    span = recorder.get_finished_spans()[0]
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}-{span.parent.span_id:016x}" == TRACEPARENT[3:-3]
    assert handed_on.startswith(TRACEPARENT[:35])


@pytest.mark.parametrize("junk", ["", "x", "00-0-0-00", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "é" * 600])
def test_a_broken_traceparent_begins_a_trace(junk: str) -> None:
    with telemetry.recorded_spans() as recorder, telemetry.span("work", junk):
        pass
    (span,) = recorder.get_finished_spans()
    assert span.parent is None


def test_a_failed_span_tells_the_type_and_not_the_text() -> None:
    with telemetry.recorded_spans() as recorder, pytest.raises(ValueError, match="0909"), telemetry.span("work"):
        raise ValueError("0909123456")
    (span,) = recorder.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert "0909" not in span.to_json()


def test_an_unregistered_attribute_is_refused_or_dropped(production: None) -> None:
    with telemetry.recorded_spans() as recorder, telemetry.span("work", phone="0909123456"):
        pass
    assert "0909123456" not in recorder.get_finished_spans()[0].to_json()
    configure(strict=True)
    with pytest.raises(UnregisteredName, match="phone"), telemetry.span("work", phone="0909123456"):
        pass


EXPORT = """
import asyncio, sys
from chassis import telemetry
from chassis.settings import ServiceSettings

settings = ServiceSettings(name="tests", otlp_endpoint=sys.argv[1])
telemetry.configure(settings)
telemetry.configure(settings)
with telemetry.serving("tests"), telemetry.span("exported", unit="11074"):
    pass
"""


async def test_spans_reach_a_collector_before_the_process_ends() -> None:
    received: list[str] = []

    async def export(request: bytes, _context: Any) -> bytes:
        message = trace_service_pb2.ExportTraceServiceRequest.FromString(request)
        received.extend(s.name for r in message.resource_spans for scope in r.scope_spans for s in scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse().SerializeToString()

    collector = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler(
        "opentelemetry.proto.collector.trace.v1.TraceService",
        {"Export": grpc.unary_unary_rpc_method_handler(export)},
    )
    collector.add_generic_rpc_handlers((handler,))
    port = collector.add_insecure_port("127.0.0.1:0")
    await collector.start()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", EXPORT, f"http://127.0.0.1:{port}", cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, complaints = await asyncio.wait_for(process.communicate(), 60)
    await collector.stop(0)
    assert (process.returncode, received) == (0, ["exported"]), complaints.decode()
