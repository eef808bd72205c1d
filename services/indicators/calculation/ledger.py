"""Owns how facts enter: the newest per attribute, entity and source counts, the heaps follow, everything is remembered.

A batch is folded in memory (`Batch`), placed on the units it speaks of, and written set by set: one statement for the
facts of entities, which also moves them between heaps, one for the facts of whole units. The order of a fact decides in
the statement itself, so a batch that is written twice has effect once. Facts, heaps, statuses and outbox rows change in
one transaction, under the fence of the units (see `state`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, time
from operator import itemgetter

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from services.indicators.calculation import evaluation
from services.indicators.calculation.engine import VIETNAM, Fact, TallyKey, day_of
from services.indicators.calculation.folding import Batch as Batch
from services.indicators.calculation.model import code_of, fact_of, parked_key
from services.indicators.calculation.packing import CHUNK, Statement, in_turn
from services.indicators.calculation.prepared import Prepared, prepared
from services.indicators.calculation.remembering import (
    FOLLOWED,
    PUT_COUNTED,
    PUT_WHOLE,
    REMEMBER,
    REMEMBER_MOVE,
    as_columns,
)
from services.indicators.calculation.state import Follow, State
from services.indicators.criteria import catalogue as c

_ELSEWHERE = sa.text("""
    SELECT * FROM fact WHERE unit = ANY(CAST(:keys AS text[])) ORDER BY attribute, entity, source
""")
_MOVE_HISTORY = sa.text("""
    UPDATE fact_history h SET unit = placed.key FROM (
        SELECT w.ctid, coalesce(
            (SELECT u.code || '@' || u.valid_from FROM unit u
             WHERE u.code = w.code AND u.valid_from <= (w.observed_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
             ORDER BY u.valid_from DESC LIMIT 1),
            (SELECT u.code || '@' || u.valid_from FROM unit u WHERE u.code = w.code ORDER BY u.valid_from LIMIT 1)
        ) AS key
        FROM (SELECT ctid, split_part(unit, '@', 1) AS code, unit, observed_at FROM fact_history
              WHERE unit = ANY(CAST(:keys AS text[]))) AS w
    ) AS placed
    WHERE h.ctid = placed.ctid AND h.unit <> placed.key
""")


async def keys_of_units(tx: AsyncSession, wanted: Iterable[tuple[str, datetime]]) -> dict[tuple[str, datetime], str]:
    """The key of the unit each code names at its instant, see `State.place`."""
    pairs = set(wanted)
    state = State()
    await state.learn(tx, {code for code, _ in pairs})
    return {(code, at): state.place(code, at)[0] for code, at in pairs}


async def record(tx: AsyncSession, facts: Sequence[Fact], catalogue: c.Catalogue) -> int:
    """Take in `facts`, whose `unit` is a plain code; returns how many were news.

    Facts older than the stored one of their key only enter the history. Everything that follows from the others
    (heaps, statuses, the log of changes, events) is written in this transaction.
    """
    if not facts:
        return 0
    ordered = sorted(facts, key=lambda fact: (fact.key, fact.order))
    return await settle(tx, State(), Batch(ordered), prepared(catalogue))


async def adopt(tx: AsyncSession, codes: Iterable[str], catalogue: c.Catalogue, cause: str = "") -> int:
    """Give the facts of described codes to the units they name now; returns how many moved.

    Those that waited for the description of their unit, and those that a unit described later has a better claim to.
    Communes that are described are judged where a rule looks at what lies below: nothing is a figure there too.
    """
    state = State()
    wanted = set(codes)
    await _hold(tx, state, wanted, described=True)
    await evaluation.look_around(tx, state, wanted, cause, prepared(catalogue))
    keys = {parked_key(code) for code in wanted}
    for code in wanted:
        generations = state.keys_of(code)
        if len(generations) > 1:
            keys |= set(generations)
    rows = await tx.execute(_ELSEWHERE, {"keys": sorted(keys)})
    # What came with a unit that went over whole belongs where it is, however long ago it was observed.
    settled = set((await tx.execute(FOLLOWED, {"keys": sorted(keys)})).scalars())
    waiting = [fact_of(row) for row in rows if row.unit not in settled]
    moved = [fact for fact in waiting if state.place(code_of(fact.unit), fact.observed_at)[0] != fact.unit]
    if not moved:
        return 0
    await tx.execute(_MOVE_HISTORY, {"keys": sorted(keys)})
    batch = Batch(_moved(fact, code_of(fact.unit)) for fact in moved)
    return await settle(tx, state, batch, prepared(catalogue), adopting=True)


async def follow(tx: AsyncSession, keys: Iterable[str], catalogue: c.Catalogue) -> int:
    """Give what is known of single things in units that went over whole to what they became; returns how many moved.

    The history of the old unit keeps them up to that day.
    """
    state, ready = State(), prepared(catalogue)
    wanted = sorted(set(keys))
    await _hold(tx, state, {code_of(key) for key in wanted})
    rows = await tx.execute(_ELSEWHERE, {"keys": wanted})
    moved = [(fact, found) for fact in map(fact_of, rows) if (found := state.follow(fact.unit)) is not None]
    moved = [(fact, found) for fact, found in moved if fact.attribute in ready.counted]
    if not moved:
        return 0
    lines: list[tuple[Fact, str]] = []
    for fact, found in moved:
        lines += _moves(fact, fact.unit, found)
    await tx.execute(REMEMBER_MOVE, as_columns(lines, None))
    batch = Batch(replace(fact, unit=code_of(fact.unit)) for fact, _ in moved)
    placed = {(fact.attribute, fact.entity, fact.source): (found.key, found.group) for fact, found in moved}
    return await settle(tx, state, batch, ready, adopting=True, placed=placed)


def _moves(fact: Fact, before: str, found: Follow) -> list[tuple[Fact, str]]:
    """Lines of history that say that a thing left one unit for another on the day one became the other."""
    since = max(datetime.combine(found.since, time.min, tzinfo=VIETNAM), fact.observed_at)
    gone = replace(fact, value=None, withdrawn=True, observed_at=since)
    return [(replace(fact, observed_at=since), found.key), (gone, before)]


async def _remember_before(tx: AsyncSession, state: State, facts: Sequence[tuple[Fact, str]]) -> None:
    """Keep late words about a unit that went over whole in its own history too: they were true of it then."""
    lines: list[tuple[Fact, str]] = []
    for fact, home in facts:
        before, _ = state.place(fact.unit, fact.observed_at)
        found = state.follow(before)
        if found is not None and found.key == home:
            lines += [(fact, before), _moves(fact, before, found)[1]]
    if lines:
        await tx.execute(REMEMBER_MOVE, as_columns(lines, None))


async def settle(
    tx: AsyncSession,
    state: State,
    batch: Batch,
    ready: Prepared,
    *,
    adopting: bool = False,
    placed: Places | None = None,
) -> int:
    """Write a batch and all that follows from it; returns how many facts were news.

    Where this raises, what `state` holds is not what is in the tables: the caller clears it.
    """
    if not batch.winners:
        return 0
    await _hold(tx, state, batch.codes)
    counted, whole, groups = _sorted_out(state, batch, ready, placed)
    await state.load(tx, groups, ready)
    dirty: Dirt = {}
    news = 0
    if counted:
        news += await _put_counted(tx, state, counted, ready, dirty, adopting=adopting)
    if whole:
        news += await _put_whole(tx, state, whole, ready, dirty, adopting=adopting)
    if batch.losers:
        await _remember(tx, state, batch)
    if state.follows_any and not adopting:
        await _remember_before(tx, state, counted)
    causes = {unit: {name: mark[1] for name, mark in marks.items()} for unit, marks in dirty.items()}
    await evaluation.recompute(tx, causes, ready.catalogue, state)
    return news


def _sorted_out(state: State, batch: Batch, ready: Prepared, placed: Places | None) -> tuple[Told, Told, set[str]]:
    """The facts of entities and those of whole units, each with the key of its unit and unit by unit; their groups.

    In the order of units, the rows of one statement lie together in tables and indexes, and a heap is moved once.
    """
    counted: Told = []
    whole: Told = []
    groups: set[str] = set()
    for key, fact in batch.winners.items():
        of_entity = fact.attribute in ready.counted
        if placed is not None:
            unit, group = placed[key]
        else:
            unit, group = (state.home if of_entity else state.place)(fact.unit, fact.observed_at)
        groups.add(group)
        (counted if of_entity else whole).append((fact, unit))
    counted.sort(key=_unit)
    whole.sort(key=_unit)
    return counted, whole, groups


async def _hold(tx: AsyncSession, state: State, codes: set[str], *, described: bool = False) -> None:
    """Know the units the codes name and fence them; what was learnt before the fence is learnt again behind it."""
    while True:
        await state.learn(tx, codes)
        groups = {group for code in codes for group in state.groups_of(code, described=described)}
        if not await state.fence(tx, groups):
            return


Told = list[tuple[Fact, str]]
"""Facts, each with the key of its unit."""
_unit = itemgetter(1)
Dirt = dict[str, dict[str, tuple[datetime, str]]]
"""Unit key to its attributes that changed, each with the moment and the cause of its last word."""
Places = dict[tuple[str, str, str], tuple[str, str]]
"""Key of a fact to the key and the group of the unit it counts for."""


async def _put_counted(
    tx: AsyncSession,
    state: State,
    facts: Sequence[tuple[Fact, str]],
    ready: Prepared,
    dirty: Dirt,
    *,
    adopting: bool,
) -> int:
    news = 0
    last: dict[tuple[str, str], datetime] = {}
    strange: set[str] = set()
    newest: Dirt = {}
    async for rows in in_turn(tx, _chunks(PUT_COUNTED, facts, ready, adopting, newest)):
        for unit, attribute, source, origin, year, held, n, at in rows:
            if unit is None:
                news += int(n)
                continue
            spot = (unit, attribute)
            last[spot] = max(last.get(spot, at), at)
            known = state.units.get(unit)
            if known is None:
                strange.add(unit)
                continue
            heaps = known.heaps.setdefault(attribute, {})
            heap = TallyKey(unit, attribute, source, origin, year, held)
            heaps[heap] = heaps.get(heap, 0) + int(n)
    await _meet(tx, state, strange, ready)
    elsewhere: dict[tuple[str, str, datetime], str] | None = None
    for (unit, attribute), at in last.items():
        mark = newest.get(unit, {}).get(attribute)
        if mark is None or mark[0] != at:
            # What moved the heap last is not its newest word: that was known before, or is a fact that left the unit.
            if elsewhere is None:
                elsewhere = _causes(facts)
            mark = (at, elsewhere.get((unit, attribute, at)) or elsewhere.get(("", attribute, at), ""))
        dirty.setdefault(unit, {})[attribute] = mark
    return news


def _causes(facts: Sequence[tuple[Fact, str]]) -> dict[tuple[str, str, datetime], str]:
    """The cause of the words of a moment about an attribute, of a unit and ("") of any."""
    found: dict[tuple[str, str, datetime], str] = {}
    for fact, unit in facts:
        for spot in ((unit, fact.attribute, fact.observed_at), ("", fact.attribute, fact.observed_at)):
            found[spot] = max(found.get(spot, ""), fact.cause)
    return found


def _chunks(
    statement: sa.TextClause,
    facts: Sequence[tuple[Fact, str]],
    ready: Prepared,
    adopting: bool,
    newest: Dirt | None = None,
) -> Iterable[Statement]:
    """The statements that put the facts. On the way `newest` gets the newest mark of each attribute of each unit."""
    for n in range(0, len(facts), CHUNK):
        part = facts[n : n + CHUNK]
        if newest is not None:
            for fact, unit in part:
                _mark(newest, unit, fact.attribute, (fact.observed_at, fact.cause))
        yield statement, {**as_columns(part, ready), "adopting": adopting}


async def _meet(tx: AsyncSession, state: State, keys: Iterable[str], ready: Prepared) -> None:
    """Load units that facts have left and that nobody asked for: another code's, or another commune's."""
    codes = {code_of(key) for key in keys if not key.endswith("@")}
    if codes:
        await _hold(tx, state, codes)
        await state.load(tx, {group for code in codes for group in state.groups_of(code)}, ready)


async def _put_whole(
    tx: AsyncSession,
    state: State,
    facts: Sequence[tuple[Fact, str]],
    ready: Prepared,
    dirty: Dirt,
    *,
    adopting: bool,
) -> int:
    left: dict[tuple[str, str, str], str] = {}
    old_news: set[tuple[str, str, str]] = set()
    async for rows in in_turn(tx, _chunks(PUT_WHOLE, facts, ready, adopting)):
        for attribute, entity, source, unit, old_unit in rows:
            if unit is None:
                old_news.add((attribute, entity, source))
            else:
                left[attribute, entity, source] = old_unit
    await _meet(tx, state, {unit for unit in left.values() if unit not in state.units}, ready)
    for told, unit in facts:
        key = told.key
        if key in old_news:
            continue
        fact = _moved(told, unit)
        attribute = fact.attribute
        mark = (fact.observed_at, fact.cause)
        before: Fact | None = None
        if key in left and left[key] in state.units:
            state.units[left[key]].reported.get(attribute, {}).pop(key, None)
            _mark(dirty, left[key], attribute, mark)
        known = state.units.get(unit)
        if known is not None:
            reported = known.reported.get(attribute)
            if reported is None:
                reported = known.reported[attribute] = {}
            before = reported.get(key)
            if not fact.withdrawn:
                reported[key] = fact
            elif before is not None:
                del reported[key]
        if before is None or not _says_the_same(before, fact):
            _mark(dirty, unit, attribute, mark)
    return len(facts) - len(old_news)


def _moved(fact: Fact, unit: str) -> Fact:
    """The same fact of another unit; as dataclasses.replace, ten times as quick."""
    return Fact(
        fact.attribute,
        fact.entity,
        fact.source,
        fact.origin,
        unit,
        fact.value,
        fact.sequence,
        fact.cause,
        fact.observed_at,
        fact.period,
        fact.withdrawn,
    )


def _mark(dirty: Dirt, unit: str, attribute: str, mark: tuple[datetime, str]) -> None:
    causes = dirty.get(unit)
    if causes is None:
        causes = dirty[unit] = {}
    held = causes.get(attribute)
    if held is None or mark > held:
        causes[attribute] = mark


def _says_the_same(before: Fact, after: Fact) -> bool:
    """Whether no figure can tell the two apart. A later word of the same content may still win over another source."""
    return (
        before.value == after.value
        and type(before.value) is type(after.value)
        and before.origin == after.origin
        and before.period == after.period
        and before.withdrawn == after.withdrawn
        and (bool(after.period) or day_of(before.observed_at) == day_of(after.observed_at))
    )


async def _remember(tx: AsyncSession, state: State, batch: Batch) -> None:
    """Keep the words that others of the same batch outdid. A unit that only they name is told that the fact left it."""
    rows: Told = []
    for fact in batch.losers:
        unit, _ = state.place(fact.unit, fact.observed_at)
        rows.append((fact, unit))
        winner = batch.winners[fact.key]
        home = state.place(winner.unit, winner.observed_at)[0]
        if home != unit:
            gone = _moved(winner, unit)
            gone.value, gone.withdrawn = None, True
            rows.append((gone, unit))
    rows.sort(key=_unit)
    parts = (rows[n : n + CHUNK] for n in range(0, len(rows), CHUNK))
    async for _ in in_turn(tx, ((REMEMBER, as_columns(part, None)) for part in parts)):
        pass
