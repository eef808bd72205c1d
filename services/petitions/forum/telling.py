"""Owns what the forum tells other services: the public state of a thread, without its words and people."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.petitions.v1 import events_pb2 as events

from chassis import outbox
from chassis.db import now
from services.petitions.forum import queries
from services.petitions.forum.model import Post, Report, Thread


def _stamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


async def state(tx: AsyncSession, of: Thread) -> events.ForumThread:
    """The whole public state of a thread as its event carries it."""
    took_part = await queries.participations(tx, of)
    return events.ForumThread(
        id=str(of.id),
        commune=of.commune,
        village=of.village or "",
        topic=of.topic,
        status=of.status.value,
        posts=of.posts,
        communes=sorted({one.commune for one in took_part if one.posts}),
        begun_at=_stamp(of.begun_at),
        last_posted_at=_stamp(of.last_posted_at) if of.posts else None,
        participations=[
            events.ForumParticipation(year=one.year, commune=one.commune, posts=one.posts, villages=one.villages)
            for one in took_part
        ],
    )


async def tell(tx: AsyncSession, of: Thread) -> None:
    """Count the visible posts of a locked thread anew and publish it; of one that never had any nobody hears."""
    of.posts, newest = await queries.visible_posts(tx, of)
    of.last_posted_at = newest or of.last_posted_at
    if not of.posts and not of.told:
        return
    of.told = True
    await tx.flush()
    message = events.ForumThreadChanged(thread=await state(tx, of))
    await outbox.put(tx, message, unit=of.village or of.commune, subject=str(of.id), key=of.commune)


async def settle_reports(tx: AsyncSession, post: Post) -> None:
    """What readers said about a post needs nobody's attention any more."""
    waiting = sa.update(Report).where(Report.post_id == post.id, Report.settled_at.is_(None))
    await tx.execute(waiting.values(settled_at=now()).execution_options(synchronize_session=False))
