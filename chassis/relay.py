"""Owns the way from the outbox to Kafka: sends in order, marks after the acknowledgement, refills a lost broker.

One relay of a service is active at a time (a session-level advisory lock); marking happens on the connection that holds
the lock, so a relay that lost its lock cannot mark. Rows are found by `published_at IS NULL`, never by a high-water
mark: an id is given before its transaction commits, so a higher id may become visible first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chassis import kafka, metrics, telemetry
from chassis.db import now
from chassis.settings import ServiceSettings

log = telemetry.logger(__name__)

CONTENT_TYPE = b"application/protobuf"
CLUSTER_CHECK_SECONDS = 5.0
MEASURE_SECONDS = 2.0

_SELECT = """
    SELECT id, event_id, topic, key, type, subject, sequence, unit, occurred_at, traceparent, payload
    FROM outbox WHERE published_at IS NULL AND NOT (key = ANY($1::text[])) ORDER BY id LIMIT $2
"""
_MARK = "UPDATE outbox SET published_at = clock_timestamp() WHERE id = ANY($1::bigint[])"
_FAILED = "UPDATE outbox SET attempts = attempts + 1, last_error = $2 WHERE id = $1"
_AGE = """
    SELECT count(*) AS depth, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age
    FROM outbox WHERE published_at IS NULL
"""


def dsn(settings: ServiceSettings) -> str:
    """The database address as asyncpg itself reads it."""
    return settings.database_url.replace("postgresql+asyncpg://", "postgresql://")


def headers_of(row: Any, source: str) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0 headers of the Kafka binding, binary mode."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(row["event_id"]).encode()),
        ("ce_source", source.encode()),
        ("ce_type", row["type"].encode()),
        ("ce_subject", row["subject"].encode()),
        ("ce_time", row["occurred_at"].isoformat().encode()),
        ("ce_sequence", str(row["sequence"]).encode()),
        ("ce_unit", row["unit"].encode()),
        ("content-type", CONTENT_TYPE),
    ]
    if row["traceparent"]:
        headers.append(("traceparent", row["traceparent"].encode()))
    return headers


@dataclass
class Blocked:
    """A key whose next event the broker refused: later events of the key wait until `until` (monotonic seconds)."""

    until: float
    tries: int


@dataclass
class Relay:
    """Sends one service's outbox. `run` never returns by itself; cancel it to stop."""

    settings: ServiceSettings
    blocked: dict[str, Blocked] = field(default_factory=dict)
    active: bool = False
    _producer: AIOKafkaProducer | None = None
    _topics: set[str] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _cluster_checked: float = 0.0
    _measured: float = 0.0

    @property
    def source(self) -> str:
        return f"/xaso/{self.settings.name}"

    async def run(self) -> None:
        """Be the active relay or wait to become it; survives the loss of PostgreSQL and of Kafka."""
        pause = 0.2
        try:
            while True:
                started = time.monotonic()
                try:
                    with kafka.stray_cancellation():
                        await self._active_life()
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError) as error:
                    metrics.RELAY_FAILURES.labels(self.settings.name).inc()
                    log.warning("relay_failed", error=type(error).__name__)
                    await self._drop_producer()
                pause = 0.2 if time.monotonic() - started > 5 else min(pause * 2, 5.0)
                await asyncio.sleep(pause)
        finally:
            await self._drop_producer()

    async def _active_life(self) -> None:
        connection = await asyncpg.connect(dsn(self.settings), timeout=5, command_timeout=30)
        try:
            # Waits in the server until the relay before us is gone; in rounds, so that a cancelled wait ends soon.
            while not await self._lock(connection):
                continue
            self.active = True
            await connection.add_listener("outbox", lambda *_: self._wake.set())
            while True:
                await self._check_cluster(connection)
                self._wake.clear()
                sent = await self.round(connection)
                await self._measure(connection)
                if sent < self.settings.relay_batch:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), self.settings.relay_poll_seconds)
        finally:
            self.active = False
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=2)

    async def _lock(self, connection: asyncpg.Connection) -> bool:
        """Whether this process is the active relay now; waits up to five seconds to become it."""
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '5s'")
                await connection.execute("SELECT pg_advisory_lock(hashtext('xaso-relay'))")
        except asyncpg.LockNotAvailableError:
            return False
        return True

    async def round(self, connection: asyncpg.Connection) -> int:
        """Send one batch of unpublished rows and mark what was acknowledged; returns how many were."""
        clock = time.monotonic()
        waiting = [key for key, b in self.blocked.items() if b.until > clock]
        rows = await connection.fetch(_SELECT, waiting, self.settings.relay_batch)
        if not rows:
            return 0
        topics = {self.settings.topic_prefix + row["topic"] for row in rows}
        producer = await self._live_producer(topics)
        acknowledged, trouble = await self._send(connection, producer, rows)
        if acknowledged:
            await connection.execute(_MARK, acknowledged)
            metrics.EVENTS_PUBLISHED.labels(self.settings.name).inc(len(acknowledged))
        if trouble is not None:
            raise trouble
        return len(acknowledged)

    async def _send(
        self, connection: asyncpg.Connection, producer: AIOKafkaProducer, rows: list[Any]
    ) -> tuple[list[int], BaseException | None]:
        """The ids that were acknowledged, and the first trouble that calls for a fresh producer."""
        futures: list[tuple[int, str, asyncio.Future[Any]]] = []
        refused: set[str] = set()
        trouble: BaseException | None = None
        try:
            async with asyncio.timeout(self.settings.send_deadline_seconds):
                for row in rows:
                    if row["key"] in refused:
                        continue
                    try:
                        future = await producer.send(
                            self.settings.topic_prefix + row["topic"],
                            row["payload"],
                            key=row["key"].encode(),
                            timestamp_ms=int(row["occurred_at"].timestamp() * 1000),
                            headers=headers_of(row, self.source),
                        )
                    except (ValueError, KafkaError) as error:
                        if isinstance(error, KafkaError) and getattr(error, "retriable", False):
                            raise
                        # The broker will never take this row as it is: only its own key waits behind it.
                        refused.add(row["key"])
                        await self._refuse(connection, row, error)
                        continue
                    futures.append((row["id"], row["key"], future))
                if futures:
                    await asyncio.wait([f for _, _, f in futures])
        except (TimeoutError, KafkaError) as error:
            trouble = error
        acknowledged = []
        for row_id, key, future in futures:
            if not future.done():
                future.cancel()
                continue
            failure = None if future.cancelled() else future.exception()
            if failure is None and not future.cancelled():
                acknowledged.append(row_id)
                self.blocked.pop(key, None)
            elif failure is not None:
                trouble = trouble or failure
        return acknowledged, trouble

    async def _refuse(self, connection: asyncpg.Connection, row: Any, error: Exception) -> None:
        before = self.blocked.get(row["key"])
        tries = before.tries + 1 if before else 1
        self.blocked[row["key"]] = Blocked(time.monotonic() + min(2.0**tries, 300.0), tries)
        metrics.RELAY_FAILURES.labels(self.settings.name).inc()
        log.error("relay_refused", error=type(error).__name__, event_type=row["type"], event_id=str(row["event_id"]))
        await connection.execute(_FAILED, row["id"], f"{type(error).__name__}: {error}"[:500])

    async def _live_producer(self, topics: set[str]) -> AIOKafkaProducer:
        if not topics <= self._topics:
            await kafka.ensure_topics(self.settings, topics)
            self._topics |= topics
        if self._producer is None:
            producer = kafka.producer(self.settings)
            try:
                async with asyncio.timeout(kafka.START_DEADLINE_SECONDS):
                    await producer.start()
            except BaseException:
                await kafka.close_quietly(producer)
                raise
            self._producer = producer
        return self._producer

    async def _drop_producer(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await kafka.abandon(producer)
        self._topics.clear()
        self._cluster_checked = 0.0

    async def _check_cluster(self, connection: asyncpg.Connection) -> None:
        """Refill a broker that is not the one we published to: it was replaced or lost its log."""
        if time.monotonic() - self._cluster_checked < CLUSTER_CHECK_SECONDS:
            return
        cluster = await kafka.cluster_id(self.settings)
        async with connection.transaction():
            known = await connection.fetchval("SELECT cluster FROM relay_state FOR UPDATE")
            if known is None:
                await connection.execute("INSERT INTO relay_state (cluster) VALUES ($1)", cluster)
            elif known != cluster:
                await connection.execute("UPDATE relay_state SET cluster = $1", cluster)
                count = await republish(connection, timedelta(days=self.settings.outbox_retention_days))
                log.warning("relay_refills_broker", count=count)
        if known is not None and known != cluster:
            await self._drop_producer()
        self._cluster_checked = time.monotonic()

    async def _measure(self, connection: asyncpg.Connection) -> None:
        """Tell the depth and age of the outbox, at most every two seconds: the count walks the unpublished rows."""
        if time.monotonic() - self._measured < MEASURE_SECONDS:
            return
        self._measured = time.monotonic()
        row = await connection.fetchrow(_AGE)
        if row is not None:
            metrics.OUTBOX_DEPTH.labels(self.settings.name).set(row["depth"])
            metrics.OUTBOX_AGE.labels(self.settings.name).set(row["age"])


async def republish(connection: asyncpg.Connection, since: timedelta) -> int:
    """Send again what was published within `since`; consumers absorb the duplicates. Returns how many rows."""
    status: str = await connection.execute(
        "UPDATE outbox SET published_at = NULL WHERE published_at >= $1", now() - since
    )
    return int(status.rsplit(" ", 1)[1])
