"""Owns the newest facts and the heaps counted from them: how a batch enters, and that only what is new in it counts.

Facts, heaps, statuses and outbox rows change in one transaction. A transaction takes an advisory lock on each unit it
touches, in one order, so that two that meet on a unit follow each other and no figure is computed from half of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.units import VIETNAM
from services.indicators import criteria as c
from services.indicators import engine, evaluation
from services.indicators.engine import Fact, FactKey
from services.indicators.evaluation import Touched
from services.indicators.model import code_of, columns, fact_of, parked_key, store

_GENERATIONS = sa.text("SELECT code, valid_from, valid_to FROM unit WHERE code = ANY(CAST(:codes AS text[]))")

_STORED = sa.text("""
    SELECT f.* FROM fact f
    JOIN unnest(CAST(:attribute AS text[]), CAST(:entity AS text[]), CAST(:source AS text[])) AS k (a, e, s)
      ON f.attribute = k.a AND f.entity = k.e AND f.source = k.s
""")

_COLUMNS = """
    CAST(:attribute AS text[]), CAST(:entity AS text[]), CAST(:source AS text[]), CAST(:origin AS text[]),
    CAST(:unit AS text[]), CAST(:period AS text[]), CAST(:state AS text[]), CAST(:numerator AS bigint[]),
    CAST(:denominator AS bigint[]), CAST(:withdrawn AS boolean[]), CAST(:sequence AS bigint[]),
    CAST(:cause AS text[]), CAST(:observed_at AS timestamptz[])
"""
_NAMES = """attribute, entity, source, origin, unit, period, state, numerator, denominator, withdrawn, sequence, cause,
    observed_at"""

_REMEMBER = sa.text(f"INSERT INTO fact_history ({_NAMES}) SELECT * FROM unnest({_COLUMNS}) ON CONFLICT DO NOTHING")

_PUT_NEW = sa.text(f"""
    WITH put AS (
        INSERT INTO fact ({_NAMES}) SELECT * FROM unnest({_COLUMNS}) ON CONFLICT DO NOTHING RETURNING 1
    ) SELECT count(*) FROM put
""")
_PUT_AGAIN = sa.text(f"""
    UPDATE fact f SET
        origin = k.origin, unit = k.unit, period = k.period, state = k.state, numerator = k.numerator,
        denominator = k.denominator, withdrawn = k.withdrawn, sequence = k.sequence, cause = k.cause,
        observed_at = k.observed_at, recorded_at = now()
    FROM unnest({_COLUMNS}) AS k ({_NAMES})
    WHERE f.attribute = k.attribute AND f.entity = k.entity AND f.source = k.source
""")

_COUNT = sa.text("""
    INSERT INTO tally (unit, attribute, source, origin, year, state, count)
    SELECT * FROM unnest(CAST(:unit AS text[]), CAST(:attribute AS text[]), CAST(:source AS text[]),
        CAST(:origin AS text[]), CAST(:year AS text[]), CAST(:state AS text[]), CAST(:count AS bigint[]))
    ON CONFLICT (unit, attribute, source, origin, year, state) DO UPDATE SET count = tally.count + excluded.count
""")

_PARKED = sa.text("SELECT * FROM fact WHERE unit = ANY(CAST(:keys AS text[]))")


class Contended(TimeoutError):
    """Another transaction moved or made the very facts of this one meanwhile; trying again helps."""


async def keys_of_units(tx: AsyncSession, wanted: Iterable[tuple[str, datetime]]) -> dict[tuple[str, datetime], str]:
    """The key of the unit each code names at its instant.

    A code that identity has not described gets a parked key. An instant before the first description of a code means
    that first unit: a village was there before somebody entered it.
    """
    pairs = set(wanted)
    rows = await tx.execute(_GENERATIONS, {"codes": sorted({code for code, _ in pairs})})
    generations: dict[str, list[tuple[date, date | None]]] = {}
    for row in rows:
        generations.setdefault(row.code, []).append((row.valid_from, row.valid_to))
    return {(code, at): _key_at(code, at, sorted(generations.get(code, []), key=lambda g: g[0])) for code, at in pairs}


def _key_at(code: str, at: datetime, generations: list[tuple[date, date | None]]) -> str:
    if not generations:
        return parked_key(code)
    day = at.astimezone(VIETNAM).date()
    began = [start for start, _ in generations if start <= day]
    return f"{code}@{(began[-1] if began else generations[0][0]).isoformat()}"


async def record(tx: AsyncSession, facts: Sequence[Fact], catalogue: c.Catalogue) -> int:
    """Take in `facts`, whose `unit` is a plain code; returns how many were news.

    Facts older than the stored one of their key only enter the history. Everything that follows from the others
    (heaps, statuses, the log of changes, events) is written in this transaction.
    """
    if not facts:
        return 0
    keys = await keys_of_units(tx, ((f.unit, f.observed_at) for f in facts))
    placed = [replace(f, unit=keys[f.unit, f.observed_at]) for f in facts]
    # In one order, so that two transactions that meet on the same facts wait for each other and never deadlock.
    await tx.execute(_REMEMBER, _as_columns(sorted(placed, key=lambda fact: (fact.key, fact.order))))
    return await _settle(tx, engine.newest(placed), catalogue)


async def adopt(tx: AsyncSession, codes: Iterable[str], catalogue: c.Catalogue) -> int:
    """Give the facts that waited for the description of their unit to it; returns how many."""
    rows = await tx.execute(_PARKED, {"keys": [parked_key(code) for code in codes]})
    waiting = [fact_of(row) for row in rows]
    if not waiting:
        return 0
    keys = await keys_of_units(tx, ((code_of(f.unit), f.observed_at) for f in waiting))
    moved = [replace(f, unit=keys[code_of(f.unit), f.observed_at]) for f in waiting]
    return await _settle(tx, {f.key: f for f in moved if not f.unit.endswith("@")}, catalogue, same_order=True)


async def _settle(
    tx: AsyncSession, incoming: dict[FactKey, Fact], catalogue: c.Catalogue, *, same_order: bool = False
) -> int:
    if not incoming:
        return 0
    stored = await _stored(tx, incoming)
    units = {fact.unit for fact in (*incoming.values(), *stored.values())}
    await evaluation.lock(tx, units)
    # Read again under the locks: another transaction may have been at the same facts meanwhile.
    stored = await _stored(tx, incoming)
    if {fact.unit for fact in stored.values()} - units:
        raise Contended
    news: list[tuple[Fact | None, Fact]] = []
    for key, fact in incoming.items():
        held = stored.get(key)
        if held is None or fact.order > held.order or (same_order and fact.order == held.order):
            news.append((held, fact))
    if not news:
        return 0
    await _put(tx, news)
    await _count(tx, engine.deltas(news, catalogue))
    await evaluation.recompute(tx, _touched(news), catalogue)
    return len(news)


async def _put(tx: AsyncSession, news: Sequence[tuple[Fact | None, Fact]]) -> None:
    """Write the winners. Known facts are safe under the lock of the unit they were counted in; new ones have none."""
    new = [fact for held, fact in news if held is None]
    if new and (await tx.execute(_PUT_NEW, _as_columns(new))).scalar_one() != len(new):
        raise Contended
    again = [fact for held, fact in news if held is not None]
    if again:
        await tx.execute(_PUT_AGAIN, _as_columns(again))


async def _stored(tx: AsyncSession, keys: Iterable[FactKey]) -> dict[FactKey, Fact]:
    rows = await tx.execute(_STORED, columns([key._asdict() for key in keys]))
    return {fact.key: fact for fact in map(fact_of, rows)}


async def _count(tx: AsyncSession, deltas: dict[engine.TallyKey, int]) -> None:
    if deltas:
        await tx.execute(_COUNT, columns([{**key._asdict(), "count": n} for key, n in sorted(deltas.items())]))


def _touched(news: Sequence[tuple[Fact | None, Fact]]) -> Touched:
    """What changed where and because of what; of several causes the one that happened last is named."""
    touched: dict[str, dict[str, tuple[datetime, str]]] = {}
    for before, after in news:
        if before is not None and _says(before) == _says(after):
            continue
        for unit in {after.unit} | ({before.unit} if before is not None else set()):
            causes = touched.setdefault(unit, {})
            mark = (after.observed_at, after.cause)
            causes[after.attribute] = max(causes.get(after.attribute, mark), mark)
    return {unit: {name: mark[1] for name, mark in causes.items()} for unit, causes in touched.items()}


def _says(fact: Fact) -> tuple[Any, ...]:
    """All of a fact that a figure can depend on. A later word of the same content may still win over another source."""
    return (fact.unit, fact.origin, fact.value, fact.year, engine.about(fact), fact.withdrawn)


def _as_columns(facts: Sequence[Fact]) -> dict[str, list[Any]]:
    rows: list[dict[str, Any]] = []
    for fact in facts:
        value = store(fact.value)
        rows.append(
            {
                "attribute": fact.attribute,
                "entity": fact.entity,
                "source": fact.source,
                "origin": fact.origin,
                "unit": fact.unit,
                "period": fact.period,
                "state": value.state,
                "numerator": value.numerator,
                "denominator": value.denominator,
                "withdrawn": fact.withdrawn,
                "sequence": fact.sequence,
                "cause": fact.cause,
                "observed_at": fact.observed_at,
            }
        )
    return columns(rows)
