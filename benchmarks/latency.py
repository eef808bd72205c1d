"""From an acknowledged commit in one service to the change arriving at an open dashboard, at 200 events a second.

The whole platform as `xaso up` starts it: five services in one process. A process of its own commits events of the
ecommerce service through the chassis's outbox (each makes one village's row 288.9 met or takes that back); the way is
relay → Kafka → indicators: facts, status → sequencer → notification → `GET /indicators/api/v1/changes`, read
here as a browser reads it. The events are told apart by their id, which a change names as its cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
from xaso.identity.v1.events_pb2 import Unit, UnitEntered

from benchmarks.feed import Plan
from benchmarks.figures import Figure, Result, percentile
from benchmarks.platforms import Up, memory, up
from benchmarks.rig import PROJECT, scratch
from chassis import outbox
from chassis.db import Sessions, make_engine
from chassis.relay import dsn
from chassis.settings import ServiceSettings

SET = "hd-288-2023"
ITEM = "288.9"
VILLAGES = 1000
RATE = 200.0
QUIET_RATE = 10.0
DRAIN_SECONDS = 60.0


@dataclass
class Watcher:
    """An open dashboard: when which cause was seen (CLOCK_MONOTONIC)."""

    web: str
    seen: dict[str, float] = field(default_factory=dict)
    last: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        address = f"{self.web}/indicators/api/v1/changes?set={SET}"
        async with (
            httpx.AsyncClient(timeout=httpx.Timeout(30, read=120), trust_env=False) as client,
            client.stream("GET", address) as answer,
        ):
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                self.open.set()
                if line.startswith("data: "):
                    at = time.monotonic()
                    change = json.loads(line[6:])
                    self.last = change["id"]
                    if change["item"] == ITEM and change["after"] != "measured":
                        self.seen.setdefault(change["because"].rpartition(":")[2], at)


async def enter_villages(platform: Up, wanted: int) -> list[tuple[str, str]]:
    """Make villages known as identity does, by its events, five to a commune; (village, commune) codes."""
    web = platform.said["web"]
    async with httpx.AsyncClient(base_url=web, timeout=30, trust_env=False) as client:
        answer = await client.get("/indicators/api/v1/units", params={"level": "commune", "limit": 200})
        communes = answer.raise_for_status().json()["items"]
        places = []
        engine = make_engine(ServiceSettings(name="identity", database_url=platform.database("identity")))
        async with Sessions(engine).begin() as tx:
            for n in range(wanted):
                commune = communes[n // 5 % len(communes)]
                code = f"{commune['code']}-{900 + n % 5}"
                unit = Unit(
                    code=code,
                    name=f"Thôn {n + 1}",
                    level="village",
                    kind="thon",
                    parent=commune["code"],
                    path=f"{commune['path']}/{code}",
                    valid_from="2020-01-01",
                )
                await outbox.add(tx, UnitEntered(unit=unit), unit=code, key=commune["code"], subject=f"unit:{code}")
                places.append((code, commune["code"]))
        await engine.dispose()
        deadline = time.monotonic() + 60
        while True:
            last = await client.get(f"/indicators/api/v1/units/{places[-1][0]}/sets/{SET}")
            if last.status_code == 200:
                return places
            if time.monotonic() > deadline:
                raise TimeoutError("the villages did not arrive")
            await asyncio.sleep(0.1)


async def feed(plan: Plan) -> list[tuple[str, int, float]]:
    """Run the writer in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.feed",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=PROJECT,
        limit=2**26,
    )
    output, _ = await process.communicate(plan.text().encode())
    if process.returncode:
        raise RuntimeError("the writer failed")
    return [(subject, sequence, at) for subject, sequence, at in json.loads(output)]


TAKEN_IN = """
    SELECT count(*) FROM unnest($1::text[], $2::bigint[]) AS told (entity, sequence)
    JOIN fact f ON f.attribute = 'product.sale' AND f.entity = told.entity AND f.sequence >= told.sequence
"""


async def drained(platform: Up, watcher: Watcher, last: dict[str, int]) -> None:
    """Wait until every event has had its effect and the dashboard has seen all that followed."""
    address = platform.database("indicators")
    connection = await asyncpg.connect(dsn(ServiceSettings(name="indicators", database_url=address)))
    deadline = time.monotonic() + DRAIN_SECONDS
    try:
        while True:
            there = await connection.fetchval(TAKEN_IN, list(last), list(last.values()))
            waiting = await connection.fetchval("SELECT count(*) FROM change WHERE position IS NULL")
            top = await connection.fetchval("SELECT coalesce(max(position), 0) FROM change")
            if there == len(last) and not waiting and watcher.last >= top:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{there} of {len(last)} products took effect, {waiting} changes wait")
            await asyncio.sleep(0.2)
    finally:
        await connection.close()


async def round_of(platform: Up, places: list[tuple[str, str]], rate: float, seconds: float) -> dict[str, Any]:
    """One round: latencies in ms by event, and how many events were overtaken by a later one of their village."""
    address = platform.database("ecommerce")
    watcher = Watcher(platform.said["web"])
    watching = asyncio.create_task(watcher.run())
    try:
        await asyncio.wait_for(watcher.open.wait(), 30)
        committed = await feed(Plan(address, places, rate, seconds))
        connection = await asyncpg.connect(dsn(ServiceSettings(name="ecommerce", database_url=address)))
        rows = await connection.fetch(
            "SELECT event_id::text AS id, subject, sequence FROM outbox WHERE subject = ANY($1::text[])",
            list({subject for subject, _, _ in committed}),
        )
        await connection.close()
        ids = {(row["subject"], row["sequence"]): row["id"] for row in rows}
        last: dict[str, int] = {}
        for subject, sequence, _ in committed:
            last[subject] = max(last.get(subject, 0), sequence)
        await drained(platform, watcher, last)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    took = [(watcher.seen[i] - at) * 1000 for s, n, at in committed if (i := ids[s, n]) in watcher.seen]
    span = max(at for _, _, at in committed) - min(at for _, _, at in committed)
    return {
        "events": len(committed),
        "rate": len(committed) / span,
        "seen": len(took),
        "overtaken": len(committed) - len(took),
        "p50": percentile(took, 0.5),
        "p90": percentile(took, 0.9),
        "p99": percentile(took, 0.99),
        "max": max(took),
    }


async def _measure(result: Result, quick: bool) -> None:
    rounds, seconds = (1, 5.0) if quick else (3, 15.0)
    with scratch() as directory, up(directory / "data", directory) as platform:
        places = await enter_villages(platform, VILLAGES)
        await round_of(platform, places, RATE / 4, 5.0)
        busy, quiet = [], []
        before = platform.process.cpu_seconds(), time.monotonic()
        for n in range(rounds):
            busy.append(await round_of(platform, places, RATE, seconds))
            result.say(f"round {n + 1}: {busy[-1]}")
        used = (platform.process.cpu_seconds() - before[0]) / (time.monotonic() - before[1])
        quiet.append(await round_of(platform, places, QUIET_RATE, seconds))
        held = memory(platform.process.process.pid)
    note = f"{busy[-1]['rate']:.0f} events/s"
    result.add(Figure("Commit to dashboard, p50", "ms", [r["p50"] for r in busy], note=note))
    result.add(Figure("Commit to dashboard, p99", "ms", [r["p99"] for r in busy], aim="< 500", note=note))
    note = f"{quiet[-1]['rate']:.0f} events/s"
    result.add(Figure("Commit to dashboard, p50", "ms", [r["p50"] for r in quiet], note=note))
    result.add(Figure("Commit to dashboard, p99", "ms", [r["p99"] for r in quiet], note=note))
    result.add(Figure("Processor of the one process meanwhile", "cores", [used], note="200 events/s and pauses"))
    result.add(Figure("Resident memory afterwards (PSS)", "MiB", [held["whole"]["pss"]]))
    result.details = {"busy": busy, "quiet": quiet, "memory": held}


def measure(*, quick: bool) -> Result:
    result = Result("latency", "Commit to dashboard, the whole platform in one process", quick=quick)
    asyncio.run(_measure(result, quick))
    return result
