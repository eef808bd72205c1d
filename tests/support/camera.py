"""Owns a camera that really sends pictures: RTSP with SETUP and PLAY, H.264 or H.265 in RTP, interleaved in TCP.

The clips are made here by an encoder, from scenes drawn with numpy; a live scene has noise as every sensor has.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np

from launcher.devices import SimulatedCamera, _md5, _reply

WIDTH, HEIGHT, FRAMES = 320, 180, 8
FRAME_TICKS = 22_500
"""Frames are a quarter of a second apart on the camera's clock, and are sent at once."""
Clip = list[bytes]


def clip(scene: str, seed: int = 0, *, codec: str = "libx264", frames: int = FRAMES) -> Clip:
    """Access units of a scene: `live` (a still place, with noise), `walk` (somebody crosses its left half), `fly`
    (something tiny does), `lamp` (its light is switched on), `covered`, `wink` (covered at first). The same seed gives
    the same pictures, bit for bit.
    """
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 4), Fraction(4, 1)
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", **quiet}
    units = []
    for number, picture in enumerate(_pictures(scene, seed, frames)):
        frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuv420p")
        frame.pts = number
        units += [bytes(packet) for packet in encoder.encode(frame)]
    return [*units, *(bytes(packet) for packet in encoder.encode(None))]


def _pictures(scene: str, seed: int, frames: int) -> Iterator[np.ndarray]:
    noise = np.random.default_rng(seed)
    place = np.random.default_rng(1).integers(60, 180, (HEIGHT // 20, WIDTH // 20)).repeat(20, 0).repeat(20, 1)
    for number in range(frames):
        picture = place + noise.normal(0, 2, place.shape)
        if scene == "covered" or (scene == "wink" and number < frames // 2):
            picture = 12 + noise.normal(0, 1, place.shape)
        elif scene == "walk":
            left = 10 + number * 12
            picture[60:150, left : left + 40] = 250
        elif scene == "fly":
            left = 10 + number * 12
            picture[100:102, left : left + 4] = 250
        elif scene == "lamp" and number >= frames // 2:
            picture = picture + 60
        yield np.clip(picture, 0, 255).astype(np.uint8)


def packets(units: Iterable[bytes], codec: str = "libx264") -> Iterator[bytes]:
    """Access units as RTP packets: in pieces where they are long (FU-A of RFC 6184, FU of RFC 7798)."""
    sequence = 0
    for number, unit in enumerate(units):
        pieces = [piece for nal in re.split(rb"\x00\x00\x00?\x01", unit) if nal for piece in _pieces(nal, codec)]
        for at, piece in enumerate(pieces):
            mark = 0x80 if at == len(pieces) - 1 else 0
            yield struct.pack(">BBHII", 0x80, mark | 96, sequence & 0xFFFF, number * FRAME_TICKS, 7) + piece
            sequence += 1


def _pieces(nal: bytes, codec: str) -> Iterator[bytes]:
    if len(nal) <= 1_400:
        yield nal
        return
    head = 2 if codec == "libx265" else 1
    body = nal[head:]
    for start in range(0, len(body), 1_400):
        edge = (0x80 if start == 0 else 0) | (0x40 if start + 1_400 >= len(body) else 0)
        kept = bytes([(nal[0] & 0xE0) | 28, edge | (nal[0] & 0x1F)])
        if codec == "libx265":
            kept = bytes([(nal[0] & 0x81) | 49 << 1, nal[1], edge | (nal[0] >> 1 & 0x3F)])
        yield kept + body[start : start + 1_400]


class StreamingCamera(SimulatedCamera):
    """A camera that plays `clips`, one with each connection, the last of them again and again, and then hangs up.

    `mute` sends nothing after PLAY and stays; `stays` does not hang up; `garbage` sends packets that are none; `late`
    seconds pass, in the middle of a scene, before a picture that stands alone; `babbles` ends with what is no packet.
    `eager` pictures come before the answer to PLAY. It plays on `channel` and names its `session`; no count of a
    password serves twice.
    """

    def __init__(self, *clips: Clip, codec: str = "libx264", username: str = "", password: str = "") -> None:
        super().__init__(username=username, password=password)
        self.clips = list(clips)
        self.codec = codec
        self.mute = False
        self.stays = False
        self.garbage = False
        self.late = 0.0
        self.babbles = False
        self.eager = 0
        self.channel = 0
        self.session = "4711"
        self._counts: set[str | None] = set()
        self.played = 0

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._counts = set()
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                if self.silent:
                    await asyncio.Event().wait()
                reply = self._answer(head)
                if head[0].startswith("PLAY ") and self.eager:
                    await self._send(writer, (self.clips[0] * self.eager)[: self.eager])
                writer.write(reply)
                await writer.drain()
                if head[0].startswith("PLAY ") and reply.startswith(b"RTSP/1.0 200"):
                    await self._play(writer)
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        if self.mute:
            await asyncio.Event().wait()
        playing = self.clips.pop(0) if len(self.clips) > 1 else self.clips[0]
        self.played += 1
        if self.late:
            await self._send(writer, playing[1:])
            await asyncio.sleep(self.late)
        await self._send(writer, playing[self.eager :])
        if self.babbles:
            writer.write(b"ANNOUNCE the end\r\n\r\n")
            await writer.drain()
        if self.stays:
            await asyncio.Event().wait()

    async def _send(self, writer: asyncio.StreamWriter, clip: Clip) -> None:
        for packet in packets(clip, self.codec):
            sent = bytes(len(packet)) if self.garbage else packet
            writer.write(b"$" + bytes([self.channel]) + len(sent).to_bytes(2, "big") + sent)
            # Its report of what it sent (RTCP) comes on the other channel and is no picture.
            writer.write(b"$" + bytes([self.channel + 1]) + b"\x00\x1c" + struct.pack(">BBHI20x", 0x80, 200, 6, 7))
        await writer.drain()

    def _answer(self, head: list[str]) -> bytes:
        method, _, rest = head[0].partition(" ")
        uri = rest.rsplit(" ", 1)[0]
        if method == "DESCRIBE":
            described = super()._answer(head)
            name = b"H265" if self.codec == "libx265" else b"H264"
            return described.replace(b"H264", name)
        headers = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:])}
        sequence = headers.get("cseq", "0")
        if self.username and not self._right(headers.get("authorization", ""), method, uri):
            return _reply(401, "Unauthorized", sequence)
        if method == "SETUP" and uri.endswith(f"{self.path}/track1"):
            chosen = f"Transport: RTP/AVP/TCP;unicast;interleaved={self.channel}-{self.channel + 1}"
            return _reply(200, "OK", sequence, [chosen, f"Session: {self.session};timeout=60"])
        if method == "PLAY" and headers.get("session") == self.session and uri.endswith(self.path):
            return _reply(200, "OK", sequence, [f"Session: {self.session}"])
        return _reply(455, "Method Not Valid in This State", sequence)

    def _right(self, given: str, method: str, uri: str) -> bool:
        """Whether the password was proved for this very question."""
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', given.removeprefix("Digest ")))
        first, second = _md5(f"{self.username}:camera:{self.password}"), _md5(f"{method}:{uri}")
        if fields.get("nc") in self._counts:
            return False
        self._counts.add(fields.get("nc"))
        middle = f"{fields.get('nc')}:{fields.get('cnonce')}:{fields.get('qop')}"
        return fields.get("response") == _md5(f"{first}:{self._nonce}:{middle}:{second}")
