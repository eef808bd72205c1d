"""Owns the order of the log of changes, and the roll-up from children to the units above them.

Ids of rows are not the order of commits: a transaction may take a low id and commit late, and a reader that went past
it would skip it. So writers leave `position` empty, and one sequencer (advisory lock) numbers what it sees committed,
in a transaction of its own. Only it writes positions, one transaction after the other: a reader that has seen position
n has seen everything up to n. Changes are then rolled up, many at once, to commune, district and province, so that no
ancestor's row is fought over by the writers below it. Sets of districts and provinces are judged in the same round,
behind what they look at. Numbering and rolling up have a lock each: neither waits for the other.
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
from services.indicators.calculation import evaluation
from services.indicators.calculation.engine import Outcome, Ratio, Summary
from services.indicators.calculation.evaluation import Changed, Judge
from services.indicators.calculation.model import CHANGES_CHANNEL, figure_of, unit_key
from services.indicators.calculation.prepared import Prepared, prepared
from services.indicators.calculation.state import NOTHING, State, unit_of
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.areas import sql_holds
from services.indicators.criteria.catalogue import input_of

BATCH = 2000
"""Most changes numbered in one transaction."""

_ONLY_ONE = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended('indicators-sequencer', 288))")
_ONLY_ROLLER = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended('indicators-roller', 288))")
_NO_ROLLER = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('indicators-roller', 288))")
_NOT_DURING_REBUILD = sa.text("SELECT pg_advisory_xact_lock_shared(hashtextextended('indicators-statuses', 288))")
_NUMBER = sa.text(f"""
    WITH pending AS (
        SELECT id, row_number() OVER (ORDER BY id) AS n FROM change WHERE position IS NULL ORDER BY id LIMIT {BATCH}
    ), top AS (
        SELECT coalesce(max(position), 0) AS position FROM change WHERE position IS NOT NULL
    ), numbered AS (
        UPDATE change SET position = top.position + pending.n FROM pending, top WHERE change.id = pending.id
        RETURNING change.id, change.path, change.set_code, change.item_code, change.cause, change.rolled
    ), noted AS (
        INSERT INTO stale (path, set_code, item_code, cause)
        SELECT path, set_code, item_code, cause FROM numbered WHERE NOT rolled ORDER BY id
    )
    SELECT count(*) FROM numbered
""")
_STALE = sa.text("DELETE FROM stale RETURNING id, path, set_code, item_code, cause")
_ABOVE = sa.text("""
    SELECT code, name, level, kind, parent, path, valid_from, valid_to FROM unit
    WHERE code = ANY(CAST(:codes AS text[]))
      AND valid_from <= :today AND (valid_to IS NULL OR valid_to > :today)
""")
# A child of the set's own level counts by its status; one above it by what was rolled up to it before.
_WITHIN = f"(child.level <> :level OR {sql_holds('child')})"
_CHILDREN = sa.text(f"""
    SELECT p.code, wanted.item_code,
        sum(CASE WHEN child.level = :level THEN (coalesce(i.status, 'no_data') = 'met')::int
                 ELSE coalesce(i.numerator, 0) END)::bigint AS numerator,
        sum(CASE WHEN child.level = :level
                 THEN (coalesce(i.status, 'no_data') NOT IN ('not_applicable', 'suspended'))::int
                 ELSE coalesce(i.denominator, 0) END)::bigint AS denominator,
        sum(CASE WHEN child.level = :level THEN (coalesce(i.status, 'no_data') = 'no_data')::int
                 ELSE coalesce(i.unknown, 0) END)::int AS unknown
    FROM unnest(CAST(:codes AS text[]), CAST(:items AS text[])) AS wanted (code, item_code)
    JOIN unit p ON p.code = wanted.code AND p.valid_from <= :today AND (p.valid_to IS NULL OR p.valid_to > :today)
    JOIN unit child ON child.parent = p.code
        AND child.valid_from <= :today AND (child.valid_to IS NULL OR child.valid_to > :today)
        AND (child.level <> :level OR child.kind = ANY(CAST(:kinds AS text[])) OR CAST(:kinds AS text[]) = '{{}}')
        AND {_WITHIN}
    LEFT JOIN item i ON i.unit = child.code || '@' || child.valid_from
        AND i.set_code = :set_code AND i.item_code = wanted.item_code
    GROUP BY 1, 2
""")
_SHEETS_BELOW = sa.text(f"""
    SELECT p.code,
        sum(CASE WHEN child.level = :level THEN (coalesce(s.status, 'no_data') = 'met')::int
                 ELSE coalesce(s.met, 0) END)::int AS met,
        sum(CASE WHEN child.level = :level THEN 1 ELSE coalesce(s.total, 0) END)::int AS total
    FROM unit p
    JOIN unit child ON child.parent = p.code
        AND child.valid_from <= :today AND (child.valid_to IS NULL OR child.valid_to > :today)
        AND (child.level <> :level OR child.kind = ANY(CAST(:kinds AS text[])) OR CAST(:kinds AS text[]) = '{{}}')
        AND {_WITHIN}
    LEFT JOIN sheet s ON s.unit = child.code || '@' || child.valid_from AND s.set_code = :set_code
    WHERE p.code = ANY(CAST(:codes AS text[]))
      AND p.valid_from <= :today AND (p.valid_to IS NULL OR p.valid_to > :today)
    GROUP BY 1
""")
_ITEMS = sa.text("""
    SELECT unit, item_code, status, flag, numerator, denominator, unknown FROM item
    WHERE unit = ANY(CAST(:units AS text[])) AND set_code = :set_code AND item_code = ANY(CAST(:items AS text[]))
""")
_WAKE = sa.text(f"SELECT pg_notify('{CHANGES_CHANNEL}', '')")


Causes = dict[str, dict[str, dict[str | None, str]]]
"""Code of a unit to the sets, and their rows (None: all of them), that changed below it, each with the last cause."""


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
    if not (await tx.execute(_ONLY_ROLLER)).scalar_one():
        return 0
    return await roll(tx, catalogue)


async def keep_rollers_out(tx: AsyncSession) -> None:
    """Wait until nobody rolls up, and keep it so until the end of the transaction."""
    await tx.execute(_NO_ROLLER)


async def roll(tx: AsyncSession, catalogue: c.Catalogue) -> int:
    """As `roll_up`, for whoever made sure that nobody else does it on the same tables."""
    stale = sorted((await tx.execute(_STALE)).all(), key=lambda row: int(row.id))
    if not stale:
        return 0
    await tx.execute(_NOT_DURING_REBUILD)
    causes: Causes = {}
    for row in stale:
        for set_code in catalogue.sets if row.set_code is None else (row.set_code,):
            for code in row.path.split("/")[:-1]:
                held = causes.setdefault(code, {}).setdefault(set_code, {})
                held[row.item_code] = row.cause or held.get(row.item_code, "")
    today = units.today()
    above = [unit_of(r) for r in await tx.execute(_ABOVE, {"codes": sorted(causes), "today": today})]
    changed = 0
    for level in ("commune", "district", "province"):
        layer = [unit for unit in above if unit.level == level]
        if layer:
            changed += await _Layer(prepared(catalogue), level, layer, causes, today).write(tx)
    return changed


async def mark_stale(tx: AsyncSession, path: str) -> None:
    """Ask for the units above `path` to be rolled up again."""
    await tx.execute(sa.text("INSERT INTO stale (path) VALUES (:path)"), {"path": path})


@dataclass
class _Layer:
    """Units of one level below whom something may have changed; `causes` says what, and because of what."""

    ready: Prepared
    level: str
    units: Sequence[Unit]
    causes: Causes
    today: date

    async def write(self, tx: AsyncSession) -> int:
        """Roll every set of a lower level up, then judge the sets of this level that look at it."""
        changed: list[Changed] = []
        summaries: dict[tuple[str, str], Summary] = {}
        judged = self.level != "commune"
        # Communes are judged where their villages are; only their roll-ups are written here, which nobody else writes.
        state = await evaluation.load(tx, map(unit_key, self.units), self.ready.catalogue) if judged else None
        for criteria in self.ready.catalogue.sets.values():
            if LEVELS.index(criteria.level) <= LEVELS.index(self.level):
                continue
            wanted = [u for u in self.units if criteria.code in self.causes[u.code] and criteria.area.touches(u.path)]
            if wanted:
                await self._add_up(tx, criteria, wanted, changed, summaries)
        await evaluation.write(tx, changed, summaries, now(), rolled=True)
        return len(changed) + (await self._judge(tx, state, changed) if state is not None else 0)

    async def _add_up(
        self,
        tx: AsyncSession,
        criteria: c.CriteriaSet,
        wanted: Sequence[Unit],
        changed: list[Changed],
        summaries: dict[tuple[str, str], Summary],
    ) -> None:
        keys = {unit.code: unit_key(unit) for unit in wanted}
        rows = [item.code for item in self.ready.catalogue.rows_of(criteria.code)]
        told = {unit.code: self.causes[unit.code][criteria.code] for unit in wanted}
        pairs = [(unit, row) for unit in wanted for row in rows if row in told[unit.code] or None in told[unit.code]]
        asked: dict[str, Any] = {
            "codes": list(keys),
            "level": criteria.level,
            "kinds": list(criteria.kinds),
            # Below a unit that lies in the area wholly there is nothing to leave out.
            "areas": [] if all(criteria.area.holds(unit.path) for unit in wanted) else criteria.area.patterns,
            "set_code": criteria.code,
            "today": self.today,
        }
        counted = {
            (r.code, r.item_code): (Ratio(r.numerator, r.denominator), r.unknown)
            for r in await tx.execute(
                _CHILDREN, {**asked, "codes": [unit.code for unit, _ in pairs], "items": [row for _, row in pairs]}
            )
        }
        sheets = {r.code: (r.met, r.total) for r in await tx.execute(_SHEETS_BELOW, asked)}
        held = {
            (r.unit, r.item_code): Outcome(r.status, figure_of(r.flag, r.numerator, r.denominator), r.unknown)
            for r in await tx.execute(
                _ITEMS,
                {
                    "units": list(keys.values()),
                    "set_code": criteria.code,
                    "items": list(dict.fromkeys(row for _, row in pairs)),
                },
            )
        }
        for unit in wanted:
            met, total = sheets.get(unit.code, (0, 0))
            summaries[keys[unit.code], criteria.code] = Summary("measured" if total else "no_data", met, total)
        for unit, code in pairs:
            ratio, unknown = counted.get((unit.code, code), (Ratio(0, 0), 0))
            outcome = rolled_up(ratio, sheets.get(unit.code, (0, 0))[1], unknown)
            before = held.get((keys[unit.code], code), NOTHING)
            if outcome != before:
                cause = told[unit.code].get(code) or told[unit.code].get(None, "")
                quiet = outcome[:2] == before[:2]
                changed.append(
                    Changed(keys[unit.code], unit, criteria.code, code, before.status, outcome, cause, quiet)
                )

    async def _judge(self, tx: AsyncSession, state: State, rolled: Sequence[Changed]) -> int:
        judge = Judge(state, self.ready, self.today, await evaluation.suspended_on(tx, self.today))
        for one in rolled:
            known = state.units[one.key]
            known.items[one.set_code, one.item_code] = one.outcome
            judge.touch(known, input_of((one.set_code, one.item_code)), one.cause)
        for unit in self.units:
            for set_code, told in self.causes[unit.code].items():
                if self.ready.level[set_code] == self.level:
                    cause = max(told.values())
                    for item in self.ready.catalogue.rows_of(set_code):
                        judge.ask(state.units[unit_key(unit)], (set_code, item.code), cause)
        await evaluation.see_below(tx, judge)
        judge.run()
        await evaluation.write(tx, judge.changed, judge.summaries(), now())
        return len(judge.changed)


def rolled_up(ratio: Ratio, total: int, unknown: int = 0) -> Outcome:
    """The outcome of an item above its own level: how many meet it, of those it applies to.

    No source asks a commune, district or province for a share of its villages by itself, so the share is measured, not
    judged.
    """
    if total == 0:
        return Outcome("no_data", None)
    return Outcome("measured" if ratio.denominator else "not_applicable", ratio, unknown)
