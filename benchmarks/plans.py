"""Whether the questions that are asked often are answered by indexes where a table holds a million rows.

Requests go to the services' own pages and JSON API; every statement they send is then explained (ANALYZE, BUFFERS) as
it was sent. A finding is a sequential scan of a table with more than 50 000 rows (in a quick run, of 5 000). Foreign
keys that no index leads with are listed for all services.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import asyncpg
import sqlalchemy as sa

from benchmarks import volumes
from benchmarks.figures import Figure, Result
from benchmarks.rig import Rig, engines
from chassis import inbox, migrations, relay
from chassis.db import Sessions
from chassis.relay import dsn
from chassis.service import Runner
from launcher.datadir import SERVICES
from tests.support.running import bearer, client_of, settings_for

ROWS = 1_000_000
COMMUNE = "C042"
PATH = f"30/D02/{COMMUNE}"
OFFICER = ("officer", PATH)

Statement = tuple[str, Any]

_FOREIGN_KEYS_WITHOUT_INDEX = """
    SELECT c.conrelid::regclass::text || '(' || string_agg(a.attname, ', ' ORDER BY k.n) || ')' AS key
    FROM pg_constraint c CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k (attnum, n)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
    WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND NOT EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND (i.indkey::int2[])[0] = c.conkey[1]
    )
    GROUP BY c.oid, c.conrelid
"""


@contextlib.contextmanager
def captured(engine: sa.Engine) -> Iterator[list[Statement]]:
    """The statements that are sent inside the block, with their parameters."""
    sent: list[Statement] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if re.match(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)", statement):
            sent.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


class Explainer:
    """Explains statements of one database and keeps what it found."""

    def __init__(self, sessions: Sessions, big: dict[str, int]) -> None:
        self.sessions = sessions
        self.big = big
        self.found: list[dict[str, Any]] = []

    async def explain(self, question: str, statements: list[Statement], milliseconds: float) -> None:
        """Note how `statements`, which together answer `question`, are carried out; nothing they do is kept."""
        slowest, scans, used = 0.0, set(), set()
        for statement, parameters in statements:
            async with self.sessions.read() as tx:
                connection = await tx.connection()
                text = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
                answer = (await connection.exec_driver_sql(text, parameters)).scalar_one()
            whole = (json.loads(answer) if isinstance(answer, str) else answer)[0]
            slowest = max(slowest, whole["Execution Time"])
            for node in nodes(whole["Plan"]):
                if node["Node Type"].endswith("Seq Scan") and node.get("Relation Name") in self.big:
                    scans.add(node["Relation Name"])
                if name := node.get("Index Name"):
                    used.add(name)
        self.found.append(
            {
                "question": question,
                "request_ms": round(milliseconds, 1),
                "statements": len(statements),
                "slowest_statement_ms": round(slowest, 2),
                "sequential_scans": sorted(scans),
                "indexes": sorted(used),
            }
        )


async def _ask(runner: Runner, explainer: Explainer, question: str, path: str, headers: dict[str, str]) -> None:
    engine = runner.runtime.engine.sync_engine
    async with client_of(runner) as client:
        # The first answer loads templates and compiles statements; the second is what a reader waits for.
        await client.get(path, headers=headers)
        with captured(engine) as sent:
            began = time.perf_counter()
            answer = await client.get(path, headers=headers)
            took = (time.perf_counter() - began) * 1000
    if answer.status_code != 200:
        raise RuntimeError(f"{path} answered {answer.status_code}: {answer.text[:300]}")
    await explainer.explain(f"{question} (GET {path})", sent, took)


@asynccontextmanager
async def _service(
    rig: Rig, name: str, tables: dict[str, str], rows: int, say: Callable[[str], None]
) -> AsyncIterator[tuple[Runner, Explainer, dict[str, int]]]:
    """A service on a filled database, its statements explained by the caller."""
    kind = import_module(f"services.{name}.settings").Settings
    settings = settings_for(kind, rig.database(f"{name}_big"))
    service = import_module(f"services.{name}.app").service(settings)
    await migrations.upgrade(settings, service.package)
    connection = await asyncpg.connect(dsn(settings))
    began = time.monotonic()
    await connection.execute(volumes.UNITS)
    await connection.execute("ANALYZE unit")
    counts = await volumes.fill(connection, tables, rows)
    await connection.close()
    say(f"{name}: {counts} filled in {time.monotonic() - began:.0f} s")
    runner = Runner(service)
    limit = min(50_000, rows // 4)
    try:
        explainer = Explainer(runner.runtime.sessions, {table: n for table, n in counts.items() if n > limit})
        yield runner, explainer, counts
    finally:
        await runner.stop()


async def _chassis(runner: Runner, explainer: Explainer) -> None:
    """The relay's and the consumer's own statements."""
    select = re.sub(r"\s+", " ", relay._SELECT)
    await explainer.explain("relay: the unpublished events", [(select, ([], 500))], 0.0)
    await explainer.explain("relay: depth and age of the outbox", [(relay._AGE, ())], 0.0)
    with captured(runner.runtime.engine.sync_engine) as sent:
        async with runner.runtime.sessions.read() as tx:
            await inbox.claim(tx, [uuid.uuid4() for _ in range(500)])
    await explainer.explain("consumer: claim 500 events in the inbox", sent, 0.0)


PETITION_QUESTIONS = (
    ("public list, newest", "/petitions/api/v1/petitions", False),
    ("public list of a commune", f"/petitions/api/v1/petitions?unit={COMMUNE}", False),
    ("public list of a district", "/petitions/api/v1/petitions?unit=D02", False),
    ("search by words", "/petitions/api/v1/petitions?q=duong+hu+hong+so+4242", False),
    ("search by words in a commune", f"/petitions/api/v1/petitions?unit={COMMUNE}&q=cong+tac", False),
    ("an officer's inbox by deadline", f"/petitions/api/v1/petitions?unit={COMMUNE}&order=due&status=filed", True),
    ("an officer's late cases", f"/petitions/api/v1/petitions?unit={COMMUNE}&late=true&order=due", True),
    ("a resident's own", "/petitions/api/v1/petitions?mine=true", True),
    ("one petition by its code", "/petitions/api/v1/petitions/PA-2026-0004242", False),
)
CATALOGUE_QUESTIONS = (
    ("catalogue, newest", "/ecommerce/api/v1/products", False),
    ("catalogue search", "/ecommerce/api/v1/products?q=vai+thieu", False),
    ("catalogue search, rare word", "/ecommerce/api/v1/products?q=tac+xa+4242", False),
    ("catalogue of a commune", f"/ecommerce/api/v1/products?unit={COMMUNE}", False),
    ("catalogue, live only", "/ecommerce/api/v1/products?live=true", False),
    ("a producer's own", "/ecommerce/api/v1/products?mine=true", True),
)
SHEET_QUESTIONS = (
    ("sheet of a village", f"/indicators/api/v1/units/{COMMUNE}-03/sets/hd-288-2023", False),
    ("sheet of the province", "/indicators/api/v1/units/30/sets/hd-288-2023", False),
    ("units of a commune", f"/indicators/api/v1/units?parent={COMMUNE}", False),
    ("sheet of a village as a page", f"/indicators/units/{COMMUNE}-03", False),
)


async def _foreign_keys(rig: Rig) -> dict[str, list[str]]:
    missing = {}
    for name in SERVICES:
        settings = settings_for(import_module(f"services.{name}.settings").Settings, rig.database(f"{name}_keys"))
        await migrations.upgrade(settings, f"services.{name}")
        connection = await asyncpg.connect(dsn(settings))
        missing[name] = [row["key"] for row in await connection.fetch(_FOREIGN_KEYS_WITHOUT_INDEX)]
        await connection.close()
    return missing


async def _measure(result: Result, quick: bool) -> None:
    rows = 20_000 if quick else ROWS
    officer = bearer(OFFICER, subject="resident-42", scope="xaso")
    producer = bearer(("producer", PATH), subject="account-42", scope="xaso")
    found: dict[str, list[dict[str, Any]]] = {}
    with engines(kafka=False) as rig:
        result.details["foreign_keys_without_index"] = await _foreign_keys(rig)
        for name, tables, questions, token in (
            ("petitions", {**volumes.CHASSIS, **volumes.PETITIONS}, PETITION_QUESTIONS, officer),
            ("ecommerce", volumes.ECOMMERCE, CATALOGUE_QUESTIONS, producer),
            ("indicators", volumes.INDICATORS, SHEET_QUESTIONS, {}),
        ):
            async with _service(rig, name, tables, rows, result.say) as (runner, explainer, counts):
                if name == "petitions":
                    await _chassis(runner, explainer)
                for question, path, signed in questions:
                    await _ask(runner, explainer, question, path, token if signed else {})
                found[name] = explainer.found
                result.details[f"rows_{name}"] = counts
    for name, plans in found.items():
        for plan in plans:
            scans = ", ".join(plan["sequential_scans"])
            note = f"reads all of {scans}" if scans else "by index"
            label = f"{name}: {plan['question'].split(' (GET')[0]}"
            result.add(Figure(label, "ms, slowest statement", [plan["slowest_statement_ms"]], note=note))
    result.details["plans"] = found
    every = [plan for plans in found.values() for plan in plans]
    bad = float(sum(bool(plan["sequential_scans"]) for plan in every))
    name = f"Of {len(every)} questions, those that read a whole big table"
    result.add(Figure(name, "questions", [bad], aim="< 1"))
    missing = result.details["foreign_keys_without_index"]
    total = float(sum(len(keys) for keys in missing.values()))
    result.add(Figure("Foreign keys without an index, all services", "keys", [total], aim="< 1", note=str(missing)))


def measure(*, quick: bool) -> Result:
    result = Result("plans", "Statements at a million rows", quick=quick)
    asyncio.run(_measure(result, quick))
    return result
