"""Owns the order of the log of changes, and the roll-up from children to the units above them.

Ids of rows are not the order of commits: a transaction may take a low id and commit late, and a reader that went past
it would skip it. So writers leave `position` empty, and one sequencer (advisory lock) numbers what it sees committed,
in a transaction of its own. Only it writes positions, one transaction after the other: a reader that has seen position
n has seen everything up to n. Changes are then rolled up, many at once, to commune, district and province, so that no
ancestor's row is fought over by the writers below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.db import now
from chassis.units import LEVELS, Unit
from services.indicators import criteria as c
from services.indicators import evaluation
from services.indicators.engine import Outcome, Ratio, Summary
from services.indicators.evaluation import Changed
from services.indicators.model import CHANGES_CHANNEL, figure_of, unit_key

BATCH = 2000
"""Most changes numbered in one transaction."""

_ONLY_ONE = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended('indicators-sequencer', 288))")
_NUMBER = sa.text(f"""
    WITH pending AS (
        SELECT id, row_number() OVER (ORDER BY id) AS n FROM change WHERE position IS NULL ORDER BY id LIMIT {BATCH}
    ), top AS (
        SELECT coalesce(max(position), 0) AS position FROM change WHERE position IS NOT NULL
    ), numbered AS (
        UPDATE change SET position = top.position + pending.n FROM pending, top WHERE change.id = pending.id
        RETURNING change.id, change.path, change.set_code, change.cause, change.rolled
    ), noted AS (
        INSERT INTO stale (path, set_code, cause)
        SELECT path, set_code, cause FROM numbered WHERE NOT rolled ORDER BY id
    )
    SELECT count(*) FROM numbered
""")
_STALE = sa.text("DELETE FROM stale RETURNING id, path, set_code, cause")
_ABOVE = sa.text("""
    SELECT code, name, level, kind, parent, path, valid_from, valid_to FROM unit
    WHERE code = ANY(CAST(:codes AS text[]))
      AND valid_from <= :today AND (valid_to IS NULL OR valid_to > :today)
""")
# A child of the set's own level counts by its status; one above it by what was rolled up to it before.
_CHILDREN = sa.text("""
    SELECT p.code, wanted.item_code,
        sum(CASE WHEN child.level = :level THEN (coalesce(i.status, 'no_data') = 'met')::int
                 ELSE coalesce(i.numerator, 0) END)::bigint AS numerator,
        sum(CASE WHEN child.level = :level
                 THEN (coalesce(i.status, 'no_data') NOT IN ('not_applicable', 'suspended'))::int
                 ELSE coalesce(i.denominator, 0) END)::bigint AS denominator
    FROM unit p
    JOIN unit child ON child.parent = p.code
        AND child.valid_from <= :today AND (child.valid_to IS NULL OR child.valid_to > :today)
    CROSS JOIN unnest(CAST(:items AS text[])) AS wanted (item_code)
    LEFT JOIN item i ON i.unit = child.code || '@' || child.valid_from
        AND i.set_code = :set_code AND i.item_code = wanted.item_code
    WHERE p.code = ANY(CAST(:codes AS text[]))
      AND p.valid_from <= :today AND (p.valid_to IS NULL OR p.valid_to > :today)
    GROUP BY 1, 2
""")
_SHEETS_BELOW = sa.text("""
    SELECT p.code,
        sum(CASE WHEN child.level = :level THEN (coalesce(s.status, 'no_data') = 'met')::int
                 ELSE coalesce(s.met, 0) END)::int AS met,
        sum(CASE WHEN child.level = :level THEN 1 ELSE coalesce(s.total, 0) END)::int AS total
    FROM unit p
    JOIN unit child ON child.parent = p.code
        AND child.valid_from <= :today AND (child.valid_to IS NULL OR child.valid_to > :today)
    LEFT JOIN sheet s ON s.unit = child.code || '@' || child.valid_from AND s.set_code = :set_code
    WHERE p.code = ANY(CAST(:codes AS text[]))
      AND p.valid_from <= :today AND (p.valid_to IS NULL OR p.valid_to > :today)
    GROUP BY 1
""")
_ITEMS = sa.text("""
    SELECT unit, item_code, status, flag, numerator, denominator FROM item
    WHERE unit = ANY(CAST(:units AS text[])) AND set_code = :set_code
""")
_WAKE = sa.text(f"SELECT pg_notify('{CHANGES_CHANNEL}', '')")


async def number(tx: AsyncSession) -> int:
    """Give what is committed its positions and note what must be rolled up; returns how many lines were numbered.

    0 also while another process is at it.
    """
    if not (await tx.execute(_ONLY_ONE)).scalar_one():
        return 0
    numbered = (await tx.execute(_NUMBER)).scalar_one()
    if numbered:
        await tx.execute(_WAKE)
    return int(numbered)


async def roll_up(tx: AsyncSession, catalogue: c.Catalogue) -> int:
    """Bring the units above what changed up to date; returns how many of their items changed.

    Many changes below make one change above, however often this runs. 0 also while another process is at it.
    """
    if not (await tx.execute(_ONLY_ONE)).scalar_one():
        return 0
    stale = sorted((await tx.execute(_STALE)).all(), key=lambda row: int(row.id))
    changed = 0
    for criteria in catalogue.sets.values() if stale else ():
        causes = {row.path: row.cause for row in stale if row.set_code in (None, criteria.code)}
        changed += await _roll_up(tx, criteria, causes)
    return changed


async def mark_stale(tx: AsyncSession, path: str) -> None:
    """Ask for the units above `path` to be rolled up again."""
    await tx.execute(sa.text("INSERT INTO stale (path) VALUES (:path)"), {"path": path})


async def _roll_up(tx: AsyncSession, criteria: c.CriteriaSet, causes: dict[str, str]) -> int:
    """Bring the units above the given paths up to date, lowest level first; `causes` maps a path to what happened."""
    because: dict[str, str] = {}
    for path, cause in causes.items():
        for code in path.split("/")[:-1]:
            because[code] = cause or because.get(code, "")
    if not because:
        return 0
    changed = 0
    today = units.today()
    rows = await tx.execute(_ABOVE, {"codes": sorted(because), "today": today})
    above = [Unit(r.code, r.name, r.level, r.kind, r.parent, r.path, r.valid_from, r.valid_to) for r in rows]
    for level in reversed(LEVELS[: LEVELS.index(criteria.level)]):
        layer = [unit for unit in above if unit.level == level]
        if layer:
            changed += await _Layer(criteria, layer, because, today).write(tx)
    return changed


@dataclass
class _Layer:
    """Units of one level whose children may have changed."""

    criteria: c.CriteriaSet
    units: Sequence[Unit]
    because: dict[str, str]
    today: date

    async def write(self, tx: AsyncSession) -> int:
        keys = {unit.code: unit_key(unit) for unit in self.units}
        await evaluation.lock(tx, keys.values())
        asked: dict[str, Any] = {
            "codes": list(keys),
            "level": self.criteria.level,
            "set_code": self.criteria.code,
            "today": self.today,
        }
        counted = await tx.execute(_CHILDREN, {**asked, "items": [item.code for item in self.criteria.items]})
        ratios = {(r.code, r.item_code): Ratio(r.numerator, r.denominator) for r in counted}
        sheets = {r.code: (r.met, r.total) for r in await tx.execute(_SHEETS_BELOW, asked)}
        held = {
            (r.unit, r.item_code): Outcome(r.status, figure_of(r.flag, r.numerator, r.denominator))
            for r in await tx.execute(_ITEMS, {"units": list(keys.values()), "set_code": self.criteria.code})
        }
        changed: list[Changed] = []
        summaries: dict[tuple[str, str], Summary] = {}
        for unit in self.units:
            met, total = sheets.get(unit.code, (0, 0))
            summaries[keys[unit.code], self.criteria.code] = Summary("measured" if total else "no_data", met, total)
            for item in self.criteria.items:
                ratio = ratios.get((unit.code, item.code), Ratio(0, 0))
                outcome = rolled_up(ratio, total)
                before = held.get((keys[unit.code], item.code), evaluation.NOTHING)
                if outcome != before:
                    cause = self.because.get(unit.code, "")
                    changed.append(Changed(unit, self.criteria.code, item.code, before.status, outcome, cause))
        await evaluation.write(tx, changed, summaries, now(), rolled=True)
        return len(changed)


def rolled_up(ratio: Ratio, total: int) -> Outcome:
    """The outcome of an item above its own level: how many meet it, of those it applies to.

    No source asks a commune, district or province for a share of its villages, so the share is measured, not judged.
    """
    if total == 0:
        return Outcome("no_data", None)
    return Outcome("measured" if ratio.denominator else "not_applicable", ratio)
