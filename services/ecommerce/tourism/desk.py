"""Owns the pages of those who look after tourism points: their list, a point's desk with its requests, the forms."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, VIEWERS, Principal
from chassis.db import now
from chassis.errors import DomainError, Forbidden
from chassis.pages import FormResult
from chassis.paging import After, page_of
from chassis.web import Me, MiB, Page, PageRouter, Tx
from services.ecommerce import access as producer_access
from services.ecommerce import pictures
from services.ecommerce import queries as catalogue
from services.ecommerce.contacts import cipher_for
from services.ecommerce.cursors import id_key, id_position
from services.ecommerce.tourism import access, bookings, commands, queries, views
from services.ecommerce.tourism.model import BookingStatus, PointChangedMeanwhile, TourismPoint
from services.ecommerce.tourism.shapes import FIELDS, AnswerForm, Closing, PointEdit
from services.ecommerce.tourism.views import BookingId, PointId
from services.ecommerce.tourism.web import list_href
from services.ecommerce.views import rail, unit_path

PAGE = 50
MOST_PRODUCERS = 200

desk = PageRouter(prefix="/tourism")


def desk_href(point_id: uuid.UUID) -> str:
    return f"/ecommerce/tourism/points/{point_id}/manage"


async def _shell(page: Page, tx: AsyncSession, me: Principal, here: units.Unit | None) -> dict[str, Any]:
    return {
        "unit_path": await unit_path(tx, here, list_href),
        "staff_nav": rail(page, me, "tourism-manage"),
        **views.words(page, now()),
    }


@desk.get("/manage")
async def managed(
    page: Page, tx: Tx, me: Me, unit: Annotated[str | None, Query(max_length=40)] = None, after: After = None
) -> Response:
    code = unit or next((grant.unit for grant in me.grants if grant.role in VIEWERS), None)
    here = await units.get(tx, code) if code else None
    if here is not None:
        me.require(VIEWERS, here.path)
    elif not me.roles & {*producer_access.PRODUCER}:
        raise Forbidden()
    wanted = queries.PointFilter(path=here.path) if here else queries.PointFilter(account=me.subject)
    found = page_of(await queries.points(tx, wanted, PAGE, id_position(after)), PAGE, id_key)
    base = f"/ecommerce/tourism/manage?unit={here.code}&" if here else "/ecommerce/tourism/manage?"
    return page.render(
        "tourism_manage.html",
        title=page._("Quản lý điểm du lịch"),
        unit=here,
        points=found.items,
        waiting=await queries.waiting(tx, [point.id for point in found.items], now()),
        mine={point.id for point in found.items if access.may_change(me, point)},
        names=await catalogue.unit_names(tx, (point.unit for point in found.items)),
        new_href=_new_href(me, here),
        next_href=base + urlencode({"after": found.next}) if found.next else None,
        first_href=base if after else None,
        **await _shell(page, tx, me, here),
    )


def _new_href(me: Principal, here: units.Unit | None) -> str | None:
    """Where a point is entered; a province or district enters none before a commune is chosen."""
    if here is None:
        return "/ecommerce/tourism/points/new"
    if here.level not in ("commune", "village") or not me.may(STAFF, here.path):
        return None
    return f"/ecommerce/tourism/points/new?unit={here.code}"


@dataclass(frozen=True)
class Choices:
    """Who may run a new point, and in which villages it may lie. `commune` None: a producer enters its own."""

    commune: units.Unit | None
    producers: list[tuple[str, str]]
    villages: list[tuple[str, str]]


async def _choices(tx: AsyncSession, me: Principal, code: str | None) -> Choices:
    asked = await units.get(tx, code) if code else None
    here = await units.find(tx, asked.commune) if asked else None
    if here is not None:
        me.require(STAFF, here.path)
        found = (await catalogue.producers(tx, path=here.path, limit=MOST_PRODUCERS))[:MOST_PRODUCERS]
    else:
        found = await catalogue.producers(tx, account=me.subject, limit=20)
    villages = await catalogue.villages(tx, [here.code] if here else [one.commune for one in found])
    return Choices(here, [(str(one.id), one.name) for one in found], [(one.code, one.name) for one in villages])


@desk.get("/points/new")
async def new_point(page: Page, tx: Tx, me: Me, unit: Annotated[str | None, Query(max_length=40)] = None) -> Response:
    choices = await _choices(tx, me, unit)
    if choices.commune is None and not choices.producers:
        return page.redirect("/ecommerce/producers/new", flash="Xin đăng ký cơ sở sản xuất trước.", kind="info")
    return await _form(page, tx, me, choices, FormResult(None), {})


@desk.post("/points/new", max_body=9 * MiB)
async def add_point(page: Page, tx: Tx, me: Me, unit: Annotated[str | None, Query(max_length=40)] = None) -> Response:
    choices = await _choices(tx, me, unit)
    form = await page.form(PointEdit)
    if form.value is None:
        return await _form(page, tx, me, choices, form, form.errors)
    try:
        point = await commands.add_point(tx, me, form.value.producer_id, form.value.fields())
        if picture := await pictures.chosen(form, page.renderer.settings):
            await commands.set_photo(tx, me, point.id, picture)
    except DomainError as error:
        return await _form(page, tx, me, choices, form, page.errors_of(error), page.status_of(error))
    return page.redirect(desk_href(point.id), flash="Đã lưu bản nháp. Xem lại rồi đăng lên.")


@desk.get("/points/{point_id}/edit")
async def edit_point(page: Page, tx: Tx, me: Me, point_id: PointId) -> Response:
    point = await access.own(tx, me, point_id)
    typed = {name: getattr(point, name, None) for name in FIELDS}
    typed |= {name: f"{typed[name]:%H:%M}" for name in ("opens", "closes") if typed[name] is not None}
    typed |= {"phone_agreed": "1" if point.phone else "", "takes_bookings": "1" if point.takes_bookings else ""}
    shown = {name: value for name, value in typed.items() if value is not None}
    return await _form(page, tx, me, await _near(tx, point), FormResult(None, typed=shown), {}, point=point)


@desk.post("/points/{point_id}/edit", max_body=9 * MiB)
async def change_point(page: Page, tx: Tx, me: Me, point_id: PointId) -> Response:
    point = await access.changeable(tx, me, point_id)
    choices = await _near(tx, point)
    form = await page.form(PointEdit)
    if form.value is None:
        return await _form(page, tx, me, choices, form, form.errors, point=point)
    try:
        await commands.change_point(tx, me, point_id, form.value.fields(), form.value.version)
        if picture := await pictures.chosen(form, page.renderer.settings):
            await commands.set_photo(tx, me, point_id, picture)
    except DomainError as error:
        if isinstance(error, PointChangedMeanwhile):
            # What was typed stays; sent once more, it replaces the version the person has now been told of.
            form.typed["version"] = point.version
        return await _form(page, tx, me, choices, form, page.errors_of(error), page.status_of(error), point=point)
    return page.redirect(desk_href(point_id), flash="Đã lưu thay đổi.")


async def _near(tx: AsyncSession, point: TourismPoint) -> Choices:
    """The villages among which an entered point may move; who runs it stays."""
    villages = await catalogue.villages(tx, [point.commune])
    return Choices(None, [], [(one.code, one.name) for one in villages])


async def _form(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    choices: Choices,
    form: FormResult[PointEdit],
    errors: dict[str, str],
    status: int = 200,
    point: TourismPoint | None = None,
) -> Response:
    manage = (
        f"/ecommerce/tourism/manage?unit={choices.commune.code}" if choices.commune else "/ecommerce/tourism/manage"
    )
    return page.render(
        "tourism_form.html",
        title=page._("Sửa điểm du lịch") if point else page._("Thêm điểm du lịch"),
        status=status,
        errors=errors,
        typed=form.typed,
        point=point,
        choices=choices,
        back_href=desk_href(point.id) if point else manage,
        **await _shell(page, tx, me, choices.commune),
    )


@desk.get("/points/{point_id}/manage")
async def point_desk(page: Page, tx: Tx, me: Me, point_id: PointId, after: After = None) -> Response:
    return await _desk(page, tx, me, await access.own(tx, me, point_id), {}, {}, after=after)


async def _desk(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    point: TourismPoint,
    typed: dict[str, Any],
    errors: dict[str, str],
    status: int = 200,
    after: str | None = None,
) -> Response:
    at = now()
    cipher = cipher_for(page.renderer.settings.secret.get_secret_value())
    reads = access.may_read_visitors(me, point)
    found = page_of(await bookings.of_point(tx, point.id, PAGE, id_position(after)), PAGE, id_key)
    waiting = await bookings.waiting(tx, point.id, at)
    # What waits comes first, however much was answered since.
    over = [one for one in found.items if one.standing(at) is not BookingStatus.REQUESTED]
    rows = [
        {
            "booking": one,
            "standing": one.standing(at).value,
            "visitor": cipher.open(one.contact, str(one.id)) if reads else {},
            "closed_then": one.stands(at) and not point.opens_on(one.day),
        }
        for one in ([] if after else waiting) + over
    ]
    here = await units.find(tx, point.unit)
    owner = access.owns(me, point)
    return page.render(
        "tourism_desk.html",
        title=point.name,
        status=status,
        errors=errors,
        typed=typed,
        point=point,
        unit=here,
        rows=rows,
        reads_visitors=reads,
        waiting=len(waiting),
        accepted=await bookings.accepted(tx, point.id),
        next_href=f"{desk_href(point.id)}?{urlencode({'after': found.next})}" if found.next else None,
        first_href=desk_href(point.id) if after else None,
        back_href="/ecommerce/tourism/manage" + ("" if owner else f"?unit={point.commune}"),
        **await _shell(page, tx, me, here),
    )


@desk.post("/points/{point_id}/publish")
async def publish(page: Page, tx: Tx, me: Me, point_id: PointId) -> Response:
    await commands.publish(tx, me, point_id)
    return page.redirect(desk_href(point_id), flash="Đã đăng. Ai cũng xem được điểm này.")


@desk.post("/points/{point_id}/take-back")
async def take_back(page: Page, tx: Tx, me: Me, point_id: PointId) -> Response:
    await commands.take_back(tx, me, point_id)
    return page.redirect(desk_href(point_id), flash="Đã gỡ xuống thành bản nháp. Bấm “Đăng lên” nếu nhầm.")


@desk.post("/points/{point_id}/close")
async def close(page: Page, tx: Tx, me: Me, point_id: PointId) -> Response:
    point = await access.changeable(tx, me, point_id)
    form = await page.form(Closing)
    if form.value is None:
        return await _desk(page, tx, me, point, form.typed, form.errors)
    try:
        await commands.close(tx, me, point_id, form.value.opens_again_on)
    except DomainError as error:
        return await _desk(page, tx, me, point, form.typed, page.errors_of(error), page.status_of(error))
    return page.redirect(desk_href(point_id), flash="Đã báo tạm đóng cửa. Điểm tự mở lại vào ngày đã chọn.")


@desk.post("/points/{point_id}/bookings/{booking_id}/answer")
async def answer(page: Page, tx: Tx, me: Me, point_id: PointId, booking_id: BookingId) -> Response:
    point = await access.changeable(tx, me, point_id)
    form = await page.form(AnswerForm)
    errors, status = form.errors, 200
    if form.value is not None:
        try:
            await bookings.answer(tx, me, point_id, booking_id, form.value.accept, form.value.words)
        except DomainError as error:
            errors, status = page.errors_of(error), page.status_of(error)
    if errors:
        # Each request on the page has a field for words of its own.
        own = f"words-{booking_id}"
        named = {own if name in ("words", "accept") else name: message for name, message in errors.items()}
        return await _desk(page, tx, me, point, {own: form.typed.get("words", "")}, named, status)
    return page.redirect(desk_href(point_id), flash="Đã trả lời. Khách thấy câu trả lời bằng mã của mình.")
