"""Who reaches which petition: the one visibility condition, the one loader, and the colleagues of a unit."""

from __future__ import annotations

import re
import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import STAFF, Principal
from chassis.units import Unit
from services.petitions.model import Officer, Petition, PetitionNotFound

CODE = re.compile(r"^PA-\d{4}-\d{6,12}$")


def under(path: str) -> sa.ColumnElement[bool]:
    """Petitions of the unit at `path` and of everything below it."""
    return sa.or_(Petition.path == path, Petition.path.startswith(f"{path}/", autoescape=True))


def inside(unit: Unit) -> sa.ColumnElement[bool]:
    """Petitions of `unit` and of everything below it, said so that the index of its commune serves them."""
    if unit.level == "commune":
        return Petition.commune == unit.code
    if unit.level == "village":
        return sa.and_(Petition.commune == unit.commune, Petition.village == unit.code)
    return under(unit.path)


def visible_to(me: Principal | None) -> sa.ColumnElement[bool]:
    """Public petitions, one's own, and those of the units one works for. Security tips are never public."""
    conditions: list[sa.ColumnElement[bool]] = [Petition.public.is_(True)]
    if me is not None:
        conditions.append(Petition.reporter == me.subject)
        conditions.extend(under(grant.path) for grant in me.grants if grant.role in STAFF)
    return sa.or_(*conditions)


async def petition(tx: AsyncSession, me: Principal | None, id_or_code: str, *, for_update: bool = False) -> Petition:
    """The petition with this id or code; PetitionNotFound also where `me` may not see it."""
    query = sa.select(Petition)
    try:
        query = query.where(Petition.id == uuid.UUID(id_or_code))
    except ValueError:
        code = id_or_code.strip().upper()
        if not CODE.match(code):
            raise PetitionNotFound from None
        query = query.where(Petition.code == code)
    found = (await tx.scalars(query.with_for_update() if for_update else query)).first()
    if found is None or not found.is_visible_to(me):
        raise PetitionNotFound
    return found


def prefixes(path: str) -> list[str]:
    """The paths of a unit and of all units above it."""
    codes = path.split("/")
    return ["/".join(codes[: n + 1]) for n in range(len(codes))]


async def officers(tx: AsyncSession, path: str) -> list[Officer]:
    """Staff who have acted for the unit at `path` or for one above it, by name."""
    query = sa.select(Officer).where(Officer.path.in_(prefixes(path))).order_by(Officer.name, Officer.subject)
    return list((await tx.scalars(query)).all())
