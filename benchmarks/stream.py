"""The stream of the indicators service beside its floors and beside other stream processors; same events, same run.

Floors: consume, consume and parse, a bare upsert loop. Others: Quix Streams and faust, in an environment of their own
(see peers/); where that cannot be made, the result says so. Two variants: figures of whole villages told again and
again (2,000 villages × 10 facts), and one fact per household, a stored row with history each. 12 partitions, all
villages mixed within each, one event in a hundred twice, CloudEvents with a protobuf payload. "Ours" is everything:
exactly once, history, heaps, rules, log of changes, outbox, offsets. PostgreSQL runs with fsync and with the memory a
province's server would give it (`rig.SERVER`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from xaso.observations.v1.events_pb2 import ObservationRecorded, Share

from benchmarks.figures import Figure, Result, percentile
from benchmarks.peers import environment
from benchmarks.rig import PROJECT, Child, Rig, child, engines, held_back
from benchmarks.stream_sides import BARE, KIND, PARTITIONS, TOPIC, code_of, commune_of, partition_of
from chassis import kafka, migrations
from chassis.db import new_id
from chassis.relay import dsn
from services.indicators.settings import Settings

TABLES = "unit, fact, fact_history, tally, item, sheet, change, stale, outbox, outbox_sequence, epoch, stream_offset"
VILLAGES = 2000
SIDE_SECONDS = 600.0
PEER_SECONDS = 15.0
"""How long another processor is measured, which is enough for a rate; the slowest would take minutes for all events."""
PEER_DEADLINE_SECONDS = 90.0
PEERS = {
    "quix": ("Quix Streams, state and changelog", "nothing in a database"),
    "quix_sink": ("Quix Streams, state, changelog and PostgreSQL sink", "newest values in a table"),
    "faust": ("faust, table and changelog", "nothing in a database"),
    "faust_take": ("faust, table and changelog, 5000 taken at once", "nothing in a database"),
}
"""What each is called, and what it has to show in the end; none has history, rules, roll-ups or publication."""


class Bench:
    """One run: engines, the service's database, and how sides are started."""

    def __init__(self, rig: Rig, connection: asyncpg.Connection, settings: Settings) -> None:
        self.rig = rig
        self.connection = connection
        self.settings = settings
        self.peers: Path | None = None

    def _env(self, prefix: str, count: int, more: dict[str, object]) -> dict[str, str]:
        return {
            "STREAM_DATABASE_URL": self.settings.database_url,
            "STREAM_KAFKA": self.settings.kafka,
            "STREAM_PREFIX": prefix,
            "STREAM_COUNT": str(count),
        } | {f"STREAM_{name.upper()}": str(value) for name, value in more.items()}

    def start(self, side: str, prefix: str, count: int, **more: object) -> Any:
        return child(self.rig.directory, "benchmarks.stream_sides", side, env=self._env(prefix, count, more))

    @staticmethod
    def answer(running: Child, seconds: float = SIDE_SECONDS) -> dict[str, Any]:
        """What a side found; raises RuntimeError with its log where it failed or took too long."""
        return running.answer(seconds)

    def peer(self, side: str, prefix: str, count: int) -> dict[str, Any]:
        """Run another processor; raises RuntimeError with its log where it does not come to its end."""
        env = self._env(prefix, count, {"seconds": PEER_SECONDS, "directory": self.rig.directory})
        env["PYTHONPATH"] = str(PROJECT / "gen")
        with child(self.rig.directory, "benchmarks.peers.sides", side, env=env, python=self.peers) as running:
            return self.answer(running, PEER_DEADLINE_SECONDS)

    def run(self, side: str, prefix: str, count: int, **more: object) -> dict[str, Any]:
        """Run a side to its end; what it found."""
        with self.start(side, prefix, count, **more) as running:
            return self.answer(running)

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

    async def bare(self, prefix: str, count: int, processes: int = 1) -> list[dict[str, Any]]:
        """What that many plain loops found that share the partitions."""
        await self.connection.execute(BARE)

        def together() -> list[dict[str, Any]]:
            with contextlib.ExitStack() as all_of:
                loops = [
                    all_of.enter_context(self.start("upsert", prefix, count, share=f"{n}/{processes}"))
                    for n in range(processes)
                ]
                return [self.answer(one) for one in loops]

        return await asyncio.to_thread(together)


async def variants(bench: Bench, result: Result, count: int, rounds: int) -> None:
    peers = await peers_of(bench, result)
    for variant, name, aim in (
        ("unit", "Figures of whole villages", 150_000),
        ("entity", "Facts of households, a row with history each", 60_000),
    ):
        prefix = f"{variant}-"
        filled = await asyncio.to_thread(bench.run, "fill", prefix, count, variant=variant, villages=VILLAGES)
        found: dict[str, list[float]] = {}
        cpu: dict[str, list[float]] = {}
        seen: dict[str, float] = {}
        for n in range(rounds):
            for side in ("consume", "parse", "upsert", "ours", *peers):
                # Every round is a group of its own, so that it reads everything.
                if side in PEERS:
                    one = await peer(bench, result, side, prefix, count)
                elif side == "ours":
                    one = await bench.ours(prefix, count)
                elif side == "upsert":
                    one = (await bench.bare(prefix, count))[0]
                else:
                    one = await asyncio.to_thread(bench.run, side, prefix, count)
                if one is not None:
                    found.setdefault(side, []).append(one["rate"])
                    cpu.setdefault(side, []).append(one["cpu"])
                    seen[side] = one.get("seen", count)
            result.say(f"{variant} {n + 1}: " + ", ".join(f"{s} {r[-1]:,.0f}/s" for s, r in found.items()))
        sent = f"{count:,} events of {filled['bytes']:.0f} B"
        result.add(Figure(f"{name}: floor, aiokafka alone", "events/s", found["consume"], note=sent))
        result.add(Figure(f"{name}: floor, consumed and parsed", "events/s", found["parse"]))
        result.add(Figure(f"{name}: bare upsert loop, no rules, no history, nothing told", "events/s", found["upsert"]))
        result.add(Figure(f"{name}: the service, everything included", "events/s", found["ours"], aim=f">= {aim}"))
        name = f"… beside the bare upsert loop ({variant})"
        result.add(Figure(name, "events/s", found["ours"], "bare loop", found["upsert"]))
        name = f"… processor time of the process ({variant})"
        result.add(Figure(name, "µs/event", cpu["ours"], "consumed and parsed", cpu["parse"]))
        for side in (side for side in PEERS if side in found):
            label, shows = PEERS[side]
            note = f"{seen[side]:,.0f} events; {shows}, no history, no rules, nothing published"
            name = f"… beside {label} ({variant})"
            result.add(Figure(name, "events/s", found["ours"], label, found[side], ">= 1", note))
        result.details[variant] = {"rates": found, "cpu_microseconds_per_event": cpu, "events": seen}


async def peers_of(bench: Bench, result: Result) -> list[str]:
    """The other processors that can run here; without an environment for them the result says why there are none."""
    try:
        bench.peers = await asyncio.to_thread(environment.interpreter)
    except environment.Unavailable as error:
        result.say(f"Quix Streams and faust are not measured: {error}")
        result.details["peers"] = f"not measured: {error}"
        return []
    result.details["peers"] = environment.versions()
    return list(PEERS)


async def peer(bench: Bench, result: Result, side: str, prefix: str, count: int) -> dict[str, Any] | None:
    """One run of another processor; None, and said so, where it failed: that is no reason to measure nothing else."""
    await bench.connection.execute("DROP TABLE IF EXISTS quix_newest")
    try:
        return await asyncio.to_thread(bench.peer, side, prefix, count)
    except RuntimeError as error:
        result.say(f"{side} did not come to its end: {error}")
        result.details.setdefault("peers_failed", {})[side] = str(error)[-500:]
        return None


async def shared(bench: Bench, result: Result, count: int, rounds: int) -> None:
    """One process, then two that share the partitions; the second joins while the first is at work."""
    prefix = "shared-"
    filled = await asyncio.to_thread(bench.run, "fill", prefix, count, variant="entity", villages=VILLAGES, seed=7)
    alone, whole, both = [], [], []
    cores: dict[int, list[float]] = {1: [], 2: []}
    bare: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for processes, rates in bare.items():
            seen = await bench.bare(prefix, count, processes)
            rates.append(count / (max(one["ended"] for one in seen) - min(one["began"] for one in seen)))
        one = await bench.ours(prefix, count)
        alone.append(one["rate"])
        cores[1].append(one["cores"])
        await bench.villages(VILLAGES)
        found = await asyncio.to_thread(together, bench, prefix, count)
        began = [one["began"] for one in found if one["began"] is not None]
        ended = max(one["ended"] for one in found)
        facts = await bench.connection.fetchval("SELECT count(*) FROM fact")
        kept = await bench.connection.fetchval("SELECT count(*) FROM fact_history")
        result.say(f"facts {facts}, history {kept}, told {filled['told']}; had events: {len(began)} of two")
        if not facts == kept == filled["told"]:
            raise RuntimeError(
                f"{filled['told']} told, {facts} facts, {kept} of history: something was lost or doubled"
            )
        whole.append(count / (ended - min(began)))
        # Had the second no events, then what both did is what the first did.
        second = found[1]
        both.append(
            (count - second["before"]) / (ended - second["began"]) if second["began"] is not None else whole[-1]
        )
        cores[2] += [second["cores"]] if second["began"] is not None else []
    note = f"after {second['before']:,} of {count:,} events" if second["began"] is not None else "it never had any"
    name = "Two processes, from when the second had its partitions"
    result.add(Figure(name, "events/s", both, "one", alone, ">= 1.7", note))
    result.add(Figure("… the whole backlog, waiting for the rebalance included", "events/s", whole, "one", alone))
    note = f"PostgreSQL and Kafka included: two could have {os.cpu_count()} cores, whatever is done with them"
    result.add(Figure("… cores at work for one process", "cores", cores[1], note=note))
    if cores[2]:
        result.add(Figure("… cores at work for two", "cores", cores[2]))
    note = "no history, no rules, partitions given from the start"
    result.add(Figure("… two bare upsert loops", "events/s", bare[2], "one", bare[1], note=note))
    result.details["shared"] = {"alone": alone, "whole": whole, "both": both, "bare": bare, "cores": cores}


def together(bench: Bench, prefix: str, count: int, share: float = 1) -> list[dict[str, Any]]:
    """What two processes found, of which the second waits, ready to begin, until the first has committed something.

    Each runs that share of the time.
    """
    with bench.start("ours", prefix, count, until_all=1, join_at=1) as second:
        second.line("ready")
        with bench.start("ours", prefix, count, until_all=1) as first, slowed(share, first, second):
            return [bench.answer(first), bench.answer(second)]


@contextlib.contextmanager
def slowed(share: float, *processes: Child) -> Iterator[None]:
    with contextlib.ExitStack() as all_of:
        if share < 1:
            for one in processes:
                all_of.enter_context(held_back(one, share))
        yield


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


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Bench]:
    """Engines and an empty database of the service, for one run."""
    with engines(server=True) as rig:
        settings = Settings(database_url=rig.database("indicators"), kafka=rig.bootstrap)
        await migrations.upgrade(settings, "services.indicators")
        connection = await asyncpg.connect(dsn(settings))
        yield Bench(rig, connection, settings)
        await connection.close()


async def _measure(result: Result, quick: bool) -> None:
    count, rounds = (50_000, 1) if quick else (300_000, 3)
    async with opened() as bench:
        await variants(bench, result, count, rounds)
        await latency(bench, result, 500, 5 if quick else 20)
        await shared(bench, result, 200_000 if quick else 600_000, rounds)
        await rebuild(bench, result, 50_000 if quick else 1_000_000)


def measure(*, quick: bool) -> Result:
    result = Result("stream", "The stream of the indicators service", quick=quick)
    asyncio.run(_measure(result, quick))
    return result
