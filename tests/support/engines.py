"""Owns the engines under the tests: one PostgreSQL, one Apache Kafka and one MQTT broker for a whole run.

Each is started when the first test asks and killed at the end; every test module has databases and a topic prefix.

They are the very engines that `make demo` starts (launcher/postgres.py, kafka.py, mqtt.py).
"""

import hashlib
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launcher.kafka import EmbeddedKafka
from launcher.mqtt import EmbeddedMqtt
from launcher.postgres import EmbeddedPostgres


@contextmanager
def directory_of_postgres() -> Iterator[Path]:
    """A directory outside of pytest's own.

    Where root runs the tests, PostgreSQL runs as another user, and a second pytest that starts meanwhile closes
    pytest's directory to others: the running server could open no file any more.
    """
    with tempfile.TemporaryDirectory(prefix="xaso-postgres-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The shared PostgreSQL; a test that kills one takes `postgres_of_own`."""
    with directory_of_postgres() as directory:
        engine = EmbeddedPostgres(directory, fsync=False)
        try:
            yield engine.start()
        finally:
            engine.kill()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """The shared Kafka (`kafka.bootstrap`); a test that kills or wipes one takes `kafka_of_own`."""
    engine = EmbeddedKafka(tmp_path_factory.mktemp("kafka"))
    try:
        yield engine.start()
    finally:
        engine.kill()


@pytest.fixture(scope="session")
def mqtt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMqtt]:
    """The shared MQTT broker (`mqtt.host`, `mqtt.port`); it asks for no login."""
    engine = EmbeddedMqtt(data_dir=tmp_path_factory.mktemp("mqtt"))
    try:
        yield engine.start()
    finally:
        engine.kill()


@pytest.fixture
def postgres_of_own() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL for one test alone, not started yet, with fsync as in production: it may be killed."""
    with directory_of_postgres() as directory:
        engine = EmbeddedPostgres(directory / "postgres")
        try:
            yield engine
        finally:
            engine.kill()


@pytest.fixture
def kafka_of_own(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A Kafka for one test alone, not started yet: it may be killed and wiped."""
    engine = EmbeddedKafka(tmp_path / "kafka")
    try:
        yield engine
    finally:
        engine.kill()


@pytest.fixture(scope="module")
def module_tag(request: pytest.FixtureRequest) -> str:
    """Eight letters and digits that name the test module among all others."""
    return "m" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:7]


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, module_tag: str) -> Iterator[Callable[[str], str]]:
    """`database("petitions")` makes an empty database of this module with its own role: its asyncpg address.

    Every call makes another one, so that a test may ask for a clean database; all are dropped when the module is done.
    """
    made: list[str] = []

    def make(name: str) -> str:
        plain = re.sub(r"[^a-z0-9_]", "_", name.lower())[:40]
        full = f"{module_tag}_{len(made)}_{plain}"
        made.append(full)
        return postgres.create_database(full, secrets.token_urlsafe(12))

    yield make
    for full in made:
        postgres.drop_database(full)


@pytest.fixture(scope="module")
def topic_prefix(module_tag: str) -> str:
    """Goes before every topic and group name of this module: modules never read each other's events."""
    return f"{module_tag}-"
