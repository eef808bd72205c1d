"""Owns for what files may be handed in: which sets, for units of which level, by whom."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.errors import NotFound
from chassis.units import LEVELS, Unit
from services.indicators.criteria import catalogue as c
from services.indicators.interchange import layout


@dataclass(frozen=True, slots=True)
class Asked:
    """What an import is about: a set, and units of a level on or below a unit."""

    unit: Unit
    criteria: c.CriteriaSet
    level: str

    @property
    def query(self) -> str:
        return f"set={self.criteria.code}&level={self.level}"


def levels(unit: Unit, criteria: c.CriteriaSet, catalogue: c.Catalogue) -> list[str]:
    """The levels of a set for which a file can be handed in for this unit, the set's own first."""
    if not criteria.area.touches(unit.path):
        return []
    first = LEVELS.index(unit.level)
    return [one for one in layout.levels(criteria, catalogue) if LEVELS.index(one) >= first]


def offered(unit: Unit, catalogue: c.Catalogue) -> list[c.CriteriaSet]:
    """The sets that have something to report at the unit or below it."""
    return [one for one in catalogue.sets.values() if levels(unit, one, catalogue)]


async def asked(
    tx: AsyncSession,
    me: Principal,
    code: str,
    criteria: c.CriteriaSet | None,
    level: str | None,
    catalogue: c.Catalogue,
) -> Asked:
    """What is asked for; raises UnknownUnit, Forbidden where `me` is no staff of the unit, and NotFound where the set
    has nothing to report there. Without a set it is the first one that has.
    """
    unit = await units.get(tx, code)
    me.require(STAFF, unit.path)
    found = criteria or next(iter(offered(unit, catalogue)), None)
    there = levels(unit, found, catalogue) if found is not None else []
    if found is None or not there or (level is not None and level not in there):
        raise NotFound
    return Asked(unit, found, level or there[0])
