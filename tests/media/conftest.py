"""Owns what the tests of the media service share: a commune with two villages, its people, events read back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from google.protobuf.message import Message
from xaso.media.v1 import events_pb2

from chassis.db import outbox_table
from launcher.mqtt import EmbeddedMqtt
from services.media.app import service
from services.media.settings import Settings
from tests.support.running import Running, bearer, commune, ladder, running, settings_for, village

COMMUNE = commune()
OTHER_COMMUNE = commune("11086", "Xã Hưng Đạo")
NGHIA_DUNG = village(COMMUNE, 1, "Thôn Nghĩa Dũng")
QUAY = village(COMMUNE, 2, "Thôn Quảng Xuyên")
FOREIGN = village(OTHER_COMMUNE, 1, "Thôn Lạc Dục")

API = "/media/api/v1"


@dataclass
class Media:
    """The running service and the ways to speak to it."""

    running: Running
    settings: Settings

    @property
    def client(self) -> httpx.AsyncClient:
        return self.running.client

    async def post(
        self, path: str, body: Any = None, *, by: dict[str, str] | None = None, **headers: str
    ) -> httpx.Response:
        return await self.client.post(API + path, json=body, headers={**(by or OFFICER), **headers})

    async def get(self, path: str, *, by: dict[str, str] | None = None, **params: Any) -> httpx.Response:
        return await self.client.get(API + path, params=params, headers=by or OFFICER)

    async def cluster(self, name: str, unit: str = NGHIA_DUNG.code) -> str:
        answer = await self.post("/clusters", {"unit": unit, "name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def speaker(
        self, name: str, *clusters: str, unit: str = NGHIA_DUNG.code, smart: bool = True
    ) -> dict[str, Any]:
        body = {"unit": unit, "name": name, "smart": smart, "clusters": list(clusters)}
        answer = await self.post("/loudspeakers", body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def events(self, subject: str) -> list[Message]:
        """The events in the outbox about one subject, in order."""
        async with self.running.tx() as tx:
            rows = await tx.execute(
                sa.select(outbox_table).where(outbox_table.c.subject == subject).order_by(outbox_table.c.sequence)
            )
            return [decode(row.type, row.payload) for row in rows]


def decode(kind: str, payload: bytes) -> Message:
    message: Message = getattr(events_pb2, kind.rsplit(".", 1)[1])()
    message.ParseFromString(payload)
    return message


def kinds(events: list[Message]) -> list[str]:
    return [type(e).__name__ for e in events]


OFFICER = bearer(("officer", COMMUNE.path), subject="officer-dai-son")
FOREIGN_OFFICER = bearer(("officer", OTHER_COMMUNE.path))
HEAD = bearer(("village_head", NGHIA_DUNG.path))
RESIDENT = bearer(("resident", NGHIA_DUNG.path))
PARTNER = bearer(("partner", COMMUNE.path), kind="partner", client_id="vnpt", scope="media.read")


@pytest.fixture(scope="module")
async def media(database: Callable[[str], str], topic_prefix: str) -> AsyncIterator[Media]:
    """The service on a database of the module, without MQTT and without loops of its own."""
    settings = settings_for(Settings, database("media"), topic_prefix=topic_prefix, probe_loopback=True)
    async with running(service, settings) as started:
        await started.enter_units(*ladder(), COMMUNE, OTHER_COMMUNE, NGHIA_DUNG, QUAY, FOREIGN)
        yield Media(started, settings)


@pytest.fixture
def unique() -> str:
    """A name nobody else uses."""
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
async def hub(
    database: Callable[[str], str], topic_prefix: str, mqtt: EmbeddedMqtt, module_tag: str
) -> AsyncIterator[Media]:
    """The service with its hub on the broker; heartbeats are quick so that silence shows quickly."""
    settings = settings_for(
        Settings,
        database("media"),
        topic_prefix=topic_prefix,
        mqtt=f"{mqtt.host}:{mqtt.port}",
        mqtt_root=module_tag,
        heartbeat_seconds=0.6,
        heartbeat_factor=3,
        watchdog_seconds=0.1,
        dispatch_seconds=0.05,
        resend_seconds=0.5,
        leader_seconds=0.2,
        mqtt_backoff_seconds=0.5,
    )
    async with running(service, settings, parts=["tasks"]) as started:
        await started.enter_units(*ladder(), COMMUNE, OTHER_COMMUNE, NGHIA_DUNG, QUAY, FOREIGN)
        yield Media(started, settings)
