"""Owns workbooks as a library writes them: cells, their looks, and what a spreadsheet program lets people type.

Loaded when the first workbook is made (see `workbooks`): the library takes as long to load as a whole service.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill, Protection
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from services.indicators.interchange import layout
from services.indicators.interchange.layout import Column
from services.indicators.interchange.workbooks import MOST_OF_A_SHEET_NAME, Cell, Table, Template, allowed


def xlsx_of(table: Table) -> bytes:
    """A workbook of one sheet with a frozen heading. Takes a second of a core for 20,000 rows of 20 columns."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(_sheet_name(table.name))
    sheet.freeze_panes = "A2"
    for at, width in enumerate(_widths(table), 1):
        sheet.column_dimensions[get_column_letter(at)].width = width
    sheet.append([_heading(sheet, text) for text in table.heading])
    for row in table.rows:
        sheet.append([_cell(sheet, cell) for cell in row])
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


def _cell(sheet: Any, value: Cell) -> Any:
    if isinstance(value, str):
        return _text(sheet, value)
    if not isinstance(value, datetime):
        return value
    cell = WriteOnlyCell(sheet, value)
    cell.number_format = "dd/mm/yyyy hh:mm"
    return cell


def _heading(sheet: Any, text: str) -> Any:
    cell = _text(sheet, text)
    cell.font, cell.fill, cell.alignment = _BOLD, _SHADE, _WRAP
    return cell


def _saved(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


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
