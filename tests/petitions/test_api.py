"""The life of a petition over JSON: who may do what, what is published, and how bad input is refused."""

from __future__ import annotations

import asyncio
import io
import unicodedata
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from PIL import Image

from chassis.db import audit_table, outbox_table
from chassis.units import VIETNAM
from services.petitions.model import Petition
from services.petitions.sla import calendar, known_categories
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
    events_of,
    file,
    picture,
    report,
)
from tests.support.running import Running, bearer


async def stored(app: Running, petition: dict[str, Any]) -> Petition:
    async with app.tx() as tx:
        return (await tx.scalars(sa.select(Petition).where(Petition.id == uuid.UUID(petition["id"])))).one()


async def count(app: Running) -> tuple[int, int]:
    async with app.tx() as tx:
        petitions = await tx.scalar(sa.select(sa.func.count()).select_from(Petition))
        events = await tx.scalar(sa.select(sa.func.count()).select_from(outbox_table))
        return int(petitions or 0), int(events or 0)


async def test_a_petition_goes_from_filed_to_rated_and_every_step_leaves_one_event(app: Running, who: People) -> None:
    petition = await file(app, who.resident)
    assert petition["status"] == "filed"
    assert petition["code"].startswith(f"PA-{datetime.now(VIETNAM).year}-")
    routed = await act(app, who.officer, petition, "route", department="dia_chinh", note="Chị Lan xem giúp.")
    assert routed.json()["department"] == "dia_chinh"
    await act(app, who.officer, petition, "answer", text="Xã đã vá ổ gà sáng nay.")
    await act(app, who.resident, petition, "rate", rating=5, comment="Nhanh, cảm ơn.")
    closed = await act(app, who.officer, petition, "close")
    assert closed.status_code == 200, closed.text
    seen = (await app.client.get(f"{API}/{petition['code']}", headers=who.resident)).json()
    assert seen["status"] == "closed"
    assert [line["kind"] for line in seen["timeline"]] == ["routed", "answered", "rated", "closed"]
    assert seen["due_at"] == petition["due_at"]
    published = await events_of(app, petition)
    assert [name for name, _, _ in published] == [
        "PetitionFiled",
        "PetitionRouted",
        "PetitionAnswered",
        "PetitionRated",
        "PetitionClosed",
    ]
    assert [row.sequence for _, _, row in published] == [1, 2, 3, 4, 5]
    assert {(row.key, row.unit, row.topic) for _, _, row in published} == {
        (DAI_SON.code, NGHIA_DUNG.code, "xaso.petitions.v1")
    }
    state = published[-1][1]
    assert (state.status, state.rating, state.village, state.code) == ("closed", 5, NGHIA_DUNG.code, petition["code"])
    assert state.HasField("answered_at")
    assert state.HasField("closed_at")


async def test_nothing_personal_leaves_in_an_event_or_in_the_audit_log(app: Running, who: People) -> None:
    petition = await file(app, who.resident, contact_phone="0912 345 678", description="Bà Bảy kể: rác đổ ra mương.")
    await act(app, who.officer, petition, "route")
    for _, _, row in await events_of(app, petition):
        for secret in ("0912", "345678", "Bà Bảy", "resident-1", "Nguyễn Thị An", "officer-1"):
            assert secret.encode() not in bytes(row.payload)
    async with app.tx() as tx:
        rows = (await tx.execute(sa.select(audit_table).where(audit_table.c.target == petition["id"]))).all()
    assert [row.action for row in rows] == ["petition.routed"]
    assert "0912" not in str(rows)
    kept = await stored(app, petition)
    assert kept.contact_phone is not None
    assert b"0912345678" not in kept.contact_phone


async def test_the_deadline_is_the_categorys_and_no_change_moves_it(app: Running, who: People) -> None:
    petition = await answered(app, who, category="dien_nuoc")
    filed_at = datetime.fromisoformat(petition["filed_at"])
    due = calendar().due(filed_at, known_categories()["dien_nuoc"].days)
    assert datetime.fromisoformat(petition["due_at"]) == due
    reopened = await act(app, who.resident, petition, "reopen", reason="Đèn lại tắt rồi.")
    assert reopened.status_code == 200, reopened.text
    again = await act(app, who.officer, petition, "route", department="dia_chinh")
    assert datetime.fromisoformat(again.json()["due_at"]) == due
    assert [name for name, _, _ in await events_of(app, petition)][-2:] == ["PetitionReopened", "PetitionRouted"]
    state = (await events_of(app, petition))[-2][1]
    assert state.status == "reopened"
    assert not state.HasField("answered_at")


async def test_a_security_tip_is_read_by_its_reporter_and_the_communes_staff_only(app: Running, who: People) -> None:
    tip = await file(
        app, who.resident, category="an_ninh", public=True, description="Có người lạ rình nhà kho đêm qua."
    )
    assert tip["public"] is False
    for headers in (
        who.neighbour,
        who.foreign_officer,
        {},
        bearer(("viewer", "30")),
        bearer(("village_head", DAI_SON.path)),
    ):
        assert (await app.client.get(f"{API}/{tip['id']}", headers=headers)).status_code == 404
        listed = await app.client.get(API, params={"unit": DAI_SON.code, "limit": 200}, headers=headers)
        assert tip["id"] not in listed.text
    for headers in (who.resident, who.officer, who.admin):
        assert (await app.client.get(f"{API}/{tip['id']}", headers=headers)).status_code == 200
    refused = await act(app, who.officer, tip, "visibility", public=True)
    assert refused.status_code == 422


async def test_what_a_reporter_keeps_private_stays_so(app: Running, who: People) -> None:
    kept = await file(app, who.resident, public=False)
    assert (await app.client.get(f"{API}/{kept['code']}", headers=who.neighbour)).status_code == 404
    assert (await app.client.get(f"{API}/{kept['code']}")).status_code == 404
    assert (await app.client.get(f"{API}/{kept['code']}", headers=who.officer)).status_code == 200


async def test_the_public_sees_no_notes_no_assignee_and_no_comment(app: Running, who: People) -> None:
    petition = await answered(app, who)
    await act(app, who.officer, petition, "notes", text="Nhà này hay kiện.")
    await act(app, who.resident, petition, "rate", rating=2, comment="Còn đọng nước trước nhà tôi.")
    public = (await app.client.get(f"{API}/{petition['id']}")).text
    assert "hay kiện" not in public
    assert "officer-1" not in public
    assert "trước nhà tôi" not in public
    mine = (await app.client.get(f"{API}/{petition['id']}", headers=who.resident)).text
    assert "hay kiện" not in mine
    assert "trước nhà tôi" in mine
    staff = (await app.client.get(f"{API}/{petition['id']}", headers=who.officer)).text
    assert "hay kiện" in staff


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("route", {}),
    ("answer", {"text": "Đã xem xét xong."}),
    ("close", {}),
    ("reopen", {"reason": "Chưa xong đâu."}),
    ("rate", {"rating": 3}),
    ("notes", {"text": "Ghi chú"}),
    ("visibility", {"public": False}),
]


@pytest.mark.parametrize(("action", "body"), WRITES, ids=[w[0] for w in WRITES])
async def test_strangers_change_nothing(app: Running, who: People, action: str, body: dict[str, Any]) -> None:
    open_case, hidden = await answered(app, who), await answered(app, who, public=False)
    before = await count(app)
    for headers in (
        who.foreign_officer,
        who.neighbour,
        bearer(("viewer", "30")),
        bearer(("village_head", NGHIA_DUNG.path)),
        bearer(("officer", DAI_SON.path + "5")),
        who.hotline,
    ):
        assert (await act(app, headers, open_case, action, **body)).status_code == 403
        assert (await act(app, headers, hidden, action, **body)).status_code == 404
    assert (await act(app, {}, open_case, action, **body)).status_code == 401
    assert await count(app) == before


async def test_a_reporter_does_not_route_or_answer_their_own_petition(app: Running, who: People) -> None:
    petition = await file(app, who.resident)
    assert (await act(app, who.resident, petition, "route")).status_code == 403
    assert (await act(app, who.resident, petition, "answer", text="Tự trả lời.")).status_code == 403
    assert (await act(app, who.officer, petition, "rate", rating=5)).status_code == 403


async def test_an_action_out_of_turn_is_a_conflict_in_words(app: Running, who: People) -> None:
    petition = await file(app, who.resident)
    early = await act(app, who.officer, petition, "answer", text="Chưa phân công đã trả lời.")
    assert (early.status_code, early.json()["code"]) == (409, "action_not_possible")
    rated = await act(app, who.resident, petition, "rate", rating=5)
    assert (rated.status_code, rated.json()["code"]) == (409, "not_answered_yet")
    done = await answered(app, who)
    assert (await act(app, who.resident, done, "close")).status_code == 200
    closed = await act(app, who.officer, done, "close")
    assert (closed.status_code, closed.json()["code"]) == (409, "petition_closed")
    assert (await act(app, who.resident, done, "rate", rating=1)).status_code == 200
    twice = await act(app, who.resident, done, "rate", rating=5)
    assert (twice.status_code, twice.json()["code"]) == (409, "already_rated")


async def test_a_case_closed_long_ago_is_not_reopened(app: Running, who: People) -> None:
    petition = await answered(app, who)
    await act(app, who.officer, petition, "close")
    async with app.tx() as tx:
        await tx.execute(
            sa.update(Petition)
            .where(Petition.id == uuid.UUID(petition["id"]))
            .values(closed_at=datetime.now(UTC) - timedelta(days=15, minutes=1))
        )
    late = await act(app, who.resident, petition, "reopen", reason="Lại hỏng rồi.")
    assert (late.status_code, late.json()["code"]) == (409, "reopen_too_late")
    assert "15" in late.json()["detail"]


async def test_two_officers_answering_at_once_give_one_answer(app: Running, who: People) -> None:
    petition = await file(app, who.resident)
    await act(app, who.officer, petition, "route")
    both = await asyncio.gather(
        act(app, who.officer, petition, "answer", text="Trả lời thứ nhất."),
        act(app, who.colleague, petition, "answer", text="Trả lời thứ hai."),
    )
    assert sorted(answer.status_code for answer in both) == [200, 409]
    names = [name for name, _, _ in await events_of(app, petition)]
    assert names.count("PetitionAnswered") == 1


async def test_a_case_goes_to_a_colleague_who_works_here_and_to_nobody_else(app: Running, who: People) -> None:
    first, second = await file(app, who.resident), await file(app, who.resident)
    await act(app, who.colleague, first, "route")
    handed = await act(app, who.officer, second, "route", assignee="officer-2")
    assert handed.json()["assignee"] == "officer-2"
    other = await file(app, who.resident, commune=HUNG_DAO.code, village=None)
    await act(app, who.foreign_officer, other, "route")
    refused = await act(app, who.officer, second, "route", assignee="officer-9")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "assignee"
    unknown = await act(app, who.officer, second, "route", department="bo_ngoai_giao")
    assert unknown.json()["errors"][0]["field"] == "department"


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("no category", {"category": None}, "category"),
    ("unknown category", {"category": "chuyen_nha"}, "category"),
    ("no place at all", {"commune": None, "village": None}, "commune"),
    ("unknown commune", {"commune": "99999", "village": None}, "commune"),
    ("a district for a commune", {"commune": "298", "village": None}, "commune"),
    ("a village for a commune", {"commune": NGHIA_DUNG.code, "village": None}, "commune"),
    ("unknown village", {"village": "11074-99"}, "village"),
    ("village of another commune", {"village": ELSEWHERE.code}, "village"),
    ("NUL", {"description": "Đường hỏng\x00 nặng"}, "description"),
    ("control character", {"place": "ngõ\x1b[31m 3"}, "place"),
    ("line break in a line", {"place": "ngõ 3\nThôn khác"}, "place"),
    ("empty words", {"description": "     "}, "description"),
    ("too many words", {"description": "a" * 2001}, "description"),
    ("half a position", {"lat": 20.8}, "lat"),
    ("position abroad", {"lat": 48.85, "lon": 2.35}, "lat"),
    ("position off the globe", {"lat": 200, "lon": 106}, "lat"),
    ("no number", {"contact_phone": "gọi tôi nhé"}, "contact_phone"),
    ("unknown channel", {"channel": "fax"}, "channel"),
    ("foreign field", {"status": "closed"}, "status"),
    ("a resident with a time of receipt", {"received_at": "2026-11-20T08:00:00+07:00"}, "received_at"),
    ("a time without zone", {"received_at": "2026-11-20T08:00:00"}, "received_at"),
]


@pytest.mark.parametrize(("name", "changed", "field"), BAD, ids=[b[0] for b in BAD])
async def test_bad_input_is_named_and_leaves_nothing(
    app: Running, who: People, name: str, changed: dict[str, Any], field: str
) -> None:
    before = await count(app)
    answer = await app.client.post(API, json=report(**changed), headers=who.resident)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert field in {error["field"] for error in answer.json()["errors"]}
    assert await count(app) == before


async def test_malformed_and_oversized_bodies_are_refused(app: Running, who: People) -> None:
    headers = {**who.resident, "content-type": "application/json"}
    assert (await app.client.post(API, content=b"{", headers=headers)).status_code == 400
    assert (await app.client.post(API, content=b"[]", headers=headers)).status_code == 422
    big = await app.client.post(API, content=b"x" * 10_000_000, headers=headers)
    assert big.status_code == 413
    assert (await app.client.post(API, json=report())).status_code == 401


async def test_decomposed_vietnamese_is_kept_composed_and_found_however_it_is_typed(app: Running, who: People) -> None:
    words = "Cầu ao bị sạt lở sau mưa bão"
    petition = await file(app, who.resident, description=unicodedata.normalize("NFD", words))
    assert petition["description"] == words
    for typed in ("cau ao sat lo", "CẦU AO", unicodedata.normalize("NFD", "sạt lở"), petition["code"].lower()):
        found = (await app.client.get(API, params={"q": typed})).json()["items"]
        assert petition["id"] in {item["id"] for item in found}, typed
    assert (await app.client.get(API, params={"q": "cầu vượt trên cao"})).json()["items"] == []
    assert (await app.client.get(API, params={"q": "100%_"})).json()["items"] == []


async def test_a_replayed_request_files_once_and_answers_the_same(app: Running, who: People) -> None:
    key = {"idempotency-key": str(uuid.uuid4())}
    before = await count(app)
    answers = await asyncio.gather(
        *(app.client.post(API, json=report(), headers={**who.resident, **key}) for _ in range(4))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["code"] for answer in answers}) == 1
    assert await count(app) == (before[0] + 1, before[1] + 1)
    other = await app.client.post(API, json=report(place="Chỗ khác"), headers={**who.resident, **key})
    assert other.json()["code"] == "idempotency_key_reused"


async def test_a_hotline_files_with_its_time_of_receipt(app: Running, who: People) -> None:
    received = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    filed = await file(app, who.hotline, channel="phone", received_at=received.isoformat(), contact_phone="0912345678")
    assert filed["channel"] == "phone"
    assert datetime.fromisoformat(filed["filed_at"]) == received
    assert datetime.fromisoformat(filed["due_at"]) == calendar().due(received, 5)
    for wrong in (datetime.now(UTC) + timedelta(minutes=6), datetime.now(UTC) - timedelta(days=8)):
        refused = await app.client.post(API, json=report(received_at=wrong.isoformat()), headers=who.hotline)
        assert refused.json()["errors"][0]["field"] == "received_at"
    reader = bearer(("partner", "30"), kind="partner", scope="petitions.read")
    assert (await app.client.post(API, json=report(), headers=reader)).status_code == 403
    elsewhere = bearer(("partner", HUNG_DAO.path), kind="partner", scope="petitions.write")
    assert (await app.client.post(API, json=report(), headers=elsewhere)).status_code == 403


async def test_a_token_without_the_scope_reads_and_writes_nothing(app: Running, who: People) -> None:
    petition = await answered(app, who)
    foreign_app = bearer(("resident", DAI_SON.path), subject="resident-1", scope="openid profile")
    assert (await app.client.get(f"{API}/{petition['id']}", headers=foreign_app)).json()["code"] == "scope_missing"
    assert (await app.client.get(API, headers=foreign_app)).status_code == 403
    assert (await app.client.post(API, json=report(), headers=foreign_app)).status_code == 403
    for action, body in WRITES:
        assert (await act(app, foreign_app, petition, action, **body)).status_code == 403
    reading = bearer(("officer", DAI_SON.path), scope="petitions.read")
    assert (await app.client.get(f"{API}/{petition['id']}", headers=reading)).status_code == 200
    assert (await act(app, reading, petition, "close")).status_code == 403


async def test_staff_take_down_a_call_for_their_own_commune_only(app: Running, who: People) -> None:
    taken = await file(app, who.officer, channel="phone", contact_phone="0912345678")
    assert (taken["channel"], taken["mine"]) == ("phone", False)
    assert (await stored(app, taken)).reporter is None
    foreign = await app.client.post(API, json=report(channel="phone"), headers=who.foreign_officer)
    assert foreign.status_code == 403
    resident = await app.client.post(API, json=report(channel="phone"), headers=who.resident)
    assert resident.status_code == 403


async def test_lists_are_paged_without_gap_or_double(app: Running, who: People) -> None:
    made = [await file(app, who.resident, village=NGOC_LAM.code) for _ in range(7)]
    for order in ("newest", "due"):
        seen: list[str] = []
        after = None
        while True:
            params = {"unit": NGOC_LAM.code, "limit": 3, "order": order, **({"after": after} if after else {})}
            page = (await app.client.get(API, params=params, headers=who.officer)).json()
            seen += [item["id"] for item in page["items"]]
            after = page["next"]
            if after is None:
                break
        assert sorted(seen) == sorted(item["id"] for item in made)
    for bad in ("!!", "W10", "WzEsMl0", "bnVsbA"):
        assert (await app.client.get(API, params={"after": bad})).status_code == 400
    assert (await app.client.get(API, params={"limit": 0})).status_code == 422
    assert (await app.client.get(API, params={"unit": "99999"})).status_code == 404


async def test_lists_are_narrowed(app: Running, who: People) -> None:
    late = await file(app, who.resident, village=NGOC_LAM.code, category="nong_nghiep")
    async with app.tx() as tx:
        await tx.execute(
            sa.update(Petition)
            .where(Petition.id == uuid.UUID(late["id"]))
            .values(due_at=datetime.now(UTC) - timedelta(days=1))
        )

    async def ids(headers: dict[str, str], **params: Any) -> set[str]:
        answer = await app.client.get(API, params={"limit": 200, **params}, headers=headers)
        return {item["id"] for item in answer.json()["items"]}

    assert await ids(who.officer, late=True) == {late["id"]}
    assert late["id"] in await ids(who.resident, mine=True)
    assert await ids(who.neighbour, mine=True) == set()
    assert await ids({}, mine=True) == set()
    assert late["id"] in await ids({}, category="nong_nghiep", status="filed", unit="298")
    assert late["id"] not in await ids({}, unit=HUNG_DAO.code)
    await act(app, who.colleague, late, "route")
    assert late["id"] in await ids(who.colleague, assigned_to_me=True)
    assert late["id"] not in await ids(who.officer, assigned_to_me=True)


async def test_photos_are_added_while_nobody_has_taken_the_case_up(app: Running, who: People) -> None:
    petition = await file(app, who.resident)
    url = f"{API}/{petition['id']}/photos"
    exif = Image.Exif()
    exif[0x010F] = "May anh"
    sent = [
        ("photos", ("a.jpg", picture(exif=exif), "image/jpeg")),
        ("photos", ("b.png", picture(format="PNG"), "image/png")),
    ]
    added = await app.client.post(url, files=sent, headers=who.resident)
    assert added.status_code == 201, added.text
    first = added.json()["items"][0]
    shown = await app.client.get(first["href"])
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert dict(Image.open(io.BytesIO(shown.content)).getexif()) == {}
    assert Image.open(io.BytesIO((await app.client.get(first["thumb_href"])).content)).size == (480, 320)
    too_many = await app.client.post(url, files=sent, headers=who.resident)
    assert (too_many.status_code, too_many.json()["code"]) == (409, "too_many_photos")
    assert (await app.client.post(url, files=sent, headers=who.neighbour)).status_code == 403
    assert (await app.client.post(url, files=sent, headers=who.officer)).status_code == 403
    await act(app, who.officer, petition, "route")
    late = await app.client.post(url, files=sent[:1], headers=who.resident)
    assert (late.status_code, late.json()["code"]) == (409, "photos_no_longer_taken")
    assert len((await app.client.get(f"{API}/{petition['id']}")).json()["photos"]) == 2


async def test_what_is_no_photo_is_refused_and_a_hidden_petitions_photo_is_hidden(app: Running, who: People) -> None:
    petition = await file(app, who.resident, category="an_ninh")
    url = f"{API}/{petition['id']}/photos"

    async def send(data: bytes, name: str = "a.jpg") -> tuple[int, str]:
        answer = await app.client.post(url, files=[("photos", (name, data, "image/jpeg"))], headers=who.resident)
        return answer.status_code, answer.text

    assert (await send(b"<script>alert(1)</script>"))[0] == 422
    assert (await send(b"\xff\xd8" + b"\0" * 9_000_000))[0] == 413
    assert (await send(b"x" * 30_000_000))[0] == 413
    assert (await send(picture()))[0] == 201
    href = (await app.client.get(f"{API}/{petition['id']}", headers=who.resident)).json()["photos"][0]["href"]
    assert (await app.client.get(href, headers=who.officer)).status_code == 200
    for headers in ({}, who.neighbour, who.foreign_officer):
        assert (await app.client.get(href, headers=headers)).status_code == 404


@pytest.mark.parametrize(
    "id",
    ["5f0c2a4e-6d0b-4f57-9a53-2f1f8f3f9b11", "PA-2026-999999", "PA-2026-1", "khong-co", "0", "%00", "..", "a" * 60],
)
async def test_what_does_not_exist_is_not_found(app: Running, who: People, id: str) -> None:
    answer = await app.client.get(f"{API}/{id}", headers=who.officer)
    assert answer.status_code in (400, 404, 422)
    assert (await app.client.post(f"{API}/{id}/route", json={}, headers=who.officer)).status_code in (
        400,
        404,
        405,
        422,
    )


async def test_numbers_are_long_enough_to_tell_apart_and_never_twice(app: Running, who: People) -> None:
    filed = await asyncio.gather(*(file(app, who.resident) for _ in range(12)))
    codes = {petition["code"] for petition in filed}
    assert len(codes) == 12
    assert all(len(code) == len("PA-2026-000123") for code in codes)
    async with app.tx() as tx:
        await tx.execute(sa.text("SELECT setval('petition_number', 1234566)"))
        assert await tx.scalar(sa.text("SELECT petition_code(2026)")) == "PA-2026-1234567"


async def test_filing_is_one_statement(app: Running, who: People) -> None:
    await file(app, who.resident)
    said: list[str] = []
    engine = app.runner.runtime.engine.sync_engine

    def hear(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        said.append(statement)

    sa.event.listen(engine, "before_cursor_execute", hear)
    try:
        filed = await file(app, who.resident)
    finally:
        sa.event.remove(engine, "before_cursor_execute", hear)
    # Nothing went through a transaction of several statements, and both rows are of one transaction all the same.
    assert said == []
    async with app.tx() as tx:
        both = "SELECT p.xmin = o.xmin FROM petition p JOIN outbox o ON o.subject = p.id::text WHERE p.code = :code"
        assert await tx.scalar(sa.text(both), {"code": filed["code"]}) is True


async def test_categories_are_open_to_all(app: Running) -> None:
    found = (await app.client.get("/petitions/api/v1/categories")).json()["items"]
    assert {"giao_thong", "an_ninh", "khac"} <= {category["code"] for category in found}
