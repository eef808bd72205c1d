"""Owns what happens to a photo before it is kept: recognised, bounded, redrawn without anything that came with it.

A picture from a phone says where and when it was taken and on whose device. It is therefore decoded and drawn anew:
only pixels pass, no EXIF, GPS, comment, colour profile or appended data.
"""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from chassis.errors import DomainError, Kind

MAX_BYTES = 8 * 1024 * 1024
"""Largest photo accepted, in bytes."""
MAX_PIXELS = 50_000_000
"""Most pixels that are decoded: 50 megapixels take about 150 MB of memory; more is a decompression bomb."""
MAX_SIDE = 1600
"""Longest side of the kept picture, in pixels."""
THUMB_SIDE = 480
"""Longest side of the picture in lists and timelines, in pixels."""
MEDIA_TYPE = "image/jpeg"


_UNREADABLE = (
    UnidentifiedImageError,
    # Pillow warns first and refuses later; where warnings are errors the warning arrives here.
    Image.DecompressionBombWarning,
    Image.DecompressionBombError,
    OSError,
    EOFError,
    # What the readers of the formats let through where a file lies about itself.
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    struct.error,
    zlib.error,
)


class PhotoTooLarge(DomainError):
    code = "photo_too_large"
    kind = Kind.TOO_LARGE
    message = "Mỗi ảnh không quá 8 MB. Xin chọn ảnh nhỏ hơn."


class NotAPhoto(DomainError):
    code = "not_a_photo"
    kind = Kind.INVALID
    message = "Tệp này không phải ảnh JPEG, PNG hoặc WebP đọc được."


@dataclass(frozen=True)
class CleanPhoto:
    """A redrawn photo: two JPEG pictures, the larger at most 1600 px, and its size in pixels."""

    image: bytes
    thumb: bytes
    width: int
    height: int


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True, progressive=True)
    return out.getvalue()


def _on_white(image: Image.Image) -> Image.Image:
    """A new RGB picture with nothing but the pixels; transparency becomes white."""
    rgba = image.convert("RGBA")
    drawn = Image.new("RGB", image.size, "white")
    drawn.paste(rgba, mask=rgba.getchannel("A"))
    return drawn


def _decode(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as opened:
        width, height = opened.size
        if width * height > MAX_PIXELS or width < 1 or height < 1:
            raise NotAPhoto(field="photos")
        # A JPEG is decoded at the smallest of its built-in scales that is still large enough.
        opened.draft("RGB", (MAX_SIDE, MAX_SIDE))
        opened.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        ImageOps.exif_transpose(opened, in_place=True)
        return _on_white(opened)


def redraw(data: bytes) -> CleanPhoto:
    """Decode and redraw `data`; raises PhotoTooLarge (413) or NotAPhoto (422). Takes tens of milliseconds of a core."""
    if len(data) > MAX_BYTES:
        raise PhotoTooLarge(field="photos")
    try:
        drawn = _decode(data)
    except _UNREADABLE as error:
        raise NotAPhoto(field="photos") from error
    small = drawn.copy()
    small.thumbnail((THUMB_SIDE, THUMB_SIDE), Image.Resampling.LANCZOS)
    return CleanPhoto(_jpeg(drawn, 82), _jpeg(small, 75), drawn.width, drawn.height)


_TURNS = asyncio.Semaphore(2)
"""Two photos are decoded at a time in one process, so that a burst of uploads cannot take all of its memory."""


async def clean(data: bytes) -> CleanPhoto:
    """`redraw` on a worker thread, so that the event loop goes on."""
    async with _TURNS:
        return await asyncio.to_thread(redraw, data)
