"""What a log no longer holds is told, not passed over: by real Kafka's own means, under the indicators' stream."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from sqlalchemy import text
from xaso.petitions.v1.events_pb2 import Petition, PetitionFiled

from chassis import metrics
from chassis.kafka import ensure_topics
from chassis.stream import Stream, Superseded
from launcher.kafka import EmbeddedKafka
from services.indicators.app import service
from services.indicators.settings import Settings
from tests.support.running import Running, bearer, commune, ladder, running, settings_for, village
from tests.support.waiting import eventually

TYPE = PetitionFiled.DESCRIPTOR.full_name
UNIT = village(commune())


def headers(subject: str, sequence: int) -> list[tuple[str, bytes]]:
    told = {
        "ce_id": str(uuid.uuid4()),
        "ce_source": "/xaso/petitions",
        "ce_type": TYPE,
        "ce_subject": subject,
        "ce_time": "2026-11-22T20:00:00+07:00",
        "ce_sequence": str(sequence),
    }
    return [(name, value.encode()) for name, value in told.items()]


def payload(subject: str) -> bytes:
    state = Petition(id=subject, commune=UNIT.parent, village=UNIT.code)
    state.filed_at.FromJsonString("2026-11-22T20:00:00+07:00")
    return bytes(PetitionFiled(petition=state).SerializeToString())


@dataclass
class Place:
    """The stream on topics of its own, started and ended as the test says, and its one partition of petitions."""

    settings: Settings
    kafka: EmbeddedKafka
    producer: AIOKafkaProducer
    sent: int = 0

    @property
    def partition(self) -> TopicPartition:
        return TopicPartition(f"{self.settings.topic_prefix}xaso.petitions.v1", 0)

    async def send(self, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            subject = f"petition-{self.sent}"
            await self.producer.send_and_wait(
                self.partition.topic, payload(subject), partition=0, headers=headers(subject, 1)
            )

    async def spoil(self) -> None:
        """An event that nobody can read."""
        await self.producer.send_and_wait(self.partition.topic, b"\xff", partition=0, headers=headers("petition-x", 1))

    @asynccontextmanager
    async def following(self) -> AsyncIterator[Running]:
        async with running(service, self.settings, parts=("consume",)) as live:
            await live.enter_units(*ladder(), commune(), UNIT)
            yield live

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        client = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        await client.start()
        try:
            yield client
        finally:
            await client.close()

    async def remove(self, before: int) -> None:
        """As retention does: the log begins at `before` from now on."""
        async with self.admin() as client:
            await client.delete_records({self.partition: RecordsToDelete(before_offset=before)})

    async def recreate(self) -> None:
        """The topic with its log is gone, and another of that name is there, in the same cluster."""
        async with self.admin() as client:
            await client.delete_topics([self.partition.topic])

            async def gone() -> bool:
                answer = await client.create_topics([NewTopic(self.partition.topic, 1, 1)])
                return not answer.topic_errors[0][1]

            await eventually(gone, pause=0.1)


@pytest.fixture
async def place(database: Callable[[str], str], kafka: EmbeddedKafka) -> AsyncIterator[Place]:
    tag = f"{uuid.uuid4().hex[:8]}-"
    settings = settings_for(
        Settings, database("gaps"), kafka=kafka.bootstrap, topic_prefix=tag, kafka_partitions=1, consumer_tries=2
    )
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, metadata_max_age_ms=1000)
    await producer.start()
    try:
        place = Place(settings, kafka, producer)
        # Before anybody asks for it by name: the broker itself would make it with more partitions.
        await ensure_topics(settings, [place.partition.topic])
        yield place
    finally:
        await producer.stop()


async def known(live: Running) -> set[str]:
    async with live.tx() as tx:
        return set((await tx.execute(text("SELECT entity FROM fact WHERE attribute = 'petition.answer'"))).scalars())


async def knows(live: Running, numbers: range) -> None:
    """Wait until the petitions of these numbers have taken effect."""
    wanted = {f"petition-{number}" for number in numbers}

    async def so() -> bool:
        return wanted <= await known(live)

    await eventually(so)


async def letters(live: Running) -> list[tuple[int, str]]:
    async with live.tx() as tx:
        rows = await tx.execute(text('SELECT "offset", reason FROM dead_letter ORDER BY id'))
        return [(r.offset, r.reason) for r in rows]


async def next_offset(live: Running, topic: str) -> int:
    async with live.tx() as tx:
        found = await tx.execute(text("SELECT next_offset FROM stream_offset WHERE topic = :t"), {"t": topic})
        return int(found.scalar_one())


def counted(place: Place, kind: str) -> float:
    value = metrics.REGISTRY.get_sample_value(
        "xaso_stream_gap_records_total", {"service": "indicators", "topic": place.partition.topic, "reason": kind}
    )
    return value or 0.0


async def test_records_removed_before_they_were_read_are_told_and_the_stream_goes_on(place: Place) -> None:
    async with place.following() as live:
        await place.send(5)
        await knows(live, range(1, 6))
    await place.send(10)
    await place.remove(12)
    async with place.following() as live:
        await knows(live, range(13, 16))
        assert not {f"petition-{number}" for number in range(6, 13)} & await known(live)
        assert await letters(live) == [(5, "lost: records from offset 5 to 11 were removed before they were read")]
        assert counted(place, "removed") == 7
        assert await next_offset(live, place.partition.topic) == 15
    # Told once: who reads on finds nothing missing.
    async with place.following() as live:
        await place.send(1)
        await knows(live, range(16, 17))
        assert len(await letters(live)) == 1


async def test_a_log_that_lost_all_is_told_without_waiting_for_the_next_record(place: Place) -> None:
    async with place.following() as live:
        await place.send(3)
        await knows(live, range(1, 4))
    await place.send(4)
    await place.remove(7)
    async with place.following() as live:

        async def told() -> bool:
            return [offset for offset, _ in await letters(live)] == [3]

        await eventually(told)
        assert await next_offset(live, place.partition.topic) == 7


async def test_a_log_that_ends_before_our_place_is_told_and_read_anew(place: Place) -> None:
    async with place.following() as live:
        await place.spoil()
        await place.send(8)
        await knows(live, range(1, 9))
    await place.recreate()
    # At the place of the letter of the old log lies another event that cannot be read.
    await place.spoil()
    await place.send(2)
    async with place.following() as live:
        await knows(live, range(9, 11))
        told = "lost: the log was read up to offset 9 and ends before it; it is read anew"

        async def set_aside() -> bool:
            return [offset for offset, _ in await letters(live)] == [0, 9, 0]

        await eventually(set_aside)
        assert (await letters(live))[1] == (9, told)
        assert await next_offset(live, place.partition.topic) == 3
        assert counted(place, "cut") == 9


async def test_a_loss_stands_on_the_page_of_dead_letters_until_somebody_has_seen_to_it(place: Place) -> None:
    await place.send(4)
    await place.remove(2)
    async with place.following() as live:
        await knows(live, range(3, 5))
        page = "/indicators/dead-letters"
        headers = bearer(("admin", "30"))
        shown = await live.client.get(page, headers={**headers, "accept": "text/html"})
        assert "Có sự kiện bị mất" in shown.text
        assert "Kafka đã xoá các sự kiện ở vị trí 0 đến 1 trước khi dịch vụ đọc." in shown.text
        async with live.tx() as tx:
            letter = (await tx.execute(text("SELECT id FROM dead_letter"))).scalar_one()
        answer = await live.client.post(f"{page}/{letter}/replay", headers=headers)
        assert answer.status_code == 303
        shown = await live.client.get(page, headers={**headers, "accept": "text/html"})
        assert "Có sự kiện bị mất" not in shown.text


async def test_a_stream_that_cannot_find_out_where_to_read_says_so_and_begins_anew(place: Place) -> None:
    def failures() -> float:
        labels = {"service": "indicators", "task": "consume"}
        return metrics.REGISTRY.get_sample_value("xaso_task_failures_total", labels) or 0.0

    async with running(service, place.settings) as live, live.tx() as tx:
        await tx.execute(text("ALTER TABLE stream_offset RENAME TO elsewhere"))
    before = failures()
    async with place.following() as live:
        await eventually(lambda: failures() > before)
        async with live.tx() as tx:
            await tx.execute(text("ALTER TABLE elsewhere RENAME TO stream_offset"))
        await place.send(1)
        await knows(live, range(1, 2))


def record(place: Place, offset: int) -> ConsumerRecord[Any, Any]:
    subject = f"petition-{offset}"
    return ConsumerRecord(
        place.partition.topic, 0, offset, 0, 0, None, payload(subject), None, -1, 1, tuple(headers(subject, 1))
    )


async def test_a_write_behind_somebody_elses_offsets_leaves_nothing(place: Place) -> None:
    """Another process has gone on with the partition: what was folded before is out of date as a whole."""
    async with running(service, place.settings) as live:
        stream = live.runner.consumer
        assert isinstance(stream, Stream)
        stream._next[place.partition] = stream._written[place.partition] = 5
        stream._fold({place.partition: [record(place, 5)]})
        async with live.tx() as tx:
            await tx.execute(text("INSERT INTO stream_offset VALUES (:t, 0, '', 6)"), {"t": place.partition.topic})
        with pytest.raises(Superseded):
            await stream._write(stream._load())
        assert await known(live) == set()
        assert await next_offset(live, place.partition.topic) == 6


async def test_records_that_come_again_are_left_out_and_holes_are_counted(place: Place) -> None:
    """What the client promises not to do is looked at all the same; compaction leaves holes."""
    async with running(service, place.settings) as live:
        stream = live.runner.consumer
        assert isinstance(stream, Stream)
        stream._next[place.partition] = stream._written[place.partition] = 5
        stream._fold({place.partition: [record(place, offset) for offset in (3, 4)]})
        assert (stream._next[place.partition], stream.sink.size) == (5, 0)
        stream._fold({place.partition: [record(place, offset) for offset in (4, 6, 7, 9)]})
        assert stream._next[place.partition] == 10
        assert {(gap.expected, gap.found, gap.kind) for gap in stream._gaps} == {(5, 6, "hole"), (8, 9, "hole")}
        async with live.tx() as tx:
            values = {"t": place.partition.topic}
            await tx.execute(text("INSERT INTO stream_offset VALUES (:t, 0, '', 5)"), values)
        await stream._write(stream._load())
        assert await known(live) == {"petition-6", "petition-7", "petition-9"}
        assert (counted(place, "hole"), await letters(live)) == (2, [])
