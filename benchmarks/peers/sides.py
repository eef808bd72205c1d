"""Other stream processors on the same events: `python -m benchmarks.peers.sides quix|quix_sink|faust|faust_take`.

Each keeps the newest value of every subject by its sequence in its own kind of state with its changelog topic, until
COUNT events are through or SECONDS have passed since the first; `quix_sink` also writes it to PostgreSQL. A word is
taken once however often it comes, because the sequence decides, so at-least-once delivery has the effect of exactly
once. That is less than the service does: no history, no rules, no roll-up, no publication, and only `quix_sink` has
anything in a database. Told what to do by STREAM_… variables; prints one JSON line. Runs in an environment of its own
(see `environment`), so it imports nothing of ours but the generated messages.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from xaso.observations.v1.events_pb2 import ObservationRecorded

TOPIC = "xaso.observations.v1"
PARTITIONS = 12
TAKEN = 5000
"""Events that faust hands over at once, in the variant that takes many."""
COMMIT_EVERY = 20_000
"""Events after which Quix makes its checkpoint; its sink then writes that many rows in one go."""


def env(name: str, default: str = "") -> str:
    return os.environ.get(f"STREAM_{name}", default)


class Clock:
    """Counts events from the first to the last; the figure is events a second and processor time an event."""

    def __init__(self) -> None:
        self.count = int(env("COUNT"))
        self.seconds = float(env("SECONDS", "60"))
        self.seen = 0
        self.began = self.cpu = 0.0

    def tick(self) -> bool:
        """One more; whether it is enough."""
        if not self.seen:
            self.began, self.cpu = time.monotonic(), time.process_time()
        self.seen += 1
        # Asking for the time at every event would be a cost of ours.
        late = self.seen % 256 == 0 and time.monotonic() - self.began > self.seconds
        return late or self.seen >= self.count

    def figure(self) -> dict[str, float]:
        took = time.monotonic() - self.began
        cpu = (time.process_time() - self.cpu) / self.seen * 1e6
        return {"rate": self.seen / took, "cpu": cpu, "seen": self.seen}


def read(payload: bytes, headers: dict[str, bytes]) -> tuple[str, str, int, int]:
    """Subject with its source, unit, sequence and value of one event."""
    message = ObservationRecorded()
    message.ParseFromString(payload)
    subject = (headers["ce_source"] + headers["ce_subject"]).decode()
    return subject, message.unit, int(headers["ce_sequence"]), message.ratio.numerator or message.count


def _postgres() -> Any:
    """Quix's own sink, as its documentation sets it up."""
    from quixstreams.sinks.community.postgresql import PostgreSQLSink

    place = urlsplit(env("DATABASE_URL").replace("postgresql+asyncpg", "postgresql"))
    return PostgreSQLSink(
        host=place.hostname or "",
        port=place.port or 5432,
        dbname=place.path.lstrip("/"),
        user=place.username or "",
        password=place.password or "",
        table_name="quix_newest",
        primary_key_columns=["subject"],
        upsert_on_primary_key=True,
        include_metadata=False,
    )


def quix(directory: str, *, sink: bool) -> dict[str, float]:
    """Quix Streams: a stateful step on RocksDB with its changelog topic, and on request its own PostgreSQL sink."""
    from quixstreams import Application

    clock = Clock()
    app = Application(
        broker_address=env("KAFKA"),
        consumer_group=f"quix-{uuid.uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        state_dir=directory,
        commit_every=COMMIT_EVERY,
        loglevel="ERROR",
    )
    topic = app.topic(env("PREFIX") + TOPIC, value_deserializer="bytes", key_deserializer="bytes")

    def newest(value: bytes, _key: Any, _timestamp: Any, headers: Any, state: Any) -> dict[str, Any] | None:
        subject, unit, sequence, number = read(value, dict(headers))
        held = state.get(subject)
        if clock.tick():
            # What is under way is committed before `run` returns.
            app.stop()
        if held is not None and held[0] >= sequence:
            return None
        state.set(subject, [sequence, number])
        return {"subject": subject, "unit": unit, "sequence": sequence, "value": number}

    rows = app.dataframe(topic).apply(newest, stateful=True, metadata=True)
    if sink:
        rows.filter(lambda row: row is not None).sink(_postgres())
    app.run()
    return clock.figure()


def faust(directory: str, *, take: bool) -> dict[str, float]:
    """faust-streaming: an agent with a table in memory and its changelog topic; on request many events at once."""
    import mode.loop

    # The loop the service runs on; it has to be chosen before faust is imported.
    mode.loop.use("uvloop")
    import faust as library

    clock = Clock()
    app = library.App(
        f"faust-{uuid.uuid4().hex[:8]}",
        broker=f"kafka://{env('KAFKA')}",
        store="memory://",
        web_enabled=False,
        topic_partitions=PARTITIONS,
        consumer_auto_offset_reset="earliest",
        datadir=directory,
        producer_linger=0.02,
        producer_max_batch_size=1 << 20,
    )
    topic = app.topic(env("PREFIX") + TOPIC, value_serializer="raw", key_serializer="raw")
    # Events that are taken together have no partition of their own for the changelog: the key's is used.
    table = app.Table("newest", partitions=PARTITIONS, key_type=str, value_type=list, use_partitioner=take)

    def keep(event: Any) -> bool:
        subject, _, sequence, number = read(event.value, dict(event.headers))
        held = table.get(subject)
        if held is None or held[0] < sequence:
            table[subject] = [sequence, number]
        return clock.tick()

    async def end() -> None:
        await app.producer.flush()
        # faust makes a log of `sys.stdout`, and its worker knows no end after so many events.
        assert sys.__stdout__ is not None
        sys.__stdout__.write("\n" + json.dumps(clock.figure()) + "\n")
        sys.__stdout__.flush()
        os._exit(0)

    @app.agent(topic)
    async def newest(stream: Any) -> None:
        if take:
            async for events in stream.take_events(TAKEN, within=0.05):
                for event in events:
                    if keep(event):
                        await end()
        else:
            async for event in stream.events():
                if keep(event):
                    await end()

    library.Worker(app, loglevel="ERROR").execute_from_commandline()
    raise RuntimeError("the worker ended before its events did")


SIDES: dict[str, Callable[[str], dict[str, float]]] = {
    "quix": lambda directory: quix(directory, sink=False),
    "quix_sink": lambda directory: quix(directory, sink=True),
    "faust": lambda directory: faust(directory, take=False),
    "faust_take": lambda directory: faust(directory, take=True),
}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="state-", dir=env("DIRECTORY") or None) as place:
        print(json.dumps(SIDES[sys.argv[1]](place)), flush=True)
