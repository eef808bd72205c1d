"""Owns every change to administrative units: the official load and the villages that commune staff enter."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as events

from chassis import audit, outbox, units
from chassis.auth import STAFF, Principal
from chassis.db import unit_table
from chassis.errors import DomainError, Kind
from chassis.text import fold
from chassis.units import Unit

VILLAGE_KINDS = {"thon": "Thôn", "khu": "Khu dân cư"}


class NotACommune(DomainError):
    code = "not_a_commune"
    kind = Kind.CONFLICT
    message = "Thôn, khu dân cư chỉ nhập được dưới một xã, phường hoặc thị trấn."


class VillageExists(DomainError):
    code = "village_exists"
    kind = Kind.CONFLICT
    message = "Xã này đã có {name}."


@dataclass(frozen=True)
class EnterVillage:
    """A village to enter under `commune` (a unit code); `kind` is a key of VILLAGE_KINDS."""

    commune: str
    name: str
    kind: str


def message_of(unit: Unit) -> events.Unit:
    """The public state of a unit, as events and gRPC carry it."""
    return events.Unit(
        code=unit.code,
        name=unit.name,
        level=unit.level,
        kind=unit.kind,
        parent=unit.parent,
        path=unit.path,
        valid_from=unit.valid_from.isoformat(),
        valid_to=unit.valid_to.isoformat() if unit.valid_to else "",
    )


def subject_of(unit: Unit) -> str:
    """The aggregate id of a unit: code and first day, for a code is reused after a reorganisation."""
    return f"{unit.code}@{unit.valid_from.isoformat()}"


async def _publish(
    tx: AsyncSession, unit: Unit, message: events.UnitEntered | events.UnitChanged | events.UnitEnded
) -> None:
    sequence = await outbox.add(tx, message, unit=unit, subject=subject_of(unit))
    await units.project(tx, unit, sequence)


async def load_official(tx: AsyncSession, wanted: Iterable[Unit]) -> int:
    """Enter the units of `wanted` that are not known yet and publish them; returns how many were new."""
    columns = unit_table.c
    known = {(r.code, r.valid_from) for r in await tx.execute(sa.select(columns.code, columns.valid_from))}
    new = [u for u in wanted if (u.code, u.valid_from) not in known]
    for unit in new:
        await _publish(tx, unit, events.UnitEntered(unit=message_of(unit)))
    return len(new)


def village_name(kind: str, name: str) -> str:
    """The full name of a village: "Nghĩa Dũng" of kind thon is "Thôn Nghĩa Dũng", written once."""
    title = VILLAGE_KINDS[kind]
    bare = re.sub(rf"^{title}\s+", "", name, flags=re.IGNORECASE)
    return f"{title} {bare}"


async def enter_village(tx: AsyncSession, me: Principal, new: EnterVillage) -> Unit:
    """Enter a village under its commune and publish it; raises UnknownUnit, Forbidden, NotACommune, VillageExists.

    Its code is `<commune>-<nn>`, the next number without a gap: the commune is locked until the transaction ends, and
    numbers of ended villages are not given out again.
    """
    commune = await units.get(tx, new.commune)
    me.require(STAFF, commune.path)
    if commune.level != "commune":
        raise NotACommune(field="unit")
    await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"villages-of-{commune.code}"))))
    name = village_name(new.kind, new.name)
    columns = unit_table.c
    rows = (
        await tx.execute(
            sa.select(columns.code, columns.name, columns.valid_to).where(
                columns.parent == commune.code, columns.level == "village"
            )
        )
    ).all()
    if any(fold(r.name) == fold(name) and r.valid_to is None for r in rows):
        raise VillageExists(field="name", name=name)
    number = 1 + max((int(r.code.rpartition("-")[2]) for r in rows), default=0)
    code = f"{commune.code}-{number:02d}"
    # A village is entered as it is found, not as it is founded: it counts from the commune's own first day, so that a
    # figure of any date the commune has also has its villages.
    village = Unit(code, name, "village", new.kind, commune.code, f"{commune.path}/{code}", commune.valid_from)
    await _publish(tx, village, events.UnitEntered(unit=message_of(village)))
    await audit.record(tx, me, action="unit.entered", target=subject_of(village), unit=village.code, detail={})
    return village
