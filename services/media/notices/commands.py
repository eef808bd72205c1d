"""Owns what happens to notices: written, published, received, withdrawn; and the rules of waste collection."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, time, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.media.v1 import events_pb2 as events

from chassis import audit, outbox, units
from chassis.auth import STAFF, Principal
from chassis.db import now
from chassis.errors import NotFound
from services.media.facts import timestamp
from services.media.notices.model import (
    ForeignVillage,
    Notice,
    Push,
    Status,
    Subscription,
    Topic,
    Waste,
    WasteRule,
    WrongDays,
    WrongPlace,
    WrongTime,
)
from services.media.speakers.commands import village
from services.media.speakers.queries import below

LONGEST_WAIT = timedelta(days=366)
TELL_EVERY = timedelta(minutes=1)
HEAD_START = timedelta(days=1)
"""What is about weather and disasters goes before everything that waits, as if it had waited longest."""

NoticeEvent = events.NoticePublished | events.NoticeReceived | events.NoticeWithdrawn


def public_state(row: Notice) -> events.Notice:
    """What others learn of a notice: counts, and nothing of any phone."""
    return events.Notice(
        id=str(row.id),
        unit=row.unit,
        commune=row.commune,
        topic=row.topic,
        status=row.status,
        published_at=timestamp(row.published_at),
        subscriptions=row.subscriptions,
        received=row.received,
        opened=row.opened,
    )


async def write(
    tx: AsyncSession,
    me: Principal,
    *,
    unit: str,
    villages: Collection[str],
    topic: Topic,
    title: str,
    text: str,
    publish_at: datetime | None,
    hours: int,
) -> Notice:
    """Write a notice for a village, or for a commune or some of its villages; without `publish_at` it goes out at once.

    Phones that are off for `hours` after it was published do not get it any more. Raises UnknownUnit, WrongPlace,
    ForeignVillage, WrongTime.
    """
    at = now()
    place, chosen = await _addressed(tx, unit, villages)
    me.require(STAFF, place.path)
    if publish_at is not None and not at < publish_at < at + LONGEST_WAIT:
        raise WrongTime(field="publish_at")
    goes_out = publish_at or at
    notice = Notice(
        unit=place.code,
        commune=place.commune,
        path=place.path,
        villages=chosen,
        topic=topic.value,
        title=title,
        text=text,
        status=Status.SCHEDULED,
        publish_at=goes_out,
        expires_at=goes_out + timedelta(hours=hours),
        created_at=at,
        created_by=me.subject,
    )
    tx.add(notice)
    await tx.flush()
    detail = {"topic": topic.value, "villages": chosen}
    await audit.record(tx, me, action="notice.written", target=str(notice.id), unit=place.code, detail=detail)
    if publish_at is None:
        await publish(tx, notice, at)
    return notice


async def _addressed(tx: AsyncSession, unit: str, villages: Collection[str]) -> tuple[units.Unit, list[str]]:
    """The unit a notice belongs to and the villages it names (none: all of a commune)."""
    place = await units.get(tx, unit)
    if place.level == "village":
        if set(villages) - {place.code}:
            raise ForeignVillage(field="villages", unit=place.name)
        return place, [place.code]
    if place.level != "commune":
        raise WrongPlace(field="unit", name=place.name)
    there = {child.code: child for child in await units.children(tx, place.code)}
    chosen = sorted(set(villages))
    if not there.keys() >= set(chosen):
        raise ForeignVillage(field="villages", unit=place.name)
    return (there[chosen[0]] if len(chosen) == 1 else place), chosen


async def publish(tx: AsyncSession, notice: Notice, at: datetime) -> None:
    """Make a locked or new notice public and put it on its way to every phone that asked for such."""
    wanted = sa.select(Subscription.id).where(
        sa.or_(Subscription.topics == [], Subscription.topics.contains([notice.topic]))
    )
    if notice.villages:
        wanted = wanted.where(Subscription.unit.in_(notice.villages))
    else:
        wanted = wanted.where(below(Subscription.path, notice.path))
    # A phone that follows two villages of a commune gets what is for both of them once.
    once = wanted.ext(distinct_on(Subscription.fingerprint)).order_by(Subscription.fingerprint)
    # Locked against being forgotten meanwhile; who just was is left out. All in the database: they may be thousands.
    there = sa.select(Subscription.id).where(Subscription.id.in_(once)).order_by(Subscription.id)
    phones = there.with_for_update(read=True, key_share=True).subquery()
    first_try = at - HEAD_START if notice.topic == Topic.CLIMATE else at
    rows = sa.select(sa.func.uuidv7(), sa.literal(notice.id), phones.c.id, sa.literal(first_try), sa.literal(0))
    columns = ["id", "notice_id", "subscription_id", "next_try_at", "attempts"]
    made = await tx.execute(sa.insert(Push).from_select(columns, rows))
    notice.publish(at, int(made.rowcount))  # type: ignore[attr-defined]  # an INSERT counts its rows.
    await tell(tx, notice, events.NoticePublished(notice=public_state(notice)), at)


async def tell(tx: AsyncSession, notice: Notice, message: NoticeEvent, at: datetime) -> None:
    """Tell others how a notice stands now."""
    notice.told_received, notice.told_opened, notice.told_at = notice.received, notice.opened, at
    await tx.flush()
    await outbox.add(tx, message, unit=notice.unit, key=notice.commune, subject=str(notice.id))


async def publish_due(tx: AsyncSession, at: datetime, limit: int = 20) -> int:
    """Publish the notices whose time has come; replicas share them."""
    due = sa.select(Notice).where(Notice.status == Status.SCHEDULED, Notice.publish_at <= at)
    due = due.order_by(Notice.publish_at).limit(limit).with_for_update(skip_locked=True, key_share=True)
    rows = (await tx.scalars(due)).all()
    for notice in rows:
        await publish(tx, notice, at)
    return len(rows)


async def withdraw(tx: AsyncSession, me: Principal, notice_id: uuid.UUID) -> Notice:
    """Take a notice back: it is not shown, not sent to further phones, and proves nothing. Raises NoticeWithdrawn."""
    notice = await tx.get(Notice, notice_id, with_for_update={"key_share": True})
    if notice is None:
        raise NotFound
    me.require(STAFF, notice.path, hide=True)
    at = now()
    was_public = notice.withdraw(at)
    waiting = sa.update(Push).where(Push.notice_id == notice.id, Push.next_try_at.is_not(None))
    await tx.execute(waiting.values(next_try_at=None).execution_options(synchronize_session=False))
    await tx.flush()
    if was_public:
        await tell(tx, notice, events.NoticeWithdrawn(notice=public_state(notice)), at)
    await audit.record(tx, me, action="notice.withdrawn", target=str(notice.id), unit=notice.unit, detail={})
    return notice


async def acknowledge(tx: AsyncSession, push_id: uuid.UUID, *, opened: bool) -> None:
    """A phone says that a push arrived, or was opened; said again it changes nothing. Raises NotFound."""
    found = await tx.scalar(sa.select(Push.notice_id).where(Push.id == push_id))
    if found is None:
        raise NotFound
    # Notice before push: everybody locks in this order.
    notice = await tx.get_one(Notice, found, with_for_update={"key_share": True}, populate_existing=True)
    push = await tx.get_one(Push, push_id, with_for_update={"key_share": True}, populate_existing=True)
    at = now()
    if push.received_at is None:
        push.received_at = at
        notice.received += 1
    if opened and push.opened_at is None:
        push.opened_at = at
        notice.opened += 1
    await tx.flush()
    # The first phone is news, the others are told of together.
    if notice.received == 1 and notice.told_received == 0:
        await tell(tx, notice, events.NoticeReceived(notice=public_state(notice)), at)


async def tell_grown(tx: AsyncSession, at: datetime, limit: int = 50) -> int:
    """Tell of notices that reached more phones since they were told of, each at most once in TELL_EVERY."""
    grown = sa.or_(Notice.received > Notice.told_received, Notice.opened > Notice.told_opened)
    rows = sa.select(Notice).where(grown, Notice.told_at <= at - TELL_EVERY)
    rows = rows.order_by(Notice.told_at).limit(limit).with_for_update(skip_locked=True, key_share=True)
    found: Sequence[Notice] = (await tx.scalars(rows)).all()
    for notice in found:
        await tell(tx, notice, events.NoticeReceived(notice=public_state(notice)), at)
    return len(found)


async def enter_rule(
    tx: AsyncSession,
    me: Principal,
    *,
    unit: str,
    kind: Waste,
    weekdays: Collection[int],
    month_days: Collection[int],
    at: time,
) -> WasteRule:
    """Say when a kind of waste is collected in a village; raises UnknownUnit, NotAVillage, WrongDays."""
    place = await village(tx, unit)
    me.require(STAFF, place.path)
    if bool(weekdays) == bool(month_days):
        raise WrongDays(field="weekdays")
    rule = WasteRule(
        unit=place.code,
        path=place.path,
        kind=kind.value,
        weekdays=sorted(set(weekdays)),
        month_days=sorted(set(month_days)),
        at=at,
        created_at=now(),
    )
    tx.add(rule)
    await tx.flush()
    await audit.record(
        tx, me, action="waste_rule.entered", target=str(rule.id), unit=place.code, detail={"kind": kind.value}
    )
    return rule


async def end_rule(tx: AsyncSession, me: Principal, rule_id: uuid.UUID) -> WasteRule:
    """The collection is no more; repeated calls change nothing. Reminders that went out stay."""
    rule = await tx.get(WasteRule, rule_id, with_for_update={"key_share": True})
    if rule is None:
        raise NotFound
    me.require(STAFF, rule.path, hide=True)
    if rule.ended_at is None:
        rule.ended_at = now()
        await tx.flush()
        await audit.record(tx, me, action="waste_rule.ended", target=str(rule.id), unit=rule.unit, detail={})
    return rule
