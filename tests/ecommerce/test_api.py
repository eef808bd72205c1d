"""The JSON API: a producer's way from registration to a live listing, and what every step tells the world."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from xaso.ecommerce.v1 import events_pb2

from tests.ecommerce.conftest import DUNG, HOME, Shop, ok, refused, url


async def test_a_product_goes_from_draft_to_sale_and_back(shop: Shop) -> None:
    producer = await shop.new_producer()
    body = {
        "producer_id": producer,
        "name": "Gạo nếp cái hoa vàng",
        "description": "Cấy vụ mùa,\nphơi nắng.",
        "unit": DUNG.code,
        "price": 45_000,
        "price_unit": "kg",
        "ocop_stars": 4,
        "ocop_decision": "123/QĐ-UBND",
    }
    draft = ok(await shop.post("/products", body), 201)
    assert draft["status"] == "draft"
    assert draft["live_listings"] == 0
    assert await shop.events(draft["id"]) == []

    published = ok(await shop.post(f"/products/{draft['id']}/publish"))
    assert published["status"] == "published"
    listing = ok(await shop.post(f"/products/{draft['id']}/listings", {"channel": "shopee", "url": url()}), 201)
    assert (listing["phase"], listing["live"]) == ("open", True)
    seen = ok(await shop.get(f"/products/{draft['id']}"))
    assert seen["live_listings"] == 1
    assert seen["price"] == 45_000
    assert seen["page_url"] == f"http://127.0.0.1:8080/ecommerce/products/{draft['id']}"

    withdrawn = ok(await shop.post(f"/products/{draft['id']}/withdraw"))
    assert (withdrawn["status"], withdrawn["live_listings"]) == ("withdrawn", 0)
    again = ok(await shop.post(f"/products/{draft['id']}/publish"))
    assert (again["status"], again["live_listings"]) == ("published", 1)

    told = await shop.events(draft["id"])
    assert [type(event).__name__ for event in told] == [
        "ProductPublished",
        "ListingOpened",
        "ProductWithdrawn",
        "ProductPublished",
    ]
    assert [event.product.live_listings for event in told] == [0, 1, 0, 1]
    assert [event.product.status for event in told] == ["published", "published", "withdrawn", "published"]


async def test_events_carry_the_whole_state_under_village_and_commune(shop: Shop) -> None:
    product = await shop.published()
    address = url()
    listing = ok(await shop.post(f"/products/{product['id']}/listings", {"channel": "shopee", "url": address}), 201)
    ok(await shop.post(f"/products/{product['id']}/mark-key", {"key_product": True}, shop.officer))
    ok(await shop.post(f"/products/{product['id']}/listings/{listing['id']}/end"))

    rows = await shop.event_rows(product["id"])
    assert [row.sequence for row in rows] == [1, 2, 3, 4]
    assert {(row.topic, row.key, row.unit) for row in rows} == {("xaso.ecommerce.v1", HOME.code, DUNG.code)}
    changed, ended = (await shop.events(product["id"]))[2:]
    assert isinstance(changed, events_pb2.ProductChanged)
    assert changed.product.key_product
    assert changed.product.name == "Gạo nếp cái hoa vàng"
    assert [(one.channel, one.url, one.live) for one in changed.product.listings] == [("shopee", address, True)]
    assert isinstance(ended, events_pb2.ListingEnded)
    assert ended.listing.id == listing["id"]
    assert not ended.listing.live
    assert ended.listing.HasField("valid_to")
    assert ended.product.live_listings == 0
    assert [one.id for one in ended.product.listings] == [listing["id"]]


async def test_a_key_product_is_told_even_as_a_draft(shop: Shop) -> None:
    product = await shop.new_product()
    ok(await shop.post(f"/products/{product['id']}/mark-key", None, shop.leader))
    ok(await shop.post(f"/products/{product['id']}/mark-key", {"key_product": True}, shop.leader))
    ok(await shop.post(f"/products/{product['id']}/mark-key", {"key_product": False}, shop.officer))
    told = await shop.events(product["id"])
    assert [(type(e).__name__, e.product.status, e.product.key_product) for e in told] == [
        ("ProductChanged", "draft", True),
        ("ProductChanged", "draft", False),
    ]


async def test_changes_keep_what_is_left_out_and_say_nothing_twice(shop: Shop) -> None:
    product = await shop.published(price=30_000, price_unit="hộp")
    changed = ok(
        await shop.client.patch(
            f"/ecommerce/api/v1/products/{product['id']}", json={"name": "Bánh đa nem"}, headers=shop.producer
        )
    )
    assert (changed["name"], changed["price"], changed["price_unit"]) == ("Bánh đa nem", 30_000, "hộp")
    same = ok(
        await shop.client.patch(
            f"/ecommerce/api/v1/products/{product['id']}", json={"name": "Bánh đa nem"}, headers=shop.producer
        )
    )
    assert same["version"] == changed["version"]
    cleared = ok(
        await shop.client.patch(
            f"/ecommerce/api/v1/products/{product['id']}", json={"price": None}, headers=shop.producer
        )
    )
    assert (cleared["price"], cleared["price_unit"]) == (None, "")
    assert [type(e).__name__ for e in await shop.events(product["id"])] == [
        "ProductPublished",
        "ProductChanged",
        "ProductChanged",
    ]


async def test_a_change_of_an_old_version_is_refused(shop: Shop) -> None:
    product = await shop.published()
    body = {"name": "Tên khác", "version": product["version"] - 1}
    answer = await shop.client.patch(f"/ecommerce/api/v1/products/{product['id']}", json=body, headers=shop.producer)
    refused(answer, 412, "product_changed_meanwhile")


@pytest.mark.parametrize(("steps", "last"), [(["publish", "publish"], 409), (["withdraw"], 409)])
async def test_what_the_table_does_not_have_is_a_conflict(shop: Shop, steps: list[str], last: int) -> None:
    product = await shop.new_product()
    for step in steps[:-1]:
        ok(await shop.post(f"/products/{product['id']}/{step}"))
    refused(await shop.post(f"/products/{product['id']}/{steps[-1]}"), last)


async def test_the_same_place_twice_at_the_same_time_is_refused(shop: Shop) -> None:
    product = await shop.published()
    at, path = datetime.now(UTC), f"/products/{product['id']}/listings"
    address = url()
    later = {
        "channel": "shopee",
        "url": address,
        "valid_from": (at + timedelta(days=5)).isoformat(),
        "valid_to": (at + timedelta(days=9)).isoformat(),
    }
    ok(await shop.post(path, later), 201)
    refused(await shop.post(path, {"channel": "shopee", "url": address}), 409, "listing_overlaps")
    refused(
        await shop.post(
            path, {"channel": "shopee", "url": address.replace("https://shopee.vn", "HTTPS://Shopee.VN:443")}
        ),
        409,
        "listing_overlaps",
    )
    before = {"channel": "shopee", "url": address, "valid_to": later["valid_from"]}
    ok(await shop.post(path, before), 201)
    ok(await shop.post(path, {"channel": "shopee", "url": url()}), 201)
    # Another product may be sold at the same address: a shop's page sells many.
    other = await shop.published()
    ok(await shop.post(f"/products/{other['id']}/listings", {"channel": "shopee", "url": address}), 201)


async def test_an_ended_listing_can_be_resumed_and_not_ended_twice(shop: Shop) -> None:
    product = await shop.published()
    path = f"/products/{product['id']}/listings"
    listing = ok(await shop.post(path, {"channel": "facebook", "url": "https://www.facebook.com/htxdaison"}), 201)
    refused(await shop.post(f"{path}/{listing['id']}/resume"), 409, "listing_still_open")
    ok(await shop.post(f"{path}/{listing['id']}/end"))
    refused(await shop.post(f"{path}/{listing['id']}/end"), 409, "listing_already_ended")
    again = ok(await shop.post(f"{path}/{listing['id']}/resume"), 201)
    assert again["live"]
    assert again["id"] != listing["id"]
    assert [one["phase"] for one in ok(await shop.get(path))["items"]] == ["open", "ended"]
    assert [type(e).__name__ for e in await shop.events(product["id"])] == [
        "ProductPublished",
        "ListingOpened",
        "ListingEnded",
        "ListingOpened",
    ]


async def test_a_planned_listing_is_called_off_without_having_been_live(shop: Shop) -> None:
    product = await shop.published()
    path = f"/products/{product['id']}/listings"
    begin = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    body = {"channel": "zalo", "url": "https://zalo.me/0123", "valid_from": begin}
    planned = ok(await shop.post(path, body), 201)
    assert (planned["phase"], planned["live"]) == ("planned", False)
    ended = ok(await shop.post(f"{path}/{planned['id']}/end"))
    assert ended["phase"] == "ended"
    # The place is free again for the same time.
    ok(await shop.post(path, body), 201)
    assert [type(e).__name__ for e in await shop.events(product["id"])] == [
        "ProductPublished",
        "ProductChanged",
        "ProductChanged",
        "ProductChanged",
    ]


async def test_a_replayed_creation_is_answered_again_and_done_once(shop: Shop) -> None:
    product = await shop.published()
    headers = {**shop.producer, "idempotency-key": "listing-once"}
    path, body = f"/ecommerce/api/v1/products/{product['id']}/listings", {"channel": "shopee", "url": url()}
    first = await shop.client.post(path, json=body, headers=headers)
    second = await shop.client.post(path, json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert len(await shop.events(product["id"])) == 2


async def test_the_catalogue_is_found_without_marks_and_paged(shop: Shop) -> None:
    producer = await shop.new_producer()
    ids = [
        (await shop.published(producer_id=producer, name=f"Ổi Thanh Hà số {n}", description="Giòn ngọt"))["id"]
        for n in range(5)
    ]
    hidden = await shop.new_product(producer_id=producer, name="Ổi Thanh Hà bản nháp")
    seen: list[str] = []
    after = ""
    while True:
        answer = ok(await shop.get(f"/products?unit={HOME.code}&q=oi%20thanh%20ha&limit=2{after}"))
        seen += [item["id"] for item in answer["items"]]
        if answer["next"] is None:
            break
        after = f"&after={answer['next']}"
    assert seen == list(reversed(ids))
    assert hidden["id"] not in seen
    decomposed = ok(await shop.get("/products?q=O\u0309i%20gio\u0300n"))
    assert {item["id"] for item in decomposed["items"]} >= set(ids)
    mine = ok(await shop.get("/products?mine=true&q=nh%C3%A1p", shop.producer))
    assert [item["id"] for item in mine["items"]] == [hidden["id"]]
    drafts = ok(await shop.get(f"/products?unit={HOME.code}&status=draft&q=nhap", shop.viewer))
    assert hidden["id"] in [item["id"] for item in drafts["items"]]


async def test_a_product_is_found_by_its_producers_name_also_after_that_changed(shop: Shop) -> None:
    producer = await shop.new_producer()
    product = await shop.published(producer_id=producer, name="Rươi Tứ Kỳ")
    before = ok(await shop.get("/products?q=ruoi%20nong%20nghiep"))["items"]
    assert [item["id"] for item in before] == [product["id"]]
    path = f"/ecommerce/api/v1/producers/{producer}"
    ok(await shop.client.patch(path, json={"name": "HTX Rạng Đông"}, headers=shop.producer))
    after = ok(await shop.get("/products?q=ruoi%20rang%20dong"))["items"]
    gone = ok(await shop.get("/products?q=ruoi%20nong%20nghiep"))["items"]
    assert [item["id"] for item in after] == [product["id"]]
    assert gone == []


async def test_the_catalogue_filters_key_and_live(shop: Shop) -> None:
    sold = await shop.published(name="Cà rốt Đức Chính")
    unsold = await shop.published(name="Cà rốt chưa bán")
    ok(await shop.post(f"/products/{unsold['id']}/mark-key", None, shop.officer))
    ok(await shop.post(f"/products/{sold['id']}/listings", {"channel": "voso", "url": url("voso.vn")}), 201)
    live = ok(await shop.get("/products?q=ca%20rot&live=true"))["items"]
    key = ok(await shop.get("/products?q=ca%20rot&key=true"))["items"]
    assert [item["id"] for item in live] == [sold["id"]]
    assert [item["id"] for item in key] == [unsold["id"]]


async def test_channels_are_named_in_the_readers_language(shop: Shop) -> None:
    vietnamese = ok(await shop.get("/channels"))["items"]
    english = ok(await shop.get("/channels?lang=en"))["items"]
    assert [one["code"] for one in vietnamese] == [
        "own_site",
        "postmart",
        "voso",
        "shopee",
        "lazada",
        "tiktok",
        "facebook",
        "zalo",
        "other",
    ]
    assert vietnamese[0]["name"] == "Trang web riêng"
    assert english[0]["name"] == "Own web site"
    preferred = await shop.get("/channels", {"accept-language": "en-GB, vi;q=0.5"})
    assert ok(preferred)["items"] == english
    assert "Accept-Language" in preferred.headers["vary"]
