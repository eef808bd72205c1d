"""Owns the conversation with a camera in RTSP (RFC 2326, with digest authentication of RFC 7616), within hard bounds.

The number that was checked is the number that is dialled, no redirection is followed, and nothing an answer says is
believed about sizes. Who converses sets the deadline.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.media.cameras.address import CameraAddress, allowed

_MAX_HEADER_BYTES = 16_384
_MAX_BODY_BYTES = 65_536
_MOST_EARLY = 64
_AGENT = "xaso-media"
_PARAMETER = re.compile(r'([a-zA-Z0-9_-]+)\s*=\s*(?:"([^"\r\n]{0,512})"|([^\s,"]{1,512}))')


class NotRtsp(Exception):
    """The other end does not speak RTSP, or speaks beyond all bounds."""


class HostUnknown(Exception):
    """The name of the camera's host leads nowhere."""


class HostForbidden(Exception):
    """The name of the camera's host leads to where no camera may stand."""


class NoAnswerToChallenge(Exception):
    """The camera asks for an authentication that is not understood."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a camera answered: status, headers by lower-case name, body."""

    status: int
    headers: dict[str, list[str]]
    body: bytes


class Conversation:
    """Questions and answers on one connection; packets that come in between are kept for `packet`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: CameraAddress) -> None:
        self._reader, self._writer, self._address = reader, writer, address
        self._sequence = 0
        self._challenges: list[str] = []
        self._uses = 0
        self._early: list[tuple[int, bytes]] = []

    async def ask(self, method: str, uri: str, *headers: str) -> Answer:
        """Ask once, and once more with the password where the camera wants to know it.

        Raises NotRtsp, NoAnswerToChallenge, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError.
        """
        answer = await self._ask(method, uri, headers)
        if answer.status == 401 and self._address.username is not None:
            self._challenges, self._uses = answer.headers.get("www-authenticate", []), 0
            answer = await self._ask(method, uri, headers)
        return answer

    async def packet(self) -> tuple[int, bytes]:
        """The next interleaved packet (RFC 2326, 10.12): its channel and its bytes; an answer in between is passed."""
        if self._early:
            return self._early.pop(0)
        while (first := await self._reader.readexactly(1)) != b"$":
            await self._answer(first)
        return await self._interleaved()

    async def _ask(self, method: str, uri: str, headers: tuple[str, ...]) -> Answer:
        self._sequence += 1
        lines = [f"{method} {uri} RTSP/1.0", f"CSeq: {self._sequence}", f"User-Agent: {_AGENT}", *headers]
        if self._challenges:
            self._uses += 1
            authorization = _authorization(self._address, f"{method}:{uri}", self._challenges, self._uses)
            if authorization is None:
                raise NoAnswerToChallenge
            lines.append(f"Authorization: {authorization}")
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        await self._writer.drain()
        while (first := await self._reader.readexactly(1)) == b"$":
            if len(self._early) >= _MOST_EARLY:
                raise NotRtsp
            self._early.append(await self._interleaved())
        return await self._answer(first)

    async def _interleaved(self) -> tuple[int, bytes]:
        head = await self._reader.readexactly(3)
        return head[0], await self._reader.readexactly(int.from_bytes(head[1:], "big"))

    async def _answer(self, first: bytes) -> Answer:
        head = (first + await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = re.fullmatch(r"RTSP/1\.[01] ([1-5][0-9]{2})(?: .*)?", head[0])
        if status is None:
            raise NotRtsp
        headers: dict[str, list[str]] = {}
        for line in head[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers.setdefault(name.strip().lower(), []).append(value.strip())
        length = headers.get("content-length", ["0"])[0]
        if not length.isdecimal() or len(length) > 6 or int(length) > _MAX_BODY_BYTES:
            raise NotRtsp
        return Answer(int(status[1]), headers, await self._reader.readexactly(int(length)))


@asynccontextmanager
async def conversation(address: CameraAddress, *, loopback: bool) -> AsyncIterator[Conversation]:
    """Connect to a camera; raises HostUnknown, HostForbidden, OSError."""
    try:
        target = await _resolve(address)
    except socket.gaierror:
        raise HostUnknown from None
    # The number that was checked is the number that is dialled: a name cannot point elsewhere in between.
    if not allowed(ipaddress.ip_address(target), loopback=loopback):
        raise HostForbidden
    reader, writer = await asyncio.open_connection(target, address.port, limit=_MAX_HEADER_BYTES)
    try:
        yield Conversation(reader, writer, address)
    finally:
        writer.close()


async def _resolve(address: CameraAddress) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return str(found[0][4][0]).split("%", 1)[0]


def _authorization(address: CameraAddress, asked: str, challenges: list[str], uses: int) -> str | None:
    """The answer to the strongest challenge that is understood, digest before basic, on its `uses`th use.

    `asked` is method and address with a colon between them.
    """
    username, password = address.username or "", address.password or ""
    digests = [_parameters(c[7:]) for c in challenges if c[:7].lower() == "digest "]
    for algorithm in ("SHA-256", "MD5"):
        for challenge in digests:
            if challenge.get("algorithm", "MD5").upper() == algorithm and "nonce" in challenge:
                return _digest(username, password, asked, challenge, algorithm, uses)
    if any(c[:5].lower() == "basic" for c in challenges):
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    return None


def _parameters(text: str) -> dict[str, str]:
    return {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(text)}


def _digest(username: str, password: str, asked: str, challenge: dict[str, str], algorithm: str, uses: int) -> str:
    def hashed(text: str) -> str:
        if algorithm == "SHA-256":
            return hashlib.sha256(text.encode()).hexdigest()
        # Cameras in the field still ask for MD5; the standard leaves no choice but not to answer them at all.
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = challenge.get("realm", ""), challenge["nonce"]
    first, second = hashed(f"{username}:{realm}:{password}"), hashed(asked)
    fields = {"username": username, "realm": realm, "nonce": nonce, "uri": asked.partition(":")[2]}
    extra = ""
    if "auth" in [q.strip() for q in challenge.get("qop", "").split(",")]:
        cnonce = secrets.token_hex(8)
        response = hashed(f"{first}:{nonce}:{uses:08x}:{cnonce}:auth:{second}")
        fields["cnonce"] = cnonce
        extra = f", qop=auth, nc={uses:08x}"
    else:
        response = hashed(f"{first}:{nonce}:{second}")
    fields["response"] = response
    if "opaque" in challenge:
        fields["opaque"] = challenge["opaque"]
    if "algorithm" in challenge:
        extra += f", algorithm={algorithm}"
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in fields.items()) + extra
