"""What several pages show in the same way: a petition's line, its case, deadlines in words, the unit's breadcrumb."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import Principal
from chassis.db import now
from chassis.errors import Malformed
from chassis.paging import decode_cursor
from chassis.units import Unit
from chassis.web import Page
from services.petitions import queries, sla
from services.petitions.contacts import ContactCipher
from services.petitions.model import OPEN, Action, Entry, EntryKind, Petition, Status
from services.petitions.settings import Settings

TEMPLATES = Path(__file__).parent.parent / "templates"
PAGE = 20
"""Petitions on one page of a list."""

# Word and shape of a status; the shapes are those of the shared status chip.
STATUS_WORDS: dict[Status, tuple[str, str]] = {
    Status.FILED: ("no_data", "Mới gửi"),
    Status.ROUTED: ("measured", "Đang xử lý"),
    Status.ANSWERED: ("met", "Đã trả lời"),
    Status.CLOSED: ("met", "Đã đóng"),
    Status.REOPENED: ("unmet", "Mở lại"),
}


def settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.runtime.settings
    return settings


def cipher_of(request: Request) -> ContactCipher:
    return ContactCipher(settings_of(request).secret.get_secret_value())


def cursor(after: str | None) -> queries.Cursor | None:
    """The place in a list that an address names; raises Malformed."""
    values = decode_cursor(after, 2)
    if values is None:
        return None
    try:
        at, identity = datetime.fromisoformat(values[0]), uuid.UUID(values[1])
    except (TypeError, ValueError, AttributeError) as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error
    if at.tzinfo is None:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.")
    return at, identity


def days_words(of: Petition, translate: Callable[[str], str]) -> str:
    """How much time is left until the deadline, in words; empty once the commune has answered."""
    if of.status not in OPEN:
        return ""
    left = sla.calendar().days_left(now(), of.due_at)
    if of.is_late(now()):
        if left == 0:
            return translate("Quá hạn từ chiều nay")
        return translate("Quá hạn {n} ngày làm việc").format(n=-left)
    return translate("Hạn trong hôm nay") if left == 0 else translate("Còn {n} ngày làm việc").format(n=left)


def category_title(code: str, locale: str) -> str:
    category = sla.known_categories().get(code)
    return category.title(locale) if category else code


def department_title(code: str | None, locale: str) -> str:
    department = sla.departments().get(code or "")
    return department.title(locale) if department else ""


def line(of: Petition, page: Page, names: dict[str, str], photos: dict[uuid.UUID, uuid.UUID]) -> dict[str, Any]:
    """A petition as one line of a list."""
    shape, word = STATUS_WORDS[of.status]
    return {
        "id": of.id,
        "code": of.code,
        "href": f"/petitions/{of.code}",
        "description": of.description,
        "category": category_title(of.category, page.locale),
        "place": names.get(of.unit, of.unit),
        "shape": shape,
        "word": page._(word),
        "filed_at": of.filed_at,
        "due_at": of.due_at,
        "late": of.is_late(now()),
        "days": days_words(of, page._),
        "public": of.public,
        "photo": photos.get(of.id),
    }


async def lines(tx: AsyncSession, page: Page, found: Sequence[Petition]) -> list[dict[str, Any]]:
    """Petitions as lines of a list, with the names of their places and their first photos: two statements in all."""
    names = await queries.unit_names(tx, {p.unit for p in found})
    photos = await queries.first_photos(tx, found)
    return [line(p, page, names, photos) for p in found]


async def crumbs(tx: AsyncSession, unit: Unit | None, path: str = "/petitions/") -> list[dict[str, str]]:
    """The breadcrumb of the shell, each part leading to the same page of that unit."""
    if unit is None:
        return []
    above = await units.breadcrumb(tx, unit)
    return [{"code": u.code, "name": u.name, "href": f"{path}?unit={u.code}"} for u in above]


def _who(entry: Entry, page: Page, *, staff: bool, commune: str) -> str:
    if not entry.by_staff:
        return page._("Người gửi")
    committee = page._("Ủy ban nhân dân {unit}").format(unit=commune)
    return f"{entry.author_name} · {committee}" if staff and entry.author_name else committee


def _what(entry: Entry, page: Page) -> str:
    if entry.kind is EntryKind.ROUTED:
        to = department_title(entry.body, page.locale)
        if to:
            return page._("Đã chuyển {department}").format(department=to)
        return page._("Cán bộ đã nhận xử lý")
    words = {
        EntryKind.ANSWERED: "Đã trả lời",
        EntryKind.CLOSED: "Đã đóng",
        EntryKind.REOPENED: "Chưa hài lòng, mở lại",
        EntryKind.RATED: "Đã đánh giá",
        EntryKind.NOTE: "Ghi chú nội bộ",
    }
    return page._(words[entry.kind])


def _said(entry: Entry, page: Page, *, inside: bool) -> str:
    if entry.kind is EntryKind.ROUTED:
        return ""
    if entry.kind is EntryKind.RATED:
        stars, _, comment = entry.body.partition("\n")
        rated = page._("{n}/5 sao").format(n=stars)
        return f"{rated}. {comment}" if inside and comment else rated
    return entry.body


def _next(of: Petition, page: Page) -> dict[str, Any] | None:
    """What happens next and who holds it: the open end of the timeline."""
    due = page.renderer.context(page.request)["fmt_datetime"](of.due_at)
    words = {
        Status.FILED: "Tiếp theo: xã phân công người xử lý. Hạn trả lời: {due}.",
        Status.REOPENED: "Tiếp theo: xã phân công lại người xử lý. Hạn trả lời ban đầu: {due}.",
        Status.ROUTED: "Tiếp theo: xã trả lời. Hạn trả lời: {due}.",
        Status.ANSWERED: "Tiếp theo: người gửi đánh giá, hoặc mở lại nếu chưa xong.",
    }.get(of.status)
    if words is None:
        return None
    return {"what": page._(words).format(due=due), "kind": "warm" if of.is_late(now()) else "next", "at": None}


def story(
    of: Petition, entries: Sequence[Entry], page: Page, *, inside: bool, staff: bool, commune: str
) -> list[dict[str, Any]]:
    """The timeline as the shared macro draws it: filed, what happened since, what comes next."""
    told: list[dict[str, Any]] = [
        {"at": of.filed_at, "what": page._("Đã gửi phản ánh"), "who": page._("Người gửi"), "kind": "done"}
    ]
    for entry in entries:
        told.append(
            {
                "at": entry.at,
                "what": _what(entry, page),
                "who": _who(entry, page, staff=staff, commune=commune),
                "said": _said(entry, page, inside=inside),
                "kind": "warm" if entry.kind in (EntryKind.REOPENED, EntryKind.NOTE) else "done",
            }
        )
    coming = _next(of, page)
    return [*told, coming] if coming else told


async def case(tx: AsyncSession, page: Page, me: Principal | None, of: Petition) -> dict[str, Any]:
    """Everything the page of one case shows, and what its reader may do."""
    staff = of.is_handler(me)
    inside = staff or of.is_reporter(me)
    entries = await queries.timeline(tx, of, notes=staff)
    names = await queries.unit_names(tx, {of.unit, of.commune})
    commune = names.get(of.commune, of.commune)
    settings = settings_of(page.request)
    at = now()
    return {
        "petition": of,
        "line": line(of, page, names, {}),
        "commune_name": commune,
        "department": department_title(of.department, page.locale),
        "photos": await queries.photos(tx, of),
        "story": story(of, entries, page, inside=inside, staff=staff, commune=commune),
        "can": {action.value: of.can(action, me, at, settings.reopen_days) for action in Action},
        "staff": staff,
        "mine": of.is_reporter(me),
        "reopen_until": of.reopen_until(settings.reopen_days),
        "has_phone": of.contact_phone is not None,
    }
