"""Owns what a page position of this service's lists says; the chassis owns how it is written."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from chassis.errors import Malformed
from chassis.paging import decode_cursor
from services.ecommerce.queries import Row


class HasId(Protocol):
    """A row with an id of its own."""

    @property
    def id(self) -> uuid.UUID: ...


def id_position(after: str | None) -> uuid.UUID | None:
    """The id after which a list goes on; raises Malformed."""
    values = decode_cursor(after, 1)
    if values is None:
        return None
    try:
        return uuid.UUID(str(values[0]))
    except ValueError:
        raise _unreadable() from None


def catalogue_key(row: Row) -> Sequence[Any]:
    return (row.product.published_at, str(row.product.id))


def catalogue_position(after: str | None) -> tuple[datetime, uuid.UUID] | None:
    """The publication and the id after which the catalogue goes on; raises Malformed."""
    values = decode_cursor(after, 2)
    if values is None:
        return None
    try:
        at, product_id = datetime.fromisoformat(str(values[0])), uuid.UUID(str(values[1]))
    except ValueError:
        raise _unreadable() from None
    if at.tzinfo is None or not 2000 <= at.year <= 2100:
        raise _unreadable()
    return at, product_id


def _unreadable() -> Malformed:
    return Malformed(field="after", message_="Vị trí trang không đọc được.")


def id_key(one: HasId) -> Sequence[Any]:
    """The id as text: the driver's own UUID type is not one a cursor can write."""
    return (str(one.id),)


def product_key(row: Row) -> Sequence[Any]:
    return (str(row.product.id),)
