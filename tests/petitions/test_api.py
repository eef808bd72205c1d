"""The life of a petition over JSON: who may do what, and what is published."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.db import audit_table
from chassis.units import VIETNAM
from services.petitions.model import Petition
from services.petitions.sla import calendar, known_categories
from tests.petitions.people import (
    API,
    DAI_SON,
    HUNG_DAO,
    NGHIA_DUNG,
    WRITES,
    People,
    act,
    answered,
    count,
    events_of,
    file,
    stored,
)
from tests.support.running import Running, bearer


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
