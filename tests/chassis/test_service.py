"""A process of a service: what it says of itself, what it does without its database, how it stops."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.pool import QueuePool
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from chassis import service as chassis_service
from launcher.kafka import EmbeddedKafka
from launcher.postgres import EmbeddedPostgres
from tests.support.ledger.app import LedgerSettings, writer
from tests.support.running import JWKS, running, serving, settings_for
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
ENTRY = {"id": "e", "subject": "s", "n": 1}


def start_writer(environment: dict[str, str], log_file: Path) -> subprocess.Popen[bytes]:
    with log_file.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.ledger", "writer"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )


async def test_without_its_database_a_service_says_503_and_comes_back(postgres_of_own: EmbeddedPostgres) -> None:
    url = postgres_of_own.start().create_database("away", "secret")
    async with running(writer, settings_for(LedgerSettings, url)) as ledger:
        assert (await ledger.client.post("/ledger/api/v1/entries", json=ENTRY)).status_code == 201
        postgres_of_own.kill()
        for _ in range(3):
            answer = await ledger.client.post("/ledger/api/v1/entries", json=ENTRY | {"id": "lost"})
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert answer.json()["code"] == "unavailable"
        assert (await ledger.client.get("/ledger/healthz")).status_code == 200
        ready = await ledger.client.get("/ledger/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
        await asyncio.to_thread(postgres_of_own.start)

        async def back() -> bool:
            return (await ledger.client.get("/ledger/readyz")).status_code == 200

        await eventually(back)
        again = await ledger.client.post("/ledger/api/v1/entries", json=ENTRY | {"id": "kept"})
        assert again.status_code == 201


async def test_sigterm_lets_a_request_under_way_finish(
    database: Callable[[str], str], kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    """The answer of a slow request still comes, its effect is committed, and the process ends with 0.

    Meanwhile its figures are on the operator's port and not on the web port.
    """
    url = database("stopping")
    with socket.socket() as found, socket.socket() as other:
        found.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, metrics_port = found.getsockname()[1], other.getsockname()[1]
    environment = {
        "LEDGER_DATABASE_URL": url,
        "LEDGER_KAFKA": kafka.bootstrap,
        "LEDGER_TOPIC_PREFIX": "stopping-",
        "LEDGER_PORT": str(port),
        "LEDGER_METRICS_PORT": str(metrics_port),
        "LEDGER_JWKS_JSON": json.dumps(JWKS),
    }
    process = start_writer(environment, tmp_path / "log")
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:

            async def up() -> bool:
                try:
                    return (await client.get("/ledger/readyz")).status_code == 200
                except httpx.HTTPError:
                    return False

            await eventually(up, seconds=60)
            inside = f"http://127.0.0.1:{metrics_port}"
            assert "xaso_http_requests_in_flight" in (await client.get(f"{inside}/metrics")).text
            assert (await client.get(f"{inside}/readyz")).json()["checks"]["database"] == "ok"
            assert (await client.get("/ledger/metrics")).status_code == 404
            blocker = sa.ext.asyncio.create_async_engine(url)
            async with blocker.connect() as connection:
                # The table is locked, so that the request is surely under way when the signal comes.
                await connection.execute(sa.text("LOCK TABLE entry IN ACCESS EXCLUSIVE MODE"))
                request = asyncio.create_task(client.post("/ledger/api/v1/entries", json=ENTRY))

                async def waits() -> bool:
                    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'entry'::regclass"
                    return bool(await connection.scalar(sa.text(query)))

                await eventually(waits)
                process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.2)
                await connection.rollback()
            assert (await request).status_code == 201
            await blocker.dispose()
        assert await asyncio.to_thread(process.wait, 30) == 0, (tmp_path / "log").read_text("utf-8")
    finally:
        process.kill()
    async with running(writer, settings_for(LedgerSettings, url)) as ledger, ledger.tx() as tx:
        assert await tx.scalar(sa.text("SELECT count(*) FROM entry WHERE id = 'e'")) == 1


async def test_a_subject_that_is_down_is_greyed_and_the_others_stay(
    database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`readyz` of the siblings decides; a 503 or no answer greys the subject with a word."""
    monkeypatch.setattr(chassis_service, "SUBJECT_SECONDS", 0.3)

    async def well(_request: object) -> JSONResponse:
        return JSONResponse({}, 200)

    async def ill(_request: object) -> JSONResponse:
        return JSONResponse({}, 503)

    names = ("petitions", "ecommerce", "indicators", "identity")
    siblings = Starlette(routes=[Route(f"/{n}/readyz", ill if n == "ecommerce" else well) for n in names])
    async with serving(siblings) as address:
        settings = settings_for(LedgerSettings, database("subjects"), public_url=address)
        async with running(writer, settings) as ledger:
            await ledger.runner.start(relay=False, consume=False, rpc=False, tasks=False, watch=True)
            state = ledger.runner.app.state
            await eventually(lambda: state.subjects_down == {"ecommerce", "media"})
            page = await ledger.client.get("/ledger/nothing", headers={"accept": "text/html"})
            assert page.text.count("is-down") >= 2
            assert "tạm ngừng" in page.text


async def test_who_serves_people_has_connections_before_they_come(database: Callable[[str], str]) -> None:
    """A crowd of first requests must not wait for connections, certificates and modules as well."""
    settings = settings_for(LedgerSettings, database("ahead"), pool_size=3, public_url="http://127.0.0.1:1")
    async with running(writer, settings) as ledger:
        await ledger.runner.start(relay=False, consume=False, rpc=False, tasks=False, watch=True)
        pool = cast(QueuePool, ledger.runner.runtime.engine.pool)
        await eventually(lambda: pool.checkedin() >= 3 and pool.checkedout() == 0)
        assert ledger.runner.app.state.subjects_down == set(), "an origin that is still starting is called down"
