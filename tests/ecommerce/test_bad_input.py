"""Bad input: a clear refusal that names the field, and nothing half-written."""

from __future__ import annotations

import io
import unicodedata
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from PIL import Image

from services.ecommerce.model import Product
from tests.ecommerce.conftest import AN, BASE, DUNG, FAR, FOREIGN, HOME, Shop, ok, picture, refused, url

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("changed", "status", "field"),
    [
        ({"price": -1}, 422, "price"),
        ({"price": 0}, 422, "price"),
        ({"price": 12.5}, 422, "price"),
        ({"price": 1000.0}, 422, "price"),
        ({"price": "1000"}, 422, "price"),
        ({"price": True}, 422, "price"),
        ({"price": 10**12 + 1}, 422, "price"),
        ({"price": 10**40}, 422, "price"),
        ({"name": ""}, 422, "name"),
        ({"name": "   "}, 422, "name"),
        ({"name": "a\x00b"}, 422, "name"),
        ({"name": "a\nb"}, 422, "name"),
        ({"name": "a" * 121}, 422, "name"),
        ({"name": 5}, 422, "name"),
        ({"description": "\x00"}, 422, "description"),
        ({"description": "a" * 4001}, 422, "description"),
        ({"ocop_stars": 6, "ocop_decision": "1"}, 422, "ocop_stars"),
        ({"ocop_stars": 3}, 422, "ocop_decision"),
        ({"unit": "nowhere"}, 422, "unit"),
        ({"unit": HOME.code}, 422, "unit"),
        ({"unit": FAR.code}, 422, "unit"),
        ({"unit": "\x00"}, 422, "unit"),
        ({"producer_id": "x"}, 422, "producer_id"),
        ({"producer_id": str(uuid.uuid4())}, 422, "producer_id"),
        ({"surprise": 1}, 422, "surprise"),
    ],
)
async def test_a_product_that_cannot_be(shop: Shop, changed: dict[str, Any], status: int, field: str) -> None:
    producer = await shop.new_producer()
    body = {"producer_id": producer, "name": "Gạo", "unit": DUNG.code, **changed}
    refused(await shop.post("/products", body), status, field=field)
    async with shop.running.tx() as tx:
        count = sa.select(sa.func.count()).select_from(Product).where(Product.producer_id == uuid.UUID(producer))
        assert (await tx.execute(count)).scalar_one() == 0


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "https://evil.example/"}, "url"),
        ({"url": "https://shopee.vn/\x00"}, "url"),
        ({"url": "https://shopee.vn/" + "a" * 2000}, "url"),
        ({"channel": "ebay"}, "channel"),
        ({"channel": None}, "channel"),
        ({"valid_to": (NOW - timedelta(days=1)).isoformat()}, "valid_to"),
        (
            {
                "valid_from": (NOW + timedelta(days=3)).isoformat(),
                "valid_to": (NOW + timedelta(days=2)).isoformat(),
            },
            "valid_to",
        ),
        ({"valid_to": "2027-01-01T00:00:00"}, "valid_to"),
        ({"valid_to": "0001-01-01T00:00:00+14:00"}, "valid_to"),
        ({"valid_to": "9999-12-31T23:59:59-12:00"}, "valid_to"),
        ({"valid_from": "tomorrow"}, "valid_from"),
    ],
)
async def test_a_listing_that_cannot_be(shop: Shop, changed: dict[str, Any], field: str) -> None:
    product = await shop.published()
    body = {"channel": "shopee", "url": url(), **changed}
    refused(await shop.post(f"/products/{product['id']}/listings", body), 422, field=field)
    assert ok(await shop.get(f"/products/{product['id']}/listings"))["items"] == []
    assert len(await shop.events(product["id"])) == 1


async def test_decomposed_vietnamese_is_kept_composed(shop: Shop) -> None:
    name = "Chả mực Hạ Long, bánh đậu xanh"
    product = await shop.published(
        name=unicodedata.normalize("NFD", name), description=unicodedata.normalize("NFD", name)
    )
    assert product["name"] == name
    assert product["description"] == name
    assert (await shop.events(product["id"]))[0].product.name == name


async def test_ten_megabytes_are_refused_and_named_so(shop: Shop) -> None:
    product = await shop.new_product()
    big = "a" * (10 * 1024 * 1024)
    refused(await shop.post("/products", {"name": big}), 413, "too_large")
    path = f"{BASE}/products/{product['id']}/photo"
    photo = {"photo": ("a.jpg", picture() + bytes(10 * 1024 * 1024), "image/jpeg")}
    refused(await shop.client.post(path, files=photo, headers=shop.producer), 413, "too_large")
    # Within the body's limit and beyond the photo's: the named refusal of the photo.
    photo = {"photo": ("a.jpg", picture() + bytes(8 * 1024 * 1024 + 1), "image/jpeg")}
    refused(await shop.client.post(path, files=photo, headers=shop.producer), 413, "photo_too_large", "photo")
    assert ok(await shop.get(f"/products/{product['id']}", shop.producer))["photo_url"] is None


@pytest.mark.parametrize("side", [8_000, 10_000, 16_000])
async def test_a_bomb_of_pixels_is_refused_before_it_unpacks(shop: Shop, side: int) -> None:
    product = await shop.new_product()
    out = io.BytesIO()
    Image.new("1", (side, side)).save(out, "PNG")
    photo = {"photo": ("a.png", out.getvalue(), "image/png")}
    answer = await shop.client.post(f"{BASE}/products/{product['id']}/photo", files=photo, headers=shop.producer)
    refused(answer, 413, "photo_too_large", "photo")


@pytest.mark.parametrize(
    ("raw", "status"), [(b"{", 400), (b"[]", 422), (b"", 422), (b"\xff\xfe", 400), (b'{"name": "\\ud800"}', 422)]
)
async def test_a_body_that_is_no_product(shop: Shop, raw: bytes, status: int) -> None:
    headers = {**shop.producer, "content-type": "application/json"}
    answer = await shop.client.post(f"{BASE}/products", content=raw, headers=headers)
    refused(answer, status)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("after=x", 400),
        ("after=WzFd", 400),
        ("limit=0", 422),
        ("limit=201", 422),
        ("unit=nowhere", 404),
        ("unit=%00", 400),
        ("q=%00", 400),
        ("q=" + "a" * 101, 422),
        ("status=sold", 422),
        ("status=draft", 401),
        ("mine=true", 401),
    ],
)
async def test_a_list_that_cannot_be_asked_for(shop: Shop, query: str, status: int) -> None:
    refused(await shop.get(f"/products?{query}"), status)


async def test_search_words_are_words_and_no_pattern(shop: Shop) -> None:
    await shop.published(name="Mật ong hoa vải")
    for words in ("%25", "_", "%5C", "'%20OR%201=1--"):
        assert ok(await shop.get(f"/products?q={words}"))["items"] == []


async def test_a_producer_that_cannot_be(shop: Shop) -> None:
    def body(**changed: Any) -> dict[str, Any]:
        return {"name": "HTX", "kind": "cooperative", "unit": HOME.code, **changed}

    refused(await shop.post("/producers", body(kind="club")), 422, field="kind")
    refused(await shop.post("/producers", body(unit="30")), 422, field="unit")
    refused(await shop.post("/producers", body(unit="nowhere")), 422, field="unit")
    refused(await shop.post("/producers", body(unit=FOREIGN.code)), 403)
    refused(await shop.post("/producers", body(account="somebody-else")), 403)
    refused(await shop.post("/producers", body(account="a b"), shop.officer), 422, field="account")
    registered = ok(await shop.post("/producers", body(account="acc-new", unit=AN.code), shop.officer), 201)
    assert registered["account"] == "acc-new"


async def test_the_same_key_with_another_body_is_refused(shop: Shop) -> None:
    product = await shop.published()
    path = f"{BASE}/products/{product['id']}/listings"
    headers = {**shop.producer, "idempotency-key": f"key-{product['id']}"}
    first = await shop.client.post(path, json={"channel": "shopee", "url": url()}, headers=headers)
    assert first.status_code == 201
    other = await shop.client.post(path, json={"channel": "shopee", "url": url()}, headers=headers)
    refused(other, 422, "idempotency_key_reused")
    assert len(ok(await shop.get(f"/products/{product['id']}/listings"))["items"]) == 1
