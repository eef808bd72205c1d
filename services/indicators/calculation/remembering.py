"""Owns the statements by which facts are written: newest fact, heaps and history in one, set by set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from services.indicators.calculation.engine import Fact, Grain
from services.indicators.calculation.model import store
from services.indicators.calculation.packing import given, packed
from services.indicators.calculation.prepared import Prepared

_COLUMNS = (
    ("attribute", "text"),
    ("entity", "text"),
    ("source", "text"),
    ("origin", "text"),
    ("unit", "text"),
    ("period", "text"),
    ("state", "text"),
    ("numerator", "bigint"),
    ("denominator", "bigint"),
    ("withdrawn", "boolean"),
    ("sequence", "bigint"),
    ("cause", "text"),
    ("observed_at", "instant"),
    ("heap_period", "text"),
)
_NAMES = """attribute, entity, source, origin, unit, period, state, numerator, denominator, withdrawn, sequence, cause,
    observed_at"""
_NEW = ", ".join(f"new.{name.strip()}" for name in _NAMES.split(","))

# `adopting` writes a word again that is known already, because it is to count for another unit.
_PUT = f"""
    WITH {given("given", _COLUMNS)},
    put AS (
        INSERT INTO fact AS f ({_NAMES}, heap_period) SELECT * FROM given
        ON CONFLICT (attribute, entity, source) DO UPDATE SET
            origin = excluded.origin, unit = excluded.unit, period = excluded.period, state = excluded.state,
            numerator = excluded.numerator, denominator = excluded.denominator, withdrawn = excluded.withdrawn,
            sequence = excluded.sequence, cause = excluded.cause, observed_at = excluded.observed_at,
            heap_period = excluded.heap_period, recorded_at = now()
        WHERE (excluded.sequence, excluded.cause) > (f.sequence, f.cause)
            OR (:adopting AND (excluded.sequence, excluded.cause) = (f.sequence, f.cause))
        RETURNING {_NEW}, new.heap_period, old.unit AS old_unit, old.origin AS old_origin, old.state AS old_state,
            old.withdrawn AS old_withdrawn, old.heap_period AS old_period
    ), remembered AS (
        INSERT INTO fact_history ({_NAMES}) SELECT {_NAMES} FROM put WHERE NOT :adopting
    ), left_behind AS (
        INSERT INTO fact_history
            (attribute, entity, source, origin, unit, period, withdrawn, sequence, cause, observed_at)
        SELECT attribute, entity, source, origin, old_unit, period, true, sequence, cause, observed_at FROM put
        WHERE old_unit <> unit AND NOT :adopting
    ), late AS (
        SELECT g.* FROM given g
        WHERE (SELECT count(*) FROM put) < (SELECT count(*) FROM given) AND NOT EXISTS (
            SELECT FROM put p WHERE p.attribute = g.attribute AND p.entity = g.entity AND p.source = g.source
        )
    ), remembered_late AS (
        INSERT INTO fact_history ({_NAMES}) SELECT {_NAMES} FROM late g
        WHERE NOT EXISTS (
            SELECT FROM fact_history h WHERE h.unit = g.unit AND h.attribute = g.attribute AND h.entity = g.entity
                AND h.source = g.source AND h.sequence = g.sequence AND h.cause = g.cause
        )
    ), never_here AS (
        INSERT INTO fact_history
            (attribute, entity, source, origin, unit, period, withdrawn, sequence, cause, observed_at)
        SELECT f.attribute, f.entity, f.source, f.origin, g.unit, f.period, true, f.sequence, f.cause, f.observed_at
        FROM late g JOIN fact f USING (attribute, entity, source)
        WHERE f.unit <> g.unit AND NOT EXISTS (
            SELECT FROM fact_history h WHERE h.unit = g.unit AND h.attribute = g.attribute AND h.entity = g.entity
                AND h.source = g.source AND h.sequence = f.sequence AND h.cause = f.cause
        )
    )
"""
PUT_COUNTED = sa.text(f"""{_PUT}, moves AS (
        SELECT unit, attribute, source, origin, heap_period AS year, state, 1 AS n, observed_at FROM put
        WHERE NOT withdrawn AND state IS NOT NULL
        UNION ALL
        SELECT old_unit, attribute, source, old_origin, old_period, old_state, -1, observed_at FROM put
        WHERE NOT old_withdrawn AND old_state IS NOT NULL
    ), deltas AS (
        SELECT unit, attribute, source, origin, year, state, sum(n) AS n, max(observed_at) AS last FROM moves
        GROUP BY unit, attribute, source, origin, year, state HAVING sum(n) <> 0
    ), counted AS (
        INSERT INTO tally (unit, attribute, source, origin, year, state, count)
        SELECT unit, attribute, source, origin, year, state, n FROM deltas ORDER BY 1, 2, 3, 4, 5, 6
        ON CONFLICT (unit, attribute, source, origin, year, state) DO UPDATE SET count = tally.count + excluded.count
    )
    SELECT unit, attribute, source, origin, year, state, n, last FROM deltas
    UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, count(*), NULL FROM put
""")
# Answers with what is out of the ordinary only: facts that left another unit, and (without a unit) those not put.
PUT_WHOLE = sa.text(f"""{_PUT}
    SELECT attribute, entity, source, unit, old_unit FROM put WHERE old_unit <> unit
    UNION ALL SELECT attribute, entity, source, NULL, NULL FROM late
""")
REMEMBER = sa.text(f"""
    WITH {given("given", _COLUMNS)}
    INSERT INTO fact_history ({_NAMES})
    SELECT DISTINCT {_NAMES} FROM given g
    WHERE NOT EXISTS (
        SELECT FROM fact_history h WHERE h.unit = g.unit AND h.attribute = g.attribute AND h.entity = g.entity
            AND h.source = g.source AND h.sequence = g.sequence AND h.cause = g.cause
    )
""")
# As above, for lines that differ from one that is there only in being withdrawn.
REMEMBER_MOVE = sa.text(f"""
    WITH {given("given", _COLUMNS)}
    INSERT INTO fact_history ({_NAMES})
    SELECT DISTINCT {_NAMES} FROM given g
    WHERE NOT EXISTS (
        SELECT FROM fact_history h WHERE h.unit = g.unit AND h.attribute = g.attribute AND h.entity = g.entity
            AND h.source = g.source AND h.sequence = g.sequence AND h.cause = g.cause AND h.withdrawn = g.withdrawn
    )
""")
FOLLOWED = sa.text(
    "SELECT DISTINCT successor FROM succession WHERE followed AND successor = ANY(CAST(:keys AS text[]))"
)


def as_columns(facts: Sequence[tuple[Fact, str]], ready: Prepared | None) -> dict[str, str]:
    values = [store(fact.value) for fact, _ in facts]
    counted = ready.grains if ready is not None else {}
    values_of: dict[str, list[Any]] = {
        "attribute": [fact.attribute for fact, _ in facts],
        "entity": [fact.entity for fact, _ in facts],
        "source": [fact.source for fact, _ in facts],
        "origin": [fact.origin for fact, _ in facts],
        "unit": [unit for _, unit in facts],
        "period": [fact.period for fact, _ in facts],
        "state": [value[0] for value in values],
        "numerator": [value[1] for value in values],
        "denominator": [value[2] for value in values],
        "withdrawn": [fact.withdrawn for fact, _ in facts],
        "sequence": [fact.sequence for fact, _ in facts],
        "cause": [fact.cause for fact, _ in facts],
        "observed_at": [fact.observed_at for fact, _ in facts],
        "heap_period": [
            _heap_period(fact, counted[fact.attribute]) if fact.attribute in counted else "" for fact, _ in facts
        ],
    }
    return packed("given", _COLUMNS, values_of)


def _heap_period(fact: Fact, grain: Grain) -> str:
    """As `Fact.counted_in`, with the year or month of an hour worked out once."""
    if fact.period:
        return fact.counted_in(grain)
    at = fact.observed_at
    hour = (at.year, at.month, at.day, at.hour, at.tzinfo, grain)
    found = _periods.get(hour)
    if found is None:
        if len(_periods) > 10_000:
            _periods.clear()
        found = _periods[hour] = fact.counted_in(grain)
    return found


_periods: dict[tuple[Any, ...], str] = {}
