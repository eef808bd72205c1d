"""Owns the cases of ecommerce in the walk, and its routes that are open to everybody, each with its reason."""

from __future__ import annotations

import uuid

from tests.contracts.walk import A_VILLAGE, DEAD_LETTERS, A, Case, Made, Stage
from tests.contracts.walk_petitions import picture

API = "/api/v1"
PRODUCT = f"{API}/products/{{product_id}}"
PHOTO = {"photo": ("gao.jpg", picture(), "image/jpeg")}
PRODUCER_BODY = {"name": "HTX Nông nghiệp Đại Sơn", "kind": "cooperative", "unit": A.code}


async def producer(stage: Stage) -> Made:
    made = await stage.do("producer", "POST", f"{API}/producers", PRODUCER_BODY)
    return {"producer_id": made["id"]}


async def draft(stage: Stage) -> Made:
    made = await producer(stage)
    body = {**made, "name": f"Gạo nếp {uuid.uuid4()}", "unit": A_VILLAGE.code}
    product = await stage.do("producer", "POST", f"{API}/products", body)
    return {**made, "product_id": product["id"], "name": product["name"]}


async def published(stage: Stage) -> Made:
    """Everybody may see it, so a refusal is about the role and not about its being hidden."""
    made = await draft(stage)
    await stage.do("producer", "POST", f"{API}/products/{made['product_id']}/publish")
    return made


async def shown(stage: Stage) -> Made:
    made = await published(stage)
    await stage.do("producer", "POST", f"{API}/products/{made['product_id']}/photo", files=PHOTO)
    return made


async def shown_draft(stage: Stage) -> Made:
    made = await draft(stage)
    await stage.do("producer", "POST", f"{API}/products/{made['product_id']}/photo", files=PHOTO)
    return made


def offer() -> dict[str, str]:
    return {"channel": "shopee", "url": f"https://shopee.vn/{uuid.uuid4()}"}


async def _listed(stage: Stage, made: Made) -> Made:
    listing = await stage.do("producer", "POST", f"{API}/products/{made['product_id']}/listings", offer())
    return {**made, "listing_id": listing["id"]}


async def listed(stage: Stage) -> Made:
    return await _listed(stage, await published(stage))


async def listed_draft(stage: Stage) -> Made:
    return await _listed(stage, await draft(stage))


async def ended(stage: Stage) -> Made:
    made = await listed(stage)
    await stage.do("producer", "POST", f"{API}/products/{made['product_id']}/listings/{made['listing_id']}/end")
    return made


OPEN = {
    f"GET {API}/channels": "the list of sales channels; no unit, no person",
    "GET /": "the public catalogue",
}

CASES = (
    *DEAD_LETTERS,
    Case(f"GET {API}/producers", "officer", producer, query={"unit": A.code}),
    Case(f"GET {API}/producers", "producer", producer, hidden="{producer_id}"),
    Case(f"POST {API}/producers", json=PRODUCER_BODY, allows=("another producer",)),
    Case(f"GET {API}/producers/{{producer_id}}", "producer", producer),
    Case(f"PATCH {API}/producers/{{producer_id}}", "producer", producer, json={"name": "HTX Đổi Tên"}),
    Case(f"GET {API}/products", "officer", draft, query={"unit": A.code, "status": "draft"}),
    Case(
        f"POST {API}/products",
        "producer",
        producer,
        json={"producer_id": "{producer_id}", "name": "Gạo tẻ", "unit": A_VILLAGE.code},
    ),
    Case(f"GET {PRODUCT}", "producer", draft),
    Case(f"PATCH {PRODUCT}", "producer", published, json={"name": "Tên khác"}),
    Case(f"POST {PRODUCT}/publish", "producer", draft),
    Case(f"POST {PRODUCT}/withdraw", "producer", published),
    Case(f"POST {PRODUCT}/mark-key", "officer", published, json={"key_product": True}),
    Case(f"POST {PRODUCT}/photo", "producer", published, files=PHOTO),
    Case(f"DELETE {PRODUCT}/photo", "producer", shown),
    Case(f"GET {PRODUCT}/listings", "producer", listed_draft),
    Case(f"POST {PRODUCT}/listings", "producer", published, json=offer()),
    Case(f"GET {PRODUCT}/listings/{{listing_id}}", "producer", listed_draft),
    Case(f"POST {PRODUCT}/listings/{{listing_id}}/end", "producer", listed),
    Case(f"POST {PRODUCT}/listings/{{listing_id}}/resume", "producer", ended),
    Case("GET /manage", arrange=draft, query={"unit": A.code}),
    Case("GET /manage", arrange=draft, hidden="{name}"),
    Case("GET /manage.csv", arrange=draft, query={"unit": A.code}),
    Case("GET /manage.csv", arrange=draft, hidden="{name}"),
    Case("GET /producers", arrange=producer, query={"unit": A.code}),
    Case("POST /products/{product_id}/key", arrange=published, form={"key": "1"}),
    Case("GET /mine", "producer", draft, hidden="{name}"),
    Case("GET /producers/new", hidden=f'value="{A.code}"', allows=("another producer",)),
    Case("POST /producers/new", "producer", form=PRODUCER_BODY, allows=("another producer",)),
    Case("GET /products/new", "producer", producer, query={"producer": "{producer_id}"}),
    Case(
        "POST /products/new",
        "producer",
        producer,
        form={"producer_id": "{producer_id}", "name": "Gạo tẻ", "unit": A_VILLAGE.code},
    ),
    Case("GET /products/{product_id}/edit", "producer", published),
    Case("POST /products/{product_id}/edit", "producer", published, form={"name": "Tên khác", "unit": A_VILLAGE.code}),
    Case("GET /products/{product_id}/manage", "producer", published),
    Case("POST /products/{product_id}/publish", "producer", draft),
    Case("GET /products/{product_id}/withdraw", "producer", published),
    Case("POST /products/{product_id}/withdraw", "producer", published),
    Case("POST /products/{product_id}/listings", "producer", published, form=offer()),
    Case("GET /products/{product_id}/listings/{listing_id}/end", "producer", listed),
    Case("POST /products/{product_id}/listings/{listing_id}/end", "producer", listed),
    Case("POST /products/{product_id}/listings/{listing_id}/resume", "producer", ended),
    Case("GET /products/{product_id}", "producer", draft),
    Case("GET /products/{product_id}/label", "producer", draft),
    Case("GET /products/{product_id}/qr.svg", "producer", draft),
    Case("GET /products/{product_id}/qr.png", "producer", draft),
    Case("GET /products/{product_id}/photo", "producer", shown_draft),
)
