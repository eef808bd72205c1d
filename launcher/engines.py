"""Owns the three engines of a platform together: started side by side, stopped after the services."""

import asyncio
from collections.abc import Callable

from launcher.datadir import DataDir, Secrets
from launcher.kafka import EmbeddedKafka
from launcher.mqtt import EmbeddedMqtt
from launcher.postgres import EmbeddedPostgres


class Engines:
    """PostgreSQL, Kafka (unless `external_kafka` names one elsewhere) and MQTT below one data directory."""

    def __init__(self, data: DataDir, secrets: Secrets, external_kafka: str = "") -> None:
        device = secrets.logins["device"]
        self.postgres = EmbeddedPostgres(data.path / "postgres")
        self.kafka = None if external_kafka else EmbeddedKafka(data.path / "kafka")
        self.mqtt = EmbeddedMqtt(
            data.ports("mqtt")["mqtt"],
            logins={"hub": secrets.hub, device["user"]: device["password"]},
            data_dir=data.path / "mqtt",
        )
        self._external_kafka = external_kafka
        self._starting: list[asyncio.Task[None]] = []

    @property
    def bootstrap(self) -> str:
        """Kafka's `host:port`."""
        return self.kafka.bootstrap if self.kafka else self._external_kafka

    def start(self, report: Callable[[str], None]) -> None:
        """Begin to start all side by side, in threads; `ready` waits for them. Must be followed by `stop`."""
        jobs: dict[str, Callable[[], object]] = {"PostgreSQL": self.postgres.start, "MQTT": self.mqtt.start}
        if self.kafka is not None:
            jobs["Apache Kafka"] = self.kafka.start

        async def run(name: str, start: Callable[[], object]) -> None:
            await asyncio.to_thread(start)
            report(name)

        self._starting = [asyncio.create_task(run(name, start)) for name, start in jobs.items()]

    async def ready(self) -> None:
        """Wait until all run; raises what the first failing one raised."""
        # Not gather: being cancelled here must not cancel them, for their threads would go on unwatched.
        done, _ = await asyncio.wait(self._starting, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Stop all, those still starting as soon as they have; none survives."""
        # A thread cannot be interrupted: an engine that is starting is waited for and then stopped.
        await asyncio.gather(*self._starting, return_exceptions=True)
        stops = [asyncio.to_thread(self.postgres.stop), asyncio.to_thread(self.mqtt.stop)]
        if self.kafka is not None:
            stops.append(asyncio.to_thread(self.kafka.stop))
        await asyncio.gather(*stops)
