"""What can be read of the forum, and by whom; and who of which place took part in a thread."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import STAFF, Principal
from chassis.errors import Forbidden
from chassis.text import fold
from chassis.units import Unit
from services.petitions.forum.errors import PostNotFound, ThreadNotFound
from services.petitions.forum.model import Author, Post, PostStatus, Report, Thread, ThreadStatus

Order = Literal["active", "newest"]
Cursor = tuple[datetime, uuid.UUID]
MOST_WORDS = 8
MOST_PINNED = 5


@dataclass(frozen=True)
class Filter:
    """What a list of threads is narrowed to: a unit of any level with all below it, a topic, words in any spelling."""

    unit: Unit | None = None
    topic: str | None = None
    q: str = ""
    pinned: bool | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        found: list[sa.ColumnElement[bool]] = [Thread.status != ThreadStatus.HIDDEN, Thread.posts > 0]
        if self.unit:
            found.append(_inside(self.unit))
        if self.topic:
            found.append(Thread.topic == self.topic)
        if self.pinned is not None:
            found.append(Thread.pinned.is_(self.pinned))
        words = fold(self.q).split()[:MOST_WORDS]
        if words:
            in_title = sa.select(Thread.id).where(*(Thread.fold.contains(w, autoescape=True) for w in words))
            in_post = sa.select(Post.thread_id).where(
                Post.status == PostStatus.VISIBLE, *(Post.fold.contains(w, autoescape=True) for w in words)
            )
            found.append(Thread.id.in_(sa.union(in_title, in_post)))
        return found


def _inside(unit: Unit) -> sa.ColumnElement[bool]:
    if unit.level == "commune":
        return Thread.commune == unit.code
    if unit.level == "village":
        return sa.and_(Thread.commune == unit.commune, Thread.village == unit.code)
    return under(unit.path)


def under(path: str) -> sa.ColumnElement[bool]:
    """Threads of the unit at `path` and of everything below it."""
    return sa.or_(Thread.path == path, Thread.path.startswith(f"{path}/", autoescape=True))


async def threads(
    tx: AsyncSession, narrowed: Filter, *, order: Order = "active", limit: int, after: Cursor | None = None
) -> list[Thread]:
    """Public threads, those last written in or last begun first, keyset-paged; up to `limit` + 1 rows."""
    column = Thread.last_posted_at if order == "active" else Thread.begun_at
    query = sa.select(Thread).where(*narrowed.conditions())
    if after:
        query = query.where(sa.tuple_(column, Thread.id) < sa.tuple_(*map(sa.literal, after)))
    return list((await tx.scalars(query.order_by(column.desc(), Thread.id.desc()).limit(limit + 1))).all())


def place_in_list(of: Thread, order: Order) -> tuple[datetime, str]:
    """The sort values of a thread, for a cursor."""
    return (of.last_posted_at if order == "active" else of.begun_at), str(of.id)


async def thread(tx: AsyncSession, me: Principal | None, id: uuid.UUID, *, for_update: bool = False) -> Thread:
    """The thread; ThreadNotFound also where `me` may not see it."""
    found = await tx.get(Thread, id, with_for_update=for_update, populate_existing=True)
    if found is None or not found.is_visible_to(me):
        raise ThreadNotFound()
    return found


@dataclass(frozen=True)
class Written:
    """A post with what is shown of its writer: None where the account was erased."""

    post: Post
    name: str | None
    shows_village: bool


_WRITTEN = sa.select(Post, Author.name, Author.shows_village).outerjoin(Author, Author.account == Post.author)


def _readable(me: Principal | None, of: Thread) -> sa.ColumnElement[bool]:
    """Visible posts; the staff of its commune read those that wait and those they hid, too, a writer their own."""
    if of.is_moderated_by(me):
        return Post.status != PostStatus.WITHDRAWN
    mine = sa.and_(Post.author == me.subject, Post.status != PostStatus.WITHDRAWN) if me else sa.false()
    return sa.or_(Post.status == PostStatus.VISIBLE, mine)


async def posts(
    tx: AsyncSession, me: Principal | None, of: Thread, *, limit: int, after: uuid.UUID | None = None
) -> list[Written]:
    """The posts of a thread that `me` may read, oldest first, keyset-paged on the id; up to `limit` + 1."""
    query = _WRITTEN.where(Post.thread_id == of.id, _readable(me, of))
    if after:
        query = query.where(Post.id > after)
    rows = await tx.execute(query.order_by(Post.id).limit(limit + 1))
    return [Written(row[0], row[1], bool(row[2])) for row in rows]


async def before(tx: AsyncSession, me: Principal | None, of: Thread, post: uuid.UUID, n: int) -> uuid.UUID | None:
    """The post `n` places before `post`, to begin a page after it; None where there are not so many."""
    query = sa.select(Post.id).where(Post.thread_id == of.id, _readable(me, of), Post.id < post)
    return await tx.scalar(query.order_by(Post.id.desc()).offset(n - 1).limit(1))


async def newest(tx: AsyncSession, me: Principal | None, of: Thread) -> uuid.UUID | None:
    """The last post of a thread that `me` may read."""
    query = sa.select(Post.id).where(Post.thread_id == of.id, _readable(me, of))
    return await tx.scalar(query.order_by(Post.id.desc()).limit(1))


async def readable_post(
    tx: AsyncSession, me: Principal | None, post_id: uuid.UUID, *, for_update: bool = False
) -> tuple[Thread, Post]:
    """A post that `me` may read (their own also in a thread that is hidden), with its thread; raises PostNotFound.

    `for_update` locks the post alone, which is the last lock in the order of `commands`.
    """
    post = await tx.get(Post, post_id, with_for_update=for_update, populate_existing=for_update)
    thread = await tx.get(Thread, post.thread_id) if post else None
    if post is None or thread is None:
        raise PostNotFound()
    shown = thread.is_visible_to(me) and (post.status is PostStatus.VISIBLE or thread.is_moderated_by(me))
    if not shown and not post.is_by(me):
        raise PostNotFound()
    return thread, post


async def one(tx: AsyncSession, post: Post) -> Written:
    """A post with what is shown of its writer."""
    author = await tx.get(Author, post.author) if post.author else None
    return Written(post, author.name if author else None, author is not None and author.shows_village)


async def author(tx: AsyncSession, me: Principal | None) -> Author | None:
    """What `me` writes under; None before their first post."""
    return await tx.get(Author, me.subject) if me else None


@dataclass(frozen=True)
class Waiting:
    """A post that moderators have to look at, its thread, and what readers say about it."""

    of: Written
    thread: Thread
    reports: list[str] = field(default_factory=list)


def _open_work(paths: Sequence[str]) -> sa.ColumnElement[bool]:
    pending = sa.select(Post.id).where(Post.status == PostStatus.PENDING)
    reported = sa.select(Report.post_id).where(Report.settled_at.is_(None))
    return sa.and_(sa.or_(*(under(path) for path in paths)), Post.id.in_(sa.union(pending, reported)))


def moderated_paths(me: Principal | None) -> list[str]:
    """The paths of the units whose forums `me` moderates."""
    return list(dict.fromkeys(g.path for g in me.grants if g.role in STAFF)) if me else []


async def queue(
    tx: AsyncSession, me: Principal, *, within: Unit | None = None, limit: int, after: uuid.UUID | None = None
) -> list[Waiting]:
    """What waits for the staff of a unit (default: of all `me` works for), oldest first; raises Forbidden."""
    if within is not None:
        me.require(STAFF, within.path)
    paths = [within.path] if within else moderated_paths(me)
    if not paths:
        raise Forbidden()
    query = _WRITTEN.add_columns(Thread).join(Thread, Thread.id == Post.thread_id).where(_open_work(paths))
    if after:
        query = query.where(Post.id > after)
    rows = (await tx.execute(query.order_by(Post.id).limit(limit + 1))).all()
    said: dict[uuid.UUID, list[str]] = {row[0].id: [] for row in rows}
    reports = sa.select(Report.post_id, Report.reason).where(Report.post_id.in_(said), Report.settled_at.is_(None))
    for post_id, reason in await tx.execute(reports.order_by(Report.id)):
        said[post_id].append(reason)
    return [Waiting(Written(row[0], row[1], bool(row[2])), row[3], said[row[0].id]) for row in rows]


async def waiting(tx: AsyncSession, me: Principal | None) -> int | None:
    """How many posts wait for `me`; None for whoever moderates nothing."""
    paths = moderated_paths(me)
    if not paths:
        return None
    query = sa.select(sa.func.count()).select_from(Post).join(Thread, Thread.id == Post.thread_id)
    return int(await tx.scalar(query.where(_open_work(paths))) or 0)


async def mine(
    tx: AsyncSession, me: Principal, *, limit: int, after: uuid.UUID | None = None
) -> list[tuple[Post, Thread]]:
    """What `me` wrote, newest first, with its thread; up to `limit` + 1."""
    query = sa.select(Post, Thread).join(Thread, Thread.id == Post.thread_id).where(Post.author == me.subject)
    if after:
        query = query.where(Post.id < after)
    rows = await tx.execute(query.order_by(Post.id.desc()).limit(limit + 1))
    return [(row[0], row[1]) for row in rows]


@dataclass(frozen=True)
class Participation:
    """What the people of one commune wrote in one year: visible posts, and the known villages they come from."""

    year: int
    commune: str
    posts: int
    villages: int


async def participations(tx: AsyncSession, of: Thread) -> list[Participation]:
    """Who took part in a thread, by year (in Việt Nam) and commune; also where nothing of it is visible any more."""
    visible = Post.status == PostStatus.VISIBLE
    year = sa.extract("year", sa.func.timezone("Asia/Ho_Chi_Minh", Post.written_at)).label("year")
    query = (
        sa.select(
            year,
            Post.commune,
            sa.func.count().filter(visible),
            sa.func.count(sa.distinct(Post.village)).filter(visible),
        )
        .where(Post.thread_id == of.id, Post.status != PostStatus.PENDING, Post.commune.is_not(None))
        .group_by(year, Post.commune)
        .order_by(year, Post.commune)
    )
    return [Participation(int(row[0]), str(row[1]), row[2], row[3]) for row in await tx.execute(query)]


async def visible_posts(tx: AsyncSession, of: Thread) -> tuple[int, datetime | None]:
    """How many posts of a thread are visible, and when the newest of them was written."""
    query = sa.select(sa.func.count(), sa.func.max(Post.written_at))
    row = (await tx.execute(query.where(Post.thread_id == of.id, Post.status == PostStatus.VISIBLE))).one()
    return int(row[0]), row[1]
