"""Pages of test bulletins: asked for in words, then the proof of each loudspeaker."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import STAFF, Principal
from chassis.db import now
from chassis.errors import DomainError
from chassis.i18n import fmt_datetime
from chassis.pages import Page as PageContext
from chassis.paging import After, page_of
from chassis.units import VIETNAM
from chassis.web import Me, Page, PageRouter, Tx
from services.media import access
from services.media.bulletins import commands, queries
from services.media.bulletins.model import BulletinUnderWay, NoLoudspeakers
from services.media.settings import Settings
from services.media.shell import TEMPLATES, device_view, view, village_view
from services.media.speakers import queries as speakers
from services.media.speakers.model import State
from services.media.wiring import MediaSettings, id_cursor

pages = PageRouter(templates=TEMPLATES)


@pages.get("/villages/{code}/test")
async def ask_test(page: Page, tx: Tx, me: Me, settings: MediaSettings, code: str) -> Response:
    return await _ask(page, tx, me, settings, code)


async def _ask(
    page: PageContext, tx: AsyncSession, me: Principal, settings: Settings, code: str, error: DomainError | None = None
) -> Response:
    """The question, with what will happen in words."""
    shown = await village_view(page, tx, me, code)
    me.require(STAFF, shown.unit.path)
    smart = [s for s in await speakers.of_villages(tx, [shown.unit.code]) if s.smart]
    ready = sum(s.state is State.READY for s in smart)
    until = fmt_datetime(now() + timedelta(minutes=settings.bulletin_minutes), locale=page.locale)
    _ = page._
    words = _("{ready} loa ở {unit} sẽ phát thử trong {seconds} giây.").format(
        ready=ready, unit=shown.unit.name, seconds=commands.TEST_SECONDS
    )
    if len(smart) > ready:
        words += " " + _("{n} loa chưa sẵn sàng chỉ phát nếu kết nối lại trước {time}.").format(
            n=len(smart) - ready, time=until
        )
    return page.render(
        "ask.html",
        **shown.context,
        heading=_("Phát thử loa ở {unit}?").format(unit=shown.unit.name),
        consequence=words,
        action=f"/media/villages/{shown.unit.code}/test",
        label=_("Phát thử ngay"),
        cancel_href=f"/media/villages/{shown.unit.code}",
        kind="warm",
        errors=page.errors_of(error) if error else {},
        status=page.status_of(error) if error else 200,
    )


@pages.post("/villages/{code}/test")
async def send_test(page: Page, tx: Tx, me: Me, settings: MediaSettings, code: str) -> Response:
    access.may_write(me)
    try:
        async with tx.begin_nested():
            sent = await commands.send_test(tx, me, unit=code, loudspeakers=None, minutes=settings.bulletin_minutes)
    except (NoLoudspeakers, BulletinUnderWay) as error:
        return await _ask(page, tx, me, settings, code, error)
    return page.redirect(f"/media/bulletins/{sent.id}")


@pages.get("/bulletins")
async def bulletins_page(
    page: Page, tx: Tx, me: Me, unit: Annotated[str | None, Query(max_length=40)] = None, after: After = None
) -> Response:
    place = await access.unit_to_read(tx, me, unit)
    shown = await view(page, tx, me, place)
    listed = page_of(
        await queries.listing(tx, place.path, now(), limit=30, before=id_cursor(after)), 30, lambda s: (s.bulletin.id,)
    )
    base = f"/media/bulletins?unit={place.code}"
    return page.render(
        "bulletins.html",
        **shown.context,
        items=listed.items,
        next=f"{base}&after={listed.next}" if listed.next else None,
        first=base if after else None,
    )


@pages.get("/bulletins/{bulletin_id}")
async def bulletin_page(page: Page, tx: Tx, me: Me, bulletin_id: uuid.UUID) -> Response:
    row = await queries.bulletin(tx, bulletin_id)
    shown = await device_view(page, tx, me, row)
    proofs = await queries.proofs(tx, row.id)
    sent = queries.sent_of(row, len(proofs), sum(p.finished for p in proofs), now())
    return page.render("bulletin.html", **shown.context, bulletin=row, proofs=proofs, sent=sent, clock=_clock)


def _clock(at: datetime) -> str:
    """The time of day in Việt Nam to the second: the stages of a test lie seconds apart."""
    return at.astimezone(VIETNAM).strftime("%H:%M:%S")


@pages.post("/bulletins/{bulletin_id}/cancel")
async def cancel(page: Page, tx: Tx, me: Me, bulletin_id: uuid.UUID) -> Response:
    access.may_write(me)
    row = await commands.cancel(tx, me, bulletin_id)
    return page.redirect(f"/media/bulletins/{row.id}", flash="Đã hủy bản tin thử.")
