"""Notices to phones: who may write them, where they show, what is told of them, and how they are taken back."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa
from xaso.media.v1 import events_pb2 as events

from chassis import units
from chassis.db import audit_table, now
from services.media.notices import commands, queries
from services.media.notices.push import ticket
from services.media.notices.web import in_vietnam
from tests.media.conftest import (
    COMMUNE,
    FOREIGN,
    FOREIGN_OFFICER,
    HEAD,
    NGHIA_DUNG,
    OFFICER,
    QUAY,
    RESIDENT,
    Media,
    kinds,
)
from tests.media.phones import Phone
from tests.support.running import bearer, village

HTML = {"accept": "text/html"}


async def written(media: Media, title: str, **more: Any) -> dict[str, Any]:
    body = {"unit": NGHIA_DUNG.code, "topic": "general", "title": title, "text": "Mời bà con đến nhà văn hóa.", **more}
    answer = await media.post("/notices", body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def follow(media: Media, phone: Phone, unit: str = NGHIA_DUNG.code, *topics: str) -> None:
    answer = await media.post("/subscriptions", {"unit": unit, "topics": list(topics), **phone.described}, by={})
    assert answer.status_code == 201, answer.text


async def pushes(media: Media, notice: str) -> list[uuid.UUID]:
    async with media.running.tx() as tx:
        found = await tx.scalars(
            sa.text("SELECT id FROM push WHERE notice_id = :id ORDER BY id"), {"id": uuid.UUID(notice)}
        )
        return list(found)


async def say_received(media: Media, push: uuid.UUID, *, opened: bool = False) -> int:
    secret = media.settings.secret.get_secret_value()
    body = {"push": str(push), "ticket": ticket(secret, push), "opened": opened}
    return (await media.post("/receipts", body, by={})).status_code


async def test_a_notice_is_public_at_once_and_told_without_a_word_of_it(media: Media, unique: str) -> None:
    made = await written(media, f"Họp thôn {unique}", topic="law")
    assert (made["status"], made["villages"], made["subscriptions"]) == ("published", [NGHIA_DUNG.code], 0)
    page = await media.client.get("/media/notices", params={"unit": NGHIA_DUNG.code}, headers=HTML)
    assert unique in page.text
    assert unique in (await media.client.get(f"/media/notices/{made['id']}", headers=HTML)).text
    district = await media.client.get("/media/notices", params={"unit": "298"}, headers=HTML)
    assert f"/media/notices?unit={COMMUNE.code}" in district.text
    elsewhere = await media.client.get("/media/notices", params={"unit": QUAY.code}, headers=HTML)
    assert unique not in elsewhere.text
    (event,) = await media.events(made["id"])
    assert isinstance(event, events.NoticePublished)
    assert (event.notice.unit, event.notice.commune, event.notice.topic) == (NGHIA_DUNG.code, COMMUNE.code, "law")
    assert event.notice.status == "published"
    assert unique.encode() not in event.SerializeToString()
    assert {f.name for f in events.Notice.DESCRIPTOR.fields} == {
        "id", "unit", "commune", "topic", "status", "published_at", "subscriptions", "received", "opened",
    }  # fmt: skip


async def test_a_notice_for_some_villages_is_the_communes_and_shows_in_those_only(media: Media, unique: str) -> None:
    both = await written(media, f"Hai thôn {unique}", unit=COMMUNE.code, villages=[QUAY.code, NGHIA_DUNG.code])
    one = await written(media, f"Một thôn {unique}", unit=COMMUNE.code, villages=[QUAY.code])
    every = await written(media, f"Cả xã {unique}", unit=COMMUNE.code)
    assert (both["unit"], both["villages"]) == (COMMUNE.code, [NGHIA_DUNG.code, QUAY.code])
    assert (one["unit"], one["villages"]) == (QUAY.code, [QUAY.code])
    assert (every["unit"], every["villages"]) == (COMMUNE.code, [])
    here = await media.client.get("/media/notices", params={"unit": NGHIA_DUNG.code}, headers=HTML)
    assert f"Hai thôn {unique}" in here.text
    assert f"Cả xã {unique}" in here.text
    assert f"Một thôn {unique}" not in here.text
    elsewhere = village(COMMUNE, 6, "Thôn Khác")
    await media.running.enter_units(elsewhere)
    await follow(media, Phone(), elsewhere.code)
    again = await written(media, f"Vẫn hai thôn {unique}", unit=COMMUNE.code, villages=both["villages"])
    assert again["subscriptions"] == both["subscriptions"], "a phone of a third village is not told"
    feed = await media.client.get("/media/notices/feed.atom", params={"unit": COMMUNE.code})
    assert feed.headers["content-type"].startswith("application/atom+xml")
    titles = [t.text for t in ElementTree.fromstring(feed.content).iter("{http://www.w3.org/2005/Atom}title")]  # noqa: S314 - it is our own feed.
    assert {f"{words} {unique}" for words in ("Hai thôn", "Một thôn", "Cả xã")} <= set(titles)


async def test_a_notice_waits_for_its_time_and_nobody_else_sees_it(media: Media, unique: str) -> None:
    at = now() + timedelta(hours=2)
    made = await written(media, f"Mai {unique}", publish_at=at.isoformat())
    assert (made["status"], made["published_at"]) == ("scheduled", None)
    for by, status in ((None, 404), (RESIDENT, 404), (FOREIGN_OFFICER, 404), (HEAD, 200)):
        answer = await media.client.get(f"/media/notices/{made['id']}", headers={**HTML, **(by or {})})
        assert answer.status_code == status, by
    assert await media.events(made["id"]) == []
    async with media.running.tx() as tx:
        lives = sa.text("SELECT expires_at - publish_at FROM notice WHERE id = :n")
        assert await tx.scalar(lives, {"n": uuid.UUID(made["id"])}) == timedelta(hours=media.settings.notice_hours)
        assert await commands.publish_due(tx, now()) == 0
    async with media.running.tx() as tx:
        assert await commands.publish_due(tx, at) == 1
    assert kinds(await media.events(made["id"])) == ["NoticePublished"]
    assert (await media.get(f"/notices/{made['id']}")).json()["status"] == "published"
    # What was published last stands first, whenever it was written, and paging goes on from there.
    newer = await written(media, f"Nay {unique}")
    seen: list[str] = []
    async with media.running.tx() as tx:
        before = None
        while page := (await queries.public(tx, NGHIA_DUNG, limit=1, before=before))[:1]:
            before = page[0].id
            seen.append(str(before))
    assert seen[:2] == [made["id"], newer["id"]]
    assert len(set(seen)) == len(seen)


async def test_a_notice_names_its_villages_also_when_one_has_ended_since(media: Media, unique: str) -> None:
    old = village(COMMUNE, 7, f"Thôn Cũ {unique}")
    await media.running.enter_units(old)
    made = await written(media, f"Hai thôn {unique}", unit=COMMUNE.code, villages=[old.code, QUAY.code])
    await media.running.enter_units(replace(old, valid_to=units.today()))
    async with media.running.tx() as tx:
        long_ago = sa.text("UPDATE notice SET created_at = created_at - interval '1 day' WHERE id = :n")
        await tx.execute(long_ago, {"n": uuid.UUID(made["id"])})
    page = await media.client.get(f"/media/notices/{made['id']}", headers=HTML)
    assert f"{QUAY.name}, Thôn Cũ {unique}" in page.text


async def test_what_was_withdrawn_is_gone_from_the_pages_and_told(media: Media, unique: str) -> None:
    made = await written(media, f"Nhầm {unique}")
    planned = await written(media, f"Thôi {unique}", publish_at=(now() + timedelta(days=1)).isoformat())
    assert (await media.post(f"/notices/{made['id']}/withdraw", by=FOREIGN_OFFICER)).status_code == 404
    for one in (made, planned):
        assert (await media.post(f"/notices/{one['id']}/withdraw")).json()["status"] == "withdrawn"
        again = await media.post(f"/notices/{one['id']}/withdraw")
        assert (again.status_code, again.json()["code"]) == (409, "notice_withdrawn")
    assert kinds(await media.events(made["id"])) == ["NoticePublished", "NoticeWithdrawn"]
    assert kinds(await media.events(planned["id"])) == []
    async with media.running.tx() as tx:
        done = sa.select(audit_table.c.action).where(audit_table.c.target == made["id"]).order_by(audit_table.c.id)
        assert list(await tx.scalars(done)) == ["notice.written", "notice.withdrawn"]
    page = await media.client.get(f"/media/notices/{made['id']}", headers=HTML)
    assert (page.status_code, unique in page.text) == (410, False)
    assert "đã được thu hồi" in page.text
    listed = await media.client.get("/media/notices", params={"unit": NGHIA_DUNG.code}, headers=HTML)
    assert unique not in listed.text
    async with media.running.tx() as tx:
        assert await commands.publish_due(tx, now() + timedelta(days=2)) == 0


async def test_the_desk_counts_phones_once_and_shows_its_own_unit(media: Media, unique: str) -> None:
    foreign = {"unit": FOREIGN.code, "topic": "general", "title": f"Xã khác {unique}", "text": "x"}
    assert (await media.post("/notices", foreign, by=FOREIGN_OFFICER)).status_code == 201
    await written(media, f"Xã này {unique}")
    phone = Phone()
    async with media.running.tx() as tx:
        before = await queries.phones(tx, COMMUNE.path)
    for unit in (NGHIA_DUNG, QUAY):
        await follow(media, phone, unit.code)
    async with media.running.tx() as tx:
        assert await queries.phones(tx, COMMUNE.path) == before + 1
    assert (await media.post("/subscriptions/end", {"endpoint": phone.endpoint}, by={})).status_code == 204
    desk = await media.client.get("/media/notices/desk", params={"unit": COMMUNE.code}, headers={**HTML, **OFFICER})
    assert f"Xã này {unique}" in desk.text
    assert f"Xã khác {unique}" not in desk.text


def test_the_time_of_a_form_is_that_of_viet_nam() -> None:
    assert in_vietnam(datetime(2026, 11, 23, 6, 30)) == datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # noqa: DTZ001 - as forms send it.
    assert in_vietnam(None) is None


async def test_who_may_not_write_writes_nothing(media: Media, unique: str) -> None:
    body = {"unit": NGHIA_DUNG.code, "topic": "general", "title": unique, "text": "x"}
    partner = bearer(("partner", COMMUNE.path), kind="partner", client_id="vnpt", scope="media.read")
    for by in (FOREIGN_OFFICER, HEAD, RESIDENT, partner):
        assert (await media.post("/notices", body, by=by)).status_code == 403
    assert (await media.post("/notices", body, by={"x-nobody": "1"})).status_code == 401
    foreign = await media.post("/notices", {**body, "unit": COMMUNE.code, "villages": [FOREIGN.code]})
    assert (foreign.status_code, foreign.json()["code"]) == (422, "foreign_village")
    above = await media.post("/notices", {**body, "unit": "298"}, by=bearer(("admin", "30")))
    assert (above.status_code, above.json()["code"]) == (422, "notice_place")
    async with media.running.tx() as tx:
        assert await tx.scalar(sa.text("SELECT count(*) FROM notice WHERE title = :t"), {"t": unique}) == 0


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"title": ""}, 422),
        ({"title": "a\nb"}, 422),
        ({"title": "x" * 121}, 422),
        ({"text": " \n "}, 422),
        ({"text": "a\u0000b"}, 422),
        ({"text": "x" * 4001}, 422),
        ({"topic": "politics"}, 422),
        ({"publish_at": "2020-01-01T00:00:00+07:00"}, 422),
        ({"publish_at": "9999-12-31T23:59:59Z"}, 422),
        ({"publish_at": "2030-01-01T00:00:00"}, 422),
        ({"unit": "99999"}, 404),
    ],
)
async def test_bad_notices_are_refused(media: Media, changed: dict[str, Any], status: int) -> None:
    body = {"unit": NGHIA_DUNG.code, "topic": "general", "title": "Đúng", "text": "Đúng", **changed}
    answer = await media.post("/notices", body)
    assert answer.status_code == status, answer.text


async def test_a_decomposed_title_is_kept_composed_and_a_replay_writes_once(media: Media, unique: str) -> None:
    body = {
        "unit": NGHIA_DUNG.code,
        "topic": "health",
        "title": f"Ti\u00eam phò\u0300ng {unique}".replace("\u00ea", "e\u0302"),
        "text": "x",
    }
    first = await media.post("/notices", body, **{"idempotency-key": unique})
    again = await media.post("/notices", body, **{"idempotency-key": unique})
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["title"].startswith("Tiêm")


async def test_receipts_are_counted_once_and_told_at_first_and_then_together(media: Media, unique: str) -> None:
    for _ in range(3):
        await follow(media, Phone())
    made = await written(media, f"Nhận {unique}")
    phones = await pushes(media, made["id"])
    assert made["subscriptions"] == len(phones) >= 3
    first, second, third = phones[:3]
    for push in (first, first, second):
        assert await say_received(media, push) == 204
    assert await say_received(media, third, opened=True) == 204
    assert await say_received(media, third) == 204
    shown = (await media.get(f"/notices/{made['id']}")).json()
    assert (shown["received"], shown["opened"]) == (3, 1)
    told = await media.events(made["id"])
    assert kinds(told) == ["NoticePublished", "NoticeReceived"]
    assert (told[1].notice.received, told[1].notice.subscriptions) == (1, len(phones))  # type: ignore[attr-defined]  # of a message.
    for at, count in ((now(), 2), (now() + timedelta(minutes=2), 3), (now() + timedelta(minutes=9), 3)):
        async with media.running.tx() as tx:
            await commands.tell_grown(tx, at)
        assert len(await media.events(made["id"])) == count
    last = (await media.events(made["id"]))[-1].notice  # type: ignore[attr-defined]  # As above.
    assert (last.received, last.opened) == (3, 1)


async def test_phones_that_answer_at_once_are_each_counted_once(media: Media, unique: str) -> None:
    for _ in range(6):
        await follow(media, Phone())
    made = await written(media, f"Cùng lúc {unique}")
    phones = await pushes(media, made["id"])
    await asyncio.gather(*(say_received(media, push, opened=True) for push in phones * 2))
    shown = (await media.get(f"/notices/{made['id']}")).json()
    assert (shown["received"], shown["opened"]) == (len(phones), len(phones))


async def test_a_receipt_needs_the_ticket_that_only_the_phone_has(media: Media, unique: str) -> None:
    await follow(media, Phone())
    made = await written(media, f"Vé {unique}")
    first, *_ = await pushes(media, made["id"])
    for body in (
        {"push": str(first), "ticket": "0" * 40},
        {"push": str(first), "ticket": ticket("another secret of somebody", first)},
        {"push": str(uuid.uuid4()), "ticket": "é"},
    ):
        assert (await media.post("/receipts", body, by={})).status_code == 404
    gone = uuid.uuid4()
    assert await say_received(media, gone) == 404
    assert (await media.get(f"/notices/{made['id']}")).json()["received"] == 0


async def test_a_phone_follows_by_village_and_topic_and_leaves_without_a_trace(media: Media, unique: str) -> None:
    phone = Phone()
    await follow(media, phone, QUAY.code, "law")
    await follow(media, phone, QUAY.code, "law", "climate")
    await follow(media, phone)
    mine = (await media.post("/subscriptions/mine", {"endpoint": phone.endpoint}, by={})).json()["items"]
    assert mine == [{"unit": NGHIA_DUNG.code, "topics": []}, {"unit": QUAY.code, "topics": ["climate", "law"]}]
    async with media.running.tx() as tx:
        stored = [bytes(row) for row in await tx.scalars(sa.text("SELECT sealed FROM subscription"))]
        assert all(phone.name.encode() not in one for one in stored)
    asked = await written(media, f"Luật {unique}", unit=QUAY.code, topic="law")
    unasked = await written(media, f"Bệnh {unique}", unit=QUAY.code, topic="health")
    everywhere = await written(media, f"Bão {unique}", unit=COMMUNE.code, topic="climate")
    assert (asked["subscriptions"], unasked["subscriptions"]) == (1, 0)
    async with media.running.tx() as tx:
        twice = sa.text(
            "SELECT count(*) FROM push p JOIN subscription s ON s.id = p.subscription_id WHERE p.notice_id = :n"
            " AND s.fingerprint = (SELECT fingerprint FROM subscription WHERE unit = :u LIMIT 1)"
        )
        assert await tx.scalar(twice, {"n": uuid.UUID(everywhere["id"]), "u": QUAY.code}) == 1
    for _ in range(2):
        ended = await media.post("/subscriptions/end", {"endpoint": phone.endpoint}, by={})
        assert ended.status_code == 204
    assert (await media.post("/subscriptions/mine", {"endpoint": phone.endpoint}, by={})).json()["items"] == []
    async with media.running.tx() as tx:
        waiting = sa.text("SELECT count(*) FROM push WHERE notice_id = :n AND next_try_at IS NOT NULL")
        assert await tx.scalar(waiting, {"n": uuid.UUID(asked["id"])}) == 0


async def test_a_village_takes_no_more_phones_than_it_may(media: Media) -> None:
    body = {"unit": FOREIGN.code, **Phone().described}
    media.settings.phones_per_village = 1
    try:
        assert (await media.post("/subscriptions", body, by={})).status_code == 201
        assert (await media.post("/subscriptions", body, by={})).status_code == 201
        full = await media.post("/subscriptions", {"unit": FOREIGN.code, **Phone().described}, by={})
        assert (full.status_code, full.json()["code"]) == (409, "village_full")
    finally:
        media.settings.phones_per_village = 20_000


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://2130706433/x",
        "https://localhost/x",
        "https://push.example.com:8443/x",
        "https://user@push.example.com/x",
        "https://push.example.com/x y",
        "https://push.example.com/ả",
        "ftp://push.example.com/x",
        "https://push.example.com:99999/x",
        "https://[/x",
        "https://push..example.com/x",
        f"https://{'x' * 64}.example.com/x",
        "https://push.example.com/" + "x" * 1000,
    ],
)
async def test_a_phone_is_called_at_public_push_services_only(media: Media, endpoint: str) -> None:
    body = {**Phone().described, "unit": QUAY.code, "endpoint": endpoint}
    answer = await media.post("/subscriptions", body, by={})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "changed", [{"p256dh": "AAAA"}, {"auth": "AAAA"}, {"p256dh": "BA" + "A" * 85}, {"auth": "!"}, {"topics": ["x"]}]
)
async def test_keys_that_encrypt_nothing_are_refused(media: Media, changed: dict[str, Any]) -> None:
    answer = await media.post("/subscriptions", {**Phone().described, "unit": QUAY.code, **changed}, by={})
    assert answer.status_code == 422, answer.text
