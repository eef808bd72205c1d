"""Owns one push to one phone: where it may go, its encryption (RFC 8291), who sends it (RFC 8292), and the answer.

Whoever subscribes chooses the address that this service then calls, so it is checked when it comes and, as the number
that is dialled, whenever it is called: HTTPS on the usual port of a public host, and nothing inside any network.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import enum
import hashlib
import hmac
import ipaddress
import re
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

import http_ece
import httpx
import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwt
from joserfc.jwk import ECKey

from chassis.db import now
from services.media.notices.model import BadSubscription

MAX_ENDPOINT = 1000
MAX_TEXT = 300
"""Characters of a notice that travel with it; the body of a push must stay below 4 KB."""

_TOKEN_SECONDS = 12 * 3600
_MAX_PAUSE = 3600.0
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""How many points there are on the curve P-256 (FIPS 186-4)."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""All of version 6 that the open Internet uses."""
_NAME = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
"""A public push service has a name; numbers, in whatever spelling, are of no honest browser."""

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class Outcome(enum.Enum):
    """What became of one attempt."""

    SENT = "sent"
    GONE = "gone"
    LATER = "later"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome, and how many seconds the push service asks to wait before the next attempt."""

    outcome: Outcome
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Phone:
    """Where a phone is reached and what encrypts for it; nothing of it shows in a representation."""

    endpoint: str = field(repr=False)
    p256dh: bytes = field(repr=False)
    auth: bytes = field(repr=False)

    def packed(self) -> str:
        """As text, for the vault."""
        return f"{self.endpoint} {_text(self.p256dh)} {_text(self.auth)}"

    @classmethod
    def unpacked(cls, text: str) -> Phone:
        """What :meth:`packed` made."""
        endpoint, p256dh, auth = text.split(" ")
        return cls(endpoint, _bytes(p256dh), _bytes(auth))


def phone_of(endpoint: str, p256dh: str, auth: str, *, host: str) -> Phone:
    """The phone a browser describes; raises BadSubscription. `host` (host:port) is trusted as it is, see settings."""
    target(endpoint, host=host)
    try:
        key, secret = _bytes(p256dh), _bytes(auth)
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
    except ValueError:
        raise BadSubscription(field="p256dh") from None
    if len(key) != 65 or len(secret) != 16:
        raise BadSubscription(field="auth")
    return Phone(endpoint, key, secret)


def target(endpoint: str, *, host: str) -> SplitResult:
    """An endpoint taken apart; raises BadSubscription where it must not be called."""
    if (
        len(endpoint) > MAX_ENDPOINT
        or not endpoint.isascii()
        or any(not c.isprintable() or c in ' "<>\\^`{|}' for c in endpoint)
    ):
        raise BadSubscription(field="endpoint")
    try:
        parts = urlsplit(endpoint)
        port, name = parts.port, parts.hostname or ""
    except ValueError:
        raise BadSubscription(field="endpoint") from None
    if host and parts.netloc == host and parts.scheme in ("http", "https"):
        return parts
    named = _NAME.fullmatch(name) is not None
    if parts.scheme != "https" or port not in (None, 443) or "@" in parts.netloc or parts.fragment or not named:
        raise BadSubscription(field="endpoint")
    return parts


def public(ip: Ip) -> bool:
    """Whether `ip` is of the open Internet, also where it only wraps a number of version 4."""
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return public(inner)
        if ip not in _UNICAST:
            return False
    return ip.is_global and not ip.is_multicast


def fingerprint(secret: str, endpoint: str) -> bytes:
    """By which a phone is found again; says nothing to whoever lacks the service's secret."""
    return hmac.new(secret.encode(), b"phone:" + endpoint.encode("utf-8", "replace"), hashlib.sha256).digest()


def ticket(secret: str, push: uuid.UUID) -> str:
    """What a phone shows to say that a push arrived: it travels inside the encryption, so only that phone has it."""
    return hmac.new(secret.encode(), b"push:" + push.bytes, hashlib.sha256).hexdigest()[:40]


def ticket_fits(secret: str, push: uuid.UUID, given: str) -> bool:
    """Whether `given` is the ticket of `push`."""
    return hmac.compare_digest(ticket(secret, push).encode(), given.encode("utf-8", "replace"))


class Vapid:
    """The key by which push services know this service, made from its secret and lost with it, as subscriptions are."""

    def __init__(self, secret: str, contact: str) -> None:
        material = HKDF(algorithm=hashes.SHA256(), length=48, salt=None, info=b"xaso media vapid").derive(
            secret.encode()
        )
        key = ec.derive_private_key(int.from_bytes(material) % (_ORDER - 1) + 1, ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._key = ECKey.import_key(pem)
        self._contact = contact
        self._tokens: dict[str, tuple[str, float]] = {}
        point = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        self.public = _text(key.public_key().public_bytes(*point))
        """For `applicationServerKey` of the browser."""

    def authorization(self, endpoint: SplitResult) -> str:
        """The header for a push service; one token serves it for hours."""
        origin, at = f"{endpoint.scheme}://{endpoint.netloc}", time.time()
        token, until = self._tokens.get(origin, ("", 0.0))
        if until < at:
            claims = {"aud": origin, "exp": int(at) + _TOKEN_SECONDS, "sub": self._contact}
            token = jwt.encode({"alg": "ES256", "typ": "JWT"}, claims, self._key)
            if len(self._tokens) > 1000:
                self._tokens.clear()
            self._tokens[origin] = token, at + _TOKEN_SECONDS / 2
        return f"vapid t={token}, k={self.public}"


@lru_cache(maxsize=4)
def vapid_for(secret: str, contact: str) -> Vapid:
    """The key made from a service's secret, made once."""
    return Vapid(secret, contact)


def sealed_for(phone: Phone, content: Mapping[str, str]) -> bytes:
    """`content` as JSON that only `phone` can read, a record of aes128gcm."""
    once = ec.generate_private_key(ec.SECP256R1())
    plain = orjson.dumps(dict(content))
    sealed: bytes = http_ece.encrypt(plain, private_key=once, dh=phone.p256dh, auth_secret=phone.auth)
    return sealed


class Post:
    """Carries pushes to push services."""

    def __init__(self, vapid: Vapid, *, host: str, timeout: float) -> None:
        self._vapid, self._host, self._timeout = vapid, host, timeout
        # Connections are not kept: two services behind one number must not share one that only one of them proved.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False, follow_redirects=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def send(self, phone: Phone, content: Mapping[str, str], *, ttl: int, urgent: bool) -> Answer:
        """One attempt; never raises for what the other side does."""
        try:
            parts = target(phone.endpoint, host=self._host)
            async with asyncio.timeout(self._timeout):
                return await self._send(parts, sealed_for(phone, content), ttl, urgent)
        except BadSubscription:
            return Answer(Outcome.GONE)
        except (OSError, TimeoutError, httpx.HTTPError):
            return Answer(Outcome.LATER)

    async def _send(self, parts: SplitResult, body: bytes, ttl: int, urgent: bool) -> Answer:
        number = await self._dialled(parts)
        bracketed = f"[{number}]" if ":" in number else number
        port = f":{parts.port}" if parts.port else ""
        headers = {
            "host": parts.netloc,
            "authorization": self._vapid.authorization(parts),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(ttl),
            "urgency": "high" if urgent else "normal",
        }
        url = f"{parts.scheme}://{bracketed}{port}{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        # The number that was checked is the number that is dialled; the certificate must still be of the name.
        known = {"sni_hostname": parts.hostname or ""}
        async with self._client.stream("POST", url, content=body, headers=headers, extensions=known) as response:
            return judged(response.status_code, response.headers.get("retry-after", ""), now())

    async def _dialled(self, parts: SplitResult) -> str:
        """The number of the host; raises BadSubscription where it is inside a network."""
        name, port = parts.hostname or "", parts.port or 443
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
        number = str(found[0][4][0]).split("%", 1)[0]
        if parts.netloc != self._host and not public(ipaddress.ip_address(number)):
            raise BadSubscription(field="endpoint")
        return number


def judged(status: int, retry_after: str, at: datetime) -> Answer:
    """What a push service's answer of the instant `at` means (RFC 8030, 5 and 7.3; RFC 8292, 4)."""
    if 200 <= status < 300:
        return Answer(Outcome.SENT)
    if status in (404, 410):
        return Answer(Outcome.GONE)
    if status == 429 or status >= 500:
        return Answer(Outcome.LATER, min(_seconds(retry_after, at), _MAX_PAUSE))
    # What it says of this service's signature is not the phone's fault.
    return Answer(Outcome.FORBIDDEN if status in (401, 403) else Outcome.REFUSED)


def _seconds(retry_after: str, at: datetime) -> float:
    """How long to wait: told in seconds or as a date (RFC 9110, 10.2.3); 0 where it cannot be read."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - at).total_seconds())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from None
