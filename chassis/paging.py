"""Owns keyset pagination: a page says where the next one starts, never how many rows to skip."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Query

from chassis.errors import Malformed

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="Most items of one page, 1 to 200.")]
After = Annotated[str | None, Query(max_length=400, description="The `next` of the page before.")]


@dataclass(frozen=True)
class PageOf(Generic[T]):
    """One page of items and the cursor of the next, None on the last page."""

    items: list[T]
    next: str | None


def encode_cursor(values: Sequence[Any]) -> str:
    """A cursor from the sort values of the last item of a page; values are JSON types, UUIDs or instants."""
    # asyncpg answers with its own subclass of UUID, which orjson does not take for one.
    return base64.urlsafe_b64encode(orjson.dumps(list(values), default=str)).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, length: int) -> list[Any] | None:
    """The values in a cursor, None without one; raises Malformed where it is not one of ours."""
    if not cursor:
        return None
    try:
        raw = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values = orjson.loads(raw)
    except (binascii.Error, ValueError) as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error
    if not isinstance(values, list) or len(values) != length or not all(isinstance(v, (str, int)) for v in values):
        raise Malformed(field="after", message_="Vị trí trang không đọc được.")
    return values


def page_of(rows: Sequence[T], limit: int, key: Callable[[T], Sequence[Any]]) -> PageOf[T]:
    """The page from up to `limit` + 1 rows: the extra row only says that there is a next page."""
    items = list(rows[:limit])
    return PageOf(items, encode_cursor(key(items[-1])) if len(rows) > limit and items else None)
