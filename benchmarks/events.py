"""How many events a second get through: outbox → relay → broker → consumer → inbox and effect committed.

Three figures: the consumer alone on a backlog, the relay alone on a backlog, and both at once. The baselines are bare
aiokafka loops (see sides.py) on the same engines, in the same run, taking turns with ours.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from benchmarks.figures import Figure, Result
from benchmarks.rig import Child, Rig, child, engines
from benchmarks.sides import KEYS, TOPIC
from chassis import kafka, migrations
from chassis.relay import dsn
from tests.support.ledger.app import PACKAGE, LedgerSettings

DEADLINE_SECONDS = 300.0
_FILL = """
    INSERT INTO outbox (event_id, topic, key, type, subject, sequence, unit, occurred_at, traceparent, payload)
    SELECT gen_random_uuid(), $2, 'key-' || (n % $3), 'xaso.petitions.v1.PetitionFiled', 'subject-' || n, 1, '11074',
        now(), '00-' || replace(gen_random_uuid()::text, '-', '') || '-' || substr(md5(n::text), 1, 16) || '-01',
        -- The very bytes of the message: field 1 of PetitionFiled holds id (1), code (2) and commune (3).
        decode(concat('0a', lpad(to_hex(length(body) / 2), 2, '0'), body), 'hex')
    FROM (
        SELECT n, concat(
            '0a', lpad(to_hex(length('entry-' || n)), 2, '0'), encode(convert_to('entry-' || n, 'UTF8'), 'hex'),
            '12', lpad(to_hex(length(n::text)), 2, '0'), encode(convert_to(n::text, 'UTF8'), 'hex'),
            '1a05', encode('11074', 'hex')
        ) AS body FROM generate_series(0, $1::int - 1) AS n
    ) AS made
"""
_SPAN = "SELECT count(*), extract(epoch FROM max({0}) - min({0}))::float8 FROM {1}"


class Bench:
    """One run: the ledger's database, the parent's connection, and how each side is started."""

    def __init__(self, rig: Rig, settings: LedgerSettings, connection: asyncpg.Connection, count: int) -> None:
        self.rig = rig
        self.settings = settings
        self.connection = connection
        self.count = count

    @property
    def directory(self) -> Path:
        return self.rig.directory

    def env(self, prefix: str, name: str) -> Mapping[str, str]:
        given = {
            "LEDGER_DATABASE_URL": self.settings.database_url,
            "LEDGER_KAFKA": self.settings.kafka,
            "LEDGER_TOPIC_PREFIX": prefix,
            "LEDGER_NAME": name,
            "COUNT": str(self.count),
        }
        # What the services run on, the bare loops run on as well.
        return given | {"UVLOOP": os.environ.get("BENCH_UVLOOP", "1")}

    async def topic(self, prefix: str) -> None:
        settings = self.settings.model_copy(update={"topic_prefix": prefix})
        await kafka.ensure_topics(settings, [prefix + TOPIC])

    async def clear(self) -> None:
        await self.connection.execute("TRUNCATE effect, inbox, outbox, outbox_sequence, relay_state")

    async def fill(self) -> None:
        await self.connection.execute(_FILL, self.count, TOPIC, KEYS, timeout=120)
        await self.connection.execute("ANALYZE outbox")

    async def taken(self, running: Child, column: str, table: str) -> float:
        """Rows a second once all are there; by the server's clock, from the first row to the last."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            rows, seconds = await self.connection.fetchrow(_SPAN.format(column, table))
            whole = await self.connection.fetchval(f"SELECT count(*) FROM {table}")
            if rows == whole == self.count:
                return float(rows / seconds)
            if time.monotonic() > deadline or running.process.poll() is not None:
                raise RuntimeError(f"{rows} of {self.count}: {running.log.read_text(errors='replace')[-2000:]}")
            await asyncio.sleep(0.2)

    async def consume(self, side: str, prefix: str, name: str) -> tuple[float, float]:
        """Events a second of one consumer on the backlog of `prefix`, and its processor time per event in µs."""
        await self.clear()
        with child(self.directory, "benchmarks.sides", side, env=self.env(prefix, name)) as running:
            rate = await self.taken(running, "at", "effect")
            return rate, running.cpu_seconds() / self.count * 1e6

    async def produce(self, prefix: str, name: str) -> float:
        """Events a second of the bare producer."""
        await self.topic(prefix)
        with child(self.directory, "benchmarks.sides", "bare-produce", env=self.env(prefix, name)) as running:
            running.line("started")
            began = time.monotonic()
            await asyncio.to_thread(running.line, "sent", DEADLINE_SECONDS)
            return self.count / (time.monotonic() - began)

    async def relay(self, prefix: str, name: str) -> float:
        """Events a second of the relay on a full outbox."""
        await self.clear()
        await self.fill()
        await self.topic(prefix)
        with child(self.directory, "benchmarks.sides", "relay", env=self.env(prefix, name)) as running:
            return await self.taken(running, "published_at", "outbox WHERE published_at IS NOT NULL")

    async def through(self, prefix: str, name: str, *, bare: bool) -> float:
        """Events a second from outbox (bare: from memory) to effect, sender and consumer at once."""
        await self.clear()
        await self.topic(prefix)
        if not bare:
            await self.fill()
        sender, taker = ("bare-produce", "bare-consume") if bare else ("relay", "consume")
        env = self.env(prefix, name)
        with (
            child(self.directory, "benchmarks.sides", taker, env=env) as running,
            child(self.directory, "benchmarks.sides", sender, env=env),
        ):
            return await self.taken(running, "at", "effect")


async def _measure(result: Result, quick: bool) -> None:
    count, rounds = (4_000, 1) if quick else (10_000, 3)
    with engines() as rig:
        settings = LedgerSettings(database_url=rig.database("ledger"), kafka=rig.bootstrap, json_logs=True)
        await migrations.upgrade(settings, PACKAGE)
        connection = await asyncpg.connect(dsn(settings))
        await connection.execute("ALTER TABLE effect ADD COLUMN at timestamptz NOT NULL DEFAULT clock_timestamp()")
        bench = Bench(rig, settings, connection, count)
        await bench.produce("backlog-", "filler")
        found: dict[str, list[float]] = {}
        cpu: dict[str, list[float]] = {}
        for n in range(rounds):
            for side in ("bare-consume", "consume", "bare-consume-asyncpg"):
                rate, spent = await bench.consume(side, "backlog-", f"{side}-{n}")
                found.setdefault(side, []).append(rate)
                cpu.setdefault(side, []).append(spent)
            found.setdefault("bare-produce", []).append(await bench.produce(f"p{n}-", f"p{n}"))
            found.setdefault("relay", []).append(await bench.relay(f"r{n}-", f"r{n}"))
            found.setdefault("bare-through", []).append(await bench.through(f"b{n}-", f"b{n}", bare=True))
            found.setdefault("through", []).append(await bench.through(f"o{n}-", f"o{n}", bare=False))
            result.say(f"round {n + 1}: " + ", ".join(f"{k} {v[-1]:.0f}/s" for k, v in found.items()))
        await connection.close()
    bare = "bare aiokafka loop, same statement"
    for figure in (
        Figure(
            "Outbox to effect, relay and consumer at once",
            "events/s",
            found["through"],
            "bare producer and loop",
            found["bare-through"],
            ">= 0.5",
        ),
        Figure("Consumer alone, backlog", "events/s", found["consume"], bare, found["bare-consume"], ">= 0.5"),
        Figure(
            "Consumer alone, backlog, beside the driver alone",
            "events/s",
            found["consume"],
            "bare aiokafka loop, asyncpg without SQLAlchemy",
            found["bare-consume-asyncpg"],
            ">= 0.5",
        ),
        Figure(
            "Relay alone, backlog",
            "events/s",
            found["relay"],
            "bare aiokafka producer, from memory",
            found["bare-produce"],
            ">= 0.5",
        ),
    ):
        result.add(figure)
    result.details = {"events_per_round": count, "rounds": rounds, "cpu_microseconds_per_event": cpu}


def measure(*, quick: bool) -> Result:
    result = Result("events", "Events: outbox → relay → broker → consumer → effect", quick=quick)
    asyncio.run(_measure(result, quick))
    return result
