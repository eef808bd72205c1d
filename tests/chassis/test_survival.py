"""Real processes are killed (`kill -9`) at the worst moments: nothing acknowledged is lost, nothing counts twice.

The writer and the reader of the ledger run as processes of their own on a PostgreSQL and a Kafka of their own. A client
keeps what it was told; at the end the checker holds that against what took effect. That the checker can see is proven
by planted faults that it must report.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import pytest

from chassis import migrations
from launcher.kafka import EmbeddedKafka
from launcher.postgres import EmbeddedPostgres
from tests.support.killable import Side, free_port, tell
from tests.support.ledger.app import PACKAGE, LedgerSettings
from tests.support.ledger.check import Effect, Told, check
from tests.support.running import JWKS
from tests.support.waiting import eventually

SUBJECTS = 5


@dataclass
class World:
    """Two databases, a broker, the two processes, and what the client was told."""

    postgres: EmbeddedPostgres
    kafka: EmbeddedKafka
    writer: Side
    reader: Side
    base_url: str
    reader_dsn: str
    writer_dsn: str
    told: Told = field(default_factory=Told)
    written: int = 0

    async def up(self) -> None:
        """Wait until the writer answers."""

        async def answers() -> bool:
            if self.writer.process is not None and self.writer.process.poll() not in (None, -9):
                raise RuntimeError(self.writer.log.read_text("utf-8")[-4000:])
            async with httpx.AsyncClient(base_url=self.base_url) as client:
                try:
                    return (await client.get("/ledger/readyz")).status_code == 200
                except httpx.HTTPError:
                    return False

        try:
            await eventually(answers, seconds=60, pause=0.1)
        except AssertionError as trouble:
            raise AssertionError(self.writer.log.read_text("utf-8")[-4000:]) from trouble

    async def write(self, count: int, fault: str = "", *, concurrency: int = 4, pause: float = 0.0) -> None:
        """Write `count` entries and note what each was told."""
        numbers = iter(range(count))

        async def client_loop(client: httpx.AsyncClient) -> None:
            for _ in numbers:
                entry = str(uuid.uuid4())
                self.written += 1
                body = {"id": entry, "subject": f"s{self.written % SUBJECTS}", "n": self.written}
                try:
                    answer = await client.post("/ledger/api/v1/entries", json=body, headers={"x-fault": fault})
                    self.told.take(entry, answer.status_code)
                except httpx.HTTPError:
                    self.told.take(entry, None)
                await asyncio.sleep(pause)

        async with httpx.AsyncClient(base_url=self.base_url, timeout=20) as client:
            await asyncio.gather(*(client_loop(client) for _ in range(concurrency)))

    async def effects(self) -> list[Effect]:
        connection = await asyncpg.connect(self.reader_dsn)
        try:
            rows = await connection.fetch("SELECT entry, subject, sequence FROM effect ORDER BY position")
        finally:
            await connection.close()
        return [Effect(r["entry"], r["subject"], r["sequence"]) for r in rows]

    async def settled(self, seconds: float = 90) -> list[str]:
        """Wait until everything committed has been published and taken effect, then check."""

        async def quiet() -> bool:
            try:
                connection = await asyncpg.connect(self.writer_dsn, timeout=5)
            except (OSError, TimeoutError, asyncpg.PostgresError):
                return False
            try:
                waiting = await connection.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")
                entries = {r["id"] for r in await connection.fetch("SELECT id FROM entry")}
            finally:
                await connection.close()
            return not waiting and entries <= {e.entry for e in await self.effects()}

        try:
            await eventually(quiet, seconds=seconds, pause=0.2)
        except AssertionError as trouble:
            raise AssertionError(await tell(self.writer, self.reader)) from trouble
        return check(self.told, await self.effects())


@asynccontextmanager
async def made_world(postgres: EmbeddedPostgres, kafka: EmbeddedKafka, folder: Path) -> AsyncIterator[World]:
    """Fresh databases and topics on the engines given, and the two processes, not started yet."""
    port = free_port()
    tag = uuid.uuid4().hex[:8]
    urls = {role: postgres.create_database(f"{role}_{tag}", "secret") for role in ("writer", "reader")}
    sides = {}
    for role, url in urls.items():
        await migrations.upgrade(LedgerSettings(database_url=url), PACKAGE)
        environment = {
            "LEDGER_NAME": "ledger" if role == "writer" else "ledger-reader",
            "LEDGER_DATABASE_URL": url,
            "LEDGER_KAFKA": kafka.bootstrap,
            "LEDGER_TOPIC_PREFIX": f"{tag}-",
            "LEDGER_PORT": str(port) if role == "writer" else "0",
            "LEDGER_JWKS_JSON": json.dumps(JWKS),
            "LEDGER_RELAY_POLL_SECONDS": "0.2",
            "LEDGER_SEND_DEADLINE_SECONDS": "3",
        }
        sides[role] = Side(PACKAGE, role, environment, folder / f"{role}.log")
    plain = {role: url.replace("+asyncpg", "") for role, url in urls.items()}
    world = World(
        postgres,
        kafka,
        sides["writer"],
        sides["reader"],
        f"http://127.0.0.1:{port}",
        plain["reader"],
        plain["writer"],
    )
    try:
        yield world
    finally:
        world.writer.kill()
        world.reader.kill()


@pytest.fixture
async def world(postgres: EmbeddedPostgres, kafka: EmbeddedKafka, tmp_path: Path) -> AsyncIterator[World]:
    """A world on the shared engines, where only our own processes die."""
    async with made_world(postgres, kafka, tmp_path) as made:
        yield made


@pytest.fixture
async def fragile_world(
    tmp_path: Path, postgres_of_own: EmbeddedPostgres, kafka_of_own: EmbeddedKafka
) -> AsyncIterator[World]:
    """A world on engines of its own, which may be killed."""
    async with made_world(postgres_of_own.start(), kafka_of_own.start(), tmp_path) as made:
        yield made


async def test_service_killed_before_its_commit(world: World) -> None:
    world.reader.start()
    world.writer.start()
    await world.up()
    await world.write(20)
    await world.write(1, "before-commit", concurrency=1)
    assert await world.writer.died()
    assert len(world.told.unknown) == 1
    world.writer.start()
    await world.up()
    await world.write(20)
    assert await world.settled() == []
    assert world.told.unknown[0] not in {e.entry for e in await world.effects()}


@pytest.mark.parametrize("fault", ["send", "mark"])
async def test_relay_killed_around_its_send(world: World, fault: str) -> None:
    world.reader.start()
    world.writer.start(fault)
    await world.up()
    await world.write(10)
    assert await world.writer.died()
    world.writer.start()
    await world.up()
    await world.write(20)
    assert world.told.acknowledged
    assert await world.settled() == []


async def test_consumer_killed_between_effect_and_offset(world: World) -> None:
    world.writer.start()
    await world.up()
    await world.write(30)
    world.reader.start("offset")
    assert await world.reader.died()
    assert await world.effects(), "the effect was committed before the process died"
    world.reader.start()
    await world.write(10)
    assert await world.settled() == []


async def test_broker_killed_under_load(fragile_world: World) -> None:
    world = fragile_world
    world.reader.start()
    world.writer.start()
    await world.up()
    load = asyncio.create_task(world.write(300, pause=0.02))
    await eventually(lambda: len(world.told.acknowledged) > 60)
    world.kafka.kill()
    await eventually(lambda: len(world.told.acknowledged) > 160)
    await asyncio.to_thread(world.kafka.start)
    await load
    assert not world.told.failed
    assert not world.told.unknown, "a broker that is away must not disturb a write"
    assert await world.settled() == []


async def test_broker_replaced_by_an_empty_one(fragile_world: World) -> None:
    """The outbox refills it, and offsets of the lost log neither skip nor block."""
    world = fragile_world
    world.reader.start()
    world.writer.start()
    await world.up()
    await world.write(120)
    assert await world.settled() == []
    world.kafka.kill()
    await world.write(40)
    await asyncio.to_thread(world.kafka.wipe)
    await asyncio.to_thread(world.kafka.start)
    await world.write(40)
    assert await world.settled() == []
    world.reader.kill()
    world.reader.start()
    await world.write(20)
    assert await world.settled() == []


async def test_postmaster_killed_under_writes(fragile_world: World) -> None:
    world = fragile_world
    world.reader.start()
    world.writer.start()
    await world.up()
    load = asyncio.create_task(world.write(300, pause=0.02))
    await eventually(lambda: len(world.told.acknowledged) > 60)
    world.postgres.kill()
    await eventually(lambda: len(world.told.unknown) > 5)
    await asyncio.to_thread(world.postgres.start)
    await load
    await world.up()
    await world.write(20)
    assert len(world.told.acknowledged) > 80
    assert await world.settled() == []


async def test_the_checker_sees_a_planted_double(world: World) -> None:
    world.writer.start()
    await world.up()
    await world.write(20)
    world.reader.start("twice")
    findings = await world.settled()
    assert any(f.startswith("doubled") for f in findings), findings


async def test_the_checker_sees_a_planted_loss(world: World) -> None:
    world.reader.start()
    world.writer.start("lose")
    await world.up()
    await world.write(40)

    async def published() -> bool:
        connection = await asyncpg.connect(world.writer_dsn)
        try:
            waiting = await connection.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")
        finally:
            await connection.close()
        return not waiting and len(await world.effects()) >= 30

    await eventually(published, seconds=60)
    findings = check(world.told, await world.effects())
    assert any(f.startswith("lost") for f in findings), findings


def test_the_checker_sees_ghosts_strangers_and_disorder() -> None:
    told = Told(acknowledged=["a", "b"], failed=["c"], unknown=["d"])
    effects = [Effect("b", "s", 2), Effect("a", "s", 1), Effect("c", "t", 1), Effect("x", "u", 1)]
    kinds = {finding.split(":")[0] for finding in check(told, effects)}
    assert kinds == {"disorder", "ghost", "stranger"}
    assert check(told, [Effect("a", "s", 1), Effect("b", "s", 2)]) == []
