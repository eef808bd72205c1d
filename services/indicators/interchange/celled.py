"""Owns what one cell says: a count, a yes or no, a state, a period, a day, a document; or why it says nothing."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from services.indicators.interchange.spreadsheets import Cell

PERIOD_PATTERNS = {
    "": re.compile(r"^[0-9]{4}(-(Q[1-4]|0[1-9]|1[0-2]))?$"),
    "year": re.compile(r"^[0-9]{4}$"),
    "quarter": re.compile(r"^[0-9]{4}-Q[1-4]$"),
    "month": re.compile(r"^[0-9]{4}-(0[1-9]|1[0-2])$"),
}
YES = frozenset({"có", "co", "yes", "true", "đúng"})
NO = frozenset({"không", "khong", "ko", "no", "false", "sai"})
MAX_WHOLE = 9_000_000_000_000_000
MAX_DOCUMENT = 400


class Fault(Exception):
    """One cell that cannot be used: `reason` is a key of `layout.FAULTS`."""

    def __init__(self, reason: str, **params: Any) -> None:
        super().__init__(reason)
        self.reason, self.params = reason, params


def shown(cell: Cell) -> str:
    return cell.text[:40]


def plain(cell: Cell) -> str:
    """The text of a cell in NFC; raises Fault for what is no value at all."""
    if cell.kind == "formula":
        raise Fault("formula")
    if cell.kind == "error":
        raise Fault("error_value", value=shown(cell))
    return unicodedata.normalize("NFC", cell.text).strip()


def whole(cell: Cell) -> int:
    """A count; raises Fault."""
    text = plain(cell).replace("\u00a0", " ")
    if cell.kind in ("date", "boolean"):
        raise Fault("not_whole", value=shown(cell))
    if cell.kind == "text":
        if re.match(r"^[0-9]{1,3}([.,][0-9]{3})+$", text):
            raise Fault("grouped", value=shown(cell), suggestion=re.sub("[.,]", "", text))
        if re.match(r"^[0-9]{1,3}( [0-9]{3})+$", text):
            text = text.replace(" ", "")
        if not re.match(r"^[+-]?[0-9]{1,40}$", text):
            raise Fault("not_whole", value=shown(cell))
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise Fault("not_whole", value=shown(cell)) from error
    if not number.is_finite() or abs(number.adjusted()) > 40 or number != number.to_integral_value():
        raise Fault("not_whole", value=shown(cell))
    if number < 0:
        raise Fault("negative", value=shown(cell))
    if number > MAX_WHOLE:
        raise Fault("too_large", value=shown(cell))
    return int(number)


def flag(cell: Cell) -> bool:
    """Yes or no; raises Fault."""
    text = plain(cell).lower()
    if cell.kind == "boolean":
        return text == "1"
    if cell.kind == "text" and text in YES | NO:
        return text in YES
    raise Fault("not_yes_no", value=shown(cell))


def state(cell: Cell, states: list[list[str]]) -> str:
    """The code of a state named by its code or its words; raises Fault."""
    text = plain(cell).lower()
    for code, words in states:
        if text in (code.lower(), words.lower()):
            return code
    raise Fault("not_a_state", value=shown(cell), allowed="; ".join(words for _, words in states))


def day_of(cell: Cell, date1904: bool) -> date:
    """A day; raises Fault."""
    text = plain(cell)
    with contextlib.suppress(ValueError, OverflowError, InvalidOperation):
        if cell.kind == "date":
            epoch = date(1904, 1, 1) if date1904 else date(1899, 12, 30)
            return epoch + timedelta(days=int(Decimal(text)))
        if cell.kind == "text":
            found = re.match(r"^([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4})$", text)
            if found is not None:
                return date(int(found[3]), int(found[2]), int(found[1]))
            return date.fromisoformat(text)
    raise Fault("day_malformed", value=shown(cell))


def period(cell: Cell, kind: str, date1904: bool) -> str:
    """A period of the measure's kind; raises Fault."""
    text = plain(cell)
    if cell.kind == "date" and kind in ("", "month"):
        # Spreadsheet programs take 2026-11 for the first of November.
        first = day_of(cell, date1904)
        if first.day == 1:
            return f"{first.year:04d}-{first.month:02d}"
    if cell.kind == "number" and re.match(r"^[0-9]{4}\.0+$", text):
        text = text[:4]
    if not PERIOD_PATTERNS[""].match(text):
        raise Fault("period_malformed", value=shown(cell))
    if not PERIOD_PATTERNS[kind].match(text):
        raise Fault("period_of_another_kind", value=shown(cell), kind=kind)
    return text


def unfit(text: str) -> bool:
    """Whether a text holds a character that no database or page can carry."""
    return not text.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs") for c in text)


def document(cell: Cell) -> str:
    """The number or name of a document; raises Fault."""
    text = " ".join(plain(cell).split())
    if len(text) > MAX_DOCUMENT or unfit(text):
        raise Fault("text_malformed", most=MAX_DOCUMENT)
    return text
