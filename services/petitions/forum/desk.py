"""The pages of the forum for the staff of a commune: what waits for them, and the levers of moderation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Query
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.errors import DomainError
from chassis.paging import After, page_of
from chassis.web import Me, Page, PageRouter, Tx
from services.petitions.forum import moderating, queries, views
from services.petitions.forum.api import limits_of, post_cursor, post_key
from services.petitions.forum.model import MAX_REASON, PostAction, ThreadAction
from services.petitions.forum.shapes import ReasonOrNone

pages = PageRouter(prefix="/forum", templates=views.TEMPLATES)

HOME = views.HOME


class ModerateThreadForm(BaseModel):
    action: ThreadAction
    reason: ReasonOrNone = ""


class ModeratePostForm(BaseModel):
    action: PostAction
    reason: ReasonOrNone = ""
    edited_at: datetime | None = None
    back: str = ""


@pages.get("/queue")
async def queue_page(
    page: Page, tx: Tx, me: Me, unit: Annotated[str, Query(max_length=30)] = "", after: After = None
) -> Response:
    """Staff: posts of new writers and posts that readers reported, oldest first."""
    place = await units.get(tx, unit) if unit else None
    rows = await queries.queue(tx, me, within=place, limit=views.PAGE, after=post_cursor(after))
    found = page_of(rows, views.PAGE, lambda one: post_key(one.of))
    shown = await views.posts(tx, page, me, [(one.of, one.thread) for one in found.items], limits_of(page.request))
    address = f"{HOME}/queue?" + (urlencode({"unit": unit}) + "&" if unit else "")
    return page.render(
        "forum_queue.html",
        unit_path=await views.crumbs(tx, place),
        waiting=[(post, one.reports) for post, one in zip(shown, found.items, strict=True)],
        next_href=address + urlencode({"after": found.next}) if found.next else None,
        first_href=address if after else None,
    )


@pages.post("/threads/{id:uuid}/moderate")
async def moderate_thread(page: Page, tx: Tx, me: Me, id: UUID) -> Response:
    """Staff: lock, hide, pin a thread, or undo it."""
    form = await page.form(ModerateThreadForm)
    if form.value is None:
        return await _hide_thread(page, tx, me, id, errors=form.errors, typed=form.typed)
    try:
        await moderating.moderate_thread(tx, me, id, form.value.action, form.value.reason)
    except DomainError as error:
        if not error.field:
            raise
        return await _hide_thread(page, tx, me, id, errors=page.errors_of(error), typed=form.typed)
    return page.redirect(f"{HOME}/threads/{id}", flash="Đã ghi nhận.")


@pages.get("/threads/{id:uuid}/hide")
async def hide_thread_page(page: Page, tx: Tx, me: Me, id: UUID) -> Response:
    """Staff: why is this thread hidden?"""
    return await _hide_thread(page, tx, me, id)


async def _hide_thread(page: Page, tx: AsyncSession, me: Principal, id: UUID, **shown: Any) -> Response:
    thread = await queries.thread(tx, me, id)
    me.require(STAFF, thread.path)
    line = (await views.lines(tx, page, [thread]))[0]
    return page.render("forum_hide.html", line=line, post=None, max_reason=MAX_REASON, **shown)


@pages.get("/posts/{id:uuid}/hide")
async def hide_post_page(page: Page, tx: Tx, me: Me, id: UUID) -> Response:
    """Staff: why is this post hidden?"""
    return await _hide_post(page, tx, me, id)


async def _hide_post(page: Page, tx: AsyncSession, me: Principal, id: UUID, **shown: Any) -> Response:
    about = await views.about(page, tx, me, id, limits_of(page.request))
    me.require(STAFF, about["thread"].path)
    return page.render("forum_hide.html", **about, **shown)


@pages.post("/posts/{id:uuid}/moderate")
async def moderate_post(page: Page, tx: Tx, me: Me, id: UUID) -> Response:
    """Staff: approve, hide, restore a post, or dismiss reports of it."""
    form = await page.form(ModeratePostForm)
    if form.value is None:
        return await _hide_post(page, tx, me, id, errors=form.errors, typed=form.typed)
    try:
        await moderating.moderate_post(tx, me, id, form.value.action, form.value.reason, form.value.edited_at)
    except DomainError as error:
        if not error.field:
            raise
        return await _hide_post(page, tx, me, id, errors=page.errors_of(error), typed=form.typed)
    back = f"{HOME}/queue" if form.value.back == "queue" else f"{HOME}/posts/{id}"
    return page.redirect(back, flash="Đã ghi nhận.")
