"""The stream of the indicators service beside its floors: consume, consume and parse, a bare upsert loop; same events.

Two variants: figures of whole villages told again and again (2,000 villages × 10 facts), and one fact per household, a
stored row with history each. 12 partitions, all villages mixed within each, one event in a hundred twice, CloudEvents
with a protobuf payload. "Ours" is everything: exactly once, history, heaps, rules, log of changes, outbox, offsets.
PostgreSQL runs with fsync and with the memory a province's server would give it (see SETTINGS).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from datetime import date
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from xaso.observations.v1.events_pb2 import ObservationRecorded, Share

from benchmarks.figures import Figure, Result, percentile
from benchmarks.rig import Child, Rig, child, engines
from benchmarks.stream_sides import KIND, PARTITIONS, TOPIC, code_of, commune_of, partition_of
from chassis import kafka, migrations
from chassis.db import new_id
from chassis.relay import dsn
from launcher import postgres
from services.indicators.settings import Settings

SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}
TABLES = "unit, fact, fact_history, tally, item, sheet, change, stale, outbox, outbox_sequence, epoch, stream_offset"
VILLAGES = 2000
SIDE_SECONDS = 600.0


class Bench:
    """One run: engines, the service's database, and how sides are started."""

    def __init__(self, rig: Rig, connection: asyncpg.Connection, settings: Settings) -> None:
        self.rig = rig
        self.connection = connection
        self.settings = settings

    def start(self, side: str, prefix: str, count: int, **more: object) -> Any:
        env = {
            "STREAM_DATABASE_URL": self.settings.database_url,
            "STREAM_KAFKA": self.settings.kafka,
            "STREAM_PREFIX": prefix,
            "STREAM_COUNT": str(count),
        } | {f"STREAM_{name.upper()}": str(value) for name, value in more.items()}
        return child(self.rig.directory, "benchmarks.stream_sides", side, env=env)

    def run(self, side: str, prefix: str, count: int, **more: object) -> dict[str, Any]:
        """Run a side to its end; what it found."""
        with self.start(side, prefix, count, **more) as running:
            return answer(running)

    async def villages(self, wanted: int) -> None:
        """An empty database that knows `wanted` villages, five to a commune."""
        await self.connection.execute(f"TRUNCATE {TABLES}, dead_letter")
        since = date(2020, 1, 1)
        rows = [("30", "province", "tinh", "", "30"), ("298", "district", "huyen", "30", "30/298")]
        rows += [
            (commune, "commune", "xa", "298", f"30/298/{commune}")
            for commune in sorted({commune_of(n) for n in range(wanted)})
        ]
        rows += [
            (code_of(n), "village", "thon", commune_of(n), f"30/298/{commune_of(n)}/{code_of(n)}")
            for n in range(wanted)
        ]
        await self.connection.copy_records_to_table(
            "unit",
            records=[(code, code, level, kind, parent, path, since) for code, level, kind, parent, path in rows],
            columns=["code", "name", "level", "kind", "parent", "path", "valid_from"],
        )
        await self.connection.execute("ANALYZE unit")

    async def ours(self, prefix: str, count: int, villages: int = VILLAGES, **more: object) -> dict[str, Any]:
        await self.villages(villages)
        return await asyncio.to_thread(self.run, "ours", prefix, count, **more)


def answer(running: Child) -> dict[str, Any]:
    found: dict[str, Any] = json.loads("{" + running.line("{", SIDE_SECONDS))
    return found


async def variants(bench: Bench, result: Result, count: int, rounds: int) -> None:
    for variant, name, aim in (
        ("unit", "Figures of whole villages", 150_000),
        ("entity", "Facts of households, a row with history each", 60_000),
    ):
        prefix = f"{variant}-"
        filled = await asyncio.to_thread(bench.run, "fill", prefix, count, variant=variant, villages=VILLAGES)
        found: dict[str, list[float]] = {}
        cpu: dict[str, list[float]] = {}
        for n in range(rounds):
            for side in ("consume", "parse", "upsert", "ours"):
                if side == "ours":
                    await bench.villages(VILLAGES)
                # Every round is a group of its own, so that it reads everything.
                one = await asyncio.to_thread(bench.run, side, prefix, count)
                found.setdefault(side, []).append(one["rate"])
                cpu.setdefault(side, []).append(one["cpu"])
            result.say(f"{variant} {n + 1}: " + ", ".join(f"{s} {r[-1]:,.0f}/s" for s, r in found.items()))
        sent = f"{count:,} events of {filled['bytes']:.0f} B"
        result.add(Figure(f"{name}: floor, aiokafka alone", "events/s", found["consume"], note=sent))
        result.add(Figure(f"{name}: floor, consumed and parsed", "events/s", found["parse"]))
        result.add(Figure(f"{name}: bare upsert loop, no rules, no history, nothing told", "events/s", found["upsert"]))
        result.add(Figure(f"{name}: the service, everything included", "events/s", found["ours"], aim=f">= {aim}"))
        result.add(
            Figure(
                f"… beside the bare upsert loop ({variant})", "events/s", found["ours"], "bare loop", found["upsert"]
            )
        )
        result.add(
            Figure(
                f"… processor time of the process ({variant})",
                "µs/event",
                cpu["ours"],
                "consumed and parsed",
                cpu["parse"],
            )
        )
        result.details[variant] = {"rates": found, "cpu_microseconds_per_event": cpu}


async def flatness(bench: Bench, result: Result, count: int) -> None:
    """The same count of household facts over 200 and over 20,000 villages, and on top of what is there already."""
    cpu: dict[int, float] = {}
    for villages in (200, 20_000):
        prefix = f"flat{villages}-"
        await asyncio.to_thread(bench.run, "fill", prefix, count, variant="entity", villages=villages, seed=villages)
        one = await bench.ours(prefix, count, villages)
        cpu[villages] = one["cpu"]
        result.say(f"{villages} villages: {one['rate']:,.0f}/s, {one['cpu']:.1f} µs/event")
    result.add(
        Figure("Processor time an event, 20,000 villages", "µs/event", [cpu[20_000]], "200 villages", [cpu[200]])
    )


async def shared(bench: Bench, result: Result, count: int) -> None:
    """One process, then two that share the partitions; the second joins while the first is at work."""
    prefix = "shared-"
    await asyncio.to_thread(bench.run, "fill", prefix, count, variant="entity", villages=VILLAGES, seed=7)
    alone = (await bench.ours(prefix, count))["seconds"]
    await bench.villages(VILLAGES)
    with (
        bench.start("ours", prefix, count, until_all=1) as first,
        bench.start("ours", prefix, count, until_all=1) as second,
    ):
        found = await asyncio.gather(asyncio.to_thread(answer, first), asyncio.to_thread(answer, second))
    together = max(one["seconds"] for one in found)
    facts = await bench.connection.fetchval("SELECT count(*) FROM fact")
    kept = await bench.connection.fetchval("SELECT count(*) FROM fact_history")
    wanted = count - count // 100
    result.say(f"facts {facts}, history {kept}, wanted about {wanted}")
    if facts != kept:
        raise RuntimeError(f"{facts} facts but {kept} lines of history: something was lost or doubled")
    result.add(
        Figure(
            "Two processes, a rebalance in the middle", "events/s", [count / together], "one", [count / alone], ">= 1.7"
        )
    )


async def begun(bench: Bench, topic: str) -> None:
    """Wait until a process of the service has all partitions of the topic."""
    deadline = time.monotonic() + 120
    for _ in iter(lambda: time.monotonic() < deadline, False):
        if await bench.connection.fetchval("SELECT count(*) FROM stream_offset WHERE topic = $1", topic) == PARTITIONS:
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("nobody follows the topic")


async def latency(bench: Bench, result: Result, rate: float, seconds: float) -> None:
    """From the send of an event to its change visible to another connection, at a steady rate."""
    await bench.villages(VILLAGES)
    prefix = f"pace{int(time.time())}-"
    topic = prefix + TOPIC
    await kafka.ensure_topics(bench.settings.model_copy(update={"kafka_partitions": PARTITIONS}), [topic])
    producer = AIOKafkaProducer(bootstrap_servers=bench.settings.kafka, linger_ms=0)
    await producer.start()
    sent: dict[str, float] = {}
    took: list[float] = []
    with bench.start("ours", prefix, 1_000_000_000, tasks=1, until_all=1):
        await begun(bench, topic)
        # The first three seconds warm the state up and are not counted.
        warm, total = int(rate * 3), int(rate * (seconds + 3))
        last, done = 0, asyncio.Event()

        async def watch() -> None:
            nonlocal last
            while not done.is_set() or len(took) < 1:
                rows = await bench.connection.fetch(
                    "SELECT id, cause FROM change WHERE id > $1 AND NOT rolled ORDER BY id", last
                )
                at = time.perf_counter()
                for row in rows:
                    last = row["id"]
                    began = sent.pop(row["cause"].rpartition(":")[2], None)
                    if began is not None:
                        took.append((at - began) * 1000)
                await asyncio.sleep(0.004)

        watching = asyncio.create_task(watch())
        began = time.perf_counter()
        for n in range(total):
            if (pause := began + n / rate - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            village, id = n % VILLAGES, str(new_id())
            message = ObservationRecorded(unit=code_of(village), measure="village.fibre_households")
            message.ratio.CopyFrom(Share(numerator=1 + n // VILLAGES % 90, denominator=100))
            message.observed_at.FromSeconds(int(time.time()) - 60)
            headers = [
                ("ce_id", id.encode()),
                ("ce_source", b"/vnpt/bridge"),
                ("ce_type", KIND),
                ("ce_subject", message.unit.encode()),
                ("ce_time", b"2026-11-22T20:00:00+00:00"),
                ("ce_sequence", str(n + 1).encode()),
            ]
            if n >= warm:
                sent[id] = time.perf_counter()
            await producer.send(topic, message.SerializeToString(), partition=partition_of(village), headers=headers)
        for _ in range(100):
            if not sent:
                break
            await asyncio.sleep(0.1)
        done.set()
        await watching
    await producer.stop()
    note = f"{len(took)} of {total - warm} events seen, the others were overtaken by a later word"
    result.add(Figure(f"Sent to changed sheet at {rate:.0f} events/s, p50", "ms", [percentile(took, 0.5)], note=note))
    result.add(
        Figure(f"Sent to changed sheet at {rate:.0f} events/s, p99", "ms", [percentile(took, 0.99)], aim="< 250")
    )


async def rebuild(bench: Bench, result: Result, facts: int) -> None:
    """Everything computed again from a million facts of households."""
    await bench.villages(VILLAGES)
    await bench.connection.execute(
        """
        INSERT INTO fact (attribute, entity, source, origin, unit, period, state, withdrawn, sequence, cause,
            observed_at, heap_period)
        SELECT 'household.fibre', uuidv7()::text, 'vnpt/bridge', 'partner', u.code || '@' || u.valid_from, '',
            CASE WHEN n % 7 = 0 THEN 'false' ELSE 'true' END, false, n, 'bench:' || n, now(), to_char(now(), 'YYYY')
        FROM (SELECT n, n % $2::int AS village FROM generate_series(1, $1::int) AS n) AS made
        JOIN (SELECT code, valid_from, row_number() OVER (ORDER BY code) - 1 AS place FROM unit WHERE level = 'village')
            AS u ON u.place = made.village
        """,
        facts,
        VILLAGES,
        timeout=600,
    )
    await bench.connection.execute("ANALYZE fact")
    found = await asyncio.to_thread(bench.run, "rebuild", "none-", facts)
    result.add(Figure(f"Rebuild of all sets from {facts:,} facts", "s", [found["seconds"]], aim="< 20"))


async def _measure(result: Result, quick: bool, parts: Iterable[str]) -> None:
    count, rounds = (50_000, 1) if quick else (500_000, 3)
    postgres.SETTINGS.update(SETTINGS)
    with engines() as rig:
        settings = Settings(database_url=rig.database("indicators"), kafka=rig.bootstrap)
        await migrations.upgrade(settings, "services.indicators")
        connection = await asyncpg.connect(dsn(settings))
        bench = Bench(rig, connection, settings)
        steps = {
            "variants": lambda: variants(bench, result, count, rounds),
            "latency": lambda: latency(bench, result, 500, 5 if quick else 20),
            "flatness": lambda: flatness(bench, result, count // 4),
            "shared": lambda: shared(bench, result, count // 2),
            "rebuild": lambda: rebuild(bench, result, 50_000 if quick else 1_000_000),
        }
        for name in parts:
            await steps[name]()
        await connection.close()


def measure(*, quick: bool) -> Result:
    result = Result("stream", "The stream of the indicators service", quick=quick)
    asyncio.run(_measure(result, quick, ("variants", "latency", "flatness", "shared", "rebuild")))
    return result
