"""How many petitions a second one web process takes, and how long the slowest of a hundred waits.

Ours is the petitions service as it runs in production (`python -m services.petitions web`): token, units, petition,
outbox row, one transaction, telemetry. The baseline is bare_http.py. Both take turns on one PostgreSQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import date
from typing import Any

import asyncpg

from benchmarks.figures import Figure, Result
from benchmarks.load import Plan
from benchmarks.rig import PROJECT, Child, Rig, child, engines, until
from chassis import migrations
from chassis.relay import dsn
from launcher.processes import free_port
from services.petitions.settings import Settings
from tests.support.running import JWKS, bearer

COMMUNE = "11083"
PATH = f"30/298/{COMMUNE}"
BODY = json.dumps(
    {
        "commune": COMMUNE,
        "category": "@category@",
        "description": "Đường liên thôn hư hỏng, nhiều ổ gà sau mưa lớn, xe máy đi lại khó khăn (@n@).",
        "place": "Cạnh nhà văn hóa thôn",
        "lat": 20.82,
        "lon": 106.4,
    },
    ensure_ascii=False,
)


def answers(port: int, path: str) -> bool:
    """Whether the server there answers 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


async def arrange(settings: Settings) -> str:
    """A migrated database with one commune and those above it; the code of a category."""
    await migrations.upgrade(settings, "services.petitions")
    connection = await asyncpg.connect(dsn(settings))
    levels = ("province", "district", "commune")
    for level, kind, code in zip(levels, ("tinh", "huyen", "xa"), PATH.split("/"), strict=True):
        path = PATH[: PATH.index(code) + len(code)]
        parent = path.split("/")[-2] if "/" in path else ""
        await connection.execute(
            "INSERT INTO unit (code, valid_from, name, level, kind, parent, path) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            code,
            date(2020, 1, 1),
            f"Đơn vị {code}",
            level,
            kind,
            parent,
            path,
        )
    await connection.close()
    return "giao_thong"


@contextlib.contextmanager
def ours(rig: Rig, settings: Settings) -> Iterator[tuple[Child, int]]:
    port = free_port()
    env = {
        "XASO_PETITIONS_DATABASE_URL": settings.database_url,
        "XASO_PETITIONS_PORT": str(port),
        "XASO_PETITIONS_JWKS_JSON": json.dumps(JWKS),
        "XASO_PETITIONS_SECRET": "a secret of the measurement, long enough to be one",
    }
    with child(rig.directory, "services.petitions", "web", env=env) as running:
        until(lambda: answers(port, "/petitions/readyz"), 60, "the start of the service")
        yield running, port


@contextlib.contextmanager
def bare(rig: Rig, settings: Settings) -> Iterator[tuple[Child, int]]:
    port = free_port()
    env = {"DATABASE_URL": dsn(settings), "PORT": str(port)}
    with child(rig.directory, "benchmarks.bare_http", env=env) as running:
        until(lambda: answers(port, "/healthz"), 60, "the start of the baseline")
        yield running, port


def load(plan: Plan) -> dict[str, Any]:
    """Run the generator in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=plan.text(),
        capture_output=True,
        text=True,
        cwd=PROJECT,
        check=True,
        timeout=180,
    )
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


class Bench:
    """Both servers, and the same load on either."""

    def __init__(self, category: str, requests: int, connections: int) -> None:
        self.body = BODY.replace("@category@", category)
        self.requests = requests
        self.connections = connections
        self.token = bearer(("resident", PATH))

    def plan(self, port: int, path: str, **more: Any) -> Plan:
        given = {"requests": self.requests, "connections": self.connections, **more}
        return Plan(port=port, path=path, body=self.body, **given)

    def shoot(self, server: tuple[Child, int], path: str, **more: Any) -> dict[str, Any]:
        running, port = server
        before = running.cpu_seconds()
        seen = load(self.plan(port, path, headers=self.token, **more))
        if set(seen["statuses"]) != {"201"}:
            raise RuntimeError(f"not every request was taken: {seen['statuses']}")
        seen["server_cpu_us"] = (running.cpu_seconds() - before) / (sum(seen["statuses"].values()) + 300) * 1e6
        return seen


def _generator(rig: Rig, bench: Bench) -> float:
    with child(rig.directory, "benchmarks.load", "nothing") as running:
        port = int(running.line("port"))
        rate: float = load(bench.plan(port, "/", headers=bench.token))["rate"]
        return rate


def _rounds(rig: Rig, settings: Settings, bench: Bench, rounds: int, result: Result) -> dict[str, list[Any]]:
    seen: dict[str, list[Any]] = {"bare": [], "ours": [], "ours_keyed": [], "bare_alone": [], "ours_alone": []}
    alone = {"connections": 1, "requests": max(200, bench.requests // 10)}
    for n in range(rounds):
        with bare(rig, settings) as server:
            seen["bare"].append(bench.shoot(server, "/petitions"))
            seen["bare_alone"].append(bench.shoot(server, "/petitions", **alone))
        with ours(rig, settings) as server:
            path = "/petitions/api/v1/petitions"
            seen["ours"].append(bench.shoot(server, path))
            seen["ours_alone"].append(bench.shoot(server, path, **alone))
        # A server of its own, lest the keys of the last round be known.
        with ours(rig, settings) as server:
            bench.token = bearer(("resident", PATH))
            seen["ours_keyed"].append(bench.shoot(server, path, keys=True))
        result.say(f"round {n + 1}: " + ", ".join(f"{k} {v[-1]['rate']:.0f}/s" for k, v in seen.items()))
    return seen


def measure(*, quick: bool) -> Result:
    result = Result("http_write", "HTTP write: file a petition (JSON)", quick=quick)
    rounds = 1 if quick else 3
    with engines(kafka=False) as rig:
        settings = Settings(database_url=rig.database("petitions"))
        bench = Bench(asyncio.run(arrange(settings)), 1000 if quick else 3000, 16)
        generator = _generator(rig, bench)
        seen = _rounds(rig, settings, bench, rounds, result)
    base = "bare FastAPI, one asyncpg insert"

    def figure(name: str, unit: str, what: str, key: str, beside: str, aim: str = "", note: str = "") -> Figure:
        return Figure(
            name, unit, [s[what] for s in seen[key]], base, [s[what] for s in seen[beside]], aim=aim, note=note
        )

    result.add(figure("Petitions filed, 16 connections", "requests/s", "rate", "ours", "bare", ">= 0.5"))
    result.add(figure("… p50", "ms", "p50_ms", "ours", "bare"))
    result.add(figure("… p99", "ms", "p99_ms", "ours", "bare"))
    result.add(figure("… each with an Idempotency-Key", "requests/s", "rate", "ours_keyed", "bare"))
    result.add(figure("Petitions filed, one connection", "requests/s", "rate", "ours_alone", "bare_alone"))
    result.add(figure("… p99", "ms", "p99_ms", "ours_alone", "bare_alone"))
    result.add(figure("Server's processor time", "µs/request", "server_cpu_us", "ours", "bare"))
    result.details = {"generator_alone_per_second": generator, "rounds": rounds, "runs": seen}
    result.say(f"the generator alone: {generator:.0f}/s")
    return result
