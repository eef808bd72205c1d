"""Owns the pages that lead to a unit: the overview of what lies below one, and the search by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.errors import Malformed
from chassis.paging import After, decode_cursor, encode_cursor
from chassis.units import LEVELS, Unit
from chassis.web import MaybeMe, Page, PageRouter, Tx
from services.indicators import views
from services.indicators.answers import queries
from services.indicators.criteria import catalogue as criteria
from services.indicators.criteria import library
from services.indicators.interchange import workbooks
from services.indicators.settings import Settings
from services.indicators.views import geometry
from services.indicators.views.rules import judged
from services.indicators.web.downloads import download
from services.indicators.web.shell import TEMPLATES, SetParam, chosen_set, last_sheet, set_choices, set_of, unit_path

pages = PageRouter(templates=TEMPLATES)

CHILDREN = 100
"""Rows of the matrix on one page."""
NEAREST = 6
"""Units named as nearest to done; the table sorted by what is met shows the others."""

LevelParam = Annotated[Literal["", "district", "commune", "village"], Query()]
OrderParam = Annotated[Literal["", "code", "most", "least"], Query(alias="sort")]
StatusParam = Annotated[
    Literal["", "met", "unmet", "no_data", "not_applicable", "measured", "suspended"], Query(alias="status")
]
ItemParam = Annotated[str | None, Query(max_length=60, alias="item")]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the reader chose of the table; empty where nothing was."""

    level: LevelParam = ""
    order: OrderParam = ""
    status: StatusParam = ""
    item: str = ""

    def query(self) -> dict[str, str | None]:
        return {
            "level": self.level or None,
            "sort": self.order or None,
            "status": self.status or None,
            "item": self.item or None,
        }

    def pick(self, after: tuple[str, str] | None = None) -> queries.Pick:
        return queries.Pick(self.level or None, self.order or "code", self.status or None, self.item or None, after)


def _asked(here: Unit, of: criteria.CriteriaSet, level: str, order: str, status: str, item: str | None) -> Asked:
    """What of the choice makes sense here; raises UnknownItem."""
    if item:
        queries.item_of(of, item)
    allowed = levels_below(here, of)
    return Asked(
        level if level in allowed else "",  # type: ignore[arg-type]  # it is one of the levels below.
        order,  # type: ignore[arg-type]  # FastAPI let nothing else through.
        status,  # type: ignore[arg-type]  # as above.
        (item or "") if status else "",
    )


def levels_below(here: Unit, of: criteria.CriteriaSet) -> list[str]:
    """The levels below a unit down to that of the set."""
    return list(LEVELS[LEVELS.index(here.level) + 1 : LEVELS.index(of.level) + 1])


async def _start_unit(
    tx: AsyncSession, asked: str | None, me: Principal | None, of: criteria.CriteriaSet | None
) -> Unit | None:
    """Where the overview opens: the unit asked for, the reader's own if the set says something of it, a unit that the
    set names, or the first province.
    """
    if asked:
        return await units.get(tx, asked)
    if me is not None and me.home is not None:
        home = await units.find(tx, me.home.unit)
        if home is not None and (of is None or queries.offered(of, home)):
            return home
    for path in of.area.paths if of is not None else ():
        named = await units.find(tx, path.rpartition("/")[2])
        if named is not None and named.path == path:
            return named
    provinces = await units.search(tx, level="province", limit=1)
    return provinces[0] if provinces else None


def cursor_of(after: str | None) -> tuple[str, str] | None:
    """Rank and code behind which a page begins; raises Malformed."""
    cursor = decode_cursor(after, 2)
    if cursor is None:
        return None
    try:
        float(str(cursor[0]))
    except ValueError as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error
    return str(cursor[0]), str(cursor[1])


@pages.get("/")
async def overview(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str | None, Query(max_length=40)] = None,
    set_code: SetParam = None,
    level: LevelParam = "",
    order: OrderParam = "",
    status: StatusParam = "",
    item: ItemParam = None,
    after: After = None,
) -> Response:
    """How the units below a unit stand: a sentence, a map, the nearest to done, and the matrix units by criteria."""
    named = queries.criteria_set(library.catalogue(), set_code) if set_code else None
    try:
        here = await _start_unit(tx, unit, me, named)
    except units.FormerUnit as former:
        return page.redirect(last_sheet(unit or "", set_code, former))
    if here is None:
        return page.render("no_units.html", title=page._("Chỉ tiêu"), search_url="/indicators/units")
    of = named or chosen_set(None, here)
    if LEVELS.index(here.level) >= LEVELS.index(of.level):
        return page.redirect(f"/indicators/units/{here.code}?set={of.code}")
    asked = _asked(here, of, level, order, status, item)
    cursor = cursor_of(after)
    sheet = await queries.sheet(tx, here.code, of)
    lines = await queries.lines(tx, here, of, asked.pick(cursor), limit=CHILDREN)
    shown = lines[:CHILDREN]
    following = encode_cursor((shown[-1].rank, shown[-1].unit.code)) if len(lines) > CHILDREN else None
    view = views.Overview(sheet, shown, await queries.nearest(tx, here, of, NEAREST), page.locale, page._)
    drawn = await _map(tx, here, of, page)
    address = {"unit": here.code, "set": of.code, **asked.query()}
    return page.render(
        "overview.html",
        title=here.name,
        view=view,
        map=drawn,
        asked=asked,
        levels=[(one, page._(views.LEVEL_WORDS[one])) for one in levels_below(here, of)],
        choices=await set_choices(tx, here, of.code, page),
        unit_path=await unit_path(tx, here, of),
        search_url="/indicators/units",
        position=await queries.top_position(tx),
        table=views.address(f"/indicators/units/{here.code}/children.csv", set=of.code, **asked.query()),
        workbook=views.address(f"/indicators/units/{here.code}/children.xlsx", set=of.code, **asked.query()),
        may_enter=me is not None and me.may(STAFF, here.path),
        next=views.address("/indicators/", after=following, **address) if following else None,
        first=views.address("/indicators/", **address) if cursor else None,
    )


async def _map(tx: AsyncSession, here: Unit, of: criteria.CriteriaSet, page: Page) -> views.MapView:
    """The map: communes of a province or district (or the set's own level above them), villages of a commune."""
    level = LEVELS[min(LEVELS.index(of.level), max(LEVELS.index("commune"), LEVELS.index(here.level) + 1))]
    between = LEVELS[LEVELS.index(here.level) + 1 : LEVELS.index(level)]
    found = await queries.standings(tx, here, [*between, level], set_code=of.code)
    told = {} if any(judged(item.rule) for item in of.items) else await queries.told(tx, here, of)
    settings = page.renderer.settings
    shapes = geometry.read(settings.map_file) if isinstance(settings, Settings) else {}
    return views.MapView(here, found, of, level, page.locale, page._, shapes, told)


@pages.get("/units")
async def find_units(
    page: Page, tx: Tx, q: Annotated[str, Query(max_length=100)] = "", after: After = None
) -> Response:
    """Units by name, with or without marks, and where they lie; after those of today the ones that have ended."""
    cursor = decode_cursor(after, 1)
    found = await units.search(tx, q=q or None, limit=50, after=str(cursor[0]) if cursor else None)
    following = encode_cursor((found[49].code,)) if len(found) > 50 else None
    # People go on saying the name of the commune they grew up in.
    former = await units.former(tx, q) if q and not cursor else []
    places = await queries.places(tx, {unit.path for unit in (*found, *former)})
    return page.render(
        "units.html",
        title=page._("Tìm đơn vị"),
        q=q,
        found=[views.FoundUnit(unit, places, page.locale) for unit in found[:50]],
        former=[views.FoundUnit(unit, places, page.locale) for unit in former],
        next=views.address("/indicators/units", q=q, after=following) if following else None,
        first=views.address("/indicators/units", q=q) if cursor else None,
    )


async def _table(
    tx: AsyncSession, page: Page, code: str, of: criteria.CriteriaSet, chosen: tuple[str, str, str, str | None]
) -> workbooks.Table:
    """The whole matrix, chosen and sorted like the table of the page."""
    unit = await units.get(tx, code)
    asked = _asked(unit, of, *chosen)
    lines: list[queries.Line] = []
    while True:
        last = (lines[-1].rank, lines[-1].unit.code) if lines else None
        more = await queries.lines(tx, unit, of, asked.pick(last), limit=CHILDREN * 10)
        lines += more[: CHILDREN * 10]
        if len(more) <= CHILDREN * 10:
            items = queries.rows_for(of, unit, units.today())
            return views.children_table(of, items, lines, page.locale, page._)


@pages.get("/units/{code}/children.csv")
async def children_csv(
    page: Page,
    tx: Tx,
    code: str,
    set_code: SetParam = None,
    level: LevelParam = "",
    order: OrderParam = "",
    status: StatusParam = "",
    item: ItemParam = None,
) -> Response:
    """The matrix of a unit as CSV."""
    of = await set_of(tx, set_code, code)
    table = await _table(tx, page, code, of, (level, order, status, item))
    return download(workbooks.csv_of(table), f"{code}-{of.code}-units.csv", workbooks.CSV)


@pages.get("/units/{code}/children.xlsx")
async def children_xlsx(
    page: Page,
    tx: Tx,
    code: str,
    set_code: SetParam = None,
    level: LevelParam = "",
    order: OrderParam = "",
    status: StatusParam = "",
    item: ItemParam = None,
) -> Response:
    """The matrix of a unit as a workbook."""
    of = await set_of(tx, set_code, code)
    table = await _table(tx, page, code, of, (level, order, status, item))
    body = await run_in_threadpool(workbooks.xlsx_of, table)
    return download(body, f"{code}-{of.code}-units.xlsx", workbooks.XLSX)
