"""Tourism points as JSON: their life and who may do what, GeoJSON, pictures, moving with a village, what is told."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from xaso.ecommerce.v1 import events_pb2
from xaso.identity.v1 import events_pb2 as identity

from chassis.db import audit_table
from chassis.units import today
from services.ecommerce.tourism.model import TourismPoint
from tests.ecommerce.conftest import AN, DUNG, FAR, HOME, Shop, ok, picture, refused
from tests.ecommerce.paying import hear
from tests.ecommerce.test_events import unit_message
from tests.support.running import commune, village

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
    bookable = ok(await shop.get(f"/tourism/points?unit={HOME.code}&bookable=true"))["items"]
    assert point["id"] not in [one["id"] for one in bookable]
    ages = {"opens_again_on": (today() + timedelta(days=367)).isoformat()}
    refused(await shop.post(f"{place}/close", ages, shop.officer), 422, None, "opens_again_on")
    ok(await shop.post(f"{place}/publish", None, shop.officer))
    refused(await shop.post(f"{place}/publish", None, shop.officer), 409, "point_not_in_state")
    ok(await shop.post(f"{place}/take-back", None, shop.officer))
    refused(await shop.get(place), 404)
    steps = ["published", "published", "closed", "published", "draft"]
    assert [one.status for one in await told(shop, point["id"])] == steps
    assert {row.key for row in await shop.event_rows(point["id"])} == {HOME.code}
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
    first = ok(await shop.post(f"{place}/publish", None, shop.producer))["published_at"]
    ok(await shop.post(f"{place}/take-back", None, shop.producer))
    assert ok(await shop.post(f"{place}/publish", None, shop.producer))["published_at"] == first, "it is not new again"
    async with shop.running.tx() as tx:
        assert not (await tx.execute(sa.select(audit_table).where(audit_table.c.target == point["id"]))).all()
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
    assert ok(await shop.get("/tourism/points?drafts=true", shop.resident))["items"] == [], "one's own, not everybody's"
    refused(await shop.get("/tourism/points.geojson?unit=khong-co"), 404)
    first = ok(await shop.get(f"/tourism/points?unit={HOME.code}&limit=1"))
    second = ok(await shop.get(f"/tourism/points?unit={HOME.code}&limit=1&after={first['next']}"))
    assert first["items"][0]["id"] != second["items"][0]["id"]
    only = ok(await shop.get(f"/tourism/points?unit={HOME.code}&kind=craft_village&q=gom+chu+dau"))["items"]
    assert [one["id"] for one in only] == [here]


async def test_a_point_goes_with_its_village(shop: Shop) -> None:
    # The code of the one commune begins with that of the other: a path is more than its letters.
    other = commune(f"{HOME.code}1", "Xã Đại Hợp")
    moving = village(HOME, 9, "Thôn Mới")
    await shop.running.enter_units(other, moving)
    point = await published(shop, unit=moving.code)
    gone = replace(moving, parent=other.code, path=f"{other.path}/{moving.code}")
    await hear(shop, identity.UnitChanged(unit=unit_message(gone)), moving.code, 9)
    lists = [ok(await shop.get(f"/tourism/points?unit={code}"))["items"] for code in (HOME.code, other.code)]
    here, there = ([one["id"] for one in found] for found in lists)
    assert point not in here
    assert there == [point]
    assert ok(await shop.get(f"{POINTS}/{point}"))["commune"] == other.code
    refused(await patched(shop, point, shop.officer, name="Của ai?"), 403)


async def test_a_picture_is_kept_without_where_it_was_taken(shop: Shop) -> None:
    point = await published(shop)
    path = f"/ecommerce/api/v1{POINTS}/{point}/photo"
    files = {"photo": ("a.jpg", picture(), "image/jpeg")}
    shown = ok(await shop.client.post(path, files=files, headers=shop.officer))
    address = shown["photo_url"].removeprefix("http://127.0.0.1:8080")
    seen = await shop.client.get(address)
    assert seen.headers["content-type"] == "image/jpeg"
    assert "immutable" in seen.headers["cache-control"]
    known = {"if-none-match": seen.headers["etag"]}
    again = await shop.client.get(f"/ecommerce/tourism/points/{point}/photo", headers=known)
    assert (again.status_code, again.headers["cache-control"]) == (304, "private, no-cache")
    ok(await shop.post(f"{POINTS}/{point}/take-back", None, shop.officer))
    draft = await shop.client.get(address, headers=shop.officer)
    assert draft.headers["cache-control"] == "private, no-cache"
    assert (await shop.client.get(address)).status_code == 404
    wrong = {"photo": ("a.jpg", b"no picture", "image/jpeg")}
    refused(await shop.client.post(path, files=wrong, headers=shop.officer), 415, "photo_unreadable")
    assert ok(await shop.client.delete(path, headers=shop.officer))["photo_url"] is None
