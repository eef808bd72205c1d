"""Owns what pages and JSON ask alike: an instant in the past, a page of an explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import VIEWERS, Principal
from chassis.errors import Forbidden, Malformed, Unauthenticated
from chassis.paging import decode_cursor, encode_cursor
from chassis.units import Unit
from services.indicators.answers import asof, explanation, history, origins, queries
from services.indicators.answers.singles import Single
from services.indicators.answers.standing import Moment
from services.indicators.answers.whatif import Supposition
from services.indicators.calculation.model import UnknownItem
from services.indicators.criteria import catalogue as criteria
from services.indicators.criteria import editions, library
from services.indicators.criteria.catalogue import CriteriaSet, Item


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


async def catalogue_of(tx: AsyncSession, as_of: str | None) -> criteria.Catalogue:
    """What is in force, or was on another day: a set withdrawn since is in it. Raises Malformed."""
    if not as_of:
        return library.catalogue()
    moment = Moment(as_of_instant(as_of))
    return await editions.asked(tx, moment.instant, moment.day, None)


async def past(tx: AsyncSession, code: str, set_code: str, as_of: str | None, known_at: str | None = None) -> asof.Past:
    """The sheet of another day, by the set as it was written then; raises what `asof.sheet` raises, and Malformed."""
    moment = Moment(as_of_instant(as_of), as_of_instant(known_at))
    catalogue = await editions.asked(tx, moment.instant, moment.day, moment.known_at)
    return await asof.sheet(tx, code, queries.criteria_set(catalogue, set_code), moment, catalogue)


@dataclass(frozen=True, slots=True)
class Found:
    """A sheet, now or of another moment, with the catalogue it was read by. `basis` is empty for now (see `Past`)."""

    sheet: queries.Sheet
    catalogue: criteria.Catalogue
    moment: Moment
    basis: Literal["", "facts", "log"] = ""


async def found(
    tx: AsyncSession, code: str, set_code: str, as_of: str | None = None, known_at: str | None = None
) -> Found:
    """How a unit stands with a set, or stood.

    Raises UnknownUnit, UnknownSet and SetNotForLevel, of the past also SetNotInForce and Malformed.
    """
    moment = Moment(as_of_instant(as_of), as_of_instant(known_at))
    if moment.is_now:
        catalogue = library.catalogue()
        return Found(await queries.sheet(tx, code, queries.criteria_set(catalogue, set_code)), catalogue, moment)
    catalogue = await editions.asked(tx, moment.instant, moment.day, moment.known_at)
    then = await asof.sheet(tx, code, queries.criteria_set(catalogue, set_code), moment, catalogue)
    return Found(then.sheet, catalogue, moment, then.basis)


async def sources(
    tx: AsyncSession, sheet: queries.Sheet, as_of: str | None = None, known_at: str | None = None
) -> dict[str, tuple[origins.Origin, ...]]:
    """Where the values of a sheet come from, now or on another day; raises Malformed."""
    moment = Moment(as_of_instant(as_of), as_of_instant(known_at))
    catalogue = library.catalogue()
    if not moment.is_now:
        catalogue = await editions.asked(tx, moment.instant, moment.day, moment.known_at)
    return await origins.origins(tx, sheet, catalogue, moment)


async def explain(
    tx: AsyncSession, of: Found, item: criteria.Item, limit: int, after: str | None, *, ids: bool
) -> explanation.Explanation:
    """One page of an explanation; `after` is the cursor of the page before. `ids` False: what everybody may see."""
    cursor = [str(part) for part in decode_cursor(after, 1 if of.sheet.rolled_up else 3) or []]
    return await explanation.explain(
        tx,
        of.sheet,
        item,
        of.catalogue,
        moment=of.moment,
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


async def allow(tx: AsyncSession, me: Principal | None, code: str, changes: Sequence[Supposition]) -> None:
    """Raise Unauthenticated or Forbidden where single things are supposed by somebody who may not see their ids.

    An answer would tell whether a household is known, and what is known of it. New things tell nothing of known ones.
    """
    if any(isinstance(one, Single) for one in changes):
        unit = await units.get(tx, code)
        if me is None:
            raise Unauthenticated
        if not sees_ids(me, unit):
            raise Forbidden


@dataclass(frozen=True, slots=True)
class RowHistory:
    """One page of the changes of a row, newest first, and its course. `next` is the cursor of the older ones."""

    unit: Unit
    criteria: CriteriaSet
    item: Item
    turns: list[history.Turn]
    next: str | None
    course: history.Course
    today: date


@dataclass(frozen=True, slots=True)
class RowAsked:
    """Whose history is asked for: `as_of` picks the unit and the set that the codes named then (empty: today's)."""

    unit: str
    set_code: str
    item: str
    as_of: str = ""
    first: str = ""
    last: str = ""


async def row_history(tx: AsyncSession, asked: RowAsked, limit: int, after: str | None) -> RowHistory:
    """The history of a row; raises UnknownSet, UnknownItem, UnknownUnit, and Malformed for what cannot be read."""
    catalogue, on = await catalogue_of(tx, asked.as_of), as_of_day(asked.as_of)
    criteria_set = queries.criteria_set(catalogue, asked.set_code)
    item = next((one for one in catalogue.rows_of(criteria_set.code) if one.code == asked.item), None)
    if item is None:
        raise UnknownItem(set=criteria_set.code, item=asked.item[:60])
    today = on or units.today()
    within = history.stretch(asked.first, asked.last, today) if asked.first or asked.last else history.EVER
    unit = await units.get(tx, asked.unit, on)
    cursor = decode_cursor(after, 1)
    if cursor and not (isinstance(cursor[0], int) and 0 <= cursor[0] < 2**63):
        raise Malformed(field="after", message_="Vị trí trang không đọc được.")
    pair = (criteria_set.code, item.code)
    before = cursor[0] if cursor else None
    turns = await history.turns(tx, unit, pair, limit=limit, before_id=before, within=within)
    following = encode_cursor((turns[limit - 1].id,)) if len(turns) > limit else None
    course = await history.course(tx, unit, pair, catalogue, today=today, within=within)
    return RowHistory(unit, criteria_set, item, turns[:limit], following, course, today)


def cursor_after(found: explanation.Explanation) -> str | None:
    if found.next is not None:
        return encode_cursor(found.next)
    return encode_cursor((found.next_child,)) if found.next_child is not None else None
