"""Owns the undo of an import: every fact it set says again what held before, unless something newer replaced it.

A fact of an import carries the import's id in its cause. What held before is the newest word of the same source that is
neither of this import nor of one that was undone already; it is said again one step behind the import's own, so that
whatever was said after the import stays. Where nothing held before, the fact is withdrawn. The cause of what is said
again is `undo:<import>|<cause>`, so that the document or observation behind it can still be found.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit
from chassis.auth import Principal
from chassis.db import now
from services.indicators.calculation import ledger
from services.indicators.calculation.engine import Fact
from services.indicators.calculation.model import code_of, columns, fact_of
from services.indicators.criteria import catalogue as c
from services.indicators.interchange import importing
from services.indicators.interchange.importing import AT_ONCE, Entry, Import, ImportDone
from services.indicators.interchange.underway import Tell
from services.indicators.sources.evidence import root

_CURRENT = """
    SELECT f.* FROM {table} f
    JOIN unnest(CAST(:attribute AS text[]), CAST(:entity AS text[])) AS k (attribute, entity)
      ON f.attribute = k.attribute AND f.entity = k.entity
    WHERE f.origin = 'staff'
"""
_FACTS = sa.text(_CURRENT.format(table="fact"))
_HISTORY = sa.text(_CURRENT.format(table="fact_history") + " ORDER BY f.sequence DESC, f.cause DESC")
_UNDONE = sa.text("SELECT id FROM import WHERE state = 'undone' AND id = ANY(CAST(:ids AS uuid[]))")
_KEEP = sa.text("""
    INSERT INTO import_kept (import, number, cell, unit, measure, period, cause, observed_at)
    SELECT :import, * FROM unnest(CAST(:number AS integer[]), CAST(:cell AS text[]), CAST(:unit AS text[]),
        CAST(:measure AS text[]), CAST(:period AS text[]), CAST(:cause AS text[]), CAST(:observed_at AS timestamptz[]))
""")
_DONE = sa.text("""
    UPDATE import SET state = 'undone', actor = NULL, restored = :restored, kept = :kept, undone_by = :by,
        undone_at = :at WHERE id = :id
""")
_LEFT = sa.text("SELECT * FROM import_kept WHERE import = :id AND number > :after ORDER BY number LIMIT :most")


def import_of(cause: str) -> uuid.UUID | None:
    """The import a fact comes from, by its cause; None for any other fact."""
    head, _, rest = root(cause).partition("/")
    text, _, cell = rest.partition("/")
    if not head.startswith("document:") or not cell:
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


async def request(tx: AsyncSession, me: Principal, import_id: uuid.UUID, catalogue: c.Catalogue) -> str:
    """Undo an import, or leave a large one to the background; returns the state: undone or undoing."""
    one = await importing.get(tx, me, import_id)
    if one.state != "applied":
        raise ImportDone
    await importing.lock(tx, import_id, "applied")
    if one.accepted > AT_ONCE:
        await importing.enqueue(tx, me, one, "undoing", one.mode)
        return "undoing"
    await undo(tx, me, one, catalogue)
    return "undone"


async def undo(
    tx: AsyncSession, me: Principal, one: Import, catalogue: c.Catalogue, progress: Tell | None = None
) -> None:
    """Take back what an import set, within `tx`."""
    restored, kept, done = 0, 0, 0
    async for entries in importing.entries(tx, one.id):
        back, left = await _plan(tx, one, entries)
        await ledger.record(tx, back, catalogue)
        if left:
            await tx.execute(
                _KEEP, {**columns([{**row, "number": kept + n} for n, row in enumerate(left, 1)]), "import": one.id}
            )
        restored, kept, done = restored + len(back), kept + len(left), done + len(entries)
        if progress is not None:
            await progress(done, one.valid)
    await tx.execute(_DONE, {"id": one.id, "restored": restored, "kept": kept, "by": me.subject, "at": now()})
    detail = {"set": one.set_code, "restored": restored, "kept": kept}
    await audit.record(tx, me, "indicators.import.undone", target=str(one.id), unit=one.unit, detail=detail)


@dataclass(frozen=True, slots=True)
class _Held:
    """One fact an import set: the entry, what holds now, and everything the source ever said."""

    entry: Entry
    current: Fact
    history: Sequence[Fact]


async def _plan(tx: AsyncSession, one: Import, entries: Sequence[Entry]) -> tuple[list[Fact], list[dict[str, Any]]]:
    """The facts that say again what held before, and what is left since something newer holds."""
    found = await _held(tx, one, entries)
    others = {made for held in found for fact in held.history if (made := import_of(fact.cause)) is not None}
    undone = set((await tx.execute(_UNDONE, {"ids": sorted(others)})).scalars()) | {one.id}
    back: list[Fact] = []
    left: list[dict[str, Any]] = []
    for held in found:
        if import_of(held.current.cause) == one.id:
            back.append(_before(held, one, undone))
        else:
            left.append(
                {
                    "cell": held.entry.cell,
                    "unit": held.entry.unit,
                    "measure": held.entry.measure,
                    "period": held.entry.period,
                    "cause": held.current.cause,
                    "observed_at": held.current.observed_at,
                }
            )
    return back, left


async def _held(tx: AsyncSession, one: Import, entries: Sequence[Entry]) -> list[_Held]:
    keys = [{"attribute": entry.measure, "entity": f"{entry.unit}/{entry.period}"} for entry in entries]
    asked = columns(keys)
    current = {fact.key: fact for fact in map(fact_of, await tx.execute(_FACTS, asked))}
    history: dict[tuple[str, str], list[Fact]] = {}
    for fact in map(fact_of, await tx.execute(_HISTORY, asked)):
        history.setdefault((fact.attribute, fact.entity), []).append(fact)
    found = []
    for entry in entries:
        said = history.get((entry.measure, f"{entry.unit}/{entry.period}"), [])
        own = next((fact for fact in said if fact.cause.endswith(f"/{one.id}/{entry.cell}")), None)
        holds = current.get(own.key) if own is not None else None
        # A value left out when the import was applied has set nothing.
        if own is not None and holds is not None:
            found.append(_Held(entry, holds, [fact for fact in said if fact.source == own.source]))
    return found


def _before(held: _Held, one: Import, undone: set[uuid.UUID]) -> Fact:
    """What held before, said again behind the import's own word; a withdrawal where nothing did."""
    current = held.current
    unit, step = code_of(current.unit), current.sequence + 1
    for fact in held.history:
        if fact.order < current.order and import_of(fact.cause) not in undone:
            cause = f"undo:{one.id}|{root(fact.cause)}"
            return replace(fact, unit=unit, sequence=step, cause=cause)
    return replace(current, unit=unit, value=None, withdrawn=True, sequence=step, cause=f"undo:{one.id}|")


async def left(tx: AsyncSession, import_id: uuid.UUID, *, limit: int, after: int = 0) -> list[Any]:
    """What an undo left as it was, in the order of the file; up to `limit` + 1."""
    return list((await tx.execute(_LEFT, {"id": import_id, "after": after, "most": limit + 1})).all())
