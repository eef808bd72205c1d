"""The pages of polls without JavaScript: making one, answering it, paper, results, and what was done about them."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import timedelta
from typing import Any

import httpx
import sqlalchemy as sa

from chassis import units
from services.petitions.polls.model import PollAnswer
from tests.petitions.people import DAI_SON, NGHIA_DUNG, NGOC_LAM, People
from tests.petitions.polling import HEAD, POLLS, VILLAGER, answered, closed, opened
from tests.support.running import Running, bearer, csrf

HTML = {"accept": "text/html"}
TODAY = units.today()


async def page(app: Running, headers: dict[str, str], path: str, status: int = 200) -> str:
    answer = await app.client.get(f"/petitions/polls{path}", headers={**headers, **HTML})
    assert answer.status_code == status, answer.text[:500]
    return answer.text


async def send(app: Running, headers: dict[str, str], path: str, **form: Any) -> httpx.Response:
    mark = await csrf(app.client, "/petitions/polls")
    data = {**form, "csrf_token": mark}
    return await app.client.post(f"/petitions/polls{path}", data=data, headers={**headers, **HTML})


async def drafted(app: Running, who: People) -> str:
    """A draft made with the forms; the path of its pages."""
    form = {"commune": DAI_SON.code, "purpose": "learning_needs", "title": "Chị/anh muốn học gì?"}
    form |= {"opens_on": TODAY.isoformat(), "closes_on": (TODAY + timedelta(days=3)).isoformat()}
    made = await send(app, who.officer, "/new", **form)
    assert made.status_code == 303, made.text
    found = re.search(r"/polls(/[0-9a-f-]{36})/questions/new", made.headers["location"])
    assert found
    return found[1]


async def test_a_poll_is_made_published_answered_and_responded_to_with_forms(app: Running, who: People) -> None:
    assert "Thôn Nghĩa Dũng" in await page(app, who.officer, "/new")
    poll = await drafted(app, who)
    question = {
        "kind": "single",
        "text": "Học gì?",
        "options": "Tin học\n\n Chăn nuôi \n",
        "required": "1",
        "place": "1",
    }
    assert (await send(app, who.officer, f"{poll}/questions/new", **question)).status_code == 303
    second = {"kind": "text", "text": "Nói thêm điều gì?", "place": "1"}
    assert (await send(app, who.officer, f"{poll}/questions/new", **second)).status_code == 303
    moved = {"kind": "text", "text": "Muốn nói thêm điều gì?", "place": "2"}
    assert (await send(app, who.officer, f"{poll}/questions/1", **moved)).status_code == 303
    seen = await page(app, who.officer, f"{poll}/desk")
    assert seen.index("1. Học gì?") < seen.index("2. Muốn nói thêm điều gì?")
    assert "<li>Chăn nuôi</li>" in seen
    assert await page(app, who.resident, poll, 404)
    assert (await send(app, who.officer, f"{poll}/publish")).status_code == 303
    assert (await send(app, who.officer, f"{poll}/questions/1", **question)).status_code == 409

    assert "Chị/anh muốn học gì?" in await page(app, {}, f"?unit={DAI_SON.code}&state=open")
    assert "Đăng nhập để trả lời" in await page(app, {}, poll)
    assert 'name="q1"' in await page(app, who.resident, poll)
    missing = await send(app, who.resident, poll, q2="Lớp buổi tối")
    assert missing.status_code == 422
    assert "Xin trả lời câu 1." in missing.text
    assert "Lớp buổi tối" in missing.text, "what was typed is kept"
    sent = await send(app, who.resident, poll, q1="2", q2="Lớp buổi tối")
    assert sent.headers["location"] == f"/petitions/polls{poll}/thanks"
    assert "đã được ghi" in await page(app, who.resident, f"{poll}/thanks")
    again = await page(app, who.resident, poll)
    assert re.search(r'name="q1" value="2"[^>]* checked', again)
    assert "Sửa câu trả lời" in again
    assert await page(app, who.neighbour, f"{poll}/thanks", 404)
    assert await page(app, who.resident, f"{poll}/results", 403)

    assert (await send(app, who.officer, f"{poll}/end", to="close")).status_code == 422
    ended = await send(app, who.officer, f"{poll}/end", to="close", reason="Đã đủ người trả lời.")
    assert ended.status_code == 303
    response = {"response": "Đã mở lớp chăn nuôi.\nHai mươi người học.", "responded_on": TODAY.isoformat()}
    assert (await send(app, who.officer, f"{poll}/response", **response)).status_code == 303
    public = await page(app, {}, f"{poll}/results")
    for text in ("Đã đủ người trả lời.", "Hai mươi người học.", "Ít hơn 5 người trả lời"):
        assert text in public
    assert not any(text in public for text in ("1 người, 100%", "Lớp buổi tối"))
    staff = await page(app, who.officer, f"{poll}/results")
    assert all(text in staff for text in ("1 người, 100%", "Tin học", "Lớp buổi tối"))
    assert "Answers: 1, of them 1 with an account" in await page(app, {}, f"{poll}/results?lang=en")
    app.client.cookies.clear()


async def test_what_is_wrong_with_a_draft_stands_beside_its_field(app: Running, who: People) -> None:
    form = {"commune": DAI_SON.code, "title": "Chị", "closes_on": (TODAY - timedelta(days=2)).isoformat()}
    wrong = await send(app, who.officer, "/new", **form)
    assert wrong.status_code == 422
    assert 'id="f-title-error"' in wrong.text
    form |= {"title": "Chị/anh muốn học gì?", "purpose": "consultation"}
    assert "Ngày cuối phải sau ngày đầu." in (await send(app, who.officer, "/new", **form)).text
    poll = await drafted(app, who)
    lone = await send(
        app, who.officer, f"{poll}/questions/new", kind="single", text="Học gì?", options="Một", place="1"
    )
    assert lone.status_code == 422
    assert "Cần ít nhất hai lựa chọn" in lone.text
    assert "Cần ít nhất một câu hỏi" in (await send(app, who.officer, f"{poll}/publish")).text
    assert (await send(app, who.officer, f"{poll}/questions/4/remove")).status_code == 404
    assert (await send(app, who.officer, f"{poll}/end", to="withdraw", reason="Thử thôi.")).status_code == 303
    assert "Thử thôi." in await page(app, who.officer, f"{poll}/desk")


async def test_desk_and_forms_are_for_those_who_work_there(app: Running, who: People) -> None:
    poll = await drafted(app, who)
    for headers in (who.resident, HEAD):
        assert await page(app, headers, "/desk", 403)
        assert await page(app, headers, "/new", 403)
    assert await page(app, who.foreign_officer, f"/new?unit={DAI_SON.code}", 403)
    assert poll not in await page(app, who.foreign_officer, "/desk")
    assert poll in await page(app, who.officer, "/desk")
    for unit in ("", "?unit=30", f"?unit={DAI_SON.parent}"):
        assert "Lấy ý kiến ở xã nào?" in await page(app, who.admin, f"/new{unit}")
    assert f'name="commune" value="{DAI_SON.code}"' in await page(app, who.admin, f"/new?unit={NGHIA_DUNG.code}")
    made = await send(app, who.foreign_officer, "/new", commune=DAI_SON.code, title="")
    assert made.status_code == 403


async def test_a_head_enters_papers_of_the_own_village(app: Running, who: People) -> None:
    made = await opened(app, who)
    poll = f"/{made['id']}"
    assert f"{poll}/paper" in await page(app, HEAD, poll)
    form = await page(app, HEAD, f"{poll}/paper")
    assert NGHIA_DUNG.code in form
    assert NGOC_LAM.code not in form
    assert await page(app, who.resident, f"{poll}/paper", 403)
    paper = {"q1": "1", "q2": ["1", "3"], "q3": "5", "village": NGHIA_DUNG.code}
    assert (await send(app, HEAD, f"{poll}/paper", **paper, paper_no="1")).status_code == 303
    double = await send(app, HEAD, f"{poll}/paper", **paper, paper_no="1")
    assert double.status_code == 422
    assert "Phiếu giấy số 1 đã nhập rồi." in double.text
    assert 'name="paper_no" type="number" value="2"' in await page(app, HEAD, f"{poll}/paper")
    assert (await send(app, HEAD, f"{poll}/paper", q1="1", q3="5", paper_no="x")).status_code == 422
    async with app.tx() as tx:
        kept = (await tx.scalars(sa.select(PollAnswer).where(PollAnswer.poll_id == uuid.UUID(made["id"])))).all()
    assert [(k.choices, k.village, k.paper_no) for k in kept] == [
        ({"1": [1], "2": [1, 3], "3": [5]}, NGHIA_DUNG.code, 1)
    ]


async def test_answers_that_come_at_once_are_all_counted(app: Running, who: People) -> None:
    made = await opened(app, who)
    people = [VILLAGER, VILLAGER, *(bearer(("resident", DAI_SON.path)) for _ in range(6))]
    sent = await asyncio.gather(*(send(app, one, f"/{made['id']}", q1="1", q3="2") for one in people))
    assert {one.status_code for one in sent} == {303}
    seen = await page(app, who.officer, f"/{made['id']}/desk")
    assert "7 người đã trả lời, trong đó 0 phiếu giấy." in seen


async def test_results_as_a_table_are_safe_to_open_and_hold_texts_for_staff_only(app: Running, who: People) -> None:
    made = await opened(app, who)
    await answered(app, made, 5, NGHIA_DUNG.path, text="=HYPERLINK(1)")
    poll = f"/{made['id']}"
    assert await page(app, VILLAGER, f"{poll}/results.csv", 403)
    await closed(app, who, made)
    public = await page(app, {}, f"{poll}/results.csv")
    assert "1,Chị/anh muốn học gì nhất?,Tin học,5,5,100%" in public.splitlines()
    assert "HYPERLINK" not in public
    assert ",'=HYPERLINK(1)," in await page(app, who.officer, f"{poll}/results.csv")
    one = await page(app, {}, f"{poll}/results?village={NGHIA_DUNG.code}")
    assert "5 người ở Thôn Nghĩa Dũng đã trả lời." in one
    of_village = f"{poll}/results.csv?village={NGHIA_DUNG.code}"
    assert "HYPERLINK" not in await page(app, who.officer, of_village), "texts are of the whole, not of a village"
    assert "HYPERLINK" not in await page(app, who.officer, f"{poll}/results?village={NGHIA_DUNG.code}")
    assert await page(app, {}, f"{poll}/results?village={NGOC_LAM.code}", 404)
    assert (await app.client.get(f"/petitions/polls{poll}", headers=HTML)).headers["location"].endswith("/results")


async def test_a_poll_says_why_one_cannot_answer(app: Running, who: People) -> None:
    made = await opened(app, who, villages=[NGOC_LAM.code], opens_on=(TODAY + timedelta(days=1)).isoformat())
    assert "Sắp lấy ý kiến" in await page(app, {}, f"?unit={NGOC_LAM.code}")
    assert 'name="q1"' not in await page(app, bearer(("resident", NGOC_LAM.path)), f"/{made['id']}")
    other = await opened(app, who, villages=[NGOC_LAM.code])
    assert "dành cho người dân Thôn Ngọc Lâm" in await page(app, VILLAGER, f"/{other['id']}")
    assert (await send(app, VILLAGER, f"/{other['id']}", q1="1", q3="1")).status_code == 403
    withdrawn = await app.client.post(
        f"{POLLS}/{other['id']}/withdraw", json={"reason": "Hỏi nhầm thôn."}, headers=who.officer
    )
    assert withdrawn.status_code == 200
    assert "Hỏi nhầm thôn." in await page(app, {}, f"/{other['id']}")
