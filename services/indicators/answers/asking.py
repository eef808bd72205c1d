"""Owns what pages and JSON ask alike: an instant in the past, a page of an explanation."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import VIEWERS, Principal
from chassis.errors import Malformed
from chassis.paging import decode_cursor, encode_cursor
from chassis.units import Unit
from services.indicators.answers import asof, explanation, queries
from services.indicators.answers.standing import Moment
from services.indicators.calculation.model import UnknownItem
from services.indicators.criteria import catalogue as criteria
from services.indicators.criteria import editions, library


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


async def past(tx: AsyncSession, code: str, set_code: str, as_of: str | None, known_at: str | None = None) -> asof.Past:
    """The sheet of another day, by the set as it was written then; raises what `asof.sheet` raises, and Malformed."""
    moment = Moment(as_of_instant(as_of), as_of_instant(known_at))
    catalogue = await editions.as_of(tx, moment.known_at or moment.instant)
    return await asof.sheet(tx, code, queries.criteria_set(catalogue, set_code), moment, catalogue)


async def explain(
    tx: AsyncSession, sheet: queries.Sheet, item: criteria.Item, limit: int, after: str | None, *, ids: bool
) -> explanation.Explanation:
    """One page of an explanation; `after` is the cursor of the page before. `ids` False: what everybody may see."""
    cursor = [str(part) for part in decode_cursor(after, 1 if sheet.rolled_up else 3) or []]
    return await explanation.explain(
        tx,
        sheet,
        item,
        library.catalogue(),
        limit=limit,
        after=(cursor[0], cursor[1], cursor[2]) if len(cursor) == 3 else None,
        after_child=cursor[0] if len(cursor) == 1 else None,
        ids=ids,
    )


def row_of(sheet: queries.Sheet, code: str) -> criteria.Item:
    """The row of a sheet; raises UnknownItem."""
    found = next((row.item for row in sheet.rows if row.item.code == code), None)
    if found is None:
        raise UnknownItem(set=sheet.criteria.code, item=code[:60])
    return found


def sees_ids(me: Principal | None, unit: Unit) -> bool:
    """Ids of cameras, petitions and documents are for those who look after the unit, and for its partners."""
    if me is None:
        return False
    if me.kind == "partner":
        return me.has_scope("indicators.read") and me.may(("partner",), unit.path)
    return me.may(VIEWERS, unit.path)


def cursor_after(found: explanation.Explanation) -> str | None:
    if found.next is not None:
        return encode_cursor(found.next)
    return encode_cursor((found.next_child,)) if found.next_child is not None else None
