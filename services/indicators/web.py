"""Owns the pages: overview of a unit's children, unit sheet, explanation, definition of a set, entry with evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, VIEWERS, Principal
from chassis.db import new_id, now
from chassis.errors import DomainError, NotFound
from chassis.paging import After, decode_cursor, encode_cursor
from chassis.text import Line, Paragraph
from chassis.units import LEVELS, Unit
from chassis.web import MaybeMe, Me, Page, PageRouter, Tx
from services.indicators import asking, commands, criteria, library, queries, views
from services.indicators.engine import Ratio, Value
from services.indicators.intake import Observed

pages = PageRouter(templates=Path(__file__).parent / "templates")

SetParam = Annotated[str | None, Query(alias="set", max_length=60)]
CHILDREN = 100
"""Rows of the matrix on one page."""
FACTS = 50
"""Facts of an explanation on one page."""


def chosen_set(code: str | None) -> criteria.CriteriaSet:
    """The set named, or the first there is."""
    catalogue = library.catalogue()
    return queries.criteria_set(catalogue, code) if code else next(iter(catalogue.sets.values()))


async def unit_path(tx: AsyncSession, unit: Unit, criteria_set: criteria.CriteriaSet) -> list[dict[str, str]]:
    """The breadcrumb of the shell: every step leads to its own overview or sheet."""
    return [
        {"code": above.code, "name": above.name, "href": f"/indicators/units/{above.code}?set={criteria_set.code}"}
        for above in await units.breadcrumb(tx, unit)
    ]


async def _start_unit(tx: AsyncSession, asked: str | None, me: Principal | None) -> Unit | None:
    """Where the overview opens: the unit asked for, the reader's own, or the first province."""
    if asked:
        return await units.get(tx, asked)
    if me is not None and me.home is not None:
        home = await units.find(tx, me.home.unit)
        if home is not None:
            return home
    provinces = await units.search(tx, level="province", limit=1)
    return provinces[0] if provinces else None


@pages.get("/")
async def overview(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str | None, Query(max_length=40)] = None,
    set_code: SetParam = None,
    after: After = None,
) -> Response:
    """How the units below a unit stand: a sentence, the nearest to done, and the matrix units by criteria."""
    criteria_set = chosen_set(set_code)
    here = await _start_unit(tx, unit, me)
    if here is None:
        return page.render("no_units.html", title=page._("Chỉ tiêu"), search_url="/indicators/units")
    if LEVELS.index(here.level) >= LEVELS.index(criteria_set.level):
        return page.redirect(f"/indicators/units/{here.code}?set={criteria_set.code}")
    cursor = decode_cursor(after, 1)
    sheet = await queries.sheet(tx, here.code, criteria_set)
    lines = await queries.children(tx, here, criteria_set, limit=CHILDREN, after=str(cursor[0]) if cursor else None)
    shown = lines[:CHILDREN]
    following = encode_cursor((shown[-1].unit.code,)) if len(lines) > CHILDREN else None
    view = views.Overview(sheet, shown, await queries.nearest(tx, here, criteria_set), page.locale, page._)
    return page.render(
        "overview.html",
        title=here.name,
        view=view,
        unit_path=await unit_path(tx, here, criteria_set),
        search_url="/indicators/units",
        position=await queries.top_position(tx),
        next=f"/indicators/?unit={here.code}&set={criteria_set.code}&after={following}" if following else None,
        first=f"/indicators/?unit={here.code}&set={criteria_set.code}" if cursor else None,
    )


@pages.get("/units")
async def find_units(
    page: Page, tx: Tx, q: Annotated[str, Query(max_length=100)] = "", after: After = None
) -> Response:
    """Units by name, with or without marks."""
    cursor = decode_cursor(after, 1)
    found = await units.search(tx, q=q or None, limit=50, after=str(cursor[0]) if cursor else None)
    following = encode_cursor((found[49].code,)) if len(found) > 50 else None
    return page.render(
        "units.html",
        title=page._("Tìm đơn vị"),
        q=q,
        found=found[:50],
        next=views.address("/indicators/units", q=q, after=following) if following else None,
        first=views.address("/indicators/units", q=q) if cursor else None,
    )


@pages.get("/units/{code}")
async def unit_sheet(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    code: str,
    set_code: SetParam = None,
    show: Annotated[str, Query(max_length=20)] = "",
    as_of: Annotated[str | None, Query(max_length=40)] = None,
) -> Response:
    """The sheet of a unit: the answer in a sentence, a ring, one row per criterion, and what changed last."""
    criteria_set = chosen_set(set_code)
    here = await units.get(tx, code, asking.as_of_day(as_of))
    if LEVELS.index(here.level) < LEVELS.index(criteria_set.level):
        return page.redirect(f"/indicators/?unit={here.code}&set={criteria_set.code}")
    sheet = await queries.sheet(tx, code, criteria_set, asking.as_of_instant(as_of))
    trends = {} if as_of else await queries.trends(tx, here, criteria_set)
    view = views.SheetView(
        sheet, library.catalogue(), page.locale, page._, missing_only=show == "missing", trends=trends
    )
    history = [] if as_of else await queries.latest_changes(tx, here, criteria_set)
    return page.render(
        "sheet.html",
        title=here.name,
        view=view,
        history=[views.history_line(change, criteria_set, page.locale, page._) for change in history],
        as_of=as_of,
        may_enter=me is not None and me.may(STAFF, here.path),
        may_explain=me is not None and me.may(VIEWERS, here.path),
        unit_path=await unit_path(tx, here, criteria_set),
        search_url="/indicators/units",
        position=await queries.top_position(tx),
    )


@pages.get("/units/{code}/sheet.csv")
async def sheet_csv(page: Page, tx: Tx, code: str, set_code: SetParam = None) -> Response:
    """The sheet as CSV (UTF-8 with BOM, so that Excel reads the marks)."""
    criteria_set = chosen_set(set_code)
    sheet = await queries.sheet(tx, code, criteria_set)
    body = views.sheet_csv(sheet, page.locale, page._)
    name = f"{sheet.unit.code}-{criteria_set.code}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(body.encode("utf-8-sig"), media_type="text/csv; charset=utf-8", headers=headers)


@pages.get("/units/{code}/children.csv")
async def children_csv(page: Page, tx: Tx, code: str, set_code: SetParam = None) -> Response:
    """The matrix of a unit as CSV: every unit directly below it, each with its items."""
    criteria_set = chosen_set(set_code)
    unit = await units.get(tx, code)
    lines: list[queries.Line] = []
    while True:
        more = await queries.children(
            tx, unit, criteria_set, limit=CHILDREN, after=lines[-1].unit.code if lines else None
        )
        lines += more[:CHILDREN]
        if len(more) <= CHILDREN:
            break
    headers = {"content-disposition": f'attachment; filename="{unit.code}-{criteria_set.code}-units.csv"'}
    body = views.children_csv(criteria_set, lines, page._).encode("utf-8-sig")
    return Response(body, media_type="text/csv; charset=utf-8", headers=headers)


@pages.get("/units/{code}/items/{item_code}")
async def explain(
    page: Page, tx: Tx, me: Me, code: str, item_code: str, set_code: SetParam = None, after: After = None
) -> Response:
    """Why an item stands as it does, down to events, observations and documents."""
    criteria_set = chosen_set(set_code)
    item = queries.item_of(criteria_set, item_code)
    sheet = await queries.sheet(tx, code, criteria_set)
    me.require(VIEWERS, sheet.unit.path)
    found = await asking.explain(tx, sheet, item, FACTS, after)
    following = asking.cursor_after(found)
    here = f"/indicators/units/{sheet.unit.code}/items/{item.code}"
    view = views.ExplanationView(found, library.catalogue(), page.locale, page._)
    return page.render(
        "explanation.html",
        title=f"{item.code} · {sheet.unit.name}",
        view=view,
        unit_path=await unit_path(tx, sheet.unit, criteria_set),
        back_href=f"/indicators/units/{sheet.unit.code}?set={criteria_set.code}",
        back_label=sheet.unit.name,
        next=views.address(here, set=criteria_set.code, after=following) if following else None,
        first=views.address(here, set=criteria_set.code) if after else None,
    )


@pages.get("/sets/{set_code}")
async def set_page(page: Page, set_code: str) -> Response:
    """What a set asks for, in plain words."""
    catalogue = library.catalogue()
    criteria_set = queries.criteria_set(catalogue, set_code)
    view = views.SetView(criteria_set, catalogue, page.locale, page._)
    return page.render("set.html", title=criteria_set.title.in_(page.locale), view=view)


class Entry(BaseModel):
    """One figure as an officer types it; which of the values is needed follows from the measure."""

    model_config = ConfigDict(extra="ignore")
    numerator: int | None = Field(default=None, ge=0, le=2**63 - 1)
    denominator: int | None = Field(default=None, ge=0, le=2**63 - 1)
    answer: str = Field(default="", pattern="^(yes|no|)$")
    count: int | None = Field(default=None, ge=0, le=2**63 - 1)
    period: Line(10, 0) = ""  # type: ignore[valid-type]  # Line makes a type.
    evidence: Paragraph(1500) = ""  # type: ignore[valid-type]  # Paragraph makes a type.
    document: Line(400, 0) = ""  # type: ignore[valid-type]  # Line makes a type.


async def _entry_page(page: Page, tx: AsyncSession, unit: Unit, measure_code: str | None, **more: Any) -> Response:
    criteria_set = chosen_set(None)
    catalogue = library.catalogue()
    measure = catalogue.measures.get(measure_code) if measure_code else None
    open_measures = [m for m in catalogue.measures.values() if "staff" in m.prefer]
    return page.render(
        "entry.html",
        title=page._("Nhập số liệu kèm bằng chứng"),
        unit=unit,
        measure=measure,
        measures=[(m.code, m.title.in_(page.locale)) for m in open_measures],
        unit_of_measure=measure.unit_of_measure.in_(page.locale) if measure else "",
        unit_path=await unit_path(tx, unit, criteria_set),
        back_href=f"/indicators/units/{unit.code}",
        back_label=unit.name,
        **more,
    )


@pages.get("/units/{code}/entry")
async def entry_form(
    page: Page, tx: Tx, me: Me, code: str, measure: Annotated[str | None, Query(max_length=80)] = None
) -> Response:
    """First the measure is chosen, then its figure and what proves it are asked for."""
    unit = await units.get(tx, code)
    me.require(STAFF, unit.path)
    if measure and measure not in library.catalogue().measures:
        raise NotFound
    return await _entry_page(page, tx, unit, measure)


@pages.post("/units/{code}/entry")
async def enter(page: Page, tx: Tx, me: Me, code: str, measure: Annotated[str, Query(max_length=80)]) -> Response:
    """Store the figure; what is wrong is said beside the field and what was typed stays."""
    unit = await units.get(tx, code)
    me.require(STAFF, unit.path)
    definition = library.catalogue().measures.get(measure)
    if definition is None:
        raise NotFound
    form = await page.form(Entry)
    if form.value is None:
        return await _entry_page(page, tx, unit, measure, errors=form.errors, typed=form.typed)
    entry = form.value
    observed = Observed(
        id=str(new_id()),
        unit=unit.code,
        observed_at=now(),
        value=_value(definition, entry),
        measure=measure,
        period=entry.period,
        source=entry.document,
        evidence=entry.evidence,
    )
    try:
        await commands.enter(tx, me, unit, observed, library.catalogue())
    except DomainError as error:
        errors = {_FIELDS.get(name, name): text for name, text in page.errors_of(error).items()}
        return await _entry_page(page, tx, unit, measure, errors=errors, typed=form.typed)
    return page.redirect(f"/indicators/units/{unit.code}", flash="Đã lưu số liệu kèm bằng chứng.")


_FIELDS = {"value": "numerator", "measure": "", "unit": "", "id": "", "observed_at": ""}
"""Fields of an observation that have another name, or none, on the form."""


def _value(measure: criteria.Measure, entry: Entry) -> Value | None:
    if measure.kind == "flag":
        return entry.answer == "yes" if entry.answer else None
    if measure.kind == "count":
        return entry.count
    if entry.numerator is None or entry.denominator is None:
        return None
    return Ratio(entry.numerator, entry.denominator)
