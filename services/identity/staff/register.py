"""Owns what is told of the staff of communes and villages: an event for each post that is not as it was last told.

What is to be told follows from accounts, roles and the directory; what was told stands in `staff_post`. Whatever
changes the one calls `tell` in the same transaction, and only differences become events. So telling twice changes
nothing, and `tell_everywhere` tells what no command told: posts from before there was a register, a village that ended.

Telling holds locks until the transaction ends, so it comes last, after every row that others may be waiting for: a
reorganisation, which tells of everybody, holds rows of many accounts.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as events

from chassis import outbox, units
from chassis.db import new_id, unit_table
from chassis.outbox import Outgoing
from chassis.units import Unit
from services.identity.accounts.model import LISTED_ROLES, Account, RoleGrant
from services.identity.directory.model import StaffContact
from services.identity.staff.model import StaffPost
from services.identity.units.batches import batches

BATCH = 500
"""Posts told in one statement."""
_LOCK = "staff-register"
_WORKING = (
    RoleGrant.role.in_(LISTED_ROLES),
    RoleGrant.revoked_at.is_(None),
    unit_table.c.level.in_(("commune", "village")),
)
"""Whom the register counts: who holds a working role on a commune or a village."""
_FIELDS = ("path", "level", "contact_public", "mobile_internet")


async def tell(tx: AsyncSession, account_id: uuid.UUID) -> None:
    """Tell what became of the posts of one person, and of their colleagues where one answer makes it known of all."""
    await tx.flush()
    held = (
        sa.select(RoleGrant.path, unit_table.c.level)
        .join(unit_table, _stands(units.today()))
        .where(RoleGrant.account_id == account_id, *_WORKING)
    )
    told = sa.select(StaffPost.path, StaffPost.level).where(StaffPost.account_id == account_id)
    places = (await tx.execute(sa.union(held, told))).all()
    await tell_communes(tx, {path if level == "commune" else path.rpartition("/")[0] for path, level in places})


async def tell_communes(tx: AsyncSession, communes: set[str]) -> None:
    """Tell what became of the posts in the communes at these paths and in their villages."""
    if not communes:
        return
    await tx.flush()
    # Who tells of a commune sees what others told before: its staff is either asked already, or nobody was.
    await tx.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(sa.func.hashtext(_LOCK))))
    for path in sorted(communes):
        await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"{_LOCK}-{path}"))))
    await _tell(tx, sorted(communes))


async def tell_everywhere(tx: AsyncSession) -> int:
    """Tell every post that is not as it was last told; returns how many were told."""
    await tx.flush()
    await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(_LOCK))))
    return await _tell(tx, None)


async def serves(tx: AsyncSession, account_id: uuid.UUID) -> bool:
    """Whether the person is in the register: they serve a commune or a village, and their account is open."""
    return bool(await tx.scalar(sa.select(sa.exists().where(StaffPost.account_id == account_id))))


async def _tell(tx: AsyncSession, communes: Sequence[str] | None) -> int:
    differing = (await tx.execute(_differing(communes, units.today()))).all()
    told = [_told(row) for row in differing]
    for part in batches(told, BATCH):
        await _keep(tx, [post for post, _ in part])
        await outbox.add_all(tx, [outgoing for _, outgoing in part])
    return len(told)


def _told(row: Any) -> tuple[dict[str, Any], Outgoing]:
    """The post as it is kept from now on, and its event. A post nobody holds any more has no fields but its id."""
    serving = row.wanted_path is not None
    path, level = (row.wanted_path, row.wanted_level) if serving else (row.path, row.level)
    post = {
        "id": row.id or new_id(),
        "account_id": row.account_id,
        "unit": row.unit,
        "path": path,
        "level": level,
        "contact_public": serving and row.wanted_contact_public,
        "mobile_internet": row.wanted_mobile_internet if serving else "",
        "serving": serving,
    }
    member = events.StaffMember(
        id=str(post["id"]),
        unit=row.unit,
        level=level,
        serving=serving,
        contact_public=post["contact_public"],
        mobile_internet=post["mobile_internet"],
    )
    # The outbox asks a unit for its code and its commune; a unit that ended is described by nothing else any more.
    place = Unit(row.unit, "", level, "", "", path, date.min)
    return post, Outgoing(events.StaffMemberChanged(member=member), place, str(post["id"]))


async def _keep(tx: AsyncSession, posts: Sequence[dict[str, Any]]) -> None:
    await tx.execute(
        sa.delete(StaffPost)
        .where(StaffPost.id.in_([post["id"] for post in posts]))
        .execution_options(synchronize_session=False)
    )
    serving = [{k: v for k, v in post.items() if k != "serving"} for post in posts if post["serving"]]
    if serving:
        await tx.execute(sa.insert(StaffPost), serving)


def _differing(communes: Sequence[str] | None, day: date) -> sa.Select[Any]:
    """The posts that are not as they were last told, with both states; None where one of them is not."""
    wanted = _wanted(communes, day)
    told = sa.select(StaffPost).where(_below(StaffPost.path, communes)).subquery("told")
    same = sa.and_(wanted.c.account_id == told.c.account_id, wanted.c.unit == told.c.unit)
    return (
        sa.select(
            told.c.id,
            sa.func.coalesce(wanted.c.account_id, told.c.account_id).label("account_id"),
            sa.func.coalesce(wanted.c.unit, told.c.unit).label("unit"),
            told.c.path,
            told.c.level,
            *(wanted.c[name].label(f"wanted_{name}") for name in _FIELDS),
        )
        .select_from(sa.join(wanted, told, same, full=True))
        .where(sa.or_(*(wanted.c[name].is_distinct_from(told.c[name]) for name in _FIELDS)))
        .order_by("unit", "account_id")
    )


def _wanted(communes: Sequence[str] | None, day: date) -> sa.Subquery:
    """Who serves where today, as it is to be told."""
    u = unit_table.c
    held = (
        sa.select(RoleGrant.account_id, RoleGrant.unit, RoleGrant.path, u.level, u.parent, Account.uses_smartphone)
        .distinct()
        .join(Account, Account.id == RoleGrant.account_id)
        .join(unit_table, _stands(day))
        .where(
            *_WORKING,
            Account.disabled_at.is_(None),
            Account.erased_at.is_(None),
            _below(RoleGrant.path, communes),
        )
        .subquery("held")
    )
    commune = sa.case((held.c.level == "commune", held.c.unit), else_=held.c.parent)
    asked = sa.func.bool_or(held.c.uses_smartphone.is_not(None)).over(partition_by=commune)
    # A listing without any way to reach the person is a name, no contact.
    listed = sa.exists().where(
        StaffContact.account_id == held.c.account_id,
        StaffContact.unit == held.c.unit,
        sa.or_(StaffContact.phone != "", StaffContact.email != ""),
    )
    answer = sa.case(
        (held.c.uses_smartphone.is_(True), "yes"),
        (held.c.uses_smartphone.is_(False), "no"),
        (asked, "unasked"),
        else_="",
    )
    return sa.select(
        held.c.account_id,
        held.c.unit,
        held.c.path,
        held.c.level,
        listed.label("contact_public"),
        answer.label("mobile_internet"),
    ).subquery("wanted")


def _below(path: Any, communes: Sequence[str] | None) -> sa.ColumnElement[bool]:
    """At or below one of the paths; None: anywhere."""
    if communes is None:
        return sa.true()
    return sa.or_(sa.false(), *(sa.or_(path == one, path.startswith(f"{one}/", autoescape=True)) for one in communes))


def _stands(day: date) -> sa.ColumnElement[bool]:
    """Joins a role to the unit it lies on, which is there on `day`."""
    u = unit_table.c
    there = sa.and_(u.code == RoleGrant.unit, u.path == RoleGrant.path)
    return sa.and_(there, u.valid_from <= day, sa.or_(u.valid_to.is_(None), u.valid_to > day))
