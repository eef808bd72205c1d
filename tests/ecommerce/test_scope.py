"""Who may do what: every route with an id, walked by everybody, and what each of them leaves unchanged."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa

from chassis.db import audit_table
from services.ecommerce.app import service
from tests.ecommerce.conftest import BASE, DUNG, FAR, HOME, Shop, ok, refused, url
from tests.support.running import bearer

NOBODY: dict[str, str] = {}
WRITES = [
    ("PATCH", "/products/{p}", {"name": "Tên khác"}),
    ("POST", "/products/{p}/publish", None),
    ("POST", "/products/{p}/withdraw", None),
    ("POST", "/products/{p}/photo", None),
    ("DELETE", "/products/{p}/photo", None),
    ("POST", "/products/{p}/listings", {"channel": "shopee", "url": "https://shopee.vn/hijack"}),
    ("POST", "/products/{p}/listings/{l}/end", None),
    ("POST", "/products/{p}/listings/{l}/resume", None),
]
READS = ["/products/{p}", "/products/{p}/listings", "/products/{p}/listings/{l}"]


def test_the_walk_below_knows_every_route_with_an_id() -> None:
    known = {(method, path) for method, path, _ in WRITES} | {("GET", path) for path in READS}
    known |= {("POST", "/products/{p}/mark-key"), ("GET", "/producers/{r}"), ("PATCH", "/producers/{r}")}
    found = set()
    for route in service().api[0].routes:
        path = route.path.removeprefix("/api/v1").replace("{product_id}", "{p}").replace("{listing_id}", "{l}")  # type: ignore[attr-defined]  # all are API routes.
        if "{" in path:
            found |= {(method, path.replace("{producer_id}", "{r}")) for method in route.methods}  # type: ignore[attr-defined]  # all are API routes.
    assert found == known


async def _send(shop: Shop, method: str, path: str, body: object, who: dict[str, str]) -> int:
    files = {"photo": ("a.jpg", b"x", "image/jpeg")} if method == "POST" and path.endswith("/photo") else None
    response = await shop.client.request(method, BASE + path, json=body, files=files, headers=who)
    return response.status_code


@pytest.mark.parametrize("state", ["draft", "published"])
async def test_foreign_people_change_nothing(shop: Shop, state: str) -> None:
    product = await (shop.new_product() if state == "draft" else shop.published())
    listing = ok(await shop.post(f"/products/{product['id']}/listings", {"channel": "shopee", "url": url()}), 201)
    before = ok(await shop.get(f"/products/{product['id']}", shop.producer))
    told = len(await shop.events(product["id"]))
    hidden = state == "draft"
    people = {
        "nobody": (NOBODY, 401),
        "stranger": (shop.stranger, 404 if hidden else 403),
        "foreign producer": (shop.foreign_producer, 404 if hidden else 403),
        "rival": (shop.rival, 404 if hidden else 403),
        "resident": (shop.resident, 404 if hidden else 403),
        "viewer": (shop.viewer, 403),
        "partner": (bearer(("partner", "30"), kind="partner", scope="ecommerce.read"), 404 if hidden else 403),
    }
    for name, (who, wanted) in people.items():
        for method, path, body in WRITES:
            real = path.format(p=product["id"], l=listing["id"])
            assert await _send(shop, method, real, body, who) == wanted, (name, method, path)
        assert await _send(shop, "POST", f"/products/{product['id']}/mark-key", None, who) == wanted, name
    # The producer itself, and the province's administrator, may not say what is a key product.
    assert await _send(shop, "POST", f"/products/{product['id']}/mark-key", None, shop.producer) == 403
    assert await _send(shop, "POST", f"/products/{product['id']}/mark-key", None, shop.admin) == 403
    assert ok(await shop.get(f"/products/{product['id']}", shop.producer)) == before
    assert len(await shop.events(product["id"])) == told


async def test_a_draft_is_seen_by_its_producer_and_those_who_watch_over_it(shop: Shop) -> None:
    product = await shop.new_product()
    listing = ok(await shop.post(f"/products/{product['id']}/listings", {"channel": "shopee", "url": url()}), 201)
    outside = (NOBODY, shop.stranger, shop.foreign_producer, shop.rival, shop.resident)
    inside = (shop.producer, shop.officer, shop.leader, shop.viewer, shop.admin, bearer(("village_head", DUNG.path)))
    for path in READS:
        real = path.format(p=product["id"], l=listing["id"])
        for who in outside:
            refused(await shop.get(real, who), 404)
        for who in inside:
            ok(await shop.get(real, who))
    for path in ("", "/label", "/qr.svg", "/qr.png"):
        page = await shop.running.fresh_client().get(f"/ecommerce/products/{product['id']}{path}")
        assert page.status_code == 404, path
    refused(await shop.get(f"/products/{product['id']}", bearer(("village_head", FAR.path))), 404)


async def test_producers_are_seen_by_themselves_and_staff(shop: Shop) -> None:
    producer = await shop.new_producer()
    for who in (shop.producer, shop.officer, shop.viewer):
        assert ok(await shop.get(f"/producers/{producer}", who))["id"] == producer
    for who in (shop.stranger, shop.rival, shop.resident):
        refused(await shop.get(f"/producers/{producer}", who), 404)
    refused(await shop.get(f"/producers/{producer}"), 401)
    refused(await shop.get(f"/producers?unit={HOME.code}", shop.stranger), 403)
    refused(await shop.get(f"/products?unit={HOME.code}&status=draft", shop.stranger), 403)
    refused(await shop.get("/products?status=draft", shop.officer), 403)
    assert producer in [one["id"] for one in ok(await shop.get(f"/producers?unit={HOME.code}", shop.officer))["items"]]
    assert ok(await shop.get("/producers", shop.rival))["items"] == []


async def test_staff_say_which_account_acts_as_a_producer(shop: Shop) -> None:
    producer = await shop.new_producer()
    path = f"{BASE}/producers/{producer}"
    wanted = {"account": "acc-rival", "name": "HTX Đổi Tên"}
    for who, status in (
        (NOBODY, 401),
        (shop.stranger, 404),
        (shop.rival, 404),
        (shop.viewer, 403),
        (shop.producer, 403),
    ):
        assert (await shop.client.patch(path, json=wanted, headers=who)).status_code == status
    renamed = ok(await shop.client.patch(path, json={"name": "HTX Đại Sơn"}, headers=shop.producer))
    assert (renamed["name"], renamed["kind"], renamed["account"]) == ("HTX Đại Sơn", "cooperative", "acc-producer")
    changed = ok(await shop.client.patch(path, json=wanted, headers=shop.officer))
    assert (changed["name"], changed["account"]) == ("HTX Đổi Tên", "acc-rival")
    refused(await shop.get(f"/producers/{producer}", shop.producer), 404)
    ok(await shop.get(f"/producers/{producer}", shop.rival))
    for bad in ({"name": ""}, {"name": None}, {"kind": None}, {"account": "a b"}, {"unit": HOME.code}):
        refused(await shop.client.patch(path, json=bad, headers=shop.officer), 422)


async def test_a_producer_who_lost_the_role_loses_the_shop(shop: Shop) -> None:
    product = await shop.published()
    former = bearer(("resident", HOME.path), subject="acc-producer")
    refused(await shop.post(f"/products/{product['id']}/withdraw", None, former), 403)


async def test_a_product_of_another_producer_is_not_added_to(shop: Shop) -> None:
    producer = await shop.new_producer()
    body = {"producer_id": producer, "name": "Gạo", "unit": DUNG.code}
    for who in (shop.rival, shop.stranger, shop.viewer, shop.resident):
        refused(await shop.post("/products", body, who), 403)
    ok(await shop.post("/products", body, shop.officer), 201)


async def test_ids_that_name_nothing_are_not_found(shop: Shop) -> None:
    nothing, product = uuid.uuid4(), await shop.published()
    for method, path, body in WRITES:
        assert await _send(shop, method, path.format(p=nothing, l=nothing), body, shop.officer) == 404, path
    for path in READS:
        refused(await shop.get(path.format(p=nothing, l=nothing)), 404)
    # A listing is found under its own product only.
    other = await shop.published()
    listing = ok(await shop.post(f"/products/{other['id']}/listings", {"channel": "shopee", "url": url()}), 201)
    refused(await shop.post(f"/products/{product['id']}/listings/{listing['id']}/end"), 404)
    refused(await shop.get(f"/products/{product['id']}/listings/{listing['id']}"), 404)
    assert ok(await shop.get(f"/products/{other['id']}/listings/{listing['id']}"))["live"]


async def test_staff_leave_a_trace_and_producers_need_none(shop: Shop) -> None:
    product = await shop.published()
    ok(await shop.post(f"/products/{product['id']}/mark-key", None, shop.officer))
    ok(await shop.post(f"/products/{product['id']}/withdraw", None, shop.officer))
    async with shop.running.tx() as tx:
        c = audit_table.c
        rows = await tx.execute(sa.select(c.action, c.actor, c.unit).where(c.target == product["id"]).order_by(c.id))
        assert [tuple(row) for row in rows] == [
            ("product.marked_key", "acc-officer", DUNG.code),
            ("product.withdrawn", "acc-officer", DUNG.code),
        ]
