"""Owns the cases of traceability in the walk of ecommerce, and its routes that are open to everybody."""

from __future__ import annotations

import uuid
from datetime import datetime, time, timedelta

from chassis.units import VIETNAM, today
from tests.contracts.walk import A_VILLAGE, A, Case, Made, Stage

API = "/api/v1"
LOT = f"{API}/lots/{{code}}"
DAY = (today() - timedelta(days=2)).isoformat()
AT = datetime.combine(today() - timedelta(days=2), time(9), VIETNAM)
ENTRY = {"day": DAY, "work": "watering"}
FIELDS = {"name": "Bãi Dưới", "unit": A_VILLAGE.code}
HARVEST = {"season_from": DAY, "harvested_on": DAY, "quantity": "10", "uom": "kg"}
STEP = {"kind": "packing", "place": "Kho HTX"}
BECAUSE = {"reason": "Mẫu thử vượt mức dư lượng."}


async def plot(stage: Stage) -> Made:
    body = {"name": f"HTX {uuid.uuid4()}", "kind": "cooperative", "unit": A.code}
    producer = (await stage.do("producer", "POST", f"{API}/producers", body))["id"]
    of = {"producer_id": producer, "unit": A_VILLAGE.code}
    product = await stage.do("producer", "POST", f"{API}/products", {**of, "name": "Gạo nếp"})
    made = await stage.do("producer", "POST", f"{API}/plots", {**of, "name": f"Bãi {uuid.uuid4()}"})
    return {"producer_id": producer, "product_id": product["id"], "plot_id": made["id"], "name": made["name"]}


async def entry(stage: Stage) -> Made:
    made = await plot(stage)
    written = await stage.do("producer", "POST", f"{API}/plots/{made['plot_id']}/diary", ENTRY)
    return {**made, "entry_id": written["id"]}


async def lot(stage: Stage) -> Made:
    made = await entry(stage)
    body = {**HARVEST, "product_id": made["product_id"], "plots": [made["plot_id"]]}
    return {**made, "code": (await stage.do("producer", "POST", f"{API}/lots", body))["code"]}


async def published(stage: Stage) -> Made:
    """Everybody may see it, so a refusal is about the role and not about its being hidden."""
    made = await lot(stage)
    await stage.do("producer", "POST", f"{API}/lots/{made['code']}/publish")
    return made


async def recalled(stage: Stage) -> Made:
    made = await lot(stage)
    await stage.do("producer", "POST", f"{API}/lots/{made['code']}/recall", BECAUSE)
    return made


OF_PRODUCER = {"producer": "{producer_id}"}
LOT_FORM = {**HARVEST, "product_id": "{product_id}", "plots": "{plot_id}"}

CASES = (
    Case(f"GET {API}/plots", "producer", plot, query=OF_PRODUCER),
    Case(f"POST {API}/plots", "producer", plot, json={"producer_id": "{producer_id}", **FIELDS}),
    Case(f"GET {API}/plots/{{plot_id}}/diary", "producer", entry),
    Case(f"POST {API}/plots/{{plot_id}}/diary", "producer", plot, json=ENTRY),
    Case(f"POST {API}/diary/{{entry_id}}/correct", "producer", entry, json=BECAUSE),
    Case(f"GET {API}/lots", "officer", lot, query={"unit": A.code}, hidden="{code}"),
    Case(f"GET {API}/lots", "producer", lot, query=OF_PRODUCER, hidden="{code}"),
    Case(f"POST {API}/lots", "producer", plot, json={**HARVEST, "product_id": "{product_id}", "plots": ["{plot_id}"]}),
    Case(f"GET {LOT}", "producer", lot),
    Case(f"POST {LOT}/steps", "producer", published, json={**STEP, "at": AT.isoformat()}),
    Case(f"POST {LOT}/publish", "producer", lot),
    Case(f"POST {LOT}/recall", "producer", published, json=BECAUSE),
    Case(f"POST {LOT}/lift-recall", "officer", recalled, json=BECAUSE),
    Case("GET /tracing", "producer", plot, query=OF_PRODUCER),
    Case("GET /tracing", "officer", plot, query=OF_PRODUCER),
    Case("POST /tracing", "producer", plot, query=OF_PRODUCER, form=FIELDS),
    Case("GET /plots/{plot_id}", "producer", plot),
    Case("POST /plots/{plot_id}", "producer", plot, form=ENTRY),
    Case("GET /diary/{entry_id}/correct", "producer", entry),
    Case("POST /diary/{entry_id}/correct", "producer", entry, form={**ENTRY, **BECAUSE}),
    Case("POST /diary/{entry_id}/strike", "producer", entry, form=BECAUSE),
    Case("GET /lots/new", "producer", plot, query=OF_PRODUCER),
    Case("POST /lots/new", "producer", plot, query=OF_PRODUCER, form=LOT_FORM),
    Case("GET /lots", "officer", lot, query={"unit": A.code}, hidden="{code}"),
    Case("GET /lots/{code}", "producer", lot),
    Case("GET /lots/{code}/label", "producer", lot),
    Case("GET /lots/{code}/qr.svg", "producer", lot),
    Case("GET /lots/{code}/manage", "producer", published),
    Case("POST /lots/{code}/steps", "producer", published, form={**STEP, "at": f"{AT:%Y-%m-%dT%H:%M}"}),
    Case("POST /lots/{code}/publish", "producer", lot),
    Case("GET /lots/{code}/recall", "producer", published),
    Case("POST /lots/{code}/recall", "producer", published, form=BECAUSE),
    Case("POST /lots/{code}/lift-recall", "officer", recalled, form=BECAUSE),
)

OPEN = {
    "GET /epcis/v2/events": "events of published lots, for programs of buyers; of others nothing",
    "GET /01/{gtin}/10/{code}": "the Digital Link of a label: it leads to the lot; unpublished ones answer 404",
}
