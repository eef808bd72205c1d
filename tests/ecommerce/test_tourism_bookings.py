"""Asking to come: without an account, by a code, bounded, answered, called off, and forgotten."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from xaso.identity.v1 import events_pb2 as identity

from chassis.db import now
from chassis.units import today
from services.ecommerce.tourism import bookings, queries
from services.ecommerce.tourism.clock import turn_points
from services.ecommerce.tourism.model import OPEN_REQUESTS, Booking, TourismPoint
from tests.ecommerce.conftest import HOME, Shop, ok, refused
from tests.ecommerce.paying import hear
from tests.ecommerce.test_tourism import POINTS, TOMORROW, VISIT, new_point, patched, published, told
from tests.support.running import bearer
from tests.support.waiting import eventually


async def test_a_visitor_asks_without_an_account_and_sees_the_answer_by_the_code(shop: Shop) -> None:
    point = await published(shop)
    asked = ok(await shop.post(f"{POINTS}/{point}/bookings", VISIT, {"accept": "*/*"}), 201)
    assert asked["status"] == "requested"
    assert not {"name", "phone", "words", "id"} & set(asked), "the code opens the answer, not the person"
    async with shop.running.tx() as tx:
        row = (await tx.execute(sa.select(Booking).where(Booking.code == asked["code"]))).scalar_one()
    assert row.contact is not None
    assert b"0912345678" not in row.contact
    listed = ok(await shop.get(f"{POINTS}/{point}/bookings", shop.officer))["items"]
    assert [(one["name"], one["phone"], one["words"]) for one in listed] == [
        ("Trần Văn Bình", "0912345678", "Có hai trẻ em.")
    ]
    assert "code" not in listed[0]
    answering = f"{POINTS}/{point}/bookings/{listed[0]['id']}/answer"
    refused(await shop.post(answering, {"accept": True}, shop.rival), 403)
    refused(await shop.post(answering, {"accept": False}, shop.officer), 422, None, "words")
    other = await published(shop, name="Điểm khác")
    wrong = answering.replace(point, other)
    refused(await shop.post(wrong, {"accept": True}, shop.officer), 404)
    ok(await shop.post(answering, {"accept": True, "words": "Mời anh đến lúc 8 giờ."}, shop.officer))
    refused(await shop.post(answering, {"accept": True}, shop.officer), 409, "booking_settled")
    seen = ok(await shop.get(f"/tourism/bookings/{asked['code'].lower()}"))
    assert (seen["status"], seen["answer"]) == ("accepted", "Mời anh đến lúc 8 giờ.")
    refused(await shop.get("/tourism/bookings/DL2222222222"), 404)
    assert [one.bookings_this_year for one in await told(shop, point)] == [0, int(TOMORROW[:4] == str(today().year))]
    body = str((await shop.event_rows(point))[-1].payload)
    assert "Bình" not in body
    assert "0912345678" not in body


async def asked(shop: Shop, point: str, **changed: Any) -> tuple[str, str]:
    """The code of a new request, and where it is answered."""
    code = ok(await shop.post(f"{POINTS}/{point}/bookings", {**VISIT, **changed}, shop.resident), 201)["code"]
    newest = ok(await shop.get(f"{POINTS}/{point}/bookings?limit=1", shop.officer))["items"][0]["id"]
    return code, f"{POINTS}/{point}/bookings/{newest}/answer"


async def test_a_yes_is_called_off_until_the_day_is_over_and_a_no_stays(shop: Shop) -> None:
    # Closed at noon, it cannot be asked after noon: the answer has to come by then.
    point = await published(shop, closes="12:00", opens="06:00")
    code, answering = await asked(shop, point)
    assert ok(await shop.get(f"/tourism/bookings/{code}"))["expires_at"] == f"{TOMORROW}T05:00:00Z"
    ok(await shop.post(answering, {"accept": True}, shop.officer))
    this_year = int(TOMORROW[:4] == str(today().year))
    refused(await shop.post(answering, {"accept": False}, shop.officer), 422, None, "words")
    ok(await shop.post(answering, {"accept": False, "words": "Mưa bão."}, shop.officer))
    seen = ok(await shop.get(f"/tourism/bookings/{code}"))
    assert (seen["status"], seen["answer"]) == ("declined", "Mưa bão.")
    assert [one.bookings_this_year for one in await told(shop, point)] == [0, this_year, 0]
    for late in ({"accept": True}, {"accept": False, "words": "Thôi"}):
        refused(await shop.post(answering, late, shop.officer), 409, "booking_settled")
    code, answering = await asked(shop, point)
    ok(await shop.post(answering, {"accept": True}, shop.officer))
    async with shop.running.tx() as tx:
        yesterday = {"day": today() - timedelta(days=1)}
        await tx.execute(sa.update(Booking).where(Booking.code == code).values(**yesterday))
        await bookings.expire(tx, now())
        kept = (await tx.execute(sa.select(Booking.contact).where(Booking.code == code))).scalar_one()
    assert kept is not None, "somebody may have left a hat"
    refused(await shop.post(answering, {"accept": False, "words": "Mưa"}, shop.officer), 409, "booking_settled")


async def test_nobody_is_accepted_for_a_day_on_which_it_is_closed(shop: Shop) -> None:
    point = await published(shop)
    code, answering = await asked(shop, point)
    await asked(shop, point, day=(today() + timedelta(days=2)).isoformat())
    ok(await shop.post(f"{POINTS}/{point}/close", {"opens_again_on": str(today() + timedelta(days=2))}, shop.officer))
    refused(await shop.post(answering, {"accept": True}, shop.officer), 422, None, "words")
    page = await shop.client.get(f"/ecommerce/tourism/bookings/{code}", headers={"accept": "text/html"})
    assert "không mở cửa ngày này" in page.text
    desk = f"/ecommerce/tourism/points/{point}/manage"
    page = await shop.client.get(desk, headers={**shop.officer, "accept": "text/html"})
    assert page.text.count("xin báo cho khách") == 1, "the other one comes when it is open again"


async def test_staff_answer_for_a_producer_without_reading_who_asked(shop: Shop) -> None:
    point = await published(shop, producer_id=await shop.new_producer())
    ok(await shop.post(f"{POINTS}/{point}/bookings", VISIT, {"accept": "*/*"}), 201)
    own = ok(await shop.get(f"{POINTS}/{point}/bookings", shop.producer))["items"][0]
    assert (own["name"], own["phone"]) == ("Trần Văn Bình", "0912345678")
    for who in (shop.officer, shop.admin):
        seen = ok(await shop.get(f"{POINTS}/{point}/bookings", who))["items"][0]
        assert (seen["id"], seen["name"], seen["phone"], seen["words"]) == (own["id"], "", "", "")
    desk = await shop.client.get(
        f"/ecommerce/tourism/points/{point}/manage", headers={**shop.officer, "accept": "text/html"}
    )
    assert "Chỉ cơ sở đón khách đọc được" in desk.text
    assert "Trần Văn Bình" not in desk.text
    answering = f"{POINTS}/{point}/bookings/{own['id']}/answer"
    assert ok(await shop.post(answering, {"accept": True}, shop.officer))["name"] == ""


async def test_what_cannot_be_booked_is_refused(shop: Shop) -> None:
    week = today() + timedelta(days=7)
    point = await published(shop, open_days=[week.isoweekday()], group_limit=5)
    asking = f"{POINTS}/{point}/bookings"
    visit = {**VISIT, "day": week.isoformat()}
    nobody = {"accept": "*/*"}
    refused(await shop.post(asking, {**visit, "day": TOMORROW}, nobody), 422, None, "day")
    refused(
        await shop.post(asking, {**visit, "day": (week - timedelta(days=14)).isoformat()}, nobody), 422, None, "day"
    )
    refused(
        await shop.post(asking, {**visit, "day": (week + timedelta(days=210)).isoformat()}, nobody), 422, None, "day"
    )
    refused(await shop.post(asking, {**visit, "people": 6}, nobody), 422, None, "people")
    refused(await shop.post(asking, {**visit, "phone": "123"}, nobody), 422, None, "phone")
    refused(await shop.post(asking, {**visit, "name": "a\x00"}, nobody), 422, None, "name")
    ok(await patched(shop, point, shop.officer, takes_bookings=False))
    refused(await shop.post(asking, visit, nobody), 409, "not_bookable")
    draft = await new_point(shop)
    refused(await shop.post(f"{POINTS}/{draft['id']}/bookings", VISIT, nobody), 404)


async def test_a_day_takes_so_many_requests_and_no_more_however_they_come(shop: Shop) -> None:
    point = await published(shop)
    asking = f"{POINTS}/{point}/bookings"
    sent = await asyncio.gather(*(shop.post(asking, VISIT, {"accept": "*/*"}) for _ in range(OPEN_REQUESTS + 4)))
    assert sorted(answer.status_code for answer in sent) == [201] * OPEN_REQUESTS + [409] * 4
    refused(await shop.post(asking, VISIT, {"accept": "*/*"}), 409, "day_full")
    newest = ok(await shop.get(f"{asking}?limit=1", shop.officer))["items"][0]["id"]
    ok(await shop.post(f"{asking}/{newest}/answer", {"accept": False, "words": "Đông quá"}, shop.officer))
    ok(await shop.post(asking, VISIT, {"accept": "*/*"}), 201)
    free = {**VISIT, "day": (today() + timedelta(days=2)).isoformat()}
    ok(await shop.post(asking, free, {"accept": "*/*"}), 201)


async def test_who_plays_with_the_form_is_stopped(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookings, "REQUESTS_A_DAY", 2)
    point = await published(shop)
    asking = f"{POINTS}/{point}/bookings"
    days = [{**VISIT, "day": (today() + timedelta(days=ahead)).isoformat()} for ahead in (1, 2, 3)]
    sent = [(await shop.post(asking, day, {"accept": "*/*"})).status_code for day in days]
    assert sent == [201, 201, 429]


async def test_the_clock_reopens_expires_and_forgets(shop: Shop) -> None:
    point = await published(shop)
    kept = ok(await shop.post(f"{POINTS}/{point}/bookings", VISIT, shop.resident), 201)["code"]
    ok(await shop.post(f"{POINTS}/{point}/close", {"opens_again_on": TOMORROW}, shop.officer))
    long_ago = today() - timedelta(days=31)
    async with shop.running.tx() as tx:
        await tx.execute(sa.update(TourismPoint).where(TourismPoint.id == point).values(opens_again_on=today()))
        values = {"day": long_ago, "expires_at": now() - timedelta(hours=1)}
        await tx.execute(sa.update(Booking).where(Booking.code == kept).values(**values))
    assert ok(await shop.get(f"/tourism/bookings/{kept}"))["status"] == "expired", "at once, not when the clock comes"
    listed = ok(await shop.get(f"{POINTS}/{point}/bookings", shop.officer))["items"][0]
    answering = f"{POINTS}/{point}/bookings/{listed['id']}/answer"
    refused(await shop.post(answering, {"accept": True}, shop.officer), 409, "booking_settled")
    async with shop.running.tx() as tx:
        assert await queries.waiting(tx, [uuid.UUID(point)], now()) == {}

    async def open_again() -> bool:
        return bool(ok(await shop.get(f"{POINTS}/{point}"))["status"] == "published")

    turning = asyncio.create_task(turn_points(shop.running.runner.runtime))
    try:
        await eventually(open_again)
    finally:
        turning.cancel()
    assert (await told(shop, point))[-1].bookable
    listed = ok(await shop.get(f"{POINTS}/{point}/bookings", shop.officer))["items"][0]
    assert (listed["status"], listed["name"], listed["phone"]) == ("expired", "", "")


@pytest.mark.parametrize(
    ("accept", "days", "left"),
    [(False, 29, True), (False, 31, False), (True, 31, True), (None, 32, True), (None, 35, False)],
)
async def test_a_refusal_is_forgotten_before_a_day_far_ahead(
    shop: Shop, accept: bool | None, days: int, left: bool
) -> None:
    point = await published(shop)
    code, answering = await asked(shop, point, day=(today() + timedelta(days=90)).isoformat())
    if accept is not None:
        ok(await shop.post(answering, {"accept": accept, "words": "Chào anh Bình."}, shop.officer))
    async with shop.running.tx() as tx:
        await bookings.expire(tx, now() + timedelta(days=days))
        row = (await tx.execute(sa.select(Booking).where(Booking.code == code))).scalar_one()
        assert (row.contact is not None, bool(row.answer)) == (left, left and accept is not None)
        await tx.rollback()


async def test_who_is_erased_leaves_no_contact_behind(shop: Shop) -> None:
    visitor, host = "acc-visitor", "acc-host"
    as_visitor = bearer(("resident", HOME.path), subject=visitor)
    as_host = bearer(("producer", HOME.path), subject=host)
    producer = await shop.new_producer(as_host)
    runs = await published(shop, producer_id=producer, phone="0987654321", phone_agreed=True)
    other = await published(shop, phone="0987654321", phone_agreed=True)
    codes = [
        ok(await shop.post(f"{POINTS}/{other}/bookings", VISIT, as_visitor), 201)["code"] for _ in ("waits", "answered")
    ]
    newest = ok(await shop.get(f"{POINTS}/{other}/bookings?limit=1", shop.officer))["items"][0]["id"]
    answer = {"accept": True, "words": "Chào anh Bình."}
    ok(await shop.post(f"{POINTS}/{other}/bookings/{newest}/answer", answer, shop.officer))
    for who, count in ((as_visitor, 2), (as_host, 0)):
        page = await shop.client.get("/ecommerce/tourism/bookings", headers={**who, "accept": "text/html"})
        assert page.text.count("/tourism/bookings/DL") == count, "one's own and nobody else's"
    for account in (visitor, host):
        await hear(shop, identity.ResidentErased(account_id=account), account, 1)
    async with shop.running.tx() as tx:
        query = sa.select(Booking).where(Booking.code.in_(codes)).order_by(Booking.id)
        rows = list((await tx.execute(query)).scalars())
    assert [(row.account, row.contact, row.answer, row.status) for row in rows] == [
        (None, None, "", "expired"),
        (None, None, "", "accepted"),
    ]
    assert ok(await shop.get(f"{POINTS}/{runs}"))["phone"] == "", "the number of somebody who is gone"
    assert ok(await shop.get(f"{POINTS}/{other}"))["phone"] == "0987654321"
