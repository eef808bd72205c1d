"""Owns what is counted and measured: every metric of the platform is registered in this file. Nothing personal is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric

REGISTRY = CollectorRegistry()
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

OUTBOX_DEPTH = Gauge("xaso_outbox_depth", "Events written but not published yet.", ["service"], registry=REGISTRY)
OUTBOX_AGE = Gauge(
    "xaso_outbox_oldest_age_seconds", "Age of the oldest unpublished event.", ["service"], registry=REGISTRY
)
EVENTS_PUBLISHED = Counter(
    "xaso_events_published_total", "Events acknowledged by the broker.", ["service"], registry=REGISTRY
)
RELAY_FAILURES = Counter("xaso_relay_failures_total", "Failed rounds of the relay.", ["service"], registry=REGISTRY)
CONSUMER_LAG = Gauge(
    "xaso_consumer_lag", "Events of a partition not consumed yet.", ["service", "topic", "partition"], registry=REGISTRY
)
EVENTS_CONSUMED = Counter(
    "xaso_events_consumed_total",
    "Events taken from Kafka by outcome (applied, duplicate, ignored, dead).",
    ["service", "outcome"],
    registry=REGISTRY,
)
EVENT_DELAY = Histogram(
    "xaso_event_delay_seconds",
    "From an event's time to its effect committed here.",
    ["service"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0),
    registry=REGISTRY,
)
CONSUMER_RETRIES = Counter(
    "xaso_consumer_retries_total", "Batches tried again after a passing trouble.", ["service"], registry=REGISTRY
)
CONSUMER_STOPPED = Gauge(
    "xaso_consumer_stopped",
    "1 where the consumer stopped because too many events died.",
    ["service"],
    registry=REGISTRY,
)
STREAM_GAPS = Counter(
    "xaso_stream_gap_records_total",
    "Offsets that a stream did not find where it expected them: removed (unread), cut (the log is shorter), hole.",
    ["service", "topic", "reason"],
    registry=REGISTRY,
)
DEAD_LETTERS = Gauge("xaso_dead_letters", "Dead letters waiting for a person.", ["service"], registry=REGISTRY)
HTTP_DURATION = Histogram(
    "xaso_http_request_duration_seconds",
    "Duration of HTTP requests; of a stream, until its first byte.",
    ["service", "method", "route", "status"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
HTTP_IN_FLIGHT = Gauge(
    "xaso_http_requests_in_flight", "HTTP requests being answered, streams included.", ["service"], registry=REGISTRY
)
RPC_DURATION = Histogram(
    "xaso_rpc_duration_seconds",
    "Duration of gRPC calls on the server.",
    ["service", "method", "status"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
IDEMPOTENT_REPLAYS = Counter(
    "xaso_idempotent_replays_total", "Writes answered from the stored response.", ["service"], registry=REGISTRY
)
AUDIT_UNSEALED = Gauge("xaso_audit_unsealed", "Audit rows not chained yet.", ["service"], registry=REGISTRY)
AUDIT_SEALED = Counter("xaso_audit_sealed_total", "Audit rows chained.", ["service"], registry=REGISTRY)
AUDIT_FINDINGS = Gauge(
    "xaso_audit_findings", "Findings of the last verification of the audit log.", ["service"], registry=REGISTRY
)
TASK_FAILURES = Counter(
    "xaso_task_failures_total",
    "Background tasks that failed and were started again.",
    ["service", "task"],
    registry=REGISTRY,
)
DEVICES = Gauge("xaso_devices", "Loudspeakers and cameras by state.", ["service", "kind", "state"], registry=REGISTRY)
DEVICE_MESSAGES = Counter(
    "xaso_device_messages_total",
    "Messages of devices by outcome (changed, same, stale, acknowledged, or the reason of a refusal).",
    ["service", "outcome"],
    registry=REGISTRY,
)
HUB_CONNECTED = Gauge(
    "xaso_hub_connected", "1 where this process is the MQTT hub and has its broker.", ["service"], registry=REGISTRY
)
STREAM_CLIENTS = Gauge("xaso_stream_clients", "Open live streams.", ["service"], registry=REGISTRY)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

METRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST


class _OneService:
    """The registry without the series of the other services that share the process."""

    def __init__(self, service: str) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        for family in REGISTRY.collect():
            samples = [s for s in family.samples if s.labels.get("service", self._service) == self._service]
            if samples:
                mine = Metric(family.name, family.documentation, family.type, family.unit)
                mine.samples = samples
                yield mine


def render_metrics(service: str | None = None) -> bytes:
    """The metrics in Prometheus' text format; of one service and of the process where ``service`` is given."""
    source: Any = REGISTRY if service is None else _OneService(service)
    return generate_latest(source)
