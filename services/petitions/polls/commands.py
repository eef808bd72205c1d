"""Owns what is done to polls: drafting, publishing, answering, ending, responding. Events tell the public state.

An answer of a resident leaves no line in the audit log and no time anywhere: that somebody took part is in one table,
what was said in another, and nothing but the sealed link of an open poll joins them. What staff do is audited.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.petitions.v1 import events_pb2 as events

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import Forbidden, Invalid
from chassis.units import VIETNAM, Unit
from services.petitions.contacts import ContactCipher
from services.petitions.polls import queries, telling
from services.petitions.polls.errors import (
    AnswerSealed,
    NotAsked,
    PaperEntered,
    PollNotOpen,
)
from services.petitions.polls.model import (
    MOST_DAYS,
    Given,
    Participation,
    Poll,
    PollAnswer,
    PollStatus,
    Purpose,
    Question,
    checked,
)

AT_ONCE = 50
"""Polls closed in one transaction."""


@dataclass(frozen=True)
class DraftPoll:
    """What a draft says of itself; without villages it is for the whole commune. Days are days in Việt Nam."""

    commune: str
    purpose: Purpose
    title: str
    opens_on: date
    closes_on: date
    introduction: str = ""
    villages: tuple[str, ...] = ()


async def _check(tx: AsyncSession, me: Principal, new: DraftPoll) -> str:
    """The path of the commune for which `me` may draft `new`; raises what is wrong with which field."""
    commune = await units.get(tx, new.commune)
    me.require(STAFF, commune.path)
    if commune.level != "commune":
        raise Invalid(field="commune", message_="Không có xã, phường, thị trấn này.")
    await _check_villages(tx, commune.code, new.villages)
    if new.closes_on < new.opens_on:
        raise Invalid(field="closes_on", message_="Ngày cuối phải sau ngày đầu.")
    if new.closes_on - new.opens_on > timedelta(days=MOST_DAYS):
        raise Invalid(field="closes_on", message_="Mỗi cuộc lấy ý kiến kéo dài nhiều nhất một năm.")
    return commune.path


async def _check_villages(tx: AsyncSession, commune: str, codes: Sequence[str]) -> None:
    """Raises Invalid unless all are villages of the commune today."""
    if not set(codes) <= {unit.code for unit in await units.children(tx, commune)}:
        raise Invalid(field="villages", message_="Thôn này không thuộc xã đã chọn.")


def _write(of: Poll, new: DraftPoll) -> None:
    of.purpose, of.title, of.introduction = new.purpose, new.title, new.introduction
    of.opens_on, of.closes_on = new.opens_on, new.closes_on
    of.villages = sorted(set(new.villages))


async def draft(tx: AsyncSession, me: Principal, new: DraftPoll, questions: Sequence[Question] = ()) -> Poll:
    """Begin a poll that only staff see; raises UnknownUnit, Forbidden, Invalid, TooManyQuestions."""
    path = await _check(tx, me, new)
    poll = Poll(id=new_id(), commune=new.commune, path=path, status=PollStatus.DRAFT, created_at=now())
    poll.end_reason = poll.response = ""
    poll.answers = poll.assisted = 0
    _write(poll, new)
    poll.ask(questions)
    tx.add(poll)
    await tx.flush()
    await telling.note(tx, me, poll, "drafted", purpose=poll.purpose.value)
    return poll


async def change(
    tx: AsyncSession, me: Principal, poll_id: uuid.UUID, new: DraftPoll, questions: Sequence[Question] | None = None
) -> Poll:
    """Write a draft anew, with its questions where given; its commune stays. Raises PollPublished besides."""
    poll = await _locked(tx, me, poll_id)
    poll.require_draft()
    await _check(tx, me, replace(new, commune=poll.commune))
    _write(poll, new)
    if questions is not None:
        poll.ask(questions)
    await telling.note(tx, me, poll, "changed")
    return poll


async def put_question(
    tx: AsyncSession, me: Principal, poll_id: uuid.UUID, question: Question, *, place: int, number: int | None = None
) -> Poll:
    """Add a question to a draft, or replace question `number`; it then stands at `place` (from 1)."""
    poll = await _locked(tx, me, poll_id)
    asked = poll.asked
    if number is not None:
        del asked[queries.index_of(asked, number)]
    asked.insert(place - 1, question)
    poll.ask(asked)
    await telling.note(tx, me, poll, "changed")
    return poll


async def drop_question(tx: AsyncSession, me: Principal, poll_id: uuid.UUID, number: int) -> Poll:
    """Take a question out of a draft."""
    poll = await _locked(tx, me, poll_id)
    asked = poll.asked
    del asked[queries.index_of(asked, number)]
    poll.ask(asked)
    await telling.note(tx, me, poll, "changed")
    return poll


async def publish(tx: AsyncSession, me: Principal, poll_id: uuid.UUID) -> Poll:
    """Open a draft to those it asks; from then on its questions stand. Raises PollPublished, NoQuestions, Invalid."""
    poll = await _locked(tx, me, poll_id)
    await units.get(tx, poll.commune)
    await _check_villages(tx, poll.commune, poll.villages)
    poll.publish(units.today())
    await telling.note(tx, me, poll, "published")
    await telling.tell(tx, poll, events.PollPublished)
    return poll


async def answer(
    tx: AsyncSession, me: Principal, poll_id: uuid.UUID, given: Mapping[int, Given], cipher: ContactCipher
) -> bool:
    """Answer for oneself, or change one's answer; returns whether it is the first. Raises NotAsked, PollNotOpen.

    The poll is locked, so that two tabs come one after the other and an answer is never behind the end of its poll.
    """
    poll = await queries.get(tx, me, poll_id, for_update=True)
    home = poll.home_of(me)
    if home is None:
        raise NotAsked()
    if not poll.accepts(units.today()):
        raise PollNotOpen()
    choices, texts = checked(poll.asked, given)
    took_part = await tx.get(Participation, (poll.id, me.subject))
    if took_part is not None:
        mine = await queries.answer_of(tx, took_part, cipher)
        if mine is None:
            raise AnswerSealed()
        mine.choices, mine.texts = choices, texts
        return False
    village = home if home != poll.commune else None
    new = PollAnswer(id=uuid.uuid4(), poll_id=poll.id, village=village, paper_no=None, choices=choices, texts=texts)
    sealed = cipher.seal(str(new.id), queries.binding(poll.id, me.subject))
    tx.add_all([new, Participation(poll_id=poll.id, account=me.subject, sealed_answer=sealed)])
    await _count(tx, poll)
    return True


async def enter_paper(
    tx: AsyncSession,
    me: Principal,
    poll_id: uuid.UUID,
    given: Mapping[int, Given],
    *,
    paper_no: int,
    village: str | None = None,
) -> None:
    """Enter the paper of somebody without an account, under the number written on it; raises PaperEntered besides."""
    poll = await queries.get(tx, me, poll_id, for_update=True)
    if not poll.may_enter(me, village):
        raise Forbidden()
    if not poll.accepts(units.today()):
        raise PollNotOpen()
    place = await units.find(tx, village) if village else None
    if village is None:
        asked = not poll.villages
    else:
        asked = place is not None and place.commune == poll.commune and village in (poll.villages or [village])
    if not asked:
        raise Invalid(field="village", message_="Xin chọn thôn của người trả lời.")
    choices, texts = checked(poll.asked, given)
    there = sa.select(PollAnswer.id).where(PollAnswer.poll_id == poll.id, PollAnswer.paper_no == paper_no)
    if await tx.scalar(there) is not None:
        raise PaperEntered(field="paper_no", number=paper_no)
    tx.add(
        PollAnswer(id=uuid.uuid4(), poll_id=poll.id, village=village, paper_no=paper_no, choices=choices, texts=texts)
    )
    poll.assisted += 1
    await telling.note(tx, me, poll, "paper_entered", paper_no=paper_no)
    await _count(tx, poll)


async def _count(tx: AsyncSession, poll: Poll) -> None:
    """One answer more. That there is one is told; how many there are is told at the end."""
    poll.answers += 1
    if poll.answers == 1:
        await telling.tell(tx, poll, events.PollAnswered)


async def end(tx: AsyncSession, me: Principal, poll_id: uuid.UUID, to: PollStatus, reason: str) -> Poll:
    """Close a poll before its last day, or withdraw it: everybody reads why. Raises PollNotOpen."""
    poll = await _locked(tx, me, poll_id)
    await _end(tx, me, poll, to, reason)
    return poll


async def close_due(tx: AsyncSession, day: date) -> int:
    """Close polls whose last day is before `day`; returns how many. Several processes share the work."""
    query = sa.select(Poll).where(Poll.status == PollStatus.OPEN, Poll.closes_on < day).order_by(Poll.closes_on)
    due = list((await tx.scalars(query.limit(AT_ONCE).with_for_update(skip_locked=True))).all())
    for poll in due:
        await _end(tx, None, poll, PollStatus.CLOSED, "")
    return len(due)


# PostgreSQL says of each row which transaction wrote it, and keeps rows in the order of time: together with the
# participations that would be the link again. Written anew in the order of their random ids, they tell neither.
_SHUFFLE = sa.text("""
    WITH kept AS (DELETE FROM poll_answer WHERE poll_id = :poll RETURNING *)
    INSERT INTO poll_answer (id, poll_id, village, paper_no, choices, texts)
    SELECT id, poll_id, village, paper_no, choices, texts FROM kept ORDER BY id
""")


async def _end(tx: AsyncSession, me: Principal | None, poll: Poll, to: PollStatus, reason: str) -> None:
    published = poll.status is not PollStatus.DRAFT
    # Closed by nobody, it ended with its last day, whenever that was noted.
    over = datetime.combine(poll.closes_on + timedelta(days=1), time(), VIETNAM)
    poll.end(to, min(now(), over) if me is None else now(), reason)
    # From here on nobody can say which answer was whose.
    await tx.execute(sa.update(Participation).where(Participation.poll_id == poll.id).values(sealed_answer=None))
    await tx.execute(_SHUFFLE, {"poll": poll.id})
    await telling.note(tx, me, poll, to.value)
    if published:
        await telling.tell(tx, poll, events.PollClosed)


async def respond(tx: AsyncSession, me: Principal, poll_id: uuid.UUID, *, text: str, on: date) -> Poll:
    """Record what the commune did about the answers, and on which day; again to correct it. Raises PollNotClosed."""
    poll = await _locked(tx, me, poll_id)
    poll.respond(text, on)
    await telling.note(tx, me, poll, "responded", on=on.isoformat())
    await telling.tell(tx, poll, events.PollResponded)
    return poll


async def follow(tx: AsyncSession, predecessor: Unit, successor: Unit) -> None:
    """A unit went over to another as a whole: its polls are that one's to end, to show and to respond to."""
    if successor.level == "village":
        if predecessor.code == successor.code:
            return
        # A code may have named another village before, elsewhere.
        here = Poll.commune.in_((predecessor.commune, successor.commune))
        query = sa.select(Poll).where(here, Poll.villages.contains([predecessor.code])).order_by(Poll.id)
        polls = (await tx.scalars(query.with_for_update())).all()
        answers = sa.update(PollAnswer).where(PollAnswer.village == predecessor.code)
        answers = answers.where(PollAnswer.poll_id.in_(sa.select(Poll.id).where(here)))
        await tx.execute(answers.values(village=successor.code).execution_options(synchronize_session=False))
        for poll in polls:
            codes = {successor.code if code == predecessor.code else code for code in poll.villages}
            poll.villages = sorted(codes)
    else:
        query = sa.select(Poll).where(Poll.path == predecessor.path).order_by(Poll.id).with_for_update()
        polls = (await tx.scalars(query)).all()
        for poll in polls:
            poll.commune, poll.path = successor.code, successor.path
    for poll in polls:
        if poll.status is not PollStatus.DRAFT:
            await telling.tell(tx, poll, events.PollPublished if poll.status is PollStatus.OPEN else events.PollClosed)


async def forget(tx: AsyncSession, account: str) -> None:
    """An account was erased: that it took part is forgotten. What was answered was never its own in any table."""
    await tx.execute(sa.delete(Participation).where(Participation.account == account))


async def _locked(tx: AsyncSession, me: Principal, poll_id: uuid.UUID) -> Poll:
    """The poll, locked, for staff of its commune."""
    poll = await queries.get(tx, me, poll_id, for_update=True)
    me.require(STAFF, poll.path)
    return poll
