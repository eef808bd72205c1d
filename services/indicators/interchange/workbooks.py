"""Owns tables people take home: typed cells written as CSV or as a workbook, and the template of an import.

Numbers are numbers. A text never becomes a formula, whatever it begins with: in a workbook its cell is a text, in CSV
an apostrophe stands before it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill, Protection
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from chassis.units import Unit
from services.indicators.interchange import layout
from services.indicators.interchange.layout import Column

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"
MOST_OF_A_SHEET_NAME = 31

Cell = str | int | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table to take home: a name for its sheet, a heading, rows of the same length."""

    name: str
    heading: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def spelled(text: str) -> str:
    """Text that a spreadsheet reading CSV will not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def csv_of(table: Table, delimiter: str = ",") -> bytes:
    """UTF-8 with BOM, so that spreadsheet programs read the marks."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    for row in (table.heading, *table.rows):
        writer.writerow([spelled(cell) if isinstance(cell, str) else "" if cell is None else cell for cell in row])
    return out.getvalue().encode("utf-8-sig")


def xlsx_of(table: Table) -> bytes:
    """A workbook of one sheet with a frozen heading. Takes a second of a core for 20,000 rows of 20 columns."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(_sheet_name(table.name))
    sheet.freeze_panes = "A2"
    for at, width in enumerate(_widths(table), 1):
        sheet.column_dimensions[get_column_letter(at)].width = width
    sheet.append([_heading(sheet, text) for text in table.heading])
    for row in table.rows:
        sheet.append([_text(sheet, cell) if isinstance(cell, str) else cell for cell in row])
    return _saved(book)


def _sheet_name(name: str) -> str:
    return "".join(c for c in name if c not in "[]:*?/\\'")[:MOST_OF_A_SHEET_NAME] or "1"


def _widths(table: Table) -> Iterator[float]:
    for at, title in enumerate(table.heading):
        longest = max((len(str(row[at])) for row in table.rows[:200] if row[at] is not None), default=0)
        yield min(max(longest, min(len(title), 24), 8) + 2, 60)


_BOLD = Font(bold=True)
_SHADE = PatternFill("solid", start_color="DDEBDD")
_WRAP = Alignment(wrap_text=True, vertical="top")


def _text(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet, text)
    # The library takes a text that begins with "=" for a formula.
    cell.data_type = "s"
    return cell


def _heading(sheet: Any, text: str) -> Any:
    cell = _text(sheet, text)
    cell.font, cell.fill, cell.alignment = _BOLD, _SHADE, _WRAP
    return cell


def _saved(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class Template:
    """What an empty import file is made of: its columns and the units it is for, in the words of `title`."""

    title: str
    basis: str
    columns: Sequence[Column]
    units: Sequence[Unit]
    today: date

    def row(self, unit: Unit) -> list[Cell]:
        """The row of a unit as it is handed out: code, name and the present period of each measure that has one."""
        given = {"unit": unit.code, "name": unit.name}
        cells: list[Cell] = []
        for column in self.columns:
            period = column.part == "period" and column.period
            cells.append(layout.current_period(column.period, self.today) if period else given.get(column.key))
        return cells


def template_csv(template: Template) -> bytes:
    """The template as CSV; semicolons, since that is what spreadsheet programs expect on Vietnamese computers."""
    rows = [template.row(unit) for unit in template.units]
    return csv_of(Table(layout.SHEET, [column.heading for column in template.columns], rows), ";")


def template_xlsx(template: Template, _: Callable[[str], str]) -> bytes:
    """The template as a workbook: the sheet to fill in with lists and checks, and a sheet that explains it."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(layout.SHEET)
    sheet.freeze_panes = "C2"
    sheet.row_dimensions[1].height = 96
    for at, column in enumerate(template.columns, 1):
        sheet.column_dimensions[get_column_letter(at)].width = {"name": 28, "document": 26}.get(column.part, 16)
    last = len(template.units) + 1
    for at, column in enumerate(template.columns, 1):
        check = _check(column)
        if check is not None:
            check.add(f"{get_column_letter(at)}2:{get_column_letter(at)}{max(last, 2)}")
            sheet.data_validations.append(check)
    sheet.append([_heading(sheet, column.heading) for column in template.columns])
    for unit in template.units:
        cells = zip(template.columns, template.row(unit), strict=True)
        sheet.append([_blank(sheet, column, cell) for column, cell in cells])
    _guide(book.create_sheet(layout.GUIDE), template, _)
    return _saved(book)


def _blank(sheet: Any, column: Column, value: Cell) -> Any:
    """A cell to fill in. Codes, periods and documents are text, so that no program makes a number or day of them."""
    cell = WriteOnlyCell(sheet, value)
    if column.part in ("unit", "name", "period", "document", "observed_on"):
        cell.number_format = "@"
        if value is not None:
            cell.data_type = "s"
    cell.protection = Protection(locked=False)
    return cell


def _check(column: Column) -> DataValidation | None:
    """What a spreadsheet program lets people type into a column."""
    if column.part in ("numerator", "denominator", "count"):
        check = DataValidation(type="whole", operator="greaterThanOrEqual", formula1="0", allow_blank=True)
        check.error = "Số nguyên từ 0."
    elif column.part == "flag":
        check = DataValidation(type="list", formula1=f'"{layout.YES},{layout.NO}"', allow_blank=True)
        check.error = "Chỉ ghi có hoặc không."
    elif column.part == "state":
        words = ",".join(words.replace(",", " ") for _, words in column.states)
        # A list within the check may hold 255 characters; a longer one is told on the guide alone.
        if len(words) > 250 or any("," in words or '"' in words for _, words in column.states):
            return None
        check = DataValidation(type="list", formula1=f'"{words}"', allow_blank=True)
        check.error = "Chọn trong danh sách."
    else:
        return None
    check.errorTitle = "Xã Số"
    check.showErrorMessage = True
    return check


def _guide(sheet: Any, template: Template, _: Callable[[str], str]) -> None:
    sheet.column_dimensions["A"].width = 60
    sheet.column_dimensions["B"].width = 60
    sheet.append([_heading(sheet, template.title), _heading(sheet, template.basis)])
    for line in (
        _("Mỗi dòng là một đơn vị; dòng không có số liệu thì để nguyên."),
        _("Giữ nguyên mã trong ngoặc vuông ở dòng tiêu đề. Có thể xóa hoặc đổi chỗ cột không dùng."),
        _("Ghi giá trị, không dùng công thức, không gộp ô, không dấu ngăn hàng nghìn."),
        _("Số liệu có/không phải kèm số văn bản hoặc tên tài liệu chứng minh."),
        _("Không ghi tên, số điện thoại hay số định danh của người dân."),
    ):
        sheet.append([_text(sheet, line)])
    sheet.append([])
    sheet.append([_heading(sheet, _("Cột")), _heading(sheet, _("Cách ghi"))])
    for column in template.columns:
        sheet.append([_text(sheet, column.heading), _text(sheet, allowed(column, _))])


def allowed(column: Column, _: Callable[[str], str]) -> str:
    """What may stand in a column, in words."""
    words = {
        "unit": _("Mã như trong mẫu"),
        "name": _("Để đối chiếu với mã"),
        "numerator": _("Số nguyên từ 0, không quá tổng số"),
        "denominator": _("Số nguyên từ 0"),
        "count": _("Số nguyên từ 0"),
        "flag": _("có hoặc không"),
        "document": _("Số văn bản hoặc tên tài liệu"),
        "observed_on": _("Dạng 21/11/2026"),
    }
    if column.part == "state":
        return "; ".join(said for _code, said in column.states)
    if column.part == "period":
        return layout.PERIOD_WORDS.get(column.period, _("Dạng 2026, 2026-Q4 hoặc 2026-11"))
    return words[column.part]
