"""Owns what the commands of identity need beside a transaction, built once per process from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from services.identity.accounts.commands import Tools
from services.identity.accounts.passwords import Passwords
from services.identity.sealing import Sealer
from services.identity.sessions.keys import Keys
from services.identity.settings import Settings


@dataclass(frozen=True)
class Desk:
    """Settings, password hashing, sealing and signing keys."""

    settings: Settings
    tools: Tools
    keys: Keys

    @classmethod
    def of(cls, settings: Settings) -> Desk:
        """Raises ValueError where the settings hold no usable key."""
        sealer = Sealer(settings)
        return cls(settings, Tools(Passwords(settings), sealer), Keys(settings, sealer))
