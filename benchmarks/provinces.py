"""Owns a whole province for measurements of reading: 178 communes, their villages, a figure for every measure.

Every set therefore has something to say of every unit of its level, and of all above. Facts go to the table as they
are; the service's own `rebuild` judges them. Nothing here means anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg

from chassis.units import Unit, today
from services.indicators.answers import queries
from services.indicators.calculation.model import store, unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import library
from services.indicators.criteria.figures import Ratio, Value

PROVINCE = "30"
COMMUNES = 178
A_DISTRICT = 15
"""Communes of a district."""
SINCE = date(2020, 1, 1)


def units(villages: int) -> list[Unit]:
    """The province with 178 communes and `villages` villages spread over them."""
    found = [Unit(PROVINCE, "Tỉnh", "province", "tinh", "", PROVINCE, SINCE)]
    for n in range(COMMUNES):
        district = f"{290 + n // A_DISTRICT}"
        if n % A_DISTRICT == 0:
            path = f"{PROVINCE}/{district}"
            found.append(Unit(district, f"Huyện {district}", "district", "huyen", PROVINCE, path, SINCE))
        code = commune(n)
        path = f"{PROVINCE}/{district}/{code}"
        found.append(Unit(code, f"Xã {n + 1}", "commune", "xa", district, path, SINCE))
        for v in range(villages // COMMUNES + (n < villages % COMMUNES)):
            below = village(n, v)
            found.append(Unit(below, f"Thôn {v + 1}", "village", "thon", code, f"{path}/{below}", SINCE))
    return found


def commune(n: int) -> str:
    return f"{10000 + n:05d}"


def village(n: int, v: int) -> str:
    return f"{commune(n)}-{v + 1:02d}"


def _period(measure: c.Measure) -> str:
    day = today()
    periods = {"year": f"{day.year}", "quarter": f"{day.year}-Q{(day.month + 2) // 3}"}
    return periods.get(measure.period or "", f"{day.year}-{day.month:02d}" if measure.period else "")


def _value(measure: c.Measure, n: int) -> Value:
    match measure.kind:
        case "ratio":
            return Ratio(60 + n % 41, 100)
        case "flag":
            return n % 5 > 0
        case "state":
            return measure.states[n % len(measure.states)]
    return n % 7


def facts(of: Sequence[Unit]) -> Iterator[tuple[Any, ...]]:
    """One reported figure for each measure of each unit, as rows of `fact`."""
    measures = library.catalogue().measures.values()
    # Yesterday: what the stream tells today is newer.
    at = datetime.now(UTC) - timedelta(days=1)
    for n, unit in enumerate(of):
        for m, measure in enumerate(measures):
            if measure.level == unit.level and measure.below is None:
                period = _period(measure)
                state, numerator, denominator = store(_value(measure, n * 7 + m))
                yield (
                    measure.code, f"{unit.code}/{period}", "bench", "partner", unit_key(unit), period, state, numerator,
                    denominator, False, 1, f"observation:bench/{n}-{m}", at, period[:4] or f"{at:%Y}",
                )  # fmt: skip


_FACT = (
    "attribute", "entity", "source", "origin", "unit", "period", "state", "numerator", "denominator", "withdrawn",
    "sequence", "cause", "observed_at", "heap_period",
)  # fmt: skip


async def enter(connection: asyncpg.Connection, villages: int) -> list[Unit]:
    """Put units and facts into an empty, migrated database; statuses are for `rebuild`."""
    made = units(villages)
    columns = ("code", "valid_from", "name", "level", "kind", "parent", "path")
    rows = [tuple(getattr(unit, name) for name in columns) for unit in made]
    await connection.copy_records_to_table("unit", records=rows, columns=columns)
    await connection.copy_records_to_table("fact", records=facts(made), columns=_FACT)
    await connection.execute("VACUUM ANALYZE")
    return made


def sheets(of: Sequence[Unit]) -> list[tuple[str, str]]:
    """Every (unit, set) that has a sheet: units of the set's level and kind, and all above that level."""
    return [
        (unit.code, criteria.code)
        for criteria in library.catalogue().sets.values()
        if criteria.holds_on(today())
        for unit in of
        if queries.offered(criteria, unit)
    ]
