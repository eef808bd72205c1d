"""Owns what is read of the register of households: single ones for who may see them, counts for everybody."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as events

from chassis import units
from chassis.auth import VIEWERS, Principal
from chassis.db import unit_table
from chassis.text import fold
from chassis.units import Unit
from services.identity.households.model import CommuneRegister, Household, NoSuchHousehold, Place
from services.identity.sealing import Sealer


@dataclass(frozen=True)
class Listed:
    """A household with where it lives, opened for somebody who may see it."""

    household: Household
    place: Place


@dataclass(frozen=True)
class Counts:
    """What is recorded in one unit: a village, or a commune with all its villages."""

    unit: str
    name: str
    villages: int
    recorded: int
    households: int
    people: int
    located: int
    reviewed: int


def message_of(household: Household) -> events.Household:
    """The public state of a household, as events carry it."""
    message = events.Household(
        id=str(household.id),
        unit=household.unit,
        number=household.number,
        people=household.people,
        digital_address=household.digital_address,
        economy_known=household.economy_known,
        reviewed_year=household.reviewed_year or 0,
        ended=household.ended_at is not None,
    )
    message.changed_at.FromDatetime(household.changed_at)
    return message


async def get(tx: AsyncSession, me: Principal, household_id: uuid.UUID) -> Household:
    """The household; raises NoSuchHousehold, also for who may not see it."""
    household = await tx.get(Household, household_id)
    if household is None or not me.may(VIEWERS, household.path):
        raise NoSuchHousehold()
    return household


async def listed(
    tx: AsyncSession,
    sealer: Sealer,
    within: Unit,
    *,
    q: str = "",
    after: tuple[str, str] | None = None,
    limit: int = 50,
) -> list[Listed]:
    """Households of a village or commune by village and number, up to `limit` + 1; `q` with or without marks.

    What is searched is sealed, so a search opens every household of the unit; a commune has some thousand.
    """
    query = sa.select(Household).where(below(within.path), Household.ended_at.is_(None))
    # Numbers have three digits, from the thousandth household of a village on four.
    place = (Household.path, sa.func.lpad(Household.number, 4, "0"))
    if after:
        query = query.where(sa.tuple_(*place) > sa.tuple_(*map(sa.literal, after)))
    query = query.order_by(*place)
    found, wanted = list[Listed](), fold(q)
    for household in await tx.scalars(query if q else query.limit(limit + 1)):
        one = Listed(household, Place.opened(sealer, household.place_sealed))
        if wanted in fold(f"{household.number} {one.place.address} {one.place.code}"):
            found.append(one)
            if len(found) > limit:
                break
    return found


async def counts(tx: AsyncSession, unit: Unit) -> list[Counts]:
    """What is recorded in each village of a commune, in one village, or in each commune of what lies above."""
    return await (villages if unit.level in ("village", "commune") else communes)(tx, unit)


async def villages(tx: AsyncSession, unit: Unit) -> list[Counts]:
    """What is recorded in each village of a commune, or in one village; those without any household too."""
    u, h, day = unit_table.c, Household, units.today()
    year = sa.and_(h.livelihood.is_not(None), h.poverty.is_not(None), h.reviewed_year == day.year)
    count = sa.func.count(h.id)
    where = u.code == unit.code if unit.level == "village" else u.parent == unit.code
    query = (
        sa.select(
            u.code,
            u.name,
            count,
            sa.func.coalesce(sa.func.sum(h.people), 0),
            count.filter(h.digital_address),
            count.filter(year),
        )
        .select_from(unit_table.outerjoin(h, sa.and_(h.path == u.path, h.ended_at.is_(None))))
        .where(where, u.level == "village", u.valid_from <= day, sa.or_(u.valid_to.is_(None), u.valid_to > day))
        .group_by(u.code, u.name)
        .order_by(u.code)
    )
    rows = await tx.execute(query)
    return [Counts(code, name, 1, int(n > 0), n, people, *more) for code, name, n, people, *more in rows]


async def communes(tx: AsyncSession, within: Unit) -> list[Counts]:
    """What is recorded in each commune below a district or province that has begun its register."""
    r, u, day = CommuneRegister, unit_table.c, units.today()
    query = (
        sa.select(r, u.name)
        .join(unit_table, sa.and_(u.code == r.unit, u.path == r.path))
        .where(r.path.startswith(f"{within.path}/", autoescape=True))
        .where(u.valid_from <= day, sa.or_(u.valid_to.is_(None), u.valid_to > day))
        .order_by(u.name, r.unit)
    )
    return [
        Counts(
            one.unit,
            name,
            one.villages,
            one.villages_recorded,
            one.households,
            one.people,
            one.households_located,
            one.villages_reviewed,
        )
        for one, name in await tx.execute(query)
    ]


def total(unit: Unit, counts: Sequence[Counts]) -> Counts:
    """The sum of the counts of the units below."""
    fields = ("villages", "recorded", "households", "people", "located", "reviewed")
    return Counts(unit.code, unit.name, *(sum(getattr(one, name) for one in counts) for name in fields))


def below(path: str) -> sa.ColumnElement[bool]:
    """Of a household: at or below the unit at `path`."""
    return sa.or_(Household.path == path, Household.path.startswith(f"{path}/", autoescape=True))
