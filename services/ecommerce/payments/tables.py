"""Owns the CSV files of payments: charges of a month and statements of an account, and what is wrong in which cell."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from chassis.db import now
from chassis.errors import Invalid
from chassis.text import fold, has_control
from chassis.units import VIETNAM
from services.ecommerce.forms import Dong
from services.ecommerce.payments.commands import Wanted
from services.ecommerce.payments.model import MAX_ROWS, Payee
from services.ecommerce.payments.settling import SKEW, Incoming

T = TypeVar("T")
CHARGE_HEADS = ("thon", "ho", "so_tien")
STATEMENT_HEADS = ("ma_giao_dich", "thoi_gian", "so_tien", "noi_dung")
MAX_BYTES = 512 * 1024
MAX_FAULTS = 200
_DONG: TypeAdapter[int] = TypeAdapter(Dong)
_TIMES = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M")
_OLDEST = datetime(2020, 1, 1, tzinfo=VIETNAM)


@dataclass(frozen=True)
class Fault:
    """What is wrong in one cell: the line of the file as editors count, the column, a Vietnamese msgid."""

    line: int
    column: str
    text: str


@dataclass
class Read(Generic[T]):
    """What a file says, with the line of each row, and its faults; nothing of it counts while there is one."""

    rows: list[T] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class _Wrong(Exception):
    """A cell that cannot be read."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(text)
        self.column, self.text = column, text


def text_of(raw: bytes) -> str:
    """The text of an uploaded file; raises Invalid on field `file`."""
    if len(raw) > MAX_BYTES:
        raise Invalid(field="file", message_="Tệp lớn hơn 512 KB.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid(field="file", message_="Tệp không phải CSV mã UTF-8. Hãy lưu lại bằng “CSV UTF-8”.") from None


def charges_of(text: str) -> Read[Wanted]:
    """The charges of a file with columns thon, ho, so_tien; a row without an amount charges nobody."""

    def read(cells: dict[str, str]) -> Wanted | None:
        if not cells["so_tien"]:
            return None
        return Wanted(_filled(cells, "thon"), _filled(cells, "ho"), _dong(cells["so_tien"]))

    return _read(text, CHARGE_HEADS, read)


def statement_of(text: str, payee: Payee) -> Read[Incoming]:
    """The money that came in, of a statement with columns ma_giao_dich, thoi_gian (Việt Nam), so_tien, noi_dung."""
    seen: set[str] = set()

    def read(cells: dict[str, str]) -> Incoming | None:
        transaction = _filled(cells, "ma_giao_dich", 64)
        if transaction in seen:
            raise _Wrong("ma_giao_dich", "Mã giao dịch này có hai lần trong tệp.")
        seen.add(transaction)
        description = cells["noi_dung"]
        if len(description) > 500:
            raise _Wrong("noi_dung", "Ô này dài quá.")
        at = _time(cells["thoi_gian"])
        return Incoming(payee.bank_bin, payee.account, transaction, _dong(cells["so_tien"]), description, at)

    return _read(text, STATEMENT_HEADS, read)


def _read(text: str, heads: tuple[str, ...], read: Callable[[dict[str, str]], T | None]) -> Read[T]:
    found: Read[T] = Read()
    for line, cells in _rows(text, heads):
        try:
            bad = next((head for head in heads if has_control(cells[head])), "")
            if bad:
                raise _Wrong(bad, "Không được có ký tự điều khiển hoặc xuống dòng.")
            row = read(cells)
        except _Wrong as wrong:
            found.faults.append(Fault(line, wrong.column, wrong.text))
            if len(found.faults) >= MAX_FAULTS:
                break
            continue
        if row is not None:
            found.rows.append(row)
            found.lines.append(line)
    if not found.rows and not found.faults:
        raise Invalid(field="file", message_="Tệp không có dòng nào có số tiền.")
    return found


def _rows(text: str, heads: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    text = unicodedata.normalize("NFC", text.lstrip("\ufeff"))
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        named = [re.sub(r"[\s-]+", "_", fold(cell.strip())) for cell in next(reader, [])]
        missing = [head for head in heads if head not in named]
        if missing:
            raise Invalid(field="file", message_="Dòng đầu của tệp thiếu cột: {columns}.", columns=", ".join(missing))
        at = {head: named.index(head) for head in heads}
        for count, row in enumerate((row for row in reader if any(cell.strip() for cell in row)), 1):
            if count > MAX_ROWS:
                raise Invalid(field="file", message_="Tệp có nhiều hơn {most} dòng.", most=MAX_ROWS)
            yield reader.line_num, {head: row[i].strip() if i < len(row) else "" for head, i in at.items()}
    except csv.Error:
        raise Invalid(field="file", message_="Tệp không đọc được như một bảng CSV.") from None


def _filled(cells: dict[str, str], column: str, most: int = 40) -> str:
    if not cells[column]:
        raise _Wrong(column, "Ô này còn trống.")
    if len(cells[column]) > most:
        raise _Wrong(column, "Ô này dài quá.")
    return cells[column]


def _dong(cell: str) -> int:
    try:
        return _DONG.validate_python(cell)
    except ValidationError:
        raise _Wrong("so_tien", "Số tiền phải là số đồng nguyên, lớn hơn 0.") from None


def _time(cell: str) -> datetime:
    for shape in _TIMES:
        try:
            at = datetime.strptime(cell, shape).replace(tzinfo=VIETNAM)
        except ValueError:
            continue
        if _OLDEST <= at <= now() + SKEW:
            return at
        raise _Wrong("thoi_gian", "Giờ này chưa tới, hoặc trước năm 2020.")
    raise _Wrong("thoi_gian", "Thời gian ghi như 05/11/2026 08:30.")
