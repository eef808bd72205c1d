"""Owns what the pages of the service share: the way down to a unit, the rail of staff, who may see and do what, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.errors import NotFound
from chassis.pages import Page
from services.media import access
from services.media.watching import queries as watching

TEMPLATES = Path(__file__).parent / "templates"
PREFIX = "/media"


@dataclass(frozen=True, slots=True)
class View:
    """A unit as a page shows it: the unit, the links above it, and what the reader may do there."""

    unit: units.Unit
    context: dict[str, Any]
    staff: bool
    enterer: bool


async def view(page: Page, tx: AsyncSession, me: Principal | None, unit: units.Unit) -> View:
    """The shell's context of a page about `unit`."""
    staff = me is not None and me.may(STAFF, unit.path)
    enterer = me is not None and me.may(access.ENTERERS, unit.path)
    above = await units.breadcrumb(tx, unit)
    links = [{"code": u.code, "name": u.name, "href": href(u)} for u in above]
    context: dict[str, Any] = {"unit": unit, "unit_path": links, "staff": staff, "enterer": enterer}
    if me is not None and me.may(access.READERS, unit.path):
        around = unit.path.rpartition("/")[0] if unit.level == "village" else unit.path
        # Who may see one village only is not told how much goes on in its neighbours.
        alerts = await watching.waiting(tx, around if me.may(access.READERS, around) else unit.path)
        context["staff_nav"] = _rail(page, unit, alerts)
    return View(unit, context, staff, enterer)


def href(unit: units.Unit) -> str:
    """The page of a unit in this service."""
    return f"{PREFIX}/villages/{unit.code}" if unit.level == "village" else f"{PREFIX}/?unit={unit.code}"


def _rail(page: Page, unit: units.Unit, alerts: int) -> list[dict[str, Any]]:
    here = page.request.url.path
    around = unit.commune
    return [
        {"href": f"{PREFIX}/?unit={around}", "label": page._("Tổng quan"), "active": here.endswith(f"{PREFIX}/")},
        {
            "href": f"{PREFIX}/bulletins?unit={around}",
            "label": page._("Bản tin thử"),
            "active": here.startswith(f"{PREFIX}/bulletins"),
        },
        {
            "href": f"{PREFIX}/camera-alerts?unit={around}",
            "label": page._("Cảnh báo camera"),
            "active": here.startswith(f"{PREFIX}/camera-alerts"),
            "count": alerts or None,
        },
        {
            "href": f"{PREFIX}/notices/desk?unit={around}",
            "label": page._("Thông báo đến điện thoại"),
            "active": here.startswith(f"{PREFIX}/notices"),
        },
    ]


async def village_view(page: Page, tx: AsyncSession, me: Principal, code: str) -> View:
    """The shell of a page about a village; raises UnknownUnit, NotFound (not a village) or Forbidden."""
    unit = await units.get(tx, code)
    if unit.level != "village":
        raise NotFound
    access.may_read(me, unit.path)
    return await view(page, tx, me, unit)


async def device_view(page: Page, tx: AsyncSession, me: Principal, row: Any) -> View:
    """The shell of a page about something that stands in a village; hidden from who may not see the village."""
    access.may_read(me, row.path, hide=True)
    # A village that has ended names its devices still, as it was when they were registered.
    then = getattr(row, "registered_at", None) or row.created_at
    unit = await units.find(tx, row.unit) or await units.get(tx, row.unit, then.astimezone(units.VIETNAM).date())
    return await view(page, tx, me, unit)


def csv_file(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """A table as a spreadsheet opens it: UTF-8 with a byte order mark, and no cell that is run as a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response("\ufeff" + text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t") else text
