"""Owns the loop that publishes what is due, reminds of collections and carries pushes; replicas share it by claims."""

from __future__ import annotations

import asyncio
import time
import uuid
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
MOST_PAUSE = 1800.0
MOST_FAILURES = 5
"""Refusals in a row after which a subscription is taken for broken."""
KEPT = timedelta(days=60)
"""Which phone got what is forgotten after so long; the counts of the notice stay."""
_SWEEP_SECONDS = 600.0


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

    async def run(self) -> None:
        """Work until cancelled; a database that is away is waited for."""
        settings = self._settings
        post = Post(
            vapid_for(self._secret, settings.push_from),
            host=settings.push_host,
            timeout=settings.push_timeout_seconds,
        )
        try:
            while True:
                busy = False
                try:
                    busy = await self.round(post)
                except Exception as error:
                    log.warning("notice_round_failed", error=type(error).__name__)
                if not busy:
                    await asyncio.sleep(settings.push_poll_seconds)
        finally:
            await post.close()

    async def round(self, post: Post) -> bool:
        """Everything that is due now, once; returns whether there may be more at once."""
        at = now()
        for work in (commands.publish_due, reminding.remind, commands.tell_grown):
            async with self._sessions.begin() as tx:
                await work(tx, at)
        if time.monotonic() - self._swept > _SWEEP_SECONDS:
            self._swept = time.monotonic()
            async with self._sessions.begin() as tx:
                await forget_old(tx, at)
        async with self._sessions.begin() as tx:
            due = await take_due(tx, at, limit=self._settings.push_parallel)
        await asyncio.gather(*(self._carry(post, one) for one in due))
        return len(due) == self._settings.push_parallel

    async def _carry(self, post: Post, due: Due) -> None:
        try:
            phone = Phone.unpacked(vault_for(self._secret).open(due.sealed, owner=due.fingerprint.hex()))
        except (VaultClosed, ValueError):
            # The service has another secret, hence another key for push services too: the phone must come again.
            answer = Answer(Outcome.GONE)
        else:
            ttl = max(0, int((due.expires_at - now()).total_seconds()))
            answer = await post.send(phone, content(due, self._secret), ttl=ttl, urgent=due.topic == Topic.CLIMATE)
        try:
            async with self._sessions.begin() as tx:
                await settle(tx, due, answer, now())
        except Exception as error:
            log.warning("push_not_entered", error=type(error).__name__)


def content(due: Due, secret: str) -> dict[str, str]:
    """What travels to the phone."""
    text = due.text if len(due.text) <= MAX_TEXT else due.text[: MAX_TEXT - 1].rstrip() + "…"
    return {
        "notice": str(due.notice),
        "title": due.title,
        "text": text,
        "push": str(due.id),
        "ticket": ticket(secret, due.id),
    }


async def take_due(tx: AsyncSession, at: datetime, *, limit: int) -> list[Due]:
    """Claim pushes for LEASE; those of notices that are over are given up."""
    query = (
        sa.select(Push, Subscription, Notice)
        .join(Notice, Notice.id == Push.notice_id)
        .outerjoin(Subscription, Subscription.id == Push.subscription_id)
        .where(Push.next_try_at <= at)
        .order_by(Push.next_try_at, Push.id)
        .limit(limit)
        .with_for_update(of=Push, skip_locked=True, key_share=True)
    )
    found = []
    for push, subscription, notice in (await tx.execute(query)).all():
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
    return found


async def settle(tx: AsyncSession, due: Due, answer: Answer, at: datetime) -> None:
    """Enter what became of an attempt; a phone that is gone, or refuses again and again, is forgotten."""
    if answer.outcome is Outcome.GONE:
        await subscribing.forget(tx, [due.subscription])
        return
    if answer.outcome is Outcome.LATER:
        pause = min(max(answer.pause, 2.0 ** min(due.attempts, 12)), MOST_PAUSE)
        values: dict[str, object] = {"next_try_at": at + timedelta(seconds=pause)}
    else:
        sent = answer.outcome is Outcome.SENT
        failures = sa.case((sa.literal(sent), 0), else_=Subscription.failures + 1)
        counted = sa.update(Subscription).where(Subscription.id == due.subscription).values(failures=failures)
        counted = counted.returning(Subscription.failures).execution_options(synchronize_session=False)
        if (await tx.scalar(counted) or 0) >= MOST_FAILURES:
            await subscribing.forget(tx, [due.subscription])
        values = {"next_try_at": None, "sent_at": at if sent else None}
    # Withdrawn meanwhile: then there is nothing more to try.
    open_ = sa.update(Push).where(Push.id == due.id, Push.next_try_at.is_not(None))
    await tx.execute(open_.values(**values).execution_options(synchronize_session=False))


async def forget_old(tx: AsyncSession, at: datetime, limit: int = 5000) -> int:
    """Forget which phones got a notice that is long past."""
    past = (
        sa.select(Push.id).join(Notice, Notice.id == Push.notice_id).where(Notice.expires_at < at - KEPT).limit(limit)
    )
    gone = sa.delete(Push).where(Push.id.in_(past)).execution_options(synchronize_session=False)
    return int((await tx.execute(gone)).rowcount)  # type: ignore[attr-defined]  # a DELETE counts its rows.
