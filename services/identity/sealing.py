"""Owns how personal data and private keys rest in the database: AES-256-GCM, and a keyed index to look them up by.

A sealed value is one version byte, a 12-byte nonce, the ciphertext and its 16-byte tag. The name of its column is bound
to it as associated data, so that a value moved to another column no longer opens.
"""

import hmac
import os
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.identity.settings import Settings

_VERSION = b"\x01"
_NONCE_BYTES = 12
_LEAST_SECRET = 32


class SealBroken(Exception):
    """A sealed value was changed, moved, or sealed with another key."""


def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=b"xaso.identity", info=purpose.encode()).derive(secret)


class Sealer:
    """Seals and opens values with keys derived from the service's data key.

    Raises ValueError at once where the key is too short to protect anything.
    """

    def __init__(self, settings: Settings) -> None:
        secret = (settings.data_key.get_secret_value() or settings.secret.get_secret_value()).encode()
        if len(secret) < _LEAST_SECRET:
            raise ValueError(f"XASO_IDENTITY_DATA_KEY (or _SECRET) needs {_LEAST_SECRET} characters or more")
        self._cipher = AESGCM(_derive(secret, "seal"))
        self._index_key = _derive(secret, "blind-index")

    def seal(self, value: str, column: str) -> bytes:
        """`value` encrypted for `column` (for example "account.phone")."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, value.encode(), column.encode())

    def open(self, sealed: bytes, column: str) -> str:
        """The value that `seal` was given; raises SealBroken."""
        if sealed[:1] != _VERSION:
            raise SealBroken(column)
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, body, column.encode()).decode()
        except InvalidTag as error:
            raise SealBroken(column) from error

    def index(self, value: str, column: str) -> bytes:
        """A keyed fingerprint of `value`: equal values are found by it, and it tells nothing without the key."""
        return hmac.new(self._index_key, f"{column}\0{value}".encode(), sha256).digest()
