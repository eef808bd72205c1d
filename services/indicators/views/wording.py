"""Owns the words pages share: statuses, levels, figures, sources, states of facts, what a rule asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import urlencode

from chassis.i18n import fmt_datetime, fmt_number, fmt_percent
from services.indicators.calculation.engine import Figure, Ratio
from services.indicators.criteria import catalogue as c

Translate = Callable[[str], str]

STATUS_WORDS = {
    "met": "đạt",
    "unmet": "chưa đạt",
    "no_data": "chưa có số liệu",
    "not_applicable": "không áp dụng",
    "measured": "theo dõi",
    "suspended": "tạm hoãn",
}


def address(path: str, **query: str | None) -> str:
    """A path with the query parameters that are not None."""
    return f"{path}?{urlencode({name: value for name, value in query.items() if value is not None})}"


def figure_words(figure: Figure | None, measure: c.Measure | None, locale: str, _: Translate) -> str:
    """A figure for people: 83,3% (200/240 hộ), có, 12."""
    if figure is None:
        return ""
    if isinstance(figure, bool):
        return _("có") if figure else _("không")
    unit = f" {measure.unit_of_measure.in_(locale)}" if measure else ""
    if isinstance(figure, Ratio):
        counted = f"{fmt_number(figure.numerator, locale)}/{fmt_number(figure.denominator, locale)}{unit}"
        return f"{fmt_percent(*figure, locale)} ({counted})" if figure.denominator else counted
    return f"{fmt_number(figure, locale)}{unit}"


def short_figure(figure: Figure | None, locale: str, _: Translate) -> str:
    """A figure for a narrow cell: 83,3%, có, 12."""
    if isinstance(figure, Ratio) and figure.denominator:
        return fmt_percent(*figure, locale)
    return figure_words(figure, None, locale, _)


LEVEL_WORDS = {"village": "thôn", "commune": "xã", "district": "huyện", "province": "tỉnh"}


def many(level: str, locale: str, _: Translate) -> str:
    """Units of a level as a word for several: "thôn", "villages"."""
    word = _(LEVEL_WORDS[level])
    # The English names of all four levels take a plain s; Vietnamese has no plural.
    return f"{word}s" if locale == "en" else word


FEED_WORDS = {
    "T": "doanh nghiệp viễn thông gửi đến",
    "M": "mục Truyền thanh & camera",
    "P": "mục Phản ánh",
    "E": "mục Sản phẩm",
    "I": "mục Con người",
    "S": "cán bộ nhập kèm bằng chứng",
    "G": "hệ thống khác của Nhà nước gửi đến",
}
"""Who feeds a row, by the letters of the criteria files."""


KIND_WORDS = {
    "household": "hộ",
    "person": "người",
    "product": "sản phẩm",
    "camera": "camera",
    "loudspeaker": "loa",
    "digital_team": "tổ công nghệ số",
    "petition": "phản ánh",
    "area": "phần địa bàn",
    "staff": "cán bộ",
    "tourism_point": "điểm du lịch",
    "reading": "hệ thống đọc số liệu",
    "skill_class": "lớp",
    "business": "cơ sở kinh doanh",
    "thread": "chủ đề diễn đàn",
    "lot": "lô hàng",
    "notice": "thông báo",
}
"""What single things are, by the kind their attributes name."""
STATE_WORDS = {
    "answered": "đã trả lời",
    "open": "chưa trả lời",
    "working": "đang hoạt động",
    "silent": "mất kết nối",
    "analogue": "không phải loa thông minh",
    "retired": "đã thôi dùng",
    "registered": "đã đăng ký",
    "dissolved": "đã giải thể",
    "logged": "có hoạt động",
    "none": "không hoạt động",
    "public_place": "đang quan sát nơi công cộng",
    "main_road": "đang quan sát đường trục chính",
    "dark": "không có hình hoặc chưa nối vào hệ thống của xã",
    "key_listed": "nông sản chủ lực, đang bán trực tuyến",
    "key_unlisted": "nông sản chủ lực, chưa bán trực tuyến",
    "other": "không tính",
    "listed": "có liên lạc công khai",
    "unlisted": "chưa có liên lạc công khai",
    "yes": "có dùng",
    "no": "không dùng",
    "unasked": "chưa được hỏi",
    "held": "đã mở",
    "received": "có máy đã nhận",
    "sent": "chưa máy nào báo đã nhận",
    "withdrawn": "đã thu hồi",
    "paid": "đã trả trực tuyến",
    "unpaid": "chưa trả trực tuyến",
    "taking": "nhận thanh toán trực tuyến",
    "not_taking": "chưa nhận thanh toán trực tuyến",
    "rated": "đã đánh giá",
    "unrated": "chưa đánh giá",
    "surveyed": "có người trả lời khảo sát",
    "unsurveyed": "chưa có ai trả lời khảo sát",
    "exchanged": "có trao đổi với nơi khác",
    "alone": "chưa có người nơi khác cùng viết",
    "needs_met": "đã khảo sát và đáp ứng",
    "needs_asked": "mới khảo sát, chưa đáp ứng",
    "sold_online": "đang bán trực tuyến",
    "bookable": "đang đón khách, có vị trí, giờ mở cửa, nhận đặt chỗ qua mạng",
    "informed": "đang đón khách, có vị trí và giờ mở cửa",
    "traced_together": "truy xuất đủ, có hộ dân cùng làm",
    "traced_alone": "truy xuất đủ, chưa có hộ dân cùng làm",
    "untraced": "truy xuất chưa đủ",
    "recalled": "bị thu hồi",
    "not_cooperative": "không phải của hợp tác xã",
    "read": "đã đọc số liệu của xã",
    "watched": "phần mềm đang tự xem hình",
    "unwatched": "có quy tắc nhưng chưa xem được hình",
    "no_rules": "không có quy tắc nào đang dùng",
}
"""States of facts, in words."""

SERVICE_WORDS = {
    "petitions": "Phản ánh",
    "ecommerce": "Sản phẩm",
    "media": "Truyền thanh & camera",
    "identity": "Con người",
    "indicators": "Chỉ tiêu",
    "succession": "Đơn vị cũ",
    "settlement": "Cán bộ xác nhận số liệu của đơn vị cũ",
}


def source_words(klass: str, source: str, _: Translate) -> str:
    """Who says it, in words."""
    if source in SERVICE_WORDS:
        return _(SERVICE_WORDS[source])
    if klass == "staff" or source.startswith("staff."):
        return _("Cán bộ nhập")
    return _("Đối tác {name}").format(name=source)


def handed_over_words(
    former: Sequence[str], document: str, settled_at: datetime | None, locale: str, _: Translate
) -> str:
    """How a figure of former units came to be one of this unit; empty for any other figure."""
    units = ", ".join(former)
    if settled_at is not None:
        said = _("Cán bộ xác nhận {at}").format(at=fmt_datetime(settled_at, locale))
    elif units:
        said, units = _("Chuyển từ {units}").format(units=units), ""
    else:
        return ""
    if document:
        said += " " + _("theo {document}").format(document=document)
    return f"{said} ({_('số liệu của {units}').format(units=units)})" if units else said


def origin_words(klass: str, source: str, _: Translate, former: Sequence[str] = ()) -> str:
    """Where a value comes from, in words; see `origins.Origin`."""
    if source == "succession" and former:
        return _("Chuyển từ {units}").format(units=", ".join(former))
    if klass == "units":
        return _("Tổng hợp từ các đơn vị bên dưới")
    if klass == "below":
        return _("Cộng từ các đơn vị bên dưới")
    return source_words(klass, source, _)
