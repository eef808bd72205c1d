"""Owns how a service follows its topics as one stream: folded in memory, written set by set, exactly once.

`Consumer` gives each event to a handler within a transaction, and remembers its id in the inbox. A stream instead folds
events in memory for as long as the last write takes, and then writes what they add up to, with the offsets of all
partitions, in one transaction: while one write is under way, folding goes on. What is read twice is absorbed by the
sequences that the service stores with its facts, so there is no row per event. On start it reads on from the offsets in
its own table `stream_offset`, not from Kafka's; offsets of another cluster mean nothing and are begun anew.

What the log no longer holds is never passed over in silence (see `gaps`): reading goes on where the log begins, and
staff are told. Records that come again are left out: offsets only ever go back with a log that was cut.

The promises are those of `consumer`: transient trouble is waited out, what can never be read or written is set aside as
a dead letter, too many of them stop the stream, and nothing is dropped. A write that fails for good is read again in
ever smaller parts until the one event at fault stands alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError, OffsetOutOfRangeError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import dead_letters, gaps, kafka, metrics, stream_offsets, telemetry
from chassis.consumer import FETCH_DEADLINE_SECONDS, LONGEST_PAUSE_SECONDS, Consumer, text_headers
from chassis.db import is_transient, now
from chassis.gaps import Gap
from chassis.stream_offsets import Offsets, Superseded

log = telemetry.logger(__name__)

FETCH_RECORDS = 2000
"""Most records folded before the event loop turns to something else."""
BESIDE_RECORDS = 500
"""The same while a write is under way, whose next statement waits for its turn."""
LAGS_SECONDS = 0.25
"""How long the stream counts as lagging after a fetch that brought as much as it may: one in between may bring less."""
LAGGING_SECONDS = 0.05
"""Shortest time between two writes while the stream lags behind; none while it does not."""
ABSORBING_SECONDS = 2.0
"""The same while what comes in mostly overtakes what was folded before: the longer it folds, the less is written."""
WHOLE = 1_000_000
"""Records in one write where nothing is wrong."""

Record = ConsumerRecord
"""One record as Kafka hands it out."""


class ReadAgain(Exception):
    """A write failed for good and is to be read again in smaller parts."""


class Refused(Exception):
    """What a record says cannot be right. It is set aside like a dead letter, but it is no fault of this service."""


class Sink(Protocol):
    """What a service does with the stream. `fold`, `ahead` and `take` await nothing."""

    @property
    def size(self) -> int:
        """How many rows the next write would have."""

    def fold(self, record: ConsumerRecord, headers: dict[str, bytes]) -> bool:
        """Take one event in; False where its type does not concern the service.

        Raises Poison, Refused or anything else where it can never be used.
        """

    def ahead(self) -> bool:
        """Do some of the work of the next write while one is under way; False where nothing is left to do.

        Takes milliseconds: the write under way waits for it.
        """

    def take(self) -> Any:
        """What was folded since the last `take`, which begins anew."""

    async def write(self, tx: AsyncSession, folded: Any) -> tuple[int, list[tuple[ConsumerRecord, str]]]:
        """Write what was folded; how much of it was known before, and records that are refused, each with its reason.

        May be called again with the same after a failure.
        """

    def written(self) -> None:
        """What was written last is committed."""

    def forget(self) -> None:
        """Drop what was folded and everything kept in memory: it will be read again."""


@dataclass
class Load:
    """One write: what was folded, what is to be set aside, and how far it goes."""

    folded: Any
    dead: list[tuple[ConsumerRecord, str, bool]]
    before: Offsets
    after: Offsets
    events: int
    ignored: int
    last: datetime | None
    traceparent: str | None
    gaps: list[Gap] = field(default_factory=list)


@dataclass
class Stream(Consumer):
    """Runs a sink against Kafka. `run` never returns by itself; cancel it to stop."""

    sink: Sink = field(kw_only=True)
    most_rows: int = field(default=60_000, kw_only=True)
    """Rows folded beyond which a write begins and reading waits for the one under way, as a rebalance does."""
    _next: Offsets = field(default_factory=dict)
    _written: Offsets = field(default_factory=dict)
    _dead: list[tuple[ConsumerRecord, str, bool]] = field(default_factory=list)
    _gaps: list[Gap] = field(default_factory=list)
    _broken: Exception | None = None
    _events: int = 0
    _ignored: int = 0
    _last: ConsumerRecord | None = None
    _writing: asyncio.Task[None] | None = None
    _limit: int = WHOLE
    _tries: int = 0
    _alone: ConsumerRecord | None = None

    async def _life(self) -> None:
        topics = [self.settings.topic_prefix + t for t in self.registry.topics]
        self._cluster = await kafka.cluster_id(self.settings)
        self._cluster_checked = time.monotonic()
        await kafka.ensure_topics(self.settings, topics)
        self._broken = None
        # Where to read is said by us alone: left to itself, the client would go elsewhere without a word.
        consumer = kafka.consumer(
            self.settings,
            [],
            self.group,
            partition_assignment_strategy=(RangePartitionAssignor,),
            auto_offset_reset="none",
        )
        consumer.subscribe(topics, listener=_Listener(self, consumer))
        try:
            async with asyncio.timeout(kafka.START_DEADLINE_SECONDS):
                await consumer.start()
            self.connected = True
            await self._follow(consumer)
        finally:
            await self._stop_writing()
            self._forget()
            await kafka.close_quietly(consumer)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        wrote = full = 0.0
        lagging = False
        while True:
            if self._broken is not None:
                raise self._broken
            if self._writing is not None and self._writing.done():
                writing, self._writing = self._writing, None
                wrote = time.monotonic()
                try:
                    writing.result()
                except ReadAgain:
                    await self.assigned(consumer, consumer.assignment())
                self._measure_lag(consumer)
            waits = self._events or self._dead or self._ignored or self._gaps
            rested = self._is_full or not lagging or time.monotonic() - wrote >= self._rest
            if self._writing is None and waits and rested:
                # Snapshot and offsets without an await between them, or a crash would lose events.
                self._writing = asyncio.create_task(self._write(self._load()), name=f"{self.settings.name}:write")
            if self._writing is not None and self._is_full:
                await self._wait_for(self._writing)
                continue
            busy = self._writing is not None or waits
            most = min(FETCH_RECORDS if self._writing is None else BESIDE_RECORDS, self._limit)
            batches = await self._fetch(consumer, 4 if busy else 250, most)
            self._fold(batches)
            if sum(map(len, batches.values())) >= most:
                full = time.monotonic()
            lagging = time.monotonic() - full < LAGS_SECONDS
            # A fetch that finds records at hand gives nobody else a turn.
            await asyncio.sleep(0)
            if await self._cluster_changed():
                log.warning("consumer_meets_new_cluster")
                return

    async def _wait_for(self, writing: asyncio.Task[None]) -> None:
        """Wait for the write under way, and do meanwhile what can be done ahead of the next."""
        while not writing.done():
            if not self.sink.ahead():
                break
            await asyncio.sleep(0)
        await asyncio.wait({writing}, timeout=FETCH_DEADLINE_SECONDS)

    async def _fetch(
        self, consumer: AIOKafkaConsumer, wait_ms: int, most: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        try:
            async with asyncio.timeout(FETCH_DEADLINE_SECONDS):
                batches: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
                    timeout_ms=wait_ms, max_records=most
                )
                return batches
        except NoOffsetForPartitionError:
            # A partition is ours since a moment, and `assigned` has not said yet where to read.
            await asyncio.sleep(0.02)
        except OffsetOutOfRangeError as error:
            async with asyncio.timeout(FETCH_DEADLINE_SECONDS):
                await self._relocate(consumer, error.args[0])
        return {}

    async def _relocate(self, consumer: AIOKafkaConsumer, asked: Mapping[TopicPartition, int]) -> None:
        """The log does not hold the offsets `asked` for: go on where it begins, and note what is missing."""
        if await kafka.cluster_id(self.settings) != self._cluster:
            # It is another log altogether: `_follow` finds out at once and begins anew.
            self._cluster_checked = 0.0
            return
        for partition, beginning in (await consumer.beginning_offsets(list(asked))).items():
            expected = self._next.get(partition)
            if expected is None or asked[partition] < expected:
                # The partition was given away meanwhile, or is read from elsewhere already.
                continue
            with suppress(IllegalStateError):
                consumer.seek(partition, beginning)
                removed = beginning > asked[partition]
                self._gaps.append(Gap(partition, expected, beginning, "removed" if removed else "cut"))
                self._next[partition] = beginning

    def _fold(self, batches: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        fold = self.sink.fold
        for partition, records in batches.items():
            if partition not in self._next or not records:
                # It was taken from us while these records were on their way.
                continue
            first, expected = records[0].offset, self._next[partition]
            if first != expected or records[-1].offset - first >= len(records):
                read, (records, holes) = len(records), gaps.sifted(partition, records, expected)
                self._count("duplicate", read - len(records))
                self._gaps += holes
                if not records:
                    continue
            events = len(records)
            for record in records:
                headers = dict(record.headers)
                try:
                    if not fold(record, headers):
                        events -= 1
                        self._ignored += 1
                except Exception as error:
                    refused = isinstance(error, Refused)
                    reason = f"refused: {error}" if refused else f"unreadable: {telemetry.describe(error)}"
                    self._dead.append((record, reason, refused))
                    events -= 1
            self._events += events
            self._next[partition] = records[-1].offset + 1
            self._last = records[-1]

    @property
    def _is_full(self) -> bool:
        """Whether no more is to be folded before a write."""
        return self.sink.size >= self.most_rows or self._limit < WHOLE

    @property
    def _rest(self) -> float:
        """Seconds between two writes while the stream lags behind."""
        return ABSORBING_SECONDS if self._events > 2 * self.sink.size else LAGGING_SECONDS

    def _load(self) -> Load:
        after = {p: n for p, n in self._next.items() if n != self._written[p]}
        headers = text_headers(self._last) if self._last is not None else {}
        last = None
        with suppress(ValueError):
            last = datetime.fromisoformat(headers.get("ce_time", ""))
        load = Load(
            folded=self.sink.take(),
            dead=self._dead,
            before={p: self._written[p] for p in after},
            after=after,
            events=self._events,
            ignored=self._ignored,
            last=last if last is not None and last.tzinfo is not None else None,
            traceparent=headers.get("traceparent"),
            gaps=self._gaps,
        )
        self._alone = self._last if self._limit == 1 else None
        self._dead, self._gaps, self._events, self._ignored = [], [], 0, 0
        return load

    async def _write(self, load: Load) -> None:
        pause = 0.05
        while True:
            try:
                async with self.sessions.begin() as tx:
                    with telemetry.span("stream.write", load.traceparent, count=load.events):
                        known, refused = await self.sink.write(tx, load.folded)
                        dead = load.dead + [(record, f"refused: {reason}", True) for record, reason in refused]
                        await self._set_aside(tx, dead)
                        await gaps.set_aside(tx, self._cluster, load.gaps)
                        await stream_offsets.advance(tx, self._cluster, load.before, load.after)
                break
            except Superseded:
                raise
            except Exception as error:
                if not is_transient(error):
                    await self._fail(error)
                    raise ReadAgain from error
                metrics.CONSUMER_RETRIES.labels(self.settings.name).inc()
                log.warning("consumer_waits", error=type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        self.sink.written()
        self._written.update(load.after)
        self._limit = min(self._limit * 2, WHOLE)
        self._tries = 0
        self._count("duplicate", known)
        self._count("applied", max(0, load.events - known - len(refused)))
        self._count("ignored", load.ignored)
        if load.last is not None:
            metrics.EVENT_DELAY.labels(self.settings.name).observe(max(0.0, (now() - load.last).total_seconds()))
        gaps.tell(self.settings.name, load.gaps)
        for record, reason, harmless in dead:
            self._count("refused" if harmless else "dead", 1)
            kind = text_headers(record).get("ce_type", "")
            log.error("event_set_aside", event_type=kind, error=reason[:200])
            if not harmless:
                self._watch_rate()

    async def _set_aside(self, tx: AsyncSession, dead: Sequence[tuple[ConsumerRecord, str, bool]]) -> None:
        for record, reason, _ in dead:
            await dead_letters.add(tx, record, text_headers(record), self._cluster, reason, 1)

    async def _fail(self, error: Exception) -> None:
        """A write failed for good: read the same again in smaller parts; what fails alone is set aside at last."""
        log.error("stream_write_failed", error=type(error).__name__, limit=self._limit)
        if self._limit > 1:
            # First down to a size that is quick to try, then by halves.
            self._limit = 256 if self._limit == WHOLE else max(1, self._limit // 2)
            return
        self._tries += 1
        if self._tries < self.settings.consumer_tries or self._alone is None:
            return
        record = self._alone
        await self._bury(record, telemetry.describe(error), self._tries)
        partition = TopicPartition(record.topic, record.partition)
        before, after = {partition: self._written[partition]}, {partition: record.offset + 1}
        async with self.sessions.begin() as tx:
            await stream_offsets.advance(tx, self._cluster, before, after)
        self._tries = 0

    def _forget(self) -> None:
        self.sink.forget()
        self._next.clear()
        self._written.clear()
        self._dead, self._gaps, self._events, self._ignored, self._last = [], [], 0, 0, None

    async def _stop_writing(self) -> None:
        """End the write under way: it is rolled back or was committed, and the table knows which."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def revoked(self) -> None:
        """Our partitions are going to be shared out anew: finish the write under way, drop the rest."""
        writing = self._writing
        if writing is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await asyncio.wait({writing})
        await self._stop_writing()
        self._forget()

    async def assigned(self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> None:
        """Go on where the table says."""
        await self._stop_writing()
        self._forget()
        if not partitions:
            return
        pause = 0.05
        while True:
            try:
                async with self.sessions.begin() as tx:
                    offsets = await stream_offsets.begin(tx, self._cluster, partitions)
                break
            except Exception as error:
                if not is_transient(error):
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        for partition, offset in offsets.items():
            with suppress(IllegalStateError):
                consumer.seek(partition, offset)
                self._next[partition] = self._written[partition] = offset

    def fail(self, error: Exception) -> None:
        """End this life: where to read could not be found out."""
        self._broken = error

    def _measure_lag(self, consumer: AIOKafkaConsumer) -> None:
        for partition, offset in self._written.items():
            high = None
            with suppress(IllegalStateError):
                high = consumer.highwater(partition)
            if high is not None:
                lag = metrics.CONSUMER_LAG.labels(self.settings.name, partition.topic, str(partition.partition))
                lag.set(max(0, high - offset))


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped.
    def __init__(self, stream: Stream, consumer: AIOKafkaConsumer) -> None:
        self._stream = stream
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._stream.revoked()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        try:
            await self._stream.assigned(self._consumer, assigned)
        except Exception as error:
            # The client would log it and go on, and the partitions would stay unread for good.
            self._stream.fail(error)
