"""Owns what a measurement runs on: engines of its own, child processes, polling, and the machine's state."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import psutil

from launcher import postgres
from launcher.kafka import EmbeddedKafka
from launcher.postgres import EmbeddedPostgres

T = TypeVar("T")
PROJECT = Path(__file__).resolve().parent.parent
SERVER = {"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}
"""What a province's server would give PostgreSQL, for large tables; else it is as `xaso up` starts it."""
MEASURED = ("aiokafka", "asyncpg", "fastapi", "sqlalchemy", "starlette", "uvicorn", "uvloop")


@dataclass
class Rig:
    """A PostgreSQL (with fsync, as in production) and an Apache Kafka of this run, in a scratch directory."""

    directory: Path
    postgres: EmbeddedPostgres
    kafka: EmbeddedKafka | None

    def database(self, name: str) -> str:
        """Make an empty database with its own role; its SQLAlchemy address."""
        return self.postgres.create_database(name, secrets.token_urlsafe(12))

    @property
    def bootstrap(self) -> str:
        assert self.kafka is not None
        return self.kafka.bootstrap


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="xaso-bench-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@contextlib.contextmanager
def engines(*, kafka: bool = True, server: bool = False) -> Iterator[Rig]:
    """The same engines with the same settings as `xaso up` (`server`: see SERVER), thrown away at the end."""
    usual = dict(postgres.SETTINGS)
    if server:
        postgres.SETTINGS.update(SERVER)
    with scratch() as directory:
        rig = Rig(
            directory,
            EmbeddedPostgres(directory / "postgres"),
            EmbeddedKafka(directory / "kafka") if kafka else None,
        )
        try:
            rig.postgres.start()
            if rig.kafka is not None:
                rig.kafka.start()
            yield rig
        finally:
            rig.postgres.kill()
            if rig.kafka is not None:
                rig.kafka.kill()
            # Other measurements of the same run have what is usual.
            postgres.SETTINGS.clear()
            postgres.SETTINGS.update(usual)


class Child:
    """A process of the measurement, in its own interpreter, so that no two sides share a core by a lock."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log

    def line(self, starting: str, seconds: float = 60.0) -> str:
        """The rest of the first line on its standard output that begins with `starting`."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            text = self.process.stdout.readline()
            if text.startswith(starting):
                return text.removeprefix(starting).strip()
            if not text and self.process.poll() is not None:
                break
        raise RuntimeError(f"the child said no {starting!r}:\n{self.log.read_text(errors='replace')[-3000:]}")

    def answer(self, seconds: float) -> dict[str, Any]:
        """The line of JSON it says in the end; killed where it does not within the time."""
        late = threading.Timer(seconds, self.process.kill)
        late.start()
        try:
            found: dict[str, Any] = json.loads("{" + self.line("{", seconds + 5))
        finally:
            late.cancel()
        return found

    def cpu_seconds(self) -> float:
        """Processor time it has used so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def wait(self, seconds: float) -> None:
        """Wait until it ends by itself; raises with its log where it failed."""
        if self.process.wait(seconds) != 0:
            raise RuntimeError(f"the child failed:\n{self.log.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def child(
    directory: Path, *command: str, env: Mapping[str, str] | None = None, python: Path | None = None
) -> Iterator[Child]:
    """`python -m <command>`, by our own interpreter or another; ended, if it still runs, when the block is left."""
    log = directory / f"{command[0]}-{secrets.token_hex(4)}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(python or sys.executable), "-m", *command],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=PROJECT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        )
        running = Child(process, log)
        try:
            yield running
        finally:
            running.stop()


@contextlib.contextmanager
def held_back(running: Child, share: float) -> Iterator[None]:
    """Let a process run that share of the time only, as on a slower core: it is stopped 20 times a second."""
    over = threading.Event()

    def take_turns() -> None:
        while not over.is_set():
            running.process.send_signal(signal.SIGSTOP)
            over.wait((1 - share) / 20)
            running.process.send_signal(signal.SIGCONT)
            over.wait(share / 20)

    turns = threading.Thread(target=take_turns)
    turns.start()
    try:
        yield
    finally:
        over.set()
        turns.join()


def until(ask: Callable[[], T], seconds: float, what: str) -> T:
    """Poll until `ask` answers something true; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.05)
    return answer


def environment() -> dict[str, Any]:
    """The machine and what it was doing, as far as a reader needs it to judge a figure."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "system": platform.system(),
        "postgresql": "18",
        "kafka": "4.3",
        "libraries": {name: version(name) for name in MEASURED},
        "load_before": [round(x, 2) for x in os.getloadavg()],
    }
