"""Owns the shadow: tables beside the live ones that are filled from the stream and from what never was in it.

They lie in a schema of their own, `shadow`, and hold words (what any source ever said, once each), the facts that
follow from them, and copies of the live statuses that are worked out again there. A transaction that looks into the
shadow first (`looking`) runs the service's own code on it: what it writes (statuses, events for the outbox, lines of
the log) stays in the shadow, which nobody relays and nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.units import VIETNAM
from services.indicators.calculation.model import code_of
from services.indicators.calculation.prepared import Prepared
from services.indicators.calculation.state import State
from services.indicators.commands import HEAP_PERIOD

SHAPED = ("fact", "tally", "item", "sheet", "change", "stale", "epoch", "outbox", "outbox_sequence")
"""Live tables that the shadow has too: all that the way from facts to statuses writes."""

WORD = (
    "attribute", "entity", "source", "origin", "code", "period", "state", "numerator", "denominator", "withdrawn",
    "sequence", "cause", "observed_at", "latest", "step",
)  # fmt: skip
"""Columns of `shadow.word`. `latest`: of its kind only the last word of a day need be remembered; `step`: when it was
read, 0 before the comparison, 1 behind the lock."""

_MAKE = (
    "DROP SCHEMA IF EXISTS shadow CASCADE",
    "CREATE SCHEMA shadow",
    *(f"CREATE UNLOGGED TABLE shadow.{table} (LIKE public.{table} INCLUDING ALL)" for table in SHAPED),
    """
    CREATE UNLOGGED TABLE shadow.word (
        attribute text COLLATE "C" NOT NULL, entity text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL,
        origin text NOT NULL, code text COLLATE "C" NOT NULL, period text NOT NULL,
        state text, numerator bigint, denominator bigint, withdrawn boolean NOT NULL,
        sequence bigint NOT NULL, cause text COLLATE "C" NOT NULL, observed_at timestamptz NOT NULL,
        latest boolean NOT NULL, step integer NOT NULL, streamed boolean NOT NULL DEFAULT true
    )
    """,
    # What comes behind the lock must be found without reading all the rest.
    "CREATE INDEX ON shadow.word (attribute, entity, source) WHERE step = 1",
    # Causes of events that are in the log but need not be among the words: folded away, unreadable, or set aside.
    'CREATE UNLOGGED TABLE shadow.seen (cause text COLLATE "C" NOT NULL)',
    # Types of events whose topic was never cut: what says it came from there and did not is invented.
    'CREATE UNLOGGED TABLE shadow.whole (kind text COLLATE "C" PRIMARY KEY, since timestamptz NOT NULL)',
    """
    CREATE UNLOGGED TABLE shadow.span (
        code text COLLATE "C" NOT NULL, since date NOT NULL, until date NOT NULL, ends date, level text NOT NULL,
        place text NOT NULL, home text NOT NULL, PRIMARY KEY (code, since)
    )
    """,
    'CREATE UNLOGGED TABLE shadow.level (attribute text COLLATE "C" PRIMARY KEY, level text NOT NULL)',
    """
    CREATE UNLOGGED TABLE shadow.line (
        attribute text COLLATE "C" NOT NULL, entity text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL,
        sequence bigint NOT NULL, cause text COLLATE "C" NOT NULL, kind text NOT NULL, unit text
    )
    """,
    """
    CREATE UNLOGGED TABLE shadow.differing (
        attribute text COLLATE "C" NOT NULL, entity text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL,
        kind text NOT NULL, held text, "right" text, PRIMARY KEY (attribute, entity, source)
    )
    """,
)
_KEY = ("attribute", "entity", "source")
_SAID = ("origin", "period", "state", "numerator", "denominator", "withdrawn", "sequence", "cause", "observed_at")
_FACT = (*_KEY, *_SAID, "unit", "heap_period")
_DAY = "(w.observed_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date"


def _same(left: str, right: str, names: Iterable[str]) -> str:
    return " AND ".join(f"{left}.{name} = {right}.{name}" for name in names)


def _other(left: str, right: str, names: Sequence[str]) -> str:
    return f"({', '.join(f'{left}.{n}' for n in names)}) IS DISTINCT FROM ({', '.join(f'{right}.{n}' for n in names)})"


_LINE_KEY = (*_KEY, "sequence", "cause")
# What live processes refused when it came, without keeping it: figures of a unit that was not there on that day.
_REFUSE = sa.text(f"""
    DELETE FROM shadow.word w USING shadow.span s
    WHERE w.latest AND s.code = w.code AND {_DAY} >= s.since AND {_DAY} < s.until
      AND ({_DAY} < split_part(s.place, '@', 2)::date OR {_DAY} >= s.ends
           OR s.level <> (SELECT l.level FROM shadow.level l WHERE l.attribute = w.attribute))
      AND NOT EXISTS (SELECT FROM public.fact_history h WHERE {_same("h", "w", _LINE_KEY)})
""")
_INVENTED = sa.text(f"""
    INSERT INTO shadow.line (attribute, entity, source, sequence, cause, kind, unit)
    SELECT DISTINCT h.attribute, h.entity, h.source, h.sequence, h.cause, 'invented', NULL
    FROM public.fact_history h JOIN shadow.whole k ON k.kind = split_part(h.cause, ':', 1) AND h.recorded_at > k.since
    WHERE NOT EXISTS (SELECT FROM shadow.word w WHERE {_same("w", "h", _LINE_KEY)})
      AND NOT EXISTS (SELECT FROM shadow.seen s WHERE s.cause = h.cause)
""")
# Of the lines of one word the word itself is the one that is not only there because its thing counts elsewhere.
_REMEMBERED = f"""
    INSERT INTO shadow.word ({", ".join(WORD)}, streamed)
    SELECT DISTINCT ON (h.attribute, h.entity, h.source, h.sequence, h.cause)
        h.attribute, h.entity, h.source, h.origin, split_part(h.unit, '@', 1), h.period, h.state, h.numerator,
        h.denominator, h.withdrawn, h.sequence, h.cause, h.observed_at,
        split_part(h.cause, ':', 1) = ANY(CAST(:latest AS text[])), {{step}}, false
    FROM public.fact_history h
    WHERE {{which}}
      AND NOT EXISTS (SELECT FROM shadow.word w WHERE {_same("w", "h", _LINE_KEY)})
      AND NOT EXISTS (SELECT FROM shadow.line l WHERE l.kind = 'invented' AND {_same("l", "h", _LINE_KEY)})
    ORDER BY h.attribute, h.entity, h.source, h.sequence, h.cause, h.withdrawn, h.observed_at
"""
_ALL_REMEMBERED = sa.text(_REMEMBERED.format(step=0, which="true"))
_NEWLY_REMEMBERED = sa.text(
    _REMEMBERED.format(step=1, which="h.unit = ANY(CAST(:units AS text[])) AND h.recorded_at >= :since")
)
_UNIT_OF = """CASE WHEN s.code IS NULL THEN w.code || '@'
    WHEN w.attribute = ANY(CAST(:counted AS text[])) THEN s.home ELSE s.place END"""
_AT = f"LEFT JOIN shadow.span s ON s.code = w.code AND {_DAY} >= s.since AND {_DAY} < s.until"
_FACTS = sa.text(f"""
    INSERT INTO shadow.fact AS f ({", ".join(_FACT)})
    SELECT {", ".join(f"w.{name}" for name in (*_KEY, *_SAID))}, {_UNIT_OF},
        CASE WHEN w.attribute = ANY(CAST(:counted AS text[])) THEN {HEAP_PERIOD} ELSE '' END
    FROM (
        SELECT DISTINCT ON (attribute, entity, source) * FROM shadow.word WHERE step = :step
        ORDER BY attribute, entity, source, sequence DESC, cause DESC
    ) AS w {_AT}
    ON CONFLICT (attribute, entity, source) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in _FACT if name not in _KEY)}
    WHERE (excluded.sequence, excluded.cause) > (f.sequence, f.cause)
""")
# Units were described anew since the facts were placed. A fact's code is that of its unit or of what it went over to,
# so the words are asked.
_PLACE_AGAIN = sa.text(f"""
    UPDATE shadow.fact f SET unit = {_UNIT_OF}
    FROM shadow.word w {_AT}
    WHERE {_same("w", "f", _LINE_KEY)} AND f.unit <> {_UNIT_OF}
""")
_CHANGED = ("origin", "unit", *_SAID[1:], "heap_period")
_DIFFER = f"""
    INSERT INTO shadow.differing (attribute, entity, source, kind, held, "right")
    SELECT attribute, entity, source,
        CASE WHEN p.unit IS NULL THEN 'missing' WHEN s.unit IS NULL THEN 'extra' ELSE 'other' END, p.unit, s.unit
    FROM {{tables}}
    WHERE p.unit IS NULL OR s.unit IS NULL OR {_other("p", "s", _CHANGED)}
"""
_ALL_DIFFER = sa.text(_DIFFER.format(tables="shadow.fact s FULL JOIN public.fact p USING (attribute, entity, source)"))
_SUSPECTS = sa.text("""
    CREATE UNLOGGED TABLE shadow.suspect AS
    SELECT attribute, entity, source FROM shadow.differing
    UNION SELECT attribute, entity, source FROM shadow.fact WHERE unit = ANY(CAST(:units AS text[]))
    UNION SELECT attribute, entity, source FROM public.fact WHERE unit = ANY(CAST(:units AS text[]))
""")
_SUSPECTS_DIFFER = sa.text(
    _DIFFER.format(
        tables="""shadow.suspect LEFT JOIN shadow.fact s USING (attribute, entity, source)
            LEFT JOIN public.fact p USING (attribute, entity, source)"""
    ).replace("WHERE p.unit IS NULL OR", "WHERE coalesce(p.unit, s.unit) IS NOT NULL AND (p.unit IS NULL OR")
    + ")"
)
# A word of the stream that live tables forgot. Of kinds that are told again and again, the last of each day is enough.
_FORGOTTEN = sa.text(f"""
    INSERT INTO shadow.line (attribute, entity, source, sequence, cause, kind, unit)
    SELECT w.attribute, w.entity, w.source, w.sequence, w.cause, 'missing', {_UNIT_OF}
    FROM (
        SELECT * FROM shadow.word WHERE NOT latest
        UNION ALL
        (SELECT DISTINCT ON (attribute, entity, source, {_DAY}) w.* FROM shadow.word w WHERE latest
         ORDER BY attribute, entity, source, {_DAY}, sequence DESC, cause DESC)
    ) AS w {_AT}
    WHERE w.streamed AND NOT EXISTS (
        SELECT FROM public.fact_history h WHERE {_same("h", "w", _LINE_KEY)} AND h.withdrawn = w.withdrawn
    )
""")
_TOLD = ("origin", "period", "state", "numerator", "denominator")
_FALSIFIED = sa.text(f"""
    INSERT INTO shadow.line (attribute, entity, source, sequence, cause, kind, unit)
    SELECT DISTINCT w.attribute, w.entity, w.source, w.sequence, w.cause, 'other', h.unit
    FROM shadow.word w JOIN public.fact_history h ON {_same("h", "w", _LINE_KEY)}
    WHERE NOT w.withdrawn AND NOT h.withdrawn AND {_other("h", "w", _TOLD)}
""")
_LEVELS = sa.text("""
    INSERT INTO shadow.level SELECT * FROM unnest(CAST(:attribute AS text[]), CAST(:level AS text[]))
""")
_CODES = sa.text("SELECT DISTINCT code FROM public.unit")
_DESCRIBED = sa.text("SELECT code || '@' || valid_from AS key, level, valid_to FROM public.unit")
_SPAN = sa.text("""
    INSERT INTO shadow.span SELECT * FROM unnest(CAST(:code AS text[]), CAST(:since AS date[]), CAST(:until AS date[]),
        CAST(:ends AS date[]), CAST(:level AS text[]), CAST(:place AS text[]), CAST(:home AS text[]))
""")
_SPANS = sa.text("SELECT * FROM shadow.span ORDER BY code, since")


async def make(tx: AsyncSession) -> None:
    """Empty tables, in place of what a run that was cut off may have left."""
    for statement in _MAKE:
        await tx.execute(sa.text(statement))


async def drop(tx: AsyncSession) -> None:
    """Take the shadow away."""
    await tx.execute(sa.text("DROP SCHEMA IF EXISTS shadow CASCADE"))


async def patient(tx: AsyncSession) -> None:
    """Let the transaction take its time: it works on all facts of a province."""
    for setting in ("lock_timeout = 0", "idle_in_transaction_session_timeout = 0", "work_mem = '256MB'", "jit = off"):
        await tx.execute(sa.text(f"SET LOCAL {setting}"))


async def looking(tx: AsyncSession, *, shadow: bool) -> None:
    """Whether names of tables mean those of the shadow, as far as it has them, for what follows in the transaction."""
    await tx.execute(sa.text(f"SET LOCAL search_path = {'shadow, public' if shadow else 'public'}"))


async def copy_in(tx: AsyncSession, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Rows into a table of the shadow, by PostgreSQL's quickest way in."""
    if not rows:
        return
    # The transaction must have begun before the driver is spoken to itself.
    connection = await (await tx.connection()).get_raw_connection()
    await tx.execute(sa.text("SELECT 1"))
    driver: Any = connection.driver_connection
    await driver.copy_records_to_table(table, records=rows, columns=list(columns), schema_name="shadow")


async def know_units(tx: AsyncSession, ready: Prepared) -> bool:
    """Which unit each code names on each day, and what it went over to; returns whether it is other than before."""
    state = State()
    codes = sorted((await tx.execute(_CODES)).scalars())
    await state.learn(tx, codes)
    known = {row.key: row for row in await tx.execute(_DESCRIBED)}
    rows: list[tuple[Any, ...]] = []
    for code in codes:
        keys = [key for key in state.keys_of(code) if key in known]
        days = [date.fromisoformat(key.rsplit("@", 1)[1]) for key in keys]
        for n, (key, day) in enumerate(zip(keys, days, strict=True)):
            until = days[n + 1] if n + 1 < len(days) else date.max
            home, _ = state.home(code, datetime.combine(day, time(12), tzinfo=VIETNAM))
            since = date.min if n == 0 else day
            rows.append((code, since, until, known[key].valid_to, known[key].level, key, home))
    before = [tuple(row) for row in await tx.execute(_SPANS)]
    if before == sorted(rows):
        return False
    await tx.execute(sa.text("TRUNCATE shadow.span, shadow.level"))
    names = ("code", "since", "until", "ends", "level", "place", "home")
    await tx.execute(_SPAN, {name: [row[n] for row in rows] for n, name in enumerate(names)})
    await tx.execute(_LEVELS, {"attribute": list(ready.levels), "level": list(ready.levels.values())})
    return True


async def remember(tx: AsyncSession, kinds: Sequence[tuple[str, datetime]], latest: Sequence[str]) -> None:
    """Add to the words what never was in the stream, or is no longer: it is taken from the live history.

    `kinds` are the types of events whose topics hold everything since their first record, and when that was written;
    `latest` those of which only the last word of a day is remembered.
    """
    await copy_in(tx, "whole", ("kind", "since"), kinds)
    for table in ("word", "seen"):
        await tx.execute(sa.text(f"ANALYZE shadow.{table}"))
    await tx.execute(_REFUSE)
    await tx.execute(_INVENTED)
    await tx.execute(_ALL_REMEMBERED, {"latest": list(latest)})


async def remember_more(tx: AsyncSession, units: Sequence[str], since: datetime) -> None:
    """Add to the words what was recorded for units since an instant."""
    await tx.execute(_NEWLY_REMEMBERED, {"units": list(units), "since": since, "latest": []})


async def place_facts(tx: AsyncSession, ready: Prepared, step: int) -> None:
    """The newest word of each source about each thing, at the unit it counts for."""
    counted = sorted(ready.counted)
    monthly = [code for code, grain in ready.grains.items() if grain == "month"]
    if await know_units(tx, ready) and step:
        await tx.execute(_PLACE_AGAIN, {"counted": counted})
    await tx.execute(_FACTS, {"counted": counted, "monthly": monthly, "step": step})


async def compare_facts(tx: AsyncSession, ready: Prepared) -> None:
    """Note every fact that is other in the live tables, and every line of the history that is wrong or missing."""
    await tx.execute(_ALL_DIFFER)
    await tx.execute(_FORGOTTEN, {"counted": sorted(ready.counted)})
    await tx.execute(_FALSIFIED)


async def compare_again(tx: AsyncSession, units: Sequence[str]) -> None:
    """As `compare_facts`, for the facts of some units and for those noted before."""
    await tx.execute(_SUSPECTS, {"units": list(units)})
    await tx.execute(sa.text("TRUNCATE shadow.differing"))
    await tx.execute(_SUSPECTS_DIFFER)


def epoch_start(ms: int) -> datetime:
    """The instant of a record's time, in milliseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def codes_of(keys: Iterable[str]) -> set[str]:
    """The codes of unit keys."""
    return {code_of(key) for key in keys}
