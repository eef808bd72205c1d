"""JSON entry points of cameras: nothing but translation."""

from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import BaseModel, Field, SecretStr

from chassis.db import now
from chassis.paging import After, Limit, page_of
from chassis.text import Line
from chassis.web import ApiRouter, Me, Tx
from services.media import access
from services.media.cameras import commands, queries
from services.media.cameras.model import Camera, CameraState, Place, Uptime
from services.media.settings import Settings
from services.media.speakers.api import StretchOut, UnitCode, UnitQuery
from services.media.wiring import MediaSettings, MediaVault, unit_cursor

api = ApiRouter(prefix="/api/v1", reads=access.READ, writes=access.WRITE)


class CameraIn(BaseModel):
    unit: UnitCode
    name: Line(120)  # type: ignore[valid-type]  # Line makes a type at run time.
    place: Place
    url: SecretStr = Field(description="rtsp://[user:password@]host[:port]/path; never shown again.", max_length=500)


class MaintenanceIn(BaseModel):
    on: bool


class UptimeOut(BaseModel):
    """Seconds per state within the window; uptime is online / (online + offline)."""

    days: int
    online_seconds: int
    offline_seconds: int
    unknown_seconds: int
    maintenance_seconds: int


class CameraOut(BaseModel):
    """A camera as staff sees it; its address is not part of it."""

    id: uuid.UUID
    unit: str
    name: str
    place: Place
    state: CameraState
    state_since: datetime
    in_hub: bool = Field(description="Its stream was reached at least once.")
    retired: bool
    last_probed_at: datetime | None
    last_result: str | None = Field(description="ok, or a fixed word for what went wrong.")
    uptime: UptimeOut


class CameraPage(BaseModel):
    items: list[CameraOut]
    next: str | None


def _out(row: Camera, uptime: Uptime, days: int) -> CameraOut:
    return CameraOut(
        id=row.id,
        unit=row.unit,
        name=row.name,
        place=row.place,
        state=row.state,
        state_since=row.state_since,
        in_hub=row.in_hub,
        retired=row.retired_at is not None,
        last_probed_at=row.last_probed_at,
        last_result=row.last_result,
        uptime=UptimeOut(
            days=days,
            online_seconds=uptime.online,
            offline_seconds=uptime.offline,
            unknown_seconds=uptime.unknown,
            maintenance_seconds=uptime.maintenance,
        ),
    )


async def _shown(tx: Tx, settings: Settings, rows: list[Camera]) -> list[CameraOut]:
    uptimes = await queries.uptimes(
        tx, rows, now=now(), days=settings.uptime_days, stale=commands.stale_after(settings)
    )
    return [_out(row, uptimes[row.id], settings.uptime_days) for row in rows]


@api.get("/cameras")
async def list_cameras(
    tx: Tx,
    me: Me,
    settings: MediaSettings,
    unit: UnitQuery = None,
    limit: Limit = 50,
    after: After = None,
    include_retired: bool = False,
) -> CameraPage:
    """Cameras at or below a unit, by village and time of registration."""
    place = await access.unit_to_read(tx, me, unit)
    rows = await queries.cameras(tx, place.path, limit=limit, after=unit_cursor(after), include_retired=include_retired)
    page = page_of(rows, limit, lambda c: (c.unit, c.id))
    return CameraPage(items=await _shown(tx, settings, page.items), next=page.next)


@api.post("/cameras", status_code=201)
async def register_camera(tx: Tx, me: Me, settings: MediaSettings, vault: MediaVault, body: CameraIn) -> CameraOut:
    """Register a camera; it is probed at once and then every half minute."""
    access.may_write(me)
    row = await commands.register(
        tx,
        me,
        vault,
        unit=body.unit,
        name=body.name,
        place=body.place,
        url=body.url.get_secret_value(),
        loopback=settings.probe_loopback,
    )
    return (await _shown(tx, settings, [row]))[0]


@api.get("/cameras/{camera_id}")
async def get_camera(tx: Tx, me: Me, settings: MediaSettings, camera_id: uuid.UUID) -> CameraOut:
    """One camera."""
    row = await queries.camera(tx, camera_id)
    access.may_read(me, row.path, hide=True)
    return (await _shown(tx, settings, [row]))[0]


@api.get("/cameras/{camera_id}/intervals")
async def camera_intervals(tx: Tx, me: Me, camera_id: uuid.UUID, limit: Limit = 50) -> list[StretchOut]:
    """The newest stretches of its states, newest first."""
    row = await queries.camera(tx, camera_id)
    access.may_read(me, row.path, hide=True)
    stretches = await queries.intervals(tx, row.id, limit)
    return [StretchOut(state=s.state, since=s.since, until=s.until) for s in stretches]


@api.post("/cameras/{camera_id}/maintenance")
async def maintain_camera(
    tx: Tx, me: Me, settings: MediaSettings, camera_id: uuid.UUID, body: MaintenanceIn
) -> CameraOut:
    """Begin or end maintenance."""
    access.may_write(me)
    return (await _shown(tx, settings, [await commands.maintain(tx, me, camera_id, on=body.on)]))[0]


@api.post("/cameras/{camera_id}/probe", status_code=202)
async def probe_camera(tx: Tx, me: Me, settings: MediaSettings, camera_id: uuid.UUID) -> CameraOut:
    """Have it probed at once; the outcome shows in `last_probed_at` and `last_result` a moment later."""
    access.may_write(me)
    return (await _shown(tx, settings, [await commands.probe_soon(tx, me, camera_id)]))[0]


@api.post("/cameras/{camera_id}/retire")
async def retire_camera(tx: Tx, me: Me, settings: MediaSettings, camera_id: uuid.UUID) -> CameraOut:
    """Take it out of the hub for good; its address is forgotten."""
    access.may_write(me)
    return (await _shown(tx, settings, [await commands.retire(tx, me, camera_id)]))[0]
