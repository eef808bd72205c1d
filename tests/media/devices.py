"""Owns the devices of the tests of the hub: one on the broker, and waiting until the hub has taken what it said."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from launcher.devices import SimulatedLoudspeaker
from launcher.mqtt import EmbeddedMqtt
from tests.media.conftest import (
    COMMUNE,
    Media,
)
from tests.support.running import village
from tests.support.waiting import eventually

DEADLINE = 20.0


async def place(media: Media) -> str:
    """A village of one test alone; its code."""
    unit = village(COMMUNE, 10 + uuid.uuid4().int % 10**9, "Thôn Thử")
    await media.running.enter_units(unit)
    return unit.code


@asynccontextmanager
async def device(
    media: Media, mqtt: EmbeddedMqtt, registered: dict[str, Any], **options: Any
) -> AsyncIterator[SimulatedLoudspeaker]:
    async def fetch(url: str) -> bytes:
        answer = await media.client.get(url)
        answer.raise_for_status()
        return answer.content

    told = registered["device"]
    options = {"heartbeat_seconds": told["heartbeat_seconds"], "pace": 0.0, "fetch": fetch, **options}
    speaker = SimulatedLoudspeaker(mqtt.host, mqtt.port, told["topic"], told["secret"], **options)
    try:
        await speaker.start()
        yield speaker
    finally:
        await speaker.stop()


async def state(media: Media, registered: dict[str, Any]) -> dict[str, Any]:
    return dict((await media.get(f"/loudspeakers/{registered['loudspeaker']['id']}")).json())


async def becomes(media: Media, registered: dict[str, Any], wanted: str) -> dict[str, Any]:
    async def there() -> dict[str, Any] | None:
        now = await state(media, registered)
        assert now["state"] == wanted, now["state"]
        return now

    return await eventually(there, DEADLINE)  # type: ignore[return-value]  # never None past the wait.


async def settled(hub: Media, one: SimulatedLoudspeaker) -> None:
    """Wait until the hub has taken all a device said: its messages are taken in their order."""
    await one.say("$state", {"state": "sleeping"}, retain=True)

    async def asleep() -> bool:
        rows = (await hub.get("/loudspeakers", unit=COMMUNE.code, limit=200)).json()["items"]
        return any(one.topic.endswith(r["device_id"]) and r["state"] == "sleeping" for r in rows)

    await eventually(asleep, DEADLINE)
    await one.say("$state", {"state": "ready"}, retain=True)

    async def awake() -> bool:
        return not await asleep()

    await eventually(awake, DEADLINE)
