"""Owns how RTP packets become pieces of a picture: H.264 (RFC 6184) and H.265 (RFC 7798), in Annex B form.

FFmpeg could do this too, but only on a connection of its own (it would follow a camera's redirection past our check of
addresses) or from a file it also tries to answer, where it never returns after 280 kB. Nothing here is believed: what
does not fit is passed over, and the work is proportional to the bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ENCODINGS = ("H264", "H265")
"""What is decoded, by its name in a description: what surveillance cameras send."""
CLOCK = 90_000
"""Ticks a second of both encodings' time stamps."""

_START = b"\x00\x00\x00\x01"
_SETS = re.compile(r"(?:sprop-parameter-sets|sprop-vps|sprop-sps|sprop-pps)=([A-Za-z0-9+/=,]{1,2000})")


@dataclass(frozen=True, slots=True)
class Unit:
    """All of one picture: its time stamp in ticks, and its data."""

    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Packet:
    sequence: int
    at: int
    payload: bytes


def units(encoding: str, parameters: str, packets: Sequence[bytes]) -> Iterator[Unit]:
    """The pictures in a row of RTP packets; `parameters` is the fmtp line of the description."""
    data, at, first = [_parameter_sets(parameters)], 0, None
    for packet, nal in _nals(encoding, packets):
        # Time stamps begin anywhere and turn over after 13 hours.
        first = packet.at if first is None else first
        now = (packet.at - first) & 0xFFFFFFFF
        if now != at and data:
            yield Unit(at, b"".join(data))
            data = []
        at = now
        data += (_START, nal)
    if first is not None:
        yield Unit(at, b"".join(data))


def opens(encoding: str, raw: bytes) -> bool:
    """Whether with this packet a picture begins, or what describes it, that is understood without those before it."""
    packet = _read(raw)
    if packet is None or len(packet.payload) < 5:
        return False
    body = packet.payload
    # Where a packet holds several, the kind stands behind the length; where it holds a piece, in the mark.
    if encoding == "H264":
        kind = {24: body[3], 28: body[1]}.get(body[0] & 0x1F, body[0]) & 0x1F
        return kind in (5, 7)
    kind = body[0] >> 1 & 0x3F
    kind = {48: body[4] >> 1, 49: body[2]}.get(kind, kind) & 0x3F
    return 16 <= kind <= 23 or 32 <= kind <= 33


def _parameter_sets(parameters: str) -> bytes:
    """What a camera says once in its description and perhaps never in its stream."""
    found = b""
    for written in ",".join(_SETS.findall(parameters)).split(","):
        try:
            nal = base64.b64decode(written, validate=True)
        except binascii.Error:
            continue
        found += _START + nal if nal else b""
    return found


def _nals(encoding: str, packets: Sequence[bytes]) -> Iterator[tuple[_Packet, bytes]]:
    """The encoding's own units: put together where a packet holds a piece, taken apart where it holds several."""
    pieces: list[bytes] = []
    expected = -1
    head, together, piece = (1, 24, 28) if encoding == "H264" else (2, 48, 49)
    for raw in packets:
        packet = _read(raw)
        if packet is None or len(packet.payload) <= head + 1:
            continue
        if packet.sequence != expected:
            pieces = []
        expected = (packet.sequence + 1) & 0xFFFF
        body = packet.payload
        kind = body[0] & 0x1F if head == 1 else body[0] >> 1 & 0x3F
        if kind < together:
            yield packet, body
        elif kind == together:
            yield from ((packet, nal) for nal in _apart(body, head))
        elif kind == piece:
            mark, rest = body[head], body[head + 1 :]
            if mark & 0x80:
                pieces = [_first_bytes(body, mark, head)]
            if pieces:
                pieces.append(rest)
            if mark & 0x40 and pieces:
                yield packet, b"".join(pieces)
                pieces = []


def _first_bytes(body: bytes, mark: int, head: int) -> bytes:
    """The header of a unit that came in pieces: its kind stands in the mark of each piece."""
    if head == 1:
        return bytes([body[0] & 0xE0 | mark & 0x1F])
    return bytes([body[0] & 0x81 | (mark & 0x3F) << 1, body[1]])


def _apart(body: bytes, start: int) -> Iterator[bytes]:
    while start + 2 < len(body):
        end = start + 2 + int.from_bytes(body[start : start + 2], "big")
        if not start + 2 < end <= len(body):
            return
        yield body[start + 2 : end]
        start = end


def _read(raw: bytes) -> _Packet | None:
    """A packet without its header, extension and padding (RFC 3550, 5.1); None for what is none."""
    if len(raw) < 12 or raw[0] >> 6 != 2:
        return None
    start, end = 12 + 4 * (raw[0] & 0x0F), len(raw)
    if raw[0] & 0x10:
        start += 4 + 4 * int.from_bytes(raw[start + 2 : start + 4], "big")
    if raw[0] & 0x20:
        end -= raw[-1]
    return _Packet(int.from_bytes(raw[2:4], "big"), int.from_bytes(raw[4:8], "big"), raw[start:end])
