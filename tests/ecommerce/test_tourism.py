"""Tourism points as JSON: their life and who may do what, opening hours, GeoJSON, booking by a code, what is told."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from xaso.ecommerce.v1 import events_pb2

from chassis.db import audit_table, now
from chassis.units import today
from services.ecommerce.tourism import bookings
from services.ecommerce.tourism.clock import turn_points
from services.ecommerce.tourism.model import OPEN_REQUESTS, Booking, PointStatus, TourismPoint
from tests.ecommerce.conftest import AN, DUNG, FAR, HOME, Shop, ok, picture, refused
from tests.support.waiting import eventually

POINTS = "/tourism/points"
EVERY_DAY = [1, 2, 3, 4, 5, 6, 7]
FULL: Mapping[str, Any] = {
    "name": "Vườn vải thiều Đại Sơn",
    "kind": "garden",
    "unit": DUNG.code,
    "description": "Hái vải tháng Sáu.",
    "lat": 20.823541,
    "lon": 106.402178,
    "open_days": EVERY_DAY,
    "takes_bookings": True,
    "group_limit": 30,
}
TOMORROW = (today() + timedelta(days=1)).isoformat()
VISIT = {"day": TOMORROW, "people": 4, "name": "Trần Văn Bình", "phone": "0912 345 678", "words": "Có hai trẻ em."}


async def new_point(shop: Shop, who: dict[str, str] | None = None, **changed: Any) -> dict[str, Any]:
    """A draft of the commune itself, unless `producer_id` says otherwise."""
    return dict(ok(await shop.post(POINTS, {**FULL, **changed}, who or shop.officer), 201))


async def published(shop: Shop, **changed: Any) -> str:
    point = await new_point(shop, **changed)
    ok(await shop.post(f"{POINTS}/{point['id']}/publish", None, shop.officer))
    return str(point["id"])


async def told(shop: Shop, point: str) -> list[events_pb2.TourismPoint]:
    found = await shop.events(point)
    return [event.point for event in found if isinstance(event, events_pb2.TourismPointChanged)]


async def patched(shop: Shop, point: str, who: dict[str, str], **body: Any) -> Any:
    return await shop.client.patch(f"/ecommerce/api/v1{POINTS}/{point}", json=body, headers=who)


async def test_a_point_goes_from_draft_to_the_public_and_back_and_each_step_is_told(shop: Shop) -> None:
    point = await new_point(shop, takes_bookings=False, open_days=[], lat=None, lon=None)
    place = f"{POINTS}/{point['id']}"
    assert point["status"] == "draft"
    refused(await shop.get(place), 404)
    assert await told(shop, point["id"]) == [], "a draft is nobody's business"
    ok(await shop.post(f"{place}/publish", None, shop.officer))
    assert ok(await shop.get(place))["open_now"] is False
    bare = (await told(shop, point["id"]))[-1]
    assert (bare.status, bare.has_location, bare.has_opening, bare.bookable) == ("published", False, False, False)
    said = {name: FULL[name] for name in ("lat", "lon", "open_days", "takes_bookings")}
    ok(await patched(shop, point["id"], shop.officer, **said))
    whole = (await told(shop, point["id"]))[-1]
    assert (whole.unit, whole.commune, whole.kind) == (DUNG.code, HOME.code, "garden")
    assert (whole.has_location, whole.has_opening, whole.bookable) == (True, True, True)
    again = (today() + timedelta(days=3)).isoformat()
    closed = ok(await shop.post(f"{place}/close", {"opens_again_on": again}, shop.officer))
    assert (closed["status"], closed["bookable"]) == ("closed", False)
    assert closed["next_opening"].startswith((today() + timedelta(days=2)).isoformat() + "T17:00"), "midnight here"
    assert not (await told(shop, point["id"]))[-1].bookable
    ok(await shop.post(f"{place}/publish", None, shop.officer))
    refused(await shop.post(f"{place}/publish", None, shop.officer), 409, "point_not_in_state")
    ok(await shop.post(f"{place}/take-back", None, shop.officer))
    refused(await shop.get(place), 404)
    assert [one.status for one in await told(shop, point["id"])] == [
        "published",
        "published",
        "closed",
        "published",
        "draft",
    ]
    refused(await shop.post(f"{place}/close", {"opens_again_on": again}, shop.officer), 409, "point_not_in_state")
    async with shop.running.tx() as tx:
        query = sa.select(audit_table.c.action).where(audit_table.c.target == point["id"])
        actions = set((await tx.execute(query)).scalars())
    assert actions >= {f"tourism_point.{what}" for what in ("added", "changed", "published", "closed", "taken_back")}


async def test_a_producer_runs_its_own_point_and_nobody_elses(shop: Shop) -> None:
    producer = await shop.new_producer()
    point = await new_point(shop, shop.producer, producer_id=producer)
    place = f"{POINTS}/{point['id']}"
    for who in (shop.rival, shop.stranger, shop.foreign_producer, shop.resident, {}):
        refused(await shop.get(place, who), 404)
        refused(await shop.post(f"{place}/publish", None, who or {"accept": "*/*"}), 404 if who else 401)
    assert ok(await shop.get(place, shop.viewer))["id"] == point["id"], "who watches over the commune sees drafts"
    ok(await shop.post(f"{place}/publish", None, shop.producer))
    for who in (shop.rival, shop.stranger, shop.viewer):
        refused(await patched(shop, point["id"], who, name="Vườn khác"), 403)
        refused(await shop.get(f"{place}/bookings", who), 403)
    # A point of the commune itself is entered by staff alone; one of a producer lies in the producer's commune.
    refused(await shop.post(POINTS, FULL, shop.producer), 403)
    refused(await shop.post(POINTS, FULL, shop.stranger), 403)
    refused(await shop.post(POINTS, {**FULL, "producer_id": producer}, shop.rival), 403)
    refused(
        await shop.post(POINTS, {**FULL, "producer_id": producer, "unit": FAR.code}, shop.producer), 422, None, "unit"
    )
    refused(await shop.post(POINTS, {**FULL, "producer_id": str(uuid.uuid4())}, shop.officer), 422, None, "producer_id")
    own = ok(await shop.get("/tourism/points?drafts=true", shop.producer))["items"]
    assert point["id"] in [one["id"] for one in own]
    refused(await shop.get(f"/tourism/points?drafts=true&unit={HOME.code}", shop.stranger), 403)
    refused(await shop.get("/tourism/points?drafts=true"), 401)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": "a\x00b"}, None),
        ({"name": ""}, "name"),
        ({"kind": "casino"}, "kind"),
        ({"unit": HOME.code}, "unit"),
        ({"lat": None}, "lat"),
        ({"lat": 48.85, "lon": 2.35}, "lat"),
        ({"lat": "NaN"}, "lat"),
        ({"open_days": [8]}, "open_days"),
        ({"open_days": [], "takes_bookings": True}, "open_days"),
        ({"opens": "08:00"}, "closes"),
        ({"opens": "17:00", "closes": "08:00"}, "closes"),
        ({"opens": "25:00", "closes": "26:00"}, "opens"),
        ({"phone": "0912345678"}, "phone_agreed"),
        ({"phone": "113x", "phone_agreed": True}, "phone"),
        ({"group_limit": 0}, "group_limit"),
        ({"colour": "xanh"}, "colour"),
    ],
)
async def test_what_does_not_fit_is_named(shop: Shop, changed: dict[str, Any], field: str | None) -> None:
    async with shop.running.tx() as tx:
        before = (await tx.execute(sa.select(sa.func.count()).select_from(TourismPoint))).scalar_one()
    answer = await shop.post(POINTS, {**FULL, **changed}, shop.officer)
    field_ = {"open_days": "0"}.get(field or "", field) if changed == {"open_days": [8]} else field
    refused(answer, 422 if field else answer.status_code, None, field_)
    assert 400 <= answer.status_code < 500
    async with shop.running.tx() as tx:
        after = (await tx.execute(sa.select(sa.func.count()).select_from(TourismPoint))).scalar_one()
    assert after == before


async def test_changes_keep_what_is_left_out_and_notice_each_other(shop: Shop) -> None:
    point = await new_point(shop, phone="+84 912 345 678", phone_agreed=True, opens="08:00", closes="17:00")
    assert point["phone"] == "0912345678"
    # Decomposed letters are the same letters.
    changed = ok(
        await patched(shop, point["id"], shop.officer, name="Vu\u031bo\u031b\u0300n", version=point["version"])
    )
    assert (changed["name"], changed["phone"], changed["opens"]) == ("Vườn", "0912345678", "08:00:00")
    refused(await patched(shop, point["id"], shop.officer, name="Khác", version=1), 412, "point_changed_meanwhile")
    refused(await patched(shop, point["id"], shop.officer, phone="0987654321"), 422, None, "phone_agreed")
    refused(await patched(shop, point["id"], shop.officer, unit=FAR.code), 422, None, "unit")
    moved = ok(await patched(shop, point["id"], shop.officer, unit=AN.code))
    assert moved["unit"] == AN.code


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """An instant of the week of Monday 2 March 2026, by the clock of Việt Nam."""
    return datetime(2026, 3, 1 + day, hour, minute, tzinfo=UTC) - timedelta(hours=7)


def test_opening_is_told_to_the_minute_and_over_the_week() -> None:
    point = TourismPoint(
        open_days=[1, 6], opens=time(8), closes=time(17), opens_again_on=None, status=PointStatus.PUBLISHED.value
    )
    assert not point.is_open(at(1, 7, 59))
    assert point.is_open(at(1, 8))
    assert point.is_open(at(1, 16, 59))
    assert not point.is_open(at(1, 17))
    assert not point.is_open(at(2, 12))
    assert point.next_opening(at(1, 7)) == at(1, 8)
    assert point.next_opening(at(1, 8)) == at(6, 8)
    assert point.next_opening(at(6, 18)) == at(8, 8)
    point.opens_again_on = at(7, 12).date()
    assert not point.is_open(at(6, 12))
    assert point.next_opening(at(1, 7)) == at(8, 8)
    point.open_days = []
    assert point.next_opening(at(1, 7)) is None


async def test_points_are_exported_as_geojson(shop: Shop) -> None:
    here = await published(shop, name="Làng gốm Chu Đậu", kind="craft_village", unit=AN.code)
    await published(shop, name="Chưa đo vị trí", lat=None, lon=None, unit=AN.code)
    await new_point(shop, unit=AN.code, name="Bản nháp")
    answer = await shop.get(f"/tourism/points.geojson?unit={AN.code}")
    assert answer.headers["content-type"].startswith("application/geo+json")
    found = ok(answer)
    assert (found["type"], found["next"]) == ("FeatureCollection", None)
    features = {one["id"]: one for one in found["features"]}
    assert features[here]["geometry"] == {"type": "Point", "coordinates": [106.402178, 20.823541]}
    assert features[here]["properties"]["name"] == "Làng gốm Chu Đậu"
    names = {one["properties"]["name"] for one in found["features"]}
    assert names.isdisjoint({"Chưa đo vị trí", "Bản nháp"})
    refused(await shop.get("/tourism/points.geojson?unit=khong-co"), 404)
    first = ok(await shop.get(f"/tourism/points?unit={HOME.code}&limit=1"))
    second = ok(await shop.get(f"/tourism/points?unit={HOME.code}&limit=1&after={first['next']}"))
    assert first["items"][0]["id"] != second["items"][0]["id"]
    only = ok(await shop.get(f"/tourism/points?unit={HOME.code}&kind=craft_village&q=gom+chu+dau"))["items"]
    assert [one["id"] for one in only] == [here]


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
    refused(await shop.post(answering, {"accept": False, "words": "Thôi"}, shop.officer), 409, "booking_settled")
    seen = ok(await shop.get(f"/tourism/bookings/{asked['code'].lower()}"))
    assert (seen["status"], seen["answer"]) == ("accepted", "Mời anh đến lúc 8 giờ.")
    refused(await shop.get("/tourism/bookings/DL2222222222"), 404)
    assert [one.bookings_this_year for one in await told(shop, point)] == [0, int(TOMORROW[:4] == str(today().year))]
    body = str((await shop.event_rows(point))[-1].payload)
    assert "Bình" not in body
    assert "0912345678" not in body


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
    free = {**VISIT, "day": (today() + timedelta(days=2)).isoformat()}
    ok(await shop.post(asking, free, {"accept": "*/*"}), 201)


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


async def test_a_person_who_is_erased_leaves_no_contact_behind(shop: Shop) -> None:
    point = await published(shop)
    visitor = {**shop.resident}
    code = ok(await shop.post(f"{POINTS}/{point}/bookings", VISIT, visitor), 201)["code"]
    async with shop.running.tx() as tx:
        account = (await tx.execute(sa.select(Booking.account).where(Booking.code == code))).scalar_one()
        assert account
        await bookings.forget_account(tx, account)
        row = (await tx.execute(sa.select(Booking).where(Booking.code == code))).scalar_one()
        await tx.refresh(row)
    assert (row.account, row.contact) == (None, None)


async def test_a_picture_is_kept_without_where_it_was_taken(shop: Shop) -> None:
    point = await published(shop)
    path = f"/ecommerce/api/v1{POINTS}/{point}/photo"
    files = {"photo": ("a.jpg", picture(), "image/jpeg")}
    shown = ok(await shop.client.post(path, files=files, headers=shop.officer))
    seen = await shop.client.get(shown["photo_url"].removeprefix("http://127.0.0.1:8080"))
    assert seen.headers["content-type"] == "image/jpeg"
    assert "immutable" in seen.headers["cache-control"]
    wrong = {"photo": ("a.jpg", b"no picture", "image/jpeg")}
    refused(await shop.client.post(path, files=wrong, headers=shop.officer), 415, "photo_unreadable")
    assert ok(await shop.client.delete(path, headers=shop.officer))["photo_url"] is None
