"""A topic is read again from its first record, exactly as far as asked, and it is known what is no longer there."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis import kafka as clients
from chassis import replaying
from chassis.replaying import LogBroken, Place
from chassis.settings import ServiceSettings
from chassis.stream import Record
from launcher.kafka import EmbeddedKafka


async def rest() -> None:
    """Nothing to do between fetches."""


@pytest.fixture
async def settings(kafka: EmbeddedKafka, topic_prefix: str) -> ServiceSettings:
    return ServiceSettings(
        name="replaying", database_url="postgresql+asyncpg://nobody@127.0.0.1/none", kafka=kafka.bootstrap,
        topic_prefix=topic_prefix, kafka_partitions=1,
    )  # fmt: skip


async def filled(settings: ServiceSettings, name: str, count: int) -> Place:
    """A topic of one partition that holds the numbers from 0."""
    topic = settings.topic_prefix + name
    await clients.ensure_topics(settings, [topic])
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    for n in range(count):
        await producer.send_and_wait(topic, str(n).encode())
    await producer.stop()
    return Place(topic, 0)


async def test_it_goes_as_far_as_asked_and_on_from_there(settings: ServiceSettings) -> None:
    place = await filled(settings, "ten", 10)
    taken: list[bytes | None] = []

    def take(record: Record) -> None:
        taken.append(record.value)

    async with replaying.opened(settings) as log:
        await log.read({place: 4}, take, rest)
        assert taken == [b"0", b"1", b"2", b"3"]
        await log.read({place: 4}, take, rest)
        other = await filled(settings, "two", 2)
        await log.read({place: 10, other: 2}, take, rest)
        assert sorted(taken[4:]) == sorted([b"4", b"5", b"6", b"7", b"8", b"9", b"0", b"1"])
        assert [log.held[one].whole for one in (place, other)] == [True, True]
        with pytest.raises(LogBroken, match="ten/0"):
            await log.read({place: 11}, take, rest, 0.5)


async def test_what_was_removed_is_known_to_be_gone(settings: ServiceSettings) -> None:
    place = await filled(settings, "cut", 10)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.delete_records({TopicPartition(*place): RecordsToDelete(6)})
    await admin.close()
    taken: list[bytes | None] = []
    async with replaying.opened(settings) as log:
        await log.read({place: 5}, lambda record: taken.append(record.value), rest)
        assert taken == []
        await log.read({place: 10}, lambda record: taken.append(record.value), rest)
        assert taken == [b"6", b"7", b"8", b"9"]
        assert not log.held[place].whole
        assert (log.held[place].begin, log.held[place].records) == (6, 4)
