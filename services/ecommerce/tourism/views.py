"""Owns what the pages of tourism share: words of kinds, states and opening, and what search engines are told."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any

from fastapi import Depends

from chassis import i18n, units
from chassis.web import Page
from services.ecommerce import views
from services.ecommerce.tourism import shapes
from services.ecommerce.tourism.model import BookingStatus, PointKind, PointStatus, TourismPoint

KINDS = {
    PointKind.GARDEN: "Vườn",
    PointKind.FARM: "Trang trại",
    PointKind.CRAFT_VILLAGE: "Làng nghề",
    PointKind.HERITAGE: "Di tích",
    PointKind.HOMESTAY: "Homestay",
    PointKind.LANDSCAPE: "Cảnh quan",
}
STATUSES = {PointStatus.DRAFT: "bản nháp", PointStatus.PUBLISHED: "đang đón khách", PointStatus.CLOSED: "tạm đóng"}
MARKS = {PointStatus.DRAFT: "no_data", PointStatus.PUBLISHED: "met", PointStatus.CLOSED: "suspended"}
ANSWERS = {
    BookingStatus.REQUESTED: "chờ trả lời",
    BookingStatus.ACCEPTED: "đã nhận",
    BookingStatus.DECLINED: "không nhận",
    BookingStatus.EXPIRED: "đã hết hạn",
}
ANSWER_MARKS = {
    BookingStatus.REQUESTED: "measured",
    BookingStatus.ACCEPTED: "met",
    BookingStatus.DECLINED: "unmet",
    BookingStatus.EXPIRED: "not_applicable",
}
DAYS = ("thứ Hai", "thứ Ba", "thứ Tư", "thứ Năm", "thứ Sáu", "thứ Bảy", "Chủ nhật")
_SCHEMA_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EVERY_DAY = 7
_A_RUN = 3


async def _point_id(point_id: str) -> uuid.UUID:
    return views.id_of(point_id)


async def _booking_id(booking_id: str) -> uuid.UUID:
    return views.id_of(booking_id)


PointId = Annotated[uuid.UUID, Depends(_point_id)]
"""The point of the address; what is no id is a page that does not exist."""
BookingId = Annotated[uuid.UUID, Depends(_booking_id)]


def words(page: Page, at: datetime) -> dict[str, Any]:
    """Words and marks by their codes, and sentences about a point, in the reader's language."""
    _ = page._
    return {
        **views.words(page),
        "point_kinds": {kind.value: _(text) for kind, text in KINDS.items()},
        "point_statuses": {status.value: _(text) for status, text in STATUSES.items()},
        "point_marks": {status.value: mark for status, mark in MARKS.items()},
        "answers": {status.value: _(text) for status, text in ANSWERS.items()},
        "answer_marks": {status.value: mark for status, mark in ANSWER_MARKS.items()},
        "weekdays": [(number, _(day)) for number, day in enumerate(DAYS, 1)],
        "standing": lambda point: standing(point, at, page.locale, _),
        "opening": lambda point: opening(point, _),
    }


def standing(point: TourismPoint, at: datetime, locale: str, _: Callable[[str], str]) -> str:
    """Whether one can go there now, in a sentence."""
    if point.status == PointStatus.CLOSED:
        return _("Tạm đóng cửa, mở lại ngày {day}.").format(day=i18n.fmt_date(point.opens_again_on, locale))
    if point.is_open(at):
        if point.closes is None:
            return _("Hôm nay mở cửa cả ngày.")
        return _("Đang mở cửa, đến {hour} hôm nay.").format(hour=f"{point.closes:%H:%M}")
    following = point.next_opening(at)
    if following is None:
        return _("Chưa có thông tin giờ mở cửa.")
    return _("Đang đóng cửa, mở lại lúc {when}.").format(when=i18n.fmt_datetime(following, locale))


def opening(point: TourismPoint, _: Callable[[str], str]) -> str:
    """On which days and at which hours it is open; empty where nobody said so."""
    if not point.open_days:
        return ""
    days = _("hằng ngày") if len(point.open_days) == _EVERY_DAY else ", ".join(_runs(point.open_days, _))
    if point.opens is None or point.closes is None:
        return days
    return f"{days}, {point.opens:%H:%M}–{point.closes:%H:%M}"


def _runs(days: list[int], _: Callable[[str], str]) -> Iterator[str]:
    """The names of the days, three and more in a row as first and last."""
    for _offset, found in groupby(enumerate(days), lambda pair: pair[1] - pair[0]):
        names = [_(DAYS[day - 1]) for _at, day in found]
        if len(names) < _A_RUN:
            yield from names
        else:
            yield _("{first} đến {last}").format(first=names[0], last=names[-1])


def linked_data(point: TourismPoint, above: list[units.Unit], public_url: str) -> dict[str, Any]:
    """The point as schema.org's TouristAttraction (JSON-LD)."""
    said: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "TouristAttraction",
        "name": point.name,
        "url": shapes.page_url(point, public_url),
        "address": {"@type": "PostalAddress", "addressCountry": "VN"},
    }
    if above:
        said["address"]["streetAddress"] = above[-1].name
        said["address"]["addressLocality"] = ", ".join(unit.name for unit in reversed(above[1:-1]))
        said["address"]["addressRegion"] = above[0].name
    if point.description:
        said["description"] = point.description
    if point.lat is not None and point.lon is not None:
        said["geo"] = {"@type": "GeoCoordinates", "latitude": point.lat, "longitude": point.lon}
    if point.open_days:
        hours = {"opens": f"{point.opens:%H:%M}" if point.opens else "00:00"}
        hours["closes"] = f"{point.closes:%H:%M}" if point.closes else "23:59"
        days = [_SCHEMA_DAYS[day - 1] for day in point.open_days]
        said["openingHoursSpecification"] = {"@type": "OpeningHoursSpecification", "dayOfWeek": days, **hours}
    if point.phone:
        said["telephone"] = "+84" + point.phone.removeprefix("0")
    if point.photo:
        said["image"] = shapes.photo_url(point, public_url)
    return said
