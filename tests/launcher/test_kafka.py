"""The embedded Kafka: keeps acknowledged events over kill -9, is replaced by an empty one, starts without a network."""

import asyncio
import subprocess
import sys

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from launcher import jars, processes
from launcher.kafka import EmbeddedKafka
from tests.support.waiting import eventually

PATIENCE_SECONDS = 30
PARTITIONS = 4


async def send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, key=b"11086")
    finally:
        await producer.stop()


async def read_all(bootstrap: str, topic: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        got: list[bytes] = []
        await eventually(lambda: len(consumer.assignment()) == PARTITIONS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            ends = await consumer.end_offsets(list(consumer.assignment()))
            while len(got) < sum(ends.values()):
                got.append((await consumer.getone()).value)
        return got
    finally:
        await consumer.stop()


async def partitions_of(bootstrap: str, topic: str) -> set[int]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        return set(consumer.partitions_for_topic(topic) or ())
    finally:
        await consumer.stop()


async def test_a_topic_comes_into_being_with_four_partitions(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    await send(kafka.bootstrap, f"{topic_prefix}new", [b"one"])
    assert await partitions_of(kafka.bootstrap, f"{topic_prefix}new") == {0, 1, 2, 3}


async def test_acknowledged_events_outlive_kill_and_a_wipe_gives_a_new_cluster(kafka_of_own: EmbeddedKafka) -> None:
    kafka_of_own.start()
    address, cluster = kafka_of_own.bootstrap, kafka_of_own.cluster_id
    await send(address, "kept", [b"%d" % number for number in range(50)])
    kafka_of_own.kill()
    kafka_of_own.start()
    assert (kafka_of_own.bootstrap, kafka_of_own.cluster_id) == (address, cluster)
    assert await read_all(address, "kept") == [b"%d" % number for number in range(50)]

    kafka_of_own.wipe()
    assert kafka_of_own.bootstrap == address
    assert kafka_of_own.cluster_id != cluster
    await send(address, "kept", [b"first of the new cluster"])
    assert await read_all(address, "kept") == [b"first of the new cluster"]


async def test_a_broker_left_by_an_earlier_launcher_gives_way(kafka_of_own: EmbeddedKafka) -> None:
    kafka_of_own.start()
    await send(kafka_of_own.bootstrap, "kept", [b"one"])
    left = kafka_of_own.pid
    assert left is not None
    second = EmbeddedKafka(kafka_of_own.data_dir)
    try:
        second.start()
        assert second.pid != left
        assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE
        assert await read_all(second.bootstrap, "kept") == [b"one"]
    finally:
        second.kill()


def test_only_the_loopback_address_is_served(kafka: EmbeddedKafka) -> None:
    assert kafka.pid is not None
    served = {c.laddr.ip for c in psutil.Process(kafka.pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert {address.removeprefix("::ffff:") for address in served} == {processes.LOOPBACK}


def test_a_second_start_opens_no_connection_for_the_archives(kafka: EmbeddedKafka) -> None:
    """Where every socket is refused and jgo cannot be imported, the class path is complete all the same."""
    program = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse; sys.modules['jgo'] = None\n"
        "from launcher import jars\n"
        "print(len(jars.class_path()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(jars.locked()) == 46


def test_an_archive_that_is_not_the_locked_one_is_found(kafka: EmbeddedKafka) -> None:
    first, *_ = jars.locked()
    forged = jars.Jar(first.group, first.artifact, first.version, first.classifier, "0" * 64)
    home = jars.cache_directory()
    assert jars.intact(home / "maven" / first.path, first)
    assert not jars.intact(home / "maven" / forged.path, forged)


def test_without_a_network_and_without_archives_the_trouble_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(jars.JarsMissing, match="46 archives"):
        jars.class_path(tmp_path_factory.mktemp("empty"), offline=True)


def test_the_lock_names_no_address() -> None:
    text = jars.LOCK.read_text(encoding="utf-8")
    assert "://" not in text
    assert all(len(jar.sha256) == 64 for jar in jars.locked())
