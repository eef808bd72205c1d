"""Owns what a rebuild from the stream found: how the live tables differ from the shadow, and how that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

SHOWN = 20
"""Differences of each kind that are shown on the terminal; the file of the report has all."""

_FACTS = sa.text("""
    SELECT d.kind, d.attribute, d.entity, d.source, d.held AS held_unit, d."right" AS right_unit,
        concat_ws('/', p.state, p.numerator, p.denominator) AS held_value,
        concat_ws('/', s.state, s.numerator, s.denominator) AS right_value, s.cause
    FROM shadow.differing d LEFT JOIN public.fact p USING (attribute, entity, source)
    LEFT JOIN shadow.fact s USING (attribute, entity, source) ORDER BY d.attribute, d.entity, d.source
""")
_LINES = sa.text("""
    SELECT kind, attribute, entity, source, sequence, cause FROM shadow.line
    ORDER BY kind, attribute, entity, source, sequence, cause
""")
_HEAPS = sa.text("""
    SELECT unit, attribute, source, origin, year, state, coalesce(p.count, 0) AS held, coalesce(s.count, 0) AS "right"
    FROM (SELECT * FROM public.tally WHERE count <> 0) AS p
    FULL JOIN (SELECT * FROM shadow.tally WHERE count <> 0) AS s
        USING (unit, attribute, source, origin, year, state)
    WHERE p.count IS DISTINCT FROM s.count ORDER BY 1, 2, 3, 4, 5, 6
""")
_ITEMS = sa.text("""
    SELECT unit, set_code, item_code, b.status AS held, s.status AS "right",
        coalesce(b.flag::text, concat_ws('/', b.numerator, b.denominator)) AS held_value,
        coalesce(s.flag::text, concat_ws('/', s.numerator, s.denominator)) AS right_value
    FROM shadow.item_before b FULL JOIN shadow.item s USING (unit, set_code, item_code)
    WHERE (b.status, b.flag, b.numerator, b.denominator, b.unknown)
        IS DISTINCT FROM (s.status, s.flag, s.numerator, s.denominator, s.unknown)
    ORDER BY 1, 2, 3
""")
# A roll-up writes a sheet of nothing where there was none, which says the same.
_SHEETS = sa.text("""
    SELECT unit, set_code, b.status AS held, b.met AS held_met, b.total AS held_total,
        s.status AS "right", s.met AS right_met, s.total AS right_total
    FROM shadow.sheet_before b FULL JOIN shadow.sheet s USING (unit, set_code)
    WHERE (b.status, b.met, b.total) IS DISTINCT FROM (s.status, s.met, s.total)
      AND NOT (b.unit IS NULL AND s.total = 0)
    ORDER BY 1, 2
""")
_SOURCES = sa.text("""
    SELECT split_part(w.cause, ':', 1) AS kind, count(*) AS words FROM shadow.word w
    WHERE NOT w.streamed AND NOT EXISTS (SELECT FROM shadow.seen s WHERE s.cause = w.cause)
    GROUP BY 1 ORDER BY 1
""")
_COUNTS = sa.text("""
    SELECT (SELECT count(*) FROM shadow.word WHERE streamed) AS words, (SELECT count(*) FROM shadow.fact) AS facts
""")


@dataclass
class Found:
    """What was compared, what differs, and what became of it. Rows are as the queries above name their columns."""

    ranges: Sequence[str] = ()
    records: int = 0
    events: int = 0
    unreadable: int = 0
    set_aside: int = 0
    words: int = 0
    remembered: dict[str, int] = field(default_factory=dict)
    """What was taken from the live history, by where it came from (type of event, observation, document …)."""
    facts: int = 0
    differing_facts: list[dict[str, Any]] = field(default_factory=list)
    differing_lines: list[dict[str, Any]] = field(default_factory=list)
    differing_heaps: list[dict[str, Any]] = field(default_factory=list)
    differing_items: list[dict[str, Any]] = field(default_factory=list)
    differing_sheets: list[dict[str, Any]] = field(default_factory=list)
    switched: bool = False
    groups: int = 0
    held_seconds: float = 0.0

    @property
    def differs(self) -> bool:
        return any(getattr(self, f"differing_{kind}") for kind in KINDS)

    def units(self) -> set[str]:
        """The keys of the units something of which differs."""
        named = [one[side] for one in self.differing_facts for side in ("held_unit", "right_unit")]
        named += [one["unit"] for kind in ("heaps", "items", "sheets") for one in getattr(self, f"differing_{kind}")]
        return {key for key in named if key is not None}

    def json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """For the terminal."""
        told = [f"stream: {line}" for line in self.ranges]
        told.append(
            f"records read: {self.records}; events of ours: {self.events}; "
            f"set aside before: {self.set_aside}; unreadable: {self.unreadable}"
        )
        kept = "; ".join(f"{kind}: {count}" for kind, count in self.remembered.items()) or "none"
        told.append(f"words of the stream: {self.words}; words of the history alone: {kept}")
        counts = "; ".join(f"{kind}: {len(getattr(self, f'differing_{kind}'))}" for kind in KINDS)
        told.append(f"facts compared: {self.facts}; differing {counts}")
        for kind in KINDS:
            rows = getattr(self, f"differing_{kind}")
            told += [f"  {kind}: {_shown(row)}" for row in rows[:SHOWN]]
            if len(rows) > SHOWN:
                told.append(f"  {kind}: … and {len(rows) - SHOWN} more")
        if self.switched:
            told.append(f"switched over: {self.groups} groups, writers waited {self.held_seconds:.2f} s")
        return told


KINDS = ("facts", "lines", "heaps", "items", "sheets")


def _shown(row: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in row.items() if value not in (None, ""))


async def read(tx: AsyncSession, found: Found) -> None:
    """Everything the shadow says otherwise than the live tables that `tx` sees."""
    counts = (await tx.execute(_COUNTS)).one()
    found.words, found.facts = counts.words, counts.facts
    found.remembered = {row.kind: row.words for row in await tx.execute(_SOURCES)}
    for kind, query in zip(KINDS, (_FACTS, _LINES, _HEAPS, _ITEMS, _SHEETS), strict=True):
        setattr(found, f"differing_{kind}", [dict(row._mapping) for row in await tx.execute(query)])
