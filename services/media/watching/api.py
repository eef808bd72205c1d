"""JSON entry points of rules and alerts: nothing but translation."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field

from chassis.paging import After, Limit, page_of
from chassis.web import ApiRouter, Me, Tx
from services.media import access
from services.media.cameras import queries as cameras
from services.media.cameras.model import Camera
from services.media.speakers.api import UnitQuery
from services.media.watching import alerts, commands, queries, shapes
from services.media.watching.model import Kind, Rule, Verdict
from services.media.watching.shapes import RuleIn, WordsIn
from services.media.wiring import MediaVault, id_cursor

api = ApiRouter(prefix="/api/v1", reads=access.READ, writes=access.WRITE)


class PauseIn(BaseModel):
    on: bool


class VerdictIn(BaseModel):
    verdict: Verdict = Field(description="confirmed or false_alarm; new takes back what was said.")


class RuleOut(BaseModel):
    id: uuid.UUID
    camera: uuid.UUID
    kind: Kind
    name: str
    checks: int
    points: list[tuple[int, int]]
    share: int
    begins: str
    ends: str
    paused: bool
    warning: bool = Field(description="An alert of it goes on.")


class WatchOut(BaseModel):
    """How a camera is watched. `working`: a rule was evaluated on a decoded picture within the last hour."""

    camera: uuid.UUID
    working: bool
    rules_active: int
    last_look_at: datetime | None
    last_result: str | None = Field(description="ok, or a fixed word for what went wrong.")
    last_evaluated_at: datetime | None
    rules: list[RuleOut]


class AlertOut(BaseModel):
    """An alert; its picture, while it is kept, is for staff of the unit alone."""

    id: uuid.UUID
    camera: uuid.UUID
    camera_name: str
    rule: uuid.UUID
    unit: str
    kind: Kind
    began_at: datetime
    ended_at: datetime | None
    verdict: Verdict
    judged_at: datetime | None
    judged_by: str | None
    has_snapshot: bool


class AlertPage(BaseModel):
    items: list[AlertOut]
    next: str | None


def _rule(rule: Rule) -> RuleOut:
    return RuleOut(
        id=rule.id,
        camera=rule.camera_id,
        kind=rule.kind,
        name=rule.name,
        checks=rule.checks,
        points=list(rule.drawing),
        share=rule.share,
        begins=shapes.clock_of(rule.from_minute),
        ends=shapes.clock_of(rule.to_minute),
        paused=rule.paused,
        warning=rule.warning,
    )


def _alert(listed: queries.Listed) -> AlertOut:
    alert = listed.alert
    return AlertOut(
        id=alert.id,
        camera=alert.camera_id,
        camera_name=listed.camera.name,
        rule=alert.rule_id,
        unit=alert.unit,
        kind=alert.kind,
        began_at=alert.created_at,
        ended_at=alert.ended_at,
        verdict=alert.verdict,
        judged_at=alert.judged_at,
        judged_by=alert.judged_by,
        has_snapshot=alert.has_snapshot,
    )


async def _readable(tx: Tx, me: Me, camera_id: uuid.UUID) -> Camera:
    camera = await cameras.camera(tx, camera_id)
    access.may_read(me, camera.path, hide=True)
    return camera


@api.get("/cameras/{camera_id}/watch")
async def get_watch(tx: Tx, me: Me, camera_id: uuid.UUID) -> WatchOut:
    """The rules of a camera and whether they are applied to its pictures."""
    camera = await _readable(tx, me, camera_id)
    watch = await queries.watch(tx, camera.id)
    return WatchOut(
        camera=camera.id,
        working=watch.working,
        rules_active=watch.rules_active,
        last_look_at=watch.last_look_at,
        last_result=watch.last_result,
        last_evaluated_at=watch.evaluated_at,
        rules=[_rule(rule) for rule in await queries.rules(tx, camera.id)],
    )


@api.post("/cameras/{camera_id}/rules", status_code=201)
async def add_rule(tx: Tx, me: Me, camera_id: uuid.UUID, body: RuleIn) -> RuleOut:
    """Give a camera a rule; it is looked at within seconds, and then every few."""
    access.may_write(me)
    return _rule(await commands.add_rule(tx, me, camera_id, body.kind, body.words()))


@api.put("/camera-rules/{rule_id}")
async def change_rule(tx: Tx, me: Me, rule_id: uuid.UUID, body: WordsIn) -> RuleOut:
    """Say a rule anew; its kind stays."""
    access.may_write(me)
    return _rule(await commands.change_rule(tx, me, rule_id, body.words()))


@api.post("/camera-rules/{rule_id}/pause")
async def pause_rule(tx: Tx, me: Me, rule_id: uuid.UUID, body: PauseIn) -> RuleOut:
    """Let a rule rest, or have it applied again."""
    access.may_write(me)
    return _rule(await commands.pause_rule(tx, me, rule_id, on=body.on))


@api.post("/camera-rules/{rule_id}/remove")
async def remove_rule(tx: Tx, me: Me, rule_id: uuid.UUID) -> RuleOut:
    """Take a rule off its camera; its alerts stay."""
    access.may_write(me)
    return _rule(await commands.remove_rule(tx, me, rule_id))


@api.get("/camera-alerts")
async def list_alerts(
    tx: Tx, me: Me, unit: UnitQuery = None, verdict: Verdict | None = None, limit: Limit = 50, after: After = None
) -> AlertPage:
    """Alerts at or below a unit, newest first."""
    place = await access.unit_to_read(tx, me, unit)
    rows = await queries.alerts(tx, place.path, limit=limit, before=id_cursor(after), verdict=verdict)
    page = page_of(rows, limit, lambda listed: (listed.alert.id,))
    return AlertPage(items=[_alert(listed) for listed in page.items], next=page.next)


@api.get("/camera-alerts/{alert_id}")
async def get_alert(tx: Tx, me: Me, alert_id: uuid.UUID) -> AlertOut:
    """One alert."""
    listed = await queries.alert(tx, alert_id)
    access.may_read(me, listed.alert.path, hide=True)
    return _alert(listed)


@api.post("/camera-alerts/{alert_id}/verdict")
async def judge_alert(tx: Tx, me: Me, alert_id: uuid.UUID, body: VerdictIn) -> AlertOut:
    """Say whether an alert was right."""
    access.may_write(me)
    await alerts.judge(tx, me, alert_id, body.verdict)
    return _alert(await queries.alert(tx, alert_id))


_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}}


@api.get("/camera-alerts/{alert_id}/snapshot", response_class=Response, responses=_JPEG)
async def alert_snapshot(tx: Tx, me: Me, vault: MediaVault, alert_id: uuid.UUID) -> Response:
    """The picture of an alert (JPEG), for officers, leaders and administrators of its unit; each look is audited."""
    me.require_scope(access.READ)
    picture = await alerts.look_at_snapshot(tx, me, vault, alert_id)
    return Response(picture, media_type="image/jpeg", headers={"cache-control": "no-store"})
