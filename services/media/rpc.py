"""gRPC entry points: LoudspeakerService and CameraService, for partners and other services."""

from __future__ import annotations

import uuid
from typing import Any

from xaso.media.v1 import media_pb2, media_pb2_grpc

from chassis import rpc
from chassis.db import now
from chassis.errors import Invalid
from chassis.paging import page_of
from services.media import access, facts
from services.media.cameras import commands as camera_commands
from services.media.cameras import queries as cameras
from services.media.settings import Settings
from services.media.speakers import queries as speakers
from services.media.wiring import unit_cursor

PACKAGE = "/xaso.media.v1"


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Invalid(field="id", message_="Mã không hợp lệ.") from None


def _size(size: int) -> int:
    if not 0 <= size <= 200:
        raise Invalid(field="page_size", message_="Kích thước trang phải từ 1 đến 200.")
    return size or 50


class LoudspeakerService(media_pb2_grpc.LoudspeakerServiceServicer):
    """Which loudspeakers a unit has, and how they are."""

    async def Get(self, request: media_pb2.GetLoudspeakerRequest, _context: Any) -> media_pb2.GetLoudspeakerResponse:
        row = await speakers.loudspeaker(rpc.tx(), _id(request.id))
        access.may_read(rpc.me(), row.path, hide=True)
        return media_pb2.GetLoudspeakerResponse(
            loudspeaker=facts.loudspeaker(row), last_heartbeat_at=facts.timestamp(row.last_heartbeat_at)
        )

    async def List(
        self, request: media_pb2.ListLoudspeakersRequest, _context: Any
    ) -> media_pb2.ListLoudspeakersResponse:
        size = _size(request.page_size)
        place = await access.unit_to_read(rpc.tx(), rpc.me(), request.unit)
        rows = await speakers.loudspeakers(
            rpc.tx(),
            place.path,
            limit=size,
            after=unit_cursor(request.page_token),
            include_retired=request.include_retired,
        )
        page = page_of(rows, size, lambda s: (s.unit, s.id))
        return media_pb2.ListLoudspeakersResponse(
            loudspeakers=[facts.loudspeaker(s) for s in page.items], next_page_token=page.next or ""
        )


class CameraService(media_pb2_grpc.CameraServiceServicer):
    """Which cameras a unit has, and how they are."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def Get(self, request: media_pb2.GetCameraRequest, _context: Any) -> media_pb2.GetCameraResponse:
        row = await cameras.camera(rpc.tx(), _id(request.id))
        access.may_read(rpc.me(), row.path, hide=True)
        settings = self._settings
        stale = camera_commands.stale_after(settings)
        found = await cameras.uptimes(rpc.tx(), [row], now=now(), days=settings.uptime_days, stale=stale)
        uptime = found[row.id]
        return media_pb2.GetCameraResponse(
            camera=facts.camera(row),
            online_seconds=uptime.online,
            offline_seconds=uptime.offline,
            unknown_seconds=uptime.unknown,
            maintenance_seconds=uptime.maintenance,
        )

    async def List(self, request: media_pb2.ListCamerasRequest, _context: Any) -> media_pb2.ListCamerasResponse:
        size = _size(request.page_size)
        place = await access.unit_to_read(rpc.tx(), rpc.me(), request.unit)
        rows = await cameras.cameras(
            rpc.tx(),
            place.path,
            limit=size,
            after=unit_cursor(request.page_token),
            include_retired=request.include_retired,
        )
        page = page_of(rows, size, lambda c: (c.unit, c.id))
        return media_pb2.ListCamerasResponse(
            cameras=[facts.camera(c) for c in page.items], next_page_token=page.next or ""
        )


def rpcs(settings: Settings) -> list[rpc.Rpc]:
    """The gRPC services of this process with the scope each method needs."""
    return [
        rpc.Rpc(
            add=media_pb2_grpc.add_LoudspeakerServiceServicer_to_server,
            servicer=LoudspeakerService(),
            scopes={f"{PACKAGE}.LoudspeakerService/{m}": access.READ for m in ("Get", "List")},
            descriptor=media_pb2.DESCRIPTOR,
        ),
        rpc.Rpc(
            add=media_pb2_grpc.add_CameraServiceServicer_to_server,
            servicer=CameraService(settings),
            scopes={f"{PACKAGE}.CameraService/{m}": access.READ for m in ("Get", "List")},
            descriptor=media_pb2.DESCRIPTOR,
        ),
    ]
