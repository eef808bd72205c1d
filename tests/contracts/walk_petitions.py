"""Owns the cases of petitions in the walk, and its routes that are open to everybody, each with its reason."""

from __future__ import annotations

import io

from PIL import Image

from tests.contracts import walk_forum, walk_polls
from tests.contracts.walk import A_VILLAGE, DEAD_LETTERS, A, Case, Made, Stage

API = "/api/v1/petitions"
TEXT = "Đường trước nhà văn hóa hư hỏng, có ổ gà sâu."
REPORT = {
    "commune": A.code,
    "village": A_VILLAGE.code,
    "category": "giao_thong",
    "description": TEXT,
    "place": "Trước nhà văn hóa",
    "contact_phone": "0912345678",
}


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (320, 240), (30, 120, 60)).save(out, "JPEG")
    return out.getvalue()


PHOTO = {"photos": ("cho.jpg", picture(), "image/jpeg")}


async def filed(stage: Stage) -> Made:
    """A public petition: everybody may read it, so a refusal is about the role and not about its being hidden."""
    made = await stage.do("resident", "POST", API, REPORT)
    return {"id": made["id"], "code": made["code"], "number": made["code"].removeprefix("PA-")}


async def private(stage: Stage) -> Made:
    made = await stage.do("resident", "POST", API, {**REPORT, "public": False})
    return {"id": made["id"], "code": made["code"], "number": made["code"].removeprefix("PA-")}


async def routed(stage: Stage) -> Made:
    made = await filed(stage)
    await stage.do("officer", "POST", f"{API}/{made['id']}/route", {})
    return made


async def answered(stage: Stage) -> Made:
    made = await routed(stage)
    await stage.do("officer", "POST", f"{API}/{made['id']}/answer", {"text": "Xã đã vá ổ gà sáng nay."})
    return made


async def photographed(stage: Stage) -> Made:
    made = await private(stage)
    added = await stage.do("resident", "POST", f"{API}/{made['id']}/photos", files=PHOTO)
    return {**made, "photo_id": added["items"][0]["id"]}


OPEN = {
    **walk_forum.OPEN,
    **walk_polls.OPEN,
    "GET /api/v1/categories": "what a petition can be about; no unit, no person",
    "GET /": "the list of public petitions",
    "GET /report": "the empty form; a draft opens only with the secret in its writer's cookie",
    "POST /report": "anybody may write about any commune; the filing itself is POST /api/v1/petitions below",
    "POST /report/confirm": "sends one's own draft, found by the secret in the cookie",
    "POST /report/photos/remove": "one's own draft, found by the secret in the cookie",
}

CASES = (
    *DEAD_LETTERS,
    *walk_forum.CASES,
    # Whoever passes through a commune may report there; a partner's program only where the partner works.
    Case(
        f"POST {API}",
        "resident",
        json=REPORT,
        only=("anonymous", "partner of another commune", "partner without scope"),
    ),
    Case(f"GET {API}", arrange=private, query={"unit": A.code}, hidden="{code}"),
    Case(f"GET {API}/{{id}}", arrange=private),
    Case(f"POST {API}/{{id}}/route", arrange=filed, json={}),
    Case(f"POST {API}/{{id}}/answer", arrange=routed, json={"text": "Xã đã vá ổ gà sáng nay."}),
    Case(f"POST {API}/{{id}}/close", arrange=answered),
    Case(f"POST {API}/{{id}}/reopen", "resident", answered, json={"reason": "Đường vẫn hỏng như cũ."}),
    Case(f"POST {API}/{{id}}/rate", "resident", answered, json={"rating": 5, "comment": "Nhanh."}),
    Case(f"POST {API}/{{id}}/notes", arrange=filed, json={"text": "Hỏi lại trưởng thôn."}),
    Case(f"POST {API}/{{id}}/visibility", arrange=filed, json={"public": False}),
    Case(f"POST {API}/{{id}}/photos", "resident", filed, files=PHOTO),
    Case("GET /sent/{code}", "resident", filed),
    Case("GET /inbox", arrange=filed, query={"unit": A.code}),
    Case("GET /inbox", arrange=private, query={"q": "{code}"}, hidden="{id}"),
    Case("GET /inbox.csv", arrange=filed, query={"unit": A.code}),
    Case("GET /inbox.csv", arrange=private, hidden="{code}"),
    Case("GET /inbox/{id:uuid}", arrange=filed),
    Case("POST /{id:uuid}/route", arrange=filed, form={"to": ""}),
    Case("POST /{id:uuid}/answer", arrange=routed, form={"text": "Xã đã vá ổ gà sáng nay."}),
    Case("POST /{id:uuid}/note", arrange=filed, form={"note": "Hỏi lại trưởng thôn."}),
    Case("POST /{id:uuid}/visibility", arrange=filed, form={}),
    Case("POST /{id:uuid}/contact", arrange=filed),
    Case("GET /mine", "resident", filed, hidden="{code}"),
    Case("GET /photos/{photo_id}.jpg", arrange=photographed),
    Case("GET /PA-{number}", arrange=private),
    Case("GET /{id:uuid}", arrange=private),
    Case("POST /{id:uuid}/rate", "resident", answered, form={"rating": "4", "comment": ""}),
    Case("POST /{id:uuid}/reopen", "resident", answered, form={"reason": "Đường vẫn hỏng như cũ."}),
    Case("POST /{id:uuid}/close", arrange=answered),
    *walk_polls.CASES,
)
