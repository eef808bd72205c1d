"""The processes that `stream` measures: `python -m benchmarks.stream_sides <side>`, told what by STREAM_… variables.

`fill` sends the events. `consume` and `parse` are the floors: aiokafka alone, and with headers and payload read.
`upsert` is a plain loop with the same safety and none of the work: asyncpg, one unnest upsert a batch with offsets in
the same transaction. `ours` is the service's own stream, `rebuild` its command. Each prints one JSON line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import time
from typing import Any

import asyncpg
import psutil
import uvloop
from aiokafka import AIOKafkaProducer, TopicPartition
from xaso.observations.v1.events_pb2 import ObservationRecorded, Share

from chassis import collecting, kafka
from chassis.db import Sessions, make_engine, new_id
from chassis.relay import dsn
from services.indicators.answers import live
from services.indicators.criteria import library
from services.indicators.rebuilding import rebuild
from services.indicators.settings import Settings
from services.indicators.stream.consumers import on
from services.indicators.stream.sink import stream

PARTITIONS = 12
TOPIC = "xaso.observations.v1"
TICK = 0.05
"""Seconds between two sends at a steady rate."""
KIND = b"xaso.observations.v1.ObservationRecorded"
RATIOS = ("village.fibre_households", "village.mobile_internet_people", "village.signal_area")
COUNTS = ("village.households", "village.working_age_people")
MEASURES = (*RATIOS, *COUNTS)


def env(name: str, default: str = "") -> str:
    return os.environ.get(f"STREAM_{name}", default)


def commune_of(village: int) -> str:
    return f"{10000 + village // 5:05d}"


def code_of(village: int) -> str:
    return f"{commune_of(village)}-{village % 5 + 1:02d}"


def partition_of(village: int) -> int:
    return village // 5 % PARTITIONS


def household(n: int) -> str:
    """The id of the n-th household, as the database makes it too (see stream_flat.py); ids grow, like UUIDv7."""
    return f"00000000-0000-7000-8000-{n:012x}"


class Mix:
    """The events of one run.

    `unit`: ten figures of whole villages again and again. `entity`: a new household each. `turn`: a new household of
    each village in turn. `again`: half newer words of households there are already, half new households. `known`
    households of the last two were told before the run; the n-th lives in the village n modulo `villages`.
    """

    def __init__(self, variant: str, villages: int, seed: int = 1, known: int = 0) -> None:
        self.variant = variant
        self.villages = villages
        self.random = random.Random(seed)
        self.known = self.sequence = known
        self.households = known
        self.moment = int(time.time()) - 3600

    @property
    def told(self) -> int:
        """Events so far; one that is sent twice is one."""
        return self.sequence - self.known

    def _household(self) -> int:
        """Whom the next event is about, where households have numbers."""
        if self.variant == "again" and self.random.random() < 0.5:
            return self.random.randrange(self.households)
        self.households += 1
        return self.households - 1

    def event(self) -> tuple[int, bytes, list[tuple[str, bytes]]]:
        """Partition, payload, headers."""
        self.sequence += 1
        numbered = self.variant in ("turn", "again")
        number = self._household() if numbered else self.random.randrange(self.villages)
        village = number % self.villages
        message = ObservationRecorded(unit=code_of(village))
        if self.variant == "unit":
            measure = self.random.randrange(10)
            # Ten facts a village: five measures, each told by two sources.
            message.measure = MEASURES[measure % 5]
            source = b"/vnpt/bridge" if measure < 5 else b"/viettel/bridge"
            subject = f"{message.unit}/{message.measure}"
            number = self.random.randrange(100)
            if message.measure in RATIOS:
                message.ratio.CopyFrom(Share(numerator=number, denominator=100))
            else:
                message.count = 100 + number
        else:
            source = b"/vnpt/bridge"
            message.attribute = "household.fibre"
            message.entity = household(number) if numbered else str(new_id())
            subject = message.entity
            message.flag = self.random.random() < 0.85
        message.observed_at.FromSeconds(self.moment + self.told // 1000)
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", str(new_id()).encode()),
            ("ce_source", source),
            ("ce_type", KIND),
            ("ce_subject", subject.encode()),
            ("ce_time", b"2026-11-22T20:00:00+00:00"),
            ("ce_sequence", str(self.sequence).encode()),
        ]
        return partition_of(village), message.SerializeToString(), headers


async def committed(connection: asyncpg.Connection, topic: str) -> int:
    """How many events of the topic have their effect in the database."""
    done = await connection.fetchval("SELECT sum(next_offset) FROM stream_offset WHERE topic = $1", topic)
    return int(done or 0)


async def reached(connection: asyncpg.Connection, topic: str, wanted: int) -> None:
    """Wait until that many events are committed; whoever started us gives up for us."""
    for _ in iter(lambda: True, False):
        if await committed(connection, topic) >= wanted:
            return
        await asyncio.sleep(0.02)


async def rows_written(connection: asyncpg.Connection) -> int:
    """Rows inserted and updated in all tables so far, once the server has counted what is committed."""
    before = -1
    while True:
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        here = int(await connection.fetchval("SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables"))
        if here == before:
            return here
        before = here
        # A server process tells what it did at most once a second.
        await asyncio.sleep(1.5)


async def fill(settings: Settings) -> dict[str, Any]:
    """Send COUNT events, one in a hundred twice, all villages mixed, when AFTER events are committed; all at once, or
    RATE a second.
    """
    rate = int(env("RATE", "0"))
    count, topic = int(env("COUNT")), settings.topic_prefix + TOPIC
    mix = Mix(env("VARIANT", "unit"), int(env("VILLAGES", "2000")), int(env("SEED", "1")), int(env("KNOWN", "0")))
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, max_batch_size=1 << 20, linger_ms=20)
    await producer.start()
    sent = size = 0
    pending: dict[int, Any] = {}
    # What is sent together: some full batches, or what falls into one tick.
    parts: list[list[tuple[int, Any]]] = [[]]
    while sent < count:
        if rate and sent >= len(parts) * rate * TICK:
            parts[-1] += pending.items()
            pending.clear()
            parts.append([])
        partition, value, headers = mix.event()
        size += len(value) + sum(len(k) + len(v) for k, v in headers)
        for _ in range(2 if sent % 100 == 50 else 1):
            sent += 1
            while True:
                batch = pending.get(partition)
                if batch is None:
                    batch = pending[partition] = producer.create_batch()
                if batch.append(key=None, value=value, timestamp=None, headers=headers) is not None:
                    break
                parts[-1].append((partition, pending.pop(partition)))
                if not rate and len(parts[-1]) == 48:
                    parts.append([])
    parts[-1] += pending.items()
    written = 0
    if after := int(env("AFTER", "0")):
        connection = await asyncpg.connect(dsn(settings))
        await reached(connection, topic, after)
        written = await rows_written(connection)
        await connection.close()
    began = time.monotonic()
    for n, part in enumerate(parts):
        if rate and (pause := began + n * TICK - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        await asyncio.gather(*[await producer.send_batch(batch, topic, partition=place) for place, batch in part])
    await producer.stop()
    return {"sent": sent, "told": mix.told, "bytes": size / sent, "households": mix.households, "written": written}


async def floor(settings: Settings, *, parse: bool) -> dict[str, Any]:
    """How fast events come in when nothing is done with them, or when they are only read."""
    count = int(env("COUNT"))
    consumer = kafka.consumer(settings, [settings.topic_prefix + TOPIC], f"floor-{os.getpid()}")
    await consumer.start()
    seen, began, checksum = 0, 0.0, 0
    while seen < count:
        batches = await consumer.getmany(timeout_ms=250, max_records=2000)
        if batches and not seen:
            began = time.perf_counter()
            cpu = time.process_time()
        for records in batches.values():
            seen += len(records)
            if parse:
                for record in records:
                    headers = dict(record.headers)
                    if headers["ce_type"] == KIND:
                        message = ObservationRecorded()
                        message.ParseFromString(record.value)
                        checksum += int(headers["ce_sequence"]) + message.observed_at.seconds + len(message.unit)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    await kafka.close_quietly(consumer)
    return {"rate": count / took, "cpu": cpu / count * 1e6, "checksum": checksum}


BARE = """
    DROP TABLE IF EXISTS bare, bare_offset;
    CREATE TABLE bare (subject text COLLATE "C" PRIMARY KEY, unit text, sequence bigint, value bigint);
    CREATE TABLE bare_offset (partition integer PRIMARY KEY, next bigint)
"""
"""What the plain loop writes to; made anew before each run of it."""
_UPSERT = """
    WITH put AS (
        INSERT INTO bare AS b (subject, unit, sequence, value)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
        ON CONFLICT (subject) DO UPDATE SET unit = excluded.unit, sequence = excluded.sequence, value = excluded.value
        WHERE b.sequence < excluded.sequence
    )
    INSERT INTO bare_offset SELECT * FROM unnest($5::integer[], $6::bigint[])
    ON CONFLICT (partition) DO UPDATE SET next = excluded.next
"""


async def upsert(settings: Settings) -> dict[str, Any]:
    """A plain loop: the newest value of each subject by sequence, serial batches, offsets beside them.

    With SHARE "k/n" it is the k-th of n such loops and has its partitions from the start: nobody must agree on them.
    """
    share, of = map(int, env("SHARE", "0/1").split("/"))
    connection = await asyncpg.connect(dsn(settings))
    consumer = kafka.consumer(settings, [], f"upsert-{os.getpid()}")
    mine = [TopicPartition(settings.topic_prefix + TOPIC, n) for n in range(PARTITIONS) if n % of == share]
    consumer.assign(mine)
    await consumer.start()
    count = sum((await consumer.end_offsets(mine)).values())
    seen, began = 0, 0.0
    while seen < count:
        batches = await consumer.getmany(timeout_ms=250, max_records=5000)
        if not batches:
            continue
        if not seen:
            began, cpu = time.monotonic(), time.process_time()
        newest: dict[str, tuple[str, int, int]] = {}
        offsets: dict[int, int] = {}
        for partition, records in batches.items():
            seen += len(records)
            offsets[partition.partition] = records[-1].offset + 1
            for record in records:
                headers = dict(record.headers)
                message = ObservationRecorded()
                message.ParseFromString(record.value)
                sequence = int(headers["ce_sequence"])
                subject = (headers["ce_source"] + headers["ce_subject"]).decode()
                held = newest.get(subject)
                if held is None or held[1] < sequence:
                    newest[subject] = (message.unit, sequence, message.ratio.numerator or message.count)
        rows = newest.values()
        await connection.execute(
            _UPSERT, list(newest), *([row[i] for row in rows] for i in range(3)), list(offsets), list(offsets.values())
        )
    ended, cpu = time.monotonic(), time.process_time() - cpu
    await connection.close()
    await kafka.close_quietly(consumer)
    return {"rate": count / (ended - began), "cpu": cpu / count * 1e6, "began": began, "ended": ended}


async def ours(settings: Settings) -> dict[str, Any]:
    """The service's stream, and with TASKS its sequencer too; until COUNT events (with UNTIL_ALL of all processes).

    Measured from the first event after WARM events; with JOIN_AT it begins to follow the topic when that many are
    committed. `began` and `ended` are on the clock that all processes share, `before` is what was committed when it
    began; a process without an event of its own has no `began`. `cores` is how many of the machine's were at work
    meanwhile, whoever used them.
    """
    count, warm = int(env("COUNT")), int(env("WARM", "0"))
    engine = make_engine(settings)
    sessions = Sessions(engine)
    consumer = stream(settings, sessions, on, library.catalogue)
    # As a service's process does when it is ready.
    collecting.settle()
    connection = await asyncpg.connect(dsn(settings))
    topic = settings.topic_prefix + TOPIC

    def mine(offsets: dict[Any, int]) -> int:
        return sum(n for p, n in offsets.items() if p.topic == topic)

    print("ready", flush=True)
    await reached(connection, topic, int(env("JOIN_AT", "0")))
    tasks = [asyncio.create_task(consumer.run())]
    if env("TASKS"):
        tasks.append(asyncio.create_task(live.sequence(sessions, settings, library.catalogue)))
    began: float | None = None
    cpu, busy, before = 0.0, 0.0, 0
    while True:
        await asyncio.sleep(0.01)
        if tasks[0].done():
            raise RuntimeError("the stream ended by itself") from tasks[0].exception()
        if began is None and mine(consumer._next) > warm:
            began, cpu, busy = time.monotonic(), time.process_time(), busy_seconds()
            before = await committed(connection, topic)
        if mine(consumer._written) >= count:
            break
        if env("UNTIL_ALL"):
            await asyncio.sleep(0.05)
            if await committed(connection, topic) >= count:
                break
    ended, cpu, busy = time.monotonic(), time.process_time() - cpu, busy_seconds() - busy
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await connection.close()
    await engine.dispose()
    found: dict[str, Any] = {"began": began, "ended": ended, "before": before}
    if began is not None:
        events = count - before
        seconds = ended - began
        found |= {"seconds": seconds, "rate": events / seconds, "cpu": cpu / events * 1e6, "cores": busy / seconds}
    return found


def busy_seconds() -> float:
    """Processor time of the whole machine since it started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


async def rebuilt(settings: Settings) -> dict[str, Any]:
    """The command `rebuild`."""
    began = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        await rebuild(settings)
    return {"seconds": time.perf_counter() - began}


SIDES = {
    "fill": fill,
    "consume": lambda settings: floor(settings, parse=False),
    "parse": lambda settings: floor(settings, parse=True),
    "upsert": upsert,
    "ours": ours,
    "rebuild": rebuilt,
}


async def main() -> None:
    settings = Settings(
        database_url=env("DATABASE_URL"), kafka=env("KAFKA"), topic_prefix=env("PREFIX"), kafka_partitions=PARTITIONS
    )
    await kafka.ensure_topics(settings, [settings.topic_prefix + TOPIC])
    print(json.dumps(await SIDES[sys.argv[1]](settings)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
