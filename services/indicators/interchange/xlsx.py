"""Owns reading XLSX (ECMA-376): a ZIP archive of XML parts, taken apart row by row.

Nothing of a file is trusted. Sizes are counted while unpacking, never taken from the file; document types and entities
are refused; macros, formulas and merged cells are told by their place.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from services.indicators.interchange.spreadsheets import (
    MAX_CELL,
    MAX_COLUMNS,
    MAX_ROWS,
    Cell,
    Row,
    Sheet,
    Unreadable,
    position,
)

MAX_UNPACKED = 250 * 1024 * 1024
"""Most bytes that are unpacked from one workbook: 100,000 rows of 30 columns are about 130 MB of XML."""
MAX_PARTS = 2_000
MAX_MERGED = 200
_CHUNK = 64 * 1024

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    expat.ExpatError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    KeyError,
    IndexError,
    ValueError,
    OSError,
)
"""What the readers of the archive and of XML let through where a file lies about itself."""


class Workbook:
    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            parts = self._zip.infolist()
        except _BROKEN as error:
            raise Unreadable("broken") from error
        self._unpacked = 0
        names = {part.filename for part in parts}
        if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
            raise Unreadable("bomb", most=MAX_UNPACKED // 1024 // 1024)
        if any(part.flag_bits & 1 for part in parts):
            raise Unreadable("old_or_locked")
        if any(name.lower().endswith("vbaproject.bin") for name in names):
            raise Unreadable("macros")
        if "[Content_Types].xml" not in names or "xl/workbook.xml" not in names:
            raise Unreadable("another_kind")

    def sheet(self, wanted: str) -> Sheet:
        try:
            types = b"".join(self._bytes("[Content_Types].xml"))
            if b"macroEnabled" in types:
                raise Unreadable("macros")
            book = _Book()
            _parse(self._bytes("xl/workbook.xml"), book.start, None, None)
            targets = _Targets()
            _parse(self._bytes("xl/_rels/workbook.xml.rels"), targets.start, None, None)
            if not book.sheets:
                raise Unreadable("broken")
            name, relation = next((one for one in book.sheets if one[0] == wanted), book.sheets[0])
            target = targets.found[relation]
            part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            strings, dates = self._strings(), self._date_styles()
        except _BROKEN as error:
            raise Unreadable("broken") from error
        sheet = Sheet(name, iter(()), date1904=book.date1904)
        sheet.rows = self._rows(part, _Cells(strings, dates, sheet.merged))
        return sheet

    def _bytes(self, part: str) -> Iterator[bytes]:
        """The unpacked bytes of a part; counts what really comes out."""
        with self._zip.open(part) as stream:
            while chunk := stream.read(_CHUNK):
                self._unpacked += len(chunk)
                if self._unpacked > MAX_UNPACKED:
                    raise Unreadable("bomb", most=MAX_UNPACKED // 1024 // 1024)
                yield chunk

    def _strings(self) -> list[str]:
        if "xl/sharedStrings.xml" not in self._zip.namelist():
            return []
        strings = _Strings()
        _parse(self._bytes("xl/sharedStrings.xml"), strings.start, strings.end, strings.text)
        return strings.found

    def _date_styles(self) -> frozenset[int]:
        if "xl/styles.xml" not in self._zip.namelist():
            return frozenset()
        styles = _Styles()
        _parse(self._bytes("xl/styles.xml"), styles.start, styles.end, None)
        return frozenset(at for at, format_ in enumerate(styles.formats) if styles.is_date(format_))

    def _rows(self, part: str, cells: _Cells) -> Iterator[Row]:
        parser = _parser(cells.start, cells.end, cells.text)
        try:
            for chunk in self._bytes(part):
                parser.Parse(chunk, False)
                yield from cells.take()
            parser.Parse(b"", True)
            yield from cells.take()
        except _BROKEN as error:
            raise Unreadable("broken") from error


def _parser(start: Any, end: Any, text: Any) -> Any:
    # Programs write these parts with or without a prefix; what stands behind it is the same everywhere.
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: Any) -> None:
        # No spreadsheet program writes a document type; entities are how small files become large ones.
        raise Unreadable("broken")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, found: start(name.rpartition(":")[2] if ":" in name else name, found)
    if end is not None:
        parser.EndElementHandler = lambda name: end(name.rpartition(":")[2] if ":" in name else name)
    if text is not None:
        parser.CharacterDataHandler = text
    return parser


def _parse(chunks: Iterator[bytes], start: Any, end: Any, text: Any) -> None:
    parser = _parser(start, end, text)
    for chunk in chunks:
        parser.Parse(chunk, False)
    parser.Parse(b"", True)


class _Book:
    """The names of the sheets with the ids of their parts, and from which day dates are counted."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, str]] = []
        self.date1904 = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "sheet":
            relation = next((value for key, value in attributes.items() if key.rpartition(":")[2] == "id"), "")
            self.sheets.append((attributes.get("name", "")[:100], relation))
        elif name == "workbookPr":
            self.date1904 = attributes.get("date1904") in ("1", "true")


class _Targets:
    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            self.found[attributes["Id"]] = attributes["Target"]


class _Strings:
    """The texts that cells share. Phonetic readings of a text are no part of it."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._parts: list[str] = []
        self._in_text, self._phonetic = False, False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if name == "si":
            self._parts = []
        elif name == "rPh":
            self._phonetic = True
        elif name == "t":
            self._in_text = not self._phonetic

    def end(self, name: str) -> None:
        if name == "si":
            self.found.append("".join(self._parts)[:MAX_CELL])
        elif name == "rPh":
            self._phonetic = False
        elif name == "t":
            self._in_text = False

    def text(self, text: str) -> None:
        if self._in_text:
            self._parts.append(text)


class _Styles:
    """Which cell formats show a number as a date."""

    def __init__(self) -> None:
        self.formats: list[int] = []
        self._codes: dict[int, str] = {}
        self._in_cells = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "numFmt":
            self._codes[int(attributes["numFmtId"])] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            self._in_cells = True
        elif name == "xf" and self._in_cells:
            self.formats.append(int(attributes.get("numFmtId", "0")))

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self._in_cells = False

    def is_date(self, format_: int) -> bool:
        if format_ in self._codes:
            code = re.sub(r'"[^"]*"|\\.|\[[^\]]*\]', "", self._codes[format_])
            return bool(re.search("[ymdhs]", code, re.IGNORECASE)) and "General" not in code
        return 14 <= format_ <= 22 or 27 <= format_ <= 36 or 45 <= format_ <= 47 or 50 <= format_ <= 58


class _Cells:
    """The rows of a sheet as its XML goes by."""

    def __init__(self, strings: list[str], dates: frozenset[int], merged: list[tuple[int, int, int, int]]) -> None:
        self._strings, self._dates, self._merged = strings, dates, merged
        self._done: list[Row] = []
        self._row, self._column, self._last, self._count = 0, -1, 0, 0
        self._cells: dict[int, Cell] = {}
        self._type, self._style, self._formula, self._part = "n", 0, False, ""
        self._text: list[str] = []
        self._row_name = ""
        self._columns: dict[str, int] = {}

    def take(self) -> list[Row]:
        done, self._done = self._done, []
        return done

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            self._begin_cell(attributes)
        elif name == "row":
            self._row = int(attributes.get("r", self._last + 1))
            if self._row <= self._last:
                raise Unreadable("broken")
            self._cells, self._column, self._row_name = {}, -1, str(self._row)
        elif name in ("v", "t"):
            self._part = name
        elif name == "f":
            self._formula = True
        elif name == "mergeCell":
            self._merge(attributes["ref"])

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        if reference is None:
            self._column += 1
        else:
            self._column = self._column_of(reference)
        if self._column >= MAX_COLUMNS:
            raise Unreadable("too_many_columns", most=MAX_COLUMNS)
        self._type = attributes.get("t", "n")
        self._style = int(attributes.get("s", "0"))
        self._formula, self._text = False, []

    def _column_of(self, reference: str) -> int:
        """The column of a reference within the present row; raises Unreadable."""
        name = reference.removesuffix(self._row_name)
        column = self._columns.get(name)
        if column is None or len(name) + len(self._row_name) != len(reference):
            row, column = position(reference)
            if row != self._row:
                raise Unreadable("broken")
            self._columns[name] = column
        return column

    def _merge(self, reference: str) -> None:
        first, _, last = reference.partition(":")
        top, left = position(first)
        bottom, right = position(last or first)
        self._merged.append((top, bottom, left, right))
        if len(self._merged) > MAX_MERGED:
            raise Unreadable("too_many_merged", most=MAX_MERGED)

    def text(self, text: str) -> None:
        if self._part:
            self._text.append(text)

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self._part = ""
        elif name == "c":
            cell = self._cell("".join(self._text))
            if cell is not None:
                self._cells[self._column] = cell
        elif name == "row":
            self._last = self._row
            if self._cells:
                self._count += 1
                # A few more than the rows below the heading: titles may stand above it.
                if self._count > MAX_ROWS + 10:
                    raise Unreadable("too_many_rows", most=MAX_ROWS)
                self._done.append(Row(self._row, self._cells))

    def _cell(self, text: str) -> Cell | None:
        if self._formula:
            return Cell("formula", text[:MAX_CELL])
        if self._type == "s":
            text = self._strings[int(text)] if text else ""
        if self._type in ("s", "str", "inlineStr"):
            text = text.strip()
            return Cell("text", text[:MAX_CELL]) if text else None
        if not text.strip():
            return None
        if self._type == "b":
            return Cell("boolean", text.strip())
        if self._type == "e":
            return Cell("error", text[:40])
        if self._type == "d":
            return Cell("text", text.strip()[:40])
        return Cell("date" if self._style in self._dates else "number", text.strip()[:40])
