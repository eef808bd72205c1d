"""Owns the loop that publishes what is due, reminds of collections and carries pushes; replicas share it by claims."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import telemetry
from chassis.db import Sessions, now
from services.media.notices import commands, reminding, subscribing
from services.media.notices.model import Notice, Push, Subscription, Topic
from services.media.notices.push import MAX_TEXT, Answer, Outcome, Phone, Post, ticket, vapid_for
from services.media.settings import Settings
from services.media.vault import VaultClosed, vault_for

log = telemetry.logger(__name__)

LEASE = timedelta(seconds=60)
"""A process that dies on the way gives up what it carried after so long."""
MOST_BACKOFF = 1800.0
"""Seconds between two attempts where the push service does not ask for more."""
MOST_FAILURES = 5
"""Notices in a row that a phone did not get after which its subscription is taken for broken."""
KEPT = timedelta(days=60)
"""Which phone got what is forgotten after so long; the counts of the notice stay."""
_SWEEP_SECONDS = 600.0
_COMPLAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Due:
    """A push to be tried now."""

    id: uuid.UUID
    subscription: uuid.UUID
    fingerprint: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    attempts: int
    notice: uuid.UUID
    topic: str
    title: str
    text: str
    expires_at: datetime


class Sender:
    """Publishes, reminds, and sends up to `push_parallel` pushes at once."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self._sessions = sessions
        self._settings = settings
        self._secret = settings.secret.get_secret_value()
        self._swept = -_SWEEP_SECONDS
        self._complained = -_COMPLAIN_SECONDS

    async def run(self) -> None:
        """Work until cancelled; a database that is away is waited for."""
        settings = self._settings
        post = Post(
            vapid_for(self._secret, settings.push_from),
            host=settings.push_host,
            timeout=settings.push_timeout_seconds,
        )
        try:
            # Apart from each other: what is due is published however long the push services take.
            await asyncio.gather(self._again(self.upkeep), self._again(lambda: self.carry(post)))
        finally:
            await post.close()

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:
                log.warning("notice_round_failed", error=type(error).__name__)
            await asyncio.sleep(self._settings.push_poll_seconds)

    async def upkeep(self) -> None:
        """Publish what is due, remind of collections, tell how many phones were reached, forget what is long past."""
        at = now()
        for work in (commands.publish_due, reminding.remind, commands.tell_grown):
            async with self._sessions.begin() as tx:
                await work(tx, at)
        if time.monotonic() - self._swept > _SWEEP_SECONDS:
            self._swept = time.monotonic()
            async with self._sessions.begin() as tx:
                await forget_old(tx, at)

    async def carry(self, post: Post) -> None:
        """Carry pushes until none is due; one that takes long holds up none of the others."""
        most = self._settings.push_parallel
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                async with self._sessions.begin() as tx:
                    due, seen = await take_due(tx, now(), limit=most - len(under_way))
                under_way |= {asyncio.create_task(self._carry(post, one)) for one in due}
                if not seen and not under_way:
                    return
                if not seen or len(under_way) == most:
                    pause = self._settings.push_poll_seconds
                    _, under_way = await asyncio.wait(under_way, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                else:
                    under_way = {task for task in under_way if not task.done()}
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _carry(self, post: Post, due: Due) -> None:
        try:
            answer = await self._sent(post, due)
            async with self._sessions.begin() as tx:
                await settle(tx, due, answer, now())
        except Exception as error:
            # It is tried again when its lease is over.
            log.warning("push_not_entered", error=type(error).__name__)

    async def _sent(self, post: Post, due: Due) -> Answer:
        try:
            phone = Phone.unpacked(vault_for(self._secret).open(due.sealed, owner=due.fingerprint.hex()))
        except (VaultClosed, ValueError):
            # The service has another secret, hence another key for push services too: the phone must come again.
            return Answer(Outcome.GONE)
        ttl = max(0, int((due.expires_at - now()).total_seconds()))
        answer = await post.send(phone, content(due, self._secret), ttl=ttl, urgent=due.topic == Topic.CLIMATE)
        if answer.outcome is Outcome.FORBIDDEN and time.monotonic() - self._complained > _COMPLAIN_SECONDS:
            self._complained = time.monotonic()
            log.warning("push_service_forbids", hint="clock, XASO_MEDIA_PUSH_CONTACT")
        return answer


def content(due: Due, secret: str) -> dict[str, str]:
    """What travels to the phone."""
    text = due.text if len(due.text) <= MAX_TEXT else due.text[: MAX_TEXT - 1].rstrip() + "…"
    return {
        "notice": str(due.notice),
        "title": due.title,
        "text": text,
        "topic": due.topic,
        "push": str(due.id),
        "ticket": ticket(secret, due.id),
    }


async def take_due(tx: AsyncSession, at: datetime, *, limit: int) -> tuple[list[Due], int]:
    """Claim up to `limit` pushes for LEASE, those of notices that are over are given up; also how many there were."""
    if not limit:
        return [], 0
    # Ordered by the index alone: with more columns thousands that are due together were sorted for every claim.
    query = (
        sa.select(Push, Subscription, Notice)
        .join(Notice, Notice.id == Push.notice_id)
        .outerjoin(Subscription, Subscription.id == Push.subscription_id)
        .where(Push.next_try_at <= at)
        .order_by(Push.next_try_at)
        .limit(limit)
        .with_for_update(of=Push, skip_locked=True, key_share=True)
    )
    found = []
    rows = (await tx.execute(query)).all()
    for push, subscription, notice in rows:
        if subscription is None or notice.expires_at <= at:
            push.next_try_at = None
            continue
        push.next_try_at = at + LEASE
        push.attempts += 1
        found.append(
            Due(
                push.id,
                subscription.id,
                subscription.fingerprint,
                subscription.sealed,
                push.attempts,
                notice.id,
                notice.topic,
                notice.title,
                notice.text,
                notice.expires_at,
            )
        )
    return found, len(rows)


async def settle(tx: AsyncSession, due: Due, answer: Answer, at: datetime) -> None:
    """Enter what became of an attempt; a phone that is gone, or fails again and again, is forgotten."""
    if answer.outcome is Outcome.GONE:
        await subscribing.forget(tx, [due.subscription])
        return
    pause = max(answer.pause, min(2.0 ** min(due.attempts, 12), MOST_BACKOFF))
    again = at + timedelta(seconds=pause)
    if answer.outcome in (Outcome.LATER, Outcome.FORBIDDEN) and again < due.expires_at:
        values: dict[str, object] = {"next_try_at": again}
    else:
        if await _count(tx, due, answer.outcome) >= MOST_FAILURES:
            await subscribing.forget(tx, [due.subscription])
        values = {"next_try_at": None, "sent_at": at if answer.outcome is Outcome.SENT else None}
    # Withdrawn meanwhile: then there is nothing more to try.
    open_ = sa.update(Push).where(Push.id == due.id, Push.next_try_at.is_not(None))
    await tx.execute(open_.values(**values).execution_options(synchronize_session=False))


async def _count(tx: AsyncSession, due: Due, outcome: Outcome) -> int:
    """How many notices in a row a phone did not get by its own fault, this one included."""
    failures: sa.ColumnElement[int] = Subscription.failures + 0
    if outcome is Outcome.SENT:
        failures = sa.literal(0)
    elif outcome is Outcome.REFUSED or (outcome is Outcome.LATER and await _others_got(tx, due.notice)):
        failures = Subscription.failures + 1
    counted = sa.update(Subscription).where(Subscription.id == due.subscription).values(failures=failures)
    counted = counted.returning(Subscription.failures).execution_options(synchronize_session=False)
    return int(await tx.scalar(counted) or 0)


async def _others_got(tx: AsyncSession, notice: uuid.UUID) -> bool:
    """Whether a notice was handed in for any phone: else it was this service that reached nobody."""
    sent = sa.exists().where(Push.notice_id == notice, Push.sent_at.is_not(None))
    return bool(await tx.scalar(sa.select(sent)))


async def forget_old(tx: AsyncSession, at: datetime, limit: int = 5000) -> int:
    """Forget which phones got a notice that is long past."""
    past = (
        sa.select(Push.id).join(Notice, Notice.id == Push.notice_id).where(Notice.expires_at < at - KEPT).limit(limit)
    )
    gone = sa.delete(Push).where(Push.id.in_(past)).execution_options(synchronize_session=False)
    return int((await tx.execute(gone)).rowcount)  # type: ignore[attr-defined]  # a DELETE counts its rows.
