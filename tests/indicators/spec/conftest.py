"""Owns the running services that the tests of the specification look at."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import grpc
import httpx
import pytest
from aiokafka import AIOKafkaProducer

from chassis.units import Unit
from launcher.kafka import EmbeddedKafka
from launcher.postgres import EmbeddedPostgres
from services.indicators.settings import Settings
from tests.indicators.elsewhere import LIMITED, take_over
from tests.indicators.spec.province import API, Province, units_of_hai_duong
from tests.indicators.spec.world import World, entered
from tests.support.killable import Side, environment, free_port
from tests.support.running import commune, ladder, settings_for
from tests.support.waiting import eventually

TRIALS = (
    Unit("97", "Tỉnh Thử", "province", "tinh", "", "97", date(2020, 1, 1)),
    Unit("31", "Thành phố Hải Phòng", "province", "thanh_pho", "", "31", date(2020, 1, 1)),
)
"""Provinces that take over what Hải Dương and Tứ Kỳ ask of villages and communes: their own texts hold there alone."""
TAKEN_OVER = tuple(code for code in LIMITED if code not in ("hd-2025", "tuky-2025"))


async def _take_over(world: World) -> None:
    """Every service of these tests has the same editions."""
    await world.publish(*(entered(unit) for unit in TRIALS))

    async def known() -> bool:
        found = [await world.client.get(f"{API}/units/{unit.code}/sets/pm-924-2025") for unit in TRIALS]
        return all(answer.is_success for answer in found)

    assert await eventually(known, seconds=60)
    await take_over(world.client, *(unit.code for unit in TRIALS), sets=TAKEN_OVER)


def _settings(postgres: EmbeddedPostgres, kafka: EmbeddedKafka, name: str) -> Settings:
    """Of a service on a database and topics of its own."""
    # A run that shares out files may come back to this package: what one service was told must not reach the next.
    name = f"{name}_{secrets.token_hex(4)}"
    return settings_for(
        Settings,
        postgres.create_database(name, secrets.token_urlsafe(12)),
        kafka=kafka.bootstrap,
        topic_prefix=f"{name.replace('_', '-')}-",
        heartbeat_seconds=0.5,
        sequence_poll_seconds=0.2,
    )


@asynccontextmanager
async def serving(
    postgres: EmbeddedPostgres, kafka: EmbeddedKafka, folder: Path, name: str, here: Unit
) -> AsyncIterator[World]:
    """The whole service with every part running, on a database, topics and ports of its own.

    It is a process of its own: one process holds but one catalogue, and these services have others than other modules.
    """
    settings = _settings(postgres, kafka, name).model_copy(update={"port": free_port(), "grpc_port": free_port()})
    address, target = f"http://127.0.0.1:{settings.port}", f"127.0.0.1:{settings.grpc_port}"
    side = Side("services.indicators", "all", environment(settings), folder / "log")
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    side.start()
    await producer.start()
    try:
        async with (
            httpx.AsyncClient(base_url=address, timeout=30) as client,
            grpc.aio.insecure_channel(target) as channel,
        ):
            assert await eventually(lambda: _answers(client), seconds=60), side.said()
            yield World(address, target, producer, settings.topic_prefix, client, channel, here)
    finally:
        await producer.stop()
        side.kill()


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/indicators/readyz")).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="package")
async def world(
    postgres: EmbeddedPostgres, kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A service that knows one commune, and another for the villages that `World.drained` makes."""
    here = commune("11086")
    async with serving(postgres, kafka, tmp_path_factory.mktemp("world"), "indicators_spec", here) as made:
        guards = commune("11098", "Xã Canh")
        await made.publish(*(entered(unit) for unit in (*ladder(), here, guards)))
        await made.drained()
        await _take_over(made)
        yield made


@pytest.fixture(scope="package")
async def hai_duong(
    postgres: EmbeddedPostgres, kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Province]:
    """A service that knows the units of Hải Dương, as the package has them."""
    units = units_of_hai_duong()
    here = next(unit for unit in units if unit.name == "Xã Hưng Đạo" and unit.parent == "298")
    async with serving(postgres, kafka, tmp_path_factory.mktemp("hai_duong"), "indicators_hai_duong", here) as world:
        made = Province(world, units)
        await made.enter_units()
        await _take_over(world)
        yield made
