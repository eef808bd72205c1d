"""Owns the rebuild from the stream: fill a shadow, compare it with the live tables, switch over what differs.

The comparison sees one instant of the live tables and the stream exactly up to their offsets, takes no lock and stops
nobody. Only where something differs, writers wait for one transaction: what came meanwhile is read, what differs and
what was written since is compared again, and the right rows take the place of the wrong ones, with lines in the log and
events for statuses that really change. Readers see the old rows until it is committed, and then the right ones. Until
then nothing live was touched, so a run that is cut off leaves nothing behind but the shadow, which the next one drops.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from chassis import replaying, telemetry, units
from chassis.db import Sessions
from chassis.settings import ServiceSettings
from services.indicators import commands
from services.indicators.calculation import applying, sequencer
from services.indicators.calculation.prepared import prepared
from services.indicators.calculation.state import alone
from services.indicators.commands import Scope
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import editions, library
from services.indicators.reorganisation import carrying
from services.indicators.stream.consumers import on
from services.indicators.upkeep import differences, following, rereading, shadowing
from services.indicators.upkeep.differences import Found
from services.indicators.upkeep.rereading import Reading, Told

log = telemetry.logger(__name__)

NEAR = 2_000
"""Records behind the live stream at which the comparison begins."""
ROUNDS = 20
"""Most times of catching up before the comparison begins anyway: a stream may be as quick as its reader."""
TRIES = 3
"""How often everything is begun anew when the catalogue changes in the middle."""

_MINE = sa.text("SELECT pg_try_advisory_lock(hashtextextended('indicators-shadow', 288))")
# What is recorded by a transaction bears the instant it began, so nothing that is committed later is older than this.
_OLDEST = sa.text("""
    SELECT least(clock_timestamp(), min(xact_start)) FROM pg_stat_activity WHERE datname = current_database()
""")
_REPEATABLE = sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
_COPY = (
    "INSERT INTO shadow.item SELECT * FROM public.item",
    "INSERT INTO shadow.sheet SELECT * FROM public.sheet",
    "INSERT INTO shadow.tally SELECT * FROM public.tally",
    # The work in the shadow counts its own epochs up.
    "CREATE UNLOGGED TABLE shadow.epoch_before AS SELECT * FROM public.epoch",
    # What the live roller has not come to yet is no mistake.
    """
    INSERT INTO shadow.stale (path, set_code, item_code, cause)
    SELECT path, set_code, item_code, cause FROM public.stale
    UNION ALL SELECT path, set_code, item_code, cause FROM public.change WHERE position IS NULL AND NOT rolled
    """,
    *(f"ANALYZE shadow.{table}" for table in ("fact", "tally", "item")),
)
_BEFORE = (
    "CREATE UNLOGGED TABLE shadow.item_before AS SELECT * FROM shadow.item",
    "CREATE UNLOGGED TABLE shadow.sheet_before AS SELECT * FROM shadow.sheet",
    "TRUNCATE shadow.change, shadow.outbox",
)
# Whoever is alone has added one to each.
_MOVED_ON = sa.text("""
    SELECT p.commune FROM public.epoch p LEFT JOIN shadow.epoch_before s USING (commune)
    WHERE p.value - 1 IS DISTINCT FROM s.value
""")
_GROUPS_OF = sa.text("""
    SELECT DISTINCT CASE WHEN level = 'village' THEN parent ELSE code END FROM public.unit
    WHERE code || '@' || valid_from = ANY(CAST(:keys AS text[]))
""")
_UNITS_OF = sa.text("""
    SELECT code || '@' || valid_from FROM public.unit
    WHERE code = ANY(CAST(:groups AS text[])) OR level = 'village' AND parent = ANY(CAST(:groups AS text[]))
""")
_FACT = """attribute, entity, source, origin, unit, period, state, numerator, denominator, withdrawn, sequence, cause,
    observed_at, heap_period"""
_TAKE_OUT = sa.text("""
    DELETE FROM public.fact f USING shadow.differing d
    WHERE d.kind = 'extra' AND f.attribute = d.attribute AND f.entity = d.entity AND f.source = d.source
""")
_PUT_IN = sa.text(f"""
    INSERT INTO public.fact ({_FACT})
    SELECT {", ".join(f"s.{name.strip()}" for name in _FACT.split(","))}
    FROM shadow.fact s JOIN shadow.differing d USING (attribute, entity, source)
    ON CONFLICT (attribute, entity, source) DO UPDATE SET
        {", ".join(f"{n.strip()} = excluded.{n.strip()}" for n in _FACT.split(",")[3:])}, recorded_at = now()
""")
_LINE = """
    l.attribute = h.attribute AND l.entity = h.entity AND l.source = h.source AND l.sequence = h.sequence
    AND l.cause = h.cause
"""
_WORD = _LINE.replace("h.", "w.")
_FORGET_INVENTED = sa.text(f"""
    DELETE FROM public.fact_history h USING shadow.line l WHERE l.kind = 'invented' AND {_LINE}
""")
_SAY_AGAIN = sa.text(f"""
    INSERT INTO public.fact_history (attribute, entity, source, origin, unit, period, state, numerator, denominator,
        withdrawn, sequence, cause, observed_at)
    SELECT DISTINCT w.attribute, w.entity, w.source, w.origin, l.unit, w.period, w.state, w.numerator, w.denominator,
        w.withdrawn, w.sequence, w.cause, w.observed_at
    FROM shadow.line l JOIN shadow.word w ON {_WORD} WHERE l.kind = 'missing'
""")
_SAY_RIGHT = sa.text(f"""
    UPDATE public.fact_history h SET origin = w.origin, period = w.period, state = w.state, numerator = w.numerator,
        denominator = w.denominator
    FROM shadow.line l JOIN shadow.word w ON {_WORD} WHERE l.kind = 'other' AND {_LINE} AND NOT h.withdrawn
""")
_MENDED = sa.text(f"""
    SELECT h.unit FROM public.fact_history h JOIN shadow.line l ON {_LINE}
    UNION SELECT unit FROM shadow.line WHERE unit IS NOT NULL
""")
_INDEX = (
    "CREATE INDEX ON shadow.word (attribute, entity, source, sequence, cause)",
    *(f"ANALYZE shadow.{table}" for table in ("word", "line", "differing")),
)


class Unready(Exception):
    """The rebuild cannot be done now; the text says why."""


class _Moved(Exception):
    """The catalogue changed in the middle: begin anew."""


async def rebuild(settings: ServiceSettings, engine: AsyncEngine, told: Told, *, dry: bool = False) -> Found:
    """Rebuild from the stream, or with `dry` only compare; raises Unready, LogBroken or an error of Kafka."""
    sessions = Sessions(engine)
    async with _alone_at_it(engine):
        for _ in range(TRIES):
            try:
                return await _attempt(settings, sessions, told, dry)
            except _Moved:
                log.info("rebuild.begins_anew")
            finally:
                await _clear_away(sessions)
    raise Unready("sets or measures change all the time; try again when they are at rest")


async def _clear_away(sessions: Sessions) -> None:
    try:
        async with sessions.begin() as tx:
            await shadowing.drop(tx)
    except Exception as error:
        # What made the run fail is told; the next one drops what is left.
        log.warning("rebuild.shadow_left", error=telemetry.describe(error))


@asynccontextmanager
async def _alone_at_it(engine: AsyncEngine) -> AsyncIterator[None]:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        if not (await connection.execute(_MINE)).scalar_one():
            raise Unready("another rebuild from the stream is under way")
        try:
            yield
        finally:
            # The lock ends with its connection, also where this process is killed.
            await connection.invalidate()


async def _attempt(settings: ServiceSettings, sessions: Sessions, told: Told, dry: bool) -> Found:
    await _do_what_is_due(sessions)
    catalogue = library.catalogue()
    async with sessions.begin() as tx:
        await shadowing.make(tx)
    async with replaying.opened(settings) as topics:
        reading = Reading(topics, on, told)
        for _ in range(ROUNDS):
            if await reading.catch_up(sessions) <= NEAR:
                break
        since = await _oldest(sessions)
        found = Found()
        await reading.stage("comparing")
        await _compare(sessions, reading, catalogue, settings.topic_prefix, found)
        await reading.stage("compared")
        if found.differs and not dry:
            # What came meanwhile is read before anybody has to wait.
            await reading.catch_up(sessions, 1)
            await _switch(sessions, reading, catalogue, since, found)
    return found


async def _do_what_is_due(sessions: Sessions) -> None:
    """The calendar, late words of predecessors, and sets that changed: none of these is a mistake."""
    async with sessions.begin() as tx:
        await editions.refresh(tx)
    async with sessions.begin() as tx:
        await commands.follow_calendar(tx, library.catalogue(), units.today())
    async with sessions.begin() as tx:
        await carrying.catch_up(tx, library.catalogue(), units.today())
    for _ in range(600):
        await following.catch_up(sessions)
        async with sessions.read() as tx:
            if not await applying.pending(tx):
                return
        # Another process is at it.
        await asyncio.sleep(0.1)
    raise Unready("units are still being judged by a changed set; try again later")


async def _oldest(sessions: Sessions) -> datetime:
    async with sessions.read() as tx:
        found: datetime = (await tx.execute(_OLDEST)).scalar_one()
        return found


async def _compare(sessions: Sessions, reading: Reading, catalogue: c.Catalogue, prefix: str, found: Found) -> None:
    """Fill the shadow for one instant of the live tables, and note what differs."""
    ready = prepared(catalogue)
    async with sessions.begin() as tx:
        await tx.execute(_REPEATABLE)
        await shadowing.patient(tx)
        if await editions.number(tx) != catalogue.number or await applying.pending(tx):
            raise _Moved
        await reading.finish(tx, 0)
        await shadowing.know_units(tx, ready)
        await shadowing.remember(tx, reading.whole_kinds(prefix), reading.latest)
        await shadowing.place_facts(tx, ready, 0)
        await shadowing.compare_facts(tx, ready)
        for statement in _COPY:
            await tx.execute(sa.text(statement))
        await shadowing.looking(tx, shadow=True)
        await sequencer.roll(tx, catalogue)
        for statement in _BEFORE:
            await tx.execute(sa.text(statement))
        await commands.recount(tx, catalogue)
        await sequencer.roll(tx, catalogue)
        await shadowing.looking(tx, shadow=False)
        await differences.read(tx, found)
        if found.differs:
            for statement in _INDEX:
                await tx.execute(sa.text(statement))
    found.ranges = rereading.ranges(reading.log.held.items(), prefix)
    found.records, found.events = reading.records, reading.events
    found.unreadable, found.set_aside = reading.unreadable, reading.aside


async def _switch(sessions: Sessions, reading: Reading, catalogue: c.Catalogue, since: datetime, found: Found) -> None:
    """Put the right rows in the place of the wrong ones, all at once."""
    ready = prepared(catalogue)
    async with sessions.begin() as tx:
        await shadowing.patient(tx)
        await sequencer.keep_rollers_out(tx)
        await alone(tx)
        began = time.monotonic()
        if await editions.number(tx) != catalogue.number:
            raise _Moved
        await reading.stage("switching")
        groups, keys = await _concerned(tx, found)
        await reading.finish(tx, 1)
        await shadowing.remember_more(tx, keys, since)
        await shadowing.place_facts(tx, ready, 1)
        await shadowing.compare_again(tx, keys)
        given = await _mend(tx)
        await commands.recount(tx, catalogue, Scope(keys, groups))
        await carrying.carry(tx, given, catalogue)
        await sequencer.roll(tx, catalogue)
        await reading.stage("switched")
    found.switched, found.groups, found.held_seconds = True, len(groups), time.monotonic() - began
    log.info("rebuild.switched", count=len(groups), seconds=round(found.held_seconds, 3))


async def _concerned(tx: AsyncSession, found: Found) -> tuple[list[str], list[str]]:
    """Groups in which anything differs or was written since the comparison, and the keys of their units."""
    differing = found.units()
    groups = set((await tx.execute(_MOVED_ON)).scalars())
    groups |= set((await tx.execute(_GROUPS_OF, {"keys": sorted(differing)})).scalars())
    keys = set((await tx.execute(_UNITS_OF, {"groups": sorted(groups)})).scalars())
    waiting = {group for group in groups if group.endswith("@")}
    return sorted(groups), sorted(keys | differing | waiting)


async def _mend(tx: AsyncSession) -> list[str]:
    """Facts and history as the shadow has them; returns the units whose history became another."""
    given = sorted((await tx.execute(_MENDED)).scalars())
    for statement in (_TAKE_OUT, _PUT_IN, _FORGET_INVENTED, _SAY_AGAIN, _SAY_RIGHT):
        await tx.execute(statement)
    return given
