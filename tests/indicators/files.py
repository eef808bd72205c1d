"""Owns the files that tests hand in: templates as people fill them in, and workbooks no honest program would write."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from openpyxl import Workbook, load_workbook

from services.indicators.interchange import layout

CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"></Types>'
)
BOOK = (
    '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
    '<sheets><sheet name="Số liệu" sheetId="1" r:id="r1"/></sheets></workbook>'
)
RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Target="worksheets/sheet1.xml" Type="worksheet"/></Relationships>'
)
SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</worksheet>'
FIBRE = "village.fibre_households"


def saved(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def columns_of(sheet: Any) -> dict[str, int]:
    """Key of a column to its number, from the headings of a template."""
    found = {}
    for cell in sheet[1]:
        if isinstance(cell.value, str) and "[" in cell.value:
            found[cell.value.rsplit("[", 1)[1].rstrip("]")] = cell.column
    return found


def filled(template: bytes, rows: Mapping[str, Mapping[str, Any]]) -> bytes:
    """A template with values typed in: unit code → key of a column → value."""
    book = load_workbook(io.BytesIO(template))
    sheet = book[layout.SHEET]
    at = columns_of(sheet)
    numbers = {sheet.cell(row, at["unit"]).value: row for row in range(2, sheet.max_row + 1)}
    for unit, values in rows.items():
        for key, value in values.items():
            sheet.cell(numbers[unit], at[key], value)
    return saved(book)


def workbook(rows: Sequence[Sequence[Any]], merged: Sequence[str] = ()) -> bytes:
    """A workbook of plain rows, the first of which is the heading."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = layout.SHEET
    for row in rows:
        sheet.append(row)
    for one in merged:
        sheet.merge_cells(one)
    return saved(book)


def raw(sheet: str | bytes, **parts: str | bytes) -> bytes:
    """A workbook of handwritten parts; `parts` are further ones, with __ for / and a dot in their names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", parts.pop("types", CONTENT_TYPES))
        archive.writestr("xl/workbook.xml", parts.pop("book", BOOK))
        archive.writestr("xl/_rels/workbook.xml.rels", RELATIONS)
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/").replace("_bin", ".bin").replace("_xml", ".xml"), content)
    return out.getvalue()


def heading(*keys: str) -> list[str]:
    return [f"{key} [{key}]" for key in keys]
