"""Owns which phones want the notices of which village; a phone has no name here and needs no account."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.db import new_id, now
from services.media.notices.model import Push, Subscription, Topic, VillageFull
from services.media.notices.push import Phone, fingerprint
from services.media.speakers.commands import village
from services.media.vault import vault_for


async def subscribe(
    tx: AsyncSession, secret: str, phone: Phone, *, unit: str, topics: Collection[Topic], most: int
) -> Subscription:
    """Let `phone` have the notices of a village, those on `topics` (none named: all); the last word counts.

    Raises UnknownUnit, NotAVillage, or VillageFull where `most` phones have subscribed.
    """
    place = await village(tx, unit)
    mark = fingerprint(secret, phone.endpoint)
    others = sa.select(sa.func.count()).where(Subscription.unit == place.code, Subscription.fingerprint != mark)
    if int(await tx.scalar(others) or 0) >= most:
        raise VillageFull(field="unit", unit=place.name)
    chosen = sorted({str(t) for t in topics})
    said = {"topics": chosen if len(chosen) < len(Topic) else [], "path": place.path, "failures": 0}
    said["sealed"] = vault_for(secret).seal(phone.packed(), owner=mark.hex())
    row = insert(Subscription).values(id=new_id(), unit=place.code, fingerprint=mark, created_at=now(), **said)
    row = row.on_conflict_do_update(index_elements=["fingerprint", "unit"], set_=said)
    found = await tx.scalars(row.returning(Subscription), execution_options={"populate_existing": True})
    return found.one()


async def of_phone(tx: AsyncSession, secret: str, endpoint: str) -> Sequence[Subscription]:
    """What the phone at `endpoint` subscribed to; whoever knows the address is the phone."""
    query = sa.select(Subscription).where(Subscription.fingerprint == fingerprint(secret, endpoint))
    return (await tx.scalars(query.order_by(Subscription.unit))).all()


async def end(tx: AsyncSession, secret: str, endpoint: str, unit: str | None) -> int:
    """Forget the phone at `endpoint`, for one village or altogether; returns how many subscriptions are gone."""
    rows = await of_phone(tx, secret, endpoint)
    return await forget(tx, [row.id for row in rows if unit is None or row.unit == unit])


async def follow(tx: AsyncSession, predecessor: units.Unit, successor: units.Unit) -> None:
    """Phones of a village that went over to another as a whole follow that one from now on."""
    phones = sa.select(Subscription.fingerprint).where(Subscription.unit == successor.code)
    both = sa.select(Subscription.id).where(Subscription.unit == predecessor.code, Subscription.fingerprint.in_(phones))
    await forget(tx, (await tx.scalars(both)).all())
    moved = sa.update(Subscription).where(Subscription.unit == predecessor.code)
    await tx.execute(moved.values(unit=successor.code, path=successor.path))


async def forget(tx: AsyncSession, ids: Collection[uuid.UUID]) -> int:
    """Delete subscriptions; what was still on its way to them is not sent, what they received stays counted."""
    # Subscription before pushes: everybody locks in this order.
    locked = sa.select(Subscription.id).where(Subscription.id.in_(ids)).order_by(Subscription.id).with_for_update()
    there = (await tx.scalars(locked)).all()
    on_its_way = sa.update(Push).where(Push.subscription_id.in_(there), Push.next_try_at.is_not(None))
    await tx.execute(on_its_way.values(next_try_at=None).execution_options(synchronize_session=False))
    gone = sa.delete(Subscription).where(Subscription.id.in_(there))
    await tx.execute(gone.execution_options(synchronize_session=False))
    return len(there)
