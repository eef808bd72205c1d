"""Petitions over gRPC: for partners such as a telephone hotline."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import grpc
from google.protobuf.message import Message
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.petitions.v1 import petitions_pb2 as pb
from xaso.petitions.v1 import petitions_pb2_grpc

from chassis import i18n, rpc, units
from chassis.errors import FieldError, Invalid, InvalidFields, Malformed
from chassis.paging import decode_cursor, page_of
from services.petitions import access, commands, queries
from services.petitions.commands import FilePetition
from services.petitions.contacts import ContactCipher
from services.petitions.model import Channel, EntryKind, Petition, Status
from services.petitions.texts import (
    CategoryCode,
    CommuneCodeOrNone,
    Description,
    PhoneOrNone,
    Place,
    VillageCodeOrNone,
)

_PREFIX = "/xaso.petitions.v1.PetitionService"
SCOPES = {
    f"{_PREFIX}/Get": "petitions.read",
    f"{_PREFIX}/List": "petitions.read",
    f"{_PREFIX}/File": commands.WRITE_SCOPE,
}
DEFAULT_PAGE, LARGEST_PAGE = 50, 200


class _Filed(BaseModel):
    """The texts of a FileRequest, held to the same lengths as on the pages."""

    commune: CommuneCodeOrNone
    village: VillageCodeOrNone
    category: CategoryCode
    description: Description
    place: Place
    contact_phone: PhoneOrNone
    lat: float | None = Field(ge=-90, le=90, allow_inf_nan=False)
    lon: float | None = Field(ge=-180, le=180, allow_inf_nan=False)
    channel: Channel


def _received_at(request: pb.FileRequest) -> datetime | None:
    if not request.HasField("received_at"):
        return None
    try:
        return request.received_at.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid(field="received_at", message_="Thời điểm không hợp lệ.") from error


def _asked(request: pb.FileRequest) -> FilePetition:
    try:
        said = _Filed.model_validate(
            {
                "commune": request.commune,
                "village": request.village,
                "category": request.category,
                "description": request.description,
                "place": request.place,
                "contact_phone": request.contact_phone,
                "lat": request.lat if request.HasField("lat") else None,
                "lon": request.lon if request.HasField("lon") else None,
                "channel": request.channel or Channel.PARTNER,
            }
        )
    except ValidationError as error:
        raise InvalidFields(
            [FieldError(str(e["loc"][0]), i18n.validation_message(e, i18n.DEFAULT_LOCALE)) for e in error.errors()]
        ) from error
    return FilePetition(
        category=said.category,
        description=said.description,
        commune=said.commune or None,
        village=said.village or None,
        place=said.place,
        lat=said.lat,
        lon=said.lon,
        contact_phone=said.contact_phone or None,
        public=not request.private,
        channel=said.channel,
        received_at=_received_at(request),
    )


def _cursor(token: str) -> tuple[datetime, UUID] | None:
    values = decode_cursor(token, 2)
    if values is None:
        return None
    try:
        at, identity = datetime.fromisoformat(values[0]), UUID(values[1])
    except (TypeError, ValueError, AttributeError) as error:
        raise Malformed(field="page_token", message_="Vị trí trang không đọc được.") from error
    return at.replace(tzinfo=at.tzinfo or UTC), identity


def _status(word: str) -> Status:
    try:
        return Status(word)
    except ValueError as error:
        raise Invalid(field="statuses", message_="Không có trạng thái này.") from error


async def _detail(tx: AsyncSession, of: Petition, *, answer: bool = True) -> pb.PetitionDetail:
    answers = []
    if answer and of.answered_at is not None:
        answers = [e.body for e in await queries.timeline(tx, of, notes=False) if e.kind is EntryKind.ANSWERED]
    return pb.PetitionDetail(
        state=commands.public_state(of),
        description=of.description,
        place=of.place,
        lat=of.lat,
        lon=of.lon,
        answer=answers[-1] if answers else "",
        public=of.public,
    )


class PetitionService(petitions_pb2_grpc.PetitionServiceServicer):
    """What `petitions.proto` promises. The chassis has checked token, scope and deadline before."""

    def __init__(self, secret: str) -> None:
        self._cipher = ContactCipher(secret)

    async def Get(self, request: pb.GetRequest, context: grpc.aio.ServicerContext[Message, Message]) -> pb.GetResponse:
        tx = rpc.tx()
        found = await access.petition(tx, rpc.me(), request.id[:40])
        return pb.GetResponse(petition=await _detail(tx, found))

    async def List(
        self, request: pb.ListRequest, context: grpc.aio.ServicerContext[Message, Message]
    ) -> pb.ListResponse:
        tx = rpc.tx()
        if not 0 <= request.page_size <= LARGEST_PAGE:
            raise Invalid(field="page_size", message_="Mỗi trang từ 1 đến 200 mục.")
        limit = request.page_size or DEFAULT_PAGE
        narrowed = queries.Filter(
            units=(await units.get(tx, request.unit),) if request.unit else (),
            statuses=tuple(_status(word) for word in request.statuses),
        )
        rows = await queries.listing(tx, rpc.me(), narrowed, limit=limit, after=_cursor(request.page_token))
        page = page_of(rows, limit, lambda p: (p.filed_at, str(p.id)))
        answers = await queries.newest_answers(tx, page.items)
        details = [await _detail(tx, p, answer=False) for p in page.items]
        for petition, detail in zip(page.items, details, strict=True):
            detail.answer = answers.get(petition.id, "")
        return pb.ListResponse(petitions=details, next_page_token=page.next or "")

    async def File(
        self, request: pb.FileRequest, context: grpc.aio.ServicerContext[Message, Message]
    ) -> pb.FileResponse:
        tx = rpc.tx()
        filed = await commands.file(tx, rpc.me(), _asked(request), self._cipher)
        return pb.FileResponse(petition=await _detail(tx, filed))


def petition_service(secret: str) -> rpc.Rpc:
    """The gRPC service, sealing telephone numbers with `secret`."""
    return rpc.Rpc(
        add=petitions_pb2_grpc.add_PetitionServiceServicer_to_server,
        servicer=PetitionService(secret),
        scopes=SCOPES,
        descriptor=pb.DESCRIPTOR,
    )
