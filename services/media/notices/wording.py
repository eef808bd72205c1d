"""Owns what notices and the waste calendar are called on pages: Vietnamese msgids, and the forms of schedules."""

from __future__ import annotations

from collections.abc import Callable

from services.media.notices.model import Topic, Waste, WasteRule

Translate = Callable[[str], str]

TOPICS = {
    Topic.GENERAL: "thông báo chung",
    Topic.LAW: "pháp luật, chính sách",
    Topic.CLIMATE: "thời tiết, thiên tai, biến đổi khí hậu",
    Topic.WASTE_CALENDAR: "lịch thu gom rác",
    Topic.HEALTH: "sức khỏe",
    Topic.AGRICULTURE: "nông nghiệp",
    Topic.SECURITY: "an ninh, trật tự",
}
KINDS = {
    Waste.HOUSEHOLD: "rác sinh hoạt",
    Waste.RECYCLABLE: "rác tái chế",
    Waste.BULKY: "rác cồng kềnh",
    Waste.HAZARDOUS: "chất thải nguy hại",
}
DAYS = ("Thứ Hai", "Thứ Ba", "Thứ Tư", "Thứ Năm", "Thứ Sáu", "Thứ Bảy", "Chủ Nhật")


def topics(_: Translate) -> dict[str, str]:
    """Every topic by its code, in the reader's language."""
    return {topic.value: _(word) for topic, word in TOPICS.items()}


def kinds(_: Translate) -> dict[str, str]:
    """Every kind of waste by its code, in the reader's language."""
    return {kind.value: _(word) for kind, word in KINDS.items()}


def rhythm(rule: WasteRule, _: Translate) -> str:
    """When a rule has a collection: "Thứ Hai, Thứ Năm từ 06:00", "ngày 1, 15 hằng tháng từ 06:00"."""
    days = ", ".join(_(DAYS[day - 1]) for day in rule.weekdays)
    if rule.month_days:
        days = _("ngày {days} hằng tháng").format(days=", ".join(map(str, rule.month_days)))
    return _("{days} từ {time}").format(days=days, time=f"{rule.at:%H:%M}")
