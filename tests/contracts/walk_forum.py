"""Owns the cases of the forum in the walk of petitions, and its routes that are open to everybody."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from chassis.db import new_id, now
from services.petitions.forum.model import Post
from tests.contracts.walk import OWNERS, A, Case, Headers, Made, Stage
from tests.support.running import bearer

API = "/api/v1/forum"
_numbers = itertools.count(1)
WORDS = {"body": "Thôn tôi ủ rác làm phân.", "name": "Chị An làng gốm"}
NOBODYS = ("anonymous", "partner of another commune", "partner without scope", "somebody without any role")
"""Whoever lives or works somewhere may write in the forum of any commune: that is what it is for."""


async def _begin(stage: Stage, who: Headers, **changed: Any) -> dict[str, Any]:
    """The first post of a new thread in A. What was written before was written earlier: an hour holds so many posts."""
    async with stage.running.tx() as tx:
        await tx.execute(sa.update(Post).values(written_at=now() - timedelta(hours=2)))
    title = f"Phân loại rác {new_id()}"
    body = {**WORDS, "topic": "environment", "title": title, "commune": A.code, **changed}
    answer = await stage.ask(who, "POST", f"{API}/threads", json=body)
    assert answer.status_code == 201, answer.text
    return {**answer.json(), "title": title}


async def _unread(stage: Stage) -> dict[str, Any]:
    """Begun by a newcomer, so that only they and the staff of A know of it."""
    newcomer = bearer(("resident", A.path), subject=str(new_id()))
    return await _begin(stage, newcomer, name=f"Người mới {next(_numbers)}")


async def unread_thread(stage: Stage) -> Made:
    return {"id": (await _unread(stage))["thread_id"]}


async def unread_post(stage: Stage) -> Made:
    return {"id": (await _unread(stage))["id"]}


async def public_thread(stage: Stage) -> Made:
    return {"id": (await _begin(stage, OWNERS["officer"], name="Văn phòng Ủy ban"))["thread_id"]}


async def public_post(stage: Stage) -> Made:
    return {"id": (await _begin(stage, OWNERS["officer"], name="Văn phòng Ủy ban"))["id"]}


async def residents_post(stage: Stage) -> Made:
    made = await _begin(stage, OWNERS["resident"])
    return {"id": made["id"], "title": made["title"]}


THREAD = {"topic": "culture", "title": "Hội làng tháng Giêng", "body": "Làng tôi giữ hội vật.", "name": "Chị An"}
HIDE = {"action": "hide", "reason": "Không đúng chủ đề"}

OPEN = {
    f"GET {API}/topics": "what a thread can be about; no unit, no person",
    f"GET {API}/threads": "the threads everybody may read",
    "GET /forum": "the page of the threads everybody may read",
}

CASES = (
    Case(f"POST {API}/threads", "resident", json={**THREAD, "commune": A.code}, only=NOBODYS),
    Case(f"GET {API}/threads/{{id}}", arrange=unread_thread),
    Case(f"GET {API}/threads/{{id}}/posts", arrange=unread_thread),
    Case(f"POST {API}/threads/{{id}}/posts", "resident", public_thread, json=WORDS, only=NOBODYS),
    Case(f"POST {API}/threads/{{id}}/moderate", arrange=public_thread, json=HIDE),
    Case(f"POST {API}/posts/{{id}}/edit", "resident", residents_post, json={"body": "Lời khác hẳn."}),
    Case(f"POST {API}/posts/{{id}}/withdraw", "resident", residents_post),
    Case(f"POST {API}/posts/{{id}}/report", "resident", public_post, json={"reason": "Quảng cáo"}, only=NOBODYS),
    Case(f"POST {API}/posts/{{id}}/moderate", arrange=unread_post, json={"action": "approve"}),
    Case(f"GET {API}/queue", arrange=unread_post, query={"unit": A.code}),
    Case(f"GET {API}/queue", arrange=unread_post, query={"limit": "200"}, hidden="{id}"),
    Case("GET /forum/mine", "resident", residents_post, hidden="{title}"),
    Case("GET /forum/queue", arrange=unread_post, query={"unit": A.code}),
    Case("GET /forum/new", "resident", only=("anonymous",)),
    Case("POST /forum/new", "resident", form={**THREAD, "commune": A.code}, only=NOBODYS),
    Case("GET /forum/threads/{id:uuid}", arrange=unread_thread),
    Case("POST /forum/threads/{id:uuid}/posts", "resident", public_thread, form=WORDS, only=NOBODYS),
    Case("POST /forum/threads/{id:uuid}/moderate", arrange=public_thread, form=HIDE),
    Case("GET /forum/threads/{id:uuid}/hide", arrange=public_thread),
    Case("GET /forum/posts/{id:uuid}", arrange=unread_post),
    Case("GET /forum/posts/{id:uuid}/edit", "resident", residents_post),
    Case("POST /forum/posts/{id:uuid}/edit", "resident", residents_post, form={"body": "Lời khác hẳn."}),
    Case("GET /forum/posts/{id:uuid}/withdraw", "resident", residents_post),
    Case("POST /forum/posts/{id:uuid}/withdraw", "resident", residents_post),
    Case("GET /forum/posts/{id:uuid}/report", "resident", public_post, only=("anonymous",)),
    Case("POST /forum/posts/{id:uuid}/report", "resident", public_post, form={"reason": "Quảng cáo"}, only=NOBODYS),
    Case("GET /forum/posts/{id:uuid}/hide", arrange=public_post),
    Case("POST /forum/posts/{id:uuid}/moderate", arrange=unread_post, form={"action": "approve"}),
)
