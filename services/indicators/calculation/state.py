"""Owns the working state of units in memory: what is known of each, loaded from the tables, kept right by a fence.

Units that are counted together (a commune and its villages; a district or a province by itself) are one *group*. The
table `epoch` counts the transactions that wrote a group: whoever writes takes the row of each of its groups first, in
one order, and adds one. A state that finds another number than the one it left behind drops the group and reads it
again. So a state may be kept for as long as one likes (the stream does), and be thrown away after one transaction
(everybody else), and two that meet follow each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.units import VIETNAM, Unit
from services.indicators.calculation.engine import Fact, FactKey, Outcome, TallyKey
from services.indicators.calculation.model import fact_of, figure_of, parked_key, unit_key
from services.indicators.calculation.prepared import Prepared
from services.indicators.criteria.catalogue import Pair

NOTHING = Outcome("no_data", None)

_GENERATIONS = sa.text("""
    SELECT code, name, level, kind, parent, path, valid_from, valid_to FROM unit
    WHERE code = ANY(CAST(:codes AS text[])) ORDER BY valid_from
""")
_GROUP = sa.text("""
    SELECT code, name, level, kind, parent, path, valid_from, valid_to FROM unit
    WHERE code = ANY(CAST(:codes AS text[]))
    UNION ALL
    SELECT code, name, level, kind, parent, path, valid_from, valid_to FROM unit
    WHERE level = 'village' AND parent = ANY(CAST(:codes AS text[]))
""")
# A unit that went over whole may have become one that went over whole later: the last of the chain is what counts.
_FOLLOWS = sa.text("""
    WITH RECURSIVE chain AS (
        SELECT predecessor AS key, successor, successor_group, effective_on, 1 AS n FROM succession
        WHERE followed AND predecessor = ANY(CAST(:keys AS text[]))
        UNION ALL
        SELECT c.key, s.successor, s.successor_group, c.effective_on, c.n + 1
        FROM chain c JOIN succession s ON s.predecessor = c.successor AND s.followed WHERE c.n < 20
    )
    SELECT DISTINCT ON (key) key, successor, successor_group, effective_on FROM chain ORDER BY key, n DESC
""")
# Everyone who writes statuses shares the first lock; a rebuild holds it alone.
_FENCE = sa.text("""
    WITH everyone AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(hashtextextended('indicators-statuses', 288)))
    INSERT INTO epoch AS e (commune, value)
    SELECT g, 1 FROM everyone, unnest(CAST(:groups AS text[])) AS g
    ON CONFLICT (commune) DO UPDATE SET value = e.value + 1
    RETURNING commune, value
""")
_ALONE = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('indicators-statuses', 288))")
_ALL_EPOCHS = sa.text("UPDATE epoch SET value = value + 1")
_TALLIES = sa.text("""
    SELECT unit, attribute, source, origin, year, state, count AS entities FROM tally
    WHERE unit = ANY(CAST(:units AS text[])) AND count <> 0
""")
_REPORTED = sa.text("""
    SELECT attribute, entity, source, origin, unit, period, state, numerator, denominator, withdrawn, sequence, cause,
        observed_at
    FROM fact
    WHERE unit = ANY(CAST(:units AS text[])) AND attribute = ANY(CAST(:whole AS text[])) AND NOT withdrawn
""")
_ITEMS = sa.text("""
    SELECT unit, set_code, item_code, status, flag, numerator, denominator, unknown FROM item
    WHERE unit = ANY(CAST(:units AS text[]))
""")


@dataclass(slots=True, eq=False)
class Known:
    """What is known of one unit: heaps by attribute, facts reported for it as a whole by code, outcomes of items."""

    key: str
    unit: Unit
    heaps: dict[str, dict[TallyKey, int]] = field(default_factory=dict)
    reported: dict[str, dict[FactKey, Fact]] = field(default_factory=dict)
    items: dict[Pair, Outcome] = field(default_factory=dict)


class Generation(NamedTuple):
    """One unit a code named: from its first day to the first day it no longer exists."""

    start: date
    key: str
    group: str
    end: date | None
    level: str


class Follow(NamedTuple):
    """The unit that another one became as a whole, and since when."""

    key: str
    group: str
    since: date


def group_of(unit: Unit) -> str:
    """The group a unit is counted in: its commune, or itself above the communes."""
    return unit.commune


@dataclass
class State:
    """The units loaded so far. Never touch it outside of the transaction that fenced its groups."""

    units: dict[str, Known] = field(default_factory=dict)
    """By unit key."""
    groups: dict[str, list[Known]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    _generations: dict[str, list[Generation]] = field(default_factory=dict)
    """Code to each unit it ever named, oldest first; [] for an unknown code, whose facts wait in their own group."""
    _places: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Of the codes that never named more than one unit: its key and its group."""
    _codes: dict[str, set[str]] = field(default_factory=dict)
    """Group to the codes whose generations were learnt with it."""
    _follows: dict[str, Follow] = field(default_factory=dict)
    """Key of a unit that went over whole to what it became; of learnt codes."""
    _below: dict[str, list[Known]] = field(default_factory=dict)
    """Code of a unit to the loaded units directly below it."""
    held: set[str] = field(default_factory=set)
    """Groups fenced by the transaction under way."""

    def drop(self, groups: Iterable[str]) -> None:
        """Forget groups: what is in memory of them may not be what is in the tables."""
        for group in groups:
            self.epochs.pop(group, None)
            for known in self.groups.pop(group, ()):
                self.units.pop(known.key, None)
                self._below[known.unit.parent].remove(known)
            for code in self._codes.pop(group, ()):
                self._places.pop(code, None)
                for one in self._generations.pop(code, ()):
                    self._follows.pop(one.key, None)

    def clear(self) -> None:
        """Forget everything."""
        everything: tuple[dict[str, Any], ...] = (self.units, self.groups, self.epochs, self._codes, self._below)
        everything += (self._generations, self._places, self._follows)
        for mapping in everything:
            mapping.clear()
        self.held.clear()

    async def learn(self, tx: AsyncSession, codes: Iterable[str]) -> None:
        """Know which units the codes name."""
        missing = sorted({code for code in codes if code not in self._generations})
        if not missing:
            return
        found: dict[str, list[Generation]] = {code: [] for code in missing}
        for row in await tx.execute(_GENERATIONS, {"codes": missing}):
            unit = unit_of(row)
            found[unit.code].append(
                Generation(unit.valid_from, unit_key(unit), group_of(unit), unit.valid_to, unit.level)
            )
        self._generations.update(found)
        for code, generations in found.items():
            if len(generations) < 2:
                parked = parked_key(code)
                self._places[code] = (generations[0].key, generations[0].group) if generations else (parked, parked)
        keys = [one.key for generations in found.values() for one in generations]
        for row in await tx.execute(_FOLLOWS, {"keys": keys}):
            self._follows[row.key] = Follow(row.successor, row.successor_group, row.effective_on)
        for code in found:
            for group in self.groups_of(code):
                self._codes.setdefault(group, set()).add(code)

    def place(self, code: str, at: datetime) -> tuple[str, str]:
        """The key of the unit a code names at an instant, and its group; the code must have been learnt.

        A code that identity has not described gets a parked key. An instant before the first description of a code
        means that first unit: a village was there before somebody entered it.
        """
        place = self._places.get(code)
        if place is not None:
            return place
        found = self.generation(code, at)
        if found is None:
            parked = parked_key(code)
            return parked, parked
        return found.key, found.group

    def home(self, code: str, at: datetime) -> tuple[str, str]:
        """As `place`, for what is known of a single thing: it stays where it is when its unit goes over whole."""
        place = self.place(code, at)
        follow = self._follows.get(place[0]) if self._follows else None
        return (follow.key, follow.group) if follow is not None else place

    @property
    def follows_any(self) -> bool:
        """Whether a unit of a learnt code went over whole; asked for each batch, so that most pay nothing for it."""
        return bool(self._follows)

    def follow(self, key: str) -> Follow | None:
        """What a unit of a learnt code became as a whole, if it did."""
        return self._follows.get(key)

    def generation(self, code: str, at: datetime) -> Generation | None:
        """The unit a learnt code named at an instant, see `place`; None for a code nobody has described."""
        generations = self._generations[code]
        if len(generations) > 1:
            day = at.astimezone(VIETNAM).date()
            for one in reversed(generations):
                if one.start <= day:
                    return one
        return generations[0] if generations else None

    def keys_of(self, code: str) -> list[str]:
        """The keys of all units a learnt code ever named, oldest first."""
        return [one.key for one in self._generations[code]]

    def groups_of(self, code: str, *, described: bool = False) -> set[str]:
        """Every group a unit of that learnt code ever was in; of an unknown code the group where its facts wait.

        `described` adds that waiting group: for whoever describes the unit and takes the facts out of it.
        """
        groups = {one.group for one in self._generations[code]}
        groups |= {self._follows[one.key].group for one in self._generations[code] if one.key in self._follows}
        return groups | {parked_key(code)} if described or not groups else groups

    async def fence(self, tx: AsyncSession, groups: Iterable[str]) -> set[str]:
        """Take the groups for this transaction; returns those that were dropped because they must be read again."""
        wanted = sorted(set(groups) - self.held)
        if not wanted:
            return set()
        stale: set[str] = set()
        for row in await tx.execute(_FENCE, {"groups": wanted}):
            # What was learnt before the row was ours may be out of date: it is read again. A code nobody has described
            # may have been described meanwhile.
            if self.epochs.get(row.commune) != row.value - 1 or row.commune.endswith("@"):
                self.drop([row.commune])
                stale.add(row.commune)
            self.epochs[row.commune] = row.value
        self.held.update(wanted)
        return stale

    async def load(self, tx: AsyncSession, groups: Iterable[str], prepared: Prepared) -> None:
        """Read the units of fenced groups that are not in memory."""
        missing = sorted({g for g in groups if g not in self.groups and not g.endswith("@")})
        if not missing:
            return
        for group in missing:
            self.groups[group] = []
        fresh: dict[str, Known] = {}
        for row in await tx.execute(_GROUP, {"codes": missing}):
            unit = unit_of(row)
            if group_of(unit) in missing and unit_key(unit) not in fresh:
                known = Known(unit_key(unit), unit)
                fresh[known.key] = known
                self.groups[group_of(unit)].append(known)
                self._below.setdefault(unit.parent, []).append(known)
        self.units.update(fresh)
        keys = list(fresh)
        for row in await tx.execute(_TALLIES, {"units": keys}):
            key = TallyKey(row.unit, row.attribute, row.source, row.origin, row.year, row.state)
            fresh[row.unit].heaps.setdefault(row.attribute, {})[key] = row.entities
        for row in await tx.execute(_REPORTED, {"units": keys, "whole": list(prepared.whole)}):
            fact = fact_of(row)
            fresh[row.unit].reported.setdefault(fact.attribute, {})[fact.key] = fact
        for row in await tx.execute(_ITEMS, {"units": keys}):
            figure = figure_of(row.flag, row.numerator, row.denominator)
            fresh[row.unit].items[row.set_code, row.item_code] = Outcome(row.status, figure, row.unknown)

    def children(self, known: Known, today: date) -> list[Known]:
        """The units directly below, as far as they are loaded and valid today; a commune's always are."""
        return [one for one in self._below.get(known.unit.code, ()) if is_valid(one.unit, today)]

    def commune_of(self, known: Known, today: date) -> Known | None:
        """The commune of the group as it stands today."""
        return next(
            (
                one
                for one in self.groups.get(group_of(known.unit), ())
                if one.unit.level == "commune" and is_valid(one.unit, today)
            ),
            None,
        )


async def alone(tx: AsyncSession) -> None:
    """Keep everyone else from writing statuses until the end of the transaction, and make every kept state stale."""
    await tx.execute(_ALONE)
    await tx.execute(_ALL_EPOCHS)


def is_valid(unit: Unit, day: date) -> bool:
    return unit.valid_from <= day and (unit.valid_to is None or unit.valid_to > day)


def unit_of(row: Any) -> Unit:
    return Unit(row.code, row.name, row.level, row.kind, row.parent, row.path, row.valid_from, row.valid_to)


Dirty = Mapping[str, Mapping[str, str]]
"""Unit key to the inputs (attribute or measure codes) that changed, each with its cause as type:id."""
