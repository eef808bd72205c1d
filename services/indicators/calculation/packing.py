"""Owns how many rows travel to PostgreSQL in one statement: each column as one text that the server takes apart.

The driver's own arrays cost half a microsecond an element, which for a batch of facts is more than everything else
together; a joined text costs a tenth of it on both sides. What is the same in every row travels once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

CHUNK = 4000
"""Rows of one statement: many enough that nothing is paid per statement, few enough to pack the next beside it."""
SEPARATOR = "\x1f"
"""ASCII's own unit separator: no id, code or word of ours holds a control character."""
NULL = "\x1e"
SCALARS = {"text": "text", "bigint": "bigint", "integer": "integer", "boolean": "boolean", "instant": "bigint"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

KINDS = {
    "text": "{}",
    "bigint": "CAST({} AS bigint[])",
    "integer": "CAST({} AS integer[])",
    "boolean": "CAST({} AS boolean[])",
    "instant": "CAST({} AS bigint[])",
}


class Unpackable(ValueError):
    """A text holds the very character that keeps texts apart; no reader of ours lets one in."""


def given(name: str, columns: Sequence[tuple[str, str]]) -> str:
    """SQL of a common table expression `name` with the columns (name, kind); kinds are those of KINDS.

    The parameters are named `name_column`, and `name_column_all` for the value of a column that has but one. An
    `instant` is a timestamptz.
    """
    arrays = ", ".join(
        # The first element is dropped: without one, a single empty text would be no element at all.
        KINDS[kind].format(f"(string_to_array(CAST(:{name}_{column} AS text), E'\\x1f', E'\\x1e'))[2:]")
        for column, kind in columns
    )
    names = ", ".join(column for column, _ in columns)
    shown = ", ".join(_shown(name, column, kind) for column, kind in columns)
    return f"{name} AS (SELECT {shown} FROM unnest({arrays}) AS g ({names}))"


def _shown(name: str, column: str, kind: str) -> str:
    # Shorter columns than the longest are filled up with NULL.
    value = f"coalesce({column}, CAST(:{name}_{column}_all AS {SCALARS[kind]}))"
    return (
        f"to_timestamp(0) + {value} * interval '1 microsecond' AS {column}"
        if kind == "instant"
        else f"{value} AS {column}"
    )


def texts(values: Sequence[str | None]) -> str:
    """A column of texts; raises Unpackable."""
    try:
        joined = SEPARATOR.join(values)  # type: ignore[arg-type]  # a None is found by the attempt itself.
    except TypeError:
        joined = SEPARATOR.join([NULL if value is None else value for value in values])
    if joined.count(SEPARATOR) != len(values) - 1 or "\x00" in joined:
        raise Unpackable("a control character in a text")
    return joined


def numbers(values: Sequence[int | None]) -> str:
    """A column of whole numbers."""
    return SEPARATOR.join([NULL if value is None else str(value) for value in values])


def flags(values: Sequence[bool | None]) -> str:
    """A column of booleans."""
    return SEPARATOR.join([NULL if value is None else "t" if value else "f" for value in values])


def instants(values: Sequence[datetime]) -> str:
    """A column of instants, exact to the microsecond."""
    return SEPARATOR.join([str((value - _EPOCH) // _MICROSECOND) for value in values])


PACKERS: dict[str, Any] = {"text": texts, "bigint": numbers, "integer": numbers, "boolean": flags, "instant": instants}


def packed(name: str, columns: Sequence[tuple[str, str]], values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The parameters of `given` for columns of values; none at all make no row. Raises Unpackable."""
    same = [kind != "instant" and _all_same(values[column]) for column, kind in columns]
    if all(same):
        # How many rows there are is told by the longest column.
        same[0] = False
    found: dict[str, Any] = {}
    for (column, kind), once in zip(columns, same, strict=True):
        these = values[column]
        joined = PACKERS[kind](these[:1] if once else these) if these else ""
        found[f"{name}_{column}"] = NULL + SEPARATOR + joined if these and not once else NULL
        found[f"{name}_{column}_all"] = these[0] if once else None
    return found


def _all_same(values: Sequence[Any]) -> bool:
    return len(values) > 1 and values.count(values[0]) == len(values)


Statement = tuple[sa.TextClause, Mapping[str, Any]]


async def in_turn(tx: AsyncSession, statements: Iterable[Statement]) -> AsyncIterator[Sequence[Any]]:
    """The rows of statements executed one after the other; each is made while the server works on the one before."""
    running: asyncio.Task[sa.Result[Any]] | None = None
    try:
        for statement, values in statements:
            done = await running if running is not None else None
            running = asyncio.create_task(tx.execute(statement, values))
            # The server has its work before we go on with ours.
            await asyncio.sleep(0)
            if done is not None:
                yield _rows(done)
        if running is not None:
            yield _rows(await running)
    finally:
        if running is not None and not running.done():
            await asyncio.wait({running})


def _rows(result: sa.Result[Any]) -> Sequence[Any]:
    return result.all() if isinstance(result, sa.CursorResult) and result.returns_rows else ()
