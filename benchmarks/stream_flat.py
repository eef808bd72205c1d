"""Whether an event costs the same however many villages there are and however many facts lie in the tables already.

A stream that lags writes tens of thousands of events at once, and among few villages many of them change the same row
of the same sheet, which is then written once. So villages are compared twice: behind, at full speed, and keeping up
with a steady rate, where nearly each event is a change of its own.

What is compared are processes that have met all units: a first pass tells a household of each village in turn, the
second is measured: half newer words of households there are, picked at random, half new households. Where facts lie in
the tables already, the newer words are spread over all of them.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks import volumes
from benchmarks.figures import Figure, Result
from benchmarks.stream import Bench, opened
from benchmarks.stream_sides import rows_written

FEW, MANY = 200, 20_000
USUAL = 2000
FIRST = 20_400
"""Events of the first pass: with one in a hundred twice, enough to come to every village."""

_FACT = """
    INSERT INTO fact (attribute, entity, source, origin, unit, period, state, withdrawn, sequence, cause, observed_at,
        heap_period)
    SELECT 'household.fibre', '00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'), 'vnpt/bridge', 'partner',
        u.code || '@' || u.valid_from, '', CASE WHEN n % 7 = 0 THEN 'false' ELSE 'true' END, false, n, 'bench:' || n,
        at, to_char(at AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY')
    FROM generate_series(0, $1::int - 1) AS n CROSS JOIN (SELECT now() - interval '1 day' AS at) AS moment
    JOIN (SELECT code, valid_from, row_number() OVER (ORDER BY code) - 1 AS place FROM unit WHERE level = 'village')
        AS u ON u.place = n % (SELECT count(*) FROM unit WHERE level = 'village')
    ORDER BY n
"""
_TALLY = """
    INSERT INTO tally (unit, attribute, source, origin, year, state, count)
    SELECT unit, attribute, source, origin, heap_period, state, count(*) FROM fact GROUP BY 1, 2, 3, 4, 5, 6
"""


async def once(bench: Bench, prefix: str, count: int, villages: int, known: int = 0, rate: int = 0) -> dict[str, Any]:
    """Rate and processor time of `count` events, by a process that has all units in memory; at most `rate` a second."""
    filled = await _fill(bench, prefix, FIRST, variant="turn", villages=villages, known=known)
    known = filled["households"]
    with bench.start("ours", prefix, FIRST + count, warm=FIRST) as running:
        # They wait, ready to be sent, until the first pass is through.
        filled = await _fill(
            bench, prefix, count, variant="again", villages=villages, known=known, after=FIRST, rate=rate
        )
        one = await asyncio.to_thread(bench.answer, running)
    rows = (await rows_written(bench.connection) - filled["written"]) / count
    return {**one, "households": filled["households"], "rows": rows}


async def _fill(bench: Bench, prefix: str, count: int, **more: object) -> dict[str, Any]:
    return await asyncio.to_thread(bench.run, "fill", prefix, count, **more)


def _told(result: Result, name: str, one: dict[str, Any]) -> None:
    result.say(f"{name}: {one['rate']:,.0f}/s, {one['cpu']:.1f} µs/event, {one['rows']:.1f} rows/event")


def _compared(result: Result, name: str, less: str, here: list[dict[str, Any]], there: list[dict[str, Any]]) -> None:
    """The dearer side beside the cheaper: processor time of the process, and time on the clock, database included.

    Rows are those written to all tables. The more villages the events are spread over, the more sheets each write
    changes, and each changed row of a sheet is a row of the log and of the outbox too.
    """
    for what, unit, of in (
        ("Processor time an event", "µs/event", lambda one: one["cpu"]),
        ("Time an event, database included", "µs/event", lambda one: 1e6 / one["rate"]),
        ("Rows an event writes", "rows/event", lambda one: one["rows"]),
        ("Time a row written, database included", "µs/row", lambda one: 1e6 / one["rate"] / one["rows"]),
    ):
        result.add(Figure(f"{what}, {name}", unit, [of(one) for one in here], less, [of(one) for one in there]))


async def villages(bench: Bench, result: Result, count: int, rounds: int) -> None:
    """The same events for 200 and for 20,000 villages."""
    found: dict[int, list[dict[str, Any]]] = {FEW: [], MANY: []}
    for n in range(rounds):
        for size, seen in found.items():
            await bench.villages(size)
            seen.append(await once(bench, f"villages{size}-{n}-", count, size))
            _told(result, f"{size} villages", seen[-1])
    _compared(result, f"{MANY:,} villages", f"{FEW} villages", found[MANY], found[FEW])
    result.details["villages"] = found


async def keeping_up(bench: Bench, result: Result, rate: int, count: int, rounds: int) -> None:
    """Processor time of the whole machine an event, at a steady rate that it can keep up with."""
    found: dict[int, list[dict[str, Any]]] = {FEW: [], MANY: []}
    for n in range(rounds):
        for size, seen in found.items():
            await bench.villages(size)
            seen.append(await once(bench, f"pace{size}-{n}-", count, size, rate=rate))
            _told(result, f"{size} villages at {rate}/s", seen[-1])
    for what, unit, of in (
        ("Processor time of the machine an event", "µs/event", lambda one: one["cores"] / one["rate"] * 1e6),
        ("Rows an event writes", "rows/event", lambda one: one["rows"]),
    ):
        here, there = ([of(one) for one in found[size]] for size in (MANY, FEW))
        name = f"{what}, {MANY:,} villages, keeping up with {rate:,}/s"
        result.add(Figure(name, unit, here, f"{FEW} villages", there))
    result.details["keeping_up"] = found


async def facts(bench: Bench, result: Result, there: int, count: int, rounds: int) -> None:
    """The same events on top of nothing and on top of `there` facts with their history and heaps."""
    empty, full = [], []
    for n in range(rounds):
        await bench.villages(USUAL)
        empty.append(await once(bench, f"empty-{n}-", count, USUAL))
        _told(result, "no facts before", empty[-1])
    await bench.villages(USUAL)
    began = time.monotonic()
    tables = {"fact": _FACT, "fact_history": volumes.INDICATORS["fact_history"], "tally": _TALLY}
    rows = await volumes.fill(bench.connection, tables, there)
    result.say(f"{rows} filled in {time.monotonic() - began:.0f} s")
    known = there
    for n in range(rounds):
        full.append(await once(bench, f"full-{n}-", count, USUAL, known))
        # Numbers serve as sequences, too: the next round's are above all there were.
        known = there + (n + 1) * (FIRST + count)
        _told(result, f"{there:,} facts before", full[-1])
    _compared(result, f"{there:,} facts before", "none", full, empty)
    result.details["facts"] = {"before": rows, "none": empty, "full": full}


async def _measure(result: Result, quick: bool, there: int) -> None:
    count, rounds = (20_000, 1) if quick else (100_000, 3)
    async with opened() as bench:
        await villages(bench, result, count, rounds)
        await keeping_up(bench, result, 500, 2_000 if quick else 10_000, rounds)
        await facts(bench, result, there, count, rounds)


def measure(*, quick: bool, there: int | None = None) -> Result:
    """`there` is how many facts lie in the tables already when the stream is measured on top of them."""
    result = Result("stream_flat", "The stream, however much there is already", quick=quick)
    asyncio.run(_measure(result, quick, there or (100_000 if quick else 10_000_000)))
    return result
