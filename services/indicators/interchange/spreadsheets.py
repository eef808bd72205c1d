"""Owns what a spreadsheet is to us: rows of cells by their places, its bounds, and why a file cannot be read.

Numbers stay the digits the file holds: a count never becomes a binary fraction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_ROWS = 100_000
"""Most rows of a file below its heading."""
MAX_COLUMNS = 1_000
MAX_CELL = 4_000
"""Most characters of a cell that are looked at."""


class Unreadable(Exception):
    """The file as a whole cannot be used; `reason` is a key of `layout.FILE_FAULTS`, `params` fill its words."""

    def __init__(self, reason: str, **params: str | int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.params = params


class Cell(NamedTuple):
    """One cell: `kind` is text, number, boolean, date (days since the epoch of the book), formula or error."""

    kind: str
    text: str


class Row(NamedTuple):
    number: int
    cells: dict[int, Cell]


@dataclass
class Sheet:
    """A sheet being read. `merged` (first row, last row, first column, last column) is complete behind the last row."""

    name: str
    rows: Iterator[Row]
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    date1904: bool = False


def letters(column: int) -> str:
    """The name of a column counted from 0: A, B, … Z, AA."""
    name, number = "", column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(65 + rest) + name
    return name


def place(row: int, column: int) -> str:
    """A cell as people name it: C17."""
    return f"{letters(column)}{row}"


_REFERENCE = re.compile(r"^([A-Z]{1,3})([1-9][0-9]{0,6})$")


def position(reference: str) -> tuple[int, int]:
    """Row (from 1) and column (from 0) of a reference such as C17; raises Unreadable."""
    found = _REFERENCE.match(reference)
    if found is None:
        raise Unreadable("broken")
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - 64
    return int(found[2]), column - 1
