"""Owns tables people take home: typed cells written as CSV or as a workbook, and the template of an import.

Numbers are numbers. A text never becomes a formula, whatever it begins with: in a workbook its cell is a text, in CSV
an apostrophe stands before it.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from chassis.units import VIETNAM, Unit
from services.indicators.interchange import layout
from services.indicators.interchange.layout import Column

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"
MOST_OF_A_SHEET_NAME = 31

Cell = str | int | datetime | None
"""A time is that of the clock in Việt Nam, to the second and without a zone, as spreadsheet programs have it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table to take home: a name for its sheet, a heading, rows of the same length."""

    name: str
    heading: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def clock(at: datetime) -> datetime:
    """An instant as a cell."""
    return at.astimezone(VIETNAM).replace(tzinfo=None, microsecond=0)


def spelled(text: str) -> str:
    """Text that a spreadsheet reading CSV will not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def csv_of(table: Table, delimiter: str = ",") -> bytes:
    """UTF-8 with BOM, so that spreadsheet programs read the marks."""
    return codecs.BOM_UTF8 + csv_lines((table.heading, *table.rows), delimiter)


def csv_lines(rows: Iterable[Sequence[Cell]], delimiter: str = ",") -> bytes:
    """Lines of a file whose beginning was written before."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    for row in rows:
        writer.writerow([spelled(cell) if isinstance(cell, str) else "" if cell is None else cell for cell in row])
    return out.getvalue().encode()


def xlsx_of(table: Table) -> bytes:
    """A workbook of one sheet with a frozen heading. Takes a second of a core for 20,000 rows of 20 columns."""
    from services.indicators.interchange import writing

    return writing.xlsx_of(table)


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
    from services.indicators.interchange import writing

    return writing.template_xlsx(template, _)


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
