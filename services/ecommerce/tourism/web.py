"""Owns the public pages of tourism: the list with its map, a point, asking to come, and what became of it."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import Principal
from chassis.db import now
from chassis.errors import DomainError, NotFound
from chassis.pages import FormResult
from chassis.paging import After, page_of
from chassis.web import MaybeMe, Page, PageRouter, Tx
from services.ecommerce import pictures
from services.ecommerce.contacts import cipher_for
from services.ecommerce.cursors import catalogue_position
from services.ecommerce.queries import unit_names
from services.ecommerce.tourism import access, bookings, drawing, queries, views
from services.ecommerce.tourism.model import AHEAD, PointKind, TourismPoint
from services.ecommerce.tourism.shapes import BookingForm
from services.ecommerce.tourism.views import PointId
from services.ecommerce.views import rail, unit_path

PAGE = 48

pages = PageRouter(prefix="/tourism")


def list_href(code: str) -> str:
    return f"/ecommerce/tourism?unit={code}"


async def _here(tx: AsyncSession, me: Principal | None, code: str | None) -> units.Unit | None:
    """The unit asked for, else the reader's own, else everywhere."""
    if code == "all":
        return None
    if code:
        return await units.get(tx, code)
    return await units.find(tx, me.home.unit) if me is not None and me.home is not None else None


@pages.get("")
async def points(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str | None, Query(max_length=40)] = None,
    q: Annotated[str, Query(max_length=100)] = "",
    kind: Annotated[str, Query(max_length=20)] = "",
    bookable: bool = False,
    after: After = None,
) -> Response:
    here = await _here(tx, me, unit)
    chosen = PointKind(kind) if kind in set(PointKind) else None
    wanted = queries.PointFilter(path=here.path if here else "", q=q, kind=chosen, bookable=bookable)
    rows = await queries.published(tx, wanted, PAGE, catalogue_position(after))
    found = page_of(rows, PAGE, lambda point: (point.published_at, str(point.id)))
    asked = {"unit": here.code if here else "all", "q": q, "kind": kind, "bookable": "true" if bookable else ""}

    def href(**changed: str) -> str:
        return "/ecommerce/tourism?" + urlencode({k: v for k, v in {**asked, **changed}.items() if v})

    above = [here.code] if here else []
    return page.render(
        "tourism.html",
        title=page._("Điểm du lịch nông thôn"),
        unit=here,
        unit_path=await unit_path(tx, here, list_href),
        staff_nav=rail(page, me, "tourism"),
        points=found.items,
        drawn=drawing.draw(found.items),
        names=await unit_names(tx, (one.unit for one in found.items)),
        below=[(child.code, child.name) for code in above for child in await units.children(tx, code)],
        asked={**asked, "bookable": bookable},
        href=href,
        next_href=href(after=found.next) if found.next else None,
        first_href=href() if after else None,
        **views.words(page, now()),
    )


@pages.get("/points/{point_id}")
async def point(page: Page, tx: Tx, me: MaybeMe, point_id: PointId) -> Response:
    return await _point_page(page, tx, me, await access.visible(tx, me, point_id), FormResult(None), {})


async def _point_page(
    page: Page,
    tx: AsyncSession,
    me: Principal | None,
    shown: TourismPoint,
    form: FormResult[BookingForm],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    here = await units.find(tx, shown.unit)
    above = await units.breadcrumb(tx, here) if here else []
    today = units.today()
    return page.render(
        "tourism_point.html",
        title=shown.name,
        status=status,
        errors=errors,
        typed=form.typed,
        point=shown,
        unit=here,
        above=above,
        unit_path=await unit_path(tx, here, list_href),
        staff_nav=rail(page, me, "tourism"),
        may_change=access.may_change(me, shown),
        first_day=today,
        last_day=today + AHEAD,
        linked_data=views.linked_data(shown, above, page.renderer.settings.public_url),
        **views.words(page, now()),
    )


@pages.post("/points/{point_id}/bookings")
async def ask(page: Page, tx: Tx, me: MaybeMe, point_id: PointId) -> Response:
    shown = await access.visible(tx, me, point_id)
    form = await page.form(BookingForm)
    if form.value is None:
        return await _point_page(page, tx, me, shown, form, form.errors)
    cipher = cipher_for(page.renderer.settings.secret.get_secret_value())
    try:
        booking = await bookings.ask(tx, me, point_id, form.value.wanted(), cipher)
    except DomainError as error:
        return await _point_page(page, tx, me, shown, form, page.errors_of(error), page.status_of(error))
    return page.redirect(f"/ecommerce/tourism/bookings/{booking.code}", flash="Đã gửi yêu cầu. Hãy ghi lại mã này.")


@pages.get("/bookings")
async def find_booking(
    page: Page, tx: Tx, me: MaybeMe, code: Annotated[str | None, Query(max_length=40)] = None
) -> Response:
    missing = False
    if code:
        try:
            found, _ = await bookings.by_code(tx, code)
            return page.redirect(f"/ecommerce/tourism/bookings/{found.code}")
        except NotFound:
            missing = True
    at = now()
    return page.render(
        "tourism_bookings.html",
        title=page._("Yêu cầu đặt chỗ của tôi"),
        status=404 if missing else 200,
        errors={"code": page._("Không có yêu cầu nào mang mã này. Xin xem lại mã.")} if missing else {},
        typed={"code": code or ""},
        rows=await bookings.of_account(tx, me.subject, 50) if me is not None else [],
        at=at,
        staff_nav=rail(page, me, "tourism"),
        back_href="/ecommerce/tourism",
        **views.words(page, at),
    )


@pages.get("/bookings/{code}")
async def booking(page: Page, tx: Tx, me: MaybeMe, code: str) -> Response:
    found, asked_of = await bookings.by_code(tx, code)
    at = now()
    return page.render(
        "tourism_booking.html",
        title=page._("Yêu cầu đặt chỗ {code}").format(code=found.code),
        booking=found,
        standing_of=found.standing(at).value,
        closed_then=found.stands(at) and not (asked_of.public and asked_of.opens_on(found.day)),
        point=asked_of,
        staff_nav=rail(page, me, "tourism"),
        back_href=f"/ecommerce/tourism/points/{asked_of.id}" if asked_of.public else "/ecommerce/tourism",
        **views.words(page, at),
    )


@pages.get("/points/{point_id}/photo")
async def photo(request: Request, tx: Tx, me: MaybeMe, point_id: PointId, small: bool = False, v: str = "") -> Response:
    shown = await access.visible(tx, me, point_id)
    return await pictures.answer(request, shown, small, v, partial(queries.photo, tx, point_id, small=small))
