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
        # What is the same in every row, or in all but one.
        [("", 7, False, AT), ("", 7, False, AT)],
        [(None, None, None, AT), (None, None, None, AT), (None, None, None, AT)],
        [("a", None, True, AT), (None, 7, True, AT), ("a", None, True, AT)],
        [(None, 1, None, AT), ("b", 1, None, AT)],
    ],
)
async def test_what_is_packed_arrives_as_it_was(stage: Stage, rows: list[tuple[object, ...]]) -> None:
    values = packed("g", COLUMNS, {name: [row[n] for row in rows] for n, (name, _) in enumerate(COLUMNS)})
    async with stage.running.tx() as tx:
        found = await tx.execute(text(f"WITH {given('g', COLUMNS)} SELECT * FROM g"), values)
        assert [tuple(row) for row in found] == rows


@pytest.mark.parametrize("columns", [COLUMNS[:1], COLUMNS[:2], COLUMNS[:3]])
async def test_rows_that_are_all_alike_are_as_many_as_were_packed(
    stage: Stage, columns: tuple[tuple[str, str], ...]
) -> None:
    row = ("Thôn Đoài", 5, True)[: len(columns)]
    values = packed("g", columns, {name: [row[n]] * 3 for n, (name, _) in enumerate(columns)})
    async with stage.running.tx() as tx:
        found = await tx.execute(text(f"WITH {given('g', columns)} SELECT * FROM g"), values)
        assert [tuple(one) for one in found] == [row] * 3


def test_what_is_the_same_in_every_row_travels_once() -> None:
    values = packed("g", COLUMNS, {"name": ["x", "y"], "number": [7, 7], "sure": [True, False], "at": [AT, AT]})
    assert values["g_number_all"] == 7
    assert "7" not in values["g_number"]
    assert (values["g_name_all"], values["g_sure_all"], values["g_at_all"]) == (None, None, None)


@pytest.mark.parametrize("texts", [["a\x1fb"], ["a\x1fb", "a\x1fb"], ["a\x1fb", "c"], ["a\x00", "a\x00"]])
def test_a_text_that_holds_the_separator_is_not_packed(texts: list[str]) -> None:
    with pytest.raises(Unpackable):
        packed("g", COLUMNS, {"name": texts, "number": list(range(len(texts))), "sure": [], "at": []})


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
