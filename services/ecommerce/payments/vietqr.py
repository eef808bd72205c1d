"""Owns the text of a VietQR code: EMVCo's tag, length, value with NAPAS' account template, and its checksum.

Source: EMVCo Merchant-Presented QR 1.1, NAPAS "Định dạng mã QR" (A000000727, service QRIBFTTA).
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

GUID = "A000000727"
TO_ACCOUNT = "QRIBFTTA"
MAX_PURPOSE = 25
_BIN, _ACCOUNT = re.compile(r"[0-9]{6}"), re.compile(r"[0-9A-Za-z]{1,19}")
_PURPOSE = re.compile(rf"[\x20-\x7e]{{1,{MAX_PURPOSE}}}")


@cache
def banks() -> dict[str, str]:
    """The short names of banks by BIN, in the order a form shows them (data/banks.json)."""
    path = Path(__file__).parents[1] / "data" / "banks.json"
    return {row["bin"]: row["name"] for row in json.loads(path.read_text(encoding="utf-8"))}


def checksum(text: str) -> str:
    """CRC-16/CCITT-FALSE (polynomial 1021, start FFFF) of ASCII text, as four hexadecimal digits."""
    value = 0xFFFF
    for byte in text.encode("ascii"):
        value ^= byte << 8
        for _ in range(8):
            value = ((value << 1) ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return f"{value:04X}"


def _field(tag: str, value: str) -> str:
    return f"{tag}{len(value):02d}{value}"


def payload(bank_bin: str, account: str, amount: int, purpose: str, bill: str = "") -> str:
    """The text of a code to pay `amount` đồng once; raises ValueError for what no banking app would read."""
    if not _BIN.fullmatch(bank_bin) or not _ACCOUNT.fullmatch(account):
        raise ValueError("a BIN has six digits, an account 1 to 19 letters and digits")
    if not _PURPOSE.fullmatch(purpose) or (bill and not _PURPOSE.fullmatch(bill)):
        raise ValueError(f"a purpose has 1 to {MAX_PURPOSE} ASCII characters")
    if not 0 < amount < 10**13:
        raise ValueError("an amount has 1 to 13 digits")
    beneficiary = _field("00", bank_bin) + _field("01", account)
    receiver = _field("00", GUID) + _field("01", beneficiary) + _field("02", TO_ACCOUNT)
    about = (_field("01", bill) if bill else "") + _field("08", purpose)
    text = "".join(
        (
            _field("00", "01"),
            _field("01", "12"),
            _field("38", receiver),
            _field("53", "704"),
            _field("54", str(amount)),
            _field("58", "VN"),
            _field("62", about),
            "6304",
        )
    )
    return text + checksum(text)
