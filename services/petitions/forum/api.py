"""The forum as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request

from chassis import units
from chassis.auth import Principal
from chassis.errors import Malformed
from chassis.paging import After, Limit, decode_cursor, page_of
from chassis.web import ApiRouter, MaybeMe, Me, Tx
from services.petitions.commands import WRITE_SCOPE
from services.petitions.forum import commands, moderating, queries
from services.petitions.forum.commands import Limits, NewThread
from services.petitions.forum.model import (
    TOPICS,
    Post,
    Thread,
)
from services.petitions.forum.shapes import (
    EditIn,
    ModeratePostIn,
    ModerateThreadIn,
    PostIn,
    PostOut,
    PostsPage,
    QueuePage,
    ReportIn,
    ThreadIn,
    ThreadOut,
    ThreadsPage,
    Topic,
    TopicOut,
    TopicsOut,
    WaitingOut,
)
from services.petitions.settings import Settings

READ_SCOPE = "petitions.read"

api = ApiRouter(prefix="/api/v1/forum", tags=["forum"], reads=READ_SCOPE, writes=WRITE_SCOPE)


async def _reader(me: MaybeMe) -> Principal | None:
    if me is not None:
        me.require_scope(READ_SCOPE)
    return me


async def _writer(me: Me) -> Principal:
    me.require_scope(WRITE_SCOPE)
    return me


Reader = Annotated[Principal | None, Depends(_reader)]
Writer = Annotated[Principal, Depends(_writer)]


def limits_of(request: Request) -> Limits:
    """The limits that the service's settings set."""
    settings = request.app.state.runtime.settings
    if not isinstance(settings, Settings):
        raise TypeError("the settings given are not those of the petitions service")
    return Limits(settings.forum_posts_per_hour, settings.forum_edit_minutes)


def post_cursor(after: str | None) -> UUID | None:
    """Where a page of posts starts; raises Malformed."""
    values = decode_cursor(after, 1)
    try:
        return UUID(str(values[0])) if values else None
    except ValueError as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error


def thread_cursor(after: str | None) -> queries.Cursor | None:
    """Where a page of threads starts; raises Malformed."""
    values = decode_cursor(after, 2)
    if values is None:
        return None
    try:
        at, identity = datetime.fromisoformat(str(values[0])), UUID(str(values[1]))
    except ValueError as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error
    if at.tzinfo is None:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.")
    return at, identity


def post_key(one: queries.Written) -> Sequence[str]:
    return (str(one.post.id),)


async def _out(tx: Tx, me: Principal, post: Post) -> PostOut:
    thread = await tx.get_one(Thread, post.thread_id)
    return PostOut.of(await queries.one(tx, post), thread, me)


@api.get("/topics")
async def topics() -> TopicsOut:
    """What a thread can be about."""
    return TopicsOut(items=[TopicOut(code=code, title=title) for code, title in TOPICS.items()])


@api.get("/threads")
async def list_threads(
    tx: Tx,
    me: Reader,
    unit: Annotated[str | None, Query(max_length=30, description="Code of a unit: it and everything below.")] = None,
    topic: Topic | None = None,
    q: Annotated[str, Query(max_length=200, description="Words of a title or a post, in any spelling.")] = "",
    order: queries.Order = "active",
    after: After = None,
    limit: Limit = 50,
) -> ThreadsPage:
    """Public threads: those last written in first, or those last begun."""
    narrowed = queries.Filter(await units.get(tx, unit) if unit else None, topic, q)
    rows = await queries.threads(tx, narrowed, order=order, limit=limit, after=thread_cursor(after))
    page = page_of(rows, limit, lambda t: queries.place_in_list(t, order))
    return ThreadsPage(items=[ThreadOut.of(t, me) for t in page.items], next=page.next)


@api.post("/threads", status_code=201)
async def begin_thread(request: Request, tx: Tx, me: Writer, body: ThreadIn) -> PostOut:
    """Begin a thread; the answer is its first post, which waits for approval where the writer is new."""
    new = NewThread(body.topic, body.title, body.words(), body.commune, body.village)
    return await _out(tx, me, await commands.begin(tx, me, new, limits_of(request)))


@api.get("/threads/{id}")
async def get_thread(tx: Tx, me: Reader, id: UUID) -> ThreadOut:
    """One thread; 404 also where the caller may not see it."""
    return ThreadOut.of(await queries.thread(tx, me, id), me)


@api.get("/threads/{id}/posts")
async def list_posts(tx: Tx, me: Reader, id: UUID, after: After = None, limit: Limit = 50) -> PostsPage:
    """The posts of a thread, oldest first."""
    thread = await queries.thread(tx, me, id)
    found = await queries.posts(tx, me, thread, limit=limit, after=post_cursor(after))
    page = page_of(found, limit, post_key)
    return PostsPage(items=[PostOut.of(one, thread, me) for one in page.items], next=page.next)


@api.post("/threads/{id}/posts", status_code=201)
async def write_post(request: Request, tx: Tx, me: Writer, id: UUID, body: PostIn) -> PostOut:
    """Write into a thread of any commune."""
    return await _out(tx, me, await commands.reply(tx, me, id, body.words(), limits_of(request)))


@api.post("/threads/{id}/moderate")
async def moderate_thread(tx: Tx, me: Writer, id: UUID, body: ModerateThreadIn) -> ThreadOut:
    """Staff of its commune: lock, unlock, hide (with a reason), restore, pin or unpin a thread."""
    return ThreadOut.of(await moderating.moderate_thread(tx, me, id, body.action, body.reason), me)


@api.post("/posts/{id}/edit")
async def edit_post(request: Request, tx: Tx, me: Writer, id: UUID, body: EditIn) -> PostOut:
    """The writer, for some minutes: mend a post."""
    return await _out(tx, me, await commands.edit(tx, me, id, body.body, limits_of(request)))


@api.post("/posts/{id}/withdraw")
async def withdraw_post(tx: Tx, me: Writer, id: UUID) -> PostOut:
    """The writer: take a post back; its words are deleted."""
    return await _out(tx, me, await commands.withdraw(tx, me, id))


@api.post("/posts/{id}/report", status_code=204)
async def report_post(request: Request, tx: Tx, me: Writer, id: UUID, body: ReportIn) -> None:
    """Anyone who may write: tell the staff that a post is wrong. A second report of the same reader changes nothing."""
    await commands.report(tx, me, id, body.reason, limits_of(request))


@api.post("/posts/{id}/moderate")
async def moderate_post(tx: Tx, me: Writer, id: UUID, body: ModeratePostIn) -> PostOut:
    """Staff of the thread's commune: approve, hide (with a reason) or restore a post, or dismiss reports of it."""
    return await _out(tx, me, await moderating.moderate_post(tx, me, id, body.action, body.reason, body.edited_at))


@api.get("/queue")
async def queue(
    tx: Tx,
    me: Writer,
    unit: Annotated[str | None, Query(max_length=30)] = None,
    after: After = None,
    limit: Limit = 50,
) -> QueuePage:
    """Staff: posts of new writers and posts that readers reported, oldest first."""
    place = await units.get(tx, unit) if unit else None
    found = await queries.queue(tx, me, within=place, limit=limit, after=post_cursor(after))
    page = page_of(found, limit, lambda one: post_key(one.of))
    items = [
        WaitingOut(post=PostOut.of(one.of, one.thread, me), thread=ThreadOut.of(one.thread, me), reports=one.reports)
        for one in page.items
    ]
    return QueuePage(items=items, next=page.next)
