"""Owns what was refused of what partners report: by whom, why, how often, and the last examples.

What comes over gRPC is counted per day, source, reason and province, so that a partner who sends the same mistake a
million times adds nothing but to a number. What comes as events lies among the dead letters, where it can be replayed,
and is counted there. Neither keeps what was observed of whom: only ids, units and measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import now
from chassis.units import VIETNAM
from services.indicators.calculation.model import columns
from services.indicators.sources.intake import REASONS, Observed, Rejection
from services.indicators.sources.observing import TYPE

DAYS = 30
"""How far back one looks unless one asks for other days."""
KEPT_DAYS = 92
"""How long the counts are kept, and so the furthest one can look back."""
EXAMPLES = 5
"""Examples kept of one line."""
MOST_LETTERS = 20_000
"""Newest refused events that are counted; beyond that a count says that there are more."""
UNREADABLE = "unreadable"
"""The reason of an event that is no observation at all."""

_PROVINCES = sa.text("""
    SELECT DISTINCT code, split_part(path, '/', 1) AS province FROM unit WHERE code = ANY(CAST(:codes AS text[]))
""")
_NOTE = sa.text(f"""
    INSERT INTO rejection AS held (day, source, reason, province, count, examples, last_at)
    SELECT :day, :source, n.reason, n.province, n.count, CAST(n.examples AS jsonb), :at
    FROM unnest(CAST(:reason AS text[]), CAST(:province AS text[]), CAST(:count AS bigint[]),
        CAST(:examples AS text[])) AS n (reason, province, count, examples)
    ORDER BY n.reason, n.province
    ON CONFLICT (day, source, reason, province) DO UPDATE SET
        count = held.count + excluded.count, last_at = excluded.last_at,
        examples = (
            SELECT jsonb_agg(one ORDER BY place)
            FROM jsonb_array_elements(excluded.examples || held.examples) WITH ORDINALITY AS all_of_them (one, place)
            WHERE place <= {EXAMPLES}
        )
""")
_FORGET = sa.text("DELETE FROM rejection WHERE day <= :until")
_COUNTED = sa.text("""
    SELECT source, reason, sum(count)::bigint AS times, max(last_at) AS last_at,
        (array_agg(examples ORDER BY last_at DESC))[1] AS examples
    FROM rejection
    WHERE day > :first AND (CAST(:source AS text) IS NULL OR source = :source)
      AND (CAST(:province AS text) IS NULL OR province IN (:province, ''))
    GROUP BY source, reason ORDER BY source, reason
""")
_LETTERS = sa.text(f"""
    SELECT source, reason, count(*) AS times, max(dead_at) AS last_at,
        (array_agg(example ORDER BY dead_at DESC))[1:{EXAMPLES}] AS examples
    FROM (
        SELECT regexp_replace(coalesce(d.headers->>'ce_source', ''), '^/xaso/', '') AS source,
            CASE WHEN d.reason LIKE 'refused: %' THEN substr(d.reason, 10) ELSE '{UNREADABLE}' END AS reason,
            d.dead_at,
            json_build_object('id', d.headers->>'ce_id', 'unit', d.unit, 'at', d.dead_at)::text AS example
        FROM dead_letter d
        WHERE d.type = :type AND d.replayed_at IS NULL AND d.dead_at >= :since
          AND (CAST(:province AS text) IS NULL
            OR NOT EXISTS (SELECT FROM unit u WHERE u.code = d.unit)
            OR EXISTS (SELECT FROM unit u WHERE u.code = d.unit AND split_part(u.path, '/', 1) = :province))
        ORDER BY d.dead_at DESC LIMIT :most
    ) AS newest
    GROUP BY source, reason ORDER BY source, reason
""")


@dataclass(frozen=True, slots=True)
class Example:
    """One observation that was refused, as far as it may be told: nothing of the thing observed."""

    id: str
    unit: str
    measure: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """How often observations of one source were refused for one reason; `way` is how they came.

    `more` says that there are more than `count`.
    """

    way: Literal["grpc", "stream"]
    source: str
    reason: str
    count: int
    last_at: datetime
    examples: tuple[Example, ...] = field(default=())
    more: bool = False

    @property
    def place(self) -> tuple[str, str, str]:
        """What lines are sorted by."""
        return self.source, self.reason, self.way

    @property
    def words(self) -> str:
        """The reason in Vietnamese."""
        return REASONS[self.reason][1] if self.reason in REASONS else "Bản ghi không đọc được."


def _plain(text: str, most: int) -> str:
    """A text of a stranger, fit for a table and a page."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:most])


async def note(tx: AsyncSession, source: str, batch: Sequence[Observed], refused: Sequence[Rejection]) -> None:
    """Count what was refused of a batch of `source`, within the transaction that takes in the rest."""
    if not refused:
        return
    at = now()
    codes = sorted({_plain(batch[one.at].unit, 40) for one in refused})
    provinces = {row.code: row.province for row in await tx.execute(_PROVINCES, {"codes": codes})}
    found: dict[tuple[str, str], list[Rejection]] = {}
    for one in refused:
        found.setdefault((one.reason, provinces.get(_plain(batch[one.at].unit, 40), "")), []).append(one)
    rows = [
        {
            "reason": reason,
            "province": province,
            "count": len(ones),
            "examples": orjson.dumps([_example(batch[one.at], at) for one in reversed(ones[-EXAMPLES:])]).decode(),
        }
        for (reason, province), ones in found.items()
    ]
    await tx.execute(_NOTE, {**columns(rows), "day": at.astimezone(VIETNAM).date(), "source": source, "at": at})


def _example(observed: Observed, at: datetime) -> dict[str, str]:
    return {
        "id": _plain(observed.id, 64),
        "unit": _plain(observed.unit, 40),
        "measure": _plain(observed.measure or observed.attribute, 80),
        "at": at.isoformat(),
    }


async def forget(tx: AsyncSession, today: date) -> None:
    """Drop the counts that are too old to be asked for."""
    await tx.execute(_FORGET, {"until": today - timedelta(days=KEPT_DAYS)})


async def lines(
    tx: AsyncSession, today: date, *, days: int = DAYS, province: str | None = None, source: str | None = None
) -> list[Line]:
    """What was refused in the last days, by source and reason.

    With `province` what was about its units or about none that is known; with `source` what that client sent by gRPC.
    """
    first = today - timedelta(days=days)
    asked = {"first": first, "province": province, "source": source}
    found = [_line("grpc", row, row.examples) for row in await tx.execute(_COUNTED, asked)]
    if source is None:
        since = datetime(first.year, first.month, first.day, tzinfo=VIETNAM) + timedelta(days=1)
        letters = {"type": TYPE, "since": since, "province": province, "most": MOST_LETTERS}
        rows = (await tx.execute(_LETTERS, letters)).all()
        more = sum(row.times for row in rows) >= MOST_LETTERS
        found += [_line("stream", row, [orjson.loads(one) for one in row.examples], more=more) for row in rows]
    return sorted(found, key=lambda line: line.place)


def _line(way: Literal["grpc", "stream"], row: Any, examples: Sequence[dict[str, Any]], *, more: bool = False) -> Line:
    told = tuple(
        Example(
            _plain(str(one["id"] or ""), 64),
            _plain(str(one["unit"] or ""), 40),
            str(one.get("measure", "")),
            datetime.fromisoformat(one["at"]),
        )
        for one in examples
    )
    return Line(way, _plain(row.source, 100), row.reason, row.times, row.last_at, told, more)
