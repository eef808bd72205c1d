"""Owns the cases of payments in the walk of ecommerce, and its routes that are open to everybody."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from chassis.units import today
from services.ecommerce.payments.commands import Told, keep_household
from tests.contracts.walk import A_VILLAGE, A, Case, Made, Stage

API = "/api/v1"
PAGES = "/payments"
BIN = "970405"
PERIOD = today().strftime("%Y-%m")
DUE = (today() + timedelta(days=9)).isoformat()
AT = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
FIELDS = {"unit": A.code, "name": "Tổ thu gom rác", "service": "waste", "bank_bin": BIN, "holder": "TO THU GOM RAC"}
CHARGES = {"period": PERIOD, "due_on": DUE}
ONLINE = {"online_since": "2026-01-02", "evidence": "Biên bản 12/BB-UBND"}
REFUND = {"amount": 1, "reason": "Nộp nhầm"}
NOTICE = {"bank_bin": BIN, "account": "{account}", "amount": 1, "paid_at": AT}


async def payee(stage: Stage) -> Made:
    """A payee with an account of its own, and a household to charge."""
    account, number = uuid.uuid4().hex[:16], uuid.uuid4().hex[:8]
    made = await stage.do("officer", "POST", f"{API}/payees", {**FIELDS, "account": account})
    async with stage.running.tx() as tx:
        await keep_household(tx, Told(uuid.uuid4(), A_VILLAGE.code, number, False, 1))
    return {"id": made["id"], "payee_id": made["id"], "account": account, "number": number}


async def charge(stage: Stage) -> Made:
    made = await payee(stage)
    body = {**CHARGES, "charges": [{"village": A_VILLAGE.code, "number": made["number"], "amount": 45000}]}
    issued = await stage.do("officer", "POST", f"{API}/payees/{made['payee_id']}/charges", body)
    one = issued["items"][0]
    return {**made, "id": one["id"], "charge_id": one["id"], "token": one["page_url"].rsplit("/", 1)[1]}


async def notice(stage: Stage) -> Made:
    made = await payee(stage)
    body = {**NOTICE, "account": made["account"], "transaction_id": uuid.uuid4().hex}
    kept = await stage.do("officer", "POST", f"{API}/bank-notices", body)
    return {**made, "id": kept["id"], "notice_id": kept["id"]}


async def placeable(stage: Stage) -> Made:
    """Money of unknown purpose, and the code of a charge it may be for."""
    made = await payee(stage)
    body = {**CHARGES, "charges": [{"village": A_VILLAGE.code, "number": made["number"], "amount": 45000}]}
    issued = await stage.do("officer", "POST", f"{API}/payees/{made['payee_id']}/charges", body)
    money = {**NOTICE, "account": made["account"], "transaction_id": uuid.uuid4().hex}
    kept = await stage.do("officer", "POST", f"{API}/bank-notices", money)
    return {"id": kept["id"], "code": issued["items"][0]["code"]}


def a_business() -> dict[str, str]:
    return {"unit": A_VILLAGE.code, "name": "Quán nước Sen", "registration": uuid.uuid4().hex[:12]}


async def business(stage: Stage) -> Made:
    account = {"bank_bin": BIN, "account": uuid.uuid4().hex[:16], "holder": "NGUYEN THI SEN"}
    made = await stage.do("officer", "POST", f"{API}/businesses", {**a_business(), **account})
    return {"id": made["id"], "business_id": made["id"]}


async def online(stage: Stage) -> Made:
    made = await business(stage)
    await stage.do("officer", "PATCH", f"{API}/businesses/{made['business_id']}", ONLINE)
    return made


OF_UNIT = {"unit": A.code}
ROW = {"village": A_VILLAGE.code, "number": "{number}", "amount": 9000}
FORM = {**CHARGES, "village": A_VILLAGE.code, "number": "{number}", "amount": "9000"}
FILE = {**CHARGES, "text": f"thon,ho,so_tien\n{A_VILLAGE.code},{{number}},9000"}
STATEMENT = {"text": "ma_giao_dich,thoi_gian,so_tien,noi_dung\nT1,05/01/2026 08:00,9000,a"}
OF_PAYEE = f"{PAGES}/payees/{{id}}"
OF_CHARGE = f"{PAGES}/charges/{{id}}"
SHOP = f"{PAGES}/businesses/{{id}}"

OPEN = {
    "GET /pay/{token}": "whoever was given the link, which nobody guesses, pays; no name stands there",
    "GET /pay/{token}/qr.svg": "the code of that page",
}

CASES = (
    Case(f"GET {API}/payees", arrange=payee, query=OF_UNIT),
    Case(f"POST {API}/payees", json={**FIELDS, "account": "0011012345678"}),
    Case(f"PATCH {API}/payees/{{payee_id}}", arrange=payee, json={"active": False}),
    Case(f"GET {API}/payees/{{payee_id}}/charges", arrange=payee, query={"period": PERIOD}),
    Case(f"POST {API}/payees/{{payee_id}}/charges", arrange=payee, json={**CHARGES, "charges": [ROW]}),
    Case(f"GET {API}/payees/{{payee_id}}/notices", arrange=notice),
    Case(f"POST {API}/charges/{{charge_id}}/cash", arrange=charge),
    Case(f"POST {API}/charges/{{charge_id}}/cancel", arrange=charge),
    Case(f"POST {API}/bank-notices", arrange=payee, json={**NOTICE, "transaction_id": "walk"}),
    Case(f"POST {API}/bank-notices/{{notice_id}}/refund", arrange=notice, json=REFUND),
    Case(f"GET {API}/businesses", arrange=business, query=OF_UNIT),
    Case(f"POST {API}/businesses", json=a_business()),
    Case(f"PATCH {API}/businesses/{{business_id}}", arrange=business, json=ONLINE),
    Case(f"GET {PAGES}", arrange=payee, query=OF_UNIT),
    Case(f"GET {PAGES}/payees/new", query=OF_UNIT),
    Case(f"POST {PAGES}/payees/new", query=OF_UNIT, form={**FIELDS, "account": "0011012345678"}),
    Case(f"GET {OF_PAYEE}", arrange=payee),
    Case(f"GET {OF_PAYEE}/edit", arrange=payee),
    Case(f"POST {OF_PAYEE}/edit", arrange=payee, form={**FIELDS, "account": "0022012345678"}),
    Case(f"POST {OF_PAYEE}/active", arrange=payee, form={"active": "false"}),
    Case(f"GET {OF_PAYEE}/issue", arrange=payee),
    Case(f"POST {OF_PAYEE}/issue", arrange=payee, form=FORM),
    Case(f"GET {OF_PAYEE}/file", arrange=payee),
    Case(f"POST {OF_PAYEE}/file", arrange=payee, form=FILE),
    Case(f"GET {OF_PAYEE}/statement", arrange=payee),
    Case(f"POST {OF_PAYEE}/statement", arrange=payee, form=STATEMENT),
    Case(f"GET {OF_PAYEE}/template.csv", arrange=payee),
    Case(f"GET {OF_PAYEE}/charges.csv", arrange=payee),
    Case(f"GET {OF_CHARGE}", arrange=charge),
    Case(f"POST {OF_CHARGE}/cash", arrange=charge),
    Case(f"POST {OF_CHARGE}/cancel", arrange=charge),
    Case(f"GET {PAGES}/notices/{{id}}", arrange=notice),
    Case(f"POST {PAGES}/notices/{{id}}/refund", arrange=notice, form={"amount": "1", "reason": "Nộp nhầm"}),
    Case(f"POST {PAGES}/notices/{{id}}/place", arrange=placeable, form={"code": "{code}"}),
    Case(f"GET {PAGES}/businesses", arrange=business, query=OF_UNIT),
    Case(f"GET {PAGES}/businesses/new", query=OF_UNIT),
    Case(f"POST {PAGES}/businesses/new", query=OF_UNIT, form=a_business()),
    Case(f"GET {SHOP}", arrange=business),
    Case(f"GET {SHOP}/qr.svg", arrange=business),
    Case(f"POST {SHOP}/online", arrange=business, form=ONLINE),
    Case(f"POST {SHOP}/offline", arrange=online),
    Case(f"POST {SHOP}/end", arrange=business),
)
