"""Owns the columns of an import file: which a set asks for, how a heading names them, and the words for what is wrong.

The heading of a column ends with its key in square brackets, `[village.fibre_households:numerator]`, so that columns
may be moved, left out and worded anew. One row is one unit; a measure without a value in a row is not reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from services.indicators.criteria import catalogue as c

SHEET = "Số liệu"
GUIDE = "Hướng dẫn"
YES, NO = "có", "không"

FILE_FAULTS: dict[str, str] = {
    "another_kind": "Tệp này không phải bảng tính XLSX hoặc CSV. Hãy dùng mẫu tải từ trang nhập số liệu.",
    "old_or_locked": "Tệp .xls cũ hoặc tệp đặt mật khẩu không đọc được. Hãy lưu lại thành XLSX không có mật khẩu.",
    "macros": "Tệp có macro (XLSM) không được nhận. Hãy lưu lại thành XLSX.",
    "broken": "Tệp bị hỏng nên không đọc được. Hãy mở, lưu lại rồi gửi lại.",
    "broken_line": "Dòng {line} của tệp CSV bị hỏng: dấu ngoặc kép không khép.",
    "bomb": "Tệp giải nén ra lớn hơn {most} MB nên không đọc.",
    "too_many_rows": "Tệp có hơn {most} dòng số liệu. Hãy chia thành nhiều tệp.",
    "too_many_columns": "Tệp có hơn {most} cột.",
    "too_many_merged": "Tệp có hơn {most} chỗ gộp ô. Hãy bỏ gộp ô.",
    "too_many_values": "Tệp có hơn {most} số liệu. Hãy chia thành nhiều tệp.",
    "not_utf8": "Tệp CSV không ghi bằng mã UTF-8 (dòng {line}). Khi lưu, hãy chọn “CSV UTF-8”.",
    "nul": "Tệp CSV có ký tự NUL ở dòng {line} nên không đọc.",
    "no_heading": "Không thấy dòng tiêu đề có cột [unit]. Hãy dùng mẫu tải từ trang nhập số liệu.",
    "column_twice": "Hai cột mang cùng mã [{key}] (ô {cell}).",
    "no_values": "Tệp không có số liệu nào.",
    "too_slow": "Tệp quá phức tạp nên không đọc xong trong {seconds} giây.",
    "set_gone": "Bộ chỉ tiêu của tệp không còn nữa. Hãy chọn bộ khác rồi gửi lại.",
    "unit_gone": "Đơn vị mã {unit} không còn nữa. Hãy gửi tệp cho đơn vị kế tiếp.",
    "failed": "Hệ thống gặp lỗi khi đọc tệp này. Xin gửi lại; nếu vẫn vậy, hãy báo người quản trị.",
}
"""Why a file as a whole is refused."""

FAULTS: dict[str, tuple[str, str]] = {
    "column_unknown": ("Cột này không có trong bộ chỉ tiêu: [{key}].", "Xóa cột hoặc dùng mẫu mới."),
    "merged": ("Các ô {range} bị gộp.", "Bỏ gộp ô, mỗi đơn vị một dòng."),
    "formula": ("Ô chứa công thức.", "Chép lại dưới dạng giá trị."),
    "error_value": ("Ô báo lỗi {value}.", "Ghi số hoặc để trống."),
    "unit_missing": ("Dòng có số liệu mà thiếu mã đơn vị.", "Mã đơn vị như trong mẫu."),
    "not_whole": ("“{value}” không phải số nguyên.", "Số nguyên từ 0, không dấu ngăn cách, không đơn vị."),
    "grouped": ("“{value}” có dấu ngăn hàng nghìn nên không rõ là số nào.", "Ghi {suggestion}."),
    "negative": ("“{value}” nhỏ hơn 0.", "Số nguyên từ 0."),
    "too_large": ("“{value}” quá lớn.", "Số nguyên đến 9.000.000.000.000.000."),
    "not_yes_no": ("“{value}” không phải có hoặc không.", "Chỉ ghi có hoặc không."),
    "not_a_state": ("“{value}” không có trong danh sách.", "{allowed}"),
    "half_a_ratio": ("Thiếu tử số hoặc mẫu số.", "Ghi cả số đạt và tổng số."),
    "numerator_above_denominator": ("Số đạt {numerator} lớn hơn tổng số {denominator}.", "Số đạt không quá tổng số."),
    "period_malformed": ("“{value}” không phải kỳ báo cáo.", "Dạng 2026, 2026-Q4 hoặc 2026-11."),
    "period_of_another_kind": ("Kỳ “{value}” không phải kỳ của số liệu này.", "{allowed}"),
    "day_malformed": ("“{value}” không phải ngày.", "Dạng 21/11/2026."),
    "text_malformed": ("Ô có ký tự điều khiển hoặc quá dài.", "Tối đa {most} ký tự trên một dòng."),
    "twice": ("Đơn vị này đã có ở dòng {row}.", "Mỗi đơn vị một dòng cho mỗi kỳ."),
    "name_mismatch": ("Mã {code} là {name}, không phải “{value}”.", "{name}"),
    "unknown_unit": ("Không có đơn vị hành chính mã {code}.", "Mã đơn vị như trong mẫu."),
    "outside": ("Đơn vị {code} không thuộc {parent}.", "Đơn vị thuộc {parent}."),
    "unit_ended": ("Đơn vị {code} không còn vào ngày có số liệu.", "Đơn vị đang hoạt động."),
    "unit_not_yet": ("Đơn vị {code} chưa có vào ngày có số liệu.", "Đơn vị đang hoạt động."),
    "wrong_level": ("Số liệu này không dành cho cấp của đơn vị {code}.", "Đơn vị đúng cấp."),
    "not_granted": ("Tài khoản không được giao nhập số liệu của đơn vị {code}.", "Đơn vị được giao."),
    "evidence_missing": ("Khẳng định có/không phải nêu tài liệu chứng minh.", "Ghi số văn bản ở cột tài liệu."),
    "from_the_future": ("Ngày có số liệu ở tương lai.", "Ngày không sau hôm nay."),
    "time_malformed": ("Ngày có số liệu không hợp lệ.", "Ngày từ năm 2000 đến nay."),
    "period_in_future": ("Kỳ báo cáo chưa bắt đầu.", "Kỳ đã bắt đầu."),
    "refused": ("Số liệu không được nhận.", "Xem lại ô này."),
}
"""What is wrong in a cell, and what is allowed there."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a template. `states` are (code, words) pairs; `period` says what kind of period the measure has."""

    key: str
    part: str
    measure: str = ""
    title: str = ""
    period: str = ""
    states: tuple[tuple[str, str], ...] = ()
    unbounded: bool = False

    @property
    def heading(self) -> str:
        return f"{self.title} [{self.key}]"


FIXED = (
    Column("unit", "unit", title="Mã đơn vị"),
    Column("name", "name", title="Tên đơn vị"),
)
SHARED = (
    Column("document", "document", title="Số văn bản hoặc tài liệu chứng minh (cho cả dòng)"),
    Column("observed_on", "observed_on", title="Ngày có số liệu (để trống: hôm nay)"),
    Column("period", "period", title="Kỳ (để trống: số liệu hiện tại)"),
)

_PARTS = {
    "ratio": (("numerator", "số đạt"), ("denominator", "tổng số")),
    "flag": (("flag", "có hay không"), ("document", "tài liệu chứng minh")),
    "count": (("count", "số lượng"),),
    "state": (("state", "chọn trong danh sách"), ("document", "tài liệu chứng minh")),
}


def measures(criteria: c.CriteriaSet, level: str, catalogue: c.Catalogue) -> list[c.Measure]:
    """The measures of a set that staff may report for units of `level`, in the order of the set."""
    codes = dict.fromkeys(code for item in catalogue.rows_of(criteria.code) for code in item.measures)
    found = [catalogue.measures[code] for code in codes if code in catalogue.measures]
    return [measure for measure in found if measure.level == level and "staff" in measure.prefer]


def levels(criteria: c.CriteriaSet, catalogue: c.Catalogue) -> list[str]:
    """The levels for whose units the set has something to report, its own first."""
    order = [criteria.level, *(one for one in ("village", "commune", "district", "province") if one != criteria.level)]
    return [level for level in order if measures(criteria, level, catalogue)]


def columns(criteria: c.CriteriaSet, level: str, catalogue: c.Catalogue) -> tuple[Column, ...]:
    """The columns of the template of a set for units of a level."""
    reported = measures(criteria, level, catalogue)
    registers = dict.fromkeys(m.counted.register for m in reported if m.counted and m.counted.register)
    found = [*FIXED]
    for code in registers:
        attribute = catalogue.attributes[code]
        found.append(Column(f"{code}:count", "count", code, attribute.title.vi))
    for measure in reported:
        found += _of(measure)
    return (*found, *SHARED)


def _of(measure: c.Measure) -> Iterable[Column]:
    states = tuple(zip(measure.states, (title.vi for title in measure.state_titles), strict=True))
    for part, words in _PARTS[measure.kind]:
        title = f"{measure.title.vi}: {words}"
        yield Column(
            f"{measure.code}:{part}", part, measure.code, title, measure.period or "", states, measure.unbounded
        )
    if measure.period is not None:
        title = f"{measure.title.vi}: kỳ"
        yield Column(f"{measure.code}:period", "period", measure.code, title, measure.period)


def current_period(kind: str, today: date) -> str:
    """The period of `kind` (year, quarter, month) that `today` lies in."""
    if kind == "quarter":
        return f"{today.year}-Q{(today.month + 2) // 3}"
    return f"{today.year}-{today.month:02d}" if kind == "month" else str(today.year)


PERIOD_WORDS = {"year": "Dạng 2026.", "quarter": "Dạng 2026-Q4.", "month": "Dạng 2026-11."}
