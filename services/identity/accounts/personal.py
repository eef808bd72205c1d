"""Owns the shape of personal numbers: Vietnamese phone numbers and citizen numbers, checked and normalised."""

from __future__ import annotations

import re

from chassis.errors import Invalid

_PHONE = re.compile(r"0[1-9]\d{8,9}")
_CITIZEN = re.compile(r"\d{12}")
_USERNAME = re.compile(r"[a-z][a-z0-9._-]{2,39}")


def _digits(text: str) -> str:
    return re.sub(r"[\s.\-()]", "", text)


def phone_or_none(text: str) -> str | None:
    """`text` as a Vietnamese number with a leading 0 ("+84 912 345 678" is "0912345678"), or None if it is none."""
    digits = re.sub(r"^(\+|00)?84(?=[1-9])", "0", _digits(text))
    return digits if _PHONE.fullmatch(digits) and digits.isascii() else None


def phone(text: str) -> str:
    """Like `phone_or_none`; raises Invalid(field="phone")."""
    found = phone_or_none(text)
    if found is None:
        raise Invalid(field="phone", message_="Số điện thoại gồm 10 chữ số, bắt đầu bằng 0.")
    return found


def citizen(text: str) -> str:
    """The 12 digits of a citizen number; raises Invalid(field="citizen_id")."""
    digits = _digits(text)
    if not _CITIZEN.fullmatch(digits) or not digits.isascii():
        raise Invalid(field="citizen_id", message_="Số căn cước gồm 12 chữ số.")
    return digits


def username(text: str) -> str:
    """`text` as a user name in lower case; raises Invalid(field="username")."""
    name = text.strip().lower()
    if not _USERNAME.fullmatch(name):
        raise Invalid(
            field="username",
            message_="Tên đăng nhập gồm 3 đến 40 chữ cái không dấu, chữ số, dấu chấm, gạch; bắt đầu bằng chữ cái.",
        )
    return name
