"""Whoever is chosen as a deadlock's victim, or gets no lock, tries again or is told to; nobody is told of a bug."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import metrics
from chassis.db import is_transient, new_id
from services.indicators.app import service
from services.indicators.settings import Settings
from services.indicators.stream.consumers import on
from tests.indicators.conftest import Stage
from tests.indicators.observing import counts, observation, submit
from tests.indicators.test_events import speaker
from tests.support.running import bearer, commune, ladder, running, settings_for, village
from tests.support.waiting import eventually

T = TypeVar("T")
HOLD = text("INSERT INTO epoch AS e VALUES (:group, 1) ON CONFLICT (commune) DO UPDATE SET value = e.value + 1")
WAITING = text("""
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
""")
CLAIM = text("""
    INSERT INTO observation (client, id, digest, unit, content, source, evidence, observed_at)
    VALUES (:client, :id, '', '', '{}', '', '', now())
""")


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    settings = settings_for(Settings, database("contention"))
    async with running(service, settings, parts=["rpc"]) as live:
        here = commune()
        first = village(here)
        await live.enter_units(*ladder(), here, first)
        yield Stage(live, here, [first])


async def somebody_waits(stage: Stage) -> None:
    async def waits() -> bool:
        async with stage.running.tx() as tx:
            return bool((await tx.execute(WAITING)).scalar_one())

    await eventually(waits, pause=0.01)


async def crossed(
    stage: Stage, ask: Callable[[str], Awaitable[T]], want: Callable[[AsyncSession, str], Awaitable[object]]
) -> T:
    """What `ask` answers whose transaction and another one wait for each other, and who is chosen to give way.

    The other holds the group of the commune that the asker needs, and `want` takes what the asker holds. PostgreSQL
    chooses whoever looks first, as a rule who has waited longer; where it chose the other one, the game begins anew.
    """
    for _ in range(10):
        id = str(new_id())
        asked: asyncio.Task[T] | None = None
        try:
            async with stage.running.tx() as tx:
                await tx.execute(HOLD, {"group": stage.commune.code})
                asked = asyncio.ensure_future(ask(id))  # type: ignore[arg-type]  # any awaitable will do.
                await somebody_waits(stage)
                await want(tx, id)
                await tx.rollback()
            return await asked
        except DBAPIError as error:
            if asked is None or not is_transient(error):
                raise
            await asked
    raise AssertionError("PostgreSQL always chose the other one")


async def test_an_entry_that_is_a_deadlocks_victim_is_told_to_come_back(stage: Stage) -> None:
    headers = bearer(("officer", stage.commune.path), subject="11111111-1111-4111-8111-111111111111")

    async def enter(id: str) -> httpx.Response:
        body = {
            "id": id,
            "unit": stage.villages[0].code,
            "measure": "village.fibre_households",
            "value": {"numerator": 81, "denominator": 100},
            "evidence": {"document": "Biên bản 1"},
        }
        answer: httpx.Response = await stage.client.post("/indicators/api/v1/observations", json=body, headers=headers)
        return answer

    async def want(tx: AsyncSession, id: str) -> object:
        client = "person.11111111-1111-4111-8111-111111111111"
        return await tx.execute(CLAIM, {"client": client, "id": id})

    answer = await crossed(stage, enter, want)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["code"] == "unavailable"
    async with stage.running.tx() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM fact WHERE source LIKE 'staff.%'"))).scalar_one() == 0
    assert (await enter(str(new_id()))).status_code == 201


async def test_a_partner_whose_batch_is_a_deadlocks_victim_notices_nothing(stage: Stage) -> None:
    async def report(id: str) -> Any:
        return await submit(stage, [observation(stage.villages[0], id=id)])

    async def want(tx: AsyncSession, id: str) -> object:
        return await tx.execute(CLAIM, {"client": "viettel", "id": id})

    assert counts(await crossed(stage, report, want)) == (1, 0, 0)


async def test_a_replay_that_gets_no_lock_leaves_the_dead_letter_as_it_was(stage: Stage) -> None:
    event = stage.event(speaker(stage.villages[0], "ready", id="loa-x"), "loa-x")
    letter = new_id()
    headers = {
        "ce_type": event.type, "ce_id": str(event.id), "ce_subject": event.subject, "ce_source": "/xaso/media",
        "ce_time": event.time.isoformat(), "ce_sequence": str(event.sequence),
    }  # fmt: skip
    put = text("""
        INSERT INTO dead_letter (id, topic, partition, "offset", type, subject, unit, headers, payload, reason, tries)
        VALUES (:id, 't', 0, 0, :type, 's', '', to_jsonb(CAST(:headers AS json)), :payload, 'x', 1)
    """)
    assert event.type in on.handlers
    async with stage.running.tx() as tx:
        values = {
            "id": letter, "type": event.type, "headers": json.dumps(headers),
            "payload": event.data.SerializeToString(),
        }  # fmt: skip
        await tx.execute(put, values)
    admin = bearer(("admin", "30"))

    async def replay() -> httpx.Response:
        path = f"/indicators/dead-letters/{letter}/replay"
        answer: httpx.Response = await stage.client.post(path, headers=admin)
        return answer

    async with stage.running.tx() as tx:
        await tx.execute(HOLD, {"group": stage.commune.code})
        answer = await replay()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        await tx.rollback()
    assert (await replay()).status_code == 303


async def test_background_work_that_gets_no_lock_waits_and_comes_again(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    runner, tries = stage.running.runner, 0
    failures = metrics.TASK_FAILURES.labels(runner.settings.name, "locking")
    before = failures._value.get()

    async def lock() -> None:
        nonlocal tries
        tries += 1
        async with asyncio.TaskGroup() as group, stage.running.tx() as tx:
            await tx.execute(text("SET LOCAL lock_timeout = '50ms'"))
            await group.create_task(asyncio.sleep(0))
            await tx.execute(HOLD, {"group": "hot"})

    async with stage.running.tx() as tx:
        await tx.execute(HOLD, {"group": "hot"})
        working = asyncio.create_task(runner._supervise("locking", lock))
        await eventually(lambda: tries == 2)
    async with asyncio.timeout(30):
        await working
    assert tries >= 2
    assert failures._value.get() == before
    said = capsys.readouterr().err
    assert "task_waits" in said
    assert "task_failed" not in said
