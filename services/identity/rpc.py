"""Owns the gRPC face: administrative units and community digital teams, for other services and partners."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import grpc.aio
from xaso.identity.v1 import events_pb2 as events
from xaso.identity.v1 import identity_pb2 as pb
from xaso.identity.v1 import identity_pb2_grpc as pb_grpc

from chassis import rpc, units
from chassis.errors import Invalid
from chassis.paging import decode_cursor, page_of
from chassis.units import LEVELS
from services.identity.teams import queries as teams
from services.identity.teams.model import NoSuchTeam, Team
from services.identity.units.commands import message_of

_PREFIX = "/xaso.identity.v1.DirectoryService"
SCOPES = {
    f"{_PREFIX}/GetUnit": "identity.units.read",
    f"{_PREFIX}/ListUnits": "identity.units.read",
    f"{_PREFIX}/GetTeam": "identity.teams.read",
    f"{_PREFIX}/ListTeams": "identity.teams.read",
}
PAGE, MOST = 50, 200
Context = grpc.aio.ServicerContext[Any, Any]


class DirectoryService(pb_grpc.DirectoryServiceServicer):
    """Units and teams are public figures; the scopes only say which partner's program may ask."""

    async def GetUnit(self, request: pb.GetUnitRequest, context: Context) -> pb.GetUnitResponse:
        unit = await units.get(rpc.tx(), request.code, _day(request.as_of))
        return pb.GetUnitResponse(unit=message_of(unit))

    async def ListUnits(self, request: pb.ListUnitsRequest, context: Context) -> pb.ListUnitsResponse:
        if request.level and request.level not in LEVELS:
            raise Invalid(field="level", message_="Cấp không hợp lệ.")
        size, cursor = _size(request.page_size), decode_cursor(request.page_token, 1)
        found = await units.search(
            rpc.tx(),
            level=request.level or None,
            parent=request.parent or None,
            q=request.q[:80] or None,
            as_of=_day(request.as_of),
            limit=size,
            after=str(cursor[0]) if cursor else None,
        )
        page = page_of(found, size, key=lambda u: (u.code,))
        return pb.ListUnitsResponse(units=[message_of(u) for u in page.items], next_page_token=page.next or "")

    async def GetTeam(self, request: pb.GetTeamRequest, context: Context) -> pb.GetTeamResponse:
        team = await teams.get(rpc.tx(), _id(request.id, "id"))
        return pb.GetTeamResponse(team=await _message(team))

    async def ListTeams(self, request: pb.ListTeamsRequest, context: Context) -> pb.ListTeamsResponse:
        place = await units.get(rpc.tx(), request.unit)
        size, cursor = _size(request.page_size), decode_cursor(request.page_token, 1)
        start = _id(str(cursor[0]), "page_token") if cursor else None
        rows = await teams.teams(rpc.tx(), within=place.path, after=start, limit=size)
        page = page_of(rows, size, key=lambda t: (str(t.id),))
        return pb.ListTeamsResponse(teams=[teams.message_of(t) for t in page.items], next_page_token=page.next or "")


async def _message(team: Team) -> events.DigitalTeam:
    return teams.message_of(await teams.state(rpc.tx(), team))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise Invalid(field="as_of", message_="Ngày phải có dạng năm-tháng-ngày.") from error


def _size(asked: int) -> int:
    if not 0 <= asked <= MOST:
        raise Invalid(field="page_size", message_="Số dòng một trang từ 1 đến 200.")
    return asked or PAGE


def _id(text: str, field: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        if field == "id":
            raise NoSuchTeam() from error
        raise Invalid(field=field, message_="Vị trí trang không đọc được.") from error


def directory_service() -> rpc.Rpc:
    """The service with its scopes, for `app.py`."""
    return rpc.Rpc(
        add=pb_grpc.add_DirectoryServiceServicer_to_server,
        servicer=DirectoryService(),
        scopes=SCOPES,
        descriptor=pb.DESCRIPTOR,
    )
