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
        self._passwords = secrets.databases
        self._starting: dict[str, asyncio.Task[None]] = {}

    @property
    def bootstrap(self) -> str:
        """Kafka's `host:port`."""
        return self.kafka.bootstrap if self.kafka else self._external_kafka

    def start(self, report: Callable[[str], None]) -> None:
        """Begin to start all side by side, in threads; `ready` waits for them. Must be followed by `stop`."""
        jobs: dict[str, Callable[[], object]] = {"PostgreSQL": self.postgres.start, "MQTT": self.mqtt.start}
        if self.kafka is not None:
            # First: it takes longest.
            jobs = {"Apache Kafka": self.kafka.start, **jobs}
        loop = asyncio.get_running_loop()

        async def tell(name: str, started: asyncio.Future[object]) -> None:
            await started
            report(name)

        # Handed to the threads here and not in the tasks, which would wait until whoever called us comes to a rest.
        self._starting = {
            name: asyncio.create_task(tell(name, loop.run_in_executor(None, start))) for name, start in jobs.items()
        }

    async def databases(self) -> dict[str, str]:
        """Wait for PostgreSQL, make the services' databases there; `{name: asyncpg address}`.

        Raises what it or another engine that failed by then raised.
        """
        await asyncio.wait([self._starting["PostgreSQL"]])
        for task in self._starting.values():
            if task.done():
                task.result()
        return await asyncio.to_thread(self.postgres.create_databases, self._passwords)

    async def ready(self) -> None:
        """Wait until all run; raises what the first failing one raised."""
        # Not gather: being cancelled here must not cancel them, for their threads would go on unwatched.
        done, _ = await asyncio.wait(self._starting.values(), return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Stop all, those still starting as soon as they have; none survives."""
        # A thread cannot be interrupted: an engine that is starting is waited for and then stopped.
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        stops = [asyncio.to_thread(self.postgres.stop), asyncio.to_thread(self.mqtt.stop)]
        if self.kafka is not None:
            stops.append(asyncio.to_thread(self.kafka.stop))
        await asyncio.gather(*stops)
