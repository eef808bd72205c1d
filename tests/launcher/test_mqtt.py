"""The embedded MQTT broker: lets in by login, comes back on its port, ends with the launcher."""

import asyncio
from collections.abc import Iterator

import aiomqtt
import pytest

from launcher.mqtt import EmbeddedMqtt
from launcher.processes import EngineFailed


@pytest.fixture(scope="module")
def guarded() -> Iterator[EmbeddedMqtt]:
    broker = EmbeddedMqtt(logins={"hub": 'mật "khẩu"', "device": "loa"})
    try:
        yield broker.start()
    finally:
        broker.stop()


async def echo(broker: EmbeddedMqtt, user: str | None, password: str | None) -> bytes:
    async with aiomqtt.Client(broker.host, port=broker.port, username=user, password=password, timeout=2) as client:
        await client.subscribe("loa/+/state", qos=1)
        await client.publish("loa/1/state", b"ready", qos=1)
        async with asyncio.timeout(10):
            async for message in client.messages:
                return bytes(message.payload) if isinstance(message.payload, bytes) else b""
    return b""


@pytest.mark.parametrize(("user", "password"), [("hub", 'mật "khẩu"'), ("device", "loa")])
async def test_a_login_lets_in(guarded: EmbeddedMqtt, user: str, password: str) -> None:
    assert await echo(guarded, user, password) == b"ready"


@pytest.mark.parametrize(("user", "password"), [(None, None), ("hub", "loa"), ("stranger", "loa")])
async def test_without_the_right_login_nobody_connects(
    guarded: EmbeddedMqtt, user: str | None, password: str | None
) -> None:
    with pytest.raises(aiomqtt.MqttError):
        await echo(guarded, user, password)


async def test_a_killed_broker_comes_back_on_its_port() -> None:
    broker = EmbeddedMqtt().start()
    try:
        port = broker.port
        broker.kill()
        assert not broker.running
        broker.start()
        assert broker.port == port
        assert await echo(broker, None, None) == b"ready"
    finally:
        broker.stop()


def test_a_taken_port_is_named(mqtt: EmbeddedMqtt) -> None:
    with pytest.raises(EngineFailed, match=str(mqtt.port)):
        EmbeddedMqtt(mqtt.port).start()
