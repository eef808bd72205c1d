"""The desk of those who make polls: drafting, publishing, paper, ending, and saying what was done about the answers."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field, field_validator
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import STAFF, Principal, covers
from chassis.errors import DomainError, Forbidden
from chassis.paging import After, page_of
from chassis.web import Me, Page, PageRouter, Tx
from services.petitions.polls import commands, queries
from services.petitions.polls.api import start_of
from services.petitions.polls.errors import PollNotOpen
from services.petitions.polls.model import MAX_QUESTIONS, Poll, PollStatus
from services.petitions.polls.shapes import EndReason, PollIn, QuestionIn, ResponseIn
from services.petitions.polls.web import views
from services.petitions.texts import VillageCode

pages = PageRouter(templates=views.TEMPLATES)

Number = Annotated[int, Path(ge=1, le=MAX_QUESTIONS)]


class QuestionForm(QuestionIn):
    """A question and where it stands; the options stand in one field, a line each."""

    required: bool = False
    place: int = Field(ge=1, le=MAX_QUESTIONS)

    @field_validator("options", mode="before")
    @classmethod
    def lines(cls, value: list[str]) -> list[str]:
        return [line.strip() for one in value for line in str(one).splitlines() if line.strip()]


class EndForm(BaseModel):
    to: Literal["close", "withdraw"]
    reason: EndReason


class PaperForm(BaseModel):
    paper_no: int = Field(ge=1, le=1_000_000)
    village: VillageCode | None = None


async def _mine(tx: AsyncSession, me: Principal, id: uuid.UUID) -> Poll:
    """The poll, for staff of its commune."""
    poll = await queries.get(tx, me, id)
    me.require(STAFF, poll.path)
    return poll


@pages.get("/polls/desk")
async def desk(page: Page, tx: Tx, me: Me, after: After = None) -> Response:
    """Every poll of the reader's communes, drafts too, newest first."""
    if not views.works_here(me):
        raise Forbidden()
    found: dict[uuid.UUID, Poll] = {}
    start = start_of(after)
    for grant in me.grants:
        place = await units.find(tx, grant.unit) if grant.role in STAFF else None
        if place is not None:
            rows = await queries.listing(tx, me, within=place, after=start, limit=views.PAGE)
            found.update((poll.id, poll) for poll in rows)
    newest = sorted(found.values(), key=lambda poll: poll.id, reverse=True)[: views.PAGE + 1]
    shown = page_of(newest, views.PAGE, lambda poll: (str(poll.id),))
    lines = await views.lines(tx, page, me, shown.items)
    return page.render(
        "poll_desk_list.html",
        lines=[{**line, "href": f"{line['href']}/desk"} for line in lines],
        next_href=f"/petitions/polls/desk?{urlencode({'after': shown.next})}" if shown.next else None,
        first_href="/petitions/polls/desk" if after else None,
    )


async def _draft(page: Page, tx: AsyncSession, commune: str, poll: Poll | None = None, **shown: Any) -> Response:
    place = await units.get(tx, commune)
    return page.render(
        "poll_edit.html",
        poll=poll,
        commune=place,
        villages=[(u.code, u.name) for u in await units.children(tx, commune)],
        purposes=[(purpose.value, page._(word)) for purpose, word in views.PURPOSE_WORDS.items()],
        unit_path=await views.crumbs(tx, place),
        **shown,
    )


@pages.get("/polls/new")
async def new(page: Page, tx: Tx, me: Me, unit: Annotated[str, Query(max_length=30)] = "") -> Response:
    """The form of a new poll; who works for several communes chooses one first."""
    communes = await queries.own_communes(tx, me)
    place = await units.get(tx, unit) if unit else None
    if place is not None:
        me.require(STAFF, place.path)
        # Of a village it is its commune's; above communes one has to be chosen.
        unit = place.commune if place.level in ("commune", "village") else ""
        communes = [one for one in communes if covers(place.path, one.path)] or communes
    if not unit and len(communes) == 1:
        unit = communes[0].code
    if not communes:
        raise Forbidden()
    if not unit:
        return page.render("poll_commune.html", communes=communes)
    return await _draft(page, tx, unit, typed={"opens_on": units.today().isoformat()})


@pages.post("/polls/new")
async def create(page: Page, tx: Tx, me: Me) -> Response:
    form = await page.form(PollIn)
    commune = str(form.typed.get("commune", ""))
    if form.value is None:
        me.require(STAFF, (await units.get(tx, commune)).path)
        return await _draft(page, tx, commune, errors=form.errors, typed=form.typed)
    try:
        poll = await commands.draft(tx, me, form.value.draft())
    except DomainError as error:
        if not error.field_errors:
            raise
        return await _draft(page, tx, commune, errors=page.errors_of(error), typed=form.typed)
    return page.redirect(f"/petitions/polls/{poll.id}/questions/new", flash="Đã lưu bản nháp. Xin thêm câu hỏi.")


@pages.get("/polls/{id:uuid}/edit")
async def edit(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    poll = await _mine(tx, me, id)
    poll.require_draft()
    names = ("purpose", "title", "introduction", "villages")
    typed = {name: getattr(poll, name) for name in names}
    typed |= {"opens_on": poll.opens_on.isoformat(), "closes_on": poll.closes_on.isoformat()}
    return await _draft(page, tx, poll.commune, poll, typed=typed)


@pages.post("/polls/{id:uuid}/edit")
async def change(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    form = await page.form(PollIn)
    poll = await _mine(tx, me, id)
    if form.value is None:
        return await _draft(page, tx, poll.commune, poll, errors=form.errors, typed=form.typed)
    try:
        await commands.change(tx, me, id, form.value.draft())
    except DomainError as error:
        if not error.field_errors:
            raise
        return await _draft(page, tx, poll.commune, poll, errors=page.errors_of(error), typed=form.typed)
    return page.redirect(f"/petitions/polls/{id}/desk", flash="Đã lưu.")


async def _question(page: Page, tx: AsyncSession, poll: Poll, number: int | None, **shown: Any) -> Response:
    poll.require_draft()
    return page.render(
        "poll_question.html",
        poll=poll,
        number=number,
        kinds=[(kind.value, page._(word)) for kind, word in views.KIND_WORDS.items()],
        most=MAX_QUESTIONS,
        unit_path=await views.crumbs(tx, await units.find(tx, poll.commune)),
        **shown,
    )


@pages.get("/polls/{id:uuid}/questions/new")
async def new_question(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    poll = await _mine(tx, me, id)
    place = min(len(poll.questions) + 1, MAX_QUESTIONS)
    return await _question(page, tx, poll, None, typed={"place": place, "required": "1", "kind": "single"})


@pages.get("/polls/{id:uuid}/questions/{number}")
async def question(page: Page, tx: Tx, me: Me, id: uuid.UUID, number: Number) -> Response:
    poll = await _mine(tx, me, id)
    one = poll.asked[queries.index_of(poll.asked, number)]
    typed = {"kind": one.kind.value, "text": one.text, "options": list(one.options), "place": number}
    return await _question(page, tx, poll, number, typed=typed | ({"required": "1"} if one.required else {}))


async def _put(page: Page, tx: AsyncSession, me: Principal, id: uuid.UUID, number: int | None) -> Response:
    form = await page.form(QuestionForm)
    poll = await _mine(tx, me, id)
    if form.value is None:
        return await _question(page, tx, poll, number, errors=form.errors, typed=form.typed)
    await commands.put_question(tx, me, id, form.value.question(), place=form.value.place, number=number)
    return page.redirect(f"/petitions/polls/{id}/desk", flash="Đã lưu câu hỏi.")


@pages.post("/polls/{id:uuid}/questions/new")
async def add_question(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    return await _put(page, tx, me, id, None)


@pages.post("/polls/{id:uuid}/questions/{number}")
async def change_question(page: Page, tx: Tx, me: Me, id: uuid.UUID, number: Number) -> Response:
    return await _put(page, tx, me, id, number)


@pages.post("/polls/{id:uuid}/questions/{number}/remove")
async def remove_question(page: Page, tx: Tx, me: Me, id: uuid.UUID, number: Number) -> Response:
    await commands.drop_question(tx, me, id, number)
    return page.redirect(f"/petitions/polls/{id}/desk", flash="Đã bỏ câu hỏi.")


async def _show(page: Page, tx: AsyncSession, me: Principal, poll: Poll, **shown: Any) -> Response:
    if poll.responded_on is not None:
        kept = {"response": poll.response, "responded_on": poll.responded_on.isoformat()}
        shown.setdefault("typed", kept)
    shown.setdefault("typed", {"responded_on": units.today().isoformat()})
    return page.render("poll_desk.html", **shown, **await views.head(tx, page, me, poll))


@pages.get("/polls/{id:uuid}/desk")
async def manage(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    """One poll as its makers see it: what residents will see, and what can be done now."""
    return await _show(page, tx, me, await _mine(tx, me, id))


@pages.post("/polls/{id:uuid}/publish")
async def publish(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    poll = await _mine(tx, me, id)
    try:
        await commands.publish(tx, me, id)
    except DomainError as error:
        if page.status_of(error) not in (409, 422):
            raise
        # Which day is wrong is mended on another page, so it is said of the whole.
        told = {"": next(iter(page.errors_of(error).values()))}
        return await _show(page, tx, me, poll, errors=told, status=page.status_of(error))
    return page.redirect(f"/petitions/polls/{id}/desk", flash="Đã công bố. Người dân trả lời được từ ngày đầu.")


@pages.post("/polls/{id:uuid}/end")
async def end(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    """Close before the last day, or withdraw; a draft can only be thrown away."""
    form = await page.form(EndForm)
    poll = await _mine(tx, me, id)
    if form.value is None:
        return await _show(page, tx, me, poll, errors=form.errors, typed=form.typed)
    to = PollStatus.CLOSED if form.value.to == "close" else PollStatus.WITHDRAWN
    await commands.end(tx, me, id, to, form.value.reason)
    flash = "Đã kết thúc và công bố kết quả." if to is PollStatus.CLOSED else "Đã hủy."
    return page.redirect(f"/petitions/polls/{id}/desk", flash=flash)


@pages.post("/polls/{id:uuid}/response")
async def respond(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    """What was done about the answers."""
    form = await page.form(ResponseIn)
    poll = await _mine(tx, me, id)
    if form.value is None:
        return await _show(page, tx, me, poll, errors=form.errors, typed=form.typed)
    try:
        await commands.respond(tx, me, id, text=form.value.response, on=form.value.responded_on)
    except DomainError as error:
        if not error.field_errors:
            raise
        return await _show(page, tx, me, poll, errors=page.errors_of(error), typed=form.typed)
    return page.redirect(f"/petitions/polls/{id}/results", flash="Đã công bố kết quả đáp ứng.")


async def _paper(page: Page, tx: AsyncSession, me: Principal, poll: Poll, **shown: Any) -> Response:
    if not poll.accepts(units.today()):
        raise PollNotOpen()
    below = [u for u in await units.children(tx, poll.commune) if u.code in (poll.villages or [u.code])]
    villages = [(u.code, u.name) for u in below if poll.may_enter(me, u.code)]
    whole = not poll.villages and poll.may_enter(me, None)
    if not villages and not whole:
        raise Forbidden()
    shown.setdefault("typed", {"paper_no": await queries.next_paper_no(tx, poll)})
    return page.render(
        "poll_paper.html", villages=villages, whole=whole, **shown, **await views.head(tx, page, me, poll)
    )


@pages.get("/polls/{id:uuid}/paper")
async def paper(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    """The form for one paper of somebody without an account."""
    return await _paper(page, tx, me, await queries.get(tx, me, id))


@pages.post("/polls/{id:uuid}/paper")
async def enter_paper(page: Page, tx: Tx, me: Me, id: uuid.UUID) -> Response:
    poll = await queries.get(tx, me, id)
    form, said = await page.form(PaperForm), await page.form(views.AnswerForm)
    given, errors = views.given(poll, said.typed, page.locale)
    if form.value is None or errors:
        return await _paper(page, tx, me, poll, errors={**form.errors, **errors}, typed=said.typed)
    paper_no = form.value.paper_no
    try:
        await commands.enter_paper(tx, me, id, given, paper_no=paper_no, village=form.value.village)
    except DomainError as error:
        if not error.field_errors:
            raise
        return await _paper(page, tx, me, poll, errors=page.errors_of(error), typed=said.typed)
    flash = page._("Đã nhập phiếu số {n}.").format(n=paper_no)
    return page.redirect(f"/petitions/polls/{id}/paper", flash=flash)
