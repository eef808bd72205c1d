"""Writes that wait for the end of their transaction: seen by whoever asks, gone with what is taken back."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import asyncpg
import pytest
import sqlalchemy as sa
from google.protobuf.wrappers_pb2 import StringValue
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, outbox
from chassis.db import (
    MOST_WAITING,
    Sessions,
    audit_table,
    chassis_metadata,
    fetch,
    is_bad_value,
    is_transient,
    later,
    make_engine,
    outbox_table,
)
from chassis.settings import ServiceSettings
from tests.support.running import settings_for
from tests.support.waiting import eventually

MARK = "@ AS (INSERT INTO inbox (event_id) VALUES ($1))"


@pytest.fixture(scope="module")
async def sessions(database: Callable[[str], str]) -> AsyncIterator[Sessions]:
    engine = make_engine(settings_for(ServiceSettings, database("later"), name="tests"))
    async with engine.begin() as connection:
        await connection.run_sync(chassis_metadata.create_all)
    yield Sessions(engine)
    await engine.dispose()


async def marked(tx: AsyncSession, mark: uuid.UUID) -> bool:
    return await tx.scalar(sa.text("SELECT true FROM inbox WHERE event_id = :mark"), {"mark": mark}) is True


async def failing(tx: AsyncSession, mark: uuid.UUID) -> None:
    await later(tx, (MARK, (mark,)))
    raise LookupError


async def kept(sessions: Sessions, mark: uuid.UUID) -> bool:
    async with sessions.read() as tx:
        return await marked(tx, mark)


async def test_what_waits_is_written_with_the_commit(sessions: Sessions) -> None:
    mark = uuid.uuid4()
    async with sessions.begin() as tx:
        await later(tx, (MARK, (mark,)))
        assert not tx.in_transaction()
        assert not await kept(sessions, mark)
    assert await kept(sessions, mark)


async def test_what_waits_is_seen_by_the_next_statement(sessions: Sessions) -> None:
    mark = uuid.uuid4()
    async with sessions.begin() as tx:
        await later(tx, (MARK, (mark,)))
        assert await marked(tx, mark)
        assert not await kept(sessions, mark)
    assert await kept(sessions, mark)


@pytest.mark.parametrize("begun", [False, True])
async def test_what_waits_is_gone_with_an_error(sessions: Sessions, begun: bool) -> None:
    mark = uuid.uuid4()

    async def write() -> None:
        async with sessions.begin() as tx:
            if begun:
                await tx.execute(sa.text("SELECT 1"))
            await failing(tx, mark)

    with pytest.raises(LookupError):
        await write()
    assert not await kept(sessions, mark)


async def test_what_waits_is_seen_by_whoever_speaks_to_the_connection(sessions: Sessions) -> None:
    mark = uuid.uuid4()
    async with sessions.begin() as tx:
        await later(tx, (MARK, (mark,)))
        assert len(await fetch(tx, "SELECT 1 FROM inbox WHERE event_id = $1", mark)) == 1
    second = uuid.uuid4()
    async with sessions.begin() as tx:
        await later(tx, (MARK, (second,)))
        connection = await tx.connection()
        found = await connection.execute(sa.text("SELECT 1 FROM inbox WHERE event_id = :mark"), {"mark": second})
        assert len(found.all()) == 1
    assert [await kept(sessions, each) for each in (mark, second)] == [True, True]


async def test_what_waits_is_written_however_one_commits(sessions: Sessions) -> None:
    mark = uuid.uuid4()
    async with sessions.open() as tx, tx.begin():
        await later(tx, (MARK, (mark,)))
    assert await kept(sessions, mark)


async def test_a_statement_that_is_given_up_gives_its_connection_back(sessions: Sessions) -> None:
    async def sleeping() -> None:
        async with sessions.read() as tx:
            await fetch(tx, "SELECT pg_sleep(600)")

    async def asleep() -> bool:
        async with sessions.read() as tx:
            found = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%sleep(600)'"
            return bool(await fetch(tx, found))

    for _ in range(2 * sessions.engine.pool.size()):  # type: ignore[attr-defined]  # its own pool has a size.
        task = asyncio.create_task(sleeping())
        await eventually(asleep)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert sessions.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # its own pool counts.


async def test_what_waits_is_gone_with_a_rollback(sessions: Sessions) -> None:
    mark = uuid.uuid4()
    async with sessions.begin() as tx:
        await later(tx, (MARK, (mark,)))
        await tx.rollback()
    assert not await kept(sessions, mark)


async def test_a_savepoint_takes_back_its_own_and_no_more(sessions: Sessions) -> None:
    before, inside, after = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    async with sessions.begin() as tx:
        await later(tx, (MARK, (before,)))
        with suppress(LookupError):
            async with tx.begin_nested():
                await failing(tx, inside)
        await later(tx, (MARK, (after,)))
    assert [await kept(sessions, mark) for mark in (before, inside, after)] == [True, False, True]


async def test_all_of_it_or_nothing(sessions: Sessions) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    async with sessions.begin() as tx:
        await later(tx, (MARK, (second,)))

    async def write() -> None:
        async with sessions.begin() as tx:
            await later(tx, (MARK, (first,)))
            await later(tx, (MARK, (second,)))

    with pytest.raises(asyncpg.UniqueViolationError):
        await write()
    assert not await kept(sessions, first)


async def test_more_than_one_statement_holds(sessions: Sessions) -> None:
    marks = [uuid.uuid4() for _ in range(2 * MOST_WAITING + 3)]
    async with sessions.begin() as tx:
        for mark in marks:
            await later(tx, (MARK, (mark,)))
    assert all([await kept(sessions, mark) for mark in marks])


async def test_events_of_one_subject_are_counted_in_order(sessions: Sessions) -> None:
    subject = str(uuid.uuid4())
    async with sessions.begin() as tx:
        for word in ("a", "b"):
            await outbox.put(tx, StringValue(value=word), unit="11074", subject=subject, key="11074")
        assert await outbox.add(tx, StringValue(value="c"), unit="11074", subject=subject) == 3
        await outbox.put(tx, StringValue(value="d"), unit="11074", subject=subject, key="11074")
        await audit.record(tx, None, "thing.done", subject, "11074", {"n": 1})
    c = outbox_table.c
    async with sessions.read() as tx:
        rows = (await tx.execute(sa.select(c.sequence, c.payload).where(c.subject == subject).order_by(c.id))).all()
        noted = await tx.scalar(sa.select(audit_table.c.detail).where(audit_table.c.target == subject))
    assert [(row.sequence, StringValue.FromString(row.payload).value) for row in rows] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
        (4, "d"),
    ]
    assert noted == {"n": 1}


async def test_connections_that_died_meanwhile_are_told_from_wrong_values(sessions: Sessions) -> None:
    async with sessions.read() as tx:
        with pytest.raises(asyncpg.DataError) as wrong:
            await fetch(tx, "SELECT $1::int", "not a number")
    assert is_bad_value(wrong.value)
    assert not is_transient(wrong.value)
    async with sessions.read() as tx:
        with pytest.raises(asyncpg.PostgresError) as gone:
            await fetch(tx, "SELECT pg_terminate_backend(pg_backend_pid())")
    assert is_transient(gone.value)
    async with sessions.read() as tx:
        assert [tuple(row) for row in await fetch(tx, "SELECT $1::int", 7)] == [(7,)]
