"""Owns what the petitions tests share: the units, who asks, and the steps of a petition's life over JSON."""

from __future__ import annotations

import io
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import sqlalchemy as sa
from PIL import Image
from xaso.petitions.v1 import events_pb2 as events

from chassis.db import outbox_table
from services.petitions.model import Petition
from tests.support.running import Running, bearer, commune, village

DAI_SON = commune()
NGHIA_DUNG = village(DAI_SON)
NGOC_LAM = village(DAI_SON, 2, "Thôn Ngọc Lâm")
HUNG_DAO = commune("11086", "Xã Hưng Đạo")
ELSEWHERE = village(HUNG_DAO, 1, "Thôn Lạc Dục")


@dataclass(frozen=True)
class People:
    """Authorization headers of those who take part."""

    resident: dict[str, str]
    neighbour: dict[str, str]
    officer: dict[str, str]
    colleague: dict[str, str]
    foreign_officer: dict[str, str]
    admin: dict[str, str]
    hotline: dict[str, str]


def people() -> People:
    return People(
        resident=bearer(("resident", DAI_SON.path), subject="resident-1", name="Nguyễn Thị An"),
        neighbour=bearer(("resident", DAI_SON.path), subject="resident-2", name="Trần Văn Bình"),
        officer=bearer(("officer", DAI_SON.path), subject="officer-1", name="Lê Thị Chi"),
        colleague=bearer(("officer", DAI_SON.path), subject="officer-2", name="Phạm Văn Dũng"),
        foreign_officer=bearer(("officer", HUNG_DAO.path), subject="officer-9", name="Vũ Thị Giang"),
        admin=bearer(("admin", "30"), subject="admin-1", name="Quản trị tỉnh"),
        hotline=bearer(
            ("partner", "30"),
            subject="partner-1022",
            kind="partner",
            scope="petitions.read petitions.write",
            client_id="hotline",
        ),
    )


def report(**changed: Any) -> dict[str, Any]:
    """A petition as a program sends it; a None takes the field away."""
    body: dict[str, Any] = {
        "commune": DAI_SON.code,
        "village": NGHIA_DUNG.code,
        "category": "giao_thong",
        "description": "Đường trước nhà văn hóa hư hỏng, có ổ gà sâu.",
        "place": "Trước nhà văn hóa",
        **changed,
    }
    return {key: value for key, value in body.items() if value is not None}


API = "/petitions/api/v1/petitions"


async def file(app: Running, headers: dict[str, str], **changed: Any) -> dict[str, Any]:
    answer = await app.client.post(API, json=report(**changed), headers=headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def act(
    app: Running, headers: dict[str, str], petition: dict[str, Any], action: str, **body: Any
) -> httpx.Response:
    return await app.client.post(f"{API}/{petition['id']}/{action}", json=body, headers=headers)


async def answered(app: Running, who: People, **changed: Any) -> dict[str, Any]:
    """A petition that was filed, routed and answered."""
    petition = await file(app, who.resident, **changed)
    assert (await act(app, who.officer, petition, "route")).status_code == 200
    done = await act(app, who.officer, petition, "answer", text="Xã đã vá ổ gà sáng nay.")
    assert done.status_code == 200, done.text
    return dict(done.json())


async def events_of(app: Running, petition: dict[str, Any]) -> list[tuple[str, events.Petition, Any]]:
    """What stands in the outbox of a petition: (type, state, row), in order."""
    async with app.tx() as tx:
        rows = await tx.execute(
            sa.select(outbox_table).where(outbox_table.c.subject == petition["id"]).order_by(outbox_table.c.sequence)
        )
        found = []
        for row in rows:
            name = row.type.rsplit(".", 1)[-1]
            message = getattr(events, name).FromString(bytes(row.payload))
            found.append((name, message.petition, row))
        return found


def picture(size: tuple[int, int] = (900, 600), format: str = "JPEG", **save: Any) -> bytes:
    """A small real picture."""
    out = io.BytesIO()
    Image.new("RGB", size, (30, 120, 60)).save(out, format, **save)
    return out.getvalue()


async def stored(app: Running, petition: dict[str, Any]) -> Petition:
    async with app.tx() as tx:
        return (await tx.scalars(sa.select(Petition).where(Petition.id == uuid.UUID(petition["id"])))).one()


async def count(app: Running) -> tuple[int, int]:
    async with app.tx() as tx:
        petitions = await tx.scalar(sa.select(sa.func.count()).select_from(Petition))
        events = await tx.scalar(sa.select(sa.func.count()).select_from(outbox_table))
        return int(petitions or 0), int(events or 0)


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("route", {}),
    ("answer", {"text": "Đã xem xét xong."}),
    ("close", {}),
    ("reopen", {"reason": "Chưa xong đâu."}),
    ("rate", {"rating": 3}),
    ("notes", {"text": "Ghi chú"}),
    ("visibility", {"public": False}),
]
