"""Owns every change to administrative units: the official load and the villages that commune staff enter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as events

from chassis import audit, outbox, units
from chassis.auth import STAFF, Principal
from chassis.db import unit_table
from chassis.errors import DomainError, Kind
from chassis.text import fold
from chassis.units import Unit
from services.identity.households import register as households
from services.identity.staff import register

VILLAGE_KINDS = {"thon": "Thôn", "khu": "Khu dân cư"}
MOST_AHEAD = timedelta(days=366)


class NotACommune(DomainError):
    code = "not_a_commune"
    kind = Kind.CONFLICT
    message = "Thôn, khu dân cư chỉ nhập được dưới một xã, phường hoặc thị trấn."


class NotAVillage(DomainError):
    code = "not_a_village"
    kind = Kind.CONFLICT
    message = "Chỉ sửa được tên hoặc kết thúc thôn, khu dân cư do xã nhập."


class VillageEnded(DomainError):
    code = "village_ended"
    kind = Kind.CONFLICT
    message = "{name} đã có ngày kết thúc."


class EndOutOfRange(DomainError):
    code = "end_out_of_range"
    message = "Ngày kết thúc phải sau ngày bắt đầu và không quá một năm tới."


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
    await lock_order(tx)
    commune = await units.get(tx, new.commune)
    me.require(STAFF, commune.path)
    if commune.level != "commune":
        raise NotACommune(field="unit")
    await _lock(tx, commune.code)
    name = village_name(new.kind, new.name)
    rows = await _villages(tx, commune.code)
    _refuse_same(rows, name)
    number = 1 + max((int(r.code.rpartition("-")[2]) for r in rows), default=0)
    code = f"{commune.code}-{number:02d}"
    # A village is entered as it is found, not as it is founded: it counts from the commune's own first day, so that a
    # figure of any date the commune has also has its villages.
    village = Unit(code, name, "village", new.kind, commune.code, f"{commune.path}/{code}", commune.valid_from)
    await _publish(tx, village, events.UnitEntered(unit=message_of(village)))
    await households.tell(tx, [commune.path])
    await audit.record(tx, me, action="unit.entered", target=subject_of(village), unit=village.code, detail={})
    return village


async def rename_village(tx: AsyncSession, me: Principal, code: str, name: str) -> Unit:
    """Give a village another name and publish it; raises UnknownUnit, Forbidden, NotAVillage, VillageExists."""
    village = await _village(tx, me, code)
    renamed = replace(village, name=village_name(village.kind, name))
    _refuse_same([r for r in await _villages(tx, village.parent) if r.code != code], renamed.name)
    await _publish(tx, renamed, events.UnitChanged(unit=message_of(renamed)))
    await audit.record(tx, me, action="unit.renamed", target=subject_of(renamed), unit=code, detail={})
    return renamed


async def end_village(tx: AsyncSession, me: Principal, code: str, on: date) -> Unit:
    """Let a village end on the day `on`, the first one without it; its figures stay readable as of days before.

    Raises UnknownUnit, Forbidden, NotAVillage, VillageEnded, EndOutOfRange.
    """
    village = await _village(tx, me, code)
    if village.valid_to is not None:
        raise VillageEnded(name=village.name)
    if not village.valid_from < on <= units.today() + MOST_AHEAD:
        raise EndOutOfRange(field="on")
    ended = replace(village, valid_to=on)
    await _publish(tx, ended, events.UnitEnded(unit=message_of(ended)))
    await households.tell(tx, [village.path.rpartition("/")[0]])
    await register.tell_communes(tx, {village.path.rpartition("/")[0]})
    detail = {"on": on.isoformat()}
    await audit.record(tx, me, action="unit.ended", target=subject_of(ended), unit=code, detail=detail)
    return ended


async def _village(tx: AsyncSession, me: Principal, code: str) -> Unit:
    """The village, with its commune locked: who changes it sees what others changed before."""
    await lock_order(tx)
    found = await units.get(tx, code)
    me.require(STAFF, found.path.rpartition("/")[0] or found.path)
    if found.level != "village":
        raise NotAVillage()
    await _lock(tx, found.parent)
    return await units.get(tx, code)


async def _villages(tx: AsyncSession, commune: str) -> Sequence[Any]:
    columns = unit_table.c
    query = sa.select(columns.code, columns.name, columns.valid_to)
    return (await tx.execute(query.where(columns.parent == commune, columns.level == "village"))).all()


def _refuse_same(villages: Sequence[Any], name: str) -> None:
    if any(fold(v.name) == fold(name) and v.valid_to is None for v in villages):
        raise VillageExists(field="name", name=name)


async def lock_order(tx: AsyncSession, *, alone: bool = False) -> None:
    """Hold the order of units as it is until the transaction ends; `alone` waits for, and keeps out, everybody else.

    Without it a village could be entered under a commune that a reorganisation is just ending.
    """
    lock = sa.func.pg_advisory_xact_lock if alone else sa.func.pg_advisory_xact_lock_shared
    await tx.execute(sa.select(lock(sa.func.hashtext("order-of-units"))))


async def _lock(tx: AsyncSession, commune: str) -> None:
    await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"villages-of-{commune}"))))
