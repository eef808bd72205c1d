"""The desk of a commune's staff: what waits, the late first, and everything that is done to a case."""

from __future__ import annotations

import csv
import io
import uuid
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.errors import DomainError, Forbidden
from chassis.paging import After, page_of
from chassis.units import Unit
from chassis.web import Me, Page, PageRouter, Tx
from services.petitions import access, commands, queries, sla
from services.petitions.model import OPEN, Petition, Status
from services.petitions.texts import Answer, NoteText, NoteTextOrNone, Recipient, Words
from services.petitions.web import views

pages = PageRouter(templates=views.TEMPLATES)

CSV_ROWS = 10_000
"""Most rows of one exported file."""
_STATES: dict[str, tuple[Status, ...]] = {
    "open": OPEN,
    "new": (Status.FILED, Status.REOPENED),
    "routed": (Status.ROUTED,),
    "answered": (Status.ANSWERED,),
    "closed": (Status.CLOSED,),
}


class RouteForm(BaseModel):
    to: Recipient = ""
    note: NoteTextOrNone = ""


class AnswerForm(BaseModel):
    text: Answer


class NoteForm(BaseModel):
    note: NoteText


class VisibilityForm(BaseModel):
    public: bool = False


@dataclass(frozen=True)
class Narrowed:
    """The filters of the inbox as they stand in its address."""

    state: Annotated[str, Query(max_length=10)] = "open"
    category: Annotated[str, Query(max_length=40)] = ""
    village: Annotated[str, Query(max_length=30)] = ""
    department: Annotated[str, Query(max_length=40)] = ""
    mine: bool = False
    late: bool = False
    q: Annotated[Words, Query()] = ""
    unit: Annotated[str, Query(max_length=30)] = ""

    def query(self, **changed: Any) -> str:
        """These filters as a query string, with some changed; what is empty or usual is left out."""
        values = {**self.__dict__, **changed}
        if values["state"] == "open":
            values["state"] = ""
        return urlencode({k: "1" if v is True else v for k, v in values.items() if v})

    def filter(self, me: Principal, places: tuple[Unit, ...]) -> queries.Filter:
        return queries.Filter(
            units=places,
            statuses=_STATES.get(self.state, OPEN),
            category=self.category or None,
            village=self.village or None,
            department=self.department or None,
            assignee=me.subject if self.mine else None,
            late=self.late,
            q=self.q,
        )


Filters = Annotated[Narrowed, Depends(Narrowed)]


async def _places(tx: AsyncSession, me: Principal, unit: str) -> tuple[Unit, ...]:
    """The units whose cases are shown: the one asked for, else all that `me` works for."""
    if unit:
        place = await units.get(tx, unit)
        me.require(STAFF, place.path)
        return (place,)
    granted = tuple(dict.fromkeys(g.unit for g in me.grants if g.role in STAFF))
    if not granted:
        raise Forbidden()
    found = [known for code in granted if (known := await units.find(tx, code)) is not None]
    # A unit that has ended has no inbox of its own any more; its successor's staff have theirs.
    if not found:
        raise Forbidden()
    return tuple(found)


def _chips(narrowed: Narrowed, page: Page, names: dict[str, str]) -> list[dict[str, str]]:
    """The filters in force, each as a chip whose link takes it away."""
    words = {
        "late": page._("Quá hạn") if narrowed.late else "",
        "mine": page._("Của tôi") if narrowed.mine else "",
        "category": views.category_title(narrowed.category, page.locale) if narrowed.category else "",
        "department": views.department_title(narrowed.department, page.locale),
        "village": names.get(narrowed.village, narrowed.village),
        "unit": names.get(narrowed.unit, narrowed.unit),
        "q": f"“{narrowed.q}”" if narrowed.q else "",
    }
    return [
        {"label": word, "href": "/petitions/inbox?" + narrowed.query(**{name: ""})}
        for name, word in words.items()
        if word
    ]


def _tabs(narrowed: Narrowed, page: Page, counts: queries.Counts) -> list[dict[str, Any]]:
    words = {
        "open": (page._("Cần xử lý"), counts.open),
        "new": (page._("Chưa phân công"), counts.unrouted),
        "routed": (page._("Đang xử lý"), None),
        "answered": (page._("Đã trả lời"), counts.answered),
        "closed": (page._("Đã đóng"), None),
    }
    return [
        {
            "label": word,
            "count": count or None,
            "href": "/petitions/inbox?" + narrowed.query(state=state),
            "active": state == narrowed.state,
        }
        for state, (word, count) in words.items()
    ]


async def _inbox(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    narrowed: Narrowed,
    *,
    chosen: Petition | None = None,
    after: str | None = None,
    errors: dict[str, str] | None = None,
    typed: dict[str, Any] | None = None,
    phone: str | None = None,
) -> Response:
    places = await _places(tx, me, narrowed.unit)
    rows = await queries.waiting(tx, me, narrowed.filter(me, places), limit=views.PAGE, after=views.cursor(after))
    found = page_of(rows, views.PAGE, lambda p: (p.due_at, str(p.id)))
    counts = await queries.counts(tx, places)
    names = await queries.unit_names(tx, {c for c in (narrowed.village, narrowed.unit) if c})
    query = narrowed.query()
    context: dict[str, Any] = {"case": None}
    if chosen is not None:
        context["case"] = await views.case(tx, page, me, chosen)
        context["officers"] = await access.officers(tx, chosen.path)
        context["departments"] = sla.departments().values()
        context["phone"] = phone
        context["hideable"] = sla.known_categories()[chosen.category].public
    return page.render(
        "inbox.html",
        errors=errors,
        typed=typed,
        unit_path=await views.crumbs(tx, places[0], "/petitions/inbox"),
        lines=await views.lines(tx, page, found.items),
        counts=counts,
        tabs=_tabs(narrowed, page, counts),
        chips=_chips(narrowed, page, names),
        narrowed=narrowed,
        query=f"?{query}" if query else "",
        late_href="/petitions/inbox?" + narrowed.query(late=True),
        mine_href="/petitions/inbox?" + narrowed.query(mine=True),
        csv_href="/petitions/inbox.csv?" + query,
        next_href="/petitions/inbox?" + narrowed.query(after=found.next) if found.next else None,
        first_href="/petitions/inbox?" + query if after else None,
        chosen_id=chosen.id if chosen else None,
        **context,
    )


@pages.get("/inbox")
async def inbox(page: Page, tx: Tx, me: Me, narrowed: Filters, after: After = None) -> Response:
    """What waits for the reader's commune, the latest first."""
    return await _inbox(page, tx, me, narrowed, after=after)


@pages.get("/inbox.csv")
async def export(page: Page, tx: Tx, me: Me, narrowed: Filters) -> Response:
    """The filtered list as a table for Excel: UTF-8 with BOM, at most 10,000 rows, nothing personal."""
    places = await _places(tx, me, narrowed.unit)
    rows = (await queries.waiting(tx, me, narrowed.filter(me, places), limit=CSV_ROWS))[:CSV_ROWS]
    names = await queries.unit_names(tx, {p.unit for p in rows})
    fmt = page.renderer.context(page.request)["fmt_datetime"]
    out = io.StringIO()
    table = csv.writer(out)
    header = (
        "Mã",
        "Trạng thái",
        "Lĩnh vực",
        "Địa bàn",
        "Nội dung",
        "Bộ phận",
        "Gửi lúc",
        "Hạn",
        "Trả lời lúc",
        "Số sao",
    )
    table.writerow([page._(word) for word in header])
    for p in rows:
        table.writerow(
            [
                p.code,
                page._(views.STATUS_WORDS[p.status][1]),
                views.category_title(p.category, page.locale),
                names.get(p.unit, p.unit),
                _cell(p.description),
                views.department_title(p.department, page.locale),
                fmt(p.filed_at),
                fmt(p.due_at),
                fmt(p.answered_at) if p.answered_at else "",
                p.rating or "",
            ]
        )
    name = f"phan-anh-{units.today().isoformat()}.csv"
    return Response(
        "\ufeff" + out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )


def _cell(text: str) -> str:
    """A text that a spreadsheet takes for text: what a stranger wrote must not become a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


async def _mine(tx: AsyncSession, me: Principal, id: uuid.UUID) -> Petition:
    """The case, for staff of its commune only."""
    of = await access.petition(tx, me, str(id))
    me.require(STAFF, of.path)
    return of


@pages.get("/inbox/{id:uuid}")
async def open_case(page: Page, tx: Tx, me: Me, id: uuid.UUID, narrowed: Filters) -> Response:
    """The inbox with one case open beside it."""
    return await _inbox(page, tx, me, narrowed, chosen=await _mine(tx, me, id))


def _back(page: Page, id: uuid.UUID) -> str:
    """The open case again, under the filters it was opened with."""
    query = page.request.url.query
    return f"/petitions/inbox/{id}" + (f"?{query}" if query else "") + "#case"


@pages.post("/{id:uuid}/route")
async def route(page: Page, tx: Tx, me: Me, id: uuid.UUID, narrowed: Filters) -> Response:
    """Give the case to a department (`d:code`) or a colleague (`o:subject`), or take it."""
    form = await page.form(RouteForm)
    of = await _mine(tx, me, id)
    if form.value is None:
        return await _inbox(page, tx, me, narrowed, chosen=of, errors=form.errors, typed=form.typed)
    kind, _, who = form.value.to.partition(":")
    try:
        await commands.route(
            tx,
            me,
            str(id),
            department=who if kind == "d" else None,
            assignee=who if kind == "o" else None,
            note=form.value.note,
        )
    except DomainError as error:
        if not error.field:
            raise
        wrong = {"to": next(iter(page.errors_of(error).values()))}
        return await _inbox(page, tx, me, narrowed, chosen=of, errors=wrong, typed=form.typed)
    return page.redirect(_back(page, id), flash="Đã phân công.")


@pages.post("/{id:uuid}/answer")
async def answer(page: Page, tx: Tx, me: Me, id: uuid.UUID, narrowed: Filters) -> Response:
    """Answer the reporter."""
    form = await page.form(AnswerForm)
    of = await _mine(tx, me, id)
    if form.value is None:
        return await _inbox(page, tx, me, narrowed, chosen=of, errors=form.errors, typed=form.typed)
    await commands.answer(tx, me, str(id), text=form.value.text)
    return page.redirect(_back(page, id), flash="Đã gửi trả lời.")


@pages.post("/{id:uuid}/note")
async def note(page: Page, tx: Tx, me: Me, id: uuid.UUID, narrowed: Filters) -> Response:
    """A note for colleagues."""
    form = await page.form(NoteForm)
    of = await _mine(tx, me, id)
    if form.value is None:
        return await _inbox(page, tx, me, narrowed, chosen=of, errors=form.errors, typed=form.typed)
    await commands.note(tx, me, str(id), text=form.value.note)
    return page.redirect(_back(page, id), flash="Đã ghi chú.")


@pages.post("/{id:uuid}/visibility")
async def visibility(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    """Take the case off the public pages, or put it back."""
    form = await page.form(VisibilityForm)
    public = form.value is not None and form.value.public
    await commands.set_public(tx, me, str(id), public=public)
    shown = "Đã đưa lại lên trang công khai." if public else "Đã ẩn khỏi trang công khai."
    return page.redirect(_back(page, id), flash=shown)


@pages.post("/{id:uuid}/contact")
async def contact(page: Page, tx: Tx, me: Me, id: uuid.UUID, narrowed: Filters) -> Response:
    """Show the reporter's telephone number once; that it was read is recorded."""
    of = await _mine(tx, me, id)
    phone = await commands.read_contact(tx, me, str(id), views.cipher_of(page.request))
    return await _inbox(page, tx, me, narrowed, chosen=of, phone=phone or page._("Không đọc được"))
