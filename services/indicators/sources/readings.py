"""Owns that other systems read a commune's data: who, in which month, told as a fact once the reading is over.

The path of a reading stays as it was: noting one is a look into a dictionary, the database hears of it from a
background task. What a process noted and had not told yet when it stops is noted again at the next reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import VIEWERS, Principal, covers
from chassis.db import now
from chassis.units import VIETNAM, today
from services.indicators.calculation import ledger
from services.indicators.calculation.engine import Fact
from services.indicators.criteria import catalogue as c

ATTRIBUTE = "centre.reading"
SOURCE = "indicators"
MOST = 20_000
"""Readings of one month that a process remembers; more clients and units than that are told by other processes."""

_COMMUNES = sa.text("""
    SELECT code, path FROM unit WHERE code = ANY(CAST(:codes AS text[])) AND level = 'commune'
      AND valid_from <= :today AND (valid_to IS NULL OR valid_to > :today)
""")

_STANDING = sa.text("""
    SELECT code FROM unit WHERE code = ANY(CAST(:codes AS text[]))
      AND valid_from <= :day AND (valid_to IS NULL OR valid_to > greatest(:day, :today))
""")

Key = tuple[str, str, tuple[str, ...]]
"""The client that read, the code of what it read, and where it watches over units: that may change within a month."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A program read data of a unit for the first time in a month. `paths`: the units its authority watches over."""

    client: str
    unit: str
    month: str
    at: datetime
    paths: tuple[str, ...]


class Readings:
    """What programs read in this process, each client and unit once a month."""

    def __init__(self) -> None:
        self._month = ""
        self._known: set[Key] = set()
        self._waiting: list[Reading] = []

    def note(self, me: Principal | None, units: Iterable[str]) -> None:
        """Remember that `me` was given figures of these units of today, where it is a program of an authority.

        Such a program holds a role of those who watch over units (see `chassis.auth.VIEWERS`); a company that reports
        figures holds the role partner, and its reading shares nothing with an authority.
        """
        if me is None or me.kind != "partner" or me.client_id is None:
            return
        paths = tuple(grant.path for grant in me.grants if grant.role in VIEWERS)
        if not paths:
            return
        at = now()
        month = at.astimezone(VIETNAM).strftime("%Y-%m")
        if month != self._month:
            self._month, self._known = month, set()
        for unit in units:
            key = (me.client_id, unit, paths)
            if key not in self._known and len(self._known) < MOST:
                self._known.add(key)
                self._waiting.append(Reading(me.client_id, unit, month, at, paths))

    def take(self) -> list[Reading]:
        """What nobody was told yet; whoever takes it tells it, or gives it back."""
        taken, self._waiting = self._waiting, []
        return taken

    def give_back(self, readings: Sequence[Reading]) -> None:
        self._waiting[:0] = readings


def stands(valid_to: date | None) -> bool:
    """Whether a unit is there today; the code of one that is not may be that of another one by now."""
    return valid_to is None or valid_to > today()


async def standing(tx: AsyncSession, codes: Collection[str], day: date) -> list[str]:
    """Those of the codes which name the same unit today as on `day`."""
    asked = {"codes": sorted(codes), "day": day, "today": today()}
    return list(await tx.scalars(_STANDING, asked))


async def tell(tx: AsyncSession, readings: Sequence[Reading], catalogue: c.Catalogue) -> int:
    """Put the readings of communes as facts; returns how many were news. Telling one twice has effect once.

    A commune shares nothing with a system that watches over it, or a part of it, alone: that is its own.
    """
    asked = {"codes": sorted({one.unit for one in readings}), "today": today()}
    communes = {row.code: row.path for row in await tx.execute(_COMMUNES, asked)}
    facts = [
        _fact(one)
        for one in readings
        if one.unit in communes and not all(covers(communes[one.unit], path) for path in one.paths)
    ]
    return await ledger.record(tx, facts, catalogue)


def _fact(one: Reading) -> Fact:
    return Fact(
        ATTRIBUTE,
        f"{one.unit}/{one.client}@{one.month}",
        SOURCE,
        "event",
        one.unit,
        "read",
        # Another process that tells of the same month says the same: the first word stays.
        1,
        f"reading:{one.client}@{one.month}",
        one.at,
        one.month,
    )
