"""Owns how the platform speaks to Apache Kafka: producer and consumer settings, topics, the cluster's identity."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from chassis.settings import ServiceSettings

METADATA_MAX_AGE_MS = 5_000
REQUEST_TIMEOUT_MS = 10_000
ADMIN_DEADLINE_SECONDS = 12.0
ADMIN_REQUEST_TIMEOUT_MS = 3_000
START_DEADLINE_SECONDS = 30.0
"""Longer than any one request of a starting client, so that the library itself gives up and closes its first
connection: cancelled in the middle of it, it would leave it open."""


def producer(settings: ServiceSettings) -> AIOKafkaProducer:
    """An idempotent producer that waits for all in-sync replicas."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        client_id=f"xaso-{settings.name}",
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        retry_backoff_ms=100,
    )


def consumer(settings: ServiceSettings, topics: Iterable[str], group: str | None, **more: Any) -> AIOKafkaConsumer:
    """A consumer that starts at the beginning where its group has no offset and never commits by itself.

    Without a group it is told which partitions to read. `more` are further settings of the client.
    """
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=settings.kafka,
        client_id=f"xaso-{settings.name}",
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset=more.pop("auto_offset_reset", "earliest"),
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        session_timeout_ms=10_000,
        heartbeat_interval_ms=1_000,
        # A batch may wait long for a database that is away; the group must not take its partitions meanwhile.
        max_poll_interval_ms=3_600_000,
        retry_backoff_ms=100,
        fetch_max_wait_ms=100,
        **more,
    )


class ClientGaveUp(KafkaError):  # type: ignore[misc]  # aiokafka is untyped.
    """The client's own background work was cancelled under a call of ours: start it anew."""


@contextlib.contextmanager
def stray_cancellation() -> Iterator[None]:
    """Tell our own cancellation from the library's.

    When its background tasks end while a call of ours waits for them, aiokafka lets their CancelledError through. Taken
    for a request to stop, it would end the relay or the consumer in silence.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ClientGaveUp from error


@asynccontextmanager
async def _admin(settings: ServiceSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for one question. It has a hard deadline: a broker that is just starting may take a question and forget
    it, and the library waits without end.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, request_timeout_ms=ADMIN_REQUEST_TIMEOUT_MS)
    async with asyncio.timeout(ADMIN_DEADLINE_SECONDS):
        try:
            await admin.start()
            yield admin
        finally:
            await _close(admin._client, admin.close)


async def ensure_topics(settings: ServiceSettings, topics: Iterable[str]) -> None:
    """Create the topics that do not exist yet; raises the broker's error where one cannot be created."""
    async with _admin(settings) as admin:
        missing = sorted(set(topics) - set(await admin.list_topics()))
        if not missing:
            return
        answer = await admin.create_topics(
            [NewTopic(t, settings.kafka_partitions, settings.kafka_replication) for t in missing]
        )
        for name, code, *_ in answer.topic_errors:
            if code not in (NoError.errno, TopicAlreadyExistsError.errno):
                raise for_code(code)(name)


async def cluster_id(settings: ServiceSettings) -> str:
    """The identity of the cluster behind the address: another one means that the log was lost or replaced."""
    async with _admin(settings) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


async def _close(client: AIOKafkaClient, stop: Callable[[], Awaitable[None]], seconds: float = 5.0) -> None:
    """Run `stop`, which may hang on a broker that is gone, for at most `seconds`; its connections are closed anyway."""
    connections = list(client._conns.values())
    try:
        async with asyncio.timeout(seconds):
            with stray_cancellation():
                await stop()
    except (TimeoutError, KafkaError, OSError):
        pass
    finally:
        for connection in {*connections, *client._conns.values()}:
            connection.close()


async def abandon(producer: AIOKafkaProducer) -> None:
    """End a producer that is in doubt without letting it send what it still holds.

    `stop` would go on trying: a late delivery, after a fresh producer has begun, would mix up the order of a key. The
    library has no public way to drop its backlog, so its sending task is ended first.
    """
    sender = producer._sender
    producer._closed = True

    async def end() -> None:
        if sender is not None:
            with contextlib.suppress(ClientGaveUp), stray_cancellation():
                await sender.close()
        await producer.client.close()

    await _close(producer.client, end)


async def close_quietly(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """Stop a client that may hang on a broker that is gone."""
    await _close(client.client if isinstance(client, AIOKafkaProducer) else client._client, client.stop)
