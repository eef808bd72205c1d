"""The hub with another beside it, without its broker, away for a while, and told what no device may say."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa

from chassis.db import now
from chassis.service import Runner
from launcher.mqtt import EmbeddedMqtt
from services.media.app import service
from services.media.settings import Settings
from services.media.speakers import commands, queries
from services.media.speakers.model import Loudspeaker, State
from tests.media.conftest import (
    COMMUNE,
    NGHIA_DUNG,
    Media,
    kinds,
)
from tests.media.devices import DEADLINE, becomes, device, place, settled
from tests.support.running import ladder, running, settings_for
from tests.support.waiting import eventually


async def test_only_one_of_two_replicas_is_the_hub(hub: Media, mqtt: EmbeddedMqtt) -> None:
    """A second process of the service waits; when the first one's seat is free it takes over, and nothing doubles."""
    a = await hub.speaker("Loa", unit=await place(hub))
    async with running_again(hub) as second:
        async with device(hub, mqtt, a):
            await becomes(hub, a, "ready")
            assert kinds(await hub.events(a["loudspeaker"]["id"])).count("LoudspeakerStateChanged") <= 2
            assert await seats(hub) == 1
            async with hub.running.tx() as tx:
                await tx.execute(
                    sa.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
                        "(SELECT oid FROM pg_database WHERE datname = current_database())"
                    )
                )

            async def taken() -> bool:
                return await seats(hub) == 1

            await eventually(taken, DEADLINE)
        await becomes(hub, a, "disconnected")
        assert second is not None


async def seats(hub: Media) -> int:
    async with hub.running.tx() as tx:
        query = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = "
            "(hashtext('xaso-media-hub')::bigint & 4294967295) AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return int((await tx.execute(sa.text(query))).scalar_one())


@asynccontextmanager
async def running_again(hub: Media) -> AsyncIterator[Runner]:
    runner = Runner(service(hub.settings))
    await runner.start(relay=False, consume=False, rpc=False, tasks=True)
    try:
        yield runner
    finally:
        await runner.stop()


async def test_the_hub_survives_a_restart_of_the_broker(
    database: Callable[[str], str], topic_prefix: str, module_tag: str
) -> None:
    broker = EmbeddedMqtt()
    broker.start()
    try:
        settings = settings_for(
            Settings,
            database("restart"),
            topic_prefix=topic_prefix,
            mqtt=f"{broker.host}:{broker.port}",
            mqtt_root=f"{module_tag}r",
            heartbeat_seconds=0.5,
            watchdog_seconds=0.1,
            dispatch_seconds=0.05,
            leader_seconds=0.2,
            mqtt_backoff_seconds=0.5,
        )
        async with running(service, settings, parts=["tasks"]) as started:
            await started.enter_units(*ladder(), COMMUNE, NGHIA_DUNG)
            media = Media(started, settings)
            a = await media.speaker("Loa")
            async with device(media, broker, a, heartbeat_seconds=0.2):
                await becomes(media, a, "ready")
                broker.kill()

                async def cut_off() -> bool:
                    async with started.tx() as tx:
                        status = await queries.hub(tx)
                        return status is not None and not status.connected

                await eventually(cut_off, DEADLINE)
                broker.start()
                await becomes(media, a, "ready")

                async def back() -> bool:
                    return not await cut_off()

                await eventually(back, DEADLINE)
                sent = (await media.post("/bulletins", {"unit": NGHIA_DUNG.code})).json()["id"]

                async def finished() -> bool:
                    return (await media.get(f"/bulletins/{sent}")).json()["progress"] == "finished"

                await eventually(finished, DEADLINE)
    finally:
        broker.stop()


async def test_while_the_hub_was_away_nobody_is_declared_silent(hub: Media) -> None:
    speaker = (await hub.speaker("Loa", unit=await place(hub)))["loudspeaker"]["id"]
    old = now() - timedelta(hours=1)
    async with hub.running.runner.runtime.sessions.read() as tx:
        row = sa.update(Loudspeaker).where(Loudspeaker.id == uuid.UUID(speaker))
        await tx.execute(row.values(state=State.READY, state_since=old, last_heartbeat_at=old))
        at = now()
        before = commands.deadline(30, 1.5, at)
        assert await commands.silence(tx, before=before, at=at, listening_since=at) == 0
        assert await commands.silence(tx, before=before, at=at, listening_since=old) == 1


def packet(kind: int, body: bytes) -> bytes:
    """An MQTT packet of less than 128 bytes."""
    assert len(body) < 128
    return bytes([kind, len(body)]) + body


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


@pytest.mark.parametrize("odd", [b"/11074/+/$state", b"/11074/#/$state", b"/11074/\xff\xfe/$state", b"//\xc3\x28/ack"])
async def test_a_topic_nobody_may_publish_to_does_not_silence_the_hub(
    hub: Media, mqtt: EmbeddedMqtt, odd: bytes
) -> None:
    a = await hub.speaker("Loa", unit=await place(hub))
    async with device(hub, mqtt, a) as one:
        await becomes(hub, a, "ready")
        reader, writer = await asyncio.open_connection(mqtt.host, mqtt.port)
        name = uuid.uuid4().hex[:12].encode()
        writer.write(packet(0x10, text(b"MQTT") + bytes([4, 2, 0, 30]) + text(name)))
        assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
        writer.write(packet(0x30, text(hub.settings.mqtt_root.encode() + odd) + b"{}"))
        # The answer to a ping says that the broker has taken what came before it, or it has hung up on us: with an end
        # of the stream where it had read the ping, with a reset where it had not.
        writer.write(b"\xc0\x00")
        try:
            answer = await reader.read(2)
        except ConnectionResetError:
            answer = b""
        assert answer in (b"\xd0\x00", b"")
        writer.close()
        await settled(hub, one)
