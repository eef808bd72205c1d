"""Owns the questions about units that the pages ask beyond those of the chassis: as of a day, and over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.db import unit_table
from chassis.units import LEVELS, Unit, UnknownUnit, today
from services.identity.units.model import Succession

_COLUMNS = tuple(unit_table.c[f] for f in ("code", "name", "level", "kind", "parent", "path", "valid_from", "valid_to"))


@dataclass(frozen=True)
class Related:
    """A unit that came before or after another one; `share` is the part that went over, None where nobody said."""

    unit: Unit
    share: Fraction | None
    document: str
    change_set: str
    note: str


@dataclass(frozen=True)
class Generation:
    """One stretch of validity of a code, with what it came from and what it became."""

    unit: Unit
    predecessors: tuple[Related, ...]
    successors: tuple[Related, ...]


async def generation(tx: AsyncSession, code: str, as_of: date | None) -> tuple[Unit, date]:
    """The unit `code` names on `as_of`, and that day; without a day the one of today, else the last there was.

    Raises UnknownUnit. History stays readable under the code of an ended unit: its day is then its last one.
    """
    if as_of is not None:
        return await units.get(tx, code, as_of), as_of
    found = await units.find(tx, code)
    if found is not None:
        return found, today()
    past = [u for u in await _generations(tx, code) if u.valid_to is not None]
    if not past:
        raise UnknownUnit(unit=code[:40])
    last = past[-1]
    return last, (last.valid_to or today()) - timedelta(days=1)


async def history(tx: AsyncSession, code: str) -> list[Generation]:
    """Every stretch of validity of `code`, the oldest first; raises UnknownUnit where it never was one."""
    found = await _generations(tx, code)
    if not found:
        raise UnknownUnit(unit=code[:40])
    return [await relations(tx, unit) for unit in found]


async def relations(tx: AsyncSession, unit: Unit) -> Generation:
    """What one unit came from and became, by code."""
    return Generation(unit, await _related(tx, unit, before=True), await _related(tx, unit, before=False))


async def breadcrumb(tx: AsyncSession, unit: Unit, day: date) -> list[Unit]:
    """The units from the province down to `unit`, as they stood on `day`."""
    query = sa.select(*_COLUMNS).where(unit_table.c.code.in_(unit.codes), _valid(day))
    by_code = {row.code: Unit(*row) for row in await tx.execute(query)}
    return [by_code[code] for code in unit.codes if code in by_code]


async def counts_below(tx: AsyncSession, path: str, day: date | None = None) -> dict[str, int]:
    """How many units of each level (a key of LEVELS, 0 where there is none) lie below `path` on `day` (today)."""
    columns = unit_table.c
    query = (
        sa.select(columns.level, sa.func.count().label("count_"))
        .where(columns.path.startswith(f"{path}/", autoescape=True), _valid(day or today()))
        .group_by(columns.level)
    )
    return {**dict.fromkeys(LEVELS, 0), **{row.level: row.count_ for row in await tx.execute(query)}}


async def names(tx: AsyncSession, codes: set[str]) -> dict[str, str]:
    """The names of `codes` as of today; unknown codes are left out."""
    columns = unit_table.c
    query = sa.select(columns.code, columns.name).where(columns.code.in_(codes), _valid(today()))
    return {row.code: row.name for row in await tx.execute(query)}


async def _generations(tx: AsyncSession, code: str) -> list[Unit]:
    query = sa.select(*_COLUMNS).where(unit_table.c.code == code).order_by(unit_table.c.valid_from)
    return [Unit(*row) for row in await tx.execute(query)]


async def _related(tx: AsyncSession, unit: Unit, *, before: bool) -> tuple[Related, ...]:
    near = (Succession.successor, Succession.successor_from)
    far = (Succession.predecessor, Succession.predecessor_from)
    if not before:
        near, far = far, near
    columns = unit_table.c
    query = (
        sa.select(
            *_COLUMNS,
            Succession.numerator,
            Succession.denominator,
            Succession.legal_basis,
            Succession.change_set,
            Succession.note,
        )
        .join(Succession, sa.and_(columns.code == far[0], columns.valid_from == far[1]))
        .where(near[0] == unit.code, near[1] == unit.valid_from)
        .order_by(columns.code)
    )
    return tuple(
        Related(Unit(*row[:8]), _share(row), row.legal_basis, row.change_set, row.note)
        for row in await tx.execute(query)
    )


def _share(row: Any) -> Fraction | None:
    return Fraction(row.numerator, row.denominator) if row.denominator else None


def _valid(day: date) -> sa.ColumnElement[bool]:
    columns = unit_table.c
    return sa.and_(columns.valid_from <= day, sa.or_(columns.valid_to.is_(None), columns.valid_to > day))
