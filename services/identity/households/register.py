"""Owns what is told of the register of a commune: an event where what it comes to is not as it was last told.

Whatever changes a household, a village or what staff state of the commune calls `tell` last in its transaction. Two
things nobody does by a command: a year begins, in which no review is recorded yet, and a village ends on a day that was
set before; `tell_stale` tells those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as events

from chassis import outbox, units
from chassis.db import unit_table
from chassis.units import Unit
from services.identity.households.model import CommuneRegister, Household

STATED = ("households_in_all", "offices", "offices_located")
"""What staff state of a commune: how many households and offices there are, and how many of these have an address."""
TOLD = (
    "villages",
    "villages_recorded",
    "villages_reviewed",
    "year",
    "households",
    "households_located",
    *STATED,
)
"""What is told of a register, by the names of both its columns and its message."""
MOST = 500
"""Registers that are told of in one transaction."""
_ABOVE = "^(.*)/[^/]*$"


async def lock(tx: AsyncSession, communes: Iterable[str]) -> None:
    """Keep the registers of the communes at these paths to this transaction until it ends.

    Numbers are unique in a village and counts are those of all who wrote before.
    """
    for path in sorted(set(communes)):
        await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"households-of-{path}"))))


async def tell(tx: AsyncSession, communes: Iterable[str], stated: Mapping[str, int] | None = None) -> None:
    """Tell what became of the registers of the communes at these paths; one that was never begun is not told of.

    `stated` is what staff now say of the commune, by the names of STATED.
    """
    await tx.flush()
    wanted = sorted(set(communes))
    await lock(tx, wanted)
    await _tell_standing(tx, wanted, stated or {})


async def tell_everywhere(tx: AsyncSession) -> None:
    """Tell of every register after units were reorganised; those of communes that are gone are forgotten.

    Whoever reorganises keeps everybody else out, so no register is locked: a country's would be too many locks.
    """
    await tx.flush()
    commune = sa.func.regexp_replace(Household.path, _ABOVE, r"\1")
    paths = set(await tx.scalars(sa.select(commune).where(Household.ended_at.is_(None)).distinct()))
    paths |= set(await tx.scalars(sa.select(CommuneRegister.path)))
    await _tell_standing(tx, sorted(paths), {})
    stands = sa.exists().where(unit_table.c.path == CommuneRegister.path, _stands())
    gone = sa.delete(CommuneRegister).where(~stands)
    await tx.execute(gone.execution_options(synchronize_session=False))


async def tell_stale(tx: AsyncSession) -> int:
    """Tell of registers that time alone has changed: a year began, or a village ended. Returns of how many, up to MOST.

    Units must stay as they are until the transaction ends (`lock_order`).
    """
    u = unit_table.c
    villages = (
        sa.select(sa.func.count()).where(u.parent == CommuneRegister.unit, u.level == "village", _stands())
    ).scalar_subquery()
    changed = sa.or_(CommuneRegister.year != units.today().year, CommuneRegister.villages != villages)
    stands = sa.exists().where(u.code == CommuneRegister.unit, u.path == CommuneRegister.path, _stands())
    stale = sa.select(CommuneRegister.path).where(changed, stands).order_by(CommuneRegister.path).limit(MOST)
    paths = list(await tx.scalars(stale))
    await tell(tx, paths)
    return len(paths)


async def find(tx: AsyncSession, unit: Unit) -> CommuneRegister | None:
    """The register of a commune as it was last told; None where nothing was ever recorded."""
    return await tx.get(CommuneRegister, unit.code)


async def _tell_standing(tx: AsyncSession, communes: Iterable[str], stated: Mapping[str, int]) -> None:
    for path in communes:
        unit = await units.find(tx, path.rpartition("/")[2])
        if unit is not None and unit.path == path:
            await _tell(tx, unit, stated)


async def _tell(tx: AsyncSession, commune: Unit, stated: Mapping[str, int]) -> None:
    kept = await tx.get(CommuneRegister, commune.code)
    values = {**await _count(tx, commune), "path": commune.path, "since": commune.valid_from}
    if kept is None or kept.since != commune.valid_from:
        # What was stated was stated of the commune as it was before the reorganisation.
        values |= dict.fromkeys(STATED, 0)
    values |= stated
    if kept is None:
        if not values["households"] and not stated:
            return
        kept = CommuneRegister(unit=commune.code, **values)
        tx.add(kept)
    elif not kept.take(values) & {*TOLD, "since"}:
        return
    await tx.flush()
    message = events.HouseholdRegister(unit=commune.code, **{name: getattr(kept, name) for name in TOLD})
    # The register of a code goes on under it, whatever a reorganisation makes of the commune: so do its sequences.
    subject = f"households/{commune.code}"
    await outbox.add(tx, events.HouseholdRegisterChanged(register=message), unit=commune, subject=subject)


async def _count(tx: AsyncSession, commune: Unit) -> dict[str, Any]:
    """What is recorded in the villages that the commune has today."""
    year = units.today().year
    u, h = unit_table.c, Household
    lives = sa.and_(h.path == u.path, h.ended_at.is_(None))
    known = sa.and_(h.livelihood.is_not(None), h.poverty.is_not(None), h.reviewed_year == year)
    villages = sa.func.count(u.code.distinct())
    query = (
        sa.select(
            villages.label("villages"),
            villages.filter(h.id.is_not(None)).label("villages_recorded"),
            villages.filter(known).label("villages_reviewed"),
            sa.func.count(h.id).label("households"),
            sa.func.count(h.id).filter(h.digital_address).label("households_located"),
            sa.func.coalesce(sa.func.sum(h.people), 0).label("people"),
        )
        .select_from(unit_table.outerjoin(h, lives))
        .where(u.parent == commune.code, u.level == "village", _stands())
    )
    return {**(await tx.execute(query)).one()._mapping, "year": year}


def _stands() -> sa.ColumnElement[bool]:
    """Of a unit: it is there today."""
    u, day = unit_table.c, units.today()
    return sa.and_(u.valid_from <= day, sa.or_(u.valid_to.is_(None), u.valid_to > day))
