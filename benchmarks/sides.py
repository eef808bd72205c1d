"""The processes that `events` measures: `python -m benchmarks.sides <side>`, with settings from LEDGER_… variables.

`consume` and `relay` are the chassis itself around the tests' ledger. `bare-consume` is a plain aiokafka loop that has
the same effect by the same statement in one transaction per batch and commits offsets by hand, without inbox, outbox,
tracing or metrics; `bare-consume-asyncpg` the same with the driver alone. `bare-produce` sends from memory what the
relay reads from the outbox.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import uvloop
from xaso.petitions.v1.events_pb2 import Petition, PetitionFiled

from chassis import kafka, service
from chassis.db import Sessions, make_engine
from chassis.relay import dsn, headers_of
from tests.support.ledger.app import EFFECT, LedgerSettings, reader, writer

TOPIC = "xaso.petitions.v1"
KEYS = 64


def payload(n: int) -> bytes:
    """The event of entry `n`, as the ledger writes it."""
    return PetitionFiled(petition=Petition(id=f"entry-{n}", code=str(n), commune="11074")).SerializeToString()


async def bare_consume(settings: LedgerSettings, *, driver_only: bool) -> None:
    topic = settings.topic_prefix + TOPIC
    consumer = kafka.consumer(settings, [topic], f"{settings.topic_prefix}{settings.name}")
    await consumer.start()
    engine = make_engine(settings)
    sessions = Sessions(engine)
    connection = await asyncpg.connect(dsn(settings))
    while True:
        batches = await consumer.getmany(timeout_ms=250, max_records=settings.consumer_batch)
        if not batches:
            continue
        rows = []
        for records in batches.values():
            for record in records:
                headers = dict(record.headers)
                message = PetitionFiled.FromString(record.value)
                rows.append((message.petition.id, headers["ce_subject"].decode(), int(headers["ce_sequence"])))
        if driver_only:
            async with connection.transaction():
                for row in rows:
                    await connection.execute("INSERT INTO effect (entry, subject, sequence) VALUES ($1, $2, $3)", *row)
        else:
            async with sessions.begin() as tx:
                for entry, subject, sequence in rows:
                    await tx.execute(EFFECT, {"entry": entry, "subject": subject, "sequence": sequence})
        await consumer.commit({partition: records[-1].offset + 1 for partition, records in batches.items()})


async def bare_produce(settings: LedgerSettings) -> None:
    """Send COUNT events from memory in the batches of the relay, waiting for each batch's acknowledgements."""
    count = int(os.environ["COUNT"])
    producer = kafka.producer(settings)
    await producer.start()
    moment = datetime.now(UTC)
    topic = settings.topic_prefix + TOPIC
    print("started", flush=True)
    for first in range(0, count, settings.relay_batch):
        futures = []
        for n in range(first, min(count, first + settings.relay_batch)):
            row = {
                "event_id": uuid.uuid4(),
                "type": PetitionFiled.DESCRIPTOR.full_name,
                "subject": f"subject-{n}",
                "sequence": 1,
                "unit": "11074",
                "occurred_at": moment,
                "traceparent": f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01",
            }
            key = f"key-{n % KEYS}".encode()
            futures.append(await producer.send(topic, payload(n), key=key, headers=headers_of(row, "/xaso/ledger")))
        await asyncio.wait(futures)
        for future in futures:
            future.result()
    print("sent", flush=True)
    await producer.stop()


async def _until_stopped(work: asyncio.Task[None]) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return


async def run(side: str) -> None:
    settings = LedgerSettings()
    if side == "consume":
        await service.run(reader(settings), "consume", timedelta())
    elif side == "relay":
        await service.run(writer(settings), "relay", timedelta())
    elif side == "bare-consume":
        await _until_stopped(asyncio.create_task(bare_consume(settings, driver_only=False)))
    elif side == "bare-consume-asyncpg":
        await _until_stopped(asyncio.create_task(bare_consume(settings, driver_only=True)))
    elif side == "bare-produce":
        await bare_produce(settings)
    else:
        raise SystemExit(f"unknown side {side}")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if os.environ.get("UVLOOP") else None) as runner:
        runner.run(run(sys.argv[1]))
