"""Owns how events of other services take effect: once each, in the order of their key, with nothing dropped.

One database transaction holds the inbox rows, what the handlers do and what they publish; only then is the Kafka offset
committed. Errors fall into three classes: *benign* (a duplicate of this very event: skipped), *transient* (the
database is away: tried again in place, never set aside) and *permanent* (a bounded number of tries, then the
dead-letter table). Too many dead letters in a short time stop the consumer: after a bad release it must not drain
everything into the table.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from google.protobuf.message import DecodeError, Message
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import dead_letters, inbox, kafka, metrics, telemetry
from chassis.db import Sessions, is_transient, now
from chassis.settings import ServiceSettings

log = telemetry.logger(__name__)

M = TypeVar("M", bound=Message)
CLUSTER_CHECK_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 5.0
FETCH_DEADLINE_SECONDS = 15.0


@dataclass(frozen=True)
class Event(Generic[M]):
    """One event as its handler sees it: CloudEvents attributes and the decoded message.

    `sequence` counts the events of `subject` without gaps; a handler applies an event only where it is newer than what
    it has stored for the subject.
    """

    id: uuid.UUID
    source: str
    type: str
    subject: str
    time: datetime
    sequence: int
    unit: str
    data: M
    traceparent: str | None = None


Handler = Callable[[AsyncSession, Event[Any]], Awaitable[None]]
BatchHandler = Callable[[AsyncSession, Sequence[Event[Any]]], Awaitable[None]]


class Poison(Exception):
    """A record that can never be read: headers missing, unknown shape, payload that is not the named message."""


class Halted(Exception):
    """The consumer stopped itself because too much failed at once."""


class Consumers:
    """The handlers of one service. Use an instance as a decorator: `@on(PetitionClosed)`."""

    def __init__(self) -> None:
        self.handlers: dict[str, tuple[type[Message], Handler]] = {}
        self.after_batch: list[BatchHandler] = []

    def __call__(self, *messages: type[M]) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            for message in messages:
                name = message.DESCRIPTOR.full_name
                if name in self.handlers:
                    raise ValueError(f"two handlers for {name}")
                self.handlers[name] = (message, handler)
            return handler

        return register

    def after(self, handler: BatchHandler) -> BatchHandler:
        """Register work to do once per batch, in its transaction, after the handlers of its events."""
        self.after_batch.append(handler)
        return handler

    @property
    def topics(self) -> list[str]:
        return sorted({m.DESCRIPTOR.file.package for m, _ in self.handlers.values()})

    def decode(self, headers: dict[str, str], payload: bytes | None) -> Event[Any] | None:
        """The event, or None for a type this service does not ask for; raises Poison."""
        kind = headers.get("ce_type")
        if not kind:
            raise Poison("no ce_type header")
        if kind not in self.handlers:
            return None
        message = self.handlers[kind][0]()
        try:
            message.ParseFromString(payload or b"")
            return Event(
                id=uuid.UUID(headers["ce_id"]),
                source=headers.get("ce_source", ""),
                type=kind,
                subject=headers["ce_subject"],
                time=datetime.fromisoformat(headers["ce_time"]),
                sequence=int(headers["ce_sequence"]),
                unit=headers.get("ce_unit", ""),
                data=message,
                traceparent=headers.get("traceparent"),
            )
        except (DecodeError, KeyError, ValueError) as error:
            raise Poison(f"{type(error).__name__}: {error}") from error

    async def apply(self, tx: AsyncSession, events: Sequence[Event[Any]]) -> int:
        """Give each event that had no effect before to its handler, within `tx`; returns how many had none."""
        fresh = await inbox.claim(tx, [e.id for e in events])
        done: list[Event[Any]] = []
        for event in events:
            if event.id not in fresh:
                continue
            fresh.discard(event.id)
            with telemetry.span("event.handle", event.traceparent, event_type=event.type):
                await self.handlers[event.type][1](tx, event)
            done.append(event)
        if done:
            for after in self.after_batch:
                await after(tx, done)
        return len(done)


def text_headers(record: ConsumerRecord) -> dict[str, str]:
    """The headers of a record as text; bytes that are no UTF-8 are kept readable."""
    return {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}


@dataclass
class Consumer:
    """Runs the handlers of one service against Kafka. `run` never returns by itself; cancel it to stop."""

    settings: ServiceSettings
    sessions: Sessions
    registry: Consumers
    halted: str = ""
    connected: bool = False
    _deaths: deque[float] = field(default_factory=deque)
    _cluster: str = ""
    _cluster_checked: float = 0.0

    @property
    def group(self) -> str:
        return f"{self.settings.topic_prefix}{self.settings.name}"

    async def run(self) -> None:
        """Consume until cancelled; survives the loss of Kafka and of PostgreSQL."""
        pause = 0.2
        while True:
            started = time.monotonic()
            try:
                with kafka.stray_cancellation():
                    await self._life()
            except Halted as error:
                self.halted = str(error)
                metrics.CONSUMER_STOPPED.labels(self.settings.name).set(1)
                log.error("consumer_halted", error=str(error))
                await asyncio.Event().wait()
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("consumer_failed", error=type(error).__name__)
            self.connected = False
            pause = 0.2 if time.monotonic() - started > 5 else min(pause * 2, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _life(self) -> None:
        topics = [self.settings.topic_prefix + t for t in self.registry.topics]
        self._cluster = await kafka.cluster_id(self.settings)
        self._cluster_checked = time.monotonic()
        await kafka.ensure_topics(self.settings, topics)
        consumer = kafka.consumer(self.settings, topics, self.group)
        try:
            async with asyncio.timeout(kafka.START_DEADLINE_SECONDS):
                await consumer.start()
            self.connected = True
            while True:
                async with asyncio.timeout(FETCH_DEADLINE_SECONDS):
                    batches = await consumer.getmany(timeout_ms=250, max_records=self.settings.consumer_batch)
                if batches:
                    await self._take(consumer, batches)
                if await self._cluster_changed():
                    log.warning("consumer_meets_new_cluster")
                    return
        finally:
            await kafka.close_quietly(consumer)

    async def _cluster_changed(self) -> bool:
        """Whether the broker is not the one we began with: positions of the old log mean nothing in the new one."""
        if time.monotonic() - self._cluster_checked < CLUSTER_CHECK_SECONDS:
            return False
        cluster = await kafka.cluster_id(self.settings)
        self._cluster_checked = time.monotonic()
        return cluster != self._cluster

    async def _take(self, consumer: AIOKafkaConsumer, batches: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        records = [record for batch in batches.values() for record in batch]
        await self.process(records)
        offsets = {partition: batch[-1].offset + 1 for partition, batch in batches.items()}
        try:
            async with asyncio.timeout(FETCH_DEADLINE_SECONDS):
                await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            # The partitions went to another member meanwhile: it reads these events again and the inbox absorbs them.
            log.info("consumer_commit_refused")
        for partition in batches:
            high = consumer.highwater(partition)
            if high is not None:
                lag = max(0, high - offsets[partition])
                metrics.CONSUMER_LAG.labels(self.settings.name, partition.topic, str(partition.partition)).set(lag)

    async def process(self, records: Sequence[ConsumerRecord]) -> None:
        """Bring `records` into effect, all in one transaction where nothing fails, else one by one."""
        events: list[Event[Any]] = []
        try:
            for record in records:
                event = self.registry.decode(text_headers(record), record.value)
                if event is not None:
                    events.append(event)
        except Poison:
            await self._one_by_one(records)
            return
        if not events:
            return
        pause = 0.05
        while True:
            try:
                async with self.sessions.begin() as tx:
                    fresh = await self.registry.apply(tx, events)
                self._count("applied", fresh)
                self._count("duplicate", len(events) - fresh)
                self._measure_delay(events[-1])
                return
            except Exception as error:
                if not is_transient(error):
                    await self._one_by_one(records)
                    return
                metrics.CONSUMER_RETRIES.labels(self.settings.name).inc()
                log.warning("consumer_waits", error=type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _one_by_one(self, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            await self._one(record)

    async def _one(self, record: ConsumerRecord) -> None:
        tries = 0
        pause = 0.05
        while True:
            try:
                event = self.registry.decode(text_headers(record), record.value)
                if event is None:
                    return
                async with self.sessions.begin() as tx:
                    fresh = await self.registry.apply(tx, [event])
                self._count("applied" if fresh else "duplicate", 1)
                return
            except Poison as error:
                await self._bury(record, f"unreadable: {error}", tries=1)
                return
            except Exception as error:
                if not is_transient(error):
                    tries += 1
                    if tries >= self.settings.consumer_tries:
                        await self._bury(record, telemetry.describe(error), tries)
                        return
                log.warning("consumer_retries", error=type(error).__name__, count=tries)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _bury(self, record: ConsumerRecord, reason: str, tries: int) -> None:
        """Set a record aside; keeps trying while the database is away, since dropping it is the one forbidden thing."""
        headers = text_headers(record)
        pause = 0.05
        while True:
            try:
                async with self.sessions.begin() as tx:
                    await dead_letters.add(tx, record, headers, self._cluster, reason, tries)
                break
            except Exception as error:
                if not is_transient(error):
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        self._count("dead", 1)
        log.error("event_set_aside", event_type=headers.get("ce_type", ""), error=reason[:200])
        self._watch_rate()

    def _watch_rate(self) -> None:
        clock = time.monotonic()
        self._deaths.append(clock)
        while self._deaths and self._deaths[0] < clock - self.settings.dead_letter_window_seconds:
            self._deaths.popleft()
        if len(self._deaths) >= self.settings.dead_letter_stop:
            raise Halted(
                f"{len(self._deaths)} dead letters within {self.settings.dead_letter_window_seconds} s: "
                "mend the cause, then restart the consumer"
            )

    def _measure_delay(self, event: Event[Any]) -> None:
        delay = (now() - event.time).total_seconds()
        metrics.EVENT_DELAY.labels(self.settings.name).observe(max(0.0, delay))

    def _count(self, outcome: str, count: int) -> None:
        if count:
            metrics.EVENTS_CONSUMED.labels(self.settings.name, outcome).inc(count)
