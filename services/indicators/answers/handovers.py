"""Owns where a figure of a former unit has it from: carried over by rule or settled by people, by which document.

What `reorganisation` writes names the reorganisation and the former units in its cause, or the settlement. Here that is
told in words people know: names of units, the legal basis, the document that confirmed it, when, and by whom (an id
that says nothing to who may not look persons up).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from services.indicators.calculation.model import code_of

CARRIED, SETTLED = "succession:", "settlement:"
"""How the causes of figures begin that were carried over by rule, and of those that people accepted."""

_BASES = sa.text("""
    SELECT s.change_set, s.predecessor, min(s.legal_basis) AS legal_basis FROM succession s
    JOIN unnest(CAST(:change_set AS text[]), CAST(:key AS text[])) AS n (change_set, key)
      ON s.change_set = n.change_set AND s.predecessor = n.key
    GROUP BY s.change_set, s.predecessor
""")
_SETTLED = sa.text("""
    SELECT s.id::text AS id, s.document, s.decided_by, s.decided_at,
        ARRAY(SELECT p ->> 'unit' FROM jsonb_array_elements(s.parts) AS p WHERE p -> 'given' <> 'null') AS former
    FROM settlement s WHERE s.id = ANY(CAST(:ids AS uuid[]))
""")
_NAMES = sa.text("""
    SELECT u.code, u.valid_from, u.name FROM unit u
    JOIN unnest(CAST(:code AS text[]), CAST(:since AS date[])) AS n (code, since)
      ON u.code = n.code AND u.valid_from = n.since
""")


@dataclass(frozen=True, slots=True)
class Handover:
    """Where a figure of a former unit has it from: names of the former units, and the document it went over by.

    Of one that people accepted, `document` is what confirmed it; `settled_by` is who (`person.<subject>`), with when.
    """

    former: tuple[str, ...]
    document: str
    settled_by: str = ""
    settled_at: datetime | None = None


async def handovers(tx: AsyncSession, causes: Collection[str]) -> dict[str, Handover]:
    """How figures of former units came over, by cause; other causes are left out."""
    carried = {cause: _parsed(cause) for cause in causes if cause.startswith(CARRIED)}
    settled = await _settled(tx, [cause for cause in causes if cause.startswith(SETTLED)])
    if not carried and not settled:
        return {}
    former = {cause: keys for cause, (_, keys) in carried.items()} | {c: tuple(r.former) for c, r in settled.items()}
    names = await _names(tx, {key for keys in former.values() for key in keys})
    bases = await _bases(tx, {(name, key) for name, keys in carried.values() for key in keys})
    found = {}
    for cause, keys in former.items():
        called = tuple(names.get(key, code_of(key)) for key in keys)
        if cause in settled:
            row = settled[cause]
            found[cause] = Handover(called, row.document, f"person.{row.decided_by}", row.decided_at)
        else:
            told = dict.fromkeys(bases.get((carried[cause][0], key), "") for key in keys)
            found[cause] = Handover(called, "; ".join(filter(None, told)))
    return found


def _parsed(cause: str) -> tuple[str, tuple[str, ...]]:
    """The reorganisation and the keys of the former units that a cause names."""
    change_set, _, keys = cause.removeprefix(CARRIED).rpartition("/")
    return change_set, tuple(key for key in keys.split("+") if key)


async def _settled(tx: AsyncSession, causes: Collection[str]) -> dict[str, Any]:
    if not causes:
        return {}
    ids = sorted({cause.removeprefix(SETTLED) for cause in causes})
    return {f"{SETTLED}{row.id}": row for row in await tx.execute(_SETTLED, {"ids": ids})}


async def _bases(tx: AsyncSession, asked: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    if not asked:
        return {}
    pairs = sorted(asked)
    values = {"change_set": [name for name, _ in pairs], "key": [key for _, key in pairs]}
    return {(row.change_set, row.predecessor): row.legal_basis for row in await tx.execute(_BASES, values)}


async def _names(tx: AsyncSession, keys: Collection[str]) -> dict[str, str]:
    if not keys:
        return {}
    split = [key.rpartition("@") for key in sorted(keys)]
    values = {"code": [code for code, _, _ in split], "since": [date.fromisoformat(since) for _, _, since in split]}
    return {f"{row.code}@{row.valid_from}": row.name for row in await tx.execute(_NAMES, values)}
