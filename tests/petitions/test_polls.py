"""Polls over JSON: from the draft to what the commune made of the answers, and what is refused on the way."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from chassis import units
from chassis.db import audit_table, outbox_table
from chassis.units import VIETNAM
from services.petitions.app import close_polls
from services.petitions.polls import commands
from services.petitions.polls.model import Participation, Poll, PollAnswer
from services.petitions.polls.queries import FEWEST, shown_alone
from tests.petitions.people import DAI_SON, ELSEWHERE, HUNG_DAO, NGHIA_DUNG, NGOC_LAM, People
from tests.petitions.polling import (
    HEAD,
    POLLS,
    QUESTIONS,
    VILLAGER,
    answer,
    answered,
    closed,
    drafted,
    opened,
    poll,
    reply,
    told,
)
from tests.support.running import Running, bearer, commune, village
from tests.support.waiting import eventually

TODAY = units.today()


async def rows(app: Running, made: dict[str, Any]) -> list[PollAnswer]:
    async with app.tx() as tx:
        query = sa.select(PollAnswer).where(PollAnswer.poll_id == uuid.UUID(made["id"]))
        return list((await tx.scalars(query)).all())


async def test_a_poll_from_the_draft_to_what_was_done_about_it(app: Running, who: People) -> None:
    draft = await drafted(app, who)
    assert (draft["status"], draft["accepts_mine"], len(draft["questions"])) == ("draft", False, 4)
    address = f"{POLLS}/{draft['id']}"
    assert (await app.client.get(address)).status_code == 404
    assert (await app.client.get(address, headers=who.foreign_officer)).status_code == 404
    assert (await answer(app, who.resident, draft)).status_code == 404
    changed = poll(title="Nhu cầu học tập quý này", questions=QUESTIONS[:3], commune=HUNG_DAO.code)
    assert (await app.client.put(address, json=changed, headers=who.colleague)).json()["title"].endswith("quý này")
    assert await told(app, draft) == []
    assert (await app.client.post(f"{address}/publish", headers=who.officer)).json()["status"] == "open"
    assert (await app.client.put(address, json=changed, headers=who.officer)).json()["code"] == "poll_published"
    assert (await app.client.post(f"{address}/publish", headers=who.officer)).status_code == 409

    await answered(app, draft, 2, NGHIA_DUNG.path, text="")
    assert (await app.client.get(f"{address}/results", headers=who.resident)).json()["code"] == "results_not_yet"
    assert (await app.client.get(address)).json()["answers"] is None
    live = (await app.client.get(f"{address}/results", headers=who.officer)).json()
    assert (live["answers"], live["questions"][0]) == (2, {"number": 1, "counts": [2, 0, 0], "answered": 2})
    early = await app.client.put(
        f"{address}/response", json={"response": "Đã mở lớp.", "responded_on": TODAY.isoformat()}, headers=who.officer
    )
    assert early.json()["code"] == "poll_not_closed"

    assert (await closed(app, who, draft))["status"] == "closed"
    assert (await app.client.get(f"{address}/results")).json()["answers"] == 2
    assert (await answer(app, who.resident, draft)).json()["code"] == "poll_not_open"
    said = {"response": "Đã mở lớp tin học cho 25 người tại nhà văn hóa.", "responded_on": TODAY.isoformat()}
    assert (await app.client.put(f"{address}/response", json=said, headers=who.officer)).status_code == 200
    everybody = (await app.client.get(address)).json()
    assert (everybody["response"], everybody["responded_on"]) == (said["response"], said["responded_on"])

    events = await told(app, draft)
    assert [(name, p.status, p.answers, p.responded) for name, p in events] == [
        ("PollPublished", "open", 0, False),
        ("PollAnswered", "open", 1, False),
        ("PollClosed", "closed", 2, False),
        ("PollResponded", "closed", 2, True),
    ]
    assert {(p.unit, p.commune, p.purpose, p.assisted) for _, p in events} == {
        (DAI_SON.code, DAI_SON.code, "learning_needs", 0)
    }
    assert events[-1][1].responded_on == said["responded_on"]
    # It ended with its last day, yesterday, not when the service noted so.
    midnight = datetime.combine(TODAY, time(), VIETNAM)
    assert {p.closes_at.ToDatetime(tzinfo=UTC) for _, p in events[2:]} == {midnight}
    async with app.tx() as tx:
        c = audit_table.c
        noted = list((await tx.scalars(sa.select(c.action).where(c.target == draft["id"]).order_by(c.id))).all())
    assert noted == ["poll.drafted", "poll.changed", "poll.published", "poll.closed", "poll.responded"]


async def test_one_answer_of_one_account_that_can_be_changed_until_the_end(app: Running, who: People) -> None:
    made = await opened(app, who)
    assert (await answer(app, VILLAGER, made, text="Lớp buổi tối")).json() == {"first": True}
    assert (await answer(app, VILLAGER, made, single=2, many=())).json() == {"first": False}
    mine = await app.client.get(f"{POLLS}/{made['id']}/answer", headers=VILLAGER)
    assert mine.json()["answers"] == [
        {"question": 1, "choices": [2], "text": ""},
        {"question": 3, "choices": [4], "text": ""},
    ]
    assert (await app.client.get(f"{POLLS}/{made['id']}/answer", headers=who.resident)).status_code == 404
    [kept] = await rows(app, made)
    assert (kept.village, kept.paper_no, kept.choices, kept.texts) == (NGHIA_DUNG.code, None, {"1": [2], "3": [4]}, {})
    await closed(app, who, made)
    assert (await app.client.get(f"{POLLS}/{made['id']}/answer", headers=VILLAGER)).json() == {"answers": None}
    async with app.tx() as tx:
        query = sa.select(Participation).where(Participation.poll_id == uuid.UUID(made["id"]))
        assert [(p.account, p.sealed_answer) for p in (await tx.scalars(query)).all()] == [("villager-1", None)]


async def test_the_last_day_counts_and_the_service_ends_a_poll_by_itself(app: Running, who: People) -> None:
    made = await opened(app, who, closes_on=TODAY.isoformat())
    await answered(app, made, 1, DAI_SON.path)
    async with app.tx() as tx:
        assert await commands.close_due(tx, TODAY) == 0
        assert await commands.close_due(tx, TODAY + timedelta(days=1)) >= 1
    async with app.tx() as tx:
        past = sa.update(Poll).where(Poll.id == uuid.UUID(made["id"]))
        day = TODAY - timedelta(days=1)
        await tx.execute(past.values(status="open", opens_on=day, closes_on=day))
    assert (await answer(app, who.resident, made)).json()["code"] == "poll_not_open", "over before it is noted"
    closing = asyncio.create_task(close_polls(app.runner.runtime))

    async def closed_by_itself() -> bool:
        return bool((await app.client.get(f"{POLLS}/{made['id']}")).json()["status"] == "closed")

    await eventually(closed_by_itself)
    closing.cancel()


async def test_two_tabs_at_once_are_one_answer(app: Running, who: People) -> None:
    made = await opened(app, who)
    sent = await asyncio.gather(*(answer(app, VILLAGER, made, single=n) for n in (1, 2, 3, 1, 2)))
    assert [one.status_code for one in sent] == [200] * 5
    assert sorted(one.json()["first"] for one in sent) == [False, False, False, False, True]
    assert len(await rows(app, made)) == 1
    assert [name for name, _ in await told(app, made)] == ["PollPublished", "PollAnswered"]


async def test_neither_rows_nor_events_say_who_answered_what(app: Running, who: People) -> None:
    made = await opened(app, who)
    await answer(app, VILLAGER, made, text="Điều riêng tư")
    async with app.tx() as tx:
        for table in ("poll_answer", "poll", "audit", "outbox"):
            found = await tx.scalar(sa.text(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%villager-1%'"))
            assert found == 0, table
        [kept] = await rows(app, made)
        link = (await tx.get_one(Participation, (uuid.UUID(made["id"]), "villager-1"))).sealed_answer
        assert link
        assert kept.id.bytes not in link
        assert str(kept.id).encode() not in link
        payloads = list((await tx.scalars(sa.select(outbox_table.c.payload))).all())
    assert kept.id.version == 4
    assert not any("riêng tư".encode() in payload for payload in payloads)


async def test_paper_is_entered_under_its_number_by_who_may(app: Running, who: People) -> None:
    made = await opened(app, who)
    address = f"{POLLS}/{made['id']}/paper"

    async def enter(headers: dict[str, str], number: int, village: str | None) -> tuple[int, str]:
        body = {**reply(), "paper_no": number, "village": village}
        sent = await app.client.post(address, json=body, headers=headers)
        return sent.status_code, sent.json().get("code", "")

    assert await enter(HEAD, 1, NGHIA_DUNG.code) == (201, "")
    assert await enter(who.officer, 1, NGOC_LAM.code) == (409, "paper_entered")
    assert await enter(who.officer, 2, None) == (201, "")
    # The head of a village enters for that village alone, nobody for another commune, residents not at all.
    assert await enter(HEAD, 3, NGOC_LAM.code) == (403, "forbidden")
    assert await enter(HEAD, 3, None) == (403, "forbidden")
    assert await enter(who.resident, 3, NGHIA_DUNG.code) == (403, "forbidden")
    assert await enter(who.foreign_officer, 3, NGHIA_DUNG.code) == (403, "forbidden")
    assert (await enter(who.officer, 3, ELSEWHERE.code))[0] == 422
    of_one = await opened(app, who, villages=[NGOC_LAM.code])
    for place in (NGHIA_DUNG.code, None):
        body = {**reply(), "paper_no": 1, "village": place}
        sent = await app.client.post(f"{POLLS}/{of_one['id']}/paper", json=body, headers=who.officer)
        assert (sent.status_code, sent.json()["errors"][0]["field"]) == (422, "village")
    found = await asyncio.gather(*(enter(who.officer, 7, NGHIA_DUNG.code) for _ in range(4)))
    assert sorted(status for status, _ in found) == [201, 409, 409, 409]
    assert [p.assisted for _, p in await told(app, made)] == [0, 1]
    state = await closed(app, who, made)
    assert (state["answers"], state["assisted"]) == (3, 3)
    assert await enter(who.officer, 9, NGHIA_DUNG.code) == (409, "poll_not_open")
    async with app.tx() as tx:
        c = audit_table.c
        query = sa.select(c.actor).where(c.target == made["id"], c.action == "poll.paper_entered").order_by(c.id)
        assert list((await tx.scalars(query)).all()) == ["head-1", "officer-1", "officer-1"]


async def test_who_is_asked(app: Running, who: People) -> None:
    villages = await opened(app, who, villages=[NGOC_LAM.code])
    assert (await answer(app, VILLAGER, villages)).json()["code"] == "not_asked"
    # Somebody known to live in the commune, in no village in particular, is not taken for one of the village.
    assert (await answer(app, who.resident, villages)).json()["code"] == "not_asked"
    await answered(app, villages, 1, NGOC_LAM.path)
    assert [p.unit for _, p in await told(app, villages)] == [NGOC_LAM.code] * 2
    everybody = await opened(app, who)
    assert (await answer(app, who.officer, everybody)).json()["code"] == "not_asked"
    assert (await answer(app, bearer(("resident", ELSEWHERE.path)), everybody)).json()["code"] == "not_asked"
    partner = bearer(("resident", DAI_SON.path), kind="partner", scope="petitions.write", client_id="p")
    assert (await answer(app, partner, everybody)).json()["code"] == "not_asked"
    assert (await app.client.put(f"{POLLS}/{everybody['id']}/answer", json=reply())).status_code == 401
    assert (await answer(app, who.resident, everybody)).status_code == 200
    later = await opened(app, who, opens_on=(TODAY + timedelta(days=1)).isoformat())
    assert (await answer(app, who.resident, later)).json()["code"] == "poll_not_open"
    assert [kept.village for kept in await rows(app, villages)] == [NGOC_LAM.code]
    assert [kept.village for kept in await rows(app, everybody)] == [None], "known to live in no village in particular"


async def test_ended_early_or_taken_back_with_a_reason(app: Running, who: People) -> None:
    made, other, draft = await opened(app, who), await opened(app, who), await drafted(app, who)
    reason = {"reason": "Đã đủ người trả lời."}
    assert (await app.client.post(f"{POLLS}/{made['id']}/close", json={}, headers=who.officer)).status_code == 422
    for foreign in (who.resident, who.foreign_officer):
        sent = await app.client.post(f"{POLLS}/{made['id']}/close", json=reason, headers=foreign)
        assert sent.status_code == 403
    ended = await app.client.post(f"{POLLS}/{made['id']}/close", json=reason, headers=who.officer)
    assert (ended.json()["status"], ended.json()["end_reason"]) == ("closed", reason["reason"])
    assert (await app.client.post(f"{POLLS}/{made['id']}/close", json=reason, headers=who.officer)).status_code == 409
    # Nobody answered, so there is nothing to respond to.
    said = {"response": "Đã mở lớp.", "responded_on": TODAY.isoformat()}
    assert (await app.client.put(f"{POLLS}/{made['id']}/response", json=said, headers=who.officer)).status_code == 409
    for one in (other, draft):
        taken = await app.client.post(f"{POLLS}/{one['id']}/withdraw", json=reason, headers=who.officer)
        assert taken.json()["status"] == "withdrawn"
    assert (await app.client.get(f"{POLLS}/{other['id']}/results")).status_code == 403
    assert [(n, p.status) for n, p in await told(app, other)] == [
        ("PollPublished", "open"),
        ("PollClosed", "withdrawn"),
    ]
    assert await told(app, draft) == []


async def test_of_a_village_only_what_nobody_can_be_guessed_from(app: Running, who: People) -> None:
    made = await opened(app, who, questions=QUESTIONS[:1])

    async def some(count: int, place: str, single: int) -> None:
        body = {"answers": [{"question": 1, "choices": [single]}]}
        for _ in range(count):
            headers = bearer(("resident", place))
            sent = await app.client.put(f"{POLLS}/{made['id']}/answer", json=body, headers=headers)
            assert sent.status_code == 200, sent.text

    await some(FEWEST, NGHIA_DUNG.path, 1)
    await some(FEWEST - 1, NGOC_LAM.path, 2)
    address = f"{POLLS}/{made['id']}/results"
    # Four are left: whoever takes the one village from the whole knows the other.
    assert (await app.client.get(address, headers=who.officer)).json()["villages"] == {}
    await some(1, NGOC_LAM.path, 3)
    assert (await app.client.get(address, headers=who.officer)).json()["villages"] == {
        NGHIA_DUNG.code: 5,
        NGOC_LAM.code: 5,
    }
    one = (await app.client.get(address, params={"village": NGOC_LAM.code}, headers=who.officer)).json()
    assert (one["answers"], one["questions"][0]["counts"]) == (5, [0, 4, 1])
    missing = await app.client.get(address, params={"village": ELSEWHERE.code}, headers=who.officer)
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({}, []),
        ({None: 3}, []),
        ({"a": 5}, ["a"]),
        ({"a": 4}, []),
        ({"a": 5, "b": 9, "c": 1}, ["b"]),
        ({"a": 5, "b": 9, "c": 1, None: 4}, ["a", "b"]),
        ({"a": 5, None: 2}, []),
    ],
)
def test_villages_are_shown_where_the_rest_gives_nobody_away(counts: dict[str | None, int], shown: list[str]) -> None:
    found = shown_alone(counts)
    assert list(found) == shown
    rest = sum(counts.values()) - sum(found.values())
    assert rest == 0 or rest >= FEWEST or not found


async def test_of_few_answers_in_all_only_staff_read_what_was_said(app: Running, who: People) -> None:
    made = await opened(app, who, villages=[NGOC_LAM.code])
    await answered(app, made, FEWEST - 1, NGOC_LAM.path)
    address = f"{POLLS}/{made['id']}/results"
    await closed(app, who, made)
    for headers, questions in (({}, 0), (who.resident, 0), (who.officer, 4)):
        seen = (await app.client.get(address, headers=headers)).json()
        assert (seen["answers"], len(seen["questions"])) == (FEWEST - 1, questions)
    assert "Tin học" not in (await app.client.get(f"/petitions/polls/{made['id']}/results.csv")).text


async def test_after_the_end_not_even_the_order_of_rows_tells_whose_answer_is_whose(app: Running, who: People) -> None:
    made = await opened(app, who)
    await answered(app, made, 8, NGHIA_DUNG.path)
    paper = {**reply(), "paper_no": 4, "village": NGHIA_DUNG.code}
    assert (await app.client.post(f"{POLLS}/{made['id']}/paper", json=paper, headers=HEAD)).status_code == 201
    before = sorted((str(kept.id), kept.village, kept.paper_no, str(kept.choices)) for kept in await rows(app, made))
    await closed(app, who, made)
    assert sorted((str(k.id), k.village, k.paper_no, str(k.choices)) for k in await rows(app, made)) == before
    async with app.tx() as tx:
        query = sa.text("SELECT id, xmin::text FROM poll_answer WHERE poll_id = :poll ORDER BY ctid")
        found = (await tx.execute(query, {"poll": made["id"]})).all()
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    assert len({row[1] for row in found}) == 1, "written by the end of the poll, not by whoever answered"


async def test_a_draft_thrown_away_is_seen_by_nobody_else(app: Running, who: People) -> None:
    draft = await drafted(app, who)
    address = f"{POLLS}/{draft['id']}"
    await app.client.post(f"{address}/withdraw", json={"reason": "Thử thôi."}, headers=who.officer)
    for headers in ({}, who.resident, who.foreign_officer):
        assert (await app.client.get(address, headers=headers)).status_code == 404
    assert (await app.client.get(address, headers=who.officer)).json()["ended_at"] is None
    assert (await app.client.post(f"{address}/publish", headers=who.officer)).status_code == 409


async def test_a_draft_for_a_village_that_is_gone_is_not_published(app: Running, who: People) -> None:
    split = village(DAI_SON, 9, "Thôn Sắp Tách")
    await app.enter_units(split)
    draft = await drafted(app, who, villages=[split.code])
    await app.enter_units(replace(split, valid_to=TODAY))
    sent = await app.client.post(f"{POLLS}/{draft['id']}/publish", headers=who.officer)
    assert (sent.status_code, sent.json()["errors"][0]["field"]) == (422, "villages")


BAD_POLLS = [
    ({"title": ""}, "title"),
    ({"title": "a\u0000bcdef"}, "title"),
    ({"title": "x" * 201}, "title"),
    ({"purpose": "other"}, "purpose"),
    ({"villages": [ELSEWHERE.code]}, "villages"),
    ({"closes_on": (TODAY - timedelta(days=1)).isoformat()}, "closes_on"),
    ({"closes_on": (TODAY + timedelta(days=400)).isoformat()}, "closes_on"),
    ({"closes_on": "mai"}, "closes_on"),
    ({"questions": QUESTIONS * 3}, "questions"),
    ({"questions": [{"kind": "single", "text": "Chọn gì?", "options": ["Một"]}]}, "questions.0.options"),
    ({"questions": [{"kind": "single", "text": "Chọn gì?", "options": ["Một", "một"]}]}, "questions.0.options"),
    ({"questions": [{"kind": "file", "text": "Chọn gì?"}]}, "questions.0.kind"),
    ({"made_by": "me"}, "made_by"),
]


@pytest.mark.parametrize(("changed", "field"), BAD_POLLS)
async def test_a_bad_poll_says_what_is_wrong(app: Running, who: People, changed: Any, field: str) -> None:
    sent = await app.client.post(POLLS, json=poll(**changed), headers=who.officer)
    assert sent.status_code == 422, sent.text
    assert field in {error["field"] for error in sent.json()["errors"]}


async def test_polls_are_made_for_communes_by_their_staff(app: Running, who: People) -> None:
    for headers, code, status in (
        (who.foreign_officer, DAI_SON.code, 403),
        (who.resident, DAI_SON.code, 403),
        (HEAD, DAI_SON.code, 403),
        (who.officer, "99999", 404),
        (who.admin, "30", 422),
        (who.officer, NGHIA_DUNG.code, 422),
    ):
        sent = await app.client.post(POLLS, json=poll(commune=code), headers=headers)
        assert sent.status_code == status, (code, sent.text)
    empty = await drafted(app, who, questions=[])
    sent = await app.client.post(f"{POLLS}/{empty['id']}/publish", headers=who.officer)
    assert sent.json()["code"] == "no_questions"
    for verb, deed in (("post", "publish"), ("put", "")):
        address = f"{POLLS}/{empty['id']}/{deed}".rstrip("/")
        sent = await app.client.request(verb, address, json=poll(), headers=who.foreign_officer)
        assert sent.status_code == 404


BAD_ANSWERS: list[tuple[list[dict[str, Any]], str]] = [
    ([], "q1"),
    ([{"question": 1, "choices": [4]}, {"question": 3, "choices": [1]}], "q1"),
    ([{"question": 1, "choices": [1, 2]}, {"question": 3, "choices": [1]}], "q1"),
    ([{"question": 1, "choices": [1]}, {"question": 3, "choices": [6]}], "q3"),
    ([{"question": 1, "choices": [1]}], "q3"),
    ([{"question": 1, "text": "Tin học"}, {"question": 3, "choices": [1]}], "q1"),
    ([{"question": 1, "choices": [1]}, {"question": 3, "choices": [1]}, {"question": 5, "choices": [1]}], "q5"),
    ([{"question": 4, "text": "x" * 1001}], "answers.0.text"),
    ([{"question": 4, "text": "a\u0000"}], "answers.0.text"),
    ([{"question": 1, "choices": [0]}], "answers.0.choices.0"),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "field"), BAD_ANSWERS)
async def test_a_bad_answer_says_which_question(app: Running, who: People, answers: Any, field: str) -> None:
    made = await opened(app, who)
    sent = await app.client.put(f"{POLLS}/{made['id']}/answer", json={"answers": answers}, headers=who.resident)
    assert sent.status_code == 422, sent.text
    assert field in {error["field"] for error in sent.json()["errors"]}
    assert await rows(app, made) == []


async def test_a_response_is_of_a_day_that_was(app: Running, who: People) -> None:
    made = await opened(app, who)
    await answered(app, made, 1, DAI_SON.path)
    await closed(app, who, made)
    address = f"{POLLS}/{made['id']}/response"
    first = {"response": "Đã mở lớp.", "responded_on": (TODAY - timedelta(days=1)).isoformat()}
    assert (await app.client.put(address, json=first, headers=who.officer)).status_code == 200
    for day in (TODAY + timedelta(days=1), TODAY - timedelta(days=2)):
        sent = await app.client.put(
            address, json={"response": "Đã mở lớp.", "responded_on": day.isoformat()}, headers=who.officer
        )
        assert (sent.status_code, sent.json()["errors"][0]["field"]) == (422, "responded_on")
    said = {"response": "Đã mở lớp.", "responded_on": TODAY.isoformat()}
    assert (await app.client.put(address, json=said, headers=who.foreign_officer)).status_code == 403
    assert [state.responded_on for _, state in await told(app, made)][-1] == first["responded_on"]


async def test_lists_show_what_is_published_and_to_staff_their_drafts(app: Running, who: People) -> None:
    draft, village = await drafted(app, who), await opened(app, who, villages=[NGOC_LAM.code])
    whole = await opened(app, who, purpose="satisfaction")

    async def ids(headers: dict[str, str] | None = None, **asked: Any) -> list[str]:
        sent = await app.client.get(POLLS, params={"limit": 3, **asked}, headers=headers)
        return [one["id"] for one in sent.json()["items"]]

    assert (await ids(unit=DAI_SON.code))[:2] == [whole["id"], village["id"]]
    assert draft["id"] not in await ids(who.foreign_officer, limit=200)
    assert (await ids(who.officer, unit=DAI_SON.code)) == [whole["id"], village["id"], draft["id"]]
    assert village["id"] not in await ids(unit=NGHIA_DUNG.code, limit=200)
    assert (await ids(unit=NGOC_LAM.code))[1] == village["id"]
    assert (await ids(status="draft")) == []
    assert (await ids(purpose="satisfaction"))[0] == whole["id"]
    page = (await app.client.get(POLLS, params={"limit": 1})).json()
    more = (await app.client.get(POLLS, params={"limit": 1, "after": page["next"]})).json()
    assert [page["items"][0]["id"], more["items"][0]["id"]] == [whole["id"], village["id"]]
    assert (await app.client.get(POLLS, params={"after": "x"})).status_code == 400


async def test_an_erased_account_leaves_its_answer_and_no_trace_of_itself(app: Running, who: People) -> None:
    made = await opened(app, who)
    await answer(app, bearer(("resident", DAI_SON.path), subject="gone"), made)
    async with app.tx() as tx:
        await commands.forget(tx, "gone")
        assert await tx.scalar(sa.select(sa.func.count()).where(Participation.account == "gone")) == 0
    assert len(await rows(app, made)) == 1


async def test_polls_go_over_with_their_commune_and_its_villages(app: Running, who: People) -> None:
    old, new = commune("11601", "Xã Cũ"), commune("11602", "Xã Mới")
    before, after = village(old), village(new, 7, "Thôn Đổi Tên")
    await app.enter_units(old, new, before, after)
    made = await opened(app, who, headers=who.admin, commune=old.code, villages=[before.code])
    draft = await drafted(app, who, headers=who.admin, commune=old.code)
    await answered(app, made, 1, before.path)
    elsewhere = await opened(app, who)
    async with app.tx() as tx:
        # A village elsewhere had this code once.
        other = {"poll_id": uuid.UUID(elsewhere["id"]), "village": before.code, "choices": {"1": [1]}, "texts": {}}
        tx.add(PollAnswer(id=uuid.uuid4(), **other))
        await tx.flush()
        await commands.follow(tx, old, new)
        await commands.follow(tx, before, after)
    there = bearer(("officer", new.path), subject="officer-new")
    seen = (await app.client.get(f"{POLLS}/{made['id']}", headers=there)).json()
    assert (seen["commune"], seen["villages"], seen["answers"]) == (new.code, [after.code], 1)
    assert [kept.village for kept in await rows(app, made)] == [after.code]
    assert [kept.village for kept in await rows(app, elsewhere)] == [before.code]
    assert (await app.client.get(f"{POLLS}/{draft['id']}", headers=there)).json()["commune"] == new.code
    await answered(app, made, 1, after.path)
    assert [(p.commune, p.unit) for _, p in await told(app, made)] == [
        (old.code, before.code),
        (old.code, before.code),
        (new.code, before.code),
        (new.code, after.code),
    ]
    assert await told(app, draft) == []
