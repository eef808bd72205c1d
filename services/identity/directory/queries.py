"""Owns what the public reads: the staff of a unit who agreed to be listed, and still serve there."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.text import fold
from services.identity.accounts.model import LISTED_ROLES, Account, RoleGrant
from services.identity.directory.model import StaffContact


@dataclass(frozen=True)
class Entry:
    """One line of the directory."""

    account_id: uuid.UUID
    unit: str
    path: str
    name: str
    position: str
    phone: str
    email: str


async def entries(
    tx: AsyncSession,
    *,
    within: str | None = None,
    q: str | None = None,
    after: tuple[str, uuid.UUID] | None = None,
    limit: int = 50,
) -> list[Entry]:
    """Listed staff at or below the unit path `within`, by unit, up to `limit` + 1."""
    query = _listed(sa.select(StaffContact, Account.name), within)
    if q:
        folded = sa.func.xaso_fold(Account.name + " " + StaffContact.position)
        query = query.where(folded.contains(fold(q), autoescape=True))
    place = sa.tuple_(StaffContact.path, StaffContact.account_id)
    if after:
        query = query.where(place > sa.tuple_(*map(sa.literal, after)))
    rows = await tx.execute(query.order_by(StaffContact.path, StaffContact.account_id).limit(limit + 1))
    return [Entry(c.account_id, c.unit, c.path, name, c.position, c.phone, c.email) for c, name in rows]


async def contact_of(tx: AsyncSession, account_id: uuid.UUID) -> StaffContact | None:
    """What one person agreed to show, None where they are not listed."""
    return await tx.get(StaffContact, account_id)


async def count(tx: AsyncSession, within: str | None) -> int:
    """How many people are listed at or below the unit path `within`."""
    query = _listed(sa.select(sa.func.count()).select_from(StaffContact), within)
    return int(await tx.scalar(query) or 0)


def _listed(query: Any, within: str | None) -> Any:
    """Only those who still serve the unit they are listed under, at or below `within`."""
    serving = sa.exists().where(
        RoleGrant.account_id == StaffContact.account_id,
        RoleGrant.unit == StaffContact.unit,
        RoleGrant.role.in_(LISTED_ROLES),
        RoleGrant.revoked_at.is_(None),
    )
    query = query.join(Account, Account.id == StaffContact.account_id)
    query = query.where(serving, Account.erased_at.is_(None), Account.disabled_at.is_(None))
    if within:
        below = StaffContact.path.startswith(f"{within}/", autoescape=True)
        query = query.where(sa.or_(StaffContact.path == within, below))
    return query
