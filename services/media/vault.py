"""Owns the secrets of devices at rest: sealed with AES-256-GCM under a key derived from the service's secret.

A sealed value is bound to what it belongs to (the id of the row): copied into another row it does not open.
"""

from __future__ import annotations

import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = b"\x01"
_NONCE_BYTES = 12


class VaultClosed(RuntimeError):
    """A sealed value does not open: the service's secret was changed, or the value was tampered with."""


class Vault:
    """Seals and opens the secrets of devices."""

    def __init__(self, secret: str) -> None:
        """`secret` is the service's secret (settings.secret), at least 16 characters."""
        if len(secret) < 16:
            raise ValueError("XASO_MEDIA_SECRET must have at least 16 characters: it protects the devices' passwords")
        material = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"xaso media vault").derive(
            secret.encode()
        )
        self._box = AESGCM(material)

    def seal(self, plain: str, *, owner: str) -> bytes:
        """Encrypt `plain` for the row named `owner`."""
        return self.seal_bytes(plain.encode(), owner=owner)

    def seal_bytes(self, plain: bytes, *, owner: str) -> bytes:
        """As :meth:`seal`, for what is no text."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._box.encrypt(nonce, plain, owner.encode())

    def open(self, sealed: bytes, *, owner: str) -> str:
        """Decrypt what :meth:`seal` made for the same `owner`; raises VaultClosed."""
        return self.open_bytes(sealed, owner=owner).decode()

    def open_bytes(self, sealed: bytes, *, owner: str) -> bytes:
        """As :meth:`open`, for what is no text."""
        if sealed[:1] != _VERSION:
            raise VaultClosed
        nonce, box = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._box.decrypt(nonce, box, owner.encode())
        except InvalidTag:
            # The cause is left out: it says nothing, and a traceback must not carry the ciphertext.
            raise VaultClosed from None


@lru_cache(maxsize=4)
def vault_for(secret: str) -> Vault:
    """The vault of a service's secret; the key is derived once."""
    return Vault(secret)
