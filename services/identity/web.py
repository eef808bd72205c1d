"""Owns what the pages of every subject of identity share: the desk, the breadcrumb of units, the rail of staff."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends
from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from chassis import units
from chassis.auth import STAFF
from chassis.pages import Page
from chassis.text import has_control
from chassis.units import Unit
from services.identity.accounts.grants import GRANTERS
from services.identity.desk import Desk

TEMPLATES = Path(__file__).parent / "templates"


async def _desk(request: Request) -> Desk:
    state = request.app.state
    if not hasattr(state, "desk"):
        state.desk = Desk.of(state.runtime.settings)
    desk: Desk = state.desk
    return desk


AtDesk = Annotated[Desk, Depends(_desk)]
"""The desk of this process."""


def _nfc(value: Any) -> Any:
    # A phone may send the letters of a password composed and a laptop decomposed: both are the same password.
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _printable(value: str) -> str:
    if has_control(value):
        raise PydanticCustomError("control_character", "Không được có ký tự điều khiển.")
    return value


Password = Annotated[
    str,
    BeforeValidator(_nfc),
    StringConstraints(min_length=1, max_length=256),
    AfterValidator(_printable),
]
"""A password as typed: NFC, never stripped; how good it must be is judged where one is set."""


def address_of(request: Request) -> str:
    """The network address a request came from, as the server saw it."""
    return request.client.host if request.client else ""


async def crumbs(tx: AsyncSession, unit: Unit | None) -> list[dict[str, str]]:
    """The breadcrumb of the shell, each step leading to the page of its unit."""
    if unit is None:
        return []
    return [
        {"code": u.code, "name": u.name, "href": f"/identity/units/{u.code}"} for u in await units.breadcrumb(tx, unit)
    ]


def rail(page: Page, active: str) -> list[dict[str, Any]]:
    """The left rail of people who work here; empty for everybody else. `active` is the key of the present page."""
    me = page.principal
    if me is None or not me.roles & {*STAFF, "village_head", "viewer"}:
        return []
    items = [
        ("units", "/identity/units", "Đơn vị"),
        ("teams", "/identity/teams", "Tổ công nghệ số"),
        ("directory", "/identity/directory", "Danh bạ cán bộ"),
    ]
    if me.roles & set(GRANTERS):
        items.append(("accounts", "/identity/accounts", "Tài khoản"))
    items.append(("households", "/identity/households", "Sổ hộ"))
    return [
        {"href": href, "label": page._(label), "active": key == active, "count": None} for key, href, label in items
    ]
