"""Owns how a measurement runs the whole platform: `xaso up --json` in a process, its databases, its memory."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from benchmarks.rig import Child, child
from launcher.datadir import DataDir

MIB = 2**20
NAMES = {"kafka.Kafka": "Apache Kafka (JVM)", "postgres": "PostgreSQL", "iotcore": "MQTT broker", "reaper": "reaper"}
"""What a command line bears → the program."""


@dataclass
class Up:
    """A platform that answers: what it announced, how long it took, and its process."""

    said: dict[str, Any]
    seconds: float
    process: Child
    data: Path

    def database(self, name: str) -> str:
        """SQLAlchemy address of a service's database."""
        password = DataDir(self.data).secrets().databases[name]
        port = (self.data / "postgres/cluster/postmaster.pid").read_text().splitlines()[3]
        return f"postgresql+asyncpg://{name}:{quote(password, safe='')}@127.0.0.1:{port}/{name}"


@contextlib.contextmanager
def up(data: Path, logs: Path) -> Iterator[Up]:
    """`xaso up --json` on `data` with a free port, from the start of its process to its line of JSON."""
    began = time.monotonic()
    arguments = ("launcher.cli", "up", "--json", "--data", str(data), "--port", "0")
    with child(logs, *arguments) as running:
        said = json.loads("{" + running.line("{", 120))
        yield Up(said, time.monotonic() - began, running, data)


def _program(line: str) -> str:
    return next((words for mark, words in NAMES.items() if mark in line), "other")


def processor_seconds(pid: int) -> float:
    """Seconds of processor time that a process and everything below it have taken, with what ended meanwhile."""
    taken = 0.0
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            # Children are counted where they are collected, that is once they have ended.
            taken += times.user + times.system + times.children_user + times.children_system
    return taken


def memory(pid: int) -> dict[str, dict[str, float]]:
    """MiB of a process and everything below it, by program: `pss` shares what several use, `rss` counts it in each.

    Where a process does not let its PSS be read (that takes the same user or root), its RSS is taken.
    """
    found: dict[str, dict[str, float]] = {}
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        try:
            line = " ".join(process.cmdline()) or process.name()
            used = process.memory_full_info()
        except psutil.Error:
            continue
        words = "Xã Số, five services" if process.pid == pid else _program(line)
        sums = found.setdefault(words, {"processes": 0.0, "rss": 0.0, "pss": 0.0})
        sums["processes"] += 1
        sums["rss"] += used.rss / MIB
        sums["pss"] += getattr(used, "pss", used.rss) / MIB
    whole = {key: sum(sums[key] for sums in found.values()) for key in ("processes", "rss", "pss")}
    return {name: {k: round(v, 1) for k, v in sums.items()} for name, sums in {**found, "whole": whole}.items()}
