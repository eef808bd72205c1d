"""Owns what is read about accounts: the list in a granter's scope, one account, and a person's own export."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import Principal
from chassis.text import fold
from services.identity.accounts import grants
from services.identity.accounts.commands import Tools
from services.identity.accounts.model import Account, Consent, RoleGrant


@dataclass(frozen=True)
class Held:
    """One role of an account."""

    id: uuid.UUID
    role: str
    unit: str
    path: str


@dataclass(frozen=True)
class AccountRow:
    """An account as granters see it: no phone, no citizen number."""

    id: uuid.UUID
    name: str
    username: str | None
    created_at: datetime
    disabled: bool
    grants: tuple[Held, ...]


async def in_scope(
    tx: AsyncSession,
    me: Principal,
    *,
    q: str | None = None,
    role: str | None = None,
    after: uuid.UUID | None = None,
    limit: int = 50,
) -> list[AccountRow]:
    """Accounts that hold a role where `me` may grant, newest first, up to `limit` + 1; two statements in all.

    Those whose role did not go over in a reorganisation are among them until they hold one again.
    """
    mine, current = RoleGrant.account_id == Account.id, RoleGrant.revoked_at.is_(None)
    named = [RoleGrant.role == role] if role else []
    holds = sa.exists().where(mine, current, grants.within(me), *named)
    waits = sa.and_(sa.exists().where(mine, grants.unsettled(me), *named), ~sa.exists().where(mine, current))
    query = sa.select(Account).where(Account.erased_at.is_(None), sa.or_(holds, waits))
    if q:
        like = sa.func.xaso_fold(Account.name).contains(fold(q), autoescape=True)
        query = query.where(sa.or_(like, Account.username.startswith(q.lower(), autoescape=True)))
    if after:
        query = query.where(Account.id < after)
    accounts = list((await tx.scalars(query.order_by(Account.id.desc()).limit(limit + 1))).all())
    return await _rows(tx, accounts)


async def row(tx: AsyncSession, account: Account) -> AccountRow:
    """One account with its roles."""
    return (await _rows(tx, [account]))[0]


async def _rows(tx: AsyncSession, accounts: list[Account]) -> list[AccountRow]:
    query = sa.select(RoleGrant).where(
        RoleGrant.account_id.in_([a.id for a in accounts]), RoleGrant.revoked_at.is_(None)
    )
    held: dict[uuid.UUID, list[Held]] = {}
    for g in await tx.scalars(query.order_by(RoleGrant.granted_at, RoleGrant.id)):
        if g.account_id is not None:
            held.setdefault(g.account_id, []).append(Held(g.id, g.role, g.unit, g.path))
    return [
        AccountRow(a.id, a.name, a.username, a.created_at, a.disabled_at is not None, tuple(held.get(a.id, ())))
        for a in accounts
    ]


async def export(tx: AsyncSession, tools: Tools, account: Account) -> dict[str, Any]:
    """Everything identity keeps about a person, for that person: fields opened, roles and consents with their times."""
    roles = await tx.scalars(sa.select(RoleGrant).where(RoleGrant.account_id == account.id).order_by(RoleGrant.id))
    consents = await tx.scalars(sa.select(Consent).where(Consent.account_id == account.id).order_by(Consent.id))
    return {
        "account": {
            "id": str(account.id),
            "username": account.username,
            "name": account.name,
            "phone": _opened(tools, account.phone_sealed, "account.phone"),
            "citizen_id": _opened(tools, account.citizen_sealed, "account.citizen"),
            "home_unit": account.home_unit,
            "uses_smartphone": account.uses_smartphone,
            "created_at": account.created_at.isoformat(),
            "password_changed_at": account.password_changed_at.isoformat(),
        },
        "roles": [
            {
                "role": r.role,
                "unit": r.unit,
                "granted_at": r.granted_at.isoformat(),
                "revoked_at": r.revoked_at.isoformat() if r.revoked_at else None,
            }
            for r in roles
        ],
        "consents": [
            {
                "purpose": c.purpose,
                "wording": c.wording,
                "given_at": c.given_at.isoformat(),
                "withdrawn_at": c.withdrawn_at.isoformat() if c.withdrawn_at else None,
            }
            for c in consents
        ],
    }


def _opened(tools: Tools, sealed: bytes | None, column: str) -> str | None:
    return tools.sealer.open(sealed, column) if sealed is not None else None
