"""Pages of the waste calendar: the commune says what is collected when; residents read it beside the notices."""

from __future__ import annotations

import re
import uuid
from datetime import time
from typing import Annotated, Any

from fastapi import Response
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import STAFF, Principal
from chassis.pages import Page as PageContext
from chassis.text import Line
from chassis.web import Me, Page, PageRouter, Tx
from services.media import access
from services.media.notices import commands, queries, wording
from services.media.notices.api import ClockTime, Weekday
from services.media.notices.model import Waste, WrongDays
from services.media.shell import TEMPLATES, device_view, village_view

pages = PageRouter(templates=TEMPLATES)


def _days_of_month(text: str) -> str:
    if not re.fullmatch(r"(0?[1-9]|[12][0-9]|3[01])( *[,; ] *(0?[1-9]|[12][0-9]|3[01]))*", text):
        raise PydanticCustomError("month_days", "Ghi các ngày từ 1 đến 31, cách nhau bằng dấu phẩy.")
    return text


class WasteForm(BaseModel):
    kind: Waste
    weekdays: list[Weekday] = Field(default_factory=list, max_length=7)
    month_days: Annotated[Line(120), AfterValidator(_days_of_month)] | None = None  # type: ignore[valid-type]  # Line makes a type at run time.
    at: ClockTime


@pages.get("/villages/{code}/waste")
async def waste_page(page: Page, tx: Tx, me: Me, code: str) -> Response:
    """When waste is collected in a village."""
    return await _render(page, tx, me, code)


async def _render(page: PageContext, tx: AsyncSession, me: Principal, code: str, **more: Any) -> Response:
    shown = await village_view(page, tx, me, code)
    rules = await queries.rules(tx, shown.unit.path)
    return page.render(
        "waste.html",
        **shown.context,
        rules=[(r, wording.kinds(page._)[r.kind], wording.rhythm(r, page._)) for r in rules],
        kinds=list(wording.kinds(page._).items()),
        days=[(number, page._(day)) for number, day in enumerate(wording.DAYS, 1)],
        **more,
    )


@pages.post("/villages/{code}/waste")
async def enter_rule(page: Page, tx: Tx, me: Me, code: str) -> Response:
    access.may_write(me)
    shown = await village_view(page, tx, me, code)
    me.require(STAFF, shown.unit.path)
    form = await page.form(WasteForm)
    errors = form.errors
    if (value := form.value) is not None:
        month_days = [int(day) for day in re.findall(r"[0-9]+", value.month_days or "")]
        try:
            async with tx.begin_nested():
                await commands.enter_rule(
                    tx,
                    me,
                    unit=code,
                    kind=value.kind,
                    weekdays=value.weekdays,
                    month_days=month_days,
                    at=time.fromisoformat(value.at),
                )
            return page.redirect(f"/media/villages/{code}/waste", flash="Đã ghi lịch thu gom.")
        except WrongDays as error:
            errors = page.errors_of(error)
    return await _render(page, tx, me, code, errors=errors, typed=form.typed)


@pages.get("/waste-rules/{rule_id}/end")
async def ask_end_rule(page: Page, tx: Tx, me: Me, rule_id: uuid.UUID) -> Response:
    row = await queries.rule(tx, rule_id)
    me.require(STAFF, row.path, hide=True)
    shown = await device_view(page, tx, me, row)
    _ = page._
    kind, days = wording.kinds(_)[row.kind], wording.rhythm(row, _)
    return page.render(
        "ask.html",
        **shown.context,
        heading=_("Bỏ lịch thu gom {kind}?").format(kind=kind),
        consequence=_("{days}. Người dân không còn thấy lịch này và không được nhắc nữa.").format(
            days=days[:1].upper() + days[1:]
        ),
        action=f"/media/waste-rules/{row.id}/end",
        label=_("Bỏ lịch này"),
        cancel_href=f"/media/villages/{row.unit}/waste",
        kind="danger",
    )


@pages.post("/waste-rules/{rule_id}/end")
async def end_rule(page: Page, tx: Tx, me: Me, rule_id: uuid.UUID) -> Response:
    access.may_write(me)
    rule = await commands.end_rule(tx, me, rule_id)
    return page.redirect(f"/media/villages/{rule.unit}/waste", flash="Đã bỏ lịch thu gom này.")
