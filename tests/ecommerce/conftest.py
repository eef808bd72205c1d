"""Owns the service under test and the people around it: a commune with its producer and officer, and a foreign one."""

from __future__ import annotations

import io
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from google.protobuf.message import Message
from PIL import Image
from xaso.ecommerce.v1 import events_pb2

from chassis.db import outbox_table
from chassis.units import Unit
from services.ecommerce.app import service
from services.ecommerce.settings import Settings
from tests.support.running import Running, bearer, commune, ladder, running, settings_for, village

HOME = commune()
DUNG = village(HOME)
AN = village(HOME, 2, "Thôn An Lao")
FOREIGN = commune("11077", "Xã Hưng Đạo")
FAR = village(FOREIGN, 1, "Thôn Lạc Dục")
BASE = "/ecommerce/api/v1"


@dataclass
class Shop:
    """The running service and headers of the people who use it."""

    running: Running
    producer: dict[str, str] = field(default_factory=lambda: bearer(("producer", HOME.path), subject="acc-producer"))
    rival: dict[str, str] = field(default_factory=lambda: bearer(("producer", HOME.path), subject="acc-rival"))
    officer: dict[str, str] = field(default_factory=lambda: bearer(("officer", HOME.path), subject="acc-officer"))
    leader: dict[str, str] = field(default_factory=lambda: bearer(("leader", HOME.path)))
    viewer: dict[str, str] = field(default_factory=lambda: bearer(("viewer", "30/298")))
    admin: dict[str, str] = field(default_factory=lambda: bearer(("admin", "30")))
    resident: dict[str, str] = field(default_factory=lambda: bearer(("resident", HOME.path)))
    stranger: dict[str, str] = field(default_factory=lambda: bearer(("officer", FOREIGN.path)))
    foreign_producer: dict[str, str] = field(
        default_factory=lambda: bearer(("producer", FOREIGN.path), subject="acc-foreign")
    )

    @property
    def client(self) -> httpx.AsyncClient:
        return self.running.client

    async def post(self, path: str, body: Any = None, who: dict[str, str] | None = None) -> httpx.Response:
        return await self.client.post(BASE + path, json=body, headers=self.producer if who is None else who)

    async def get(self, path: str, who: dict[str, str] | None = None) -> httpx.Response:
        return await self.client.get(BASE + path, headers=who or {})

    async def new_producer(self, who: dict[str, str] | None = None, unit: str = HOME.code) -> str:
        body = {"name": "HTX Nông nghiệp Đại Sơn", "kind": "cooperative", "unit": unit}
        return str(ok(await self.post("/producers", body, who), 201)["id"])

    async def new_product(self, **changed: Any) -> dict[str, Any]:
        """A draft of a new producer of `acc-producer`."""
        producer = changed.pop("producer_id", None) or await self.new_producer()
        body = {"producer_id": producer, "name": "Gạo nếp cái hoa vàng", "unit": DUNG.code, **changed}
        return ok(await self.post("/products", body), 201)

    async def published(self, **changed: Any) -> dict[str, Any]:
        product = await self.new_product(**changed)
        return ok(await self.post(f"/products/{product['id']}/publish"))

    async def events(self, subject: str) -> list[Message]:
        """The events of a product, oldest first, decoded."""
        async with self.running.tx() as tx:
            c = outbox_table.c
            rows = (await tx.execute(sa.select(outbox_table).where(c.subject == subject).order_by(c.sequence))).all()
        return [getattr(events_pb2, row.type.rsplit(".", 1)[1]).FromString(row.payload) for row in rows]

    async def event_rows(self, subject: str) -> list[Any]:
        async with self.running.tx() as tx:
            c = outbox_table.c
            return list(await tx.execute(sa.select(outbox_table).where(c.subject == subject).order_by(c.sequence)))


def ok(response: httpx.Response, status: int = 200) -> Any:
    """The body of an answer that must have `status`."""
    assert response.status_code == status, response.text
    return response.json()


def refused(response: httpx.Response, status: int, code: str | None = None, field: str | None = None) -> Any:
    """The problem of an answer that must be a refusal with `status`; it names `code` and `field` where given."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json"), response.text
    body = response.json()
    if code:
        assert body["code"] == code, body
    if field:
        assert field in [error["field"].rsplit(".", 1)[-1] for error in body["errors"]], body
    return body


def url(channel: str = "shopee.vn") -> str:
    """An address nobody has used."""
    return f"https://{channel}/{uuid.uuid4()}"


def picture(kind: str = "JPEG", size: tuple[int, int] = (640, 480), **more: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#8a5").save(out, kind, **more)
    return out.getvalue()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(database: Callable[[str], str]) -> AsyncIterator[Shop]:
    """The service on a database of the module, with two communes."""
    settings = settings_for(Settings, database("ecommerce"))
    async with running(service, settings) as started:
        await started.enter_units(*ladder(), HOME, DUNG, AN, FOREIGN, FAR)
        yield Shop(started)


@pytest.fixture
def home() -> Unit:
    return HOME
