"""Many rows in few statements: what is packed arrives as it was, and statements run one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.indicators.calculation.packing import Statement, Unpackable, given, in_turn, packed
from tests.indicators.conftest import Stage

COLUMNS = (("name", "text"), ("number", "bigint"), ("sure", "boolean"), ("at", "instant"))
AT = datetime(2026, 11, 22, 13, 0, 0, 123_456, tzinfo=UTC)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("", None, None, AT)],
        [("Thôn Đoài", 2**62, True, AT), (None, -1, False, AT), ('a,"b"{}\\', 0, None, AT)],
    ],
)
async def test_what_is_packed_arrives_as_it_was(stage: Stage, rows: list[tuple[object, ...]]) -> None:
    values = packed("g", COLUMNS, {name: [row[n] for row in rows] for n, (name, _) in enumerate(COLUMNS)})
    async with stage.running.tx() as tx:
        found = await tx.execute(text(f"WITH {given('g', COLUMNS)} SELECT * FROM g"), values)
        assert [tuple(row) for row in found] == rows


def test_a_text_that_holds_the_separator_is_not_packed() -> None:
    with pytest.raises(Unpackable):
        packed("g", COLUMNS[:1], {"name": ["a\x1fb"]})


async def test_statements_run_one_after_the_other_and_the_next_is_made_beside_the_one_before(stage: Stage) -> None:
    made: list[int] = []

    def statements() -> Iterator[Statement]:
        for n in range(4):
            made.append(n)
            yield text("SELECT CAST(:n AS integer) AS n FROM pg_sleep(0.01)"), {"n": n}

    seen: list[tuple[int, int]] = []
    async with stage.running.tx() as tx:
        async for rows in in_turn(tx, statements()):
            seen.append((rows[0].n, len(made)))
    assert [n for n, _ in seen] == [0, 1, 2, 3]
    assert all(ahead > n + 1 for n, ahead in seen[:-1])


async def test_a_statement_that_fails_ends_the_turn_and_nothing_is_kept(stage: Stage) -> None:
    mark = "packing-fails"
    insert = text("INSERT INTO stale (path, set_code, cause) VALUES (:path, NULL, '')")

    async def write() -> None:
        async with stage.running.tx() as tx:
            async for _ in in_turn(tx, [(insert, {"path": mark}), (text("SELECT 1/0"), {}), (insert, {"path": mark})]):
                pass

    with pytest.raises(DBAPIError):
        await write()
    async with stage.running.tx() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM stale WHERE path = :path"), {"path": mark})).scalar() == 0


async def test_what_cannot_be_made_waits_for_the_statement_under_way(stage: Stage) -> None:
    def statements() -> Iterator[Statement]:
        yield text("SELECT pg_sleep(0.05)"), {}
        raise Unpackable("a control character in a text")

    async with stage.running.tx() as tx:
        turns = in_turn(tx, statements())
        with pytest.raises(Unpackable):
            await anext(turns)
        assert (await tx.execute(text("SELECT 7"))).scalar() == 7
