"""Owns the cooperative: registers itself, publishes its key products, and sells them on its own web site."""

from __future__ import annotations

from typing import Any

from launcher.scenario.pictures import Picture, product_photo
from launcher.scenario.talk import Visitor

API = "/ecommerce/api/v1"
COOPERATIVE = "Hợp tác xã nông nghiệp Đại Sơn"
PRODUCTS = (
    {
        "name": "Gạo nếp Nghĩa Dũng",
        "description": "Nếp cấy vụ mùa, phơi nắng, xay xát tại hợp tác xã trong tuần giao hàng.",
        "price": 42_000,
        "price_unit": "kg",
    },
    {
        "name": "Dưa lê Nghĩa Dũng",
        "description": "Dưa lê trồng trên đất bãi, hái buổi sáng, đóng thùng 5 kg.",
        "price": 120_000,
        "price_unit": "thùng",
    },
)
# The top-level domain "example" belongs to nobody (RFC 2606): the addresses of the story lead to no real shop.
ADDRESSES = ("https://htx-dai-son.example/gao-nep", "https://htx-dai-son.example/dua-le")


async def register_cooperative(producer: Visitor, commune: str) -> str:
    """The id of the cooperative, registered by its own account where it is not there yet."""
    own = [p for p in await producer.all(f"{API}/producers") if p["name"] == COOPERATIVE]
    if own:
        return str(own[0]["id"])
    made = await producer.post(f"{API}/producers", {"name": COOPERATIVE, "kind": "cooperative", "unit": commune})
    return str(made["id"])


async def publish(producer: Visitor, officer: Visitor, cooperative: str, unit: str) -> list[str]:
    """Publish the products, marked by the commune as its key ones; returns their ids. What is done already stays."""
    there = {p["name"]: p for p in await producer.all(f"{API}/products", mine="true")}
    ids = []
    for number, fields in enumerate(PRODUCTS):
        product = there.get(str(fields["name"]))
        if product is None:
            product = await producer.post(f"{API}/products", {"producer_id": cooperative, "unit": unit, **fields})
        where = f"{API}/products/{product['id']}"
        if product["photo_url"] is None:
            photo = product_photo(Picture.RICE if number == 0 else Picture.MELON)
            await producer.post(f"{where}/photo", files={"photo": ("san-pham.jpg", photo, "image/jpeg")})
        if product["status"] != "published":
            await producer.post(f"{where}/publish")
        if not product["key_product"]:
            await officer.post(f"{where}/mark-key", {"key_product": True})
        ids.append(str(product["id"]))
    return ids


async def open_listing(producer: Visitor, product: str, url: str) -> str:
    """Sell the product at `url` from now on; a listing that is live there already is kept. Returns its id."""
    for listing in await _listings(producer, product):
        if listing["live"] and listing["url"] == url:
            return str(listing["id"])
    made = await producer.post(f"{API}/products/{product}/listings", {"channel": "own_site", "url": url})
    return str(made["id"])


async def end_listings(producer: Visitor, product: str) -> int:
    """End what is live of the product; returns how many listings that were."""
    live = [listing for listing in await _listings(producer, product) if listing["live"]]
    for listing in live:
        await producer.post(f"{API}/products/{product}/listings/{listing['id']}/end")
    return len(live)


async def _listings(producer: Visitor, product: str) -> list[dict[str, Any]]:
    return await producer.all(f"{API}/products/{product}/listings")
