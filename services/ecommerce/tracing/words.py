"""Owns the words of works, units and steps, and how the way of a lot is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chassis.i18n import fmt_date
from chassis.web import Page
from services.ecommerce import views
from services.ecommerce.tracing.model import DoneBy, Lot, LotStatus, Step, Uom, Work
from services.ecommerce.tracing.queries import Standing

WORKS = {
    Work.SOWING: "Gieo, cấy, trồng",
    Work.WATERING: "Tưới nước",
    Work.WEEDING: "Làm cỏ, chăm sóc",
    Work.FERTILISER: "Bón phân",
    Work.PESTICIDE: "Dùng thuốc bảo vệ thực vật",
    Work.HARVEST: "Thu hoạch",
    Work.OTHER: "Việc khác",
}
DOERS = {DoneBy.PRODUCER: "Cơ sở tự làm", DoneBy.HOUSEHOLDS: "Hộ thành viên làm", DoneBy.HIRED: "Thuê người làm"}
UOMS = {Uom.KILOGRAM: "kg", Uom.TONNE: "tấn", Uom.LITRE: "lít", Uom.PIECE: "cái, quả, bó"}
STEPS = {
    Step.HARVEST: "Thu hoạch",
    Step.PACKING: "Đóng gói",
    Step.SHIPPING: "Xuất đến nơi bán",
    Step.CLOSING: "Bán hết",
    Step.RECALL: "Thu hồi",
    Step.LIFTING: "Thôi thu hồi",
}
STATUSES = {
    LotStatus.OPEN: "chưa xuất bán",
    LotStatus.SHIPPED: "đã xuất bán",
    LotStatus.RECALLED: "BỊ THU HỒI",
    LotStatus.CLOSED: "đã bán hết",
}
MARKS = {
    LotStatus.OPEN: "measured",
    LotStatus.SHIPPED: "met",
    LotStatus.RECALLED: "danger",
    LotStatus.CLOSED: "not_applicable",
}


def words(page: Page) -> dict[str, Any]:
    """Words and marks by their codes, in the reader's language, beside those every page of the service has."""
    _ = page._
    tables: dict[str, Mapping[Any, str]] = {
        "works": WORKS,
        "doers": DOERS,
        "uoms": UOMS,
        "step_names": STEPS,
        "lot_statuses": STATUSES,
    }
    told = {name: {code.value: _(text) for code, text in table.items()} for name, table in tables.items()}
    return {**views.words(page), **told, "lot_marks": {status.value: mark for status, mark in MARKS.items()}}


def way(_: Callable[[str], str], lot: Lot, standing: Standing, names: dict[str, str]) -> list[dict[str, Any]]:
    """The way from the field to the shop: each place with its day and whether there is a proof of it."""
    named = {name: [step for step in lot.steps if step.kind == name] for name in Step}
    fields = ", ".join(f"{plot.name} ({names.get(plot.unit, plot.unit)})" for plot in lot.plots)
    packed, shipped = named[Step.PACKING], named[Step.SHIPPING]
    return [
        {"what": _("Đồng ruộng"), "where": fields, "day": lot.season_from, "proven": not standing.bare_plots},
        {"what": _("Thu hoạch"), "where": "", "day": lot.harvested_on, "proven": not standing.broken},
        {
            "what": _("Đóng gói"),
            "where": packed[0].place if packed else "",
            "day": packed[0].at if packed else None,
            "proven": bool(packed),
        },
        {
            "what": _("Nơi bán"),
            "where": ", ".join(dict.fromkeys(step.place for step in shipped)),
            "day": shipped[0].at if shipped else None,
            "proven": bool(shipped),
        },
    ]


def lacking(page: Page, standing: Standing) -> list[str]:
    """What keeps the way of a lot from being whole, in words."""
    _ = page._
    said = [_("Thửa %(plot)s chưa có nhật ký của vụ này.") % {"plot": plot.name} for plot in standing.bare_plots]
    for entry in standing.broken:
        day, first = (fmt_date(one, page.locale) for one in (entry.day, entry.first_harvest))
        told = {"product": entry.product, "day": day, "first": first}
        text = _("Thu hoạch khi chưa hết thời gian cách ly: dùng %(product)s ngày %(day)s, phải chờ đến %(first)s.")
        said.append(text % told)
    if not standing.packed:
        said.append(_("Chưa ghi việc đóng gói."))
    return said
