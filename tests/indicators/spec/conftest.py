"""Owns the running services that the tests of the specification look at."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import httpx
import pytest
from aiokafka import AIOKafkaProducer

from chassis.service import origin, web_server
from chassis.units import Unit
from launcher.kafka import EmbeddedKafka
from launcher.postgres import EmbeddedPostgres
from services.indicators.app import service
from services.indicators.settings import Settings
from tests.indicators.spec.province import Province, units_of_hai_duong
from tests.indicators.spec.world import World, entered
from tests.support.running import commune, ladder, running, settings_for
from tests.support.waiting import eventually


@asynccontextmanager
async def serving(postgres: EmbeddedPostgres, kafka: EmbeddedKafka, name: str, here: Unit) -> AsyncIterator[World]:
    """The whole service with every part running, on a database, topics and ports of its own."""
    # A run that shares out files may come back to this package: what one service was told must not reach the next.
    name = f"{name}_{secrets.token_hex(4)}"
    prefix = f"{name.replace('_', '-')}-"
    database = postgres.create_database(name, secrets.token_urlsafe(12))
    settings = settings_for(
        Settings, database, kafka=kafka.bootstrap, topic_prefix=prefix, heartbeat_seconds=0.5, sequence_poll_seconds=0.2
    )
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    async with running(service, settings, parts=("relay", "consume", "rpc", "tasks")) as live:
        server = web_server(origin([live.runner]), "127.0.0.1", 0)
        serving = asyncio.create_task(server.serve())
        await eventually(lambda: server.started)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        target = f"127.0.0.1:{live.runner.grpc_port}"
        async with (
            httpx.AsyncClient(base_url=address, timeout=30) as client,
            grpc.aio.insecure_channel(target) as channel,
        ):
            yield World(address, target, producer, prefix, client, channel, here)
        server.should_exit = True
        await serving
    await producer.stop()


@pytest.fixture(scope="package")
async def world(postgres: EmbeddedPostgres, kafka: EmbeddedKafka) -> AsyncIterator[World]:
    """A service that knows one commune, and another for the villages that `World.drained` makes."""
    here = commune("11086")
    async with serving(postgres, kafka, "indicators_spec", here) as made:
        guards = commune("11098", "Xã Canh")
        await made.publish(*(entered(unit) for unit in (*ladder(), here, guards)))
        await made.drained()
        yield made


@pytest.fixture(scope="package")
async def hai_duong(postgres: EmbeddedPostgres, kafka: EmbeddedKafka) -> AsyncIterator[Province]:
    """A service of its own that knows the units of Hải Dương, as the package has them."""
    units = units_of_hai_duong()
    here = next(unit for unit in units if unit.name == "Xã Hưng Đạo" and unit.parent == "298")
    async with serving(postgres, kafka, "indicators_hai_duong", here) as world:
        made = Province(world, units)
        await made.enter_units()
        yield made
