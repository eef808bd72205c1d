"""Telemetry of HTTP: one trace from the caller on, requests by route template, and the figures a service shows."""

import asyncio
import sys
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Mount

from chassis import http_telemetry, metrics, telemetry
from chassis.http_telemetry import HttpTelemetry

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def application() -> HttpTelemetry:
    api, app = APIRouter(prefix="/api/v1"), FastAPI()

    @api.get("/things/{thing}")
    async def thing(thing: str) -> dict[str, str]:
        return {"thing": thing, "traceparent": telemetry.current_traceparent()}

    @api.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError

    @api.get("/stream")
    async def stream() -> StreamingResponse:
        async def events() -> Any:
            yield "data: 1\n\n"
            await release.wait()
            yield "data: 2\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    release = asyncio.Event()
    app.include_router(api)
    app.state.release = release
    app.add_route("/healthz", lambda _request: StreamingResponse(iter(["ok"])))
    return HttpTelemetry(app, "http-tests")


@pytest.fixture
def app() -> HttpTelemetry:
    return application()


@pytest.fixture
async def client(app: HttpTelemetry) -> Any:
    origin = Starlette(routes=[Mount("/http-tests", app=app)])
    transport = httpx.ASGITransport(app=origin, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://tests") as made:
        yield made


def measured(route: str, status: str = "200", method: str = "GET", what: str = "count") -> float:
    labels = {"service": "http-tests", "method": method, "route": route, "status": status}
    return metrics.REGISTRY.get_sample_value(f"xaso_http_request_duration_seconds_{what}", labels) or 0.0


THING = "/api/v1/things/{thing}"


async def test_a_request_continues_the_callers_trace(client: httpx.AsyncClient) -> None:
    with telemetry.recorded_spans() as recorder:
        answer = await client.get("/http-tests/api/v1/things/a", headers={"traceparent": TRACEPARENT})
    (span,) = recorder.get_finished_spans()
    assert answer.json()["traceparent"].startswith(TRACEPARENT[:35])
    assert span.name == f"GET {THING}"
    assert span.kind == SpanKind.SERVER
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": THING,
        "http.response.status_code": 200,
        "xaso.service": "http-tests",
    }


async def test_requests_are_measured_by_route_template(client: httpx.AsyncClient) -> None:
    before = measured(THING), measured("unmatched", "404"), measured("unmatched", "404", "OTHER")
    for name in ("a", "b"):
        await client.get(f"/http-tests/api/v1/things/{name}")
    await client.get("/http-tests/nowhere/0909123456")
    await client.request("BREW", "/http-tests/nowhere")
    assert (measured(THING), measured("unmatched", "404"), measured("unmatched", "404", "OTHER")) == (
        before[0] + 2,
        before[1] + 1,
        before[2] + 1,
    )
    assert b"0909123456" not in metrics.render_metrics()


async def test_a_bug_counts_as_500_and_marks_the_span(client: httpx.AsyncClient) -> None:
    before = measured("/api/v1/bug", "500")
    with telemetry.recorded_spans() as recorder:
        assert (await client.get("/http-tests/api/v1/bug")).status_code == 500
    assert measured("/api/v1/bug", "500") == before + 1
    assert recorder.get_finished_spans()[0].status.status_code == StatusCode.ERROR


async def test_probes_leave_no_trace(client: httpx.AsyncClient) -> None:
    with telemetry.recorded_spans() as recorder:
        assert (await client.get("/http-tests/healthz")).text == "ok"
    assert recorder.get_finished_spans() == ()


async def test_a_stream_is_measured_until_its_first_byte(app: HttpTelemetry) -> None:
    """The stream stays open for as long as the test wants; the duration must not know."""
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message.get("body") == b"data: 1\n\n":
            assert in_flight() == 1
            clock[0] += 3600
            app._app.state.release.set()  # type: ignore[attr-defined]  # it is the FastAPI application above.

    def in_flight() -> float:
        return metrics.REGISTRY.get_sample_value("xaso_http_requests_in_flight", {"service": "http-tests"}) or 0.0

    clock, real = [0.0], http_telemetry.time.perf_counter
    scope = {"type": "http", "method": "GET", "path": "/api/v1/stream", "headers": [], "query_string": b""}
    scope |= {"raw_path": b"/api/v1/stream", "scheme": "http", "server": ("tests", 80), "root_path": ""}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_telemetry.time, "perf_counter", lambda: real() + clock[0])
        await app(scope, _never, send)
    assert sent[0] == "http.response.start"
    assert in_flight() == 0
    assert measured("/api/v1/stream") == 1
    assert measured("/api/v1/stream", what="sum") < 3600


async def _never() -> Any:
    await asyncio.Event().wait()


# --- Metrics ---


def test_a_service_shows_its_own_series_and_the_process() -> None:
    metrics.OUTBOX_DEPTH.labels("one").set(3)
    metrics.OUTBOX_DEPTH.labels("two").set(5)
    families = list(text_string_to_metric_families(metrics.render_metrics("one").decode()))
    depth = next(family for family in families if family.name == "xaso_outbox_depth")
    assert [(sample.labels["service"], sample.value) for sample in depth.samples] == [("one", 3.0)]
    assert any(family.name == "process_resident_memory_bytes" for family in families) or sys.platform != "linux"
    assert b'service="two"' in metrics.render_metrics()
