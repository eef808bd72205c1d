"""Owns what a reorganisation does to people's roles, homes and listings, to digital teams and to households.

Where a unit went over whole, what lay on it goes to the successor: residents, producers, village heads, officers and
viewers stay what they were. Three things do not go over by themselves and are listed for people to settle: every role
on a unit that was split or ended without a successor; the posts of leader and administrator of a unit that was merged
with others, for such posts are filled anew; and every role on a province or district that became part of another one.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import session_mark
from chassis.db import new_id, now
from chassis.units import Unit
from services.identity.accounts.model import ROLE_LEVELS, RoleGrant
from services.identity.sessions.model import EndedSession
from services.identity.units.batches import BATCH, batches
from services.identity.units.model import UnsettledRole
from services.identity.units.planning import Plan, Succeeds, identity

POSTS = ("leader", "admin")
"""Roles that are posts: in a merged unit somebody has to be appointed to them anew."""

SPLIT = "the unit was split"
GONE = "the unit ended without a successor"
POST = "the unit was merged: its posts are filled anew"
LARGER = "the unit became part of another one"
NO_LEVEL = "the role cannot lie on the successor"

_HOMES = sa.text("""
    UPDATE account SET home_unit = m.new
    FROM unnest(CAST(:old AS text[]), CAST(:new AS text[])) AS m (old, new) WHERE home_unit = m.old
""")
_CONTACTS = sa.text("""
    UPDATE staff_contact SET unit = m.new, path = m.new_path
    FROM unnest(CAST(:new AS text[]), CAST(:old_path AS text[]), CAST(:new_path AS text[]))
        AS m (new, old_path, new_path)
    WHERE path = m.old_path
""")
_TEAMS = sa.text("""
    UPDATE team SET path = m.new_path
    FROM unnest(CAST(:old_path AS text[]), CAST(:new_path AS text[])) AS m (old_path, new_path)
    WHERE path = m.old_path
""")
_HOUSEHOLDS = sa.text("""
    UPDATE household SET path = m.new_path
    FROM unnest(CAST(:old_path AS text[]), CAST(:new_path AS text[])) AS m (old_path, new_path)
    WHERE path = m.old_path
""")


@dataclass(frozen=True)
class Unsettled:
    """A role that does not go over, and why."""

    grant: Any
    unit: Unit
    reason: str


@dataclass
class Roles:
    """What becomes of the roles on the units that end: those that go to a successor, and those to settle."""

    carried: list[tuple[Any, Unit]] = field(default_factory=list)
    unsettled: list[Unsettled] = field(default_factory=list)


async def roles(tx: AsyncSession, made: Plan) -> Roles:
    """Decide about every role that lies on a unit which the plan ends; writes nothing."""
    ended = {unit.path: unit for unit in made.ends}
    links: dict[Any, list[Succeeds]] = {}
    for link in made.links:
        links.setdefault(identity(link.predecessor), []).append(link)
    merged = Counter(identity(link.successor) for link in made.links)
    found = Roles()
    for grant in await _on(tx, list(ended)):
        unit = ended[grant.path]
        reason, successor = _decide(grant.role, unit, links.get(identity(unit), []), merged)
        if reason or successor is None:
            found.unsettled.append(Unsettled(grant, unit, reason))
        else:
            found.carried.append((grant, successor))
    return found


def _decide(role: str, unit: Unit, links: Sequence[Succeeds], merged: Counter[Any]) -> tuple[str, Unit | None]:
    if len(links) != 1 or links[0].share != 1:
        return (SPLIT if links else GONE), None
    successor = links[0].successor
    alone = merged[identity(successor)] == 1
    if unit.level in ("province", "district") and not (alone and successor.code == unit.code):
        return LARGER, None
    if role in ROLE_LEVELS and successor.level not in ROLE_LEVELS[role]:
        return NO_LEVEL, None
    if role in POSTS and not alone:
        return POST, None
    return "", successor


async def _on(tx: AsyncSession, paths: list[str]) -> list[Any]:
    """The roles held now on any of the paths."""
    columns = (RoleGrant.id, RoleGrant.account_id, RoleGrant.client_id, RoleGrant.role, RoleGrant.unit, RoleGrant.path)
    there = RoleGrant.path == sa.any_(sa.literal(paths, sa.ARRAY(sa.Text)))
    query = sa.select(*columns).where(there, RoleGrant.revoked_at.is_(None))
    return list((await tx.execute(query.order_by(RoleGrant.id))).all())


async def carry(tx: AsyncSession, made: Plan) -> Roles:
    """Let everything that lies on ended units go over with them; returns what became of the roles."""
    found = await roles(tx, made)
    by = f"change_set:{made.change_set.id}"
    await _revoke(tx, [g for g, _ in found.carried] + [u.grant for u in found.unsettled], by)
    # Two roles of one person may meet in one successor: it is one role there.
    new: dict[tuple[Any, ...], dict[str, Any]] = {}
    for grant, unit in found.carried:
        holder = (grant.account_id, grant.client_id, grant.role, unit.code)
        new.setdefault(
            holder,
            {
                "id": new_id(),
                "account_id": grant.account_id,
                "client_id": grant.client_id,
                "role": grant.role,
                "unit": unit.code,
                "path": unit.path,
                "granted_by": by,
                "granted_at": now(),
            },
        )
    for part in batches(list(new.values()), BATCH):
        await tx.execute(insert(RoleGrant), part)
    for listed in batches(found.unsettled, BATCH):
        await tx.execute(insert(UnsettledRole), [_listed(made.change_set.id, one) for one in listed])
    await _places(tx, made)
    return found


def _listed(change_set: str, one: Unsettled) -> dict[str, Any]:
    return {
        "id": new_id(),
        "change_set": change_set,
        "grant_id": one.grant.id,
        "role": one.grant.role,
        "unit": one.unit.code,
        "unit_from": one.unit.valid_from,
        "reason": one.reason,
    }


async def _revoke(tx: AsyncSession, grants: Sequence[Any], by: str) -> None:
    """End the roles, and the sessions whose tokens still carry them: the next sign-in brings the new ones."""
    at = now()
    for part in batches(grants, BATCH):
        await tx.execute(
            sa.update(RoleGrant)
            .where(RoleGrant.id.in_([g.id for g in part]))
            .values(revoked_at=at, revoked_by=by)
            .execution_options(synchronize_session=False)
        )
        marks = _marks(g.account_id for g in part if g.account_id is not None)
        if marks:
            ended = insert(EndedSession).values([{"mark": mark, "ended_at": at} for mark in marks])
            again = ended.on_conflict_do_update(index_elements=["mark"], set_={"ended_at": ended.excluded.ended_at})
            await tx.execute(again)


def _marks(accounts: Iterable[uuid.UUID]) -> list[str]:
    return sorted({session_mark(str(account)) for account in accounts})


async def _places(tx: AsyncSession, made: Plan) -> None:
    """Homes, listed contacts, teams and households of units that went over whole."""
    split = Counter(identity(link.predecessor) for link in made.links)
    whole = [link for link in made.links if link.share == 1 and split[identity(link.predecessor)] == 1]
    for part in batches(whole, BATCH):
        await tx.execute(_CONTACTS, _moves(part, code=True))
        villages = [k for k in part if k.predecessor.level == "village"]
        if villages:
            await tx.execute(_TEAMS, _moves(villages, code=False))
            await tx.execute(_HOUSEHOLDS, _moves(villages, code=False))
    # One statement for all: a code that is given out anew on the day must not be moved twice.
    if whole:
        homes = {"old": [k.predecessor.code for k in whole], "new": [k.successor.code for k in whole]}
        await tx.execute(_HOMES, homes)


def _moves(links: Sequence[Succeeds], *, code: bool) -> dict[str, list[str]]:
    moves = {"old_path": [k.predecessor.path for k in links], "new_path": [k.successor.path for k in links]}
    return {**moves, "new": [k.successor.code for k in links]} if code else moves
