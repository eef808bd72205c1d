"""Owns the running services that the tests of the specification look at."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

import grpc
import httpx
import pytest
from aiokafka import AIOKafkaProducer

from chassis.service import origin, web_server
from chassis.units import Unit
from launcher.kafka import EmbeddedKafka
from launcher.postgres import EmbeddedPostgres
from services.indicators.app import service
from services.indicators.criteria import library
from services.indicators.settings import Settings
from tests.indicators.elsewhere import LIMITED, take_over
from tests.indicators.spec.province import API, Province, units_of_hai_duong
from tests.indicators.spec.world import World, entered
from tests.support.killable import Side, environment, free_port
from tests.support.running import commune, ladder, running, settings_for
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
async def _reached(settings: Settings, port: int, grpc_port: int, here: Unit) -> AsyncIterator[World]:
    """The ways to a service that serves on these ports."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    address, target = f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}"
    async with (
        httpx.AsyncClient(base_url=address, timeout=30) as client,
        grpc.aio.insecure_channel(target) as channel,
    ):
        yield World(address, target, producer, settings.topic_prefix, client, channel, here)
    await producer.stop()


@pytest.fixture(scope="package")
async def world(postgres: EmbeddedPostgres, kafka: EmbeddedKafka) -> AsyncIterator[World]:
    """A service that knows one commune, and another for the villages that `World.drained` makes."""
    here = commune("11086")
    settings = _settings(postgres, kafka, "indicators_spec")
    # The catalogue is the process's own: other modules' databases know nothing of what is applied here.
    before = library.catalogue()
    async with running(service, settings, parts=("relay", "consume", "rpc", "tasks")) as live:
        server = web_server(origin([live.runner]), "127.0.0.1", 0)
        serving = asyncio.create_task(server.serve())
        await eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with _reached(settings, port, live.runner.grpc_port, here) as made:
            guards = commune("11098", "Xã Canh")
            await made.publish(*(entered(unit) for unit in (*ladder(), here, guards)))
            await made.drained()
            await _take_over(made)
            yield made
        server.should_exit = True
        await serving
    library.install(before)


@pytest.fixture(scope="package")
async def hai_duong(
    postgres: EmbeddedPostgres, kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Province]:
    """A service that knows the units of Hải Dương, as the package has them.

    It is a process of its own: one process holds but one catalogue, and `world` has another, with other editions.
    """
    units = units_of_hai_duong()
    here = next(unit for unit in units if unit.name == "Xã Hưng Đạo" and unit.parent == "298")
    settings = _settings(postgres, kafka, "indicators_hai_duong")
    settings = settings.model_copy(update={"port": free_port(), "grpc_port": free_port()})
    side = Side("services.indicators", "all", environment(settings), tmp_path_factory.mktemp("hai_duong") / "log")
    side.start()
    try:
        async with _reached(settings, settings.port, settings.grpc_port, here) as world:
            assert await eventually(lambda: _answers(world.client), seconds=60), side.said()
            made = Province(world, units)
            await made.enter_units()
            await _take_over(world)
            yield made
    finally:
        side.kill()


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/indicators/readyz")).is_success
    except httpx.HTTPError:
        return False
