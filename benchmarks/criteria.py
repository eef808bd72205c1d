"""Measures how long a province waits for another catalogue: a new set, a changed target, an overlay; every unit judged.

2,000 villages in 200 communes and 10 districts, each village with figures of ten measures. From the applying call to
the last unit's committed status, work in bounded transactions included; roll-ups follow within 0.2 s and are not in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime

import sqlalchemy as sa
from pydantic import SecretStr

from benchmarks.figures import Figure, Result
from benchmarks.rig import engines
from chassis import migrations, units
from chassis.db import Sessions, make_engine
from chassis.units import Unit
from services.indicators.calculation import applying, ledger
from services.indicators.calculation.engine import Fact, Ratio
from services.indicators.criteria import editions, library
from services.indicators.settings import Settings
from services.indicators.upkeep import following

SINCE = date(2020, 1, 1)
HEAD = """
title: {{vi: "Bộ đo", en: "Measured"}}
legal_basis: {{number: "1", date: 2026-01-01, issuer: "UBND", title: "Quyết định"}}
valid_from: 2026-01-01
"""
SET = (
    "set: bench-2026\nlevel: village\nneeds: all\n"
    + HEAD
    + """
items:
  - {{code: "1", title: {{vi: "a", en: "a"}}, short: {{vi: "a", en: "a"}},
     rule: {{ratio: village.fibre_households, operator: ">", target: {target}}}, feeds: [T]}}
  - {{code: "2", title: {{vi: "b", en: "b"}}, short: {{vi: "b", en: "b"}},
     rule: {{all: [{{ratio: village.signal_area, operator: "=", target: 100%}}, {{flag: village.smart_loudspeaker}}]}},
     feeds: [T]}}
"""
)
OVERLAY = (
    'overlay: bench-30\non: hd-288-2023\nunit: "30"\n'
    + HEAD
    + 'targets:\n  - {{item: "288.5", operator: ">=", target: {target}}}\n'
)
RATIOS = (
    "village.fibre_households",
    "village.mobile_internet_people",
    "village.signal_area",
    "village.audible_area",
    "village.mobile_broadband_area",
    "village.culture_house_wifi",
    "village.smartphone_adults",
    "village.epayment_adults",
)
FLAGS = ("village.smart_loudspeaker", "village.digital_dialogue")


def province(villages: int) -> list[Unit]:
    """Hải Dương with ten villages a commune and twenty communes a district."""
    found = [Unit("30", "Tỉnh", "province", "tinh", "", "30", SINCE)]
    for c in range(villages // 10):
        district = f"{290 + c // 20}"
        if c % 20 == 0:
            found.append(Unit(district, "Huyện", "district", "huyen", "30", f"30/{district}", SINCE))
        code = f"{20000 + c}"
        path = f"30/{district}/{code}"
        found.append(Unit(code, "Xã", "commune", "xa", district, path, SINCE))
        found += [
            Unit(f"{code}-{v:02d}", "Thôn", "village", "thon", code, f"{path}/{code}-{v:02d}", SINCE) for v in range(10)
        ]
    return found


def facts(villages: Sequence[Unit]) -> list[Fact]:
    at = datetime.now(UTC)
    found = []
    for n, unit in enumerate(villages):
        for m, measure in enumerate((*RATIOS, *FLAGS)):
            value = Ratio((n * 7 + m) % 101, 100) if m < len(RATIOS) else n % 3 > 0
            cause = f"observation:bench/{unit.code}/{m}"
            found.append(Fact(measure, f"{unit.code}/", "bench", "partner", unit.code, value, 1, cause, at))
    return found


async def _enter(sessions: Sessions, villages: int) -> None:
    made = province(villages)
    for start in range(0, len(made), 500):
        async with sessions.begin() as tx:
            for unit in made[start : start + 500]:
                await units.project(tx, unit)
    said = facts([unit for unit in made if unit.level == "village"])
    for start in range(0, len(said), 5000):
        async with sessions.begin() as tx:
            await ledger.record(tx, said[start : start + 5000], library.catalogue())


async def _apply(sessions: Sessions, name: str, text: str) -> tuple[float, float]:
    """Seconds until every unit is judged, and how many of them this process worked."""
    began, worked = time.perf_counter(), time.process_time()
    async with sessions.begin() as tx:
        await applying.apply(tx, applying.read(name, text), "bench")
    await following.look(sessions)
    await following.catch_up(sessions)
    return time.perf_counter() - began, time.process_time() - worked


async def _measure(result: Result, quick: bool) -> None:
    villages, rounds = (200, 2) if quick else (2000, 5)
    with engines(kafka=False) as rig:
        settings = Settings(database_url=rig.database("indicators"), secret=SecretStr("x" * 40))
        await migrations.upgrade(settings, "services.indicators")
        engine = make_engine(settings)
        sessions = Sessions(engine)
        await _enter(sessions, villages)
        fresh, changed, overlaid, worked = [], [], [], []
        for n in range(rounds):
            seconds, busy = await _apply(sessions, "set", SET.format(target="50%"))
            fresh.append(seconds)
            worked.append(busy)
            changed.append((await _apply(sessions, "set", SET.format(target=f"{51 + n}%")))[0])
            overlaid.append((await _apply(sessions, "overlay", OVERLAY.format(target=f"{60 + n}%")))[0])
            async with sessions.begin() as tx:
                await applying.withdraw(tx, "set", "bench-2026", "bench")
            await following.look(sessions)
            await following.catch_up(sessions)
        async with sessions.read() as tx:
            met = (await tx.execute(sa.text("SELECT count(*) FROM item WHERE status = 'met'"))).scalar_one()
            result.details |= {"villages": villages, "items_met": met, "changes": await editions.number(tx)}
        await engine.dispose()
    note = f"{villages} villages"
    result.add(Figure("New set evaluated for every unit", "s", fresh, aim="< 5", note=note))
    result.add(Figure("… of it this process at work", "s", worked, note="the rest: PostgreSQL, and waiting for a core"))
    result.add(Figure("Changed target of a row of that set", "s", changed, aim="< 5", note=note))
    result.add(Figure("Overlay on a set of nine rows for a province", "s", overlaid, aim="< 5", note=note))


def measure(*, quick: bool) -> Result:
    result = Result("criteria", "Another catalogue in force", quick=quick)
    asyncio.run(_measure(result, quick))
    return result
