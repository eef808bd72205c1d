"""Owns the page on which whoever administers a new unit settles the roles of the former ones."""

from __future__ import annotations

import uuid
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from chassis.errors import Forbidden, InvalidFields
from chassis.paging import After, decode_cursor, page_of
from chassis.text import Line
from chassis.web import Me, Page, PageRouter, Tx
from services.identity.accounts import grants, handovers
from services.identity.accounts.api import as_uuid
from services.identity.accounts.model import ROLE_TITLES
from services.identity.units import settling
from services.identity.web import TEMPLATES, rail

pages = PageRouter(templates=TEMPLATES)

PAGE = 50
ADDRESS = "/identity/handovers"
WHY = {
    settling.SPLIT: "đơn vị cũ được chia cho nhiều đơn vị",
    settling.GONE: "đơn vị cũ kết thúc mà không có đơn vị tiếp nhận",
    settling.POST: "đơn vị cũ được sáp nhập, các chức vụ được giao lại",
    settling.LARGER: "đơn vị cũ trở thành một phần của đơn vị khác",
    settling.NO_LEVEL: "vai trò không giữ được ở đơn vị tiếp nhận",
}

Short: Any = Line(40)


class GiveForm(BaseModel):
    """The successor on which a role is given anew."""

    unit: Short


@pages.get("/handovers")
async def handovers_page(page: Page, tx: Tx, me: Me, after: After = None) -> Response:
    if not me.roles & set(grants.GRANTERS):
        raise Forbidden
    cursor = decode_cursor(after, 1)
    rows = await handovers.waiting(tx, me, after=as_uuid(cursor[0]) if cursor else None, limit=PAGE)
    shown = page_of(rows, PAGE, key=lambda one: (str(one.id),))
    return page.render(
        "handovers.html",
        rows=shown.items,
        total=await handovers.count(tx, me),
        titles=ROLE_TITLES,
        why={reason: page._(words) for reason, words in WHY.items()},
        more=f"{ADDRESS}?after={shown.next}" if shown.next else None,
        first=ADDRESS if after else None,
        staff_nav=rail(page, "accounts"),
    )


@pages.post("/handovers/{handover_id}/give")
async def give(page: Page, tx: Tx, me: Me, handover_id: uuid.UUID) -> Response:
    form = await page.form(GiveForm)
    if form.value is None:
        raise InvalidFields([])
    await handovers.give(tx, me, handover_id, form.value.unit)
    return page.redirect(ADDRESS, flash="Đã giao vai trò. Có hiệu lực từ lần đăng nhập sau của người đó.")


@pages.post("/handovers/{handover_id}/leave")
async def leave(page: Page, tx: Tx, me: Me, handover_id: uuid.UUID) -> Response:
    await handovers.leave(tx, me, handover_id)
    return page.redirect(ADDRESS, flash="Đã ghi: vai trò này không bàn giao.")
