"""Owns what a poll is: its questions, what may happen to it and when, and what a valid answer is.

Who took part and what was answered are two tables. While a poll is open, a sealed link leads from the one to the other,
so that people can change their answer; with the end of the poll the links are deleted.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column

from chassis import units
from chassis.auth import STAFF, Principal, covers
from chassis.db import UtcDateTime
from chassis.errors import FieldError, InvalidFields
from services.petitions.model import Base
from services.petitions.polls.errors import NoQuestions, PollNotClosed, PollNotOpen, PollPublished, TooManyQuestions

MAX_QUESTIONS = 10
MAX_OPTIONS = 12
SCALE = 5
MOST_DAYS = 366
ASKED = ("resident", "village_head")
"""The roles in which people are asked: those who live in a unit, not those who work for it."""
CLERKS = (*STAFF, "village_head")
"""Who enters what somebody without an account answered on paper."""


class Purpose(StrEnum):
    SATISFACTION = "satisfaction"
    CONSULTATION = "consultation"
    LEARNING_NEEDS = "learning_needs"
    NEW_COUNTRYSIDE = "new_countryside"


class PollStatus(StrEnum):
    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class QuestionKind(StrEnum):
    SINGLE = "single"
    MULTIPLE = "multiple"
    SCALE = "scale"
    TEXT = "text"


@dataclass(frozen=True)
class Question:
    """One question; `options` only where one is chosen from a list."""

    kind: QuestionKind
    text: str
    options: tuple[str, ...] = ()
    required: bool = True

    @property
    def most(self) -> int:
        """The highest number that can be chosen; options and marks count from 1."""
        return {QuestionKind.SCALE: SCALE, QuestionKind.TEXT: 0}.get(self.kind, len(self.options))


@dataclass(frozen=True)
class Given:
    """What was given as the answer to one question: numbers of options or the mark, or a text."""

    choices: tuple[int, ...] = ()
    text: str = ""


class Poll(Base):
    """A poll of a commune or some of its villages, open from the first to the last day, both included."""

    __tablename__ = "poll"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    commune: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    villages: Mapped[list[str]] = mapped_column(pg.ARRAY(sa.Text))
    purpose: Mapped[Purpose] = mapped_column(
        sa.Enum(Purpose, native_enum=False, values_callable=lambda e: [*e], length=16)
    )
    status: Mapped[PollStatus] = mapped_column(
        sa.Enum(PollStatus, native_enum=False, values_callable=lambda e: [*e], length=16)
    )
    title: Mapped[str] = mapped_column(sa.Text)
    introduction: Mapped[str] = mapped_column(sa.Text)
    questions: Mapped[list[dict[str, Any]]] = mapped_column(pg.JSONB)
    opens_on: Mapped[date] = mapped_column(sa.Date)
    closes_on: Mapped[date] = mapped_column(sa.Date)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str] = mapped_column(sa.Text, server_default="")
    answers: Mapped[int] = mapped_column(sa.Integer, server_default="0")
    assisted: Mapped[int] = mapped_column(sa.Integer, server_default="0")
    response: Mapped[str] = mapped_column(sa.Text, server_default="")
    responded_on: Mapped[date | None] = mapped_column(sa.Date)

    __table_args__ = (
        sa.CheckConstraint("opens_on <= closes_on", name="days"),
        sa.CheckConstraint("0 <= assisted AND assisted <= answers", name="counts"),
        sa.CheckConstraint("(response = '') = (responded_on IS NULL)", name="response"),
        sa.Index("ix_poll_commune", "commune", "id"),
        sa.Index("ix_poll_path", "path", postgresql_ops={"path": "text_pattern_ops"}),
        sa.Index("ix_poll_due", "closes_on", postgresql_where=sa.text("status = 'open'")),
    )

    @property
    def asked(self) -> list[Question]:
        """The questions in their order."""
        return [
            Question(QuestionKind(q["kind"]), q["text"], tuple(q["options"]), q["required"]) for q in self.questions
        ]

    def ask(self, questions: Sequence[Question]) -> None:
        """Give a draft these questions; raises PollPublished, TooManyQuestions."""
        self.require_draft()
        if len(questions) > MAX_QUESTIONS:
            raise TooManyQuestions(most=MAX_QUESTIONS)
        self.questions = [{**asdict(q), "options": list(q.options)} for q in questions]

    @property
    def unit(self) -> str:
        """The village where the poll is for one alone, else the commune."""
        return self.villages[0] if len(self.villages) == 1 else self.commune

    def is_staff(self, me: Principal | None) -> bool:
        return me is not None and me.may(STAFF, self.path)

    def is_visible_to(self, me: Principal | None) -> bool:
        # A draft that was thrown away has no end: nobody else ever saw it, and nobody is to see it now.
        published = self.status is not PollStatus.DRAFT and (
            self.status is PollStatus.OPEN or self.ended_at is not None
        )
        return published or self.is_staff(me)

    def shows_results_to(self, me: Principal | None) -> bool:
        """Everybody once it is over; staff while it goes on, and of one that was withdrawn."""
        return self.status is PollStatus.CLOSED or (self.status is not PollStatus.DRAFT and self.is_staff(me))

    def accepts(self, day: date) -> bool:
        """Whether it takes answers on `day`; past its last day it is over, also before somebody noted so."""
        return self.status is PollStatus.OPEN and self.opens_on <= day <= self.closes_on

    def home_of(self, me: Principal) -> str | None:
        """The unit for whose people `me` may answer: a village, or the commune; None where `me` is not asked."""
        places = [f"{self.path}/{code}" for code in self.villages] or [self.path]
        for grant in me.grants:
            if me.kind == "person" and grant.role in ASKED and any(covers(place, grant.path) for place in places):
                return grant.unit
        return None

    def may_enter(self, me: Principal | None, village: str | None) -> bool:
        """Whether `me` may enter paper answers of this village (None: of no village in particular)."""
        return me is not None and me.may(CLERKS, f"{self.path}/{village}" if village else self.path)

    def require_draft(self) -> None:
        if self.status is not PollStatus.DRAFT:
            raise PollPublished()

    def publish(self, day: date) -> None:
        """Open it, from today on at the earliest; raises PollPublished, NoQuestions, or which day is wrong."""
        self.require_draft()
        if not self.questions:
            raise NoQuestions()
        if self.closes_on < day:
            raise InvalidFields([FieldError("closes_on", "Ngày cuối đã qua. Xin chọn lại.")])
        self.status, self.opens_on = PollStatus.OPEN, max(self.opens_on, day)

    def end(self, to: PollStatus, at: datetime, reason: str = "") -> None:
        """Close or withdraw it, or throw a draft away; raises PollNotOpen."""
        may_be = (PollStatus.OPEN,) if to is PollStatus.CLOSED else (PollStatus.DRAFT, PollStatus.OPEN)
        if self.status not in may_be:
            raise PollNotOpen()
        self.ended_at = at if self.status is PollStatus.OPEN else None
        self.status, self.end_reason = to, reason

    def respond(self, text: str, on: date) -> None:
        """Say what came of it, or correct what was said; raises PollNotClosed, or which day is wrong."""
        if self.status is not PollStatus.CLOSED or not self.answers:
            raise PollNotClosed()
        if on > units.today():
            raise InvalidFields([FieldError("responded_on", "Ngày này chưa tới.")])
        if on < self.opens_on:
            raise InvalidFields([FieldError("responded_on", "Ngày này trước khi bắt đầu lấy ý kiến.")])
        self.response, self.responded_on = text, on


class Participation(Base):
    """That an account took part; `sealed_answer` names its answer until the poll ends."""

    __tablename__ = "poll_participation"

    poll_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("poll.id"), primary_key=True)
    account: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    sealed_answer: Mapped[bytes | None] = mapped_column(sa.LargeBinary)

    __table_args__ = (sa.Index("ix_poll_participation_account", "account"),)


class PollAnswer(Base):
    """What somebody answered, by number of the question; says neither who nor when. `paper_no`: entered from paper."""

    __tablename__ = "poll_answer"

    # Random and not in the order of time, as ids are elsewhere: it must not tell who answered before whom.
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    poll_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("poll.id"))
    village: Mapped[str | None] = mapped_column(sa.Text)
    paper_no: Mapped[int | None]
    choices: Mapped[dict[str, list[int]]] = mapped_column(pg.JSONB)
    texts: Mapped[dict[str, str]] = mapped_column(pg.JSONB)

    __table_args__ = (sa.UniqueConstraint("poll_id", "paper_no"),)


def checked(questions: Sequence[Question], given: Mapping[int, Given]) -> tuple[dict[str, list[int]], dict[str, str]]:
    """The choices and texts to store, by number of the question; raises InvalidFields (`q1`, `q2`, …)."""
    wrong = [FieldError(f"q{n}", "Không có câu hỏi này.") for n in given if not 1 <= n <= len(questions)]
    choices: dict[str, list[int]] = {}
    texts: dict[str, str] = {}
    for n, question in enumerate(questions, 1):
        one = given.get(n, Given())
        if question.kind is QuestionKind.TEXT:
            picked: list[int] = []
            bad = bool(one.choices)
        else:
            picked = sorted(set(one.choices))
            bad = bool(one.text) or any(not 1 <= c <= question.most for c in picked)
            bad = bad or (len(picked) > 1 and question.kind is not QuestionKind.MULTIPLE)
        if bad:
            wrong.append(FieldError(f"q{n}", "Câu trả lời không có trong danh sách lựa chọn."))
        elif question.required and not picked and not one.text:
            wrong.append(FieldError(f"q{n}", "Xin trả lời câu {n}.", {"n": n}))
        if picked:
            choices[str(n)] = picked
        elif one.text:
            texts[str(n)] = one.text
    if not wrong and not choices and not texts:
        wrong.append(FieldError("q1", "Xin trả lời ít nhất một câu."))
    if wrong:
        raise InvalidFields(wrong)
    return choices, texts
