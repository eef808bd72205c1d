"""Owns the sound of a test bulletin: a made tone, no recording, and the signed address devices fetch it from."""

from __future__ import annotations

import hashlib
import hmac
import io
import math
import struct
import uuid
import wave
from functools import lru_cache

_RATE = 8_000
_LOUDNESS = 12_000
_NOTES = (659.25, 523.25, 783.99, 523.25)


@lru_cache(maxsize=8)
def test_tone(seconds: int) -> bytes:
    """A WAV file (8 kHz, 16 bit, mono) of a chime that rises and falls; the same bytes each time."""
    frames = bytearray()
    for i in range(seconds * _RATE):
        place = i / _RATE
        note = _NOTES[int(place * 2) % len(_NOTES)]
        # Each half second swells and fades, so that no click is heard between the notes.
        swell = math.sin(math.pi * ((place * 2) % 1))
        frames += struct.pack("<h", int(_LOUDNESS * swell * math.sin(2 * math.pi * note * place)))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_RATE)
        out.writeframes(bytes(frames))
    return file.getvalue()


def digest(seconds: int) -> str:
    """SHA-256 of the tone, in hex."""
    return hashlib.sha256(test_tone(seconds)).hexdigest()


def ticket(secret: str, delivery: uuid.UUID) -> str:
    """What a device shows to fetch the sound of its delivery; worthless for another one."""
    return hmac.new(secret.encode(), b"sound:" + delivery.bytes, hashlib.sha256).hexdigest()[:40]


def ticket_fits(secret: str, delivery: uuid.UUID, given: str) -> bool:
    """Whether `given` is the ticket of `delivery`."""
    return hmac.compare_digest(ticket(secret, delivery).encode(), given.encode("utf-8", "replace"))
