"""JSON entry points of villages, clusters and loudspeakers: nothing but translation."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, Field

from chassis import units
from chassis.paging import After, Limit, page_of
from chassis.text import Line
from chassis.web import ApiRouter, Me, Tx
from services.media import access
from services.media.model import Village
from services.media.once import ShownOnce
from services.media.settings import Settings
from services.media.speakers import commands, queries, wire
from services.media.speakers.model import Cluster, Loudspeaker, State
from services.media.wiring import MediaSettings, MediaVault, code_cursor, unit_cursor

api = ApiRouter(prefix="/api/v1", reads=access.READ, writes=access.WRITE)

UnitQuery = Annotated[str | None, Query(max_length=40, description="Unit code at any level; default: your home unit.")]
UnitCode = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[0-9A-Za-z-]+$", description="Village code.")]


class VillageOut(BaseModel):
    """What is heard in a village."""

    unit: str
    name: str
    clusters: int = Field(description="Residential clusters.")
    clusters_in_earshot: int = Field(description="Of them, covered by a loudspeaker that is ready and proven.")
    loudspeakers: int = Field(description="Loudspeakers in service, smart or not.")
    loudspeakers_ready: int


class VillagePage(BaseModel):
    items: list[VillageOut]
    next: str | None


class ClusterIn(BaseModel):
    unit: UnitCode
    name: Line(120)  # type: ignore[valid-type]  # Line makes a type at run time.


class ClusterOut(BaseModel):
    id: uuid.UUID
    unit: str
    name: str


class ClusterPage(BaseModel):
    items: list[ClusterOut]
    next: str | None


class LoudspeakerIn(BaseModel):
    unit: UnitCode
    name: Line(120)  # type: ignore[valid-type]  # Line makes a type at run time.
    smart: bool = Field(default=True, description="Driven over IP; an analogue horn is registered with false.")
    clusters: list[uuid.UUID] = Field(default_factory=list, max_length=200, description="Clusters it covers.")


class CoverageIn(BaseModel):
    clusters: list[uuid.UUID] = Field(max_length=200)


class LoudspeakerOut(BaseModel):
    """A loudspeaker as staff sees it."""

    id: uuid.UUID
    unit: str
    name: str
    smart: bool
    device_id: str
    state: State
    state_since: datetime
    in_service: bool
    last_heartbeat_at: datetime | None
    last_acknowledged_at: datetime | None
    clock_skew_seconds: int | None = Field(description="How far its clock is ahead of ours.")
    clusters: list[uuid.UUID]


class DeviceOut(BaseModel):
    """What is typed into the device; `secret` is shown once and null when the request is replayed."""

    id: str
    secret: str | None
    topic: str = Field(description="MQTT topics of the device lie below this one.")
    heartbeat_seconds: float


class RegisteredOut(BaseModel):
    loudspeaker: LoudspeakerOut
    device: DeviceOut | None = Field(description="Null for an analogue horn.")


class LoudspeakerPage(BaseModel):
    items: list[LoudspeakerOut]
    next: str | None


class StretchOut(BaseModel):
    """A stretch of time in one state; `until` is null for the present one."""

    state: str
    since: datetime
    until: datetime | None


def _cluster(row: Cluster) -> ClusterOut:
    return ClusterOut(id=row.id, unit=row.unit, name=row.name)


def _speaker(row: Loudspeaker, covered: list[Cluster]) -> LoudspeakerOut:
    return LoudspeakerOut(
        id=row.id,
        unit=row.unit,
        name=row.name,
        smart=row.smart,
        device_id=row.device_id,
        state=row.state,
        state_since=row.state_since,
        in_service=row.in_service,
        last_heartbeat_at=row.last_heartbeat_at,
        last_acknowledged_at=row.last_acknowledged_at,
        clock_skew_seconds=row.clock_skew_seconds,
        clusters=[c.id for c in covered],
    )


async def _shown(tx: Tx, row: Loudspeaker) -> LoudspeakerOut:
    return _speaker(row, (await queries.coverage(tx, [row.id]))[row.id])


def device_out(settings: Settings, row: Loudspeaker, secret: str | None) -> DeviceOut:
    address = wire.Address(settings.mqtt_root, row.commune, row.device_id)
    return DeviceOut(
        id=row.device_id,
        secret=secret,
        topic=address.topic("command").rsplit("/", 1)[0],
        heartbeat_seconds=settings.heartbeat_seconds,
    )


async def _once(tx: Tx, settings: Settings, registered: commands.Registered, status: int) -> Response:
    row = registered.loudspeaker
    device = device_out(settings, row, registered.secret) if row.smart else None
    out = RegisteredOut(loudspeaker=await _shown(tx, row), device=device)
    kept = out.model_copy(update={"device": device.model_copy(update={"secret": None}) if device else None})
    return ShownOnce(
        out.model_dump_json().encode(), kept.model_dump_json().encode(), status=status, media_type="application/json"
    )


@api.get("/villages")
async def list_villages(tx: Tx, me: Me, unit: UnitQuery = None, limit: Limit = 50, after: After = None) -> VillagePage:
    """Villages at or below a unit with what is heard in them, by code."""
    place = await access.unit_to_read(tx, me, unit)
    found = await units.search(tx, level="village", within=place.path, limit=limit, after=code_cursor(after))
    page = page_of(found, limit, lambda v: (v.code,))
    codes = [v.code for v in page.items]
    known = await queries.villages(tx, codes)
    speakers = await queries.of_villages(tx, codes)
    items = [_village(v, known, [s for s in speakers if s.unit == v.code]) for v in page.items]
    return VillagePage(items=items, next=page.next)


def _village(unit: units.Unit, known: dict[str, Village], speakers: list[Loudspeaker]) -> VillageOut:
    row = known.get(unit.code)
    return VillageOut(
        unit=unit.code,
        name=unit.name,
        clusters=row.clusters if row else 0,
        clusters_in_earshot=row.clusters_in_earshot if row else 0,
        loudspeakers=len(speakers),
        loudspeakers_ready=sum(s.smart and s.state is State.READY for s in speakers),
    )


@api.get("/clusters")
async def list_clusters(tx: Tx, me: Me, unit: UnitQuery = None, limit: Limit = 50, after: After = None) -> ClusterPage:
    """Residential clusters at or below a unit, by village."""
    place = await access.unit_to_read(tx, me, unit)
    rows = await queries.clusters(tx, place.path, limit=limit, after=unit_cursor(after))
    page = page_of(rows, limit, lambda c: (c.unit, c.id))
    return ClusterPage(items=[_cluster(c) for c in page.items], next=page.next)


@api.post("/clusters", status_code=201)
async def enter_cluster(tx: Tx, me: Me, body: ClusterIn) -> ClusterOut:
    """Enter a residential cluster; village heads may do so for their village."""
    access.may_write(me)
    return _cluster(await commands.enter_cluster(tx, me, unit=body.unit, name=body.name))


@api.post("/clusters/{cluster_id}/retire")
async def retire_cluster(tx: Tx, me: Me, cluster_id: uuid.UUID) -> ClusterOut:
    """Take a cluster off the list."""
    access.may_write(me)
    return _cluster(await commands.retire_cluster(tx, me, cluster_id))


@api.get("/loudspeakers")
async def list_loudspeakers(
    tx: Tx, me: Me, unit: UnitQuery = None, limit: Limit = 50, after: After = None, include_retired: bool = False
) -> LoudspeakerPage:
    """Loudspeakers at or below a unit, by village and time of registration."""
    place = await access.unit_to_read(tx, me, unit)
    rows = await queries.loudspeakers(
        tx, place.path, limit=limit, after=unit_cursor(after), include_retired=include_retired
    )
    page = page_of(rows, limit, lambda s: (s.unit, s.id))
    covered = await queries.coverage(tx, [s.id for s in page.items])
    return LoudspeakerPage(items=[_speaker(s, covered[s.id]) for s in page.items], next=page.next)


@api.post("/loudspeakers", status_code=201, response_model=RegisteredOut)
async def register_loudspeaker(
    tx: Tx, me: Me, settings: MediaSettings, vault: MediaVault, body: LoudspeakerIn
) -> Response:
    """Register a loudspeaker. The device's secret is in this answer and nowhere else."""
    access.may_write(me)
    registered = await commands.register(
        tx, me, vault, unit=body.unit, name=body.name, smart=body.smart, clusters=body.clusters
    )
    return await _once(tx, settings, registered, 201)


@api.get("/loudspeakers/{speaker_id}")
async def get_loudspeaker(tx: Tx, me: Me, speaker_id: uuid.UUID) -> LoudspeakerOut:
    """One loudspeaker."""
    row = await queries.loudspeaker(tx, speaker_id)
    access.may_read(me, row.path, hide=True)
    return await _shown(tx, row)


@api.get("/loudspeakers/{speaker_id}/intervals")
async def loudspeaker_intervals(tx: Tx, me: Me, speaker_id: uuid.UUID, limit: Limit = 50) -> list[StretchOut]:
    """The newest stretches of its states, newest first."""
    row = await queries.loudspeaker(tx, speaker_id)
    access.may_read(me, row.path, hide=True)
    stretches = await queries.intervals(tx, row.id, limit)
    return [StretchOut(state=s.state, since=s.since, until=s.until) for s in stretches]


@api.put("/loudspeakers/{speaker_id}/clusters")
async def cover_clusters(tx: Tx, me: Me, speaker_id: uuid.UUID, body: CoverageIn) -> LoudspeakerOut:
    """Say anew which clusters it covers."""
    access.may_write(me)
    return await _shown(tx, await commands.cover(tx, me, speaker_id, body.clusters))


@api.post("/loudspeakers/{speaker_id}/secret", response_model=RegisteredOut)
async def renew_secret(tx: Tx, me: Me, settings: MediaSettings, vault: MediaVault, speaker_id: uuid.UUID) -> Response:
    """Make a new secret for the device; the old one counts no more."""
    access.may_write(me)
    return await _once(tx, settings, await commands.renew_secret(tx, me, vault, speaker_id), 200)


@api.post("/loudspeakers/{speaker_id}/retire")
async def retire_loudspeaker(tx: Tx, me: Me, speaker_id: uuid.UUID) -> LoudspeakerOut:
    """Take it out of service for good."""
    access.may_write(me)
    return await _shown(tx, await commands.retire(tx, me, speaker_id))
