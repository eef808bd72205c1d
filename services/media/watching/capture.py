"""Owns how a few seconds of a camera's stream come here: RTP packets of its picture, interleaved in RTSP over TCP.

All waiting is done here, on the event loop and against deadlines; decoding (`pictures`) gets bytes and never waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass

from services.media.cameras.address import CameraAddress
from services.media.cameras.probe import Result, judge, result_of
from services.media.cameras.rtsp import Conversation, NotRtsp, conversation
from services.media.watching.packets import ENCODINGS, opens

_RTPMAP = re.compile(r"a=rtpmap:(\d{1,3}) ([A-Za-z0-9-]{1,20})/90000\s*")
_URI = re.compile(r"[!-~]{1,500}")
_LONGEST = 4_000
_BROKEN_OFF = (asyncio.IncompleteReadError, asyncio.LimitOverrunError)
_SESSION = re.compile(r"[A-Za-z0-9$_.+-]{1,128}")


@dataclass(frozen=True, slots=True)
class Recording:
    """A stretch of a stream: the encoding (one of ENCODINGS), what the camera says of it, and RTP packets in order."""

    encoding: str
    parameters: str
    packets: list[bytes]


@dataclass(frozen=True, slots=True)
class Track:
    """The first video track of a description: its own address, its encoding, and the line with its parameters."""

    control: str
    encoding: str
    parameters: str


@dataclass(frozen=True, slots=True)
class Playing:
    """A stream that was begun, and the channel its packets come on."""

    track: Track
    channel: int


class NoPicture(Exception):
    """Nothing could be captured; says with a fixed word why."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.value)
        self.result = result


async def capture(
    address: CameraAddress,
    *,
    seconds: float,
    most_bytes: int,
    timeout: float,  # noqa: ASYNC109 - it is a deadline of the protocol.
    loopback: bool,
) -> Recording:
    """Up to `seconds` and `most_bytes` of a camera's stream; raises NoPicture for whatever a camera does.

    `timeout` bounds everything up to the first packet, and again the wait for a picture that stands alone: cameras send
    one every few seconds, and some do not begin with it. From there on it takes `seconds` at most.
    """
    try:
        async with asyncio.timeout(timeout) as deadline, conversation(address, loopback=loopback) as camera:
            playing = await _play(camera, address)
            track = playing.track
            packets = [await _next(camera, playing.channel)]
            deadline.reschedule(None)
            # What came before the stream ended, broke off or stood still is a picture all the same.
            with contextlib.suppress(TimeoutError, OSError, NotRtsp, *_BROKEN_OFF):
                async with asyncio.timeout(timeout + seconds) as end:
                    waiting, size = True, 0
                    while True:
                        if waiting and opens(track.encoding, packets[-1]):
                            waiting = False
                            end.reschedule(asyncio.get_running_loop().time() + seconds)
                        size += len(packets[-1])
                        if size >= most_bytes:
                            break
                        packets.append(await _next(camera, playing.channel))
            return Recording(track.encoding, track.parameters, packets)
    except NoPicture:
        raise
    except Exception as error:
        raise NoPicture(result_of(error)) from None


async def _next(camera: Conversation, channel: int) -> bytes:
    while True:
        on, packet = await camera.packet()
        if on == channel:
            return packet


async def _play(camera: Conversation, address: CameraAddress) -> Playing:
    """Have the video track played to us; raises NoPicture, NotRtsp."""
    described = await camera.ask("DESCRIBE", address.request_uri, "Accept: application/sdp")
    if (result := judge(described)) is not Result.OK:
        raise NoPicture(result)
    base = (described.headers.get("content-base") or [address.request_uri])[0]
    track = track_of(described.body, base)
    if track is None:
        raise NoPicture(Result.NO_VIDEO)
    transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
    ready = await camera.ask("SETUP", track.control, transport)
    session = ready.headers.get("session", [""])[0].partition(";")[0].strip()
    if ready.status != 200 or not _SESSION.fullmatch(session):
        raise NoPicture(Result.REFUSED)
    chosen = re.search(r"interleaved=(\d{1,3})", ready.headers.get("transport", [""])[0])
    begun = await camera.ask("PLAY", _asked(base), f"Session: {session}", "Range: npt=0.000-")
    if begun.status != 200:
        raise NoPicture(Result.REFUSED)
    return Playing(track, int(chosen[1]) if chosen else 0)


def track_of(description: bytes, base: str) -> Track | None:
    """The first video track of an SDP (RFC 4566), if it is of an encoding we decode; raises NotRtsp."""
    lines = description.decode("latin-1").replace("\r", "").split("\n")
    start = next((n for n, line in enumerate(lines) if line.startswith("m=video ")), None)
    if start is None:
        return None
    end = next((n for n in range(start + 1, len(lines)) if lines[n].startswith("m=")), len(lines))
    payload = lines[start].split()[3:4]
    if not payload or not re.fullmatch(r"\d{1,3}", payload[0]):
        return None
    name, control, parameters = "", "", ""
    for line in lines[start + 1 : end]:
        if (mapped := _RTPMAP.fullmatch(line)) and mapped[1] == payload[0]:
            name = mapped[2].upper()
        elif line.startswith(f"a=fmtp:{payload[0]} "):
            parameters = line[:_LONGEST]
        elif line.startswith("a=control:"):
            control = line[10:].strip()
    return Track(_asked(_joined(base, control)), name, parameters) if name in ENCODINGS else None


def _joined(base: str, control: str) -> str:
    """The address of a track: absolute, or what is added to that of the whole (RFC 2326, C.1.1)."""
    if not control or control == "*":
        return base
    if control.lower().startswith("rtsp://"):
        return control
    return f"{base.rstrip('/')}/{control}"


def _asked(uri: str) -> str:
    """An address a camera named, fit to stand in a request. It is only said to that camera, never dialled."""
    if not _URI.fullmatch(uri):
        raise NotRtsp
    return uri
