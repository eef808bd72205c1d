"""Owns what is seen in a recording: frames decoded by FFmpeg, made small, judged by the rules, and thrown away.

The one module that loads FFmpeg and numpy; it is loaded by whoever first has a camera to look at. It runs in threads:
both leave the interpreter to others while they work.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext

from services.media.watching.capture import Recording
from services.media.watching.model import Kind, Point
from services.media.watching.packets import CLOCK, Unit, units

WIDTH, HEIGHT = 160, 90
"""Size at which pictures are judged, whatever they were: small enough to be quick, a person is still several pixels."""
SNAPSHOT_WIDTH = 640
MOST_PIXELS = 4096 * 2304
MOST_SHOTS = 45
MOST_DECODED = 2_000_000_000
"""Pixels decoded in one look: more than 8 s of 25 frames at 3840 × 2160. Of the largest picture "as before" takes 27
bytes to say and a 150th of a second to decode: a stream of nothing else would hold a thread for half an hour.
"""
LEAST_DECODED = 57_600
"""What is counted for the smallest picture: each has a price of its own."""
SPACING_SECONDS = 0.2
"""At most this often a frame of a recording is judged: who moves has moved by then."""

UNIFORM = 7.0
"""Standard deviation of brightness (of 255) below which there is nothing to be seen in a picture."""
CHANGED = 24
"""By how much (of 255) the brightness of a place must change, beyond that of the whole picture, to count as motion."""
BAND = 14
"""How far from a line (in judged pixels) motion is followed to see whether it crosses."""
CROSSER = 8
"""How many pixels near a line must change to be something that moves there."""

DECODERS = {"H264": "h264", "H265": "hevc"}

av.logging.set_level(av.logging.PANIC)
# What is wrong with a camera's stream is told by what becomes of it, not by lines on the error output.

Grey = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Question:
    """A rule as it stands when a camera is looked at. `share` is a percentage of the zone."""

    rule: uuid.UUID
    kind: Kind
    drawing: tuple[Point, ...] = ()
    share: int = 0
    awake: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a look: whether a picture was decoded, its fingerprint, and the answers; a rule that could not be
    judged has none. `snapshots` are JPEG pictures for those rules that found something.
    """

    decoded: bool
    fingerprint: bytes | None = None
    found: dict[uuid.UUID, bool] = field(default_factory=dict)
    snapshots: dict[uuid.UUID, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Shot:
    grey: Grey
    picture: Any


def nothing(questions: Sequence[Question]) -> Seen:
    """What is known where there was no picture."""
    return Seen(False, found={q.rule: True for q in questions if q.kind is Kind.NO_PICTURE})


def examine(recording: Recording, questions: Sequence[Question], before: bytes | None) -> Seen:
    """Decode a recording and answer the questions; `before` is the fingerprint of the look before this one."""
    shots = list(_shots(recording))
    if not shots:
        return nothing(questions)
    fingerprint = hashlib.sha256(shots[0].grey.tobytes()).digest()
    seen = Seen(True, fingerprint)
    for question in questions:
        at: int | None = 0
        match question.kind:
            case Kind.NO_PICTURE:
                at = None
            case Kind.FROZEN if before is None:
                continue
            case Kind.ZONE | Kind.LINE if question.awake and len(shots) < 2:
                # One picture cannot show that nothing moves.
                continue
            case Kind.FROZEN:
                at = 0 if fingerprint == before else None
            case Kind.COVERED:
                at = 0 if all(float(s.grey.std()) < UNIFORM for s in shots) else None
            case Kind.ZONE:
                at = _motion([s.grey for s in shots], question) if question.awake else None
            case Kind.LINE:
                at = _crossing([s.grey for s in shots], question.drawing) if question.awake else None
        seen.found[question.rule] = at is not None
        if at is not None:
            seen.snapshots[question.rule] = _jpeg(shots[at].picture)
    return seen


def _motion(frames: Sequence[Grey], question: Question) -> int | None:
    """The number of the frame with the most motion in the zone, None where there is not enough of it."""
    inside = mask(question.drawing)
    most, at = 0.0, None
    for number, moved in _moves(frames):
        share = 100 * float(moved[inside].mean())
        if share >= question.share and share > most:
            most, at = share, number
    return at


def _crossing(frames: Sequence[Grey], line: Sequence[Point]) -> int | None:
    """The number of the frame in which something has come from one side of a line to the other, None where nothing has.

    What moves near the line is followed by the middle of what changes there; who stays on one side never counts.
    """
    (x1, y1), (x2, y2) = ((x * WIDTH / 100, y * HEIGHT / 100) for x, y in line)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    length = float(np.hypot(x2 - x1, y2 - y1))
    along = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length**2
    side = ((x - x1) * (y2 - y1) - (y - y1) * (x2 - x1)) / length
    near = (along >= 0) & (along <= 1) & (np.abs(side) <= BAND)
    before = 0.0
    for number, moved in _moves(frames):
        changed = moved & near
        if int(changed.sum()) < CROSSER:
            continue
        middle = float(side[changed].mean())
        if abs(middle) < 2:
            continue
        if before * middle < 0:
            return number
        before = middle
    return None


def _moves(frames: Sequence[Grey]) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """Each frame's number and the places that are not as they were in the frame before."""
    for number in range(1, len(frames)):
        difference = frames[number] - frames[number - 1]
        # A cloud, or a lamp that is switched on, changes all of the picture; something that moves a part of it.
        yield number, np.abs(difference - np.int16(np.median(difference))) > CHANGED


def mask(zone: Sequence[Point]) -> npt.NDArray[np.bool_]:
    """Which places of a picture lie within a polygon (even-odd rule); points are percentages from the top left."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    x, y = (x + 0.5) * 100 / WIDTH, (y + 0.5) * 100 / HEIGHT
    inside = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for (x1, y1), (x2, y2) in zip(zone, [*zone[1:], zone[0]], strict=True):
        if y1 != y2:
            crossing = (y1 > y) != (y2 > y)
            inside ^= crossing & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside


def _shots(recording: Recording) -> Iterator[_Shot]:
    """The frames of a recording that are judged; a stream that is no stream has none."""
    last, number = -SPACING_SECONDS, 0
    for at, frame in _frames(recording):
        if frame.is_corrupt or at - last < SPACING_SECONDS:
            continue
        last, number = at, number + 1
        yield _shot(frame)
        if number >= MOST_SHOTS:
            return


def _frames(recording: Recording) -> Iterator[tuple[float, Any]]:
    """The frames of a recording with their seconds since its beginning; what does not decode is passed over."""
    decoder = cast(VideoCodecContext, av.CodecContext.create(DECODERS[recording.encoding], "r"))
    decoder.options = {"max_pixels": str(MOST_PIXELS)}
    decoder.thread_count = 1
    coming: Iterator[Unit | None] = units(recording.encoding, recording.parameters, recording.packets)
    decoded = 0
    for unit in chain(coming, [None]):
        decoded += max(LEAST_DECODED, decoder.width * decoder.height)
        if decoded > MOST_DECODED:
            return
        packet = None
        if unit is not None:
            packet = av.Packet(unit.data)
            packet.pts = unit.at
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError:
            continue
        for frame in frames:
            yield (frame.pts or 0) / CLOCK, frame


def _shot(frame: Any) -> _Shot:
    grey = frame.reformat(width=WIDTH, height=HEIGHT, format="gray").to_ndarray().astype(np.int16)
    width = min(SNAPSHOT_WIDTH, frame.width) // 2 * 2
    height = max(2, frame.height * width // frame.width // 2 * 2)
    return _Shot(grey, frame.reformat(width=width, height=height, format="yuvj420p"))


def _jpeg(picture: Any) -> bytes:
    """A picture as JPEG, with nothing beside it: no time, no place, no name of a device."""
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"qscale": "6"}
    picture.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))
