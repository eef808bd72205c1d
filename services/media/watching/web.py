"""Pages of rules and alerts: nothing but translation."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import STAFF, Principal
from chassis.errors import Invalid
from chassis.pages import FormResult
from chassis.pages import Page as PageContext
from chassis.paging import After, page_of
from chassis.text import Line
from chassis.web import Me, Page, PageRouter, Tx
from services.media import access
from services.media.cameras import queries as cameras
from services.media.cameras.model import Camera, CameraRetired
from services.media.shell import TEMPLATES, device_view, view
from services.media.watching import alerts, commands, queries, shapes
from services.media.watching.commands import Words
from services.media.watching.model import BadLine, BadZone, Kind, Rule, RuleThere, TooManyRules, Verdict
from services.media.watching.shapes import TimeOfDay
from services.media.wiring import MediaSettings, MediaVault, id_cursor

pages = PageRouter(templates=TEMPLATES)

PER_PAGE = 30
UnitQuery = Annotated[str | None, Query(max_length=40)]


class ChecksForm(BaseModel):
    checks: int = Field(ge=1, le=60)


class ZoneForm(BaseModel):
    name: Line(60)  # type: ignore[valid-type]  # Line makes a type at run time.
    area: Literal["all", "left", "right", "top", "bottom", "middle", "own"]
    points: Line(200, 0) = ""  # type: ignore[valid-type]  # Line makes a type at run time.
    share: int = Field(ge=1, le=100)
    begins: TimeOfDay
    ends: TimeOfDay


class LineForm(BaseModel):
    name: Line(60)  # type: ignore[valid-type]  # Line makes a type at run time.
    area: Literal["upright", "level", "own"]
    points: Line(200, 0) = ""  # type: ignore[valid-type]  # Line makes a type at run time.
    begins: TimeOfDay
    ends: TimeOfDay


RuleForm = ChecksForm | ZoneForm | LineForm
FORMS: dict[Kind, type[RuleForm]] = {Kind.ZONE: ZoneForm, Kind.LINE: LineForm}


class PauseForm(BaseModel):
    on: bool


class VerdictForm(BaseModel):
    verdict: Verdict


def _words(form: RuleForm) -> Words:
    """What a form says; points that cannot be read are none, which the command refuses with the words for it."""
    if isinstance(form, ChecksForm):
        return Words(checks=form.checks)
    known = shapes.AREAS if isinstance(form, ZoneForm) else shapes.LINES
    points = shapes.points_of(form.points) if form.area == "own" else known[form.area]
    share = form.share if isinstance(form, ZoneForm) else 0
    begins, ends = shapes.minute_of(form.begins), shapes.minute_of(form.ends)
    return Words(name=form.name, points=points, share=share, from_minute=begins, to_minute=ends)


async def _read(page: PageContext, kind: Kind) -> FormResult[RuleForm]:
    return await page.form(FORMS.get(kind, ChecksForm))


async def _rule_form(
    page: PageContext, tx: AsyncSession, me: Principal, camera: Camera, kind: Kind, **more: Any
) -> Response:
    me.require(STAFF, camera.path, hide=True)
    shown = await device_view(page, tx, me, camera)
    return page.render("camera_rule.html", **shown.context, camera=camera, kind=kind, **more)


@pages.get("/cameras/{camera_id}/watch")
async def watch_page(page: Page, tx: Tx, me: Me, settings: MediaSettings, camera_id: uuid.UUID) -> Response:
    """The rules of a camera, whether they are applied, and its newest alerts."""
    camera = await cameras.camera(tx, camera_id)
    shown = await device_view(page, tx, me, camera)
    rules = await queries.rules(tx, camera.id)
    return page.render(
        "camera_watch.html",
        **shown.context,
        camera=camera,
        watch=await queries.watch(tx, camera.id),
        rules=rules,
        missing=[kind for kind in Kind if kind.drawn or kind not in {rule.kind for rule in rules}],
        alerts=(await queries.alerts(tx, camera.path, limit=10, camera_id=camera.id))[:10],
        clock=shapes.clock_of,
        area=shapes.area_of,
        seconds=settings.watch_seconds,
    )


@pages.get("/cameras/{camera_id}/rules/{kind}/new")
async def new_rule(page: Page, tx: Tx, me: Me, camera_id: uuid.UUID, kind: Kind) -> Response:
    camera = await cameras.camera(tx, camera_id)
    area = "upright" if kind is Kind.LINE else "all"
    typed = {"checks": "3", "area": area, "share": "5", "begins": "22:00", "ends": "05:00"}
    return await _rule_form(page, tx, me, camera, kind, rule=None, typed=typed)


@pages.post("/cameras/{camera_id}/rules/{kind}/new")
async def add_rule(page: Page, tx: Tx, me: Me, camera_id: uuid.UUID, kind: Kind) -> Response:
    access.may_write(me)
    camera = await cameras.camera(tx, camera_id)
    me.require(STAFF, camera.path, hide=True)
    form = await _read(page, kind)
    errors = form.errors
    if form.value is not None:
        try:
            async with tx.begin_nested():
                await commands.add_rule(tx, me, camera_id, kind, _words(form.value))
            return page.redirect(
                f"/media/cameras/{camera_id}/watch", flash="Đã thêm quy tắc. Camera được xem trong ít giây."
            )
        except (BadZone, BadLine, RuleThere, TooManyRules, CameraRetired) as error:
            errors = page.errors_of(error)
    return await _rule_form(page, tx, me, camera, kind, rule=None, errors=errors, typed=form.typed)


@pages.get("/camera-rules/{rule_id}")
async def rule_page(page: Page, tx: Tx, me: Me, rule_id: uuid.UUID) -> Response:
    rule = await queries.rule(tx, rule_id)
    camera = await cameras.camera(tx, rule.camera_id)
    return await _rule_form(page, tx, me, camera, rule.kind, rule=rule, typed=_typed(rule))


def _typed(rule: Rule) -> dict[str, str]:
    return {
        "checks": str(rule.checks),
        "name": rule.name,
        "area": shapes.area_of(rule),
        "points": shapes.text_of(rule) if shapes.area_of(rule) == "own" else "",
        "share": str(rule.share),
        "begins": shapes.clock_of(rule.from_minute),
        "ends": shapes.clock_of(rule.to_minute),
    }


@pages.post("/camera-rules/{rule_id}")
async def change_rule(page: Page, tx: Tx, me: Me, rule_id: uuid.UUID) -> Response:
    access.may_write(me)
    rule = await queries.rule(tx, rule_id)
    camera = await cameras.camera(tx, rule.camera_id)
    me.require(STAFF, camera.path, hide=True)
    form = await _read(page, rule.kind)
    errors = form.errors
    if form.value is not None:
        try:
            async with tx.begin_nested():
                await commands.change_rule(tx, me, rule_id, _words(form.value))
            return page.redirect(f"/media/cameras/{camera.id}/watch", flash="Đã sửa quy tắc.")
        except (BadZone, BadLine, CameraRetired) as error:
            errors = page.errors_of(error)
    return await _rule_form(page, tx, me, camera, rule.kind, rule=rule, errors=errors, typed=form.typed)


@pages.post("/camera-rules/{rule_id}/pause")
async def pause_rule(page: Page, tx: Tx, me: Me, rule_id: uuid.UUID) -> Response:
    access.may_write(me)
    form = await page.form(PauseForm)
    if form.value is None:
        raise Invalid(field="on")
    on = form.value.on
    rule = await commands.pause_rule(tx, me, rule_id, on=on)
    said = "Đã tạm dừng quy tắc." if on else "Quy tắc được dùng trở lại."
    return page.redirect(f"/media/cameras/{rule.camera_id}/watch", flash=said)


@pages.get("/camera-rules/{rule_id}/remove")
async def ask_remove(page: Page, tx: Tx, me: Me, rule_id: uuid.UUID) -> Response:
    rule = await queries.rule(tx, rule_id)
    camera = await cameras.camera(tx, rule.camera_id)
    me.require(STAFF, camera.path, hide=True)
    shown = await device_view(page, tx, me, camera)
    return page.render("camera_rule_remove.html", **shown.context, camera=camera, rule=rule)


@pages.post("/camera-rules/{rule_id}/remove")
async def remove_rule(page: Page, tx: Tx, me: Me, rule_id: uuid.UUID) -> Response:
    access.may_write(me)
    rule = await commands.remove_rule(tx, me, rule_id)
    return page.redirect(f"/media/cameras/{rule.camera_id}/watch", flash="Đã bỏ quy tắc.")


@pages.get("/camera-alerts")
async def alerts_page(
    page: Page, tx: Tx, me: Me, unit: UnitQuery = None, verdict: Verdict | None = None, after: After = None
) -> Response:
    """The alerts of a unit, newest first; those nobody has judged have a list of their own."""
    place = await access.unit_to_read(tx, me, unit)
    shown = await view(page, tx, me, place)
    rows = await queries.alerts(tx, place.path, limit=PER_PAGE, before=id_cursor(after), verdict=verdict)
    listed = page_of(rows, PER_PAGE, lambda found: (found.alert.id,))
    base = f"/media/camera-alerts?unit={place.code}" + (f"&verdict={verdict}" if verdict else "")
    return page.render(
        "camera_alerts.html",
        **shown.context,
        alerts=listed.items,
        verdict=verdict,
        waiting=await queries.waiting(tx, place.path),
        next=f"{base}&after={listed.next}" if listed.next else None,
        first=base if after else None,
    )


@pages.get("/camera-alerts/{alert_id}")
async def alert_page(page: Page, tx: Tx, me: Me, settings: MediaSettings, alert_id: uuid.UUID) -> Response:
    listed = await queries.alert(tx, alert_id)
    shown = await device_view(page, tx, me, listed.alert)
    return page.render(
        "camera_alert.html",
        **shown.context,
        alert=listed.alert,
        camera=listed.camera,
        rule=listed.rule,
        days=settings.snapshot_days,
    )


@pages.get("/camera-alerts/{alert_id}/snapshot")
async def snapshot(tx: Tx, me: Me, vault: MediaVault, alert_id: uuid.UUID) -> Response:
    """The picture on the page of an alert; that somebody looked is written down."""
    me.require_scope(access.READ)
    picture = await alerts.look_at_snapshot(tx, me, vault, alert_id)
    return Response(picture, media_type="image/jpeg", headers={"cache-control": "no-store"})


@pages.post("/camera-alerts/{alert_id}/verdict")
async def judge(page: Page, tx: Tx, me: Me, alert_id: uuid.UUID) -> Response:
    access.may_write(me)
    form = await page.form(VerdictForm)
    if form.value is not None:
        await alerts.judge(tx, me, alert_id, form.value.verdict)
    return page.redirect(f"/media/camera-alerts/{alert_id}", flash="Đã ghi ý kiến của bạn." if form.value else None)
