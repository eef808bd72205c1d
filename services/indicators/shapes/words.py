"""Owns the sentences about compliance: what a unit has, what it lacks, and what caused a change, in both languages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.indicators.answers.queries import Sheet, more
from services.indicators.criteria import catalogue as c

CAUSES: dict[str, tuple[str, str]] = {
    "Petition": ("một phản ánh của người dân", "a resident's report"),
    "Loudspeaker": ("trạng thái loa truyền thanh", "the state of a loudspeaker"),
    "Bulletin": ("một bản tin truyền thanh", "a bulletin"),
    "Notice": ("một thông báo đến điện thoại", "a notice to phones"),
    "VillageAudibility": ("vùng nghe được truyền thanh", "the area in earshot"),
    "Camera": ("trạng thái camera", "the state of a camera"),
    "Product": ("thông tin sản phẩm", "a product"),
    "TourismPoint": ("điểm du lịch nông thôn", "a place to visit"),
    "Lot": ("lô hàng truy xuất được", "a traceable lot"),
    "Listing": ("nơi bán trực tuyến của sản phẩm", "an online listing"),
    "StaffMember": ("danh sách cán bộ xã, thôn", "the register of staff"),
    "ForumThread": ("một chủ đề trên diễn đàn", "a thread of the forum"),
    "Poll": ("cuộc lấy ý kiến người dân", "a poll of residents"),
    "HouseholdPayment": ("khoản hộ dân trả trực tuyến", "online payments of a household"),
    "Business": ("danh sách cơ sở kinh doanh dịch vụ", "the list of service businesses"),
    "HouseholdRegister": ("sổ hộ của xã", "the household register of the commune"),
    "DigitalTeam": ("hoạt động của tổ công nghệ số", "the digital team"),
    "Observation": ("số liệu đơn vị khác gửi đến", "figures a partner reported"),
    "observation": ("số liệu đơn vị khác gửi đến", "figures a partner reported"),
    "document": ("số liệu cán bộ nhập kèm bằng chứng", "a figure entered by staff with evidence"),
    "reading": ("hệ thống của nơi khác, cấp khác đọc số liệu", "a system of another place or level read the data"),
    "undo": ("hoàn tác một lần nhập tệp", "an import that was undone"),
    "succession": ("số liệu chuyển từ đơn vị cũ", "figures carried over from a former unit"),
    "settlement": ("số liệu của đơn vị cũ, cán bộ đã xác nhận", "a figure of a former unit that staff confirmed"),
    "units": ("đơn vị hành chính được nhập hoặc thay đổi", "units that were entered or changed"),
    "suspension": ("quyết định tạm hoãn", "an order of suspension"),
    "calendar": ("sang kỳ mới", "a new period"),
    "criteria": ("bộ chỉ tiêu hoặc mục tiêu thay đổi", "a change of criteria or targets"),
    "rebuild": ("tính lại toàn bộ", "a recomputation"),
}
"""By the first word of a cause, or the beginning of an event's name."""
OTHER = ("một thay đổi khác", "another change")
"""For a cause that has no words, such as an event of a release that is gone; its id would tell a reader nothing."""


def cause_words(cause: str, locale: str) -> str:
    """What a cause (type:id) is, for people."""
    kind = cause.partition(":")[0]
    name = kind.rsplit(".", 1)[-1]
    for prefix, words in CAUSES.items():
        if name.startswith(prefix):
            return words[1] if locale == "en" else words[0]
    return OTHER[1] if locale == "en" else OTHER[0]


def lacks(sheet: Sheet, counted: Callable[[c.Item], str], locale: str, _: Callable[[str], str]) -> list[str]:
    """The unmet items in the order of the set: the short name, and how many more where that can be said.

    `counted` says what an item counts: households, or communes.
    """
    found = []
    for row in sheet.rows:
        if row.status != "unmet":
            continue
        short = row.item.short.in_(locale)
        number = more(row.item, row.figure)
        if number:
            found.append(_("{what} (thêm {n} {unit})").format(what=short, n=number, unit=counted(row.item)))
        else:
            found.append(short)
    return found


def unknown(sheet: Sheet, locale: str, _: Callable[[str], str]) -> str:
    """The items nothing is known of: their names while they are few, else their number."""
    names = [row.item.short.in_(locale) for row in sheet.rows if row.status == "no_data"]
    return ", ".join(names) if len(names) <= 3 else _("{n} chỉ tiêu").format(n=len(names))


def joined(parts: Sequence[str], _: Callable[[str], str], most: int = 4) -> str:
    """A list in a sentence; what is beyond `most` is counted."""
    if len(parts) <= most:
        return ", ".join(parts)
    rest = _("và {n} chỉ tiêu khác").format(n=len(parts) - most)
    return f"{', '.join(parts[:most])} {rest}"
