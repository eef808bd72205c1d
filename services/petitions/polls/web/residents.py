"""Pages for everybody: the polls of a unit, answering one, and what came of it."""

from __future__ import annotations

import csv
import io
import uuid
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import Principal
from chassis.errors import DomainError
from chassis.paging import After, page_of
from chassis.web import MaybeMe, Me, Page, PageRouter, Tx
from services.petitions.polls import commands, queries
from services.petitions.polls.api import cipher_of, start_of
from services.petitions.polls.errors import PollNotFound
from services.petitions.polls.model import Poll, PollStatus, QuestionKind
from services.petitions.polls.web import views
from services.petitions.queries import unit_names

pages = PageRouter(templates=views.TEMPLATES)

CSV_ROWS = 10_000
"""Most texts of one question in an exported file."""
_STATES = {"open": (PollStatus.OPEN,), "closed": (PollStatus.CLOSED,)}


@pages.get("/polls")
async def polls(
    page: Page,
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str | None, Query(max_length=30)] = None,
    state: Annotated[str, Query(max_length=10)] = "",
    after: After = None,
) -> Response:
    """The published polls of a unit, newest first; without one, of the reader's own."""
    home = me.home if me else None
    place = await units.get(tx, unit) if unit else (await units.find(tx, home.unit) if home else None)
    statuses = _STATES.get(state, (PollStatus.OPEN, PollStatus.CLOSED))
    rows = await queries.listing(tx, None, within=place, statuses=statuses, after=start_of(after), limit=views.PAGE)
    found = page_of(rows, views.PAGE, lambda poll: (str(poll.id),))
    kept = {"unit": place.code if place else "", "state": state if state in _STATES else ""}

    def href(**changed: str) -> str:
        return "/petitions/polls?" + urlencode({k: v for k, v in {**kept, **changed}.items() if v})

    return page.render(
        "polls.html",
        unit=place,
        unit_path=await views.crumbs(tx, place),
        lines=await views.lines(tx, page, None, found.items),
        state=kept["state"],
        href=href,
        next_href=href(after=found.next) if found.next else None,
        first_href=href() if after else None,
        works_here=views.works_here(me),
    )


async def _form(page: Page, tx: AsyncSession, me: Principal | None, poll: Poll, **shown: Any) -> Response:
    took_part = await queries.took_part(tx, me, poll)
    mine = await queries.answer_of(tx, took_part, cipher_of(page.request)) if took_part else None
    if mine is not None:
        kept: dict[str, Any] = {f"q{n}": picked for n, picked in mine.choices.items()}
        shown.setdefault("typed", kept | {f"q{n}": text for n, text in mine.texts.items()})
    asked = me is not None and poll.home_of(me) is not None
    return page.render(
        "poll.html",
        may_answer=asked and poll.accepts(units.today()),
        asked=asked,
        took_part=took_part is not None,
        here=f"/petitions/polls/{poll.id}",
        **shown,
        **await views.head(tx, page, me, poll),
    )


@pages.get("/polls/{id:uuid}")
async def poll(page: Page, tx: Tx, me: MaybeMe, id: uuid.UUID) -> Response:
    """One poll: its form while it is open, its results afterwards; a draft is for the desk."""
    of = await queries.get(tx, me, id)
    if of.status is PollStatus.DRAFT:
        return page.redirect(f"/petitions/polls/{id}/desk")
    if of.status is PollStatus.CLOSED:
        return page.redirect(f"/petitions/polls/{id}/results")
    return await _form(page, tx, me, of)


@pages.post("/polls/{id:uuid}")
async def answer(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    """Answer, or change one's answer."""
    form = await page.form(views.AnswerForm)
    of = await queries.get(tx, me, id)
    given, errors = views.given(of, form.typed, page.locale)
    if errors:
        return await _form(page, tx, me, of, typed=form.typed, errors=errors)
    try:
        first = await commands.answer(tx, me, id, given, cipher_of(page.request))
    except DomainError as error:
        if not error.field_errors:
            raise
        return await _form(page, tx, me, of, typed=form.typed, errors=page.errors_of(error))
    flash = "Đã ghi câu trả lời." if first else "Đã sửa câu trả lời."
    return page.redirect(f"/petitions/polls/{id}/thanks", flash=flash)


@pages.get("/polls/{id:uuid}/thanks")
async def thanks(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    """What happens next with the answer."""
    of = await queries.get(tx, me, id)
    if await queries.took_part(tx, me, of) is None:
        raise PollNotFound()
    return page.render("poll_thanks.html", **await views.head(tx, page, me, of))


Village = Annotated[str | None, Query(max_length=30)]


@pages.get("/polls/{id:uuid}/results")
async def results(page: Page, tx: Tx, me: MaybeMe, id: uuid.UUID, village: Village = None) -> Response:
    """The results, of the whole or of one village with answers enough; texts for staff."""
    of = await queries.get(tx, me, id)
    found = await queries.results(tx, me, of, village or None)
    staff = of.is_staff(me)
    texts = {
        tally.number: await queries.texts(tx, of, tally.number)
        for tally in found.tallies
        if staff and not village and tally.question.kind is QuestionKind.TEXT
    }
    names = await unit_names(tx, list(found.villages))
    return page.render(
        "poll_results.html",
        results=found,
        texts=texts,
        most_texts=queries.TEXTS,
        fewest=queries.FEWEST,
        village=village,
        names=names,
        chips=[
            {"label": names[code], "href": f"?village={code}", "count": count, "active": code == village}
            for code, count in found.villages.items()
        ],
        **await views.head(tx, page, me, of),
    )


@pages.get("/polls/{id:uuid}/results.csv")
async def export(page: Page, tx: Tx, me: MaybeMe, id: uuid.UUID, village: Village = None) -> Response:
    """The results as a table for Excel: UTF-8 with BOM; what people wrote is in it for staff only."""
    of = await queries.get(tx, me, id)
    found = await queries.results(tx, me, of, village or None)
    percent = page.renderer.context(page.request)["fmt_percent"]
    out = io.StringIO()
    table = csv.writer(out)
    header = ("Câu", "Câu hỏi", "Trả lời", "Số người chọn", "Số người trả lời câu này", "Tỷ lệ")
    table.writerow([page._(word) for word in header])
    for tally in found.tallies:
        labels = tally.question.options or tuple(str(mark) for mark in range(1, len(tally.counts) + 1))
        text = _cell(tally.question.text)
        for label, count in zip(labels, tally.counts, strict=True):
            share = percent(count, tally.answered) if tally.answered else ""
            table.writerow([tally.number, text, _cell(label), count, tally.answered, share])
        if tally.question.kind is QuestionKind.TEXT:
            table.writerow([tally.number, text, "", "", tally.answered, ""])
            said = await queries.texts(tx, of, tally.number, limit=CSV_ROWS) if of.is_staff(me) and not village else []
            table.writerows([tally.number, text, _cell(one), "", "", ""] for one in said)
    return Response(
        "\ufeff" + out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="ket-qua-{of.id}.csv"', "cache-control": "no-store"},
    )


def _cell(text: str) -> str:
    """A text that a spreadsheet takes for text: what a stranger wrote must not become a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text
