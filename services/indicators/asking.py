"""Owns what pages and JSON ask alike: an instant in the past, a page of an explanation."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.errors import Malformed
from chassis.paging import decode_cursor, encode_cursor
from services.indicators import criteria, explanation, library, queries


def as_of_day(as_of: str | None) -> date | None:
    """The day of `as_of` in Việt Nam; raises Malformed."""
    instant = as_of_instant(as_of)
    return instant.astimezone(units.VIETNAM).date() if instant else None


def as_of_instant(as_of: str | None) -> datetime | None:
    if not as_of:
        return None
    try:
        # In a query a "+" of an offset arrives as a space unless the client wrote %2B.
        return queries.day_or_instant(as_of.replace(" ", "+"))
    except (ValueError, OverflowError) as error:
        raise Malformed(field="as_of", message_="Thời điểm không đọc được.") from error


async def explain(
    tx: AsyncSession, sheet: queries.Sheet, item: criteria.Item, limit: int, after: str | None
) -> explanation.Explanation:
    """One page of an explanation; `after` is the cursor of the page before."""
    cursor = [str(part) for part in decode_cursor(after, 1 if sheet.rolled_up else 3) or []]
    return await explanation.explain(
        tx,
        sheet,
        item,
        library.catalogue(),
        limit=limit,
        after=(cursor[0], cursor[1], cursor[2]) if len(cursor) == 3 else None,
        after_child=cursor[0] if len(cursor) == 1 else None,
    )


def cursor_after(found: explanation.Explanation) -> str | None:
    if found.next is not None:
        return encode_cursor(found.next)
    return encode_cursor((found.next_child,)) if found.next_child is not None else None
