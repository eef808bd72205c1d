"""Owns the sales channels (data/channels.json) and what an address on one of them may be."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from chassis.errors import Invalid
from chassis.text import has_control

MAX_URL = 2000
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")
_URL_SAFE = "!#$%&'()*+,/:;=?@[]~"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Channel:
    """A place where products are sold; `hosts` are the domains its addresses lie under, none where any may serve."""

    code: str
    vi: str
    en: str
    hosts: tuple[str, ...]

    def owns(self, host: str) -> bool:
        return any(host == own or host.endswith("." + own) for own in self.hosts)


@cache
def channels() -> dict[str, Channel]:
    """All channels by code, in the order a form shows them."""
    rows = json.loads((Path(__file__).parent / "data" / "channels.json").read_text(encoding="utf-8"))
    return {row["code"]: Channel(row["code"], row["vi"], row["en"], tuple(row["hosts"])) for row in rows}


def channel(code: str) -> Channel:
    """The channel of that code; raises Invalid on field `channel`."""
    try:
        return channels()[code]
    except KeyError:
        raise Invalid(field="channel", message_="Xin chọn một kênh bán trong danh sách.") from None


def address(on: Channel, typed: str) -> str:
    """The address in its one written form, so that the same page is found the same; raises Invalid on field `url`.

    Only http and https, a real domain name, no user or password, and a host of the channel where it has its own.
    """
    text = typed.strip()
    if not text or len(text) > MAX_URL or has_control(text) or any(c.isspace() for c in text):
        raise _wrong("Xin ghi địa chỉ trang bán hàng, ví dụ https://shopee.vn/… (không quá 2000 ký tự).")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _wrong("Địa chỉ này không đúng dạng.") from None
    if parts.scheme.lower() not in _DEFAULT_PORTS:
        raise _wrong("Địa chỉ phải bắt đầu bằng http:// hoặc https://.")
    if parts.username is not None or parts.password is not None or "\\" in text:
        raise _wrong("Địa chỉ không được chứa tên đăng nhập hoặc mật khẩu.")
    host = _domain(parts)
    if on.hosts and not on.owns(host):
        raise _wrong("Địa chỉ này không thuộc kênh đã chọn ({hosts}).", hosts=", ".join(on.hosts))
    scheme = parts.scheme.lower()
    place = host if port is None or port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"
    # Letters outside ASCII are written as percent-escapes, as a browser would send them; escapes already there stay.
    path, query, fragment = (quote(part, safe=_URL_SAFE) for part in (parts.path or "/", parts.query, parts.fragment))
    return urlunsplit((scheme, place, path, query, fragment))


def _domain(parts: SplitResult) -> str:
    """The host in lower-case ASCII; a bare word or an IP address is nobody's shop and is refused."""
    host = (parts.hostname or "").rstrip(".")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        raise _wrong("Địa chỉ phải có tên miền, không dùng địa chỉ IP.")
    try:
        ascii_host = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise _wrong("Tên miền của địa chỉ này không đúng.") from None
    labels = ascii_host.split(".")
    if len(labels) < 2 or len(ascii_host) > 253 or not all(_LABEL.match(label) for label in labels):
        raise _wrong("Tên miền của địa chỉ này không đúng.")
    if labels[-1].isdigit():
        raise _wrong("Địa chỉ phải có tên miền, không dùng địa chỉ IP.")
    return ascii_host


def _wrong(message: str, **params: object) -> Invalid:
    return Invalid(field="url", message_=message, **params)
