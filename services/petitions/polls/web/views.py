"""What several pages of polls show in the same way: words for states, a poll's line, its questions, its breadcrumb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError, create_model
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.problems import validation_fields
from chassis.units import Unit
from chassis.web import Page
from services.petitions.polls.model import MAX_QUESTIONS, Given, Poll, PollStatus, Purpose, QuestionKind
from services.petitions.polls.shapes import GivenIn
from services.petitions.queries import unit_names

TEMPLATES = Path(__file__).parents[2] / "templates"
PAGE = 20
"""Polls on one page of a list."""

PURPOSE_WORDS = {
    Purpose.SATISFACTION: "Hài lòng về dịch vụ công, điều hành của xã",
    Purpose.CONSULTATION: "Lấy ý kiến góp ý",
    Purpose.LEARNING_NEEDS: "Nhu cầu học tập (trung tâm học tập cộng đồng)",
    Purpose.NEW_COUNTRYSIDE: "Hài lòng về kết quả xây dựng nông thôn mới",
}
KIND_WORDS = {
    QuestionKind.SINGLE: "Chọn một",
    QuestionKind.MULTIPLE: "Chọn được nhiều",
    QuestionKind.SCALE: "Cho điểm từ 1 đến 5",
    QuestionKind.TEXT: "Viết câu trả lời ngắn",
}
# Word and shape of a status; the shapes are those of the shared status chip.
STATUS_WORDS = {
    PollStatus.DRAFT: ("no_data", "Bản nháp"),
    PollStatus.OPEN: ("measured", "Đang lấy ý kiến"),
    PollStatus.CLOSED: ("met", "Đã kết thúc"),
    PollStatus.WITHDRAWN: ("not_applicable", "Đã hủy"),
}

_FIELDS: dict[str, Any] = {f"q{n}": (list[str], []) for n in range(1, MAX_QUESTIONS + 1)}
AnswerForm: type[BaseModel] = create_model("AnswerForm", **_FIELDS)
"""What the form of answers sends; which of it makes sense is for `given` and the poll's own questions to say."""


async def crumbs(tx: AsyncSession, unit: Unit | None) -> list[dict[str, str]]:
    """The breadcrumb of the shell, each part leading to the polls of that unit."""
    above = await units.breadcrumb(tx, unit) if unit else []
    return [{"code": u.code, "name": u.name, "href": f"/petitions/polls?unit={u.code}"} for u in above]


def line(poll: Poll, page: Page, me: Principal | None, names: Mapping[str, str]) -> dict[str, Any]:
    """A poll as one line of a list and as the head of its own page."""
    shape, word = STATUS_WORDS[poll.status]
    today = units.today()
    if poll.status is PollStatus.OPEN and today < poll.opens_on:
        shape, word = "no_data", "Sắp lấy ý kiến"
    commune = names.get(poll.commune, poll.commune)
    return {
        "id": poll.id,
        "title": poll.title,
        "href": f"/petitions/polls/{poll.id}",
        "purpose": page._(PURPOSE_WORDS[poll.purpose]),
        "place": ", ".join([*(names.get(code, code) for code in poll.villages), commune]),
        "shape": shape,
        "word": page._(word),
        "opens_on": poll.opens_on,
        "closes_on": poll.closes_on,
        "accepts": poll.accepts(today),
        "answers": poll.answers if poll.shows_results_to(me) else None,
        "awaited": poll.status is PollStatus.CLOSED and poll.answers > 0 and poll.responded_on is None,
    }


async def lines(tx: AsyncSession, page: Page, me: Principal | None, polls: Sequence[Poll]) -> list[dict[str, Any]]:
    """Polls as lines of a list, with the names of their places in one statement."""
    names = await unit_names(tx, {code for poll in polls for code in (poll.commune, *poll.villages)})
    return [line(poll, page, me, names) for poll in polls]


async def head(tx: AsyncSession, page: Page, me: Principal | None, poll: Poll) -> dict[str, Any]:
    """What every page of one poll shows, and what its reader may do."""
    [about] = await lines(tx, page, me, [poll])
    return {
        "poll": poll,
        "line": about,
        "questions": [
            {"name": f"q{n}", "number": n, "kind": q.kind.value, "text": q.text, "required": q.required}
            | {"options": [(option, label) for option, label in enumerate(q.options, 1)]}
            | {"kind_word": page._(KIND_WORDS[q.kind])}
            for n, q in enumerate(poll.asked, 1)
        ],
        "staff": poll.is_staff(me),
        "clerk": poll.accepts(units.today()) and any(poll.may_enter(me, code) for code in await _villages(tx, poll)),
        "unit_path": await crumbs(tx, await units.find(tx, poll.unit)),
    }


async def _villages(tx: AsyncSession, poll: Poll) -> list[str | None]:
    return [None, *(poll.villages or [unit.code for unit in await units.children(tx, poll.commune)])]


def works_here(me: Principal | None) -> bool:
    return me is not None and bool(me.roles & set(STAFF))


def given(poll: Poll, typed: Mapping[str, Any], locale: str) -> tuple[dict[int, Given], dict[str, str]]:
    """What a form of answers says, by number of the question, and what cannot be read of it, by field."""
    found: dict[int, Given] = {}
    wrong: dict[str, str] = {}
    for n, question in enumerate(poll.asked, 1):
        values = typed.get(f"q{n}") or []
        said = {"text": "\n".join(values)} if question.kind is QuestionKind.TEXT else {"choices": values}
        try:
            one = GivenIn.model_validate({"question": n, **said})
        except ValidationError as error:
            wrong[f"q{n}"] = validation_fields(error.errors(), locale)[0].message
        else:
            found[n] = Given(tuple(one.choices), one.text)
    return found, wrong
