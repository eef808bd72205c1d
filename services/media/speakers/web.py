"""Pages of loudspeakers and clusters: nothing but translation."""

from __future__ import annotations

import uuid

from fastapi import Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import STAFF, Principal
from chassis.errors import NotFound
from chassis.pages import Page as PageContext
from chassis.text import Line
from chassis.web import Me, Page, PageRouter, Tx
from services.media import access
from services.media.once import ShownOnce
from services.media.overview import render_village
from services.media.settings import Settings
from services.media.shell import TEMPLATES, View, device_view, village_view
from services.media.speakers import commands, queries
from services.media.speakers.api import DeviceOut, device_out
from services.media.speakers.model import Cluster, ForeignCluster, NameTaken
from services.media.wiring import MediaSettings, MediaVault

pages = PageRouter(templates=TEMPLATES)


class ClusterForm(BaseModel):
    name: Line(120)  # type: ignore[valid-type]  # Line makes a type at run time.


class LoudspeakerForm(BaseModel):
    name: Line(120)  # type: ignore[valid-type]  # Line makes a type at run time.
    smart: bool = False
    clusters: list[uuid.UUID] = Field(default_factory=list, max_length=200)


class CoverageForm(BaseModel):
    clusters: list[uuid.UUID] = Field(default_factory=list, max_length=200)


@pages.post("/villages/{code}/clusters")
async def enter_cluster(page: Page, tx: Tx, me: Me, settings: MediaSettings, code: str) -> Response:
    access.may_write(me)
    form = await page.form(ClusterForm)
    errors = form.errors
    if form.value is not None:
        try:
            async with tx.begin_nested():
                await commands.enter_cluster(tx, me, unit=code, name=form.value.name)
            return page.redirect(f"/media/villages/{code}", flash="Đã thêm cụm dân cư.")
        except NameTaken as error:
            errors = page.errors_of(error)
    return await render_village(page, tx, me, settings, code, errors=errors, typed=form.typed)


async def _cluster(tx: AsyncSession, me: Principal, cluster_id: uuid.UUID) -> Cluster:
    row = await tx.get(Cluster, cluster_id)
    if row is None:
        raise NotFound
    me.require(access.ENTERERS, row.path, hide=True)
    return row


@pages.get("/clusters/{cluster_id}/retire")
async def ask_retire_cluster(page: Page, tx: Tx, me: Me, cluster_id: uuid.UUID) -> Response:
    row = await _cluster(tx, me, cluster_id)
    shown = await device_view(page, tx, me, row)
    _ = page._
    return page.render(
        "ask.html",
        **shown.context,
        heading=_("Bỏ cụm dân cư “{name}”?").format(name=row.name),
        consequence=_("Cụm này không còn được tính khi xét thôn nghe được loa đến đâu."),
        action=f"/media/clusters/{row.id}/retire",
        label=_("Bỏ cụm dân cư"),
        cancel_href=f"/media/villages/{row.unit}",
        kind="danger",
    )


@pages.post("/clusters/{cluster_id}/retire")
async def retire_cluster(page: Page, tx: Tx, me: Me, cluster_id: uuid.UUID) -> Response:
    access.may_write(me)
    row = await commands.retire_cluster(tx, me, cluster_id)
    return page.redirect(f"/media/villages/{row.unit}", flash="Đã bỏ cụm dân cư.")


async def _new_form(page: PageContext, tx: AsyncSession, shown: View, **more: object) -> Response:
    clusters = await queries.clusters(tx, shown.unit.path, limit=200)
    options = [(str(c.id), c.name) for c in clusters]
    return page.render("loudspeaker_new.html", **shown.context, clusters=clusters, options=options, **more)  # type: ignore[arg-type]  # errors and typed of a form.


@pages.get("/villages/{code}/loudspeakers/new")
async def new_loudspeaker(page: Page, tx: Tx, me: Me, code: str) -> Response:
    shown = await village_view(page, tx, me, code)
    me.require(STAFF, shown.unit.path)
    return await _new_form(page, tx, shown)


@pages.post("/villages/{code}/loudspeakers/new")
async def register(page: Page, tx: Tx, me: Me, settings: MediaSettings, vault: MediaVault, code: str) -> Response:
    access.may_write(me)
    shown = await village_view(page, tx, me, code)
    me.require(STAFF, shown.unit.path)
    form = await page.form(LoudspeakerForm)
    errors = form.errors
    if (value := form.value) is not None:
        try:
            async with tx.begin_nested():
                registered = await commands.register(
                    tx, me, vault, unit=code, name=value.name, smart=value.smart, clusters=value.clusters
                )
            return _device_page(page, shown, settings, registered, 201)
        except (NameTaken, ForeignCluster) as error:
            errors = page.errors_of(error)
    return await _new_form(page, tx, shown, errors=errors, typed=form.typed)


def _device_page(
    page: PageContext, shown: View, settings: Settings, registered: commands.Registered, status: int
) -> Response:
    """The secret, once: it is answered to this very request, and what is kept for a replay lacks it."""
    row = registered.loudspeaker

    def draw(device: DeviceOut | None) -> Response:
        return page.render("device.html", **shown.context, speaker=row, device=device, status=status)

    if not row.smart:
        return draw(None)
    full = draw(device_out(settings, row, registered.secret))
    kept = draw(device_out(settings, row, None))
    answer = ShownOnce(bytes(full.body), bytes(kept.body), status=status, media_type="text/html; charset=utf-8")
    for name, value in full.headers.items():
        if name == "set-cookie":
            answer.headers.append(name, value)
    return answer


@pages.get("/loudspeakers/{speaker_id}")
async def loudspeaker_page(page: Page, tx: Tx, me: Me, speaker_id: uuid.UUID) -> Response:
    row = await queries.loudspeaker(tx, speaker_id)
    shown = await device_view(page, tx, me, row)
    covered = (await queries.coverage(tx, [row.id]))[row.id]
    clusters = await queries.clusters(tx, row.path, limit=200)
    return page.render(
        "loudspeaker.html",
        **shown.context,
        speaker=row,
        covered=covered,
        chosen=[str(c.id) for c in covered],
        options=[(str(c.id), c.name) for c in clusters],
        stretches=await queries.intervals(tx, row.id),
        hub=await queries.hub(tx),
    )


@pages.post("/loudspeakers/{speaker_id}/clusters")
async def cover(page: Page, tx: Tx, me: Me, speaker_id: uuid.UUID) -> Response:
    access.may_write(me)
    form = await page.form(CoverageForm)
    if form.value is None:
        raise ForeignCluster(field="clusters")
    await commands.cover(tx, me, speaker_id, form.value.clusters)
    return page.redirect(f"/media/loudspeakers/{speaker_id}", flash="Đã lưu.")


@pages.get("/loudspeakers/{speaker_id}/secret")
async def ask_renew_secret(page: Page, tx: Tx, me: Me, speaker_id: uuid.UUID) -> Response:
    row = await queries.loudspeaker(tx, speaker_id)
    me.require(STAFF, row.path, hide=True)
    shown = await device_view(page, tx, me, row)
    _ = page._
    return page.render(
        "ask.html",
        **shown.context,
        heading=_("Tạo mật khẩu mới cho loa “{name}”?").format(name=row.name),
        consequence=_("Mật khẩu cũ hết giá trị ngay: loa mất kết nối cho đến khi nhập mật khẩu mới."),
        action=f"/media/loudspeakers/{row.id}/secret",
        label=_("Tạo mật khẩu mới"),
        cancel_href=f"/media/loudspeakers/{row.id}",
        kind="warm",
    )


@pages.post("/loudspeakers/{speaker_id}/secret")
async def renew_secret(
    page: Page, tx: Tx, me: Me, settings: MediaSettings, vault: MediaVault, speaker_id: uuid.UUID
) -> Response:
    access.may_write(me)
    registered = await commands.renew_secret(tx, me, vault, speaker_id)
    shown = await device_view(page, tx, me, registered.loudspeaker)
    return _device_page(page, shown, settings, registered, 200)


@pages.get("/loudspeakers/{speaker_id}/retire")
async def ask_retire(page: Page, tx: Tx, me: Me, speaker_id: uuid.UUID) -> Response:
    row = await queries.loudspeaker(tx, speaker_id)
    me.require(STAFF, row.path, hide=True)
    shown = await device_view(page, tx, me, row)
    _ = page._
    return page.render(
        "ask.html",
        **shown.context,
        heading=_("Ngừng sử dụng loa “{name}”?").format(name=row.name),
        consequence=_(
            "Loa không nhận bản tin nữa, mật khẩu của loa bị xóa và các cụm dân cư chỉ loa này phủ "
            "sẽ tính là chưa nghe được. Lịch sử vẫn giữ."
        ),
        action=f"/media/loudspeakers/{row.id}/retire",
        label=_("Ngừng sử dụng"),
        cancel_href=f"/media/loudspeakers/{row.id}",
        kind="danger",
    )


@pages.post("/loudspeakers/{speaker_id}/retire")
async def retire(page: Page, tx: Tx, me: Me, speaker_id: uuid.UUID) -> Response:
    access.may_write(me)
    row = await commands.retire(tx, me, speaker_id)
    return page.redirect(f"/media/villages/{row.unit}", flash="Đã ngừng sử dụng loa.")
