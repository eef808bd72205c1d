"""Owns the roles that did not go over in a reorganisation: who waits, and giving the role anew or leaving it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from chassis import audit
from chassis.auth import Principal
from chassis.db import now, unit_table
from chassis.errors import Invalid, NotFound
from services.identity.accounts import grants
from services.identity.accounts.model import ROLE_LEVELS, Account, RoleGrant
from services.identity.units.model import AppliedChangeSet, Succession, UnsettledRole


class NothingWaits(NotFound):
    code = "no_such_handover"
    message = "Vai trò này không còn chờ bàn giao."


class NoSuccessor(Invalid):
    code = "no_successor"
    message = "Đơn vị này không tiếp nhận đơn vị cũ, hoặc vai trò không giữ được ở đó."


@dataclass(frozen=True)
class Place:
    """A unit that succeeded the one a role lay on, where the reader may give the role."""

    code: str
    name: str


@dataclass(frozen=True)
class Waiting:
    """A role that waits: whose, on which former unit, why it did not go over, and where it can be given anew."""

    id: uuid.UUID
    account: uuid.UUID
    name: str
    role: str
    unit: str
    unit_from: date
    unit_name: str
    reason: str
    change_set: str
    effective_on: date
    places: tuple[Place, ...]


def _waiting(me: Principal) -> sa.Select[UnsettledRole, uuid.UUID, str, str, date]:
    """What waits where `me` may grant: not settled, and not held again by the same person on a successor."""
    again = aliased(RoleGrant)
    held = sa.exists().where(
        again.account_id == Account.id,
        again.role == UnsettledRole.role,
        again.revoked_at.is_(None),
        Succession.predecessor == UnsettledRole.unit,
        Succession.predecessor_from == UnsettledRole.unit_from,
        Succession.successor == again.unit,
    )
    return (
        sa.select(UnsettledRole, Account.id, Account.name, AppliedChangeSet.title, AppliedChangeSet.effective_on)
        .join(RoleGrant, RoleGrant.id == UnsettledRole.grant_id)
        .join(Account, Account.id == RoleGrant.account_id)
        .join(AppliedChangeSet, AppliedChangeSet.id == UnsettledRole.change_set)
        .where(UnsettledRole.settled_at.is_(None), Account.erased_at.is_(None), grants.unsettled(me), ~held)
    )


async def count(tx: AsyncSession, me: Principal) -> int:
    """How many roles wait for `me`."""
    return int(await tx.scalar(sa.select(sa.func.count()).select_from(_waiting(me).subquery())) or 0)


async def waiting(tx: AsyncSession, me: Principal, *, after: uuid.UUID | None = None, limit: int) -> list[Waiting]:
    """The roles that wait for `me`, up to `limit` + 1."""
    query = _waiting(me)
    if after is not None:
        query = query.where(UnsettledRole.id > after)
    rows = (await tx.execute(query.order_by(UnsettledRole.id).limit(limit + 1))).all()
    return await _described(tx, me, rows)


async def _described(tx: AsyncSession, me: Principal, rows: Sequence[Any]) -> list[Waiting]:
    u = unit_table.c
    former = {(row.UnsettledRole.unit, row.UnsettledRole.unit_from) for row in rows}
    pair = sa.tuple_(Succession.predecessor, Succession.predecessor_from)
    links = await tx.execute(
        sa.select(Succession.predecessor, Succession.predecessor_from, u.code, u.name, u.level, u.path)
        .join(unit_table, sa.and_(u.code == Succession.successor, u.valid_from == Succession.successor_from))
        .where(pair.in_(former), u.valid_to.is_(None))
        .order_by(u.code)
    )
    successors: dict[tuple[str, date], list[Any]] = {}
    for link in links:
        successors.setdefault((link.predecessor, link.predecessor_from), []).append(link)
    named = await tx.execute(sa.select(u.code, u.valid_from, u.name).where(sa.tuple_(u.code, u.valid_from).in_(former)))
    names = {(row.code, row.valid_from): row.name for row in named}
    found = []
    for one, account, name, title, day in rows:
        key = (one.unit, one.unit_from)
        places = tuple(Place(p.code, p.name) for p in successors.get(key, ()) if _fits(me, one.role, p))
        former_name = names.get(key, one.unit)
        found.append(Waiting(one.id, account, name, one.role, *key, former_name, one.reason, title, day, places))
    return found


def _fits(me: Principal, role: str, successor: Any) -> bool:
    return successor.level in ROLE_LEVELS.get(role, ()) and grants.may_grant(me, role, successor.path)


async def _one(tx: AsyncSession, me: Principal, id: uuid.UUID) -> tuple[UnsettledRole, Waiting]:
    """What waits under this id for `me`, held until the end of the transaction; raises NothingWaits."""
    row = (await tx.execute(_waiting(me).where(UnsettledRole.id == id).with_for_update(of=UnsettledRole))).first()
    if row is None:
        raise NothingWaits
    return row.UnsettledRole, (await _described(tx, me, [row]))[0]


async def give(tx: AsyncSession, me: Principal, id: uuid.UUID, unit: str) -> None:
    """Give the role anew on a successor; raises NothingWaits, NoSuccessor, and what `grants.grant` raises."""
    kept, one = await _one(tx, me, id)
    if unit not in {place.code for place in one.places}:
        raise NoSuccessor(field="unit")
    await grants.grant(tx, me, one.account, one.role, unit)
    kept.settled_at, kept.settled_by = now(), me.subject


async def leave(tx: AsyncSession, me: Principal, id: uuid.UUID) -> None:
    """Leave the role ungiven; it can still be given under the account. Raises NothingWaits."""
    kept, one = await _one(tx, me, id)
    if not one.places:
        # Who may not give the role does not decide either that nobody gets it.
        raise NoSuccessor(field="unit")
    kept.settled_at, kept.settled_by = now(), me.subject
    detail = {"role": one.role, "change_set": kept.change_set}
    await audit.record(tx, me, action="role.not_handed_over", target=str(one.account), unit=one.unit, detail=detail)
