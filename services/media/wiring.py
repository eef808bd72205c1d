"""Owns what HTTP entry points need beside the transaction: the service's own settings, its vault, cursors."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from chassis.errors import Malformed
from chassis.paging import decode_cursor
from services.media.settings import Settings
from services.media.vault import Vault, vault_for


async def _settings(request: Request) -> Settings:
    settings = request.app.state.runtime.settings
    if not isinstance(settings, Settings):
        raise TypeError("the media service runs with services.media.settings.Settings")
    return settings


async def _vault(request: Request) -> Vault:
    return vault_for((await _settings(request)).secret.get_secret_value())


MediaSettings = Annotated[Settings, Depends(_settings)]
MediaVault = Annotated[Vault, Depends(_vault)]


def unit_cursor(after: str | None) -> list[str] | None:
    """A cursor of (unit, id); raises Malformed."""
    values = decode_cursor(after, 2)
    if values is None:
        return None
    return [str(values[0]), str(checked_uuid(values[1]))]


def id_cursor(after: str | None) -> uuid.UUID | None:
    """A cursor of one id; raises Malformed."""
    values = decode_cursor(after, 1)
    return None if values is None else checked_uuid(values[0])


def checked_uuid(value: object) -> uuid.UUID:
    """`value` as an id; raises Malformed."""
    try:
        return uuid.UUID(str(value))
    except ValueError:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from None


def code_cursor(after: str | None) -> str | None:
    """A cursor of one unit code; raises Malformed."""
    values = decode_cursor(after, 1)
    return None if values is None else str(values[0])
