"""The processes beside the server that `sheets` measures.

`python -m benchmarks.readers read` takes a plan from standard input, asks at a fixed rate and prints what it saw as
JSON. Each answer is timed from the instant its question was due, whether or not a connection was free: an open loop
hides no delay. `… tell <plan>` sends observations to the stream at a fixed rate until it is ended; each changes a
figure of a village.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, cast

import uvloop
from aiokafka import AIOKafkaProducer
from xaso.observations.v1.events_pb2 import ObservationRecorded, Share

from benchmarks import provinces
from chassis import kafka
from chassis.db import new_id
from services.indicators.settings import Settings

TOPIC = "xaso.observations.v1"
KIND = b"xaso.observations.v1.ObservationRecorded"
MEASURE = "village.fibre_households"
GIVE_UP_SECONDS = 30.0


@dataclass
class Reading:
    """What to ask: the paths in turn, `rate` a second. What is due in the first `warm_up` seconds is not counted."""

    port: int
    paths: list[str]
    rate: float
    seconds: float
    warm_up: float = 2.0

    def text(self) -> str:
        return json.dumps(asdict(self))


@dataclass
class Telling:
    """What to send: figures of the province's `villages` in turn, `rate` a second, until killed."""

    kafka: str
    prefix: str
    partitions: int
    villages: int
    rate: float

    def text(self) -> str:
        return json.dumps(asdict(self))


class Connection(asyncio.Protocol):
    """One kept connection; one question at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self.end = -1
        self.answer: asyncio.Future[tuple[int, int]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.end < 0:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            lines = bytes(self.buffer[:head]).lower()
            at = lines.find(b"content-length:")
            if at < 0:
                raise RuntimeError(f"an answer without a length: {lines!r}")
            self.end = head + 4 + int(lines[at + 15 :].split(b"\r\n", 1)[0])
        if len(self.buffer) >= self.end and self.answer is not None:
            self.answer.set_result((int(self.buffer[9:12]), self.end))
            self.buffer, self.end = bytearray(), -1

    @property
    def closed(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    async def ask(self, request: bytes) -> tuple[int, int]:
        """Status and bytes of the answer."""
        assert self.transport is not None
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await asyncio.wait_for(self.answer, GIVE_UP_SECONDS)


class Readers:
    """As many connections as are needed to ask on time."""

    def __init__(self, plan: Reading) -> None:
        self.plan = plan
        self.free: list[Connection] = []
        self.opened = 0
        self.took: list[float] = []
        self.bytes: list[int] = []
        self.statuses: Counter[int] = Counter()

    async def ask(self, path: str, due: float, *, counts: bool) -> None:
        connection = None
        # The server closes what was idle for a while.
        while self.free and (connection is None or connection.closed):
            connection = self.free.pop()
        if connection is None or connection.closed:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Connection, "127.0.0.1", self.plan.port)
            self.opened += 1
        head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.plan.port}\r\naccept: application/json\r\n\r\n"
        status, size = await connection.ask(head.encode())
        self.free.append(connection)
        if counts:
            self.took.append((time.perf_counter() - due) * 1000)
            self.bytes.append(size)
            self.statuses[status] += 1

    async def go(self) -> dict[str, Any]:
        plan = self.plan
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for n in range(int(plan.rate * (plan.warm_up + plan.seconds))):
                due = began + n / plan.rate
                if (pause := due - time.perf_counter()) > 0:
                    await asyncio.sleep(pause)
                counts = n >= plan.rate * plan.warm_up
                group.create_task(self.ask(plan.paths[n % len(plan.paths)], due, counts=counts))
        return {"ms": self.took, "bytes": self.bytes, "statuses": self.statuses, "connections": self.opened}


async def tell(plan: Telling) -> None:
    settings = Settings(kafka=plan.kafka, topic_prefix=plan.prefix, kafka_partitions=plan.partitions)
    topic = plan.prefix + TOPIC
    await kafka.ensure_topics(settings, [topic])
    producer = AIOKafkaProducer(bootstrap_servers=plan.kafka, linger_ms=0)
    await producer.start()
    print("telling", flush=True)
    places = [
        (unit.code, int(unit.parent) % plan.partitions)
        for unit in provinces.units(plan.villages)
        if unit.level == "village"
    ]
    began, n = time.perf_counter(), 0
    while True:
        if (pause := began + n / plan.rate - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        code, partition = places[n % len(places)]
        message = ObservationRecorded(unit=code, measure=MEASURE)
        message.ratio.CopyFrom(Share(numerator=1 + n // len(places) % 90, denominator=100))
        message.observed_at.FromSeconds(int(time.time()) - 60)
        n += 1
        headers = [
            ("ce_id", str(new_id()).encode()),
            ("ce_source", b"/vnpt/bridge"),
            ("ce_type", KIND),
            ("ce_subject", code.encode()),
            ("ce_time", b"2026-11-22T20:00:00+00:00"),
            ("ce_sequence", str(n).encode()),
        ]
        await producer.send(topic, message.SerializeToString(), partition=partition, headers=headers)


async def main() -> None:
    if sys.argv[1] == "tell":
        await tell(Telling(**json.loads(sys.argv[2])))
    else:
        print(json.dumps(await Readers(Reading(**json.load(sys.stdin))).go()))


if __name__ == "__main__":
    uvloop.run(main())
