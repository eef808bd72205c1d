"""Owns how an uploaded file is recognised, and how CSV is read; needs the standard library alone: `interpreting`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from services.indicators.interchange.spreadsheets import MAX_CELL, MAX_COLUMNS, MAX_ROWS, Cell, Row, Sheet, Unreadable
from services.indicators.interchange.xlsx import Workbook


def read(data: bytes, wanted: str) -> Sheet:
    """The sheet to import: the one called `wanted`, else the first; raises Unreadable, also while rows are taken."""
    return Workbook(data).sheet(wanted) if suffix_of(data) == ".xlsx" else _csv(data)


def suffix_of(data: bytes) -> str:
    """What a file is by its first bytes, whatever its name says: .xlsx or .csv; raises Unreadable."""
    if data.startswith(b"PK\x03\x04"):
        return ".xlsx"
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable("old_or_locked")
    if data.startswith((b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"PK", b"{\\rtf", b"\x1f\x8b", b"Rar!")):
        raise Unreadable("another_kind")
    if data.lstrip()[:100].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise Unreadable("another_kind")
    return ".csv"


def _csv(data: bytes) -> Sheet:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable("not_utf8", line=1)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("not_utf8", line=data.count(b"\n", 0, error.start) + 1) from error
    if "\x00" in text:
        raise Unreadable("nul", line=text.count("\n", 0, text.index("\x00")) + 1)
    skipped = 0
    told = re.match(r"sep=(.)\r?\n", text)
    if told is not None:
        text, skipped = text[told.end() :], 1
    delimiter = told[1] if told is not None else _delimiter(text)
    return Sheet("CSV", _csv_rows(text, delimiter, skipped))


def _delimiter(text: str) -> str:
    """The delimiter that makes the most cells of the line with the column of units, or of the first line."""
    heading = next((line for line in text.splitlines()[:10] if "[unit]" in line), text[:4_000].split("\n", 1)[0])
    bare = re.sub(r'"[^"]*"', "", heading)
    return max((";", ",", "\t"), key=bare.count)


def _csv_rows(text: str, delimiter: str, skipped: int) -> Iterator[Row]:
    csv.field_size_limit(131_072)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    count = 0
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise Unreadable("broken_line", line=reader.line_num + skipped) from error
        if values is None:
            return
        count += 1
        if count > MAX_ROWS + 10:
            raise Unreadable("too_many_rows", most=MAX_ROWS)
        if len(values) > MAX_COLUMNS:
            raise Unreadable("too_many_columns", most=MAX_COLUMNS)
        cells = {at: _csv_cell(value) for at, value in enumerate(values) if value.strip()}
        yield Row(count + skipped, cells)


def _csv_cell(value: str) -> Cell:
    text = value.strip()
    # An apostrophe before a sign is how spreadsheets, and our own exports, mark text that is no formula.
    if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@"):
        return Cell("text", text[1:])
    if text.startswith("=") or (text[:1] in "+-@" and len(text) > 1 and not re.match(r"^[+-]?[\d.,]+$", text)):
        return Cell("formula", text[:MAX_CELL])
    return Cell("text", text[:MAX_CELL])
