"""Owns the lists of the quality page: each read from behind a place on, a bounded piece at a time, in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.errors import Malformed
from chassis.paging import decode_cursor, encode_cursor
from chassis.units import Unit
from chassis.web import Page, Sessions
from services.indicators.answers import queries
from services.indicators.answers.queries import quality
from services.indicators.criteria import catalogue as criteria
from services.indicators.criteria import library
from services.indicators.interchange import workbooks
from services.indicators.sources import rejections
from services.indicators.views import quality as words
from services.indicators.views.wording import Translate

PLACES = 40
"""Places with several sources that are read at once."""
ROUNDS = 10
"""Most readings of such places for one page: where sources agree almost everywhere, the reader goes on."""
PIECE = 1000
"""Lines of a file that are read at once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be listed, in which language."""

    here: Unit
    of: criteria.CriteriaSet
    show: str
    item: str | None
    days: int
    locale: str
    translate: Translate
    after: str | None = None

    @property
    def days_back(self) -> int:
        """How far back refused observations are counted, who asks for more than is kept gets the usual."""
        return self.days if self.days <= rejections.KEPT_DAYS else rejections.DAYS


Listed = tuple[list[Any], str | None]
"""Rows in words, and the cursor behind them; None at the end."""


async def listed(tx: AsyncSession, asked: Asked, limit: int) -> Listed:
    """Up to `limit` rows behind `asked.after`."""
    match asked.show:
        case "missing":
            return await _missing(tx, asked, limit)
        case "old":
            return await _old(tx, asked, limit)
        case "differing":
            return await _differing(tx, asked, limit)
        case "rejected":
            return await _rejected(tx, asked, limit)
    return await _resting(tx, asked, limit)


def _malformed() -> Malformed:
    return Malformed(field="after", message_="Vị trí trang không đọc được.")


def _number(value: Any) -> int:
    if not (isinstance(value, int) or str(value).isdecimal()):
        raise _malformed()
    return int(value)


def _pair(asked: Asked) -> tuple[str, Any] | None:
    found = decode_cursor(asked.after, 2)
    return (str(found[0]), found[1]) if found else None


async def _missing(tx: AsyncSession, asked: Asked, limit: int) -> Listed:
    cursor = _pair(asked)
    after = (cursor[0], _number(cursor[1])) if cursor else None
    gaps = await quality.missing_figures(tx, asked.here, asked.of, item=asked.item, after=after, limit=limit)
    more = encode_cursor((gaps[limit - 1].unit.code, gaps[limit - 1].place)) if len(gaps) > limit else None
    names = await queries.names(tx, {gap.unit.parent for gap in gaps})
    return list(
        words.gaps(gaps[:limit], asked.of.code, library.catalogue(), names, asked.locale, asked.translate)
    ), more


async def _old(tx: AsyncSession, asked: Asked, limit: int) -> Listed:
    cursor = _pair(asked)
    after = (cursor[0], str(cursor[1])) if cursor else None
    old = await quality.old_figures(tx, asked.here, asked.of, days=asked.days, after=after, limit=limit)
    more = encode_cursor((old[limit - 1].code, old[limit - 1].measure.code)) if len(old) > limit else None
    names = await queries.names(tx, {one.parent for one in old})
    return list(words.old(old[:limit], names, asked.locale, asked.translate)), more


async def _differing(tx: AsyncSession, asked: Asked, limit: int) -> Listed:
    cursor = _pair(asked)
    following = (cursor[0], str(cursor[1])) if cursor else None
    found: list[quality.Dispute] = []
    for _ in range(ROUNDS):
        some, following = await quality.disputes(
            tx, asked.here, asked.of, after=following, limit=min(limit - len(found), PLACES)
        )
        found += some
        if following is None or len(found) >= limit:
            break
    names = await queries.names(tx, {one.unit.parent for one in found})
    return list(words.disputes(found, names, asked.locale, asked.translate)), (
        encode_cursor(following) if following else None
    )


async def _resting(tx: AsyncSession, asked: Asked, limit: int) -> Listed:
    """Orders by unit and row, then what overlays suspend: those are part of the catalogue and need no reading."""
    cursor = decode_cursor(asked.after, 4)
    overlays = quality.overlay_orders(asked.here, asked.of, units.today())
    passed = _number(cursor[1]) if cursor and cursor[0] == "overlay" else 0
    orders: list[Any] = []
    if cursor is None or cursor[0] == "order":
        after = (str(cursor[1]), str(cursor[2]), str(cursor[3])) if cursor else None
        orders = await quality.orders(tx, asked.here, asked.of, after=after, limit=limit)
    elif cursor[0] != "overlay":
        raise _malformed()
    more = None
    if len(orders) > limit:
        last = orders[limit - 1]
        orders, here, more = orders[:limit], [], encode_cursor(("order", last.path, last.item_code, str(last.id)))
    else:
        here = overlays[passed : passed + limit - len(orders)]
        if passed + len(here) < len(overlays):
            more = encode_cursor(("overlay", passed + len(here), "", ""))
    names = await queries.names(tx, {r.unit for r in orders} | {one.unit or o.unit for o, one in here})
    rows = words.rests(orders, here, asked.of, library.catalogue(), names, asked.locale, asked.translate)
    return list(rows), more


async def _rejected(tx: AsyncSession, asked: Asked, limit: int) -> Listed:
    cursor = decode_cursor(asked.after, 3)
    province = asked.here.path.partition("/")[0]
    found = await rejections.lines(tx, units.today(), days=asked.days_back, province=province)
    if cursor:
        found = [line for line in found if line.place > tuple(map(str, cursor))]
    more = encode_cursor(found[limit - 1].place) if len(found) > limit else None
    return list(words.rejected(found[:limit], asked.locale, asked.translate)), more


async def as_csv(sessions: Sessions, asked: Asked, first: Listed) -> AsyncIterator[bytes]:
    """The whole list as CSV, piece by piece, each read by itself: a file may be longer than memory should hold."""
    rows, after = first
    yield workbooks.csv_of(words.quality_table(asked.show, rows, asked.translate))
    while after is not None:
        async with sessions.read() as tx:
            rows, after = await listed(tx, replace(asked, after=after), PIECE)
        yield workbooks.csv_lines(words.quality_table(asked.show, rows, asked.translate).rows)


def page_of(page: Page, here: Unit, of: criteria.CriteriaSet, show: str, item: str | None, days: int) -> Asked:
    """What the reader of a page asks for."""
    return Asked(here, of, show, item, days, page.locale, page._)
