"""Owns the answer to "why": from an item down to its measures, sources, facts, and the events or documents of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from services.indicators import criteria as c
from services.indicators import engine, evaluation, queries
from services.indicators.engine import Fact, Reading
from services.indicators.model import fact_of, unit_key
from services.indicators.queries import Line, Row, Sheet

_FACTS = sa.text("""
    SELECT * FROM fact
    WHERE unit = :unit AND attribute = ANY(CAST(:inputs AS text[]))
      AND (attribute, entity, source) > (:attribute, :entity, :source)
    ORDER BY attribute, entity, source LIMIT :most
""")
_OBSERVATIONS = sa.text("""
    SELECT o.client || '/' || o.id AS name, o.source, o.evidence FROM observation o
    JOIN unnest(CAST(:client AS text[]), CAST(:id AS text[])) AS n (client, id) USING (client, id)
""")
_SUSPENSIONS = sa.text("""
    SELECT id, unit, reason, document, starts_on, ends_on FROM suspension
    WHERE set_code = :set_code AND item_code = :item_code AND lifted_at IS NULL
      AND starts_on <= :today AND (ends_on IS NULL OR ends_on > :today)
      AND (path = :path OR :path LIKE path || '/%')
    ORDER BY starts_on, id
""")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact and where it comes from. `kind` is event, observation or document; `type` the event's name."""

    fact: Fact
    recorded_at: datetime
    kind: str
    type: str
    id: str
    note: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything an item of a unit rests on; above the set's level, the children instead of facts."""

    sheet: Sheet
    row: Row
    readings: tuple[Reading, ...]
    evidence: tuple[Evidence, ...]
    next: tuple[str, str, str] | None
    suspensions: tuple[Any, ...]
    children: tuple[Line, ...]
    next_child: str | None


async def explain(
    tx: AsyncSession,
    sheet: Sheet,
    item: c.Item,
    catalogue: c.Catalogue,
    *,
    limit: int,
    after: tuple[str, str, str] | None = None,
    after_child: str | None = None,
) -> Explanation:
    """Why the item stands as it does; facts (or children) in pages of `limit`."""
    row = next(row for row in sheet.rows if row.item.code == item.code)
    asked = {
        "set_code": sheet.criteria.code,
        "item_code": item.code,
        "today": units.today(),
        "path": sheet.unit.path,
    }
    suspensions = tuple((await tx.execute(_SUSPENSIONS, asked)).all())
    if sheet.rolled_up:
        lines = await queries.children(tx, sheet.unit, sheet.criteria, limit=limit, after=after_child)
        last = lines[limit - 1].unit.code if len(lines) > limit else None
        return Explanation(sheet, row, (), (), None, suspensions, tuple(lines[:limit]), last)
    readings = await _readings(tx, sheet, item, catalogue)
    evidence, following = await _evidence(tx, sheet, catalogue.inputs_of(item), limit, after)
    return Explanation(sheet, row, readings, tuple(evidence), following, suspensions, (), None)


async def _readings(tx: AsyncSession, sheet: Sheet, item: c.Item, catalogue: c.Catalogue) -> tuple[Reading, ...]:
    key = unit_key(sheet.unit)
    known = await evaluation.gather(tx, [key], {(sheet.criteria.code, item.code)}, catalogue)
    heaps, reported = known.heaps.get(key, {}), known.reported.get(key, [])
    today = units.today()
    return tuple(engine.read(catalogue.measures[code], heaps, reported, today) for code in item.measures)


async def _evidence(
    tx: AsyncSession, sheet: Sheet, inputs: set[str], limit: int, after: tuple[str, str, str] | None
) -> tuple[list[Evidence], tuple[str, str, str] | None]:
    attribute, entity, source = after or ("", "", "")
    asked = {
        "unit": unit_key(sheet.unit),
        "inputs": sorted(inputs),
        "attribute": attribute,
        "entity": entity,
        "source": source,
        "most": limit + 1,
    }
    rows = (await tx.execute(_FACTS, asked)).all()
    notes = await _notes(tx, rows[:limit])
    found = []
    for row in rows[:limit]:
        kind, _, name = row.cause.partition(":")
        if kind in ("observation", "document"):
            found.append(Evidence(fact_of(row), row.recorded_at, kind, kind, name, notes.get(name, "")))
        else:
            found.append(Evidence(fact_of(row), row.recorded_at, "event", kind, name, ""))
    last = found[-1].fact if len(rows) > limit and found else None
    return found, (last.attribute, last.entity, last.source) if last else None


async def _notes(tx: AsyncSession, rows: Sequence[Any]) -> dict[str, str]:
    """What observations and documents say of their origin, by client/id."""
    names = [row.cause.partition(":")[2] for row in rows if row.cause.startswith(("observation:", "document:"))]
    if not names:
        return {}
    split = [name.partition("/") for name in names]
    found = await tx.execute(_OBSERVATIONS, {"client": [s[0] for s in split], "id": [s[2] for s in split]})
    return {row.name: " · ".join(part for part in (row.source, row.evidence) if part) for row in found}
