"""The pages of petitions as a browser without JavaScript uses them."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import sqlalchemy as sa

from chassis.db import audit_table
from services.petitions.model import Draft, Petition, Photo
from tests.petitions.people import (
    API,
    DAI_SON,
    ELSEWHERE,
    HUNG_DAO,
    NGHIA_DUNG,
    NGOC_LAM,
    People,
    act,
    answered,
    file,
    picture,
)
from tests.support.running import Running, csrf


@asynccontextmanager
async def browser(app: Running, headers: dict[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of its own, signed in as the bearer of `headers`."""
    async with app.fresh_client() as client:
        if headers:
            client.cookies.set("xaso_session", headers["authorization"].removeprefix("Bearer "))
        yield client


async def post(client: httpx.AsyncClient, page: str, url: str, data: dict[str, Any], **more: Any) -> httpx.Response:
    """Open `page`, then send a form of it to `url`."""
    return await client.post(url, data={**data, "csrf_token": await csrf(client, page)}, **more)


FORM = {
    "commune": DAI_SON.code,
    "village": NGHIA_DUNG.code,
    "place": "Đầu ngõ 3",
    "description": "Cột đèn đầu ngõ gãy, dây điện sa xuống đường.",
    "category": "dien_nuoc",
    "public": "1",
}
REPORT = "/petitions/report"


async def petition_of(app: Running, code: str) -> Petition:
    async with app.tx() as tx:
        return (await tx.scalars(sa.select(Petition).where(Petition.code == code))).one()


async def test_a_resident_reports_with_photos_and_gets_a_code(app: Running, who: People) -> None:
    async with browser(app, who.resident) as client:
        files = [
            ("photos", ("a.jpg", picture(), "image/jpeg")),
            ("photos", ("b.webp", picture(format="WEBP"), "image/webp")),
        ]
        sent = await post(client, REPORT, REPORT, FORM, files=files)
        assert sent.status_code == 303, sent.text
        receipt = await client.get(sent.headers["location"])
        code = sent.headers["location"].rsplit("/", 1)[-1]
        assert f'<p class="code-large">{code}</p>' in receipt.text
        assert "Kèm 2 ảnh" in receipt.text
        shown = await client.get(f"/petitions/{code}")
        assert FORM["description"] in shown.text
        assert "Tiếp theo: xã phân công người xử lý" in shown.text
        photo = re.search(r'src="(/petitions/photos/[^"]+)"', shown.text)
        assert photo is not None
        assert (await client.get(photo[1])).headers["content-type"] == "image/jpeg"
        assert code in (await client.get("/petitions/mine")).text
    kept = await petition_of(app, code)
    assert (kept.category, kept.village, kept.place) == ("dien_nuoc", NGHIA_DUNG.code, "Đầu ngõ 3")


async def test_words_survive_a_sign_in(app: Running, who: People) -> None:
    async with browser(app) as client:
        sent = await post(
            client, f"{REPORT}?unit={DAI_SON.code}", REPORT, {**FORM, "description": "Mương thoát nước tắc."}
        )
        assert sent.status_code == 303
        assert sent.headers["location"] == "/identity/login?next=%2Fpetitions%2Freport"
        async with app.tx() as tx:
            draft = (await tx.scalars(sa.select(Draft).order_by(Draft.id.desc()))).first()
        assert draft is not None
        assert "Mương".encode() not in draft.sealed
        client.cookies.set("xaso_session", who.resident["authorization"].removeprefix("Bearer "))
        form = await client.get(REPORT)
        assert "Mương thoát nước tắc." in form.text
        assert f'value="{NGHIA_DUNG.code}" selected' in form.text
        sent = await post(client, REPORT, REPORT, {**FORM, "description": "Mương thoát nước tắc."})
        assert sent.headers["location"].startswith("/petitions/sent/PA-")
        assert "Mương" not in (await client.get(REPORT)).text
    async with app.tx() as tx:
        assert await tx.scalar(sa.select(sa.func.count()).where(Draft.id == draft.id)) == 0


async def test_the_next_person_at_a_shared_telephone_does_not_see_the_draft(app: Running, who: People) -> None:
    async with browser(app, who.resident) as client:
        files = [("photos", ("a.jpg", picture(), "image/jpeg"))]
        kept = await post(client, REPORT, REPORT, {**FORM, "description": "x", "place": "Chỗ bí mật"}, files=files)
        assert kept.headers["location"] == f"{REPORT}?check=1"
        client.cookies.set("xaso_session", who.neighbour["authorization"].removeprefix("Bearer "))
        assert "Chỗ bí mật" not in (await client.get(REPORT)).text


async def test_photos_wait_while_the_words_are_mended(app: Running, who: People) -> None:
    async with browser(app, who.resident) as client:
        files = [("photos", ("a.jpg", picture(), "image/jpeg"))]
        kept = await post(client, REPORT, REPORT, {**FORM, "description": "ừ"}, files=files)
        again = await client.get(kept.headers["location"])
        assert again.status_code == 422
        assert "1 ảnh đã tải lên" in again.text
        assert 'id="f-description-error"' in again.text
        assert "Đầu ngõ 3" in again.text
        fine = await post(client, REPORT, REPORT, {**FORM, "description": "Cây đổ chắn lối vào trường mầm non."})
        code = fine.headers["location"].rsplit("/", 1)[-1]
        assert "Kèm 1 ảnh" in (await client.get(fine.headers["location"])).text
    kept_petition = await petition_of(app, code)
    async with app.tx() as tx:
        assert await tx.scalar(sa.select(sa.func.count()).where(Photo.petition_id == kept_petition.id)) == 1


async def test_waiting_photos_can_be_taken_back(app: Running, who: People) -> None:
    async with browser(app, who.resident) as client:
        files = [("photos", ("a.jpg", picture(), "image/jpeg"))]
        await post(client, REPORT, REPORT, {**FORM, "description": "ừ"}, files=files)
        await post(client, REPORT, f"{REPORT}/photos/remove", {})
        assert "ảnh đã tải lên" not in (await client.get(REPORT)).text


async def test_similar_cases_are_shown_before_sending_and_nothing_is_lost(app: Running, who: People) -> None:
    first = await file(
        app, who.neighbour, village=NGOC_LAM.code, description="Đống rác to trước cổng trường tiểu học bốc mùi hôi thối"
    )
    await file(
        app,
        who.neighbour,
        village=NGOC_LAM.code,
        category="an_ninh",
        description="Đống rác trước cổng trường bốc mùi, tin mật",
    )
    form = {
        **FORM,
        "village": NGOC_LAM.code,
        "description": "Rác trước cổng trường tiểu học bốc mùi",
        "category": "moi_truong",
    }
    async with browser(app, who.resident) as client:
        files = [("photos", ("a.jpg", picture(), "image/jpeg"))]
        asked = await post(client, REPORT, REPORT, form, files=files)
        assert asked.status_code == 200
        assert first["code"] in asked.text
        assert "tin mật" not in asked.text
        sent = await post(client, "/petitions/", f"{REPORT}/confirm", {})
        code = sent.headers["location"].rsplit("/", 1)[-1]
        assert "Kèm 1 ảnh" in (await client.get(sent.headers["location"])).text
        twice = await post(client, "/petitions/", f"{REPORT}/confirm", {})
        assert twice.headers["location"] == REPORT
    assert (await petition_of(app, code)).description == form["description"]


async def test_what_is_wrong_stands_beside_its_field_and_keeps_what_was_typed(app: Running, who: People) -> None:
    wrong = [
        ({"description": ""}, "description", 422),
        ({"description": "Đường hỏng\x00 nặng"}, "description", 422),
        ({"village": ELSEWHERE.code}, "village", 422),
        ({"contact_phone": "số của tôi"}, "contact_phone", 422),
        ({"lat": "48.85", "lon": "2.35"}, "lat", 422),
        ({"lat": "nan", "lon": "106"}, "lat", 422),
        ({"category": "khong_co"}, "category", 422),
    ]
    async with browser(app, who.resident) as client:
        for changed, field, status in wrong:
            answer = await post(client, REPORT, REPORT, {**FORM, **changed})
            assert answer.status_code == status, (changed, answer.status_code)
            assert f"f-{field}-error" in answer.text, changed
            assert "Đầu ngõ 3" in answer.text
        for data, status in ((b"no photo", 422), (b"\xff\xd8" + b"\0" * 9_000_000, 413)):
            answer = await post(client, REPORT, REPORT, FORM, files=[("photos", ("a.jpg", data, "image/jpeg"))])
            assert answer.status_code == status
            assert "f-photos-error" in answer.text
            assert FORM["description"] in answer.text
        four = [("photos", (f"{n}.jpg", picture((20, 20)), "image/jpeg")) for n in range(4)]
        assert (await post(client, REPORT, REPORT, FORM, files=four)).status_code == 409
        nowhere = await post(client, REPORT, REPORT, {**FORM, "commune": "99999"})
        assert nowhere.status_code in (303, 422)


async def test_forms_without_their_token_are_refused(app: Running, who: People) -> None:
    petition = await answered(app, who)
    async with browser(app, who.resident) as client:
        await client.get(REPORT)
        assert (await client.post(REPORT, data=FORM)).status_code == 403
        assert (await client.post(f"/petitions/{petition['id']}/rate", data={"rating": "5"})).status_code == 403


async def test_a_form_sent_twice_files_once(app: Running, who: People) -> None:
    async with browser(app, who.resident) as client:
        token = await csrf(client, REPORT)
        data = {
            **FORM,
            "description": "Loa truyền thanh hỏng từ hôm qua.",
            "csrf_token": token,
            "idempotency_key": str(uuid.uuid4()),
        }
        first, second = await client.post(REPORT, data=data), await client.post(REPORT, data=data)
        assert first.headers["location"] == second.headers["location"]
        assert second.headers["idempotency-replayed"] == "true"


async def test_the_commune_is_found_by_name_in_any_spelling(app: Running) -> None:
    async with browser(app) as client:
        for typed in ("dai son", "Đại Sơn", unicodedata.normalize("NFD", "đại sơn")):
            found = await client.get(REPORT, params={"q": typed})
            assert f"{REPORT}?unit={DAI_SON.code}" in found.text
            assert "Huyện Tứ Kỳ" in found.text
        assert "Việc này ở xã nào" in (await client.get(REPORT)).text
        assert "Không thấy nơi nào" in (await client.get(REPORT, params={"q": "xyz"})).text


async def test_the_public_list_shows_the_unit_and_no_hidden_case(app: Running, who: People) -> None:
    shown = await file(app, who.resident, description="Biển báo trường học bị che khuất hoàn toàn.")
    hidden = await file(app, who.resident, description="Tin rất kín của một người.", category="an_ninh")
    async with browser(app) as client:
        page = await client.get("/petitions/", params={"unit": DAI_SON.code})
        assert page.status_code == 200
        assert shown["code"] in page.text
        assert hidden["code"] not in page.text
        assert "Gửi phản ánh" in page.text
        assert shown["code"] not in (await client.get("/petitions/", params={"unit": HUNG_DAO.code})).text
        found = await client.get("/petitions/", params={"q": "bien bao che khuat", "unit": DAI_SON.code})
        assert shown["code"] in found.text
        assert (
            shown["code"]
            not in (await client.get("/petitions/", params={"state": "answered", "unit": DAI_SON.code})).text
        )
        assert (await client.get("/petitions/", params={"unit": "99999"})).status_code == 404
        assert (await client.get("/petitions/", params={"after": "zzz"})).status_code == 400
        assert (await client.get(f"/petitions/{hidden['code']}")).status_code == 404
        assert (await client.get(f"/petitions/{hidden['id']}")).status_code == 404
        english = await client.get("/petitions/", params={"unit": DAI_SON.code, "lang": "en"})
        assert "Report a problem" in english.text
        assert "Gửi phản ánh" not in english.text


async def test_the_public_list_walks_on_without_gap(app: Running, who: People) -> None:
    made = {(await file(app, who.resident, commune=HUNG_DAO.code, village=ELSEWHERE.code))["code"] for _ in range(23)}
    async with browser(app) as client:
        first = await client.get("/petitions/", params={"unit": ELSEWHERE.code})
        onward = re.search(r'href="(/petitions/\?[^"]*after=[^"]*)"', first.text)
        assert onward is not None
        second = await client.get(onward[1].replace("&amp;", "&"))
        seen = set(re.findall(r"PA-\d{4}-\d+", first.text)) | set(re.findall(r"PA-\d{4}-\d+", second.text))
        assert made <= seen


async def test_the_reporter_rates_reopens_and_closes_on_the_case(app: Running, who: People) -> None:
    petition = await answered(app, who)
    url = f"/petitions/{petition['code']}"
    async with browser(app, who.resident) as client:
        assert "Xã đã vá ổ gà sáng nay." in (await client.get(url)).text
        wrong = await post(client, url, f"/petitions/{petition['id']}/rate", {"comment": "Tốt"})
        assert wrong.status_code == 422
        assert "f-rating-error" in wrong.text
        rated = await post(client, url, f"/petitions/{petition['id']}/rate", {"rating": "4", "comment": "Tốt"})
        assert rated.headers["location"] == url
        page = (await client.get(url)).text
        assert "4/5 sao" in page
        assert 'id="rate"' not in page
        short = await post(client, url, f"/petitions/{petition['id']}/reopen", {"reason": "a"})
        assert short.status_code == 422
        reopened = await post(client, url, f"/petitions/{petition['id']}/reopen", {"reason": "Ổ gà lại sụt."})
        assert reopened.status_code == 303
        assert "Đã mở lại" in (await client.get(url)).text
    async with browser(app, who.neighbour) as client:
        refused = await post(client, url, f"/petitions/{petition['id']}/close", {})
        assert refused.status_code == 403


async def test_an_officer_works_through_the_inbox(app: Running, who: People) -> None:
    petition = await file(app, who.resident, contact_phone="0912345678", description="Cống vỡ trước nhà số 5.")
    async with app.tx() as tx:
        await tx.execute(
            sa.update(Petition)
            .where(Petition.id == uuid.UUID(petition["id"]))
            .values(due_at=datetime.now(UTC) - timedelta(days=30))
        )
    case = f"/petitions/inbox/{petition['id']}"
    async with browser(app, who.officer) as client:
        inbox = (await client.get("/petitions/inbox")).text
        codes = re.findall(r"PA-\d{4}-\d+", inbox)
        assert codes[0] == petition["code"], "the latest stands first"
        assert "Quá hạn" in inbox
        assert "0912345678" not in (await client.get(case)).text
        shown = await post(client, case, f"/petitions/{petition['id']}/contact", {})
        assert "0912345678" in shown.text
        routed = await post(client, case, f"/petitions/{petition['id']}/route?late=1", {"to": "d:dia_chinh"})
        assert routed.headers["location"] == f"{case}?late=1#case"
        wrong = await post(client, case, f"/petitions/{petition['id']}/route", {"to": "o:nobody"})
        assert wrong.status_code == 422
        assert "f-to-error" in wrong.text
        empty = await post(client, case, f"/petitions/{petition['id']}/answer", {"text": ""})
        assert empty.status_code == 422
        assert "f-text-error" in empty.text
        await post(client, case, f"/petitions/{petition['id']}/note", {"note": "Hỏi thợ cống."})
        sent = await post(client, case, f"/petitions/{petition['id']}/answer", {"text": "Đã thay cống mới."})
        assert sent.status_code == 303
        page = (await client.get(case)).text
        assert "Hỏi thợ cống." in page
        assert "Đã thay cống mới." in page
        hidden = await post(client, case, f"/petitions/{petition['id']}/visibility", {})
        assert hidden.status_code == 303
        await post(client, case, f"/petitions/{petition['id']}/close", {})
        assert "Đã đóng" in (await client.get(case)).text
    assert (await petition_of(app, petition["code"])).public is False
    async with app.tx() as tx:
        actions = (
            await tx.scalars(sa.select(audit_table.c.action).where(audit_table.c.target == petition["id"]))
        ).all()
    assert sorted(actions) == [
        "petition.answered",
        "petition.closed",
        "petition.contact_read",
        "petition.note",
        "petition.routed",
        "petition.visibility",
    ]


async def test_the_inbox_is_for_the_staff_of_the_commune(app: Running, who: People) -> None:
    petition = await file(app, who.resident)
    case = f"/petitions/inbox/{petition['id']}"
    for headers in (who.resident, who.neighbour):
        async with browser(app, headers) as client:
            assert (await client.get("/petitions/inbox")).status_code == 403
            assert (await client.get("/petitions/inbox.csv")).status_code == 403
            assert (await client.get(case)).status_code == 403
    async with browser(app, who.foreign_officer) as client:
        assert petition["code"] not in (await client.get("/petitions/inbox")).text
        assert (await client.get(case)).status_code == 403
        assert (await client.get("/petitions/inbox", params={"unit": DAI_SON.code})).status_code == 403
        for action in ("route", "answer", "note", "visibility", "contact"):
            data = {"text": "Của tôi hết.", "note": "Của tôi", "to": ""}
            refused = await post(client, "/petitions/inbox", f"/petitions/{petition['id']}/{action}", data)
            assert refused.status_code == 403, action
    async with browser(app) as client:
        assert (await client.get("/petitions/inbox")).headers["location"] == "/identity/login?next=/petitions/inbox"
    async with browser(app, who.admin) as client:
        assert petition["code"] in (await client.get("/petitions/inbox", params={"q": petition["code"]})).text


async def test_filters_are_chips_that_can_be_taken_away(app: Running, who: People) -> None:
    async with browser(app, who.officer) as client:
        page = (await client.get("/petitions/inbox", params={"late": "1", "category": "giao_thong", "q": "duong"})).text
        chips = re.findall(r'<a class="chip" href="([^"]*)" aria-current="true">([^<]*)', page)
        assert {label.strip() for _, label in chips} == {"Quá hạn", "Đường sá, giao thông", "“duong”"}
        late = next(href for href, label in chips if label.startswith("Quá hạn"))
        assert "late" not in late
        assert "category=giao_thong" in late


async def test_the_export_opens_in_a_spreadsheet_and_runs_nothing(app: Running, who: People) -> None:
    petition = await file(app, who.resident, description='=HYPERLINK("http://a.example","bấm vào đây")')
    async with browser(app, who.officer) as client:
        answer = await client.get("/petitions/inbox.csv", params={"q": petition["code"]})
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0][0] == "Mã"
    assert rows[1][0] == petition["code"]
    assert rows[1][4].startswith("'=")
    assert "resident-1" not in answer.text


async def test_a_receipt_is_for_its_reporter(app: Running, who: People) -> None:
    petition = await file(app, who.resident)
    async with browser(app, who.neighbour) as client:
        assert (await client.get(f"/petitions/sent/{petition['code']}")).status_code == 404


async def test_what_others_wrote_is_text_on_every_page(app: Running, who: People) -> None:
    nasty = "<script>alert('a')</script> & <b>đậm</b>"
    petition = await file(app, who.resident, description=nasty, place="<i>ngõ</i>")
    async with browser(app, who.officer) as client:
        for url in (f"/petitions/{petition['code']}", f"/petitions/inbox/{petition['id']}", "/petitions/?unit=11074"):
            page = (await client.get(url)).text
            assert "<script>alert" not in page
            assert "&lt;script&gt;" in page


async def test_other_services_pages_are_not_shadowed_by_codes(app: Running) -> None:
    for path in ("/petitions/healthz", "/petitions/readyz", "/petitions/openapi.json"):
        assert (await app.client.get(path)).status_code == 200, path
    assert (await app.client.get("/petitions/khong-co-trang-nay")).status_code == 404
    described = (await app.client.get("/petitions/openapi.json")).json()
    assert f"{API.removeprefix('/petitions')}/{{id}}/route" in described["paths"]


async def test_an_answer_is_read_on_the_page_of_a_private_case_by_its_reporter_only(app: Running, who: People) -> None:
    petition = await file(app, who.resident, public=False)
    await act(app, who.officer, petition, "route")
    await act(app, who.officer, petition, "answer", text="Trả lời riêng cho người gửi.")
    async with browser(app, who.resident) as client:
        assert "Trả lời riêng" in (await client.get(f"/petitions/{petition['code']}")).text
    async with browser(app, who.neighbour) as client:
        assert (await client.get(f"/petitions/{petition['code']}")).status_code == 404
