"""Pages of notices: what a place is told and how a phone follows it, and the desk of who writes them."""

from __future__ import annotations

import uuid
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.db import now
from chassis.errors import DomainError, NotFound
from chassis.i18n import fmt_datetime, fmt_number
from chassis.pages import Page as PageContext
from chassis.paging import After, page_of
from chassis.text import Line, Paragraph
from chassis.units import VIETNAM
from chassis.web import MaybeMe, Me, Page, PageRouter, Tx
from services.media import access
from services.media.notices import commands, queries, wording
from services.media.notices.api import MAX_NOTICE
from services.media.notices.feed import atom
from services.media.notices.model import (
    ForeignVillage,
    Notice,
    Status,
    Topic,
    WrongPlace,
    WrongTime,
    next_collection,
)
from services.media.notices.push import vapid_for
from services.media.shell import TEMPLATES, View, view
from services.media.wiring import MediaSettings, id_cursor

pages = PageRouter(templates=TEMPLATES)

PER_PAGE = 20
WORKER = (Path(__file__).parent / "worker.js").read_text("utf-8")
UnitQuery = Annotated[str | None, Query(max_length=40)]


class NoticeForm(BaseModel):
    topic: Topic
    title: Line(120)  # type: ignore[valid-type]  # Line makes a type at run time.
    text: Paragraph(MAX_NOTICE, 1)  # type: ignore[valid-type]  # Paragraph makes a type at run time.
    villages: list[Line(40)] = Field(default_factory=list, max_length=200)  # type: ignore[valid-type]  # As above.
    publish_at: datetime | None = None


def place_href(unit: units.Unit) -> str:
    """The public page of a unit's notices."""
    return f"/media/notices?unit={unit.code}"


async def public_view(page: PageContext, tx: AsyncSession, me: Principal | None, unit: units.Unit) -> View:
    """The shell of a page everybody may read: its way down leads along such pages."""
    shown = await view(page, tx, me, unit)
    above = await units.breadcrumb(tx, unit)
    shown.context["unit_path"] = [{"code": u.code, "name": u.name, "href": place_href(u)} for u in above]
    return shown


@pages.get("/push-worker.js")
async def worker() -> Response:
    """What shows a notice on a phone and says that it arrived; browsers look for a newer one by themselves."""
    return Response(WORKER, media_type="text/javascript", headers={"cache-control": "no-cache"})


@pages.get("/notices")
async def place_page(
    page: Page, tx: Tx, me: MaybeMe, settings: MediaSettings, unit: UnitQuery = None, after: After = None
) -> Response:
    """What a village or commune was told, when waste is collected, and the button that lets a phone follow."""
    code = unit or (me.home.unit if me is not None and me.home is not None else None)
    if code is None:
        return page.render("notices.html", unit=None, below=await _writing(tx))
    place = await units.get(tx, code)
    shown = await public_view(page, tx, me, place)
    if place.level not in ("commune", "village"):
        below = await units.search(tx, level="commune", within=place.path, limit=300)
        return page.render("notices.html", **shown.context, below=below, notices=[])
    found = await queries.public(tx, place, limit=PER_PAGE, before=id_cursor(after))
    listed = page_of(list(found), PER_PAGE, lambda n: (n.id,))
    rules = await queries.rules(tx, place.path) if place.level == "village" else []
    ahead = next_collection(rules, now().astimezone(VIETNAM).date())
    villages = await units.children(tx, place.code) if place.level == "commune" else []
    return page.render(
        "notices.html",
        **shown.context,
        below=villages,
        notices=listed.items,
        rules=[(wording.kinds(page._)[r.kind], wording.rhythm(r, page._)) for r in rules],
        ahead=ahead,
        ahead_day=page._(wording.DAYS[ahead.weekday()]) if ahead else "",
        topics=wording.topics(page._),
        push_key=vapid_for(settings.secret.get_secret_value(), settings.push_from).public,
        next=f"{place_href(place)}&after={listed.next}" if listed.next else None,
        first=place_href(place) if after else None,
    )


async def _writing(tx: AsyncSession) -> list[units.Unit]:
    """For who belongs nowhere: the communes that have told something."""
    told = sa.select(Notice.commune).where(Notice.status == Status.PUBLISHED).distinct()
    codes = (await tx.scalars(told.order_by(Notice.commune).limit(300))).all()
    return [place for place in [await units.current(tx, code) for code in codes] if place is not None]


@pages.get("/notices/feed.atom")
async def feed(page: Page, tx: Tx, settings: MediaSettings, unit: Annotated[str, Query(max_length=40)]) -> Response:
    """The notices of a village or commune for feed readers."""
    place = await units.get(tx, unit)
    if place.level not in ("commune", "village"):
        raise NotFound
    found = await queries.public(tx, place, limit=30)
    title = page._("Thông báo của {unit}").format(unit=place.name)
    text = atom(place, found[:30], title=title, origin=settings.public_url, at=now())
    return Response(text, media_type="application/atom+xml; charset=utf-8", headers={"cache-control": "max-age=60"})


@pages.get("/notices/desk")
async def desk(page: Page, tx: Tx, me: Me, unit: UnitQuery = None, after: After = None) -> Response:
    """The notices of a unit in every state, and how many phones they reached."""
    place = await access.unit_to_read(tx, me, unit)
    shown = await view(page, tx, me, place)
    rows = await queries.listing(tx, place.path, limit=PER_PAGE, before=id_cursor(after))
    listed = page_of(list(rows), PER_PAGE, lambda n: (n.id,))
    base = f"/media/notices/desk?unit={place.code}"
    return page.render(
        "notice_desk.html",
        **shown.context,
        notices=listed.items,
        phones=await queries.phones(tx, place.path),
        topics=wording.topics(page._),
        villages=await units.children(tx, place.code) if place.level == "commune" else [],
        next=f"{base}&after={listed.next}" if listed.next else None,
        first=base if after else None,
    )


async def _new_form(
    page: PageContext, tx: AsyncSession, me: Principal, code: str | None, **more: Any
) -> tuple[units.Unit, Response]:
    place = await access.unit_to_read(tx, me, code)
    if place.level not in ("commune", "village"):
        raise WrongPlace(field="unit", name=place.name)
    me.require(STAFF, place.path)
    shown = await view(page, tx, me, place)
    villages = await units.children(tx, place.code) if place.level == "commune" else []
    response = page.render(
        "notice_new.html",
        **shown.context,
        topics=list(wording.topics(page._).items()),
        villages=[(v.code, v.name) for v in villages],
        phones=await queries.phones(tx, place.path),
        **more,
    )
    return place, response


@pages.get("/notices/new")
async def new_notice(page: Page, tx: Tx, me: Me, unit: UnitQuery = None) -> Response:
    return (await _new_form(page, tx, me, unit))[1]


@pages.post("/notices/new")
async def write_notice(page: Page, tx: Tx, me: Me, settings: MediaSettings, unit: UnitQuery = None) -> Response:
    access.may_write(me)
    place, _ = await _new_form(page, tx, me, unit)
    form = await page.form(NoticeForm)
    errors = form.errors
    if (value := form.value) is not None:
        try:
            async with tx.begin_nested():
                notice = await commands.write(
                    tx,
                    me,
                    unit=place.code,
                    villages=value.villages,
                    topic=value.topic,
                    title=value.title,
                    text=value.text,
                    publish_at=in_vietnam(value.publish_at),
                    hours=settings.notice_hours,
                )
            return page.redirect(f"/media/notices/{notice.id}")
        except (ForeignVillage, WrongTime) as error:
            errors = page.errors_of(error)
    return (await _new_form(page, tx, me, unit, errors=errors, typed=form.typed))[1]


def in_vietnam(typed: datetime | None) -> datetime | None:
    """A form's time of day is that of Việt Nam, wherever the browser is."""
    return typed if typed is None or typed.tzinfo is not None else typed.replace(tzinfo=VIETNAM)


@pages.get("/notices/{notice_id}")
async def notice_page(page: Page, tx: Tx, me: MaybeMe, notice_id: uuid.UUID) -> Response:
    """One notice: public once it is published; before, and with its counts, for who may look at the commune."""
    row = await queries.notice(tx, notice_id)
    reader = me is not None and me.may(access.READERS, row.path) and me.has_scope(access.READ)
    if row.published_at is None and not reader:
        raise NotFound
    then = row.created_at.astimezone(VIETNAM).date()
    place = await units.find(tx, row.unit) or await units.get(tx, row.unit, then)
    shown = await public_view(page, tx, me, place)
    named = [(code, await units.find(tx, code) or await units.find(tx, code, then)) for code in row.villages]
    return page.render(
        "notice.html",
        **shown.context,
        notice=row,
        reader=reader,
        topic=wording.topics(page._)[row.topic],
        villages=[village.name if village else code for code, village in named],
        link=place_href(place),
        status=410 if row.status == Status.WITHDRAWN and not reader else 200,
    )


@pages.get("/notices/{notice_id}/withdraw")
async def ask_withdraw(page: Page, tx: Tx, me: Me, notice_id: uuid.UUID) -> Response:
    return await _ask(page, tx, me, notice_id)


async def _ask(
    page: PageContext, tx: AsyncSession, me: Principal, notice_id: uuid.UUID, error: DomainError | None = None
) -> Response:
    row = await queries.notice(tx, notice_id)
    me.require(STAFF, row.path, hide=True)
    shown = await view(page, tx, me, await units.get(tx, row.unit, row.created_at.astimezone(VIETNAM).date()))
    _ = page._
    words = _("Thông báo không hiện trên trang của thôn nữa và không gửi thêm tới máy nào.")
    if row.published_at is None:
        words = _("Thông báo chưa đăng; thu hồi rồi thì không được đăng và không gửi tới máy nào.")
    if row.received:
        words += " " + _("{n} máy đã nhận từ {time} vẫn còn giữ thông báo.").format(
            n=fmt_number(row.received, locale=page.locale), time=fmt_datetime(row.published_at, locale=page.locale)
        )
    return page.render(
        "ask.html",
        **shown.context,
        heading=_("Thu hồi thông báo “{title}”?").format(title=row.title),
        consequence=words,
        action=f"/media/notices/{row.id}/withdraw",
        label=_("Thu hồi thông báo"),
        cancel_href=f"/media/notices/{row.id}",
        kind="danger",
        errors=page.errors_of(error) if error else {},
        status=page.status_of(error) if error else 200,
    )


@pages.post("/notices/{notice_id}/withdraw")
async def withdraw(page: Page, tx: Tx, me: Me, notice_id: uuid.UUID) -> Response:
    access.may_write(me)
    row = await commands.withdraw(tx, me, notice_id)
    return page.redirect(f"/media/notices/{row.id}", flash="Đã thu hồi thông báo.")
