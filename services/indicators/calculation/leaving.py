"""Owns what becomes of the statuses of units that a set no longer concerns: told as a change, and taken off the sheets.

Units that ended keep theirs: what they were stays readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.db import now
from chassis.units import Unit
from services.indicators.calculation import evaluation, sequencer
from services.indicators.calculation.engine import Outcome, Summary
from services.indicators.calculation.evaluation import Changed
from services.indicators.calculation.model import unit_key
from services.indicators.calculation.state import unit_of
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.areas import sql_holds, sql_touches

LEFT = Outcome("not_applicable", None)
"""What is told of a row that no longer concerns a unit."""

_OUTSIDE = sa.text(f"""
    SELECT u.code, u.name, u.level, u.kind, u.parent, u.path, u.valid_from, u.valid_to
    FROM sheet s JOIN unit u ON s.unit = u.code || '@' || u.valid_from
    WHERE s.set_code = :set_code AND u.valid_from <= :today AND (u.valid_to IS NULL OR u.valid_to > :today)
      AND CASE WHEN u.level = :level
          THEN NOT {sql_holds("u")} OR NOT (CAST(:kinds AS text[]) = '{{}}' OR u.kind = ANY(CAST(:kinds AS text[])))
          ELSE NOT {sql_touches("u")} END
    ORDER BY u.path LIMIT :most
""")
_ROWS = sa.text("""
    SELECT unit, item_code, status FROM item WHERE set_code = :set_code AND unit = ANY(CAST(:units AS text[]))
    ORDER BY unit, item_code FOR UPDATE
""")
_NO_ROWS = sa.text("DELETE FROM item WHERE set_code = :set_code AND unit = ANY(CAST(:units AS text[]))")
_NO_SHEETS = sa.text("DELETE FROM sheet WHERE set_code = :set_code AND unit = ANY(CAST(:units AS text[]))")
_STALE = sa.text("""
    INSERT INTO stale (path, set_code, cause)
    SELECT path, :set_code, :cause FROM unnest(CAST(:paths AS text[])) AS path
""")


async def clear(tx: AsyncSession, criteria: c.CriteriaSet, catalogue: c.Catalogue, cause: str, most: int) -> int:
    """Take the set off the sheets of up to `most` units it does not concern, and tell; returns how many there were."""
    asked: dict[str, Any] = {
        "set_code": criteria.code,
        "level": criteria.level,
        "kinds": list(criteria.kinds),
        "areas": criteria.area.patterns,
        "today": units.today(),
        "most": most,
    }
    if not criteria.kinds and not criteria.area.paths:
        return 0
    # What is rolled up is written by the roller alone; it is asked to stand aside before anything is fenced.
    await sequencer.keep_rollers_out(tx)
    found = [unit_of(row) for row in await tx.execute(_OUTSIDE, asked)]
    if found:
        # Whoever keeps these units in memory reads them again behind this fence.
        await evaluation.load(tx, map(unit_key, found), catalogue)
        await forget(tx, found, criteria.code, cause)
        paths = sorted({unit.path for unit in found})
        await tx.execute(_STALE, {"paths": paths, "set_code": criteria.code, "cause": cause})
    return len(found)


async def forget(tx: AsyncSession, left: Sequence[Unit], set_code: str, cause: str) -> None:
    """Take a set off the sheets of units, and tell of each row of which something was known."""
    by_key = {unit_key(unit): unit for unit in left}
    asked = {"set_code": set_code, "units": list(by_key)}
    gone = [
        Changed(row.unit, by_key[row.unit], set_code, row.item_code, row.status, LEFT, cause)
        for row in await tx.execute(_ROWS, asked)
        if row.status not in ("no_data", LEFT.status)
    ]
    summaries = {(one.key, set_code): Summary("no_data", 0, 0) for one in gone}
    # Told as any change is; `rolled`: the units above are asked for by the caller.
    await evaluation.write(tx, gone, summaries, now(), rolled=True)
    await tx.execute(_NO_ROWS, asked)
    await tx.execute(_NO_SHEETS, asked)
