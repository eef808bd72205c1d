"""Owns what text may be: Vietnamese in NFC, without control characters, and its fold for search."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value).replace("\r\n", "\n").strip()
    return value


def has_control(value: str, *, allowed: str = "") -> bool:
    """Whether `value` holds a character that PostgreSQL or a page cannot carry (NUL, controls, lone surrogates)."""
    # Nearly every text is printable throughout, which is known at once; only another one is looked at in detail.
    return not value.isprintable() and any(c not in allowed and unicodedata.category(c) in {"Cc", "Cs"} for c in value)


def _line(value: str) -> str:
    if has_control(value):
        raise PydanticCustomError("control_character", "Không được có ký tự điều khiển hoặc xuống dòng.")
    return value


def _paragraph(value: str) -> str:
    if has_control(value, allowed="\n\t"):
        raise PydanticCustomError("control_character", "Không được có ký tự điều khiển.")
    return value


def Line(max_length: int, min_length: int = 1) -> Any:  # noqa: N802 - it is used as a type.
    """One line of text: NFC, stripped, `min_length` to `max_length` characters, no control characters."""
    return Annotated[
        str,
        # Before the cleaning here, though it happens after it: else pydantic counts items, and says so, not characters.
        StringConstraints(min_length=min_length, max_length=max_length),
        BeforeValidator(_clean),
        AfterValidator(_line),
    ]


def Paragraph(max_length: int, min_length: int = 0) -> Any:  # noqa: N802 - it is used as a type.
    """Text that may hold line breaks and tabs: NFC, stripped, `min_length` to `max_length` characters."""
    return Annotated[
        str,
        StringConstraints(min_length=min_length, max_length=max_length),
        BeforeValidator(_clean),
        AfterValidator(_paragraph),
    ]


def fold(value: str) -> str:
    """The search form of `value`: lower case, no marks, đ as d. The twin of SQL `xaso_fold`."""
    decomposed = unicodedata.normalize("NFD", unicodedata.normalize("NFC", value).lower().replace("đ", "d"))
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if unicodedata.category(c) != "Mn"))
