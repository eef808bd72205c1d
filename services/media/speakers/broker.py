"""Owns the address of the MQTT broker: how the setting is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how one signs in; `tls` for mqtts."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_broker(text: str) -> Broker:
    """Read `host:port` or `mqtt[s]://[user:password@]host[:port]`; raises ValueError."""
    parts = urlsplit(text if "://" in text else f"mqtt://{text}")
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ValueError("XASO_MEDIA_MQTT must be host:port or mqtt[s]://[user:password@]host[:port]")
    tls = parts.scheme == "mqtts"
    return Broker(
        host=parts.hostname,
        port=parts.port or (8883 if tls else 1883),
        tls=tls,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )
