"""What people do in the forum: begin a thread, answer, mend or take back what they wrote, report what is wrong.

A thread is locked before the account that writes, here and in `moderating`, so that two who meet never wait for each
other in a circle.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import Forbidden
from chassis.units import Unit
from services.petitions.commands import place_of
from services.petitions.forum import queries, telling
from services.petitions.forum.errors import (
    EditTooLate,
    NameNeeded,
    NameTaken,
    NoLinksYet,
    NotPossibleNow,
    OwnPost,
    PostNotFound,
    ThreadLocked,
    TooManyPosts,
    TooManyReports,
)
from services.petitions.forum.model import Author, Post, PostStatus, Report, Thread, ThreadStatus, has_link

_LIVING_THERE = ("village_head", "resident", "producer")
"""Roles that say where somebody lives; the others only say where they work."""


@dataclass(frozen=True)
class Words:
    """A post as its writer sends it; the last two are asked for with the first post and kept."""

    body: str
    name: str = ""
    shows_village: bool = False


@dataclass(frozen=True)
class NewThread:
    """A thread to begin; without a commune it is the writer's own. `topic` is a key of TOPICS."""

    topic: str
    title: str
    words: Words
    commune: str | None = None
    village: str | None = None


@dataclass(frozen=True)
class Limits:
    """How many posts (and how many reports) an account may send in an hour; for how many minutes a post is mended."""

    posts_per_hour: int
    edit_minutes: int


async def home_of(tx: AsyncSession, me: Principal) -> Unit | None:
    """The village or commune `me` speaks for, from the roles in their token: where they live, else where they work.

    None for those who work above communes. A code that was given to another unit since is not that place.
    """
    for roles in (_LIVING_THERE, STAFF, None):
        found = []
        for grant in me.grants:
            if roles is None or grant.role in roles:
                unit = await units.current(tx, grant.unit)
                if unit is not None and unit.path == grant.path and unit.level in ("village", "commune"):
                    found.append(unit)
        if found:
            return min(found, key=lambda unit: unit.level != "village")
    return None


async def begin(tx: AsyncSession, me: Principal, new: NewThread, limits: Limits) -> Post:
    """Begin a thread with its first post; raises Forbidden, Invalid, and what is wrong with the words."""
    _require_writer(me)
    home = await home_of(tx, me)
    commune = new.commune or (None if new.village or home is None else home.commune)
    place = await place_of(tx, commune, new.village)
    author = await _author(tx, me, new.words, limits)
    if author.approved_at is None and has_link(new.title):
        raise NoLinksYet(field="title")
    at = now()
    thread = Thread(
        id=new_id(),
        commune=place.commune,
        village=place.code if place.level == "village" else None,
        path=place.path,
        topic=new.topic,
        title=new.title,
        author=me.subject,
        status=ThreadStatus.OPEN,
        reason="",
        pinned=False,
        posts=0,
        told=False,
        begun_at=at,
        last_posted_at=at,
    )
    tx.add(thread)
    await tx.flush()
    return await _write(tx, me, thread, author, new.words.body, home, at)


async def reply(tx: AsyncSession, me: Principal, thread_id: uuid.UUID, words: Words, limits: Limits) -> Post:
    """Write into a thread; raises ThreadNotFound, Forbidden, ThreadLocked, and what is wrong with the words."""
    _require_writer(me)
    thread = await queries.thread(tx, me, thread_id, for_update=True)
    if thread.status is not ThreadStatus.OPEN:
        raise ThreadLocked()
    author = await _author(tx, me, words, limits)
    return await _write(tx, me, thread, author, words.body, await home_of(tx, me), now())


async def edit(tx: AsyncSession, me: Principal, post_id: uuid.UUID, body: str, limits: Limits) -> Post:
    """Mend one's own post for some minutes; raises PostNotFound, ThreadLocked, EditTooLate, NoLinksYet."""
    thread, post = await own_post(tx, me, post_id, for_update=True)
    if thread.status is not ThreadStatus.OPEN:
        raise ThreadLocked()
    at = now()
    if not post.is_editable(at, limits.edit_minutes):
        raise EditTooLate(field="body", minutes=limits.edit_minutes)
    author = await tx.get(Author, me.subject)
    if has_link(body) and (author is None or author.approved_at is None):
        raise NoLinksYet(field="body")
    if body != post.body:
        post.body, post.edited_at = body, at
        await _record(tx, me, "post_edited", thread, post)
    return post


async def withdraw(tx: AsyncSession, me: Principal, post_id: uuid.UUID) -> Post:
    """Take back one's own post: its words are gone for good; raises PostNotFound, NotPossibleNow."""
    thread, post = await own_post(tx, me, post_id, for_update=True)
    if not post.is_withdrawable:
        raise NotPossibleNow()
    was_visible = post.status is PostStatus.VISIBLE
    post.status, post.body = PostStatus.WITHDRAWN, ""
    await telling.settle_reports(tx, post)
    await tx.flush()
    if was_visible:
        await telling.tell(tx, thread)
    await _record(tx, me, "post_withdrawn", thread, post)
    return post


async def report(tx: AsyncSession, me: Principal, post_id: uuid.UUID, reason: str, limits: Limits) -> Post:
    """Tell the staff that a visible post is wrong; once per reader.

    Raises PostNotFound, Forbidden, OwnPost, NotPossibleNow, TooManyReports.
    """
    _require_writer(me)
    # Or a post that is hidden at this moment would wait for the staff for ever.
    thread, post = await queries.readable_post(tx, me, post_id, for_update=True)
    if post.is_by(me):
        raise OwnPost()
    if post.status is not PostStatus.VISIBLE:
        raise NotPossibleNow()
    # A reader may have no row of their own that could be locked.
    await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"report:{me.subject}", 0))))
    recent = sa.select(sa.func.count()).where(Report.reporter == me.subject, Report.reported_at > _an_hour_ago())
    if int(await tx.scalar(recent) or 0) >= limits.posts_per_hour:
        raise TooManyReports(field="reason", most=limits.posts_per_hour)
    values = {"id": new_id(), "post_id": post.id, "reporter": me.subject, "reason": reason, "reported_at": now()}
    again = insert(Report).values(**values).on_conflict_do_nothing(index_elements=["post_id", "reporter"])
    if await tx.scalar(again.returning(Report.id)) is not None:
        await _record(tx, me, "post_reported", thread, post)
    return post


async def own_post(
    tx: AsyncSession, me: Principal, post_id: uuid.UUID, *, for_update: bool = False
) -> tuple[Thread, Post]:
    """A post of `me` with its thread, both locked if asked for; raises PostNotFound."""
    thread_id = await tx.scalar(sa.select(Post.thread_id).where(Post.id == post_id))
    thread = await tx.get(Thread, thread_id, with_for_update=for_update, populate_existing=True) if thread_id else None
    post = await tx.get(Post, post_id, with_for_update=for_update, populate_existing=True)
    if thread is None or post is None or not post.is_by(me):
        raise PostNotFound()
    return thread, post


def _an_hour_ago() -> datetime:
    return now() - timedelta(hours=1)


def _require_writer(me: Principal) -> None:
    # A partner's program has nothing to share, and who holds no role comes from nowhere.
    if me.kind != "person" or not me.grants:
        raise Forbidden()


async def _author(tx: AsyncSession, me: Principal, words: Words, limits: Limits) -> Author:
    """Who writes, locked, so that posts sent side by side are counted one after the other; new with the first post."""
    author = await tx.get(Author, me.subject, with_for_update=True, populate_existing=True)
    if author is None:
        if len(words.name) < 2:
            raise NameNeeded(field="name")
        values = {"account": me.subject, "name": words.name, "shows_village": words.shows_village}
        await tx.execute(insert(Author).values(**values).on_conflict_do_nothing())
        author = await tx.get(Author, me.subject, with_for_update=True, populate_existing=True)
        if author is None:
            raise NameTaken(field="name")
    if author.approved_at is None and me.roles & set(STAFF):
        author.approved_at = now()
    for field, text in (("body", words.body), ("name", author.name)):
        if author.approved_at is None and has_link(text):
            raise NoLinksYet(field=field)
    recent = sa.select(sa.func.count()).where(Post.author == me.subject, Post.written_at > _an_hour_ago())
    if int(await tx.scalar(recent) or 0) >= limits.posts_per_hour:
        raise TooManyPosts(field="body", most=limits.posts_per_hour)
    return author


async def _write(
    tx: AsyncSession, me: Principal, thread: Thread, author: Author, body: str, home: Unit | None, at: datetime
) -> Post:
    commune = home.commune if home else None
    village = home.code if home and home.level == "village" else None
    # In one thread one person speaks for one place, or somebody who moved would have an exchange with themselves.
    before = (
        sa.select(Post.commune, Post.village).where(Post.thread_id == thread.id, Post.author == me.subject).limit(1)
    )
    spoke = (await tx.execute(before)).first()
    if spoke is not None:
        commune, village = spoke
    post = Post(
        id=new_id(),
        thread_id=thread.id,
        author=me.subject,
        commune=commune,
        village=village,
        by_staff=bool(me.roles & set(STAFF)),
        status=PostStatus.VISIBLE if author.approved_at else PostStatus.PENDING,
        reason="",
        body=body,
        written_at=at,
    )
    tx.add(post)
    await tx.flush()
    if post.status is PostStatus.VISIBLE:
        await telling.tell(tx, thread)
    await _record(tx, me, "post_written", thread, post)
    return post


async def _record(tx: AsyncSession, me: Principal, deed: str, thread: Thread, post: Post) -> None:
    detail = {"thread": str(thread.id)}
    await audit.record(tx, me, f"forum.{deed}", str(post.id), thread.village or thread.commune, detail)
