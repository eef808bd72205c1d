"""JSON entry points of test bulletins, and the sound a device fetches."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, Field

from chassis.db import now
from chassis.errors import NotFound
from chassis.paging import After, Limit, page_of
from chassis.web import ApiRouter, Me, Tx
from services.media import access
from services.media.bulletins import commands, queries, sound
from services.media.bulletins.model import Bulletin, Progress, Stage, Verdict
from services.media.speakers.api import UnitCode, UnitQuery
from services.media.wiring import MediaSettings, id_cursor

api = ApiRouter(prefix="/api/v1", reads=access.READ, writes=access.WRITE)


class BulletinIn(BaseModel):
    unit: UnitCode
    loudspeakers: Annotated[list[uuid.UUID], Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Smart loudspeakers of the village; default: all in service."
    )


class StageOut(BaseModel):
    """One stage acknowledged; only `counted` ones prove anything."""

    stage: Stage
    verdict: Verdict
    received_at: datetime
    device_at: datetime | None
    seconds: float | None


class ProofOut(BaseModel):
    """How far one loudspeaker came."""

    loudspeaker: uuid.UUID
    name: str
    sent_at: datetime | None
    finished: bool
    stages: list[StageOut]


class BulletinOut(BaseModel):
    id: uuid.UUID
    unit: str
    seconds: int
    created_at: datetime
    expires_at: datetime
    cancelled_at: datetime | None
    progress: Progress
    targets: int
    finished: int


class BulletinDetail(BulletinOut):
    proofs: list[ProofOut]


class BulletinPage(BaseModel):
    items: list[BulletinOut]
    next: str | None


def _out(sent: queries.Sent) -> BulletinOut:
    row = sent.bulletin
    return BulletinOut(
        id=row.id,
        unit=row.unit,
        seconds=row.seconds,
        created_at=row.created_at,
        expires_at=row.expires_at,
        cancelled_at=row.cancelled_at,
        progress=sent.progress,
        targets=sent.targets,
        finished=sent.finished,
    )


def _proof(proof: queries.Proof) -> ProofOut:
    stages = [
        StageOut(
            stage=stage,
            verdict=Verdict(ack.verdict),
            received_at=ack.received_at,
            device_at=ack.device_at,
            seconds=ack.seconds,
        )
        for stage in Stage
        if (ack := proof.stages.get(stage)) is not None
    ]
    return ProofOut(
        loudspeaker=proof.loudspeaker.id,
        name=proof.loudspeaker.name,
        sent_at=proof.delivery.first_sent_at,
        finished=proof.finished,
        stages=stages,
    )


async def _detail(tx: Tx, bulletin: Bulletin) -> BulletinDetail:
    proofs = await queries.proofs(tx, bulletin.id)
    sent = queries.sent_of(bulletin, len(proofs), sum(p.finished for p in proofs), now())
    return BulletinDetail(**_out(sent).model_dump(), proofs=[_proof(p) for p in proofs])


@api.get("/bulletins")
async def list_bulletins(
    tx: Tx, me: Me, unit: UnitQuery = None, limit: Limit = 50, after: After = None
) -> BulletinPage:
    """Test bulletins at or below a unit, newest first."""
    place = await access.unit_to_read(tx, me, unit)
    rows = await queries.listing(tx, place.path, now(), limit=limit, before=id_cursor(after))
    page = page_of(rows, limit, lambda s: (s.bulletin.id,))
    return BulletinPage(items=[_out(s) for s in page.items], next=page.next)


@api.post("/bulletins", status_code=201)
async def send_test_bulletin(tx: Tx, me: Me, settings: MediaSettings, body: BulletinIn) -> BulletinDetail:
    """Let the smart loudspeakers of a village play the test tone; each proves it stage by stage."""
    access.may_write(me)
    bulletin = await commands.send_test(
        tx, me, unit=body.unit, loudspeakers=body.loudspeakers, minutes=settings.bulletin_minutes
    )
    return await _detail(tx, bulletin)


@api.get("/bulletins/{bulletin_id}")
async def get_bulletin(tx: Tx, me: Me, bulletin_id: uuid.UUID) -> BulletinDetail:
    """One bulletin with the proof of each loudspeaker."""
    row = await queries.bulletin(tx, bulletin_id)
    access.may_read(me, row.path, hide=True)
    return await _detail(tx, row)


@api.post("/bulletins/{bulletin_id}/cancel")
async def cancel_bulletin(tx: Tx, me: Me, bulletin_id: uuid.UUID) -> BulletinDetail:
    """Cancel a bulletin that is under way; loudspeakers that were told already are told to stop."""
    access.may_write(me)
    return await _detail(tx, await commands.cancel(tx, me, bulletin_id))


@api.get("/deliveries/{delivery_id}/sound", response_class=Response, responses={200: {"content": {"audio/wav": {}}}})
async def fetch_sound(
    tx: Tx, settings: MediaSettings, delivery_id: uuid.UUID, ticket: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """The sound of a delivery, for the device that got the command: `ticket` stands in the command's address."""
    if not sound.ticket_fits(settings.secret.get_secret_value(), delivery_id, ticket):
        raise NotFound
    found = await queries.delivery(tx, delivery_id)
    if found is None or found[1].cancelled_at is not None or found[1].expires_at < now():
        raise NotFound
    return Response(sound.test_tone(found[1].seconds), media_type="audio/wav", headers={"cache-control": "no-store"})
