"""The ledger's two services: a writer with an API and an outbox, a reader with a consumer."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Annotated

import sqlalchemy as sa
from fastapi import Header, Request, UploadFile
from fastapi.responses import StreamingResponse
from google.protobuf.message import DecodeError
from pydantic import Base64Bytes, BaseModel, Field
from pydantic_settings import SettingsConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1.events_pb2 import UnitEntered
from xaso.observations.v1.events_pb2 import ObservationRecorded
from xaso.petitions.v1.events_pb2 import Petition, PetitionFiled

from chassis import outbox
from chassis.consumer import Consumers, Event
from chassis.errors import DomainError, Kind
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.text import Line
from chassis.web import ApiRouter, MaybeMe, Me, MiB, Page, PageRouter, Tx

PACKAGE = "tests.support.ledger"


class LedgerSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="LEDGER_", extra="ignore", frozen=False)
    name: str = "ledger"


class NewEntry(BaseModel):
    id: Line(80)  # type: ignore[valid-type]  # Line builds a type.
    subject: Line(80)  # type: ignore[valid-type]  # Line builds a type.
    n: int = Field(ge=0, le=1_000_000)


KINDS = {kind.DESCRIPTOR.full_name: kind for kind in (PetitionFiled, ObservationRecorded, UnitEntered)}


class NewWord(BaseModel):
    """Any event of another service, for those who follow the platform's real events."""

    id: Line(80)  # type: ignore[valid-type]  # Line builds a type.
    kind: Line(80)  # type: ignore[valid-type]  # Line builds a type.
    subject: Line(80)  # type: ignore[valid-type]  # Line builds a type.
    key: Line(80)  # type: ignore[valid-type]  # Line builds a type.
    payload: Base64Bytes


class EntryRefused(DomainError):
    code = "entry_refused"
    kind = Kind.CONFLICT
    message = "Mục {entry} không được nhận."


class Answer(BaseModel):
    sequence: int


api = ApiRouter(prefix="/api/v1")
pages = PageRouter()
INSERT = sa.text("INSERT INTO entry (id, subject, n) VALUES (:id, :subject, :n)")


async def write(tx: AsyncSession, entry: NewEntry) -> int:
    await tx.execute(INSERT, entry.model_dump())
    message = PetitionFiled(petition=Petition(id=entry.id, code=str(entry.n), commune="11074"))
    return await outbox.add(tx, message, unit="11074", subject=entry.subject, key=entry.subject)


@api.post("/entries", status_code=201)
async def add_entry(tx: Tx, entry: NewEntry, x_fault: Annotated[str, Header()] = "") -> Answer:
    sequence = await write(tx, entry)
    if x_fault == "before-commit":
        os.kill(os.getpid(), signal.SIGKILL)
    if x_fault == "refuse":
        raise EntryRefused(entry=entry.id)
    if x_fault == "bug":
        raise RuntimeError("a bug of the service")
    return Answer(sequence=sequence)


@api.post("/words", status_code=201)
async def add_word(tx: Tx, word: NewWord) -> Answer:
    """One event as it is given; the entry beside it says which word it was."""
    await tx.execute(INSERT, {"id": word.id, "subject": word.subject, "n": 0})
    try:
        message = KINDS[word.kind].FromString(word.payload)
    except (KeyError, DecodeError) as error:
        raise EntryRefused(entry=word.id) from error
    return Answer(sequence=await outbox.add(tx, message, unit=word.key, subject=word.subject, key=word.key))


@api.post("/mine", status_code=201)
async def add_mine(tx: Tx, me: Me, entry: NewEntry) -> Answer:
    return Answer(sequence=await write(tx, entry))


@api.get("/whoami")
async def whoami(me: MaybeMe) -> dict[str, str | None]:
    return {"subject": me.subject if me else None}


@api.get("/ticks", response_class=StreamingResponse)
async def ticks(_me: MaybeMe) -> StreamingResponse:
    """Server-sent events without an end."""

    async def ticking() -> AsyncIterator[bytes]:
        while True:
            yield b": tick\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(ticking(), media_type="text/event-stream")


@api.post("/files", max_body=25 * MiB)
async def keep_file(_me: Me, file: UploadFile) -> dict[str, int | None]:
    return {"size": file.size}


@api.post("/raw", max_body=25 * MiB)
async def keep_raw(request: Request, _me: Me) -> dict[str, int]:
    return {"size": len(await request.body())}


@pages.post("/picture", max_body=25 * MiB)
async def keep_picture(page: Page, _me: Me) -> object:
    return page.redirect("/ledger/api/v1/whoami", flash=str(len(await page.request.form())))


@pages.post("/form")
async def form(page: Page, tx: Tx) -> object:
    result = await page.form(NewEntry)
    if result.value is None:
        return page.render("error.html", status=422, detail=None, errors=result.errors, code="invalid", trace=None)
    await write(tx, result.value)
    return page.redirect("/ledger/api/v1/whoami", flash="Đã ghi.")


def writer(settings: LedgerSettings) -> Service:
    return Service(settings, PACKAGE, "Ledger", pages=[pages], api=[api])


on = Consumers()
EFFECT = sa.text("INSERT INTO effect (entry, subject, sequence) VALUES (:entry, :subject, :sequence)")


@on(PetitionFiled)
async def entry_written(tx: AsyncSession, event: Event[PetitionFiled]) -> None:
    if event.data.petition.village == "poison":
        raise ValueError("this entry can never take effect")
    await tx.execute(
        EFFECT,
        {"entry": event.data.petition.id, "subject": event.subject, "sequence": event.sequence},
    )


def reader(settings: LedgerSettings) -> Service:
    return Service(settings, PACKAGE, "Ledger", consumers=on)


def both(settings: LedgerSettings) -> Service:
    return Service(settings, PACKAGE, "Ledger", pages=[pages], api=[api], consumers=on)
