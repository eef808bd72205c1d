"""Owns the statuses of items: computes those that touched facts may have changed, and writes only what did change.

A unit's items, and those of the commune it lies in, are judged in memory (see `state`); what lies above is told to the
sequencer. A change is written with its event in the outbox and a line in the log; the log's positions are given by
`sequencer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.indicators.v1 import events_pb2, indicators_pb2

from chassis import outbox, units
from chassis.auth import covers
from chassis.db import now
from chassis.units import Unit
from services.indicators.calculation.engine import Ratio, Reading, Summary, Value
from services.indicators.calculation.model import PENDING_CHANNEL, columns, figure_columns, unit_key
from services.indicators.calculation.packing import CHUNK, Statement, given, in_turn, packed
from services.indicators.calculation.prepared import Prepared, prepared
from services.indicators.calculation.rounds import Changed as Changed
from services.indicators.calculation.rounds import Judge as Judge
from services.indicators.calculation.rounds import added_up as added_up
from services.indicators.calculation.state import Dirty, State, is_valid
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import editions

_SUSPENDED = sa.text("""
    SELECT set_code, item_code, path FROM suspension
    WHERE lifted_at IS NULL AND starts_on <= :today AND (ends_on IS NULL OR ends_on > :today)
""")
_ITEM = (
    ("unit", "text"),
    ("set_code", "text"),
    ("item_code", "text"),
    ("after", "text"),
    ("flag", "boolean"),
    ("numerator", "bigint"),
    ("denominator", "bigint"),
    ("cause", "text"),
    ("unknown", "integer"),
)
_SHEET = (("unit", "text"), ("set_code", "text"), ("status", "text"), ("met", "integer"), ("total", "integer"))
_LINE = (
    ("unit", "text"),
    ("code", "text"),
    ("path", "text"),
    ("set_code", "text"),
    ("item_code", "text"),
    ("before", "text"),
    ("after", "text"),
    ("flag", "boolean"),
    ("numerator", "bigint"),
    ("denominator", "bigint"),
    ("met", "integer"),
    ("total", "integer"),
    ("cause", "text"),
)
# Sheets, items, lines in the log and the wake-up of the sequencer in one statement: one round trip for each would be
# most of what a small write takes.
_WRITE = sa.text(f"""
    WITH {given("sheets", _SHEET)}, {given("items", _ITEM)}, {given("lines", _LINE)},
    put_sheets AS (
        INSERT INTO sheet (unit, set_code, status, met, total, changed_at)
        SELECT *, CAST(:at AS timestamptz) FROM sheets
        ON CONFLICT (unit, set_code) DO UPDATE SET
            status = excluded.status, met = excluded.met, total = excluded.total, changed_at = excluded.changed_at
    ), put_items AS (
        INSERT INTO item AS i
            (unit, set_code, item_code, status, flag, numerator, denominator, cause, unknown, since, changed_at)
        SELECT *, CAST(:at AS timestamptz), CAST(:at AS timestamptz) FROM items
        ON CONFLICT (unit, set_code, item_code) DO UPDATE SET
            status = excluded.status, flag = excluded.flag, numerator = excluded.numerator,
            denominator = excluded.denominator, cause = excluded.cause, unknown = excluded.unknown,
            changed_at = excluded.changed_at,
            since = CASE WHEN i.status = excluded.status THEN i.since ELSE excluded.since END
    ), logged AS (
        INSERT INTO change (unit, code, path, set_code, item_code, before, after, flag, numerator, denominator,
            met, total, cause, at, rolled)
        SELECT *, CAST(:at AS timestamptz), CAST(:rolled AS boolean) FROM lines
    )
    SELECT CASE WHEN CAST(:loud AS boolean) THEN pg_notify('{PENDING_CHANNEL}', '') END
""")
_COMMUNES_BELOW = sa.text("""
    SELECT code FROM unit WHERE level IN ('commune', 'district') AND path LIKE ANY(CAST(:below AS text[]))
      AND valid_from <= :today AND (valid_to IS NULL OR valid_to > :today)
""")
_STALE = sa.text("""
    INSERT INTO stale (path, set_code, cause)
    SELECT * FROM unnest(CAST(:path AS text[]), CAST(:set_code AS text[]), CAST(:cause AS text[]))
""")
_WAKE = sa.text(f"SELECT pg_notify('{PENDING_CHANNEL}', '')")


async def suspended_on(tx: AsyncSession, day: date) -> list[tuple[str, str, str]]:
    """(set, item, path) of the suspensions ordered for units that are in force on a day."""
    return [(r.set_code, r.item_code, r.path) for r in await tx.execute(_SUSPENDED, {"today": day})]


async def recompute(tx: AsyncSession, dirty: Dirty, catalogue: c.Catalogue, state: State) -> int:
    """Bring the items that depend on what is dirty up to date; returns how many changed. The units must be loaded."""
    known = {key: causes for key, causes in dirty.items() if key in state.units}
    if not known:
        return 0
    await editions.still(tx, catalogue)
    today = units.today()
    judge = Judge(state, prepared(catalogue), today, await suspended_on(tx, today))
    for key, causes in known.items():
        for code, cause in causes.items():
            judge.touch(state.units[key], code, cause)
    return await finish(tx, judge)


async def finish(tx: AsyncSession, judge: Judge) -> int:
    """Judge what is noted, write what changed, and tell the sequencer what to look at above; how many items changed."""
    await see_below(tx, judge)
    judge.run()
    await write(tx, judge.changed, judge.summaries(), now())
    if judge.above:
        rows = [{"path": path, "set_code": s, "cause": cause} for (path, s), cause in sorted(judge.above.items())]
        await tx.execute(_STALE, columns(rows))
        await tx.execute(_WAKE)
    return len(judge.changed)


async def see_below(tx: AsyncSession, judge: Judge) -> None:
    """Load the communes below districts and provinces some figure of which is added up from them; reads only."""
    above = judge.needing_below()
    if above:
        rows = await tx.execute(_COMMUNES_BELOW, {"below": [f"{unit.path}/%" for unit in above], "today": judge.today})
        await judge.state.load(tx, list(rows.scalars()), judge.ready)


async def look_around(tx: AsyncSession, state: State, codes: Iterable[str], cause: str, ready: Prepared) -> None:
    """Judge what needs no fact of the fenced units of some codes, and of the communes they lie in."""
    groups = {group for code in codes for group in state.groups_of(code)}
    await state.load(tx, groups, ready)
    today = units.today()
    judge = Judge(state, ready, today, await suspended_on(tx, today))
    for known in [one for group in groups for one in state.groups.get(group, ())]:
        if not is_valid(known.unit, today):
            continue
        for set_code, level in ready.level.items():
            if level == known.unit.level:
                for item_code in ready.early(set_code, known.unit, today):
                    judge.ask(known, (set_code, item_code), cause)
        for set_code, item_code, path in judge.suspended:
            if ready.level.get(set_code) == known.unit.level and covers(path, known.unit.path):
                judge.ask(known, (set_code, item_code), cause)
    await finish(tx, judge)


async def load(tx: AsyncSession, keys: Iterable[str], catalogue: c.Catalogue) -> State:
    """A state that holds the groups of the given units, for this transaction alone."""
    state = State()
    codes = {key.rsplit("@", 1)[0] for key in keys}
    while True:
        await state.learn(tx, codes)
        groups = {group for code in codes for group in state.groups_of(code)}
        if not await state.fence(tx, groups):
            break
    await state.load(tx, groups, prepared(catalogue))
    return state


async def readings(tx: AsyncSession, unit: Unit, item: c.Item, catalogue: c.Catalogue) -> tuple[Reading, ...]:
    """What the sources say of each measure of an item at a unit; reads only, and takes no fence."""
    state = State()
    await state.load(tx, [unit.commune], prepared(catalogue))
    known = state.units.get(unit_key(unit))
    judge = Judge(state, prepared(catalogue), units.today(), ())
    return tuple(
        judge.reading(known, catalogue.measures[code]) if known else Reading(code, None, None, ())
        for code in item.measures
    )


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
    if not changed and not summaries:
        return
    async for _ in in_turn(tx, _statements(changed, summaries, at, rolled)):
        pass


def _statements(
    changed: Sequence[Changed], summaries: Mapping[tuple[str, str], Summary], at: datetime, rolled: bool
) -> Iterator[Statement]:
    sheets = [(key, set_code, *summary) for (key, set_code), summary in sorted(summaries.items())]
    for n in range(0, max(len(changed), 1), CHUNK):
        part = changed[n : n + CHUNK]
        loud = [one for one in part if not one.quiet]
        items = [_line(one, summaries[one.key, one.set_code]) for one in part]
        lines = items if len(loud) == len(part) else [_line(one, summaries[one.key, one.set_code]) for one in loud]
        held = [(*line[:1], *line[3:5], *line[6:10], *line[12:]) for line in items]
        values = {
            # A sheet is written with the first of its items, and once.
            **packed("sheets", _SHEET, _columns(_SHEET, [] if n else sheets)),
            **packed("items", _ITEM, _columns(_ITEM, held)),
            **packed("lines", _LINE, _columns(_LINE, [line[:13] for line in lines])),
        }
        yield _WRITE, {**values, "at": at, "rolled": rolled, "loud": bool(loud)}
        if loud:
            yield outbox.of_kind(
                events_pb2.ComplianceChanged,
                payloads=list(_events(loud, summaries, at)),
                units=[one.unit for one in loud],
                subjects=[f"{one.key}/{one.set_code}/{one.item_code}" for one in loud],
                occurred_at=at,
            )


def _line(one: Changed, summary: Summary) -> tuple[Any, ...]:
    """What the log and the table of items hold of a change, in the order of _LINE, then `unknown`."""
    unit, outcome = one.unit, one.outcome
    return (
        one.key,
        unit.code,
        unit.path,
        one.set_code,
        one.item_code,
        one.before,
        outcome.status,
        *figure_columns(outcome.figure),
        summary.met,
        summary.total,
        one.cause,
        outcome.unknown,
    )


def _columns(of: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
    return {name: [row[n] for row in rows] for n, (name, _) in enumerate(of)}


def _events(changed: Iterable[Changed], summaries: Mapping[tuple[str, str], Summary], at: datetime) -> Iterator[bytes]:
    moment = Timestamp()
    moment.FromDatetime(at)
    for one in changed:
        summary = summaries[one.key, one.set_code]
        yield events_pb2.ComplianceChanged(
            unit=one.unit.code,
            set=one.set_code,
            item=one.item_code,
            before=one.before,
            after=one.outcome.status,
            because=one.cause,
            met=summary.met,
            total=summary.total,
            changed_at=moment,
            value=value_of(one.outcome.figure),
        ).SerializeToString()


def value_of(value: Value | None) -> indicators_pb2.Value | None:
    """A figure or state as messages carry it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return indicators_pb2.Value(flag=value)
    if isinstance(value, Ratio):
        return indicators_pb2.Value(
            ratio=indicators_pb2.Ratio(numerator=value.numerator, denominator=value.denominator)
        )
    return indicators_pb2.Value(state=value) if isinstance(value, str) else indicators_pb2.Value(count=value)


async def touch(
    tx: AsyncSession, keys: Iterable[str], inputs: Iterable[str], cause: str, catalogue: c.Catalogue
) -> int:
    """Compute the items that depend on `inputs` again for units no fact of which changed; returns how many changed."""
    wanted = set(keys)
    causes = dict.fromkeys(inputs, cause)
    if not wanted or not causes:
        return 0
    state = await load(tx, wanted, catalogue)
    return await recompute(tx, dict.fromkeys(wanted, causes), catalogue, state)
