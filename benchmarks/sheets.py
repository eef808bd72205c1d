"""How long a reader waits for a sheet and for the overview of a province, while the stream is at work.

178 communes and 2,000 villages with figures for every set, a log of a million changes; 500 observations a second come
in through Kafka meanwhile and change sheets. Sheets of all units and sets are asked for at 100 a second. The baseline
is bare_http.py, which hands on the same answers as they lie ready in a table; both take turns under the same stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import asyncpg

from benchmarks import provinces, volumes
from benchmarks.figures import Figure, Result, percentile
from benchmarks.http_write import answers
from benchmarks.readers import Reading, Telling
from benchmarks.rig import PROJECT, Child, Rig, child, engines, until
from chassis import migrations
from chassis.relay import dsn
from launcher.processes import free_port
from services.indicators.rebuilding import rebuild
from services.indicators.settings import Settings
from tests.support.running import JWKS

RATE = 100.0
TOLD = 500.0
WARM_UP = 2.0
PARTITIONS = 12
START_SECONDS = 180.0
SETTLE_SECONDS = 60.0
SAMPLE, QUICK_SAMPLE = 2000, 200
"""Different sheets that are asked for, of all there are."""
OVERVIEW = f"/indicators/api/v1/units/{provinces.PROVINCE}/overview?level=commune"
BARE = "bare FastAPI, asyncpg, the answer stored"
DOCUMENTS = "CREATE TABLE IF NOT EXISTS bare_document (key integer PRIMARY KEY, body text NOT NULL)"


class Bench:
    """One run: the engines, the database, and the processes beside them."""

    def __init__(self, rig: Rig, settings: Settings, connection: asyncpg.Connection) -> None:
        self.rig = rig
        self.settings = settings
        self.connection = connection
        self.env = {
            "XASO_INDICATORS_DATABASE_URL": settings.database_url,
            "XASO_INDICATORS_KAFKA": settings.kafka,
            "XASO_INDICATORS_TOPIC_PREFIX": settings.topic_prefix,
            "XASO_INDICATORS_KAFKA_PARTITIONS": str(PARTITIONS),
            "XASO_INDICATORS_JWKS_JSON": json.dumps(JWKS),
            "XASO_INDICATORS_SECRET": "a secret of the measurement, long enough to be one",
        }

    @contextlib.contextmanager
    def ours(self) -> Iterator[tuple[Child, int]]:
        """The service's web process as it runs in production, and its port."""
        port = free_port()
        env = {**self.env, "XASO_INDICATORS_PORT": str(port)}
        with child(self.rig.directory, "services.indicators", "web", env=env) as running:
            until(lambda: answers(port, "/indicators/readyz"), 60, "the start of the service")
            yield running, port

    @contextlib.contextmanager
    def bare(self) -> Iterator[tuple[Child, int]]:
        port = free_port()
        env = {"DATABASE_URL": dsn(self.settings), "PORT": str(port)}
        with child(self.rig.directory, "benchmarks.bare_http", env=env) as running:
            until(lambda: answers(port, "/healthz"), 60, "the start of the baseline")
            yield running, port

    @contextlib.asynccontextmanager
    async def stream(self, villages: int) -> AsyncIterator[None]:
        """The service's consuming process, and who tells it 500 observations a second."""
        plan = Telling(self.settings.kafka, self.settings.topic_prefix, PARTITIONS, villages, TOLD)
        with child(self.rig.directory, "services.indicators", "consume", env=self.env):
            # The sets are put in force first: that work and the stream would wait for each other's locks.
            await self.judged()
            with child(self.rig.directory, "benchmarks.readers", "tell", plan.text()) as teller:
                await asyncio.to_thread(teller.line, "telling")
                yield

    async def judged(self) -> None:
        """Wait until the service has put its sets in force, or raise TimeoutError."""
        deadline = time.monotonic() + START_SECONDS
        while await self.connection.fetchval("SELECT count(*) FROM criteria_work") or not await self.followed():
            if time.monotonic() > deadline:
                raise TimeoutError("the service does not get through the work of its start")
            await asyncio.sleep(0.2)

    async def followed(self) -> bool:
        """Whether the service follows its topics, which it does after its start."""
        return bool(await self.connection.fetchval("SELECT count(*) FROM stream_offset"))

    async def consumed(self) -> int:
        """Observations whose effect is committed."""
        return int(await self.connection.fetchval("SELECT coalesce(sum(next_offset), 0) FROM stream_offset"))

    async def settled(self) -> str:
        """Wait until the stream has caught up and every change is numbered; what is left where that takes too long."""
        deadline = time.monotonic() + SETTLE_SECONDS
        before = await self.consumed()
        while True:
            await asyncio.sleep(2)
            here = await self.consumed()
            pace, before = (here - before) / 2, here
            waiting = await self.connection.fetchval("SELECT count(*) FROM change WHERE position IS NULL")
            if waiting < TOLD and 0 < pace < 1.3 * TOLD:
                return ""
            if time.monotonic() > deadline:
                return f"{waiting} changes wait for a number, {pace:.0f} observations/s are taken"


def fetch(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
        body: bytes = response.read()
        return body


def read(plan: Reading) -> dict[str, Any]:
    """Run the readers in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.readers", "read"],
        input=plan.text(),
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        check=True,
        timeout=plan.seconds + 180,
    )
    seen: dict[str, Any] = json.loads(done.stdout)
    if set(seen["statuses"]) != {"200"}:
        raise RuntimeError(f"not every question was answered: {seen['statuses']}")
    return seen


def overviews(port: int, path: str, times: int) -> list[float]:
    """Milliseconds of one whole answer after the other, each on a connection of its own."""
    fetch(port, path)
    took = []
    for _ in range(times):
        began = time.perf_counter()
        fetch(port, path)
        took.append((time.perf_counter() - began) * 1000)
    return took


async def _keep(bench: Bench, bodies: Sequence[bytes]) -> None:
    """Lay the answers ready for the baseline."""
    await bench.connection.execute(DOCUMENTS)
    rows = [(n, body.decode()) for n, body in enumerate(bodies)]
    await bench.connection.copy_records_to_table("bare_document", records=rows, columns=("key", "body"))
    await bench.connection.execute("VACUUM ANALYZE bare_document")


async def _rounds(bench: Bench, paths: list[str], rounds: int, seconds: float, result: Result) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}

    async def side(name: str, server: tuple[Child, int], asked: list[str], overview: str) -> None:
        running, port = server
        before, began, busy = await bench.consumed(), time.monotonic(), running.cpu_seconds()
        seen = await asyncio.to_thread(read, Reading(port, asked, RATE, seconds, WARM_UP))
        found.setdefault("told", []).append((await bench.consumed() - before) / (time.monotonic() - began))
        middle = running.cpu_seconds()
        times = max(10, int(seconds))
        whole = await asyncio.to_thread(overviews, port, overview, times)
        asked_in_all = RATE * seconds + RATE * WARM_UP
        found.setdefault(f"{name} sheet cpu", []).append((middle - busy) / asked_in_all * 1000)
        found.setdefault(f"{name} overview cpu", []).append((running.cpu_seconds() - middle) / (times + 1) * 1000)
        for what, took in (("sheet", seen["ms"]), ("overview", whole)):
            for share in (0.5, 0.99):
                found.setdefault(f"{name} {what} {share}", []).append(percentile(took, share))
        found.setdefault(f"{name} bytes", []).append(sum(seen["bytes"]) / len(seen["bytes"]))
        found.setdefault(f"{name} connections", []).append(seen["connections"])

    for n in range(rounds):
        with bench.bare() as server:
            ready = [f"/documents/{key}" for key in range(len(paths))]
            await side("bare", server, ready, f"/documents/{len(paths)}")
        with bench.ours() as server:
            await side("ours", server, paths, OVERVIEW)
        told = {key: round(values[-1], 1) for key, values in found.items()}
        result.say(f"round {n + 1}: {told}")
    return found


async def _measure(result: Result, quick: bool) -> None:
    villages, log, rounds, seconds = (400, 20_000, 1, 5.0) if quick else (2000, 1_000_000, 3, 15.0)
    with engines(server=True) as rig:
        settings = Settings(
            database_url=rig.database("indicators"), kafka=rig.bootstrap, topic_prefix="sheets-",
            kafka_partitions=PARTITIONS,
        )  # fmt: skip
        await migrations.upgrade(settings, "services.indicators")
        connection = await asyncpg.connect(dsn(settings))
        made = await provinces.enter(connection, villages)
        await volumes.fill(connection, volumes.LOG, log)
        await rebuild(settings)
        await connection.execute("VACUUM ANALYZE")
        bench = Bench(rig, settings, connection)
        sheets = provinces.sheets(made)
        chosen = random.Random(1).sample(sheets, min(QUICK_SAMPLE if quick else SAMPLE, len(sheets)))
        paths = [f"/indicators/api/v1/units/{unit}/sets/{of}" for unit, of in chosen]
        async with bench.stream(villages):
            if behind := await bench.settled():
                # A machine that is too busy for 500/s: readers are measured all the same, and the result tells.
                result.say(f"the stream has not caught up: {behind}")
                result.details["behind"] = behind
            with bench.ours() as (_, port):
                bodies = [await asyncio.to_thread(fetch, port, path) for path in [*paths, OVERVIEW]]
            await _keep(bench, bodies)
            found = await _rounds(bench, paths, rounds, seconds, result)
        tables = ("unit", "fact", "item", "sheet", "change")
        counts = {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables}
        await connection.close()
    overview = json.loads(bodies[-1])
    sets = {one["set"] for unit in overview["children"] for one in unit["sets"]}
    known = sum(one["status"] != "no_data" for unit in overview["children"] for one in unit["sets"])
    all_of = f"{len(overview['children'])} units × {len(sets)} sets, {known} results with data"
    result.details |= {"sheets": len(sheets), "asked": len(paths), "rows": counts, "rounds": found, "overview": all_of}
    _figures(result, found, len(bodies[-1]) / 1024, all_of)


def _figures(result: Result, found: dict[str, list[Any]], size: float, all_of: str) -> None:
    def both(name: str, key: str, note: str = "") -> None:
        result.add(Figure(name, "ms", found[f"ours {key}"], BARE, found[f"bare {key}"], note=note))

    told = f"{found['told'][-1]:.0f} observations/s taken meanwhile"
    # An aim is judged by the ratio where a baseline stands beside it; these aims are absolute.
    result.add(Figure("A unit's sheet, p99 at 100/s", "ms", found["ours sheet 0.99"], aim="< 30", note=told))
    both("… p99 beside the baseline", "sheet 0.99")
    both("… p50", "sheet 0.5", f"{found['ours bytes'][-1]:,.0f} B an answer")
    result.add(Figure("Province overview, p50", "ms", found["ours overview 0.5"], aim="< 100", note=all_of))
    result.add(Figure("… p99, the stream at work", "ms", found["ours overview 0.99"], aim="< 100"))
    both("… p50 beside the baseline", "overview 0.5")
    both("Server's processor time for a sheet", "sheet cpu")
    both("… for the province overview", "overview cpu")
    result.add(Figure("… its size", "KiB", [size]))


def measure(*, quick: bool) -> Result:
    result = Result("sheets", "Sheets and the province's overview while the stream is at work", quick=quick)
    asyncio.run(_measure(result, quick))
    return result
