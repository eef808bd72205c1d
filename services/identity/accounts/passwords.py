"""Owns how passwords are judged and kept: argon2id, computed off the event loop by as many threads as there are cores.

Each hash takes tens of milliseconds and 19 MiB: more threads would only spend memory.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chassis.errors import Invalid
from services.identity.settings import Settings

LEAST, MOST = 8, 128

_threads = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="argon2")


@cache
def _common() -> frozenset[str]:
    text = (Path(__file__).resolve().parent.parent / "data" / "common-passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line)


def check(password: str, *known: str | None) -> None:
    """Raise Invalid(field="password") for a password too short, too long, common, or one of `known` (name, phone)."""
    if not LEAST <= len(password) <= MOST:
        raise Invalid(field="password", message_="Mật khẩu cần từ 8 đến 128 ký tự.")
    if "\0" in password:
        raise Invalid(field="password", message_="Mật khẩu có ký tự không dùng được.")
    if password.lower() in _common() or password.lower() in {k.lower() for k in known if k}:
        raise Invalid(field="password", message_="Mật khẩu này dễ đoán. Xin chọn mật khẩu khác.")


class Passwords:
    """Hashes and verifies; `verify` takes as long for an unknown account as for a wrong password."""

    def __init__(self, settings: Settings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time, memory_cost=settings.argon2_memory_kib, parallelism=1
        )
        self._dummy: str | None = None

    async def hash(self, password: str) -> str:
        """The encoded argon2id hash of `password`."""
        return await asyncio.get_running_loop().run_in_executor(_threads, self._hasher.hash, password)

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether `password` is the one hashed in `encoded`; None stands for an account that does not exist."""
        return await asyncio.get_running_loop().run_in_executor(_threads, self._verify, encoded, password)

    def outdated(self, encoded: str) -> bool:
        """Whether `encoded` was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(encoded)

    def _verify(self, encoded: str | None, password: str) -> bool:
        if not encoded:
            if self._dummy is None:
                self._dummy = self._hasher.hash("nobody's password")
            encoded, password = self._dummy, password + "?"
        try:
            return self._hasher.verify(encoded, password)
        except (VerificationError, InvalidHashError):
            return False
