"""Owns the page on which province IT reads and replays the events a service could not bring into effect."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from starlette.responses import Response

from chassis import audit, dead_letters
from chassis.auth import Principal
from chassis.consumer import Consumers, Poison
from chassis.errors import Forbidden
from chassis.paging import After, decode_cursor, page_of
from chassis.web import Me, Page, PageRouter, Tx

ROLES = ("admin",)
PAGE = 20


def _require(me: Principal) -> None:
    """Dead letters concern the whole platform, not a unit: whoever administers a province may see them."""
    if not any(grant.role in ROLES and "/" not in grant.path for grant in me.grants):
        raise Forbidden


def _shown(registry: Consumers, letter: Any) -> str:
    """Headers and payload as text; a payload that cannot be read is shown as hexadecimal digits."""
    try:
        event = registry.decode(letter.headers, letter.payload)
        data: Any = MessageToDict(event.data, preserving_proto_field_name=True) if event else None
    except Poison:
        data = (letter.payload or b"").hex()
    return json.dumps({"headers": letter.headers, "data": data}, ensure_ascii=False, indent=2)


def dead_letter_pages(registry: Consumers) -> PageRouter:
    """The routes of `/dead-letters` for one service."""
    pages = PageRouter(templates=Path(__file__).parent / "templates")

    @pages.get("/dead-letters")
    async def read(page: Page, tx: Tx, me: Me, after: After = None) -> Response:
        _require(me)
        cursor = decode_cursor(after, 1)
        rows = await dead_letters.waiting(tx, PAGE, uuid.UUID(cursor[0]) if cursor else None)
        found = page_of(rows, PAGE, lambda r: (str(r.id),))
        letters = [
            {**r._mapping, "lost": r.type == dead_letters.LOSS, "shown": _shown(registry, r)} for r in found.items
        ]
        next_href = f"?after={found.next}" if found.next else None
        return page.render(
            "dead_letters.html", letters=letters, total=await dead_letters.count(tx), next_href=next_href
        )

    @pages.post("/dead-letters/{letter_id}/replay")
    async def replay(page: Page, tx: Tx, me: Me, letter_id: uuid.UUID) -> Response:
        _require(me)
        replayed = await dead_letters.replay(tx, registry, letter_id, me.subject)
        action = "dead_letter.replayed" if replayed else "dead_letter.seen"
        await audit.record(tx, me, action=action, target=str(letter_id), unit="", detail={})
        prefix = page.renderer.settings.name
        flash = "Đã chạy lại sự kiện." if replayed else "Đã đánh dấu đã xem."
        return page.redirect(f"/{prefix}/dead-letters", flash=flash)

    return pages
