"""Owns the CSV files of households: how one is written and how one is read, cell by cell.

What is written can be read again: so a commune takes its register out, has it mended in a spreadsheet and puts it back.
The words of these files are Vietnamese in every language of the pages, since a file goes from hand to hand.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chassis.errors import DomainError, Kind
from chassis.text import has_control
from services.identity.households.model import LIVELIHOODS, POVERTY
from services.identity.households.queries import plain

COLUMNS = {
    "unit": "Thôn",
    "number": "Số thứ tự hộ",
    "people": "Số người",
    "address": "Địa chỉ",
    "digital_code": "Mã địa chỉ số",
    "lat": "Vĩ độ",
    "lon": "Kinh độ",
    "livelihood": "Nghề chính",
    "poverty": "Hộ nghèo",
    "reviewed_year": "Năm rà soát",
}
"""The columns of a file: field and heading."""
REQUIRED = ("unit", "number", "people")
WORDS = {"livelihood": LIVELIHOODS, "poverty": POVERTY}
MOST_BYTES = 512 * 1024
MOST_ROWS = 2_000
_FORMULA = ("=", "+", "-", "@", "\t")


class FileRefused(DomainError):
    """A file that cannot be used as a whole."""

    code = "file_refused"
    kind = Kind.INVALID


class FileTooLarge(FileRefused):
    kind = Kind.TOO_LARGE
    message = "Tệp không quá {limit} KB. Xin chia thành nhiều tệp."


class NotUtf8(FileRefused):
    message = "Tệp phải là CSV mã hóa UTF-8. Trong Excel chọn “CSV UTF-8” khi lưu."


class NotCsv(FileRefused):
    message = "Dòng {line}: không đọc được theo định dạng CSV."


class NoColumn(FileRefused):
    message = "Tệp thiếu cột “{column}”. Xin dùng tệp mẫu."


class StrangeColumn(FileRefused):
    message = "Tệp có cột “{column}” không có trong mẫu hoặc có hai lần."


class NoRows(FileRefused):
    message = "Tệp chưa có dòng nào dưới dòng tiêu đề."


class TooManyRows(FileRefused):
    message = "Tệp không quá {limit} dòng. Xin chia thành nhiều tệp."


def text_of(data: bytes) -> str:
    """The text of an uploaded file; raises FileTooLarge, NotUtf8."""
    if len(data) > MOST_BYTES:
        raise FileTooLarge(field="file", limit=MOST_BYTES // 1024)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotUtf8(field="file") from error


def written(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A file of rows by field; the byte order mark tells spreadsheet programs that it is UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS.values())
    for row in rows:
        cells = ((name, row.get(name)) for name in COLUMNS)
        writer.writerow(_cell(WORDS.get(name, {}).get(str(value), value)) for name, value in cells)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file with their lines: field to what stands there, None for an empty cell; raises FileRefused.

    A field is missing where the file has no column for it. A row that only names its village is one of the template.
    """
    text = text.removeprefix("\ufeff")
    if has_control(text, allowed="\n\r\t"):
        raise NotUtf8(field="file")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    fields: list[str] | None = None
    count = 0
    while True:
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            break
        except csv.Error as error:
            raise NotCsv(field="file", line=reader.line_num) from error
        if fields is None:
            fields = _fields(cells)
        elif any(cells):
            if len(cells) > len(fields) and any(cells[len(fields) :]):
                raise NotCsv(field="file", line=reader.line_num)
            padded = cells + [""] * (len(fields) - len(cells))
            row = {name: _value(name, cell) for name, cell in zip(fields, padded, strict=False)}
            if any(value for name, value in row.items() if name != "unit"):
                count += 1
                if count > MOST_ROWS:
                    raise TooManyRows(field="file", limit=MOST_ROWS)
                yield reader.line_num, row
    if not count:
        raise NoRows(field="file")


def _fields(heading: list[str]) -> list[str]:
    known = {plain(title): name for name, title in COLUMNS.items()}
    while heading and not heading[-1]:
        heading.pop()
    found: list[str] = []
    for title in heading:
        name = known.get(plain(title))
        if name is None or name in found:
            raise StrangeColumn(field="file", column=title[:40])
        found.append(name)
    for name in REQUIRED:
        if name not in found:
            raise NoColumn(field="file", column=COLUMNS[name])
    return found


def _delimiter(text: str) -> str:
    """Excel writes semicolons where it writes decimals with a comma."""
    heading = text.split("\n", 1)[0]
    return max((",", ";", "\t"), key=heading.count)


def _value(name: str, cell: str) -> str | None:
    if cell.startswith("'") and cell[1:].startswith(_FORMULA):
        cell = cell[1:]
    return next((key for key, word in WORDS.get(name, {}).items() if plain(word) == plain(cell)), cell) or None


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
