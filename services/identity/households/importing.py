"""Owns what a file of households does: each row judged like a household entered by hand, then all rows, or the right
ones, brought in at once.

A row of a household that is in the register already changes it; what the file leaves empty stays as it is recorded.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, i18n, units
from chassis.auth import Principal
from chassis.db import now
from chassis.errors import Invalid
from chassis.problems import validation_fields
from chassis.units import Unit
from services.identity.households import commands, reading, register
from services.identity.households.commands import KEEPERS, Details
from services.identity.households.model import Household, NotACommune
from services.identity.households.queries import below, names, plain
from services.identity.households.shapes import HouseholdIn
from services.identity.sealing import Sealer
from services.identity.units.commands import lock_order

MOST_BYTES = reading.MOST_BYTES
Mode = Literal["preview", "all", "valid"]
MOST_VILLAGES = 500
TOGETHER = ({"digital_code", "lat", "lon"}, {"poverty", "reviewed_year"})
"""What is said as a whole: a finding of the review without its year is not one of the year recorded before."""


class UnknownVillage(Invalid):
    message = "Không có thôn, khu dân cư này trong {unit}."


class SeveralVillages(Invalid):
    message = "Có nhiều thôn, khu dân cư cùng tên này. Xin ghi mã: {codes}."


class Twice(Invalid):
    message = "Hộ này đã có ở dòng {line}."


@dataclass(frozen=True, slots=True)
class Sent:
    """A file as text, the unit (village or commune) it is for, and the language its faults are told in."""

    unit: str
    text: str
    locale: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one cell: its line in the file, the heading of its column, and why."""

    line: int
    column: str
    text: str


@dataclass
class Found:
    """What a file does, in households, and what is wrong with it; `done` says whether it was brought in."""

    new: int = 0
    changed: int = 0
    same: int = 0
    faults: list[Fault] = field(default_factory=list)
    done: bool = False

    @property
    def right(self) -> int:
        """How many rows are right."""
        return self.new + self.changed + self.same


@dataclass
class _Reading:
    """The register beside the file while its rows are gone through."""

    unit: Unit
    locale: str
    villages: dict[str, list[Unit]]
    standing: dict[tuple[str, str], Household]
    seen: dict[tuple[str, str], int] = field(default_factory=dict)
    right: list[tuple[Details, Household | None]] = field(default_factory=list)


async def run(tx: AsyncSession, sealer: Sealer, me: Principal, sent: Sent, mode: Mode) -> Found:
    """Read a file and, unless it is only looked at, bring it in; with `all` only where nothing is wrong with it.

    Raises UnknownUnit, Forbidden, NotACommune, FileRefused.
    """
    await lock_order(tx)
    unit = await units.get(tx, sent.unit)
    me.require(KEEPERS, unit.path)
    if unit.level not in ("village", "commune"):
        raise NotACommune(field="unit")
    commune = unit.path if unit.level == "commune" else commands.commune_of(unit.path)
    if mode != "preview":
        await register.lock(tx, [commune])
    at = await _reading(tx, unit, sent.locale)
    found = Found()
    for line, row in reading.rows(sent.text):
        _judge(at, found, line, row, sealer)
    if (mode == "all" and found.faults) or mode == "preview":
        return found
    await _bring_in(tx, at, sealer)
    found.done = True
    detail = {"new": found.new, "changed": found.changed, "faults": len(found.faults)}
    await audit.record(tx, me, action="household.imported", target=unit.code, unit=unit.code, detail=detail)
    return found


async def _reading(tx: AsyncSession, unit: Unit, locale: str) -> _Reading:
    found = [unit] if unit.level == "village" else await units.search(tx, parent=unit.code, limit=MOST_VILLAGES)
    villages: dict[str, list[Unit]] = defaultdict(list)
    titles = names(found)
    for village in found:
        for word in {village.code, plain(village.name), plain(titles[village.code])}:
            villages[word].append(village)
    standing = await tx.scalars(sa.select(Household).where(below(unit.path), Household.ended_at.is_(None)))
    return _Reading(unit, locale, villages, {(one.unit, one.number): one for one in standing})


def _judge(at: _Reading, found: Found, line: int, row: dict[str, Any], sealer: Sealer) -> None:
    villages = at.villages.get(plain(row["unit"] or ""), [])
    details, old, faults = None, None, list[Fault]()
    try:
        if row["unit"] and not villages:
            raise UnknownVillage(field="unit", unit=at.unit.name)
        if len(villages) > 1:
            raise SeveralVillages(field="unit", codes=", ".join(v.code for v in villages))
        named = {"unit": villages[0].code} if villages else {}
        whole = HouseholdIn.model_validate({name: cell for name, cell in row.items() if cell} | named)
        key = (whole.unit, whole.number)
        if key in at.seen:
            raise Twice(field="number", line=at.seen[key])
        at.seen[key] = line
        old = at.standing.get(key)
        details = _beside(whole, old, sealer)
        details.check()
    except ValidationError as error:
        faults = [Fault(line, _heading(f.field), f.message) for f in validation_fields(error.errors(), at.locale)]
    except Invalid as error:
        faults = [Fault(line, _heading(f.field), f.message) for f in i18n.localize_fields(error, at.locale)]
    if faults or details is None:
        found.faults += faults
        return
    at.right.append((details, old))
    if old is None:
        found.new += 1
    elif details == Details.of(old, sealer):
        found.same += 1
    else:
        found.changed += 1


def _beside(row: HouseholdIn, old: Household | None, sealer: Sealer) -> Details:
    """The row, with what is recorded already where it says nothing: there is no way back from a file that empties."""
    if old is None:
        return row.details()
    given = set(row.model_fields_set)
    for parts in TOGETHER:
        given |= parts if given & parts else set()
    new = {name: getattr(row, name) for name in given}
    return HouseholdIn.of(Details.of(old, sealer)).model_copy(update=new).details()


async def _bring_in(tx: AsyncSession, at: _Reading, sealer: Sealer) -> None:
    touched: list[Household] = []
    for details, old in at.right:
        if old is None:
            touched.append(commands.made(details, at.villages[details.unit][0], sealer))
            tx.add(touched[-1])
        elif details.put(old, sealer):
            old.changed_at = now()
            touched.append(old)
    await tx.flush()
    await commands.tell(tx, touched)


def _heading(name: str) -> str:
    return reading.COLUMNS.get(name, name)
