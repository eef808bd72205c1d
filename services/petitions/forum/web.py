"""The pages of the forum for everybody: reading and writing."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Query
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import Principal
from chassis.errors import DomainError
from chassis.paging import After, encode_cursor, page_of
from chassis.units import Unit
from chassis.web import MaybeMe, Me, Page, PageRouter, Tx
from services.petitions.forum import commands, queries, views
from services.petitions.forum.api import limits_of, post_cursor, post_key, thread_cursor
from services.petitions.forum.model import MAX_BODY, MAX_NAME, MAX_TITLE, TOPICS, Post, PostStatus
from services.petitions.forum.shapes import Body, Code, Name, Searched, Title, Topic

pages = PageRouter(prefix="/forum", templates=views.TEMPLATES)

HOME = views.HOME


class PostForm(BaseModel):
    body: Body
    name: Name = ""
    shows_village: bool = False

    def words(self) -> commands.Words:
        return commands.Words(self.body, self.name, self.shows_village)


class ThreadForm(PostForm):
    commune: Code
    village: Code | None = None
    topic: Topic
    title: Title


async def _asked(page: Page, tx: AsyncSession, me: Principal | None) -> dict[str, Any]:
    """What a form for a post needs: whether to ask for a name, and the village that could stand beside it."""
    home = await commands.home_of(tx, me) if me else None
    village = home.name if home and home.level == "village" else None
    known = await queries.author(tx, me)
    return {"known": known, "own_village": village, "max_body": MAX_BODY, "max_name": MAX_NAME, "max_title": MAX_TITLE}


@pages.get("")
async def threads_page(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str, Query(max_length=30)] = "",
    topic: Annotated[str, Query(max_length=20)] = "",
    q: Annotated[Searched, Query()] = "",
    order: queries.Order = "active",
    after: After = None,
) -> Response:
    """The threads of all communes, or of one unit, those last written in first."""
    place = await units.get(tx, unit) if unit else None
    topic = topic if topic in TOPICS else ""
    # What a commune pins stands above its own list only: two hundred communes would leave no room for anything else.
    narrowed = queries.Filter(place, topic or None, q, pinned=False if place else None)
    found = page_of(
        await queries.threads(tx, narrowed, order=order, limit=views.PAGE, after=thread_cursor(after)),
        views.PAGE,
        lambda t: queries.place_in_list(t, order),
    )
    pinned: list[Any] = []
    if place and not after:
        above = queries.Filter(place, topic or None, q, pinned=True)
        pinned = await queries.threads(tx, above, limit=queries.MOST_PINNED - 1)
    kept = {"unit": unit, "topic": topic, "q": q, "order": order if order != "active" else ""}

    def href(**changed: str) -> str:
        return f"{HOME}?" + urlencode({k: v for k, v in {**kept, **changed}.items() if v})

    return page.render(
        "forum.html",
        place=place,
        unit_path=await views.crumbs(tx, place),
        pinned=await views.lines(tx, page, pinned),
        lines=await views.lines(tx, page, found.items),
        topics=[
            {"label": page._(title), "href": href(topic=code), "active": code == topic}
            for code, title in {"": "Tất cả", **TOPICS}.items()
        ],
        topic=topic,
        q=q,
        order=order,
        href=href,
        next_href=href(after=found.next) if found.next else None,
        first_href=href() if after else None,
        waiting=await queries.waiting(tx, me),
    )


@pages.get("/mine")
async def mine_page(page: Page, tx: Tx, me: Me, after: After = None) -> Response:
    """What the reader wrote, newest first, with what became of it."""
    found = page_of(
        await queries.mine(tx, me, limit=views.PAGE, after=post_cursor(after)),
        views.PAGE,
        lambda row: (str(row[0].id),),
    )
    known = await queries.author(tx, me)
    wrote = [(queries.Written(post, known.name if known else None, False), thread) for post, thread in found.items]
    return page.render(
        "forum_mine.html",
        known=known,
        posts=await views.posts(tx, page, me, wrote, limits_of(page.request)),
        next_href=f"{HOME}/mine?" + urlencode({"after": found.next}) if found.next else None,
        first_href=f"{HOME}/mine" if after else None,
    )


@pages.get("/new")
async def new_page(page: Page, tx: Tx, me: Me, unit: Annotated[str, Query(max_length=30)] = "") -> Response:
    """The form for a new thread, in the forum asked for or in that of the writer's own commune."""
    place = await units.get(tx, unit) if unit else await commands.home_of(tx, me)
    if place is None or place.level not in ("commune", "village"):
        return page.redirect(HOME, flash="Xin mở diễn đàn của một xã rồi mở chủ đề ở đó.", kind="warm")
    return await _new(page, tx, me, place, typed={"village": place.code if place.level == "village" else ""})


async def _new(
    page: Page, tx: AsyncSession, me: Principal, place: Unit, *, status: int = 200, **shown: Any
) -> Response:
    commune = await units.get(tx, place.commune)
    return page.render(
        "forum_new.html",
        status=status,
        commune=commune,
        villages=[(u.code, u.name) for u in await units.children(tx, commune.code)],
        topics=[(code, page._(title)) for code, title in TOPICS.items()],
        unit_path=await views.crumbs(tx, commune),
        **await _asked(page, tx, me),
        **shown,
    )


@pages.post("/new")
async def begin(page: Page, tx: Tx, me: Me) -> Response:
    """Begin a thread."""
    form = await page.form(ThreadForm)
    place = await units.get(tx, str(form.typed.get("commune", ""))[:30])
    if form.value is None:
        return await _new(page, tx, me, place, errors=form.errors, typed=form.typed)
    value = form.value
    new = commands.NewThread(value.topic, value.title, value.words(), value.commune, value.village)
    try:
        post = await commands.begin(tx, me, new, limits_of(page.request))
    except DomainError as error:
        if not error.field:
            raise
        status, errors = page.status_of(error), page.errors_of(error)
        return await _new(page, tx, me, place, status=status, errors=errors, typed=form.typed)
    return _sent(page, post)


def _sent(page: Page, post: Post) -> Response:
    said = "Đã đăng." if post.status is PostStatus.VISIBLE else "Đã gửi. Bài hiện ra sau khi cán bộ xã duyệt."
    return page.redirect(f"{HOME}/posts/{post.id}", flash=said)


@pages.get("/threads/{id:uuid}")
async def thread_page(page: Page, tx: Tx, me: MaybeMe, id: UUID, after: After = None) -> Response:
    """A thread with its posts, oldest first, and at its end the form to answer."""
    return await _thread(page, tx, me, id, after)


async def _thread(
    page: Page, tx: AsyncSession, me: Principal | None, id: UUID, after: str | None = None, **shown: Any
) -> Response:
    thread = await queries.thread(tx, me, id)
    found = page_of(
        await queries.posts(tx, me, thread, limit=views.PAGE, after=post_cursor(after)), views.PAGE, post_key
    )
    address = f"{HOME}/threads/{id}"
    newest = await queries.newest(tx, me, thread) if found.next else None
    took_part = {one.commune for one in await queries.participations(tx, thread) if one.posts}
    return page.render(
        "forum_thread.html",
        line=(await views.lines(tx, page, [thread]))[0],
        thread=thread,
        communes=len(took_part),
        posts=await views.posts(tx, page, me, [(one, thread) for one in found.items], limits_of(page.request)),
        actions=[action.value for action in thread.actions(me)],
        next_href=f"{address}?" + urlencode({"after": found.next}) if found.next else None,
        first_href=address if after else None,
        newest_href=f"{HOME}/posts/{newest}" if newest else None,
        unit_path=await views.crumbs(tx, await units.find(tx, thread.village or thread.commune)),
        **await _asked(page, tx, me),
        **shown,
    )


@pages.post("/threads/{id:uuid}/posts")
async def reply(page: Page, tx: Tx, me: Me, id: UUID) -> Response:
    """Write into a thread."""
    form = await page.form(PostForm)
    thread = await queries.thread(tx, me, id)
    newest = await queries.newest(tx, me, thread)
    start = await queries.before(tx, me, thread, newest, views.PAGE - 1) if newest else None
    last_page = encode_cursor([str(start)]) if start else None
    if form.value is None:
        return await _thread(page, tx, me, id, last_page, errors=form.errors, typed=form.typed)
    try:
        post = await commands.reply(tx, me, id, form.value.words(), limits_of(page.request))
    except DomainError as error:
        if not error.field:
            raise
        status, errors = page.status_of(error), page.errors_of(error)
        return await _thread(page, tx, me, id, last_page, status=status, errors=errors, typed=form.typed)
    return _sent(page, post)


@pages.get("/posts/{id:uuid}")
async def post_page(page: Page, tx: Tx, me: MaybeMe, id: UUID) -> Response:
    """Leads to the page of the thread on which the post stands."""
    thread, _ = await queries.readable_post(tx, me, id)
    if not thread.is_visible_to(me):
        return page.redirect(f"{HOME}/mine")
    start = await queries.before(tx, me, thread, id, views.PAGE)
    query = "?" + urlencode({"after": encode_cursor([str(start)])}) if start else ""
    return page.redirect(f"{HOME}/threads/{thread.id}{query}#p-{id}")
