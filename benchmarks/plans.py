"""Whether the questions that are asked often are answered by indexes where a table holds a million rows.

Requests go to the services' own pages and JSON API; every statement they send is then explained (ANALYZE, BUFFERS) as
it was sent. A finding is a sequential scan of a table with more than 50 000 rows (in a quick run, of 5 000). Pages of
the indicators are asked of a small unit and of a large one: a page that sends more statements for the large one asks
once for each thing below it. Statuses of a whole province are a third of their table and may be read from end to end.
Foreign keys that no index leads with are listed for all services.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any

import asyncpg

from benchmarks import provinces, volumes
from benchmarks.figures import Figure, Result
from benchmarks.rig import Rig, engines
from chassis import inbox, migrations, relay
from chassis.db import Sessions
from chassis.relay import dsn
from chassis.service import Runner
from chassis.units import today
from launcher.datadir import SERVICES
from services.indicators.rebuilding import rebuild
from tests.support.running import bearer, client_of, settings_for
from tests.support.statements import Statement, sent_by

ROWS = 1_000_000
COMMUNE = "C042"
PATH = f"30/D02/{COMMUNE}"
OFFICER = ("officer", PATH)

_FOREIGN_KEYS_WITHOUT_INDEX = """
    SELECT c.conrelid::regclass::text || '(' || string_agg(a.attname, ', ' ORDER BY k.n) || ')' AS key
    FROM pg_constraint c CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k (attnum, n)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
    WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND NOT EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND (i.indkey::int2[])[0] = c.conkey[1]
    )
    GROUP BY c.oid, c.conrelid
"""


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
        async with sent_by(engine) as sent:
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
    if name == "indicators":
        await provinces.enter(connection, 400 if rows < ROWS else 2000)
    else:
        await connection.execute(volumes.UNITS)
        await connection.execute("ANALYZE unit")
    counts = await volumes.fill(connection, tables, rows)
    if name == "indicators":
        await rebuild(settings)
        for table in ("unit", "item", "sheet", "change"):
            await connection.execute(f"VACUUM ANALYZE {table}")
            counts[table] = await connection.fetchval(f"SELECT count(*) FROM {table}")
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
    async with sent_by(runner.runtime.engine.sync_engine) as sent, runner.runtime.sessions.read() as tx:
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
VILLAGE, XA, DISTRICT, TINH = provinces.village(42, 0), provinces.commune(42), "292", provinces.PROVINCE
_API, _PAGE = "/indicators/api/v1/units", "/indicators/units"
HAMLETS, COMMUNES, WHOLE = "hd-288-2023", "hd-1414-ntm-8", "hd-2025"
"""Sets of villages, of communes, and of the province."""
_AGO = (today() - timedelta(days=1)).isoformat()
_MONTH_AGO = f"{today().replace(day=1) - timedelta(days=1):%Y%m}"
_EXPORT = f"/indicators/api/v1/dataValueSets?dataSet={HAMLETS}&children=true"
SHEET_QUESTIONS = (
    ("sheet of a village", f"{_API}/{VILLAGE}/sets/{HAMLETS}", False),
    ("sheet of the province", f"{_API}/{TINH}/sets/{HAMLETS}", False),
    ("sheet of a village on a day before", f"{_API}/{VILLAGE}/sets/{HAMLETS}?as_of={_AGO}", False),
    ("units of a commune", f"{_API}?parent={XA}", False),
    ("overview of a district, all sets", f"{_API}/{DISTRICT}/overview", False),
    ("overview of the province, all communes and sets", f"{_API}/{TINH}/overview?level=commune", False),
    ("history of a row", f"{_API}/{VILLAGE}/sets/{HAMLETS}/items/288.5/history", False),
    ("DHIS2, this year, villages of a commune", f"{_EXPORT}&period={today().year}&orgUnit={XA}", True),
    ("DHIS2, a past month, villages of a commune", f"{_EXPORT}&period={_MONTH_AGO}&orgUnit={XA}", True),
    ("DHIS2, a past month, villages of a district", f"{_EXPORT}&period={_MONTH_AGO}&orgUnit={DISTRICT}", True),
)
# (question, path with the unit left open, a small unit, a large one): as many statements for either.
SHEET_PAIRS = (
    ("page: sheet of a commune", f"{_PAGE}/{{unit}}?set={COMMUNES}", XA, XA),
    ("page: overview with map and matrix", f"/indicators/?unit={{unit}}&set={COMMUNES}", DISTRICT, TINH),
    ("page: matrix of villages", f"/indicators/?unit={{unit}}&set={HAMLETS}&level=village", XA, TINH),
    ("page: explanation of a roll-up", f"{_PAGE}/{{unit}}/items/288.5?set={HAMLETS}", DISTRICT, TINH),
    ("page: explanation as of a day before", f"{_PAGE}/{{unit}}/items/288.5?set={HAMLETS}&as_of={_AGO}", XA, TINH),
    ("page: history of a row", f"{_PAGE}/{{unit}}/items/288.5/history?set={HAMLETS}", XA, TINH),
    ("page: quality, missing", f"{_PAGE}/{{unit}}/quality?set={HAMLETS}&show=missing", XA, TINH),
    ("page: quality, old", f"{_PAGE}/{{unit}}/quality?set={HAMLETS}&show=old", XA, TINH),
    ("page: quality, differing", f"{_PAGE}/{{unit}}/quality?set={HAMLETS}&show=differing", XA, TINH),
    ("page: quality, suspended", f"{_PAGE}/{{unit}}/quality?set={HAMLETS}&show=suspended", XA, TINH),
    ("page: sheet of a unit's own set", f"{_PAGE}/{{unit}}?set={HAMLETS}", VILLAGE, VILLAGE),
    ("page: explanation of facts", f"{_PAGE}/{{unit}}/items/288.9?set={HAMLETS}", VILLAGE, VILLAGE),
    ("page: explanation over units below", f"{_PAGE}/{{unit}}/items/1?set={WHOLE}", TINH, TINH),
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


def _sheet_questions() -> list[tuple[str, str, bool]]:
    pairs = [
        (f"{question}, {size}", path.format(unit=unit), False)
        for question, path, small, large in SHEET_PAIRS
        for size, unit in {"small": small, "large": large}.items()
        if size == "large" or small != large
    ]
    # The large ones last: of them fewer tables count as big.
    return [*SHEET_QUESTIONS, *sorted(pairs, key=lambda pair: pair[0].endswith(", large"))]


def _statements(result: Result, plans: list[dict[str, Any]]) -> None:
    """How many statements pages of the indicators send, and which send more where more lies below."""
    sent = {plan["question"].split(" (GET")[0]: plan["statements"] for plan in plans}
    most = max(sent, key=lambda question: sent[question])
    grown = {
        question: (sent[f"{question}, small"], sent[f"{question}, large"])
        for question, _, small, large in SHEET_PAIRS
        if small != large and sent[f"{question}, large"] > sent[f"{question}, small"]
    }
    result.details["statements_indicators"] = sent
    result.add(Figure("indicators: most statements of one page", "statements", [float(sent[most])], note=most))
    note = str(grown) if grown else ""
    name = "indicators: pages that send more statements where more units lie below"
    result.add(Figure(name, "pages", [float(len(grown))], aim="< 1", note=note))


async def _measure(result: Result, quick: bool) -> None:
    rows = 20_000 if quick else ROWS
    officer = bearer(OFFICER, subject="resident-42", scope="xaso")
    producer = bearer(("producer", PATH), subject="account-42", scope="xaso")
    found: dict[str, list[dict[str, Any]]] = {}
    with engines(kafka=False, server=True) as rig:
        result.details["foreign_keys_without_index"] = await _foreign_keys(rig)
        for name, tables, questions, token in (
            ("petitions", {**volumes.CHASSIS, **volumes.PETITIONS}, PETITION_QUESTIONS, officer),
            ("ecommerce", volumes.ECOMMERCE, CATALOGUE_QUESTIONS, producer),
            ("indicators", volumes.INDICATORS, _sheet_questions(), {}),
        ):
            async with _service(rig, name, tables, rows, result.say) as (runner, explainer, counts):
                if name == "petitions":
                    await _chassis(runner, explainer)
                for question, path, signed in questions:
                    if question.endswith(", large"):
                        # A third of all rows is no needle: of these tables the province's page wants that much.
                        explainer.big = {k: n for k, n in explainer.big.items() if k not in ("item", "sheet")}
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
    _statements(result, found["indicators"])
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
