"""Pages of cameras: nothing but translation."""

from __future__ import annotations

import uuid

from fastapi import Response
from pydantic import BaseModel, Field, SecretStr

from chassis.auth import STAFF
from chassis.db import now
from chassis.pages import Page as PageContext
from chassis.text import Line
from chassis.web import Me, Page, PageRouter, Tx
from services.media import access
from services.media.cameras import commands, queries
from services.media.cameras.model import BadAddress, ForbiddenAddress, Place
from services.media.settings import Settings
from services.media.shell import TEMPLATES, View, device_view, village_view
from services.media.speakers.model import NameTaken
from services.media.watching import queries as watching
from services.media.wiring import MediaSettings, MediaVault

pages = PageRouter(templates=TEMPLATES)


class CameraForm(BaseModel):
    name: Line(120)  # type: ignore[valid-type]  # Line makes a type at run time.
    place: Place
    url: SecretStr = Field(max_length=500)


class MaintenanceForm(BaseModel):
    on: bool


def _new_form(page: PageContext, shown: View, settings: Settings, **more: object) -> Response:
    return page.render("camera_new.html", **shown.context, probe_seconds=settings.probe_seconds, **more)  # type: ignore[arg-type]  # errors and typed of a form.


@pages.get("/villages/{code}/cameras/new")
async def new_camera(page: Page, tx: Tx, me: Me, settings: MediaSettings, code: str) -> Response:
    shown = await village_view(page, tx, me, code)
    me.require(STAFF, shown.unit.path)
    return _new_form(page, shown, settings)


@pages.post("/villages/{code}/cameras/new")
async def register(page: Page, tx: Tx, me: Me, settings: MediaSettings, vault: MediaVault, code: str) -> Response:
    access.may_write(me)
    shown = await village_view(page, tx, me, code)
    me.require(STAFF, shown.unit.path)
    form = await page.form(CameraForm)
    errors = form.errors
    if (value := form.value) is not None:
        try:
            async with tx.begin_nested():
                row = await commands.register(
                    tx,
                    me,
                    vault,
                    unit=code,
                    name=value.name,
                    place=value.place,
                    url=value.url.get_secret_value(),
                    loopback=settings.probe_loopback,
                )
            return page.redirect(f"/media/cameras/{row.id}", flash="Đã đăng ký camera. Hệ thống đang kiểm tra.")
        except (NameTaken, BadAddress, ForbiddenAddress) as error:
            errors = page.errors_of(error)
    # The address holds a password: it is asked for again rather than written back into the page.
    typed = {name: text for name, text in form.typed.items() if name != "url"}
    return _new_form(page, shown, settings, errors=errors, typed=typed)


@pages.get("/cameras/{camera_id}")
async def camera_page(page: Page, tx: Tx, me: Me, settings: MediaSettings, camera_id: uuid.UUID) -> Response:
    row = await queries.camera(tx, camera_id)
    shown = await device_view(page, tx, me, row)
    stale = commands.stale_after(settings)
    uptimes = await queries.uptimes(tx, [row], now=now(), days=settings.uptime_days, stale=stale)
    return page.render(
        "camera.html",
        **shown.context,
        camera=row,
        uptime=uptimes[row.id],
        days=settings.uptime_days,
        stretches=await queries.intervals(tx, row.id),
        watch=await watching.watch(tx, row.id),
    )


@pages.post("/cameras/{camera_id}/probe")
async def probe_now(page: Page, tx: Tx, me: Me, camera_id: uuid.UUID) -> Response:
    access.may_write(me)
    await commands.probe_soon(tx, me, camera_id)
    return page.redirect(f"/media/cameras/{camera_id}", flash="Đang kiểm tra camera; kết quả hiện sau vài giây.")


@pages.post("/cameras/{camera_id}/maintenance")
async def maintain(page: Page, tx: Tx, me: Me, camera_id: uuid.UUID) -> Response:
    access.may_write(me)
    form = await page.form(MaintenanceForm)
    on = form.value is not None and form.value.on
    await commands.maintain(tx, me, camera_id, on=on)
    return page.redirect(f"/media/cameras/{camera_id}", flash="Đã bắt đầu bảo trì." if on else "Đã kết thúc bảo trì.")


@pages.get("/cameras/{camera_id}/retire")
async def ask_retire(page: Page, tx: Tx, me: Me, camera_id: uuid.UUID) -> Response:
    row = await queries.camera(tx, camera_id)
    me.require(STAFF, row.path, hide=True)
    shown = await device_view(page, tx, me, row)
    _ = page._
    return page.render(
        "ask.html",
        **shown.context,
        heading=_("Ngừng sử dụng camera “{name}”?").format(name=row.name),
        consequence=_("Hệ thống không kiểm tra camera này nữa và xóa địa chỉ của nó. Lịch sử vẫn giữ."),
        action=f"/media/cameras/{row.id}/retire",
        label=_("Ngừng sử dụng"),
        cancel_href=f"/media/cameras/{row.id}",
        kind="danger",
    )


@pages.post("/cameras/{camera_id}/retire")
async def retire(page: Page, tx: Tx, me: Me, camera_id: uuid.UUID) -> Response:
    access.may_write(me)
    row = await commands.retire(tx, me, camera_id)
    return page.redirect(f"/media/villages/{row.unit}", flash="Đã ngừng sử dụng camera.")
