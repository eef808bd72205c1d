"""Owns what becomes of a photo somebody sends: pixels only, upright, small; nothing of where and when it was taken."""

from __future__ import annotations

import asyncio
import hashlib
import io
import struct
import zlib
from dataclasses import dataclass

from PIL import Image, ImageOps

from chassis.errors import DomainError, Kind

FORMATS = ("JPEG", "PNG", "WEBP")
THUMB_SIDE = 240
"""Pixels of the square in lists: 96 CSS pixels on a phone of 2.5 device pixels each, about 10 KB."""
MAX_PIXELS = 50_000_000
"""A phone's 50-megapixel camera passes; a small file that unpacks to gigabytes does not."""

_BROKEN = (SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error, zlib.error)
"""What Pillow lets through from the readers of its formats where a file lies about itself, beside OSError."""

_TURNS = asyncio.Semaphore(2)
"""Two photos are decoded at a time in one process: each may take hundreds of megabytes."""


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
        with Image.open(io.BytesIO(raw), formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise PhotoTooLarge(field="photo", megabytes=megabytes)
            # A JPEG is decoded at a fraction of its size where that is enough, which keeps memory small.
            opened.draft("RGB", (max_side, max_side))
            opened.load()
            return _written(opened, max_side)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoTooLarge(field="photo", megabytes=megabytes) from error
    except (OSError, *_BROKEN) as error:
        raise PhotoUnreadable(field="photo") from error


async def cleaned(raw: bytes, *, max_bytes: int, max_side: int) -> Picture:
    """`clean` on a worker thread, so that the event loop goes on."""
    async with _TURNS:
        return await asyncio.to_thread(clean, raw, max_bytes=max_bytes, max_side=max_side)


def _written(opened: Image.Image, max_side: int) -> Picture:
    upright = ImageOps.exif_transpose(opened)
    if upright.mode in {"RGBA", "LA", "P", "PA"}:
        flat = upright.convert("RGBA")
        ground = Image.new("RGB", flat.size, "white")
        ground.paste(flat, mask=flat.getchannel("A"))
        upright = ground
    elif upright.mode != "RGB":
        upright = upright.convert("RGB")
    upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    # The pixels are copied into a new image, so that no chunk of the sent file can travel along.
    bare = Image.new("RGB", upright.size)
    bare.paste(upright)
    jpeg = _jpeg(bare, 82)
    square = ImageOps.fit(bare, (THUMB_SIDE, THUMB_SIDE), Image.Resampling.LANCZOS)
    return Picture(jpeg, _jpeg(square, 72), bare.width, bare.height, hashlib.sha256(jpeg).hexdigest())


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True, progressive=True)
    return out.getvalue()
