"""Owns who may give which role on which unit, and the giving and taking itself."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.auth import Grant, Principal, covers
from chassis.db import now, unit_table
from chassis.units import Unit
from services.identity.accounts.model import (
    GRANTABLE,
    MOST_GRANTS,
    ROLE_LEVELS,
    Account,
    NoSuchAccount,
    NoSuchGrant,
    OwnAdmin,
    RoleGrant,
    RoleNotGrantable,
    RoleNotHere,
    TooManyGrants,
)
from services.identity.sessions import endings
from services.identity.staff import register
from services.identity.units.model import Succession, UnsettledRole

GRANTERS = tuple(GRANTABLE)


def may_grant(me: Principal, role: str, path: str) -> bool:
    """Whether `me` may give or take `role` on the unit at `path`."""
    return any(role in GRANTABLE.get(g.role, ()) and covers(g.path, path) for g in me.grants)


def grantable(me: Principal, path: str) -> list[str]:
    """The roles `me` may give on the unit at `path`."""
    return [role for role in ROLE_LEVELS if may_grant(me, role, path)]


def check_may_grant(me: Principal, role: str, path: str) -> None:
    """Raise RoleNotGrantable unless `may_grant`."""
    if not may_grant(me, role, path):
        raise RoleNotGrantable(field="role")


def check_level(role: str, unit: Unit) -> None:
    """Raise RoleNotHere where `role` cannot be held on a unit of that level."""
    if unit.level not in ROLE_LEVELS.get(role, ()):
        raise RoleNotHere(field="unit", unit=unit.name)


def within(me: Principal) -> sa.ColumnElement[bool]:
    """The SQL condition that a grant lies on a unit where `me` may grant roles."""
    paths = {g.path for g in me.grants if g.role in GRANTABLE}
    return sa.or_(
        sa.false(),
        *(sa.or_(RoleGrant.path == p, RoleGrant.path.startswith(f"{p}/", autoescape=True)) for p in sorted(paths)),
    )


def unsettled(me: Principal) -> sa.ColumnElement[bool]:
    """The SQL condition that a grant did not go over in a reorganisation, and that a successor lies in scope of `me`.

    Whoever has the new unit in charge finds the people of the old one by it, and gives them their roles anew.
    """
    paths = sorted({g.path for g in me.grants if g.role in GRANTABLE})
    columns = unit_table.c
    there = sa.or_(
        sa.false(), *(sa.or_(columns.path == p, columns.path.startswith(f"{p}/", autoescape=True)) for p in paths)
    )
    return RoleGrant.id.in_(
        sa.select(UnsettledRole.grant_id)
        .join(
            Succession,
            sa.and_(
                Succession.predecessor == UnsettledRole.unit, Succession.predecessor_from == UnsettledRole.unit_from
            ),
        )
        .join(
            unit_table,
            sa.and_(columns.code == Succession.successor, columns.valid_from == Succession.successor_from),
        )
        .where(there)
    )


async def in_scope(tx: AsyncSession, me: Principal, account_id: uuid.UUID) -> Account:
    """The account, if it holds or held a role on a unit in the scope of `me`; else NoSuchAccount, as if it were not."""
    query = sa.select(Account).where(
        Account.id == account_id,
        Account.erased_at.is_(None),
        sa.exists().where(RoleGrant.account_id == Account.id, sa.or_(within(me), unsettled(me))),
    )
    account = (await tx.execute(query.with_for_update())).scalar_one_or_none()
    if account is None:
        raise NoSuchAccount()
    return account


async def grant(tx: AsyncSession, me: Principal, account_id: uuid.UUID, role: str, unit_code: str) -> RoleGrant:
    """Give `role` on a unit; giving it twice changes nothing. Raises NoSuchAccount, UnknownUnit, RoleNot…, TooMany…."""
    account = await in_scope(tx, me, account_id)
    unit = await units.get(tx, unit_code)
    check_may_grant(me, role, unit.path)
    check_level(role, unit)
    held = await current(tx, account_id)
    for one in held:
        if one.role == role and one.unit == unit.code:
            return one
    if len(held) >= MOST_GRANTS:
        raise TooManyGrants(most=MOST_GRANTS)
    given = RoleGrant(account_id=account.id, role=role, unit=unit.code, path=unit.path, granted_by=me.subject)
    tx.add(given)
    await register.tell(tx, account_id)
    await audit.record(tx, me, action="role.granted", target=str(account.id), unit=unit.code, detail={"role": role})
    return given


async def revoke(tx: AsyncSession, me: Principal, account_id: uuid.UUID, grant_id: uuid.UUID) -> RoleGrant:
    """Take a role back; taking it twice changes nothing. Raises NoSuchAccount, NoSuchGrant, RoleNot…, OwnAdmin."""
    account = await in_scope(tx, me, account_id)
    held = await tx.get(RoleGrant, grant_id, with_for_update=True)
    if held is None or held.account_id != account.id:
        raise NoSuchGrant()
    check_may_grant(me, held.role, held.path)
    if held.role == "admin" and me.subject == str(account.id):
        raise OwnAdmin()
    if held.revoked_at is None:
        held.revoked_at, held.revoked_by = now(), me.subject
        # The role stands in the tokens of every open session: the person signs in again and goes on without it.
        await endings.end(tx, str(account.id))
        await register.tell(tx, account_id)
        await audit.record(
            tx, me, action="role.revoked", target=str(account.id), unit=held.unit, detail={"role": held.role}
        )
    return held


async def current(tx: AsyncSession, account_id: uuid.UUID) -> list[RoleGrant]:
    """The roles an account holds now, the oldest first."""
    query = sa.select(RoleGrant).where(RoleGrant.account_id == account_id, RoleGrant.revoked_at.is_(None))
    return list((await tx.scalars(query.order_by(RoleGrant.granted_at, RoleGrant.id))).all())


def as_claims(held: list[RoleGrant]) -> list[list[str]]:
    """Grants as an access token carries them: the working roles first, for the first grant is where pages open."""
    first = {"admin": 0, "leader": 1, "officer": 2, "village_head": 3, "viewer": 4, "producer": 5}
    ordered = sorted(held, key=lambda g: first.get(g.role, 9))
    return [[g.role, g.unit, g.path] for g in ordered]


def as_grants(held: list[RoleGrant]) -> list[Grant]:
    """Grants as a principal holds them."""
    return [Grant(*claim) for claim in as_claims(held)]
