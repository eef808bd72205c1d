"""Owns the cases of indicators in the walk, and its routes that are open to everybody, each with its reason."""

from __future__ import annotations

from tests.contracts.walk import A_VILLAGE, DEAD_LETTERS, A, Case, Made, Stage

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


OPEN = {
    f"GET {API}/units": "administrative units are public",
    f"GET {API}/sets": "criteria are public law",
    f"GET {API}/sets/{{set_code}}": "criteria are public law",
    f"GET {API}/units/{{code}}/sets/{{set_code}}": "sheets hold figures of units, nothing of persons",
    f"GET {API}/changes": "changes of public sheets",
    f"GET {API}/suspensions": "what is suspended, by which document, is shown on the public sheet",
    "GET /": "the overview of public sheets",
    "GET /units": "administrative units are public",
    "GET /units/{code}": "sheets hold figures of units, nothing of persons",
    "GET /units/{code}/sheet.csv": "the public sheet as a table",
    "GET /units/{code}/children.csv": "the public sheets of the units below as a table",
    "GET /sets/{set_code}": "criteria are public law",
}

CASES = (
    *DEAD_LETTERS,
    Case(f"GET {API}/units/{{code}}/sets/{{set_code}}/items/{{item_code}}/explanation", arrange=village),
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
    Case(f"POST {API}/suspensions/{{suspension_id}}/lift", "admin", suspension),
    Case("GET /units/{code}/items/{item_code}", arrange=village),
    Case("GET /units/{code}/entry", arrange=village),
    Case(
        "POST /units/{code}/entry",
        arrange=village,
        query={"measure": "village.fibre_households"},
        form={"numerator": "81", "denominator": "100", "document": "Danh sách hộ 2026", "evidence": "Đã đối chiếu."},
    ),
)
