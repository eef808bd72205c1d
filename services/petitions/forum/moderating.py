"""What is done about the forum by those answerable for it: moderation by a commune's staff, moves of units, erasure."""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit
from chassis.auth import Principal
from chassis.db import now
from chassis.errors import Forbidden, Invalid
from chassis.units import Unit
from services.petitions.forum import queries, telling
from services.petitions.forum.errors import PostChanged, PostNotFound
from services.petitions.forum.model import Author, Post, PostAction, PostStatus, Report, Thread, ThreadAction


def _reason(action: PostAction | ThreadAction, reason: str) -> str:
    """The reason given; who hides something owes one to its writer."""
    if action in (PostAction.HIDE, ThreadAction.HIDE) and not reason:
        raise Invalid(field="reason", message_="Xin ghi lý do ẩn để người viết biết.")
    return reason


async def moderate_thread(
    tx: AsyncSession, me: Principal, thread_id: uuid.UUID, action: ThreadAction, reason: str = ""
) -> Thread:
    """Lock, hide, pin a thread, or undo it; raises ThreadNotFound, Forbidden, NotPossibleNow, Invalid."""
    thread = await queries.thread(tx, me, thread_id, for_update=True)
    before = thread.status
    thread.act(me, action, _reason(action, reason) if thread.is_moderated_by(me) else "")
    await tx.flush()
    if thread.status is not before:
        await telling.tell(tx, thread)
    await audit.record(tx, me, f"forum.thread_{action.value}", str(thread.id), thread.village or thread.commune, {})
    return thread


async def moderate_post(
    tx: AsyncSession,
    me: Principal,
    post_id: uuid.UUID,
    action: PostAction,
    reason: str = "",
    edited_at: datetime | None = None,
) -> Post:
    """Approve, hide, restore a post, or dismiss reports of it; raises PostNotFound, Forbidden, NotPossibleNow, Invalid.

    `edited_at` is that of the words `me` read: words nobody read are not approved (PostChanged). Whose post was found
    good is a newcomer no longer; whose post was hidden is one again.
    """
    thread_id = await tx.scalar(sa.select(Post.thread_id).where(Post.id == post_id))
    thread = await tx.get(Thread, thread_id, with_for_update=True, populate_existing=True) if thread_id else None
    post = await tx.get(Post, post_id, with_for_update=True, populate_existing=True) if thread else None
    if thread is None or post is None or not thread.is_visible_to(me):
        raise PostNotFound()
    if not thread.is_moderated_by(me):
        raise Forbidden()
    before = post.status
    if action is PostAction.APPROVE and post.edited_at != edited_at:
        raise PostChanged()
    post.act(action, _reason(action, reason))
    if post.author is not None:
        good = post.status is PostStatus.VISIBLE
        writer = sa.update(Author).where(Author.account == post.author, Author.approved_at.is_(None) == good)
        approved_at = now() if good else None
        await tx.execute(writer.values(approved_at=approved_at).execution_options(synchronize_session=False))
    await telling.settle_reports(tx, post)
    await tx.flush()
    if before is not post.status and PostStatus.VISIBLE in (before, post.status):
        await telling.tell(tx, thread)
    detail = {"thread": str(thread.id)}
    await audit.record(tx, me, f"forum.post_{action.value}", str(post.id), thread.village or thread.commune, detail)
    return post


async def follow(tx: AsyncSession, predecessor: Unit, successor: Unit) -> None:
    """A unit went over to another as a whole: what was begun in its forum is that one's to look after.

    Its villages go over by themselves. A post keeps the place its writer spoke for when it was written.
    """
    village = successor.code if successor.level == "village" else None
    begun_for = Thread.village.is_(None) if village is None else Thread.village == predecessor.code
    theirs = sa.select(Thread).where(Thread.path == predecessor.path, begun_for).order_by(Thread.id)
    for thread in (await tx.scalars(theirs.with_for_update())).all():
        thread.path, thread.commune, thread.village = successor.path, successor.commune, village
        await telling.tell(tx, thread)


async def anonymise(tx: AsyncSession, account: str) -> None:
    """Cut every tie between the forum and an erased account. What was read stays, what nobody has read yet goes."""
    # Threads before their writer, as everywhere: the writer's row goes, and that is written into theirs.
    theirs = sa.select(Post.thread_id).where(Post.author == account)
    await tx.execute(sa.select(Thread.id).where(Thread.id.in_(theirs)).order_by(Thread.id).with_for_update())
    # A thread that never appeared holds nothing but what its writer sent, in its title, too.
    unseen = sa.select(Thread.id).where(Thread.author == account, Thread.told.is_(False))
    await tx.execute(sa.delete(Post).where(Post.thread_id.in_(unseen)))
    await tx.execute(sa.delete(Thread).where(Thread.author == account, Thread.told.is_(False)))
    unread = sa.update(Post).where(Post.author == account, Post.status == PostStatus.PENDING)
    await tx.execute(unread.values(status=PostStatus.WITHDRAWN, body=""))
    await tx.execute(sa.update(Report).where(Report.reporter == account).values(reporter=None))
    await tx.execute(sa.delete(Author).where(Author.account == account))
