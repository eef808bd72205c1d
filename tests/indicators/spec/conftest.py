"""Owns the one running service that all tests of the specification look at."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
from aiokafka import AIOKafkaProducer

from chassis.service import origin, web_server
from launcher.kafka import EmbeddedKafka
from launcher.postgres import EmbeddedPostgres
from services.indicators.app import service
from services.indicators.settings import Settings
from tests.indicators.spec.world import World, entered
from tests.support.running import commune, ladder, running, settings_for
from tests.support.waiting import eventually

PREFIX = "indicators-spec-"


@pytest.fixture(scope="package")
async def world(postgres: EmbeddedPostgres, kafka: EmbeddedKafka) -> AsyncIterator[World]:
    """The whole service with every part running, on a database, topics and ports of its own."""
    database = postgres.create_database("indicators_spec", secrets.token_urlsafe(12))
    settings = settings_for(
        Settings, database, kafka=kafka.bootstrap, topic_prefix=PREFIX, heartbeat_seconds=0.5, sequence_poll_seconds=0.2
    )
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    async with running(service, settings, parts=("relay", "consume", "rpc", "tasks")) as live:
        server = web_server(origin([live.runner]), "127.0.0.1", 0)
        serving = asyncio.create_task(server.serve())
        await eventually(lambda: server.started)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        target = f"127.0.0.1:{live.runner.grpc_port}"
        here = commune("11086")
        async with (
            httpx.AsyncClient(base_url=address, timeout=30) as client,
            grpc.aio.insecure_channel(target) as channel,
        ):
            made = World(address, target, producer, PREFIX, client, channel, here)
            guards = commune("11098", "Xã Canh")
            await made.publish(*(entered(unit) for unit in (*ladder(), here, guards)))
            await made.drained()
            yield made
        server.should_exit = True
        await serving
    await producer.stop()
