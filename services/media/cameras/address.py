"""Owns which addresses a camera may have: RTSP only, and never a way from outside into the servers' own machines."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from services.media.cameras.model import BadAddress, ForbiddenAddress

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_MAX_LENGTH = 500
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "metadata.azure.internal"})
_METADATA = frozenset(
    ipaddress.ip_address(a)
    for a in ("169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "168.63.129.16")
)
"""Where clouds tell a machine its secrets, as far as no reserved range covers them already."""

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class CameraAddress:
    """An RTSP address taken apart. User name and password stay out of its representation."""

    host: str
    port: int
    request_uri: str = field(repr=False)
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


def parse(url: str, *, loopback: bool) -> CameraAddress:
    """Take an address apart; raises BadAddress or ForbiddenAddress, neither of which repeats it."""
    if len(url) > _MAX_LENGTH or not url.isascii() or any(not c.isprintable() or c in ' "<>\\^`{|}' for c in url):
        raise BadAddress(field="url")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        raise BadAddress(field="url") from None
    if parts.scheme.lower() != "rtsp" or parts.fragment or port == 0 or not host:
        raise BadAddress(field="url")
    username = _credential(parts.username)
    password = _credential(parts.password)
    bracketed = f"[{host}]" if ":" in host else host
    if ":" not in host and not _HOST.fullmatch(host):
        raise BadAddress(field="url")
    check_host(host, loopback=loopback)
    uri = f"rtsp://{bracketed}:{port or 554}{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    return CameraAddress(host, port or 554, uri, username, password)


def _credential(value: str | None) -> str | None:
    """A user name or password with its escapes resolved; a line end in it could forge a header."""
    if value is None:
        return None
    plain = unquote(value, errors="replace")
    if any(not c.isprintable() or c == '"' for c in plain) or not plain.isascii():
        raise BadAddress(field="url")
    return plain


def check_host(host: str, *, loopback: bool) -> None:
    """Refuse a host by its name, or by its number where it is one; names are checked again once they are resolved."""
    lowered = host.lower().rstrip(".")
    if lowered in _METADATA_NAMES or (not loopback and (lowered == "localhost" or lowered.endswith(".localhost"))):
        raise ForbiddenAddress(field="url")
    try:
        ip = ipaddress.ip_address(lowered)
    except ValueError:
        # 2130706433, 0x7f.1 and the like are numbers to a resolver although no module here reads them as such.
        if re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*", lowered):
            raise BadAddress(field="url") from None
        return
    if not allowed(ip, loopback=loopback):
        raise ForbiddenAddress(field="url")


def allowed(ip: Ip, *, loopback: bool) -> bool:
    """Whether a camera may stand at `ip`: public and private networks yes, the machine itself and metadata no."""
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return allowed(inner, loopback=loopback)
    if ip.is_loopback:
        return loopback
    refused = ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved or ip in _METADATA
    return not refused and not (isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local)
