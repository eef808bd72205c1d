"""Owns the secrecy of what a reporter entrusts: phone numbers and unsent reports, encrypted at rest.

AES-256-GCM with a key derived (HKDF-SHA-256) from the service's secret; the row's id is bound in as associated data, so
that a ciphertext copied to another row does not open there.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chassis.errors import Invalid

_NONCE_BYTES = 12
_PHONE = re.compile(r"^(?:\+84|0)(\d{9,10})$")


class ContactCipher:
    """Seals and opens personal texts with the service's own key."""

    def __init__(self, secret: str) -> None:
        key = HKDF(SHA256(), length=32, salt=None, info=b"xaso.petitions.contacts.v1").derive(secret.encode())
        self._aead = AESGCM(key)

    def seal(self, text: str, bound_to: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, text.encode(), bound_to.encode())

    def open(self, sealed: bytes, bound_to: str) -> str | None:
        """The text again, or None where it was sealed with another key or for another row."""
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to.encode()).decode()
        except InvalidTag:
            return None


@lru_cache(maxsize=8)
def cipher_for(secret: str) -> ContactCipher:
    """The cipher of a secret; deriving its key anew for each request would cost more than sealing."""
    return ContactCipher(secret)


def phone(value: str) -> str:
    """A Vietnamese telephone number as `0…`, from what a person types (spaces, dots, +84); raises Invalid."""
    match = _PHONE.match(re.sub(r"[\s.\-()]", "", value))
    if match is None:
        raise Invalid(field="contact_phone", message_="Số điện thoại chưa đúng. Ví dụ: 0912 345 678.")
    return "0" + match.group(1)
