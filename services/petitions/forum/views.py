"""What several pages of the forum show in the same way: a thread's line, a post, the place somebody speaks for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import Principal
from chassis.db import now
from chassis.units import Unit
from chassis.web import Page
from services.petitions.forum import queries
from services.petitions.forum.commands import Limits
from services.petitions.forum.model import MAX_BODY, MAX_REASON, TOPICS, PostStatus, Thread, ThreadStatus
from services.petitions.queries import unit_names

TEMPLATES = Path(__file__).parent.parent / "templates"
HOME = "/petitions/forum"
PAGE = 20
"""Threads or posts on one page."""

# Word and shape of a state; the shapes are those of the shared status chip.
POST_WORDS: dict[PostStatus, tuple[str, str]] = {
    PostStatus.PENDING: ("no_data", "Chờ duyệt"),
    PostStatus.HIDDEN: ("danger", "Đã ẩn"),
    PostStatus.WITHDRAWN: ("not_applicable", "Đã rút"),
}
THREAD_WORDS: dict[ThreadStatus, tuple[str, str]] = {
    ThreadStatus.LOCKED: ("suspended", "Đã khóa"),
    ThreadStatus.HIDDEN: ("danger", "Đã ẩn"),
}


async def crumbs(tx: AsyncSession, unit: Unit | None) -> list[dict[str, str]]:
    """The breadcrumb of the shell, each part leading to the forum of that unit."""
    above = await units.breadcrumb(tx, unit) if unit else []
    return [{"code": u.code, "name": u.name, "href": f"{HOME}?unit={u.code}"} for u in above]


async def lines(tx: AsyncSession, page: Page, threads: Sequence[Thread]) -> list[dict[str, Any]]:
    """Threads as lines of a list."""
    names = await _names(tx, {code for t in threads for code in (t.commune, t.village)})
    return [line(page, thread, names) for thread in threads]


def line(page: Page, of: Thread, names: dict[str, str]) -> dict[str, Any]:
    """A thread as its own page and the lists show it."""
    shape, word = THREAD_WORDS.get(of.status, ("", ""))
    return {
        "id": of.id,
        "title": of.title,
        "topic": page._(TOPICS[of.topic]),
        "place": _place(of.commune, of.village, names),
        "posts": of.posts,
        "at": of.last_posted_at,
        "pinned": of.pinned,
        "shape": shape,
        "word": page._(word) if word else "",
        "reason": of.reason,
    }


async def posts(
    tx: AsyncSession, page: Page, me: Principal | None, found: Sequence[tuple[queries.Written, Thread]], limits: Limits
) -> list[dict[str, Any]]:
    """Posts with their threads as a page shows them, with what `me` may do to each."""
    names = await _names(tx, {code for one, _ in found for code in (one.post.commune, one.post.village)})
    return [_post(page, me, one, thread, names, limits) for one, thread in found]


def _post(
    page: Page, me: Principal | None, one: queries.Written, thread: Thread, names: dict[str, str], limits: Limits
) -> dict[str, Any]:
    post, mine = one.post, one.post.is_by(me)
    shape, word = POST_WORDS.get(post.status, ("", ""))
    writable, moderated = thread.status is ThreadStatus.OPEN, thread.is_moderated_by(me)
    return {
        "id": post.id,
        "thread": {"id": thread.id, "title": thread.title, "hidden": thread.status is ThreadStatus.HIDDEN}
        | {"readable": thread.is_visible_to(me)},
        "name": one.name or page._("Người viết đã rời diễn đàn"),
        "place": _place(post.commune, post.village if one.shows_village else None, names),
        "by_staff": post.by_staff,
        "at": post.written_at,
        "edited_at": post.edited_at,
        "body": post.body,
        "shape": shape,
        "word": page._(word) if word else "",
        "reason": post.reason,
        "mine": mine,
        "editable": mine and writable and post.is_editable(now(), limits.edit_minutes),
        "withdrawable": mine and post.is_withdrawable,
        "reportable": me is not None and not mine and not moderated and post.status is PostStatus.VISIBLE,
        "actions": [action.value for action in post.actions()] if moderated else [],
    }


async def _names(tx: AsyncSession, codes: Collection[str | None]) -> dict[str, str]:
    return await unit_names(tx, {code for code in codes if code})


def _place(commune: str | None, village: str | None, names: dict[str, str]) -> str:
    return ", ".join(names.get(code, code) for code in (village, commune) if code)


async def about(page: Page, tx: AsyncSession, me: Principal, id: UUID, limits: Limits) -> dict[str, Any]:
    """A post as the pages about it alone show it, with its thread; raises PostNotFound."""
    thread, post = await queries.readable_post(tx, me, id)
    shown = await posts(tx, page, me, [(await queries.one(tx, post), thread)], limits)
    return {"post": shown[0], "thread": thread, "max_body": MAX_BODY, "max_reason": MAX_REASON}
