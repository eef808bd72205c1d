"""Two processes of the stream beside one where the machine has cores to spare: each runs a third of the time only.

On two cores one process and what PostgreSQL and Kafka do for it leave too little for a second one (`stream` tells how
much is at work), so two at full speed show what the machine has left. Held back they show whether processes are in
each other's way: by locks, by the fence of units, by the rebalance when the second joins.
"""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from benchmarks.figures import Figure, Result
from benchmarks.stream import VILLAGES, Bench, opened, slowed, together

SHARE = 0.35
"""Of the time a process runs."""
PREFIX = "held-"


async def held(bench: Bench, result: Result, count: int, rounds: int) -> None:
    filled = await asyncio.to_thread(bench.run, "fill", PREFIX, count, variant="entity", villages=VILLAGES, seed=11)
    alone, both, cores = [], [], []

    def one() -> dict[str, Any]:
        with bench.start("ours", PREFIX, count) as running, slowed(SHARE, running):
            return bench.answer(running)

    for n in range(rounds):
        await bench.villages(VILLAGES)
        alone.append((await asyncio.to_thread(one))["rate"])
        await bench.villages(VILLAGES)
        _, second = await asyncio.to_thread(together, bench, PREFIX, count, SHARE)
        facts = await bench.connection.fetchval("SELECT count(*) FROM fact")
        kept = await bench.connection.fetchval("SELECT count(*) FROM fact_history")
        if second["began"] is None or not facts == kept == filled["told"]:
            raise RuntimeError(f"{filled['told']} told, {facts} facts, {kept} of history; the second: {second}")
        both.append(second["rate"])
        cores.append(second["cores"])
        result.say(f"round {n + 1}: one {alone[-1]:,.0f}/s, two {both[-1]:,.0f}/s on {cores[-1]:.2f} cores")
    note = f"each runs {SHARE:.0%} of the time; {statistics.median(cores):.2f} cores at work for two"
    name = "Two processes held back, from when the second had its partitions"
    result.add(Figure(name, "events/s", both, "one held back", alone, ">= 1.7", note))
    result.details = {"alone": alone, "both": both, "cores": cores}


async def _measure(result: Result, quick: bool) -> None:
    async with opened() as bench:
        await held(bench, result, 60_000 if quick else 300_000, 1 if quick else 5)


def measure(*, quick: bool) -> Result:
    result = Result("stream_held", "Two processes of the stream where cores suffice", quick=quick)
    asyncio.run(_measure(result, quick))
    return result
