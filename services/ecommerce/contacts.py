"""Owns the secrecy of what a visitor entrusts to a tourism point: name, telephone and words, encrypted at rest."""

from __future__ import annotations

import os
import re
from functools import lru_cache

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chassis.errors import Invalid

_NONCE_BYTES = 12
_PHONE = re.compile(r"(?:\+84|0)([1-9][0-9]{8,9})")


class VisitorCipher:
    """AES-256-GCM with a key derived from the service's secret; what is sealed for one row opens for no other."""

    def __init__(self, secret: str) -> None:
        key = HKDF(SHA256(), length=32, salt=None, info=b"xaso.ecommerce.visitors.v1").derive(secret.encode())
        self._aead = AESGCM(key)

    def seal(self, what: dict[str, str], row: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, orjson.dumps(what), row.encode())

    def open(self, sealed: bytes | None, row: str) -> dict[str, str]:
        """What was sealed; empty where it was forgotten since, or sealed with another key or for another row."""
        if sealed is None:
            return {}
        try:
            found = orjson.loads(self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], row.encode()))
        except InvalidTag:
            return {}
        return {str(name): str(value) for name, value in found.items()}


@lru_cache(maxsize=8)
def cipher_for(secret: str) -> VisitorCipher:
    """The cipher of a secret; its key is derived once."""
    return VisitorCipher(secret)


def phone(value: str) -> str:
    """A Vietnamese telephone number as `0…`, from what a person types (spaces, dots, +84); raises Invalid."""
    match = _PHONE.fullmatch(re.sub(r"[\s.\-()]", "", value))
    if match is None:
        raise Invalid(field="phone", message_="Số điện thoại chưa đúng. Ví dụ: 0912 345 678.")
    return "0" + match.group(1)
