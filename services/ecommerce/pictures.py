"""Owns what becomes of a photo somebody sends: pixels only, upright, small; nothing of where and when it was taken."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial

from PIL import Image, ImageOps

from chassis import pictures
from chassis.errors import DomainError, Kind

FORMATS = ("JPEG", "PNG", "WEBP")
THUMB_SIDE = 240
"""Pixels of the square in lists: 96 CSS pixels on a phone of 2.5 device pixels each, about 10 KB."""


class PhotoUnreadable(DomainError):
    code = "photo_unreadable"
    kind = Kind.UNSUPPORTED
    message = "Tệp này không phải ảnh JPEG, PNG hoặc WebP đọc được."


class PhotoTooLarge(DomainError):
    code = "photo_too_large"
    kind = Kind.TOO_LARGE
    message = "Ảnh quá lớn (nhiều nhất {megabytes} MB và 50 triệu điểm ảnh)."


@dataclass(frozen=True)
class Picture:
    """A JPEG without metadata, its size in pixels, its SHA-256, and a square of it for lists."""

    jpeg: bytes
    thumb: bytes
    width: int
    height: int
    digest: str


def clean(raw: bytes, *, max_bytes: int, max_side: int) -> Picture:
    """Read, turn upright and write anew; raises PhotoUnreadable, PhotoTooLarge. Slow: call it in a thread."""
    megabytes = max_bytes // (1024 * 1024)
    if len(raw) > max_bytes:
        raise PhotoTooLarge(field="photo", megabytes=megabytes)
    try:
        drawn = pictures.on_white(pictures.pixels(raw, FORMATS, most_side=max_side))
    except pictures.TooManyPixels as error:
        raise PhotoTooLarge(field="photo", megabytes=megabytes) from error
    except pictures.Unreadable as error:
        raise PhotoUnreadable(field="photo") from error
    jpeg = _jpeg(drawn, 82)
    square = ImageOps.fit(drawn, (THUMB_SIDE, THUMB_SIDE), Image.Resampling.LANCZOS)
    return Picture(jpeg, _jpeg(square, 72), drawn.width, drawn.height, hashlib.sha256(jpeg).hexdigest())


async def cleaned(raw: bytes, *, max_bytes: int, max_side: int) -> Picture:
    """`clean` on a worker thread, so that the event loop goes on."""
    return await pictures.in_turn(partial(clean, raw, max_bytes=max_bytes, max_side=max_side))


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    return pictures.encoded(picture, "JPEG", quality=quality, progressive=True)
