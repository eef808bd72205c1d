"""Owns the shapes of polls in JSON and in forms: what is asked for with its limits, and what is shown to whom."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from chassis import units
from chassis.auth import Principal
from chassis.text import Line, Paragraph
from services.petitions.polls.commands import DraftPoll
from services.petitions.polls.model import (
    MAX_OPTIONS,
    MAX_QUESTIONS,
    Given,
    Poll,
    PollStatus,
    Purpose,
    Question,
    QuestionKind,
)
from services.petitions.texts import CommuneCode, VillageCode

if TYPE_CHECKING:
    # At run time these are strings with rules for pydantic; a type checker only needs to know that they are strings.
    Title = str
    Introduction = str
    Asked = str
    Option = str
    Text = str
    EndReason = str
    Done = str
else:
    Title, Introduction = Line(200, min_length=5), Paragraph(2000)
    Asked, Option, Text = Line(300, min_length=3), Line(200), Paragraph(1000)
    EndReason, Done = Paragraph(1000, min_length=5), Paragraph(4000, min_length=5)


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class QuestionIn(_In):
    """A question; `options` for `single` and `multiple` only, a mark of `scale` is 1 to 5."""

    kind: QuestionKind
    text: Asked
    options: list[Option] = Field(default=[], max_length=MAX_OPTIONS, validate_default=True)
    required: bool = True

    @field_validator("options")
    @classmethod
    def fit_the_kind(cls, options: list[str], info: ValidationInfo) -> list[str]:
        if info.data.get("kind") not in (QuestionKind.SINGLE, QuestionKind.MULTIPLE):
            return []
        if len(options) < 2:
            raise ValueError("Cần ít nhất hai lựa chọn, mỗi lựa chọn một dòng.")
        if len({option.casefold() for option in options}) < len(options):
            raise ValueError("Có hai lựa chọn giống nhau.")
        return options

    def question(self) -> Question:
        return Question(self.kind, self.text, tuple(self.options), self.required)


class PollIn(_In):
    """A draft as a whole. Both days count; `villages` empty: the whole commune is asked."""

    commune: CommuneCode
    villages: list[VillageCode] = Field(default=[], max_length=200)
    purpose: Purpose
    title: Title
    introduction: Introduction = ""
    opens_on: date | None = Field(default=None, description="Default: today in Vietnam.")
    closes_on: date
    questions: list[QuestionIn] = Field(default=[], max_length=MAX_QUESTIONS)

    def draft(self) -> DraftPoll:
        return DraftPoll(
            commune=self.commune,
            villages=tuple(self.villages),
            purpose=self.purpose,
            title=self.title,
            introduction=self.introduction,
            opens_on=self.opens_on or units.today(),
            closes_on=self.closes_on,
        )


class GivenIn(_In):
    """The answer to one question: numbers of options (of `scale` the mark), or a text."""

    question: int = Field(ge=1, le=MAX_QUESTIONS)
    choices: list[Annotated[int, Field(ge=1, le=MAX_OPTIONS)]] = Field(default=[], max_length=MAX_OPTIONS)
    text: Text = ""


class AnswersIn(_In):
    answers: list[GivenIn] = Field(max_length=MAX_QUESTIONS)

    def given(self) -> dict[int, Given]:
        return {one.question: Given(tuple(one.choices), one.text) for one in self.answers}


class PaperIn(AnswersIn):
    paper_no: int = Field(ge=1, le=1_000_000, description="The number written on the paper; each is entered once.")
    village: VillageCode | None = None


class EndIn(_In):
    reason: EndReason


class ResponseIn(_In):
    """What the commune did about the answers, and on which day."""

    response: Done
    responded_on: date


class QuestionOut(BaseModel):
    number: int
    kind: QuestionKind
    text: str
    options: list[str]
    required: bool


class PollOut(BaseModel):
    """A poll; how many answered is for everybody once it is over, for staff also before."""

    id: uuid.UUID
    commune: str
    villages: list[str]
    purpose: Purpose
    status: PollStatus
    title: str
    introduction: str
    opens_on: date
    closes_on: date
    ended_at: datetime | None
    end_reason: str
    answers: int | None
    assisted: int | None
    response: str
    responded_on: date | None
    questions: list[QuestionOut]
    accepts_mine: bool = Field(description="Whether the caller may answer now.")

    @classmethod
    def of(cls, poll: Poll, me: Principal | None) -> PollOut:
        names = set(cls.model_fields) - {"questions", "answers", "assisted", "accepts_mine"}
        shows = poll.shows_results_to(me)
        asked = enumerate(poll.asked, 1)
        return cls(
            **{name: getattr(poll, name) for name in names},
            answers=poll.answers if shows else None,
            assisted=poll.assisted if shows else None,
            questions=[
                QuestionOut(number=n, kind=q.kind, text=q.text, options=list(q.options), required=q.required)
                for n, q in asked
            ],
            accepts_mine=me is not None and poll.home_of(me) is not None and poll.accepts(units.today()),
        )


class PollsPage(BaseModel):
    items: list[PollOut]
    next: str | None


class MineOut(BaseModel):
    """One's own answer, while the poll is open; afterwards only that one took part (`answers` null)."""

    answers: list[GivenIn] | None


class DoneOut(BaseModel):
    first: bool = Field(description="Whether this was the first answer of the account; false: it was changed.")


class TallyOut(BaseModel):
    number: int
    counts: list[int] = Field(description="By option, of `scale` by mark; empty for texts.")
    answered: int


class ResultsOut(BaseModel):
    """`villages`: those with answers enough to be shown alone, and how many. `questions`: none where few answered."""

    answers: int
    assisted: int
    villages: dict[str, int]
    questions: list[TallyOut]
