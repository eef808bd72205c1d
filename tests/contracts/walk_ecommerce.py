"""Owns the cases of ecommerce in the walk, and its routes that are open to everybody, each with its reason."""

from __future__ import annotations

import uuid
from datetime import timedelta

from chassis.units import today
from tests.contracts import walk_payments, walk_tracing
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


TOURISM = f"{API}/tourism"
POINT = f"{TOURISM}/points/{{point_id}}"
POINT_PAGE = "/tourism/points/{point_id}"
VISIT = {"day": (today() + timedelta(days=1)).isoformat(), "people": 2, "name": "Trần Văn Bình", "phone": "0912345678"}
CLOSING = {"opens_again_on": (today() + timedelta(days=9)).isoformat()}


def a_point() -> dict[str, object]:
    place = {"kind": "garden", "unit": A_VILLAGE.code, "lat": 20.8, "lon": 106.4}
    return {"name": f"Vườn vải {uuid.uuid4()}", **place, "open_days": [1, 2, 3, 4, 5, 6, 7], "takes_bookings": True}


async def point_draft(stage: Stage) -> Made:
    made = await producer(stage)
    point = await stage.do("producer", "POST", f"{TOURISM}/points", {**made, **a_point()})
    return {**made, "point_id": point["id"], "name": point["name"]}


async def point_open(stage: Stage) -> Made:
    made = await point_draft(stage)
    await stage.do("producer", "POST", f"{TOURISM}/points/{made['point_id']}/publish")
    return made


async def point_drawn(stage: Stage) -> Made:
    made = await point_draft(stage)
    await stage.do("producer", "POST", f"{TOURISM}/points/{made['point_id']}/photo", files=PHOTO)
    return made


async def visited(stage: Stage) -> Made:
    made = await point_open(stage)
    asking = f"{TOURISM}/points/{made['point_id']}/bookings"
    booking = await stage.do("resident", "POST", asking, VISIT)
    listed = await stage.do("producer", "GET", asking)
    return {**made, "booking_id": listed["items"][0]["id"], "code": booking["code"]}


TOURISM_CASES = (
    Case(f"GET {TOURISM}/points", "officer", point_draft, query={"unit": A.code, "drafts": "true"}),
    Case(f"POST {TOURISM}/points", json=a_point()),
    Case(f"GET {POINT}", "producer", point_draft),
    Case(f"PATCH {POINT}", "producer", point_open, json={"name": "Tên khác"}),
    Case(f"POST {POINT}/publish", "producer", point_draft),
    Case(f"POST {POINT}/close", "producer", point_open, json=CLOSING),
    Case(f"POST {POINT}/take-back", "producer", point_open),
    Case(f"POST {POINT}/photo", "producer", point_open, files=PHOTO),
    Case(f"DELETE {POINT}/photo", "producer", point_drawn),
    Case(f"GET {POINT}/bookings", "producer", visited),
    Case(f"POST {POINT}/bookings/{{booking_id}}/answer", "producer", visited, json={"accept": True}),
    Case("GET /tourism/manage", arrange=point_draft, query={"unit": A.code}),
    Case("GET /tourism/points/new", query={"unit": A.code}),
    Case(
        "POST /tourism/points/new",
        query={"unit": A.code},
        form={"name": "Vườn", "kind": "farm", "unit": A_VILLAGE.code},
    ),
    Case(f"GET {POINT_PAGE}", "producer", point_draft),
    Case(f"GET {POINT_PAGE}/photo", "producer", point_drawn),
    Case(f"GET {POINT_PAGE}/edit", "producer", point_open),
    Case(
        f"POST {POINT_PAGE}/edit", "producer", point_open, form={"name": "Tên", "kind": "farm", "unit": A_VILLAGE.code}
    ),
    Case(f"GET {POINT_PAGE}/manage", "producer", visited),
    Case(f"POST {POINT_PAGE}/publish", "producer", point_draft),
    Case(f"POST {POINT_PAGE}/close", "producer", point_open, form=CLOSING),
    Case(f"POST {POINT_PAGE}/take-back", "producer", point_open),
    Case(f"POST {POINT_PAGE}/bookings/{{booking_id}}/answer", "producer", visited, form={"accept": "1"}),
)

OPEN = {
    **walk_tracing.OPEN,
    **walk_payments.OPEN,
    f"GET {API}/channels": "the list of sales channels; no unit, no person",
    "GET /": "the public catalogue",
    "GET /tourism": "the public list of places to visit",
    f"GET {TOURISM}/points.geojson": "the same list as GeoJSON: what is published, nothing else",
    "POST /tourism/points/{point_id}/bookings": "anybody may ask to come; drafts answer 404",
    f"POST {POINT}/bookings": "as the page",
    "GET /tourism/bookings": "the form for a code; of those signed in their own requests",
    "GET /tourism/bookings/{code}": "whoever knows the code, which nobody guesses, reads the answer and no name",
    f"GET {TOURISM}/bookings/{{code}}": "as the page",
}

CASES = (
    *DEAD_LETTERS,
    *walk_tracing.CASES,
    *walk_payments.CASES,
    *TOURISM_CASES,
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
