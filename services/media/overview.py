"""Owns the pages of places: the overview of a commune, the page of a village, and the lists as CSV."""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import Principal
from chassis.db import now, unit_table
from chassis.i18n import fmt_datetime
from chassis.pages import Page as PageContext
from chassis.paging import After, encode_cursor, page_of
from chassis.web import MaybeMe, Me, Page, PageRouter, Tx
from services.media import access
from services.media.bulletins import queries as bulletins
from services.media.cameras import commands as camera_commands
from services.media.cameras import queries as cameras
from services.media.cameras.model import CameraState
from services.media.model import Village
from services.media.settings import Settings
from services.media.shell import TEMPLATES, View, csv_file, view, village_view
from services.media.speakers import queries as speakers
from services.media.speakers.model import State
from services.media.wiring import MediaSettings, code_cursor

pages = PageRouter(templates=TEMPLATES)

PER_PAGE = 20
CSV_MOST = 10_000
SPEAKER_WORDS = {
    State.UNKNOWN: "chưa kết nối lần nào",
    State.INIT: "đang khởi động",
    State.READY: "sẵn sàng",
    State.DISCONNECTED: "đã tắt",
    State.SLEEPING: "đang nghỉ",
    State.LOST: "mất kết nối",
}
CAMERA_WORDS = {
    CameraState.ONLINE: "trực tuyến",
    CameraState.OFFLINE: "mất tín hiệu",
    CameraState.UNKNOWN: "chưa rõ",
    CameraState.MAINTENANCE: "đang bảo trì",
}
"""The words of `templates/_devices.html`, for tables outside of pages."""
UnitQuery = Annotated[str | None, Query(max_length=40)]


async def _place(tx: AsyncSession, me: Principal | None, code: str | None) -> units.Unit | None:
    """The unit a reader looks at: the one asked for, else the commune of their first grant, else none."""
    if code is not None:
        return await units.get(tx, code)
    if me is None or me.home is None:
        return None
    home = await units.find(tx, me.home.unit)
    return None if home is None else await units.get(tx, home.commune)


@pages.get("/")
async def overview(page: Page, tx: Tx, me: MaybeMe, unit: UnitQuery = None, after: After = None) -> Response:
    """Village by village: what is heard and seen. Everybody sees how far the loudspeakers reach, staff sees devices."""
    place = await _place(tx, me, unit)
    start = code_cursor(after)
    if place is None:
        return await _chooser(page, tx, start)
    if place.level == "village":
        place = await units.get(tx, place.commune)
    detailed = me is not None and me.may(access.READERS, place.path)
    shown = await view(page, tx, me, place)
    if place.level != "commune":
        return await _above(page, tx, shown, detailed, start)
    listed = page_of(
        await units.search(tx, level="village", within=place.path, limit=PER_PAGE, after=start), PER_PAGE, _by_code
    )
    rows = await _rows(tx, listed.items, detailed)
    counted = await _figures(tx, place, detailed)
    more = {"below": [], "rows": rows, "heard": sum(r["clusters"] > 0 and r["clusters"] == r["heard"] for r in rows)}
    links = _links(place.code, listed.next, after)
    return page.render("overview.html", **shown.context, **counted, **more, **links, detailed=detailed)


def _by_code(unit: units.Unit) -> tuple[str]:
    return (unit.code,)


def _links(code: str, following: str | None, after: str | None) -> dict[str, Any]:
    base = f"/media/?unit={code}" if code else "/media/?"
    return {"next": f"{base}&after={following}" if following else None, "first": base if after else None}


async def _figures(tx: AsyncSession, place: units.Unit, detailed: bool) -> dict[str, Any]:
    return {
        "speakers": await speakers.counts(tx, place.path),
        "cameras": await cameras.counts(tx, place.path) if detailed else cameras.CameraCounts(),
        "hub": await speakers.hub(tx) if detailed else None,
    }


async def _rows(tx: AsyncSession, villages: list[units.Unit], detailed: bool) -> list[dict[str, Any]]:
    codes = [v.code for v in villages]
    known = await speakers.villages(tx, codes)
    loud = await speakers.of_villages(tx, codes)
    seen = await cameras.of_villages(tx, codes) if detailed else []
    rows = []
    for unit in villages:
        row = known.get(unit.code)
        here = [s for s in loud if s.unit == unit.code]
        rows.append(
            {
                "unit": unit,
                "clusters": row.clusters if row else 0,
                "heard": row.clusters_in_earshot if row else 0,
                "speakers": here,
                "ready": sum(s.smart and s.state is State.READY for s in here),
                "cameras": [c for c in seen if c.unit == unit.code],
            }
        )
    return rows


async def _above(page: PageContext, tx: AsyncSession, shown: View, detailed: bool, start: str | None) -> Response:
    """The page of a district or province: its figures and its communes."""
    found = await units.search(tx, level="commune", within=shown.unit.path, limit=PER_PAGE, after=start)
    listed = page_of(found, PER_PAGE, _by_code)
    counted = await _figures(tx, shown.unit, detailed)
    links = _links(shown.unit.code, listed.next, start)
    return page.render(
        "overview.html", **shown.context, **counted, **links, detailed=detailed, rows=[], heard=0, below=listed.items
    )


async def _chooser(page: PageContext, tx: AsyncSession, start: str | None) -> Response:
    """For who belongs nowhere: the communes that have devices."""
    codes = sa.select(Village.commune).distinct()
    query = sa.select(unit_table.c.code).where(unit_table.c.code.in_(codes), unit_table.c.valid_to.is_(None))
    if start:
        query = query.where(unit_table.c.code > start)
    found = list((await tx.scalars(query.order_by(unit_table.c.code).limit(PER_PAGE + 1))).all())
    communes = [c for c in [await units.find(tx, code) for code in found[:PER_PAGE]] if c is not None]
    following = encode_cursor((found[PER_PAGE - 1],)) if len(found) > PER_PAGE else None
    return page.render("overview.html", unit=None, below=communes, **_links("", following, start))


@pages.get("/villages/{code}")
async def village_page(page: Page, tx: Tx, me: Me, settings: MediaSettings, code: str) -> Response:
    """One village: loudspeakers, clusters, cameras, and what was tested."""
    return await render_village(page, tx, me, settings, code)


async def render_village(
    page: PageContext, tx: AsyncSession, me: Principal, settings: Settings, code: str, **more: Any
) -> Response:
    """The page of a village; `more` carries the errors of a form on it."""
    shown = await village_view(page, tx, me, code)
    place, at = shown.unit, now()
    loud = await speakers.of_villages(tx, [place.code])
    seen = await cameras.of_villages(tx, [place.code])
    clusters = await speakers.clusters(tx, place.path, limit=200)
    audible = await speakers.in_earshot(tx, place.code)
    return page.render(
        "village.html",
        **shown.context,
        **more,
        speakers=loud,
        smart=any(s.smart for s in loud),
        coverage=await speakers.coverage(tx, [s.id for s in loud]),
        clusters=clusters,
        heard=[c.id for c in clusters if c.id in audible],
        cameras=seen,
        uptimes=await cameras.uptimes(
            tx, seen, now=at, days=settings.uptime_days, stale=camera_commands.stale_after(settings)
        ),
        bulletins=(await bulletins.listing(tx, place.path, at, limit=5))[:5],
        hub=await speakers.hub(tx),
    )


@pages.get("/loudspeakers.csv")
async def loudspeakers_csv(page: Page, tx: Tx, me: Me, unit: UnitQuery = None) -> Response:
    """The loudspeakers of a unit as a table."""
    place = await access.unit_to_read(tx, me, unit)
    rows = (await speakers.loudspeakers(tx, place.path, limit=CSV_MOST, include_retired=True))[:CSV_MOST]
    names = await _names(tx, {r.unit for r in rows})
    _ = page._
    head = [_("Mã thôn"), _("Thôn"), _("Loa"), _("Loa thông minh"), _("Trạng thái"), _("Từ"), _("Tín hiệu cuối")]
    head += [_("Phát xong lần cuối"), _("Ngừng sử dụng")]
    return csv_file(
        f"loa-{place.code}.csv",
        head,
        (
            (
                r.unit,
                names.get(r.unit, ""),
                r.name,
                _("có") if r.smart else _("không"),
                _(SPEAKER_WORDS[r.state]) if r.smart else "",
                fmt_datetime(r.state_since, locale=page.locale),
                fmt_datetime(r.last_heartbeat_at, locale=page.locale) if r.last_heartbeat_at else "",
                fmt_datetime(r.last_acknowledged_at, locale=page.locale) if r.last_acknowledged_at else "",
                fmt_datetime(r.retired_at, locale=page.locale) if r.retired_at else "",
            )
            for r in rows
        ),
    )


@pages.get("/cameras.csv")
async def cameras_csv(page: Page, tx: Tx, me: Me, settings: MediaSettings, unit: UnitQuery = None) -> Response:
    """The cameras of a unit as a table, with the seconds behind the uptime."""
    place = await access.unit_to_read(tx, me, unit)
    rows = (await cameras.cameras(tx, place.path, limit=CSV_MOST, include_retired=True))[:CSV_MOST]
    names = await _names(tx, {r.unit for r in rows})
    stale = camera_commands.stale_after(settings)
    uptimes = await cameras.uptimes(tx, rows, now=now(), days=settings.uptime_days, stale=stale)
    _ = page._
    head = [_("Mã thôn"), _("Thôn"), _("Camera"), _("Vị trí"), _("Trạng thái"), _("Từ")]
    head += [_("Giây có hình"), _("Giây mất tín hiệu"), _("Giây không rõ"), _("Giây bảo trì"), _("Ngừng sử dụng")]
    return csv_file(
        f"camera-{place.code}.csv",
        head,
        (
            (
                r.unit,
                names.get(r.unit, ""),
                r.name,
                _("tuyến đường trục chính") if r.place == "main_road" else _("khu vực công cộng"),
                _(CAMERA_WORDS[r.state]),
                fmt_datetime(r.state_since, locale=page.locale),
                uptimes[r.id].online,
                uptimes[r.id].offline,
                uptimes[r.id].unknown,
                uptimes[r.id].maintenance,
                fmt_datetime(r.retired_at, locale=page.locale) if r.retired_at else "",
            )
            for r in rows
        ),
    )


async def _names(tx: AsyncSession, codes: set[str]) -> dict[str, str]:
    query = sa.select(unit_table.c.code, unit_table.c.name).where(unit_table.c.code.in_(codes))
    return {row.code: row.name for row in await tx.execute(query.order_by(unit_table.c.valid_from))}
