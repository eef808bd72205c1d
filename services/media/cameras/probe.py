"""Owns the RTSP client (RFC 2326, with digest authentication of RFC 7616) that asks a camera for its description.

It only ever asks DESCRIBE: no stream is set up, nothing is recorded. The answer is read within hard bounds and nothing
of it leaves this module but a fixed word.
"""

from __future__ import annotations

import asyncio
import base64
import enum
import hashlib
import ipaddress
import re
import secrets
import socket
import time
from dataclasses import dataclass

from services.media.cameras.address import CameraAddress, allowed

_MAX_HEADER_BYTES = 16_384
_MAX_BODY_BYTES = 65_536
_AGENT = "xaso-media"
_PARAMETER = re.compile(r'([a-zA-Z0-9_-]+)\s*=\s*(?:"([^"\r\n]{0,512})"|([^\s,"]{1,512}))')


class Result(enum.StrEnum):
    """What a probe found; only OK is a success."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    NOT_RTSP = "not_rtsp"
    NO_VIDEO = "no_video"
    FORBIDDEN_ADDRESS = "forbidden_address"
    UNKNOWN_HOST = "unknown_host"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Probe:
    """The outcome of one probe and how long it took."""

    result: Result
    milliseconds: int

    @property
    def ok(self) -> bool:
        return self.result is Result.OK


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: dict[str, list[str]]
    body: bytes


class _NotRtsp(Exception):
    """The other end does not speak RTSP, or speaks beyond all bounds."""


async def probe(address: CameraAddress, *, timeout: float, loopback: bool) -> Probe:  # noqa: ASYNC109 - it is a deadline of the protocol, part of the result.
    """Ask one camera for its description; never raises for what a camera does."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(timeout):
            result = await _probe(address, loopback=loopback)
    except TimeoutError:
        result = Result.TIMEOUT
    except (OSError, asyncio.IncompleteReadError):
        result = Result.UNREACHABLE
    except (_NotRtsp, asyncio.LimitOverrunError, ValueError):
        result = Result.NOT_RTSP
    return Probe(result, int((time.monotonic() - began) * 1000))


async def _probe(address: CameraAddress, *, loopback: bool) -> Result:
    try:
        target = await _resolve(address)
    except socket.gaierror:
        return Result.UNKNOWN_HOST
    # The number that was checked is the number that is dialled: a name cannot point elsewhere in between.
    if not allowed(ipaddress.ip_address(target), loopback=loopback):
        return Result.FORBIDDEN_ADDRESS
    reader, writer = await asyncio.open_connection(target, address.port, limit=_MAX_HEADER_BYTES)
    try:
        answer = await _describe(reader, writer, address, 1, None)
        if answer.status == 401 and address.username is not None:
            authorization = _authorization(address, answer.headers.get("www-authenticate", []))
            if authorization is None:
                return Result.UNAUTHORIZED
            answer = await _describe(reader, writer, address, 2, authorization)
        return _judge(answer)
    finally:
        writer.close()


async def _resolve(address: CameraAddress) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return str(found[0][4][0]).split("%", 1)[0]


def _judge(answer: _Answer) -> Result:
    match answer.status:
        case 200:
            return Result.OK if re.search(rb"(?m)^m=video ", answer.body) else Result.NO_VIDEO
        case 401 | 403:
            return Result.UNAUTHORIZED
        case 404 | 454:
            return Result.NOT_FOUND
        case _:
            return Result.REFUSED


async def _describe(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    address: CameraAddress,
    sequence: int,
    authorization: str | None,
) -> _Answer:
    lines = [
        f"DESCRIBE {address.request_uri} RTSP/1.0",
        f"CSeq: {sequence}",
        f"User-Agent: {_AGENT}",
        "Accept: application/sdp",
    ]
    if authorization is not None:
        lines.append(f"Authorization: {authorization}")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
    await writer.drain()
    return await _answer(reader)


async def _answer(reader: asyncio.StreamReader) -> _Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = re.fullmatch(r"RTSP/1\.[01] ([1-5][0-9]{2})(?: .*)?", head[0])
    if status is None:
        raise _NotRtsp
    headers: dict[str, list[str]] = {}
    for line in head[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), []).append(value.strip())
    length = headers.get("content-length", ["0"])[0]
    if not length.isdecimal() or len(length) > 6 or int(length) > _MAX_BODY_BYTES:
        raise _NotRtsp
    return _Answer(int(status[1]), headers, await reader.readexactly(int(length)))


def _authorization(address: CameraAddress, challenges: list[str]) -> str | None:
    """The answer to the strongest challenge that is understood: digest before basic."""
    username, password = address.username or "", address.password or ""
    digests = [_parameters(c[7:]) for c in challenges if c[:7].lower() == "digest "]
    for algorithm in ("SHA-256", "MD5"):
        for challenge in digests:
            if challenge.get("algorithm", "MD5").upper() == algorithm and "nonce" in challenge:
                return _digest(username, password, address.request_uri, challenge, algorithm)
    if any(c[:5].lower() == "basic" for c in challenges):
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    return None


def _parameters(text: str) -> dict[str, str]:
    return {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(text)}


def _digest(username: str, password: str, uri: str, challenge: dict[str, str], algorithm: str) -> str:
    def hashed(text: str) -> str:
        if algorithm == "SHA-256":
            return hashlib.sha256(text.encode()).hexdigest()
        # Cameras in the field still ask for MD5; the standard leaves no choice but not to answer them at all.
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = challenge.get("realm", ""), challenge["nonce"]
    first, second = hashed(f"{username}:{realm}:{password}"), hashed(f"DESCRIBE:{uri}")
    fields = {"username": username, "realm": realm, "nonce": nonce, "uri": uri}
    extra = ""
    if "auth" in [q.strip() for q in challenge.get("qop", "").split(",")]:
        cnonce = secrets.token_hex(8)
        response = hashed(f"{first}:{nonce}:00000001:{cnonce}:auth:{second}")
        fields["cnonce"] = cnonce
        extra = ", qop=auth, nc=00000001"
    else:
        response = hashed(f"{first}:{nonce}:{second}")
    fields["response"] = response
    if "opaque" in challenge:
        fields["opaque"] = challenge["opaque"]
    if "algorithm" in challenge:
        extra += f", algorithm={algorithm}"
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in fields.items()) + extra
