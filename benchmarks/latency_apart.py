"""From an acknowledged command in one service to the changed sheet in another, at 500 a second, as on Kubernetes.

Each part is a process of its own: a writer that commits events of the ecommerce service through the chassis's outbox
(each makes one village's row 288.9 met or takes that back), `services.ecommerce relay`, and `services.indicators
consume`. A change is seen when another connection to the database of indicators can read it. The way is outbox → relay
→ Kafka → stream: facts, status, sheet. Events are told apart by their id, which a change names as its cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import asyncpg

from benchmarks.feed import Plan
from benchmarks.figures import Figure, Result, percentile
from benchmarks.latency import ITEM, TAKEN_IN, feed
from benchmarks.rig import Child, Rig, child, engines
from benchmarks.stream_sides import code_of, commune_of
from chassis import migrations
from chassis.relay import dsn
from chassis.settings import ServiceSettings
from services.ecommerce.settings import Settings as Ecommerce
from services.indicators.settings import Settings as Indicators

VILLAGES = 2000
RATE = 500.0
TOGETHER = 5
"""Events of a transaction: the writer stands for programs on other machines and should leave the cores to the rest."""
DRAIN_SECONDS = 60.0
_IDS = "SELECT event_id::text AS id, subject, sequence FROM outbox WHERE subject = ANY($1::text[])"


@dataclass
class Bench:
    """One run: the writer's database, and a connection to the one that is read."""

    ecommerce: Ecommerce
    indicators: Indicators
    reader: asyncpg.Connection
    seen: dict[str, float]
    """Id of an event to the instant (CLOCK_MONOTONIC) at which its change could be read."""
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    async def look(self) -> None:
        """Read the log of changes as it grows, until cancelled."""
        last = 0
        while True:
            rows = await self.reader.fetch(
                "SELECT id, cause, item_code FROM change WHERE id > $1 AND NOT rolled ORDER BY id", last
            )
            at = time.monotonic()
            for row in rows:
                last = row["id"]
                if row["item_code"] == ITEM:
                    self.seen.setdefault(row["cause"].rpartition(":")[2], at)
            self.looked.set()
            await asyncio.sleep(0.004)

    async def round(self, places: list[tuple[str, str]], rate: float, seconds: float) -> dict[str, Any]:
        """Latencies in ms of one round, and how many events a later one of their village overtook."""
        self.seen.clear()
        looking = asyncio.create_task(self.look())
        try:
            committed = await feed(Plan(self.ecommerce.database_url, places, rate, seconds, TOGETHER))
            ids = await self.ids({subject for subject, _, _ in committed})
            newest: dict[str, int] = {}
            for subject, sequence, _ in committed:
                newest[subject] = max(newest.get(subject, 0), sequence)
            await self.drained(newest)
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking
        took = [(self.seen[i] - at) * 1000 for s, n, at in committed if (i := ids[s, n]) in self.seen]
        span = max(at for _, _, at in committed) - min(at for _, _, at in committed)
        return {
            "events": len(committed),
            "rate": len(committed) / span,
            "overtaken": len(committed) - len(took),
            "p50": percentile(took, 0.5),
            "p99": percentile(took, 0.99),
            "max": max(took),
        }

    async def drained(self, newest: dict[str, int]) -> None:
        """Wait until every event has had its effect and what followed was seen; a village may change there and back."""
        deadline = time.monotonic() + DRAIN_SECONDS
        connection = await asyncpg.connect(dsn(self.indicators))
        try:
            while (there := await connection.fetchval(TAKEN_IN, list(newest), list(newest.values()))) < len(newest):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{there} of {len(newest)} products took effect")
                await asyncio.sleep(0.2)
        finally:
            await connection.close()
        # What was committed by now is seen by the look after the one that may be under way.
        for _ in range(2):
            self.looked.clear()
            await self.looked.wait()

    async def ids(self, subjects: set[str]) -> dict[tuple[str, int], str]:
        connection = await asyncpg.connect(dsn(self.ecommerce))
        rows = await connection.fetch(_IDS, list(subjects))
        await connection.close()
        return {(row["subject"], row["sequence"]): row["id"] for row in rows}


async def _villages(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    """Make the villages known, five to a commune; (village, commune) codes."""
    since = date(2020, 1, 1)
    places = [(code_of(n), commune_of(n)) for n in range(VILLAGES)]
    units = [("30", "province", "tinh", "", "30"), ("298", "district", "huyen", "30", "30/298")]
    units += [(code, "commune", "xa", "298", f"30/298/{code}") for code in sorted({commune for _, commune in places})]
    units += [(code, "village", "thon", commune, f"30/298/{commune}/{code}") for code, commune in places]
    await connection.copy_records_to_table(
        "unit",
        records=[(code, code, level, kind, parent, path, since) for code, level, kind, parent, path in units],
        columns=["code", "name", "level", "kind", "parent", "path", "valid_from"],
    )
    await connection.execute("ANALYZE unit")
    return places


def _environment(settings: ServiceSettings) -> dict[str, str]:
    prefix = f"XASO_{settings.name.upper()}_"
    return {
        f"{prefix}DATABASE_URL": settings.database_url,
        f"{prefix}KAFKA": settings.kafka,
        f"{prefix}SECRET": "a secret of the measurement, long enough to be one",
    }


@contextlib.asynccontextmanager
async def _running(rig: Rig) -> AsyncIterator[tuple[Bench, list[tuple[str, str]], dict[str, Child]]]:
    ecommerce = Ecommerce(database_url=rig.database("ecommerce"), kafka=rig.bootstrap)
    indicators = Indicators(database_url=rig.database("indicators"), kafka=rig.bootstrap)
    await migrations.upgrade(ecommerce, "services.ecommerce")
    await migrations.upgrade(indicators, "services.indicators")
    reader = await asyncpg.connect(dsn(indicators))
    try:
        places = await _villages(reader)
        with (
            child(rig.directory, "services.ecommerce", "relay", env=_environment(ecommerce)) as relay,
            child(rig.directory, "services.indicators", "consume", env=_environment(indicators)) as consumer,
        ):
            yield Bench(ecommerce, indicators, reader, {}), places, {"relay": relay, "consumer": consumer}
    finally:
        await reader.close()


async def _measure(result: Result, quick: bool) -> None:
    rounds, seconds = (1, 5.0) if quick else (3, 15.0)
    with engines() as rig:
        async with _running(rig) as (bench, places, processes):
            # Every village is met once before anything counts.
            await bench.round(places, RATE / 2, 2 * VILLAGES / RATE)
            found = []
            before = {name: one.cpu_seconds() for name, one in processes.items()}
            for n in range(rounds):
                found.append(await bench.round(places, RATE, seconds))
                result.say(f"round {n + 1}: {found[-1]}")
            events = sum(one["events"] for one in found)
            cpu = {name: (one.cpu_seconds() - before[name]) / events * 1e6 for name, one in processes.items()}
    note = f"{found[-1]['rate']:.0f} events/s, {sum(one['overtaken'] for one in found)} of {events} overtaken"
    result.add(Figure("Acknowledged command to changed sheet, p50", "ms", [one["p50"] for one in found], note=note))
    result.add(Figure("… p99", "ms", [one["p99"] for one in found], aim="< 250"))
    result.add(Figure("… processor time of the relay", "µs/event", [cpu["relay"]]))
    result.add(Figure("… processor time of the consumer", "µs/event", [cpu["consumer"]]))
    result.details = {"rounds": found}


def measure(*, quick: bool) -> Result:
    result = Result("latency_apart", "Command to sheet, each part a process", quick=quick)
    asyncio.run(_measure(result, quick))
    return result
