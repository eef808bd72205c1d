"""A run of the stream: a writer that is told words over HTTP, one or two processes of the stream, and what came of it.

Writer and stream have a PostgreSQL database each and one Kafka between them, all of them real and, where a test asks,
their own, to be killed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from google.protobuf.message import Message
from xaso.observations.v1.events_pb2 import ObservationRecorded, Share
from xaso.petitions.v1.events_pb2 import Petition, PetitionFiled

from chassis import migrations, units
from chassis.db import Sessions, make_engine
from chassis.units import Unit
from launcher.kafka import EmbeddedKafka
from launcher.postgres import EmbeddedPostgres
from services.indicators.rebuilding import rebuild
from services.indicators.settings import Settings
from tests.support.killable import Side, free_port, tell
from tests.support.ledger.app import PACKAGE, LedgerSettings
from tests.support.ledger.check import Told
from tests.support.running import JWKS, commune, ladder, village
from tests.support.stream.check import ANSWER, Outcome, Word, findings
from tests.support.waiting import eventually

T = TypeVar("T")
MODULE = "tests.support.stream"
COMMUNES = [commune(f"1107{n}", f"Xã thử {n}") for n in range(1, 7)]
"""Enough of them that every partition has one."""
VILLAGES = {one.code: [village(one, number, f"Thôn {number}") for number in (1, 2, 3)] for one in COMMUNES}
PETITIONS = 120
MEASURE = "village.fibre_households"

_WORDS = "SELECT type, subject, sequence, payload FROM outbox ORDER BY id"
_FACTS = """
    SELECT attribute, entity, source, sequence, split_part(unit, '@', 1) AS code, state, numerator, denominator
    FROM fact WHERE NOT withdrawn
"""
_HEAPS = """
    SELECT split_part(unit, '@', 1) AS code, attribute, state, sum(count)::bigint AS n FROM tally
    WHERE count <> 0 GROUP BY 1, 2, 3
"""
_HISTORY = """
    SELECT entity, sequence FROM fact_history WHERE attribute = $1 AND NOT withdrawn ORDER BY recorded_at, sequence
"""
_CHANGES = "SELECT unit, set_code, item_code, before, after FROM change ORDER BY position, id"
_UNDER_WAY = """
    SELECT (SELECT count(*) FROM stale) + (SELECT count(*) FROM change WHERE position IS NULL)
"""
_PLACES = "SELECT topic, partition, next_offset FROM stream_offset"


@dataclass
class StreamWorld:
    """The parts of a run and what the clients were told; `told` is of words about petitions."""

    postgres: EmbeddedPostgres
    kafka: EmbeddedKafka
    writer: Side
    streams: list[Side]
    base_url: str
    writer_dsn: str
    stream_dsn: str
    settings: Settings
    told: Told = field(default_factory=Told)
    told_else: Told = field(default_factory=Told)
    random: random.Random = field(default_factory=lambda: random.Random(288))

    @property
    def stream(self) -> Side:
        return self.streams[0]

    @property
    def sides(self) -> list[Side]:
        return [self.writer, *self.streams]

    async def up(self) -> None:
        """Wait until the writer answers."""

        async def answers() -> bool:
            async with httpx.AsyncClient(base_url=self.base_url) as client:
                try:
                    return (await client.get("/ledger/readyz")).status_code == 200
                except httpx.HTTPError:
                    return False

        await self.so(answers, seconds=60)

    async def so(self, check: object, seconds: float = 90) -> None:
        """Wait until `check` holds; what the processes say goes into the message where it does not."""
        try:
            await eventually(check, seconds=seconds, pause=0.25)  # type: ignore[arg-type]  # any check at all.
        except AssertionError as trouble:
            raise AssertionError(f"{trouble}\n{await tell(*self.sides)}") from trouble

    async def write(self, count: int, *, concurrency: int = 6, pause: float = 0.0) -> None:
        """Write `count` words and note what each was told; three in ten are figures of whole villages."""
        numbers = iter(range(count))

        async def client_loop(client: httpx.AsyncClient) -> None:
            for _ in numbers:
                id = str(uuid.uuid4())
                plain = self.random.random() < 0.7
                subject, key, message = self._petition(id) if plain else self._observation()
                told = self.told if plain else self.told_else
                body = {
                    "id": id,
                    "kind": message.DESCRIPTOR.full_name,
                    "subject": subject,
                    "key": key,
                    "payload": base64.b64encode(message.SerializeToString()).decode(),
                }
                try:
                    answer = await client.post("/ledger/api/v1/words", json=body)
                    told.take(id, answer.status_code)
                except httpx.HTTPError:
                    told.take(id, None)
                await asyncio.sleep(pause)

        async with httpx.AsyncClient(base_url=self.base_url, timeout=20) as client:
            await asyncio.gather(*(client_loop(client) for _ in range(concurrency)))

    async def write_until(self, done: Awaitable[T], pause: float = 0.01) -> T:
        """Write on until `done` is."""
        waited = asyncio.ensure_future(done)
        while not waited.done():
            await self.write(40, pause=pause)
        return await waited

    def _petition(self, word: str) -> tuple[str, str, Message]:
        number = self.random.randrange(PETITIONS)
        here = COMMUNES[number % len(COMMUNES)]
        # Most stay where they are; some are found to lie in another village of the commune, or in none.
        place = self.random.choice([*VILLAGES[here.code], None]) if self.random.random() < 0.2 else None
        place = place or VILLAGES[here.code][number % 3]
        state = Petition(id=f"petition-{number}", code=word, commune=here.code, village=place.code)
        state.filed_at.FromDatetime(datetime.now(UTC))
        if self.random.random() < 0.5:
            state.answered_at.FromDatetime(datetime.now(UTC))
        state.rating = self.random.randrange(2)
        return state.id, here.code, PetitionFiled(petition=state)

    def _observation(self) -> tuple[str, str, Message]:
        here = self.random.choice(COMMUNES)
        of = self.random.choice(VILLAGES[here.code])
        share = Share(numerator=self.random.randrange(101), denominator=100)
        message = ObservationRecorded(unit=of.code, measure=MEASURE, ratio=share)
        message.observed_at.FromDatetime(datetime.now(UTC))
        return f"{of.code}/{MEASURE}", here.code, message

    async def words(self) -> list[Word]:
        """Everything the writer committed."""
        async with connected(self.writer_dsn) as connection:
            return [Word(r["type"], r["subject"], r["sequence"], r["payload"]) for r in await connection.fetch(_WORDS)]

    async def outcome(self) -> Outcome:
        async with connected(self.stream_dsn) as connection, connection.transaction(isolation="repeatable_read"):
            history = await connection.fetch(_HISTORY, ANSWER)
            changes = await connection.fetch(_CHANGES)
            published = "SELECT count(*) FROM outbox WHERE type = 'xaso.indicators.v1.ComplianceChanged'"
            return Outcome(
                {
                    (r["attribute"], r["entity"], r["source"]): (
                        r["sequence"], r["code"], r["state"], r["numerator"], r["denominator"],
                    )
                    for r in await connection.fetch(_FACTS)
                },
                {(r["code"], r["attribute"], r["state"]): r["n"] for r in await connection.fetch(_HEAPS)},
                [(r["entity"], r["sequence"]) for r in history],
                [((r["unit"], r["set_code"], r["item_code"]), r["before"], r["after"]) for r in changes],
                await connection.fetchval(published),
            )  # fmt: skip

    async def caught_up(self) -> bool:
        """Whether everything written is published, everything published folded, and everything above rolled up."""
        try:
            async with connected(self.writer_dsn) as writer:
                if await writer.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL"):
                    return False
            async with connected(self.stream_dsn) as connection:
                places = {
                    TopicPartition(r["topic"], r["partition"]): r["next_offset"]
                    for r in await connection.fetch(_PLACES)
                }
                if await connection.fetchval(_UNDER_WAY):
                    return False
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        return bool(places) and await self.ends(list(places)) == places

    async def ends(self, partitions: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where the log of each partition ends."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.bootstrap)
        await consumer.start()
        try:
            found: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
            return found
        finally:
            await consumer.stop()

    async def has_folded(self, count: int) -> bool:
        """Whether that many words about petitions have taken effect."""
        async with connected(self.stream_dsn) as connection:
            lines = "SELECT count(*) FROM fact_history WHERE attribute = $1 AND NOT withdrawn"
            return bool(await connection.fetchval(lines, ANSWER) >= count)

    async def settled(self, seconds: float = 120) -> list[str]:
        """Wait until the run has come to rest, then check; a rebuild has to find the same, too."""
        await self.so(self.caught_up, seconds)
        words = await self.words()
        found = findings(self.told, words, await self.outcome())
        names = set(self.told_else.acknowledged)
        async with connected(self.writer_dsn) as connection:
            kept = {r["id"] for r in await connection.fetch("SELECT id FROM entry")}
        found += [f"lost: {name} was acknowledged and is nowhere" for name in names - kept]
        if await rebuild(self.settings):
            found.append("rebuilt: a rebuild found other heaps or items")
        return found


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def enter(settings: Settings, entered: list[Unit]) -> None:
    """Have the service know units."""
    engine = make_engine(settings)
    try:
        async with Sessions(engine).begin() as tx:
            for unit in entered:
                await units.project(tx, unit)
    finally:
        await engine.dispose()


@asynccontextmanager
async def made(postgres: EmbeddedPostgres, kafka: EmbeddedKafka, folder: Path) -> AsyncIterator[StreamWorld]:
    """Fresh databases and topics on the engines given, and the processes, not started yet."""
    tag, port = uuid.uuid4().hex[:8], free_port()
    writer_url = postgres.create_database(f"writer_{tag}", "secret")
    stream_url = postgres.create_database(f"stream_{tag}", "secret")
    settings = Settings(database_url=stream_url, kafka=kafka.bootstrap, topic_prefix=f"{tag}-")
    await migrations.upgrade(LedgerSettings(database_url=writer_url), PACKAGE)
    await migrations.upgrade(settings, "services.indicators")
    every = [*ladder(), *COMMUNES, *(one for below in VILLAGES.values() for one in below)]
    await enter(settings, every)
    shared = {"KAFKA": kafka.bootstrap, "TOPIC_PREFIX": f"{tag}-", "JWKS_JSON": json.dumps(JWKS)}
    own = {
        "DATABASE_URL": writer_url, "NAME": "ledger", "PORT": str(port), "RELAY_POLL_SECONDS": "0.2",
        "SEND_DEADLINE_SECONDS": "3",
    }  # fmt: skip
    writer = Side(PACKAGE, "writer", {f"LEDGER_{k}": v for k, v in {**shared, **own}.items()}, folder / "writer.log")
    streams = [
        Side(
            MODULE,
            "",
            {
                f"XASO_INDICATORS_{k}": v
                for k, v in {**shared, "DATABASE_URL": stream_url, "STRICT_TELEMETRY": "true"}.items()
            },
            folder / f"stream-{number}.log",
        )
        for number in (1, 2)
    ]
    world = StreamWorld(
        postgres,
        kafka,
        writer,
        streams,
        f"http://127.0.0.1:{port}",
        writer_url.replace("+asyncpg", ""),
        stream_url.replace("+asyncpg", ""),
        settings,
    )
    try:
        yield world
    finally:
        for side in world.sides:
            side.kill()
