"""Owns what the pages of this service share: where a page stands, the left rail, words of a kind or a state."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import VIEWERS, Principal
from chassis.errors import NotFound
from chassis.web import Page
from services.ecommerce.access import PRODUCER
from services.ecommerce.channels import channels
from services.ecommerce.model import Phase, ProducerKind, Product, Status

KINDS = {
    ProducerKind.COOPERATIVE: "Hợp tác xã",
    ProducerKind.HOUSEHOLD: "Hộ sản xuất",
    ProducerKind.FIRM: "Doanh nghiệp",
}
STATUSES = {Status.DRAFT: "bản nháp", Status.PUBLISHED: "đang bán", Status.WITHDRAWN: "đã ngừng bán"}
STATUS_MARKS = {Status.DRAFT: "no_data", Status.PUBLISHED: "met", Status.WITHDRAWN: "suspended"}
PHASES = {Phase.PLANNED: "sắp mở bán", Phase.OPEN: "đang mở", Phase.ENDED: "đã kết thúc"}
PHASE_MARKS = {Phase.PLANNED: "measured", Phase.OPEN: "met", Phase.ENDED: "not_applicable"}


def id_of(text: str) -> uuid.UUID:
    """The id written in an address; raises NotFound."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound() from None


async def _product_id(product_id: str) -> uuid.UUID:
    return id_of(product_id)


async def _listing_id(listing_id: str) -> uuid.UUID:
    return id_of(listing_id)


ProductId = Annotated[uuid.UUID, Depends(_product_id)]
"""The product of the address; what is no id is a page that does not exist."""
ListingId = Annotated[uuid.UUID, Depends(_listing_id)]


def words(page: Page) -> dict[str, Any]:
    """Words, marks and channels by their codes, in the reader's language."""
    _ = page._
    english = page.locale == "en"
    return {
        "kinds": {kind.value: _(text) for kind, text in KINDS.items()},
        "statuses": {status.value: _(text) for status, text in STATUSES.items()},
        "status_marks": {status.value: mark for status, mark in STATUS_MARKS.items()},
        "phases": {phase.value: _(text) for phase, text in PHASES.items()},
        "phase_marks": {phase.value: mark for phase, mark in PHASE_MARKS.items()},
        "channels": {code: one.en if english else one.vi for code, one in channels().items()},
    }


async def unit_path(tx: AsyncSession, unit: units.Unit | None, href: Callable[[str], str]) -> list[dict[str, str]]:
    """The breadcrumb from the province down to `unit`."""
    if unit is None:
        return []
    above = await units.breadcrumb(tx, unit)
    return [{"code": one.code, "name": one.name, "href": href(one.code)} for one in above]


def catalogue_href(code: str) -> str:
    return f"/ecommerce/?unit={code}"


def rail(page: Page, me: Principal | None, active: str) -> list[dict[str, Any]]:
    """The left rail of producers and staff; nobody else has one."""
    if me is None or not me.roles & {*VIEWERS, *PRODUCER}:
        return []
    _ = page._
    entries = [("catalogue", "/ecommerce/", _("Sản phẩm đang bán"))]
    if me.roles & {*PRODUCER}:
        entries.append(("mine", "/ecommerce/mine", _("Sản phẩm của tôi")))
        entries.append(("tracing", "/ecommerce/tracing", _("Truy xuất nguồn gốc")))
    if me.roles & {*VIEWERS}:
        entries.append(("manage", "/ecommerce/manage", _("Sản phẩm của xã")))
        entries.append(("producers", "/ecommerce/producers", _("Cơ sở sản xuất")))
        entries.append(("payments", "/ecommerce/payments", _("Thu phí")))
        entries.append(("businesses", "/ecommerce/payments/businesses", _("Cơ sở kinh doanh")))
        entries.append(("lots", "/ecommerce/lots", _("Lô hàng của xã")))
    entries.append(("tourism", "/ecommerce/tourism", _("Điểm du lịch")))
    entries.append(("tourism-manage", "/ecommerce/tourism/manage", _("Quản lý điểm du lịch")))
    return [{"href": href, "label": label, "count": None, "active": key == active} for key, href, label in entries]


def listings_shown(product: Product, at: datetime) -> list[dict[str, Any]]:
    """The listings of a product as pages show them: open, then planned, then ended, the newest first in each."""
    order = {Phase.OPEN: 0, Phase.PLANNED: 1, Phase.ENDED: 2}
    rows = [
        {"listing": listing, "phase": listing.phase(at).value, "live": product.is_live(listing, at)}
        for listing in reversed(product.listings)
    ]
    return sorted(rows, key=lambda row: order[Phase(row["phase"])])


def desk_href(product_id: uuid.UUID) -> str:
    """The page on which a producer works on one product."""
    return f"/ecommerce/products/{product_id}/manage"


async def shell(page: Page, tx: AsyncSession, me: Principal, active: str, unit: units.Unit | None) -> dict[str, Any]:
    """What every page behind a sign-in is given: place, rail and words."""
    return {
        "unit_path": await unit_path(tx, unit, catalogue_href),
        "staff_nav": rail(page, me, active),
        **words(page),
    }
