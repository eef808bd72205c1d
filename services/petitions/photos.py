"""Owns what happens to a photo before it is kept: bounded, drawn anew (see `chassis.pictures`), in two sizes."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from chassis import pictures
from chassis.errors import DomainError, Kind

MAX_BYTES = 8 * 1024 * 1024
"""Largest photo accepted, in bytes."""
MAX_SIDE = 1600
"""Longest side of the kept picture, in pixels."""
THUMB_SIDE = 480
"""Longest side of the picture in lists and timelines, in pixels."""
MEDIA_TYPE = "image/jpeg"
FORMATS = ("JPEG", "PNG", "WEBP")


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


def redraw(data: bytes) -> CleanPhoto:
    """Decode and redraw `data`; raises PhotoTooLarge (413) or NotAPhoto (422). Takes tens of milliseconds of a core."""
    if len(data) > MAX_BYTES:
        raise PhotoTooLarge(field="photos")
    try:
        drawn = pictures.on_white(pictures.pixels(data, FORMATS, most_side=MAX_SIDE))
    except pictures.Unreadable as error:
        raise NotAPhoto(field="photos") from error
    small = drawn.copy()
    small.thumbnail((THUMB_SIDE, THUMB_SIDE), Image.Resampling.LANCZOS)
    return CleanPhoto(_jpeg(drawn, 82), _jpeg(small, 75), drawn.width, drawn.height)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    return pictures.encoded(picture, "JPEG", quality=quality, progressive=True)


async def clean(data: bytes) -> CleanPhoto:
    """`redraw` on a worker thread, so that the event loop goes on."""
    return await pictures.in_turn(redraw, data)
