"""Petitions over JSON: hotlines, lists, photos, numbers and categories."""

from __future__ import annotations

import asyncio
import io
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from PIL import Image

from services.petitions.model import Petition
from services.petitions.sla import calendar
from tests.petitions.people import (
    API,
    DAI_SON,
    HUNG_DAO,
    NGOC_LAM,
    WRITES,
    People,
    act,
    answered,
    file,
    picture,
    report,
    stored,
)
from tests.support.running import Running, bearer


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
