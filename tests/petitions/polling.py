"""Owns what the tests of polls share: a poll with one question of each kind, and the steps of its life over JSON."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import httpx
import sqlalchemy as sa
from xaso.petitions.v1 import events_pb2 as events

from chassis import units
from chassis.db import outbox_table
from services.petitions.polls import commands
from services.petitions.polls.model import Poll
from tests.petitions.people import DAI_SON, NGHIA_DUNG, NGOC_LAM, People
from tests.support.running import Running, bearer

POLLS = "/petitions/api/v1/polls"
QUESTIONS: list[dict[str, Any]] = [
    {"kind": "single", "text": "Chị/anh muốn học gì nhất?", "options": ["Tin học", "Chăn nuôi", "Trồng trọt"]},
    {"kind": "multiple", "text": "Học vào lúc nào?", "options": ["Sáng", "Tối", "Cuối tuần"], "required": False},
    {"kind": "scale", "text": "Các lớp đã mở hữu ích đến mức nào?"},
    {"kind": "text", "text": "Chị/anh muốn nói thêm điều gì?", "required": False},
]
VILLAGER = bearer(("resident", NGHIA_DUNG.path), subject="villager-1", name="Đỗ Thị Hoa")
HEAD = bearer(("village_head", NGHIA_DUNG.path), subject="head-1", name="Bùi Văn Khang")


def poll(**changed: Any) -> dict[str, Any]:
    today = units.today()
    return {
        "commune": DAI_SON.code,
        "purpose": "learning_needs",
        "title": "Nhu cầu học tập năm nay",
        "introduction": "Trung tâm học tập cộng đồng hỏi để mở lớp đúng nhu cầu.",
        "opens_on": today.isoformat(),
        "closes_on": (today + timedelta(days=7)).isoformat(),
        "questions": QUESTIONS,
        **changed,
    }


def reply(single: int = 1, mark: int = 4, *, many: tuple[int, ...] = (1, 2), text: str = "") -> dict[str, Any]:
    answers: list[dict[str, Any]] = [{"question": 1, "choices": [single]}, {"question": 3, "choices": [mark]}]
    answers += [{"question": 2, "choices": list(many)}] if many else []
    answers += [{"question": 4, "text": text}] if text else []
    return {"answers": answers}


async def drafted(
    app: Running, who: People, *, headers: dict[str, str] | None = None, **changed: Any
) -> dict[str, Any]:
    made = await app.client.post(POLLS, json=poll(**changed), headers=headers or who.officer)
    assert made.status_code == 201, made.text
    return dict(made.json())


async def opened(app: Running, who: People, *, headers: dict[str, str] | None = None, **changed: Any) -> dict[str, Any]:
    made = await drafted(app, who, headers=headers, **changed)
    done = await app.client.post(f"{POLLS}/{made['id']}/publish", headers=headers or who.officer)
    assert done.status_code == 200, done.text
    return dict(done.json())


async def answer(app: Running, headers: dict[str, str], made: dict[str, Any], **said: Any) -> httpx.Response:
    return await app.client.put(f"{POLLS}/{made['id']}/answer", json=reply(**said), headers=headers)


async def answered(app: Running, made: dict[str, Any], count: int, place: str, **said: Any) -> None:
    """So many answers of people who live in the unit at `place`."""
    for _ in range(count):
        sent = await answer(app, bearer(("resident", place)), made, **said)
        assert sent.json() == {"first": True}, sent.text


async def closed(app: Running, who: People, made: dict[str, Any]) -> dict[str, Any]:
    """The poll after its last day, closed as the service closes it by itself."""
    async with app.tx() as tx:
        past = units.today() - timedelta(days=1)
        await tx.execute(sa.update(Poll).where(Poll.id == uuid.UUID(made["id"])).values(opens_on=past, closes_on=past))
        assert await commands.close_due(tx, units.today()) == 1
    return dict((await app.client.get(f"{POLLS}/{made['id']}", headers=who.officer)).json())


async def told(app: Running, made: dict[str, Any]) -> list[tuple[str, events.Poll]]:
    """The events of a poll: (type, state), in order."""
    async with app.tx() as tx:
        rows = await tx.execute(
            sa.select(outbox_table).where(outbox_table.c.subject == made["id"]).order_by(outbox_table.c.sequence)
        )
        found = []
        for row in rows:
            name = row.type.rsplit(".", 1)[-1]
            found.append((name, getattr(events, name).FromString(bytes(row.payload)).poll))
            assert row.key == found[-1][1].commune
        return found


async def pages_to_look_at(app: Running, who: People) -> dict[str, list[tuple[str, str]]]:
    """Polls in every state, and their pages by who looks at them: (name, address)."""
    draft, made, over = await drafted(app, who), await opened(app, who), await opened(app, who)
    answer_of_mine = await answer(app, who.resident, over, text="Lớp buổi tối")
    assert answer_of_mine.status_code == 200, answer_of_mine.text
    for single, place in ((1, NGHIA_DUNG.path), (3, NGOC_LAM.path)):
        await answered(app, over, 5, place, single=single, mark=single + 1)
    await closed(app, who, over)
    pages = "/petitions/polls"
    return {
        "officer": [
            ("poll-desk-list", f"{pages}/desk"),
            ("poll-new", f"{pages}/new"),
            ("poll-draft", f"{pages}/{draft['id']}/desk"),
            ("poll-question", f"{pages}/{draft['id']}/questions/1"),
            ("poll-open", f"{pages}/{made['id']}/desk"),
            ("poll-paper", f"{pages}/{made['id']}/paper"),
            ("poll-over", f"{pages}/{over['id']}/desk"),
            ("poll-results-staff", f"{pages}/{over['id']}/results"),
        ],
        "resident": [("poll-answer", f"{pages}/{made['id']}"), ("poll-thanks", f"{pages}/{over['id']}/thanks")],
        "public": [
            ("polls", f"{pages}?unit={DAI_SON.code}"),
            ("poll-signed-out", f"{pages}/{made['id']}"),
            ("poll-results", f"{pages}/{over['id']}/results"),
        ],
    }
