"""Owns what becomes of figures when units are reorganised: links, what is carried over, and what people must settle.

A link says which unit gave the whole or a share of itself to which. From that day

* single things (cameras, households …) count for the successor of a unit that went over whole; those of a unit that was
  split stay where they are until their service says where they belong;
* a figure reported for the unit goes to its successors by the measure's `carry`. `sum`: figures of merged units are
  added up; of a split unit people say which part is whose. `share`: of a split unit, too, each successor gets its share
  (by the share named like what is counted, else the general one), in whole numbers that add up. `renew`: evidence is of
  a unit as it was, so people renew it. A unit that only goes on under another name or parent keeps all of its figures.

What is carried is one fact of the source `succession`, weaker than any later word. It is a function of the links and of
all that is known of the predecessors up to the day, so links, descriptions and late facts may come in any order: each
works the successors concerned out anew, and a replay finds nothing to change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.db import new_id
from chassis.units import VIETNAM, Unit
from services.indicators.answers.standing import Moment, facts_at
from services.indicators.calculation import ledger, sequencer
from services.indicators.calculation.engine import Fact
from services.indicators.calculation.model import code_of, columns, fact_of, store, unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.reorganisation.inheriting import SOURCE as SOURCE
from services.indicators.reorganisation.inheriting import (
    Carried,
    Link,
    Readings,
    carried_fact,
    joined,
    news_of,
    part_of,
    readings_of,
)

_PUT_LINKS = sa.text("""
    INSERT INTO succession (change_set, predecessor, successor, effective_on, level, numerator, denominator,
        named_shares, legal_basis, successors, predecessors, followed, successor_group)
    SELECT change_set, predecessor, successor, effective_on, level, numerator, denominator, CAST(named AS jsonb),
        legal_basis, successors, predecessors, followed, successor_group
    FROM unnest(CAST(:change_set AS text[]), CAST(:predecessor AS text[]), CAST(:successor AS text[]),
        CAST(:effective_on AS date[]), CAST(:level AS text[]), CAST(:numerator AS bigint[]),
        CAST(:denominator AS bigint[]), CAST(:named AS text[]), CAST(:legal_basis AS text[]),
        CAST(:successors AS integer[]), CAST(:predecessors AS integer[]), CAST(:followed AS boolean[]),
        CAST(:successor_group AS text[]))
        AS l (change_set, predecessor, successor, effective_on, level, numerator, denominator, named, legal_basis,
            successors, predecessors, followed, successor_group)
    ON CONFLICT DO NOTHING RETURNING predecessor
""")
_LINKS = sa.text("""
    WITH asked AS (SELECT DISTINCT successor FROM succession WHERE successor = ANY(CAST(:keys AS text[]))),
    givers AS (SELECT DISTINCT s.predecessor FROM succession s JOIN asked USING (successor))
    SELECT s.* FROM succession s JOIN givers USING (predecessor)
""")
_HEIRS = sa.text("""
    SELECT DISTINCT o.successor FROM succession l JOIN succession o USING (predecessor)
    WHERE l.successor = ANY(CAST(:keys AS text[])) OR l.predecessor = ANY(CAST(:keys AS text[]))
""")
_DONE = sa.text("UPDATE succession SET carried_at = now() WHERE successor = ANY(CAST(:keys AS text[]))")
_KNOWN = sa.text("""
    SELECT u.* FROM unit u JOIN unnest(CAST(:codes AS text[]), CAST(:since AS date[])) AS k (code, since)
      ON u.code = k.code AND u.valid_from = k.since
""")
# A writer may have begun long before it committed, so what was recorded shortly before the carrying is looked at again.
_LATE = sa.text("""
    SELECT s.successor FROM succession s
    WHERE s.carried_at IS NULL OR greatest(s.effective_on, s.received_at::date) > CAST(:recent AS date) AND EXISTS (
        SELECT FROM fact_history h
        WHERE h.unit = s.predecessor AND h.recorded_at > s.carried_at - interval '10 minutes'
          AND h.source <> 'succession'
          AND h.observed_at < CAST(s.effective_on AS timestamp) AT TIME ZONE 'Asia/Ho_Chi_Minh')
    GROUP BY s.successor ORDER BY min(s.carried_at) NULLS LAST, s.successor LIMIT :most
""")
_CARRIED = sa.text("""
    SELECT * FROM fact WHERE unit = ANY(CAST(:keys AS text[])) AND source = 'succession'
""")
_OPEN = sa.text("""
    INSERT INTO settlement AS s (id, unit, path, measure, change_set, effective_on, reason, parts, state, numerator,
        denominator)
    SELECT id, unit, path, measure, change_set, effective_on, reason, CAST(parts AS jsonb), state, numerator,
        denominator
    FROM unnest(CAST(:id AS uuid[]), CAST(:unit AS text[]), CAST(:path AS text[]), CAST(:measure AS text[]),
        CAST(:change_set AS text[]), CAST(:effective_on AS date[]), CAST(:reason AS text[]), CAST(:parts AS text[]),
        CAST(:state AS text[]), CAST(:numerator AS bigint[]), CAST(:denominator AS bigint[]))
        AS o (id, unit, path, measure, change_set, effective_on, reason, parts, state, numerator, denominator)
    ON CONFLICT (unit, measure, change_set) DO UPDATE SET
        reason = excluded.reason, parts = excluded.parts, state = excluded.state, numerator = excluded.numerator,
        denominator = excluded.denominator
    WHERE s.status = 'open'
""")
_CLOSE = sa.text("""
    DELETE FROM settlement WHERE unit = ANY(CAST(:keys AS text[])) AND status = 'open'
      AND NOT (unit, measure) IN (SELECT * FROM unnest(CAST(:unit AS text[]), CAST(:measure AS text[])))
""")
_DECIDED = sa.text("""
    SELECT unit, measure FROM settlement WHERE unit = ANY(CAST(:keys AS text[])) AND status = 'accepted'
""")


async def introduce(tx: AsyncSession, described: Sequence[Unit], catalogue: c.Catalogue, cause: str) -> None:
    """Keep units that a link tells of before their own description came; that description has the last word."""
    known = await _units(tx, {unit_key(unit) for unit in described})
    fresh = {unit_key(unit): unit for unit in described if unit_key(unit) not in known}
    for unit in fresh.values():
        await units.project(tx, unit)
        await sequencer.mark_stale(tx, unit.path)
    if fresh:
        await ledger.adopt(tx, {unit.code for unit in fresh.values()}, catalogue, cause)


async def link(tx: AsyncSession, links: Sequence[Link], catalogue: c.Catalogue) -> int:
    """Take in links of a reorganisation; returns how many were new. Both units must be described.

    What is known of single things moves with units that went over whole, and every successor concerned is worked out
    as soon as all of its links are known.
    """
    if not links:
        return 0
    rows = columns([_link_row(one) for one in links])
    fresh = set((await tx.execute(_PUT_LINKS, rows)).scalars())
    if not fresh:
        return 0
    await ledger.follow(tx, {one.predecessor for one in links if one.whole and one.predecessor in fresh}, catalogue)
    await carry(tx, {one.successor for one in links if one.predecessor in fresh}, catalogue)
    return len(fresh)


def _link_row(one: Link) -> dict[str, Any]:
    return {
        "change_set": one.change_set,
        "predecessor": one.predecessor,
        "successor": one.successor,
        "effective_on": one.effective_on,
        "level": one.level,
        "numerator": one.share.numerator if one.share is not None else None,
        "denominator": one.share.denominator if one.share is not None else None,
        "named": orjson.dumps({name: [s.numerator, s.denominator] for name, s in one.named.items()}).decode(),
        "legal_basis": one.legal_basis,
        "successors": one.successors,
        "predecessors": one.predecessors,
        "followed": one.whole,
        "successor_group": one.group,
    }


def _link_of(row: Any) -> Link:
    return Link(
        row.change_set,
        row.predecessor,
        row.successor,
        row.effective_on,
        row.level,
        Fraction(row.numerator, row.denominator) if row.numerator is not None else None,
        {name: Fraction(*share) for name, share in row.named_shares.items()},
        row.legal_basis,
        row.successors,
        row.predecessors,
        row.successor_group,
    )


LATE_FOR = timedelta(days=366)
"""How long after a reorganisation, and after its links came, late words about its predecessors are carried over."""


async def catch_up(tx: AsyncSession, catalogue: c.Catalogue, today: date, most: int = 500) -> int:
    """Work out the successors whose links are complete now, or of whose predecessors something came late."""
    keys = list((await tx.execute(_LATE, {"most": most, "recent": today - LATE_FOR})).scalars())
    return await carry(tx, keys, catalogue)


async def carry(tx: AsyncSession, keys: Iterable[str], catalogue: c.Catalogue) -> int:
    """Bring what successors have from their predecessors up to date; returns how many figures changed.

    A successor waits while one of its links, or of the links of a unit that was split for it, has not come. Those who
    share a predecessor are worked out together.
    """
    asked = sorted(set(keys))
    if not asked:
        return 0
    heirs = sorted(set((await tx.execute(_HEIRS, {"keys": asked})).scalars()))
    links = [_link_of(row) for row in await tx.execute(_LINKS, {"keys": heirs})]
    ready = _complete(links, set(heirs))
    heir_units = await _units(tx, {one.successor for one in links if one.successor in ready})
    ready &= set(heir_units)
    if not ready:
        return 0
    found = await _work_out(tx, [one for one in links if one.successor in ready], links, catalogue)
    changed = await _write(tx, found, {one.successor: one for one in links}, heir_units, ready, catalogue)
    await tx.execute(_DONE, {"keys": sorted(ready)})
    return changed


def _complete(links: Sequence[Link], wanted: set[str]) -> set[str]:
    """The successors all of whose links are known, and all links of the units that were split for them."""
    into: dict[tuple[str, str], set[str]] = {}
    out: dict[tuple[str, str], set[str]] = {}
    for one in links:
        into.setdefault((one.change_set, one.successor), set()).add(one.predecessor)
        out.setdefault((one.change_set, one.predecessor), set()).add(one.successor)
    lacking = {
        one.successor
        for one in links
        if len(into[one.change_set, one.successor]) < one.predecessors
        or len(out[one.change_set, one.predecessor]) < one.successors
    }
    return wanted - lacking


async def _units(tx: AsyncSession, keys: Iterable[str]) -> dict[str, Unit]:
    split = [key.rsplit("@", 1) for key in sorted(keys)]
    asked = {"codes": [code for code, _ in split], "since": [date.fromisoformat(since) for _, since in split]}
    rows = await tx.execute(_KNOWN, asked)
    found = [Unit(r.code, r.name, r.level, r.kind, r.parent, r.path, r.valid_from, r.valid_to) for r in rows]
    return {unit_key(unit): unit for unit in found}


async def _work_out(
    tx: AsyncSession, wanted: Sequence[Link], links: Sequence[Link], catalogue: c.Catalogue
) -> list[Carried]:
    """What becomes of every figure of the predecessors at the wanted successors."""
    out: dict[tuple[str, str], list[Link]] = {}
    for one in links:
        out.setdefault((one.change_set, one.predecessor), []).append(one)
    readings = await _readings(tx, wanted, catalogue)
    into: dict[tuple[str, str], list[Link]] = {}
    for one in wanted:
        into.setdefault((one.change_set, one.successor), []).append(one)
    found: list[Carried] = []
    for (_, successor), mine in sorted(into.items()):
        measures = sorted({code for one in mine for code in readings.get((one.change_set, one.predecessor), {})})
        for code in measures:
            parts = [
                part_of(one, out[one.change_set, one.predecessor], code, readings, catalogue)
                for one in sorted(mine, key=lambda one: one.predecessor)
            ]
            carried = joined(successor, code, parts, mine[0].continued, catalogue)
            if carried is not None:
                found.append(carried)
    return found


async def _readings(tx: AsyncSession, links: Sequence[Link], catalogue: c.Catalogue) -> Readings:
    """What was known of each predecessor at the end of its last day, as far as it still holds on the day after."""
    found: Readings = {}
    for day in sorted({one.effective_on for one in links}):
        mine = [one for one in links if one.effective_on == day]
        levels = {one.level for one in mine}
        measures = [m for m in catalogue.measures.values() if m.level in levels]
        registers = {a.code for a in catalogue.attributes.values() if a.kind == "count"}
        inputs = sorted({code for m in measures for code in m.inputs} | registers)
        keys = sorted({one.predecessor for one in mine})
        last = datetime.combine(day, time.min, tzinfo=VIETNAM) - timedelta(microseconds=1)
        by_unit: dict[str, list[Fact]] = {}
        for fact in await facts_at(tx, keys, inputs, Moment(at=last, judged_on=day)):
            by_unit.setdefault(fact.unit, []).append(fact)
        for one in mine:
            facts = by_unit.get(one.predecessor, [])
            spot = (one.change_set, one.predecessor)
            if facts and spot not in found:
                found[spot] = readings_of(facts, one.level, day, measures, registers, catalogue)
    return found


async def _write(
    tx: AsyncSession,
    found: Sequence[Carried],
    links: Mapping[str, Link],
    heirs: Mapping[str, Unit],
    ready: set[str],
    catalogue: c.Catalogue,
) -> int:
    keys = sorted(ready)
    decided = {(r.unit, r.measure) for r in await tx.execute(_DECIDED, {"keys": keys})}
    held = {(f.unit, f.attribute): f for f in map(fact_of, await tx.execute(_CARRIED, {"keys": keys}))}
    facts: list[Fact] = []
    wanted: set[tuple[str, str]] = set()
    for one in found:
        spot = (one.successor, one.measure)
        if not one.reason:
            wanted.add(spot)
            facts += news_of(held.get(spot), carried_fact(one, links[one.successor]))
    for spot, fact in held.items():
        if spot not in wanted and spot not in decided and not fact.withdrawn:
            gone = replace(fact, unit=code_of(fact.unit), value=None, withdrawn=True, sequence=fact.sequence + 1)
            facts.append(gone)
    changed = await ledger.record(tx, facts, catalogue)
    rows = [_settlement_row(one, links[one.successor], heirs[one.successor]) for one in found if one.reason]
    if rows:
        await tx.execute(_OPEN, columns(rows))
    await tx.execute(_CLOSE, {"keys": keys, "unit": [r["unit"] for r in rows], "measure": [r["measure"] for r in rows]})
    return changed


async def put(tx: AsyncSession, one: Carried, last: Link, cause: str, catalogue: c.Catalogue) -> int:
    """Write one figure that people accepted, in place of what was carried before; `cause` names their decision."""
    held = {f.attribute: f for f in map(fact_of, await tx.execute(_CARRIED, {"keys": [one.successor]}))}
    return await ledger.record(
        tx, news_of(held.get(one.measure), replace(carried_fact(one, last), cause=cause)), catalogue
    )


def _settlement_row(one: Carried, last: Link, unit: Unit) -> dict[str, Any]:
    held, numerator, denominator = store(one.value)
    return {
        "id": new_id(),
        "unit": one.successor,
        "path": unit.path,
        "measure": one.measure,
        "change_set": last.change_set,
        "effective_on": last.effective_on,
        "reason": one.reason,
        "parts": orjson.dumps([part.json() for part in one.parts]).decode(),
        "state": held,
        "numerator": numerator,
        "denominator": denominator,
    }
