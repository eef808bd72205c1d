"""Owns the cases of indicators in the walk, and its routes that are open to everybody, each with its reason."""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from tests.contracts.walk import A_VILLAGE, DEAD_LETTERS, OWNERS, A, Case, Made, Stage

API = "/api/v1"
SET = "hd-288-2023"
CODE = A_VILLAGE.code
SUSPENSION = {
    "unit": A.code,
    "set": SET,
    "item": "288.4",
    "reason": "Chờ thay đường truyền.",
    "document": "Công văn 12/UBND",
}


async def village(_stage: Stage) -> Made:
    return {"code": CODE, "set_code": SET, "item_code": "288.5"}


async def suspension(stage: Stage) -> Made:
    made = await stage.do("admin", "POST", f"{API}/suspensions", SUSPENSION)
    return {"suspension_id": made["id"]}


OVERLAY = f"""
overlay: walk-2026
on: {SET}
unit: "{A.code}"
title: {{vi: "Mục tiêu của xã", en: "Targets of the commune"}}
legal_basis: {{number: "3/KH-UBND", date: 2026-01-10, issuer: "UBND xã", title: "Kế hoạch"}}
valid_from: 2026-01-10
targets: [{{item: "288.5", operator: ">=", target: 70%}}]
"""
DOCUMENT = {"document": OVERLAY}


async def overlay_name(_stage: Stage) -> Made:
    return {"name": "walk-2026"}


async def overlay(stage: Stage) -> Made:
    await stage.do("admin", "PUT", f"{API}/criteria/walk-2026", DOCUMENT)
    return {"name": "walk-2026"}


VALUES = {
    "dataSet": SET,
    "period": "2026",
    "dataValues": [{"dataElement": "village.smart_loudspeaker", "orgUnit": CODE, "value": "true"}],
}
TABLE = f"[unit];[village.fibre_households:numerator];[village.fibre_households:denominator]\n{CODE};81;100\n"
FILE = {"file": ("so-lieu.csv", TABLE.encode(), "text/csv")}
PDF = {"file": ("bien-ban.pdf", b"%PDF-1.7\n%%EOF\n", "application/pdf")}
OF_A_SET = {"set": SET, "level": "village"}


async def imported(stage: Stage) -> Made:
    """A file that waits for confirmation."""
    answer = await stage.ask(OWNERS["officer"], "POST", f"/units/{A.code}/imports", params=OF_A_SET, files=FILE)
    assert answer.status_code == 303, answer.text
    return {"import_id": answer.headers["location"].rsplit("/", 1)[-1]}


async def applied(stage: Stage) -> Made:
    made = await imported(stage)
    path = f"/imports/{made['import_id']}/apply"
    assert (await stage.ask(OWNERS["officer"], "POST", path, data={"mode": "all"})).status_code == 303
    return made


async def document(stage: Stage) -> Made:
    path = f"{API}/documents"
    answer = await stage.ask(OWNERS["officer"], "POST", path, data={"unit": CODE}, files=PDF)
    assert answer.status_code == 201, answer.text
    return {"document_id": answer.json()["id"]}


async def settlement(stage: Stage) -> Made:
    """A figure of a former unit that waits to be settled; a reorganisation makes one, no public face does."""
    made = uuid.uuid4()
    async with stage.running.tx() as tx:
        await tx.execute(
            sa.text(
                "INSERT INTO settlement (id, unit, path, measure, change_set, effective_on, reason, parts, numerator,"
                " denominator) VALUES (:id, :unit, :path, 'village.fibre_households', :change_set, '2025-07-01',"
                " 'unknown', '[]', 81, 100)"
            ),
            {"id": made, "change_set": str(made), "unit": f"{CODE}@{A_VILLAGE.valid_from}", "path": A_VILLAGE.path},
        )
    return {"settlement_id": str(made)}


REDUCED = "figures, kinds of sources and times; ids only for those who look after the unit (tests/indicators)"

OPEN = {
    f"GET {API}/units": "administrative units are public",
    f"GET {API}/sets": "criteria are public law",
    f"GET {API}/sets/{{set_code}}": "criteria are public law",
    f"GET {API}/units/{{code}}/overview": "the public sheets of the units below, all sets at once",
    f"GET {API}/units/{{code}}/sets/{{set_code}}": "sheets hold figures of units, nothing of persons",
    f"GET {API}/units/{{code}}/sets/{{set_code}}/items/{{item_code}}/explanation": REDUCED,
    f"GET {API}/units/{{code}}/sets/{{set_code}}/items/{{item_code}}/reasons": REDUCED,
    f"GET {API}/units/{{code}}/sets/{{set_code}}/items/{{item_code}}/history": "changes of public sheets",
    f"POST {API}/units/{{code}}/sets/{{set_code}}/what-if": "arithmetic on public figures, stores nothing",
    "GET /units/{code}/items/{item_code}": REDUCED,
    "GET /units/{code}/items/{item_code}/history": "changes of public sheets",
    "GET /units/{code}/items/{item_code}/history.csv": "changes of public sheets as a table",
    f"GET {API}/changes": "changes of public sheets",
    f"GET {API}/criteria": "criteria are public law; who applied them is told to administrators only",
    f"GET {API}/criteria/{{name}}": "as above",
    f"GET {API}/suspensions": "what is suspended, by which document, is shown on the public sheet",
    "GET /": "the overview of public sheets",
    "GET /units": "administrative units are public",
    "GET /units/{code}": "sheets hold figures of units, nothing of persons",
    "GET /units/{code}/sheet.csv": "the public sheet as a table",
    "GET /units/{code}/sheet.xlsx": "the public sheet as a table",
    "GET /units/{code}/children.xlsx": "the public sheets of the units below as a table",
    f"GET {API}/units/{{code}}/sets/{{set_code}}/children": "the public sheets of the units below",
    f"GET {API}/dataValueSets": "figures of public sheets, in the words of DHIS2",
    "GET /units/{code}/children.csv": "the public sheets of the units below as a table",
    "GET /sets": "criteria are public law",
    "GET /sets/{set_code}": "criteria are public law",
    "GET /units/{code}/quality": "what is missing from public sheets, and who should send it",
    "GET /units/{code}/quality.csv": "the same as a table",
    "GET /units/{code}/what-if": "public sheets with other figures laid over them; stores nothing",
}

CASES = (
    *DEAD_LETTERS,
    Case(
        f"POST {API}/observations",
        json={
            "unit": CODE,
            "measure": "village.households",
            "value": {"count": 240},
            "evidence": {"document": "Danh sách hộ 2026"},
        },
    ),
    Case(f"POST {API}/suspensions", "admin", json=SUSPENSION),
    Case(f"GET {API}/settlements", arrange=settlement, query={"unit": CODE}),
    Case(f"GET {API}/rejections", query={"unit": CODE}),
    Case(f"POST {API}/settlements/{{settlement_id}}/accept", arrange=settlement, json={"document": "Biên bản 5"}),
    Case(
        f"POST {API}/settlements/{{settlement_id}}/enter",
        arrange=settlement,
        json={"value": {"numerator": 1, "denominator": 2}, "evidence": {"document": "Biên bản 5"}},
    ),
    Case(f"POST {API}/settlements/{{settlement_id}}/dismiss", arrange=settlement, json={"reason": "Đã có số mới."}),
    Case("GET /settlements", arrange=settlement, query={"unit": CODE}),
    Case("GET /settlements/{settlement_id}", arrange=settlement),
    Case("POST /settlements/{settlement_id}", arrange=settlement, form={"action": "accept", "document": "Biên bản 5"}),
    Case(f"POST {API}/suspensions/{{suspension_id}}/lift", "admin", suspension),
    Case(f"PUT {API}/criteria/{{name}}", "admin", overlay_name, json=DOCUMENT),
    Case(f"DELETE {API}/criteria/{{name}}", "admin", overlay),
    Case(f"POST {API}/dataValueSets", json=VALUES),
    Case(f"POST {API}/documents", form={"unit": CODE}, files=PDF),
    Case("GET /documents/{document_id}", arrange=document),
    Case("GET /units/{code}/imports", arrange=village),
    Case("GET /units/{code}/template.xlsx", arrange=village),
    Case("GET /units/{code}/template.csv", arrange=village),
    Case("POST /units/{code}/imports", arrange=village, query=OF_A_SET, files=FILE),
    Case("GET /imports/{import_id}", arrange=imported),
    Case("POST /imports/{import_id}/apply", arrange=imported, form={"mode": "all"}),
    Case("POST /imports/{import_id}/discard", arrange=imported),
    Case("GET /imports/{import_id}/undo", arrange=applied),
    Case("POST /imports/{import_id}/undo", arrange=applied),
    Case(f"POST {API}/imports", form={"unit": A.code, **OF_A_SET}, files=FILE),
    Case(f"GET {API}/imports", query={"unit": A.code}),
    Case(f"GET {API}/imports/{{import_id}}", arrange=imported),
    Case(f"GET {API}/imports/{{import_id}}/faults", arrange=imported),
    Case(f"GET {API}/imports/{{import_id}}/values", arrange=imported),
    Case(f"GET {API}/imports/{{import_id}}/kept", arrange=imported),
    Case(f"GET {API}/imports/{{import_id}}/progress", arrange=imported),
    Case(f"POST {API}/imports/{{import_id}}/apply", arrange=imported, json={"mode": "all"}),
    Case(f"POST {API}/imports/{{import_id}}/discard", arrange=imported),
    Case(f"POST {API}/imports/{{import_id}}/undo", arrange=applied),
    Case("GET /units/{code}/entry", arrange=village),
    Case(
        "POST /units/{code}/entry",
        arrange=village,
        query={"measure": "village.fibre_households"},
        form={"numerator": "81", "denominator": "100", "document": "Danh sách hộ 2026", "evidence": "Đã đối chiếu."},
    ),
)
