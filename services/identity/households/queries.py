"""Owns what is read of the register of households: single ones for who may see them, counts for everybody."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
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
from services.identity.units.queries import counts_below


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


@dataclass(frozen=True)
class Stranded:
    """A village that has ended with households still in it: they count nowhere until they are moved to another one."""

    unit: str
    name: str
    households: int


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


async def overview(tx: AsyncSession, unit: Unit) -> tuple[Counts, list[Counts]]:
    """What is recorded in a unit, and in each village of a commune, or in each commune of what lies above.

    Communes that have not begun their register are not listed; their villages are counted all the same.
    """
    if unit.level in ("village", "commune"):
        below_it = await villages(tx, unit)
        there = len(below_it)
    else:
        below_it = await communes(tx, unit)
        there = (await counts_below(tx, unit.path))["village"]
    fields = ("recorded", "households", "people", "located", "reviewed")
    sums = (sum(getattr(one, name) for one in below_it) for name in fields)
    return Counts(unit.code, unit.name, there, *sums), below_it


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


async def stranded(tx: AsyncSession, commune: Unit) -> list[Stranded]:
    """The villages of a commune that have ended while households are still recorded in them."""
    u, h = unit_table.c, Household
    over = sa.func.coalesce(u.valid_to <= units.today(), sa.false())
    query = (
        sa.select(h.unit, sa.func.max(u.name), sa.func.count(h.id.distinct()))
        .join(unit_table, u.path == h.path)
        .where(below(commune.path), h.ended_at.is_(None))
        .group_by(h.unit)
        .having(sa.func.bool_and(over))
        .order_by(h.unit)
    )
    return [Stranded(*row) for row in await tx.execute(query)]


def names(villages: Iterable[Unit | Counts]) -> dict[str, str]:
    """Code to name of the villages of a commune; two of one name, which a merger brings together, with their codes."""
    pairs = [(one.code if isinstance(one, Unit) else one.unit, one.name) for one in villages]
    often = Counter(plain(name) for _, name in pairs)
    return {code: name if often[plain(name)] == 1 else f"{name} ({code})" for code, name in pairs}


def plain(text: str) -> str:
    """Words as they are compared: without marks, capitals and more than one space."""
    return " ".join(fold(text).split())


def below(path: str) -> sa.ColumnElement[bool]:
    """Of a household: at or below the unit at `path`."""
    return sa.or_(Household.path == path, Household.path.startswith(f"{path}/", autoescape=True))
