"""Owns what a file of households does: each row judged like a household entered by hand, then all rows, or the right
ones, brought in at once.

A row of a household that is in the register already changes it; columns the file does not have leave it as it is.
"""

from __future__ import annotations

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
from chassis.text import fold
from chassis.units import Unit
from services.identity.households import commands, reading, register
from services.identity.households.commands import KEEPERS, Details
from services.identity.households.model import Household, NotACommune
from services.identity.households.queries import below
from services.identity.households.shapes import HouseholdIn
from services.identity.sealing import Sealer
from services.identity.units.commands import lock_order

MOST_BYTES = reading.MOST_BYTES
Mode = Literal["preview", "all", "valid"]
MOST_VILLAGES = 500


class UnknownVillage(Invalid):
    message = "Không có thôn, khu dân cư này trong {unit}."


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
    villages: dict[str, Unit]
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
    villages = {fold(v.name): v for v in found} | {v.code: v for v in found}
    standing = await tx.scalars(sa.select(Household).where(below(unit.path), Household.ended_at.is_(None)))
    return _Reading(unit, locale, villages, {(one.unit, one.number): one for one in standing})


def _judge(at: _Reading, found: Found, line: int, row: dict[str, Any], sealer: Sealer) -> None:
    village = at.villages.get(" ".join(fold(str(row["unit"] or "")).split()))
    details, old, faults = None, None, list[Fault]()
    try:
        if village is None and row["unit"]:
            raise UnknownVillage(field="unit", unit=at.unit.name)
        named = {"unit": village.code} if village is not None else {}
        whole = HouseholdIn.model_validate({name: cell for name, cell in row.items() if cell} | named)
        key = (whole.unit, whole.number)
        if key in at.seen:
            raise Twice(field="number", line=at.seen[key])
        at.seen[key] = line
        old = at.standing.get(key)
        details = _beside(whole, row, old, sealer)
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


def _beside(row: HouseholdIn, given: dict[str, Any], old: Household | None, sealer: Sealer) -> Details:
    """The row with what is recorded already for the columns that the file does not have."""
    if old is None:
        return row.details()
    before = HouseholdIn.of(Details.of(old, sealer))
    kept = {name: getattr(before, name) for name in HouseholdIn.model_fields if name not in given}
    return row.model_copy(update=kept).details()


async def _bring_in(tx: AsyncSession, at: _Reading, sealer: Sealer) -> None:
    touched: list[Household] = []
    for details, old in at.right:
        if old is None:
            touched.append(commands.made(details, at.villages[details.unit], sealer))
            tx.add(touched[-1])
        elif details.put(old, sealer):
            old.changed_at = now()
            touched.append(old)
    await tx.flush()
    await commands.tell(tx, touched)


def _heading(name: str) -> str:
    return reading.COLUMNS.get(name, name)
