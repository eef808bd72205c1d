"""Owns what the pages of payments share: words of services and states, months, where a page stands, safe CSV cells."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import VIEWERS, Principal
from chassis.errors import Forbidden, NotFound
from chassis.web import Page
from services.ecommerce import views
from services.ecommerce.payments import vietqr
from services.ecommerce.payments.model import BusinessMeans, Charge, ChargeState, Means, NoticeState, ServiceKind

SERVICES = {
    ServiceKind.ELECTRICITY: "Điện",
    ServiceKind.WATER: "Nước sạch",
    ServiceKind.WASTE: "Thu gom rác",
    ServiceKind.TUITION: "Học phí",
    ServiceKind.PUBLIC_ADMINISTRATION: "Phí, lệ phí hành chính công",
    ServiceKind.OTHER: "Khoản khác",
}
STATES = {ChargeState.OPEN: "chưa trả", ChargeState.PAID: "đã trả", ChargeState.CANCELLED: "đã hủy"}
STATE_MARKS = {ChargeState.OPEN: "no_data", ChargeState.PAID: "met", ChargeState.CANCELLED: "not_applicable"}
MEANS = {Means.BANK: "trực tuyến", Means.CASH: "tiền mặt"}
NOTICES = {
    NoticeState.SETTLED: "đã trừ vào khoản thu",
    NoticeState.LATE: "đã trừ, trả sau hạn",
    NoticeState.OVER: "trả thừa",
    NoticeState.SHORT: "trả thiếu",
    NoticeState.DOUBLE: "trả hai lần",
    NoticeState.CANCELLED: "khoản thu đã hủy",
    NoticeState.UNKNOWN: "chưa rõ khoản nào",
    NoticeState.TEST: "tiền thử của cơ sở kinh doanh",
}
BUSINESS_MEANS = {BusinessMeans.VIETQR: "VietQR, đã thử", BusinessMeans.DOCUMENTED: "cán bộ ghi nhận"}

AskedUnit = Annotated[str | None, Query(max_length=40)]


async def _id(id: str) -> uuid.UUID:
    try:
        return uuid.UUID(id)
    except ValueError:
        raise NotFound() from None


Id = Annotated[uuid.UUID, Depends(_id)]
"""The thing of the address; what is no id is a page that does not exist."""


def words(page: Page) -> dict[str, Any]:
    """Words and marks by their codes, in the reader's language."""
    _ = page._
    return {
        "services": {one.value: _(text) for one, text in SERVICES.items()},
        "states": {one.value: _(text) for one, text in STATES.items()},
        "state_marks": {one.value: mark for one, mark in STATE_MARKS.items()},
        "means_words": {"": "–"} | {one.value: _(text) for one, text in MEANS.items()},
        "notice_words": {one.value: _(text) for one, text in NOTICES.items()},
        "business_means": {"": "–"} | {one.value: _(text) for one, text in BUSINESS_MEANS.items()},
        "banks": vietqr.banks(),
        "month": month,
    }


def month(period: str) -> str:
    """A month as people here write it: 11/2026."""
    year, _, number = period.partition("-")
    return f"{int(number)}/{year}"


def present_period(today: date) -> str:
    return f"{today:%Y-%m}"


def months(today: date) -> list[tuple[str, str]]:
    """The months a charge may be for, as a form offers them: the next one, this one, and those of a year before."""
    at = today.year * 12 + today.month
    found = [f"{(at - back) // 12:04d}-{(at - back) % 12 + 1:02d}" for back in range(13)]
    return [(one, month(one)) for one in found]


async def watched(tx: AsyncSession, me: Principal, code: str | None) -> units.Unit:
    """The unit asked for, or the first one `me` watches over; raises Forbidden."""
    if code is None:
        code = next((grant.unit for grant in me.grants if grant.role in VIEWERS), None)
    if code is None:
        raise Forbidden()
    unit = await units.get(tx, code)
    me.require(VIEWERS, unit.path)
    return unit


async def shell(page: Page, tx: AsyncSession, me: Principal, active: str, unit: str) -> dict[str, Any]:
    """What every page of staff is given: place, rail and words."""
    here = await units.find(tx, unit)
    return {**await views.shell(page, tx, me, active, here), **words(page)}


def table(name: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """A CSV file that Excel on an office PC reads: a byte order mark, and no cell that it takes for a formula."""
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow(heads)
    for row in rows:
        writer.writerow([_safe(cell) for cell in row])
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return Response(out.getvalue().encode(), media_type="text/csv; charset=utf-8", headers=headers)


def _safe(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def code_text(charge: Charge) -> str:
    """The VietQR text that pays what is left of a charge."""
    return vietqr.payload(charge.payee.bank_bin, charge.payee.account, charge.remaining, charge.code)
