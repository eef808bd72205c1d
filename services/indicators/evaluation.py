"""Owns the statuses of items: computes those that touched facts may have changed, and writes only what did change.

A change is written with its event in the outbox and a line in the log; the log's positions are given by `sequencer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.indicators.v1 import events_pb2

from chassis import outbox, units
from chassis.auth import covers
from chassis.db import now
from chassis.units import Unit
from services.indicators import criteria as c
from services.indicators import engine
from services.indicators.engine import Fact, Figure, Outcome, Summary, TallyKey
from services.indicators.model import PENDING_CHANNEL, columns, fact_of, figure_columns, figure_of, unit_key

Touched = Mapping[str, Mapping[str, str]]
"""Unit key to the inputs (attribute or measure codes) that changed, each with its cause as type:id."""

NOTHING = Outcome("no_data", None)

# Everyone who writes statuses shares the first lock; a rebuild holds it alone.
_ALONE = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('indicators-statuses', 288))")
_LOCK = sa.text("""
    WITH everyone AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(hashtextextended('indicators-statuses', 288)))
    SELECT pg_advisory_xact_lock(hashtextextended(k, 288)) FROM everyone, unnest(CAST(:keys AS text[])) AS k
""")
_UNITS = sa.text("""
    SELECT u.* FROM unit u JOIN unnest(CAST(:code AS text[]), CAST(:since AS date[])) AS k (code, since)
      ON u.code = k.code AND u.valid_from = k.since
""")
_TALLIES = sa.text("""
    SELECT unit, attribute, source, origin, year, state, count AS entities FROM tally
    WHERE unit = ANY(CAST(:units AS text[])) AND attribute = ANY(CAST(:inputs AS text[])) AND count > 0
""")
_REPORTED = sa.text("""
    SELECT * FROM fact
    WHERE unit = ANY(CAST(:units AS text[])) AND attribute = ANY(CAST(:inputs AS text[])) AND NOT withdrawn
""")
_ITEMS = sa.text("""
    SELECT unit, set_code, item_code, status, flag, numerator, denominator FROM item
    WHERE unit = ANY(CAST(:units AS text[])) AND set_code = ANY(CAST(:sets AS text[]))
""")
_SUSPENDED = sa.text("""
    SELECT set_code, item_code, path FROM suspension
    WHERE set_code = ANY(CAST(:sets AS text[])) AND lifted_at IS NULL
      AND starts_on <= :today AND (ends_on IS NULL OR ends_on > :today)
""")
_PUT_ITEMS = sa.text("""
    INSERT INTO item AS i (unit, set_code, item_code, status, flag, numerator, denominator, cause, since, changed_at)
    SELECT *, CAST(:at AS timestamptz), CAST(:at AS timestamptz) FROM unnest(
        CAST(:unit AS text[]), CAST(:set_code AS text[]), CAST(:item_code AS text[]), CAST(:after AS text[]),
        CAST(:flag AS boolean[]), CAST(:numerator AS bigint[]), CAST(:denominator AS bigint[]), CAST(:cause AS text[]))
    ON CONFLICT (unit, set_code, item_code) DO UPDATE SET
        status = excluded.status, flag = excluded.flag, numerator = excluded.numerator,
        denominator = excluded.denominator, cause = excluded.cause, changed_at = excluded.changed_at,
        since = CASE WHEN i.status = excluded.status THEN i.since ELSE excluded.since END
""")
_PUT_SHEETS = sa.text("""
    INSERT INTO sheet (unit, set_code, status, met, total, changed_at)
    SELECT *, CAST(:at AS timestamptz) FROM unnest(CAST(:unit AS text[]), CAST(:set_code AS text[]),
        CAST(:status AS text[]), CAST(:met AS integer[]), CAST(:total AS integer[]))
    ON CONFLICT (unit, set_code) DO UPDATE SET
        status = excluded.status, met = excluded.met, total = excluded.total, changed_at = excluded.changed_at
""")
_LOG = sa.text("""
    INSERT INTO change (unit, code, path, set_code, item_code, before, after, flag, numerator, denominator,
        met, total, cause, at, rolled)
    SELECT *, CAST(:at AS timestamptz), CAST(:rolled AS boolean) FROM unnest(
        CAST(:unit AS text[]), CAST(:code AS text[]), CAST(:path AS text[]), CAST(:set_code AS text[]),
        CAST(:item_code AS text[]), CAST(:before AS text[]), CAST(:after AS text[]), CAST(:flag AS boolean[]),
        CAST(:numerator AS bigint[]), CAST(:denominator AS bigint[]), CAST(:met AS integer[]),
        CAST(:total AS integer[]), CAST(:cause AS text[]))
""")
_WAKE = sa.text(f"SELECT pg_notify('{PENDING_CHANNEL}', '')")


@dataclass(frozen=True, slots=True)
class Changed:
    """An item of a unit whose status or figure became another."""

    unit: Unit
    set_code: str
    item_code: str
    before: str
    outcome: Outcome
    cause: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known of a batch of units, grouped by unit key."""

    units: dict[str, Unit]
    heaps: dict[str, dict[TallyKey, int]]
    reported: dict[str, list[Fact]]
    items: dict[str, dict[tuple[str, str], Outcome]]
    suspended: list[tuple[str, str, str]]

    def is_suspended(self, unit: Unit, set_code: str, item_code: str) -> bool:
        return any(s == set_code and i == item_code and covers(path, unit.path) for s, i, path in self.suspended)


async def lock(tx: AsyncSession, keys: Iterable[str]) -> None:
    """Hold the units until the end of the transaction; sorted, so that nobody waits in a circle."""
    await tx.execute(_LOCK, {"keys": sorted(set(keys))})


async def lock_everything(tx: AsyncSession) -> None:
    """Keep everyone else from writing statuses until the end of the transaction."""
    await tx.execute(_ALONE)


async def recompute(tx: AsyncSession, touched: Touched, catalogue: c.Catalogue) -> int:
    """Bring the items that depend on `touched` up to date; returns how many changed. The units must be locked."""
    wanted = {key: catalogue.touched(set(causes)) for key, causes in touched.items() if not key.endswith("@")}
    pairs = {pair for found in wanted.values() for pair in found}
    if not pairs:
        return 0
    known = await gather(tx, list(wanted), pairs, catalogue)
    today = units.today()
    changed: list[Changed] = []
    for key, unit in known.units.items():
        for set_code, item_code in sorted(wanted[key]):
            criteria = catalogue.sets[set_code]
            item = criteria.item(item_code)
            if item is None or criteria.level != unit.level:
                continue
            outcome = engine.evaluate(
                item,
                catalogue,
                known.heaps.get(key, {}),
                known.reported.get(key, []),
                today,
                suspended=known.is_suspended(unit, set_code, item_code),
            )
            before = known.items.get(key, {}).get((set_code, item_code), NOTHING)
            if outcome != before or type(outcome.figure) is not type(before.figure):
                cause = _cause(touched[key], catalogue.inputs_of(item))
                changed.append(Changed(unit, set_code, item_code, before.status, outcome, cause))
    await write(tx, changed, _summaries(changed, known, catalogue), now())
    return len(changed)


def _cause(causes: Mapping[str, str], inputs: set[str]) -> str:
    return max((cause for name, cause in causes.items() if name in inputs), default="")


async def gather(tx: AsyncSession, keys: list[str], pairs: set[tuple[str, str]], catalogue: c.Catalogue) -> Inputs:
    sets = sorted({set_code for set_code, _ in pairs})
    inputs: set[str] = set()
    for set_code, item_code in pairs:
        item = catalogue.sets[set_code].item(item_code)
        inputs |= catalogue.inputs_of(item) if item else set()
    # Facts of entities are counted in heaps; only figures of whole units and registers are read one by one.
    whole = sorted(
        code for code in inputs if code not in catalogue.attributes or catalogue.attributes[code].kind == "count"
    )
    heaps: dict[str, dict[TallyKey, int]] = {}
    for row in await tx.execute(_TALLIES, {"units": keys, "inputs": sorted(inputs)}):
        key = TallyKey(row.unit, row.attribute, row.source, row.origin, row.year, row.state)
        heaps.setdefault(row.unit, {})[key] = row.entities
    reported: dict[str, list[Fact]] = {}
    for row in await tx.execute(_REPORTED, {"units": keys, "inputs": whole}):
        reported.setdefault(row.unit, []).append(fact_of(row))
    items: dict[str, dict[tuple[str, str], Outcome]] = {}
    for row in await tx.execute(_ITEMS, {"units": keys, "sets": sets}):
        figure = figure_of(row.flag, row.numerator, row.denominator)
        items.setdefault(row.unit, {})[row.set_code, row.item_code] = Outcome(row.status, figure)
    suspended = await tx.execute(_SUSPENDED, {"sets": sets, "today": units.today()})
    return Inputs(
        await _units(tx, keys), heaps, reported, items, [(r.set_code, r.item_code, r.path) for r in suspended]
    )


async def _units(tx: AsyncSession, keys: Sequence[str]) -> dict[str, Unit]:
    split = [key.rsplit("@", 1) for key in keys]
    rows = await tx.execute(_UNITS, {"code": [c for c, _ in split], "since": [date.fromisoformat(s) for _, s in split]})
    found = [Unit(r.code, r.name, r.level, r.kind, r.parent, r.path, r.valid_from, r.valid_to) for r in rows]
    return {unit_key(unit): unit for unit in found}


def _summaries(changed: Sequence[Changed], known: Inputs, catalogue: c.Catalogue) -> dict[tuple[str, str], Summary]:
    """The new summary of each touched sheet: the stored statuses with the changes laid over them."""
    fresh: dict[tuple[str, str], dict[str, str]] = {}
    for one in changed:
        fresh.setdefault((unit_key(one.unit), one.set_code), {})[one.item_code] = one.outcome.status
    found: dict[tuple[str, str], Summary] = {}
    for (key, set_code), statuses in fresh.items():
        held = known.items.get(key, {})
        found[key, set_code] = engine.summarise(
            [
                statuses.get(item.code) or held.get((set_code, item.code), NOTHING).status
                for item in catalogue.sets[set_code].items
            ]
        )
    return found


async def write(
    tx: AsyncSession,
    changed: Sequence[Changed],
    summaries: Mapping[tuple[str, str], Summary],
    at: datetime,
    *,
    rolled: bool = False,
) -> None:
    """Store changes with their sheets, their lines in the log and their events. The units must be locked.

    `rolled` says that the changes are themselves a roll-up, which went all the way up and asks for no other.
    """
    if summaries:
        rows = [
            {"unit": key, "set_code": set_code, "status": s.status, "met": s.met, "total": s.total}
            for (key, set_code), s in sorted(summaries.items())
        ]
        await tx.execute(_PUT_SHEETS, {**columns(rows), "at": at})
    if not changed:
        return
    lines = [_line(one, summaries[unit_key(one.unit), one.set_code]) for one in changed]
    table = columns(lines)
    stored = ("unit", "set_code", "item_code", "after", "flag", "numerator", "denominator", "cause")
    await tx.execute(_PUT_ITEMS, {**{name: table[name] for name in stored}, "at": at})
    await tx.execute(_LOG, {**table, "at": at, "rolled": rolled})
    await outbox.add_all(tx, [_event(one, summaries[unit_key(one.unit), one.set_code], at) for one in changed])
    await tx.execute(_WAKE)


def _line(one: Changed, summary: Summary) -> dict[str, Any]:
    figure: Figure | None = one.outcome.figure
    value = figure_columns(figure)
    return {
        "unit": unit_key(one.unit),
        "code": one.unit.code,
        "path": one.unit.path,
        "set_code": one.set_code,
        "item_code": one.item_code,
        "before": one.before,
        "after": one.outcome.status,
        "flag": value.flag,
        "numerator": value.numerator,
        "denominator": value.denominator,
        "met": summary.met,
        "total": summary.total,
        "cause": one.cause,
    }


def _event(one: Changed, summary: Summary, at: datetime) -> outbox.Outgoing:
    message = events_pb2.ComplianceChanged(
        unit=one.unit.code,
        set=one.set_code,
        item=one.item_code,
        before=one.before,
        after=one.outcome.status,
        because=one.cause,
        met=summary.met,
        total=summary.total,
    )
    message.changed_at.FromDatetime(at)
    return outbox.Outgoing(message, one.unit, f"{unit_key(one.unit)}/{one.set_code}/{one.item_code}", at)


async def touch(
    tx: AsyncSession, keys: Iterable[str], inputs: Iterable[str], cause: str, catalogue: c.Catalogue
) -> int:
    """Compute the items that depend on `inputs` again for units no fact of which changed; returns how many changed."""
    codes = list(inputs)
    touched = {key: dict.fromkeys(codes, cause) for key in keys}
    if not touched:
        return 0
    await lock(tx, touched)
    return await recompute(tx, touched, catalogue)
