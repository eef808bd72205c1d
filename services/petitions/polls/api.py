"""Polls as JSON: for apps, for partners who show a commune's polls, and for whoever evaluates their results."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Query, Request

from chassis import units
from chassis.errors import Malformed
from chassis.paging import After, Limit, decode_cursor, page_of
from chassis.web import ApiRouter, MaybeMe, Me, Tx
from services.petitions.contacts import ContactCipher, cipher_for
from services.petitions.polls import commands, queries
from services.petitions.polls.errors import PollNotFound
from services.petitions.polls.model import PollStatus, Purpose
from services.petitions.polls.shapes import (
    AnswersIn,
    DoneOut,
    EndIn,
    GivenIn,
    MineOut,
    PaperIn,
    PollIn,
    PollOut,
    PollsPage,
    ResponseIn,
    ResultsOut,
    TallyOut,
)

api = ApiRouter(prefix="/api/v1/polls", tags=["polls"], reads="petitions.read", writes="petitions.write")


def cipher_of(request: Request) -> ContactCipher:
    return cipher_for(request.app.state.runtime.settings.secret.get_secret_value())


def start_of(after: str | None) -> uuid.UUID | None:
    """Where a page of polls starts; raises Malformed."""
    cursor = decode_cursor(after, 1)
    try:
        return uuid.UUID(cursor[0]) if cursor else None
    except (ValueError, AttributeError) as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error


@api.get("")
async def list_polls(
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str | None, Query(max_length=30)] = None,
    status: PollStatus | None = None,
    purpose: Purpose | None = None,
    after: After = None,
    limit: Limit = 50,
) -> PollsPage:
    """Polls of a unit and below, newest first: open and closed ones, for staff also drafts and withdrawn ones."""
    rows = await queries.listing(
        tx,
        me,
        within=await units.get(tx, unit) if unit else None,
        statuses=(status,) if status else (),
        purpose=purpose,
        after=start_of(after),
        limit=limit,
    )
    page = page_of(rows, limit, lambda poll: (str(poll.id),))
    return PollsPage(items=[PollOut.of(poll, me) for poll in page.items], next=page.next)


@api.post("", status_code=201)
async def draft_poll(tx: Tx, me: Me, body: PollIn) -> PollOut:
    """Staff of the commune: begin a poll that nobody else sees yet."""
    return PollOut.of(await commands.draft(tx, me, body.draft(), [q.question() for q in body.questions]), me)


@api.get("/{id}")
async def get_poll(tx: Tx, me: MaybeMe, id: uuid.UUID) -> PollOut:
    """One poll with its questions; a draft is there for staff of its commune only."""
    return PollOut.of(await queries.get(tx, me, id), me)


@api.put("/{id}")
async def change_poll(tx: Tx, me: Me, id: uuid.UUID, body: PollIn) -> PollOut:
    """Staff: write a draft anew, with its questions; the commune stays. A published poll is never changed (409)."""
    return PollOut.of(await commands.change(tx, me, id, body.draft(), [q.question() for q in body.questions]), me)


@api.post("/{id}/publish")
async def publish_poll(tx: Tx, me: Me, id: uuid.UUID) -> PollOut:
    """Staff: open it to those it asks."""
    return PollOut.of(await commands.publish(tx, me, id), me)


@api.post("/{id}/close")
async def close_poll(tx: Tx, me: Me, id: uuid.UUID, body: EndIn) -> PollOut:
    """Staff: close it before its last day; everybody reads the reason."""
    return PollOut.of(await commands.end(tx, me, id, PollStatus.CLOSED, body.reason), me)


@api.post("/{id}/withdraw")
async def withdraw_poll(tx: Tx, me: Me, id: uuid.UUID, body: EndIn) -> PollOut:
    """Staff: take it back, a draft too; its results are never published, the reason is."""
    return PollOut.of(await commands.end(tx, me, id, PollStatus.WITHDRAWN, body.reason), me)


@api.get("/{id}/answer")
async def my_answer(request: Request, tx: Tx, me: Me, id: uuid.UUID) -> MineOut:
    """One's own answer; 404 for who did not take part."""
    took_part = await queries.took_part(tx, me, await queries.get(tx, me, id))
    if took_part is None:
        raise PollNotFound()
    mine = await queries.answer_of(tx, took_part, cipher_of(request))
    if mine is None:
        return MineOut(answers=None)
    chosen = [GivenIn(question=int(n), choices=picked) for n, picked in mine.choices.items()]
    written = [GivenIn(question=int(n), text=text) for n, text in mine.texts.items()]
    return MineOut(answers=sorted(chosen + written, key=lambda one: one.question))


@api.put("/{id}/answer")
async def answer_poll(request: Request, tx: Tx, me: Me, id: uuid.UUID, body: AnswersIn) -> DoneOut:
    """People who live there: answer, or change one's answer until the end. One account, one answer."""
    return DoneOut(first=await commands.answer(tx, me, id, body.given(), cipher_of(request)))


@api.post("/{id}/paper", status_code=201)
async def enter_paper(tx: Tx, me: Me, id: uuid.UUID, body: PaperIn) -> DoneOut:
    """Staff, or the head of the village: enter what somebody without an account answered on paper."""
    await commands.enter_paper(tx, me, id, body.given(), paper_no=body.paper_no, village=body.village)
    return DoneOut(first=True)


@api.get("/{id}/results")
async def poll_results(
    tx: Tx, me: MaybeMe, id: uuid.UUID, village: Annotated[str | None, Query(max_length=30)] = None
) -> ResultsOut:
    """The results, of the whole or of one of `villages`: for everybody once it is over, for staff also before."""
    found = await queries.results(tx, me, await queries.get(tx, me, id), village)
    return ResultsOut(
        answers=found.answers,
        assisted=found.assisted,
        villages=dict(found.villages),
        questions=[TallyOut(number=t.number, counts=list(t.counts), answered=t.answered) for t in found.tallies],
    )


@api.put("/{id}/response")
async def respond(tx: Tx, me: Me, id: uuid.UUID, body: ResponseIn) -> PollOut:
    """Staff, after the end: what was done about the answers, published beside the results; again to correct it."""
    return PollOut.of(await commands.respond(tx, me, id, text=body.response, on=body.responded_on), me)
