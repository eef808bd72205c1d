"""Owns a service's projection of administrative units: which unit a code names on a date, and what lies above it.

A unit's identity is its code and the first day of its validity: after a reorganisation a code may name another extent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import now, unit_table
from chassis.errors import DomainError, Kind
from chassis.text import fold

LEVELS = ("province", "district", "commune", "village")
VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
KNOWN_SECONDS = 10.0
MOST_KNOWN = 20_000


class UnknownUnit(DomainError):
    code = "unknown_unit"
    kind = Kind.NOT_FOUND
    message = "Không có đơn vị hành chính mã {unit}."


class FormerUnit(UnknownUnit):
    """The code names no unit on the day, but named one before; `last` is its last day."""

    message = "{name} (mã {unit}) không còn từ ngày {day}."

    def __init__(self, former: Unit, ended: date) -> None:
        super().__init__(unit=former.code, name=former.name, day=ended.strftime("%d/%m/%Y"))
        self.last = ended - timedelta(days=1)


@dataclass(frozen=True)
class Unit:
    """An administrative unit during one stretch of validity; `valid_to` is the first day it no longer exists."""

    code: str
    name: str
    level: str
    kind: str
    parent: str
    path: str
    valid_from: date
    valid_to: date | None = None

    @property
    def codes(self) -> list[str]:
        """The codes of the path, from the province down to the unit itself."""
        return self.path.split("/")

    @property
    def commune(self) -> str:
        """The code of the commune the unit is or lies in; for a unit above communes, its own code."""
        codes = self.codes
        return codes[-2] if self.level == "village" and len(codes) > 1 else self.code


def today() -> date:
    """The present day in Việt Nam."""
    return now().astimezone(VIETNAM).date()


def _unit(row: Any) -> Unit:
    return Unit(row.code, row.name, row.level, row.kind, row.parent, row.path, row.valid_from, row.valid_to)


def _valid(as_of: date) -> sa.ColumnElement[bool]:
    c = unit_table.c
    return sa.and_(c.valid_from <= as_of, sa.or_(c.valid_to.is_(None), c.valid_to > as_of))


# Built once: this is asked on nearly every write, and building the statement costs more than sending it.
_FIND = sa.select(unit_table).where(
    unit_table.c.code == sa.bindparam("code"),
    unit_table.c.valid_from <= sa.bindparam("as_of"),
    sa.or_(unit_table.c.valid_to.is_(None), unit_table.c.valid_to > sa.bindparam("as_of")),
)

_LAST = (
    sa.select(unit_table)
    .where(unit_table.c.code == sa.bindparam("code"), unit_table.c.valid_to <= sa.bindparam("as_of"))
    .order_by(unit_table.c.valid_to.desc())
    .limit(1)
)


async def find(tx: AsyncSession, code: str, as_of: date | None = None) -> Unit | None:
    """The unit that `code` names on `as_of` (default: today), or None."""
    row = (await tx.execute(_FIND, {"code": code, "as_of": as_of or today()})).first()
    return _unit(row) if row else None


async def current(tx: AsyncSession, code: str) -> Unit | None:
    """The unit that `code` names today, or None. What was found is remembered for some seconds, like a late event."""
    known: dict[str, tuple[Unit, float]] = tx.info.setdefault("kept", {}).setdefault("units", {})
    found, at, day = known.get(code), monotonic(), today()
    if found is not None and at - found[1] < KNOWN_SECONDS:
        unit = found[0]
        if unit.valid_from <= day and (unit.valid_to is None or unit.valid_to > day):
            return unit
    there = await find(tx, code, day)
    if there is not None:
        if len(known) >= MOST_KNOWN:
            known.clear()
        known[code] = (there, at)
    return there


async def get(tx: AsyncSession, code: str, as_of: date | None = None) -> Unit:
    """The unit that `code` names on `as_of`; raises UnknownUnit, and of it FormerUnit where it named one before."""
    unit = await find(tx, code, as_of)
    if unit is None:
        raise await missing(tx, code, as_of)
    return unit


async def missing(tx: AsyncSession, code: str, as_of: date | None = None) -> UnknownUnit:
    """What to raise where `code` names no unit on `as_of`: FormerUnit where it named one before."""
    row = (await tx.execute(_LAST, {"code": code, "as_of": as_of or today()})).first()
    return FormerUnit(_unit(row), row.valid_to) if row is not None else UnknownUnit(unit=code[:40])


async def children(tx: AsyncSession, code: str, as_of: date | None = None) -> list[Unit]:
    """The units directly below `code`, by code."""
    query = sa.select(unit_table).where(unit_table.c.parent == code, _valid(as_of or today()))
    return [_unit(r) for r in await tx.execute(query.order_by(unit_table.c.code))]


async def breadcrumb(tx: AsyncSession, unit: Unit) -> list[Unit]:
    """The units from the province down to `unit` itself, in one query; of an ended unit those of its last day."""
    day = today()
    if unit.valid_to is not None and unit.valid_to <= day:
        day = unit.valid_to - timedelta(days=1)
    query = sa.select(unit_table).where(unit_table.c.code.in_(unit.codes), _valid(day))
    by_code = {r.code: _unit(r) for r in await tx.execute(query)}
    return [by_code[c] for c in unit.codes if c in by_code]


async def search(
    tx: AsyncSession,
    *,
    level: str | None = None,
    parent: str | None = None,
    within: str | None = None,
    q: str | None = None,
    as_of: date | None = None,
    limit: int = 50,
    after: str | None = None,
) -> list[Unit]:
    """Units valid on `as_of`, by code, keyset-paged on the code; returns up to `limit` + 1 so that a caller sees more.

    `parent` is the code directly above; `within` a path prefix; `q` a part of the name, with or without marks.
    """
    c = unit_table.c
    query = sa.select(unit_table).where(_valid(as_of or today()))
    if level:
        query = query.where(c.level == level)
    if parent:
        query = query.where(c.parent == parent)
    if within:
        query = query.where(sa.or_(c.path == within, c.path.startswith(f"{within}/", autoescape=True)))
    if q:
        query = query.where(_named(q))
    if after:
        query = query.where(c.code > after)
    return [_unit(r) for r in await tx.execute(query.order_by(c.code, c.valid_from).limit(limit + 1))]


async def former(tx: AsyncSession, q: str, limit: int = 50) -> list[Unit]:
    """Units that have ended, with `q` in the name, the last ended first; up to `limit`, each as it was at its end.

    One whose code goes on today under the same name, in other borders or elsewhere in the tree, is not among them.
    """
    c, later = unit_table.c, unit_table.alias()
    day = today()
    goes_on = sa.exists().where(
        later.c.code == c.code,
        later.c.name == c.name,
        later.c.valid_from > c.valid_from,
    )
    query = sa.select(unit_table).where(c.valid_to <= day, _named(q), ~goes_on)
    return [_unit(r) for r in await tx.execute(query.order_by(c.valid_to.desc(), c.code).limit(limit))]


def _named(q: str) -> sa.ColumnElement[bool]:
    """With `q` in the name, with or without marks."""
    return sa.func.xaso_fold(unit_table.c.name).contains(fold(q), autoescape=True)


def _projecting() -> Insert:
    statement = insert(unit_table)
    told = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["code", "valid_from"],
        set_={c.name: told[c.name] for c in unit_table.c if c.name not in ("code", "valid_from")},
        where=unit_table.c.sequence <= told.sequence,
    )


_PROJECT = _projecting()
"""Built once: building it took longer than running it, for each of a province's units in each service."""


async def project(tx: AsyncSession, unit: Unit, sequence: int = 0) -> None:
    """Store `unit` as its owner last described it; an older description than the stored one changes nothing."""
    values = {
        "code": unit.code,
        "valid_from": unit.valid_from,
        "valid_to": unit.valid_to,
        "name": unit.name,
        "level": unit.level,
        "kind": unit.kind,
        "parent": unit.parent,
        "path": unit.path,
        "sequence": sequence,
    }
    tx.info.get("kept", {}).pop("units", None)
    await tx.execute(_PROJECT, values)


def from_message(message: Any) -> Unit:
    """A unit from the identity service's message of the same name (fields as in `xaso.identity.v1.Unit`)."""
    return Unit(
        code=message.code,
        name=message.name,
        level=message.level,
        kind=message.kind,
        parent=message.parent,
        path=message.path,
        valid_from=date.fromisoformat(message.valid_from),
        valid_to=date.fromisoformat(message.valid_to) if message.valid_to else None,
    )
