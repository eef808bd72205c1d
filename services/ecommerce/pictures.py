"""Owns the way of a photo, in and out: pixels only, upright, small; nothing of where and when it was taken."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from PIL import Image, ImageOps
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from chassis import pictures
from chassis.errors import DomainError, Kind, NotFound
from chassis.pages import FormResult
from services.ecommerce.settings import Settings

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


async def cleaned(sent: UploadFile, settings: Settings) -> Picture:
    """`clean` of a file that came in, on a worker thread, so that the event loop goes on."""
    raw = await sent.read()
    bounds = {"max_bytes": settings.photo_max_bytes, "max_side": settings.photo_max_side}
    return await pictures.in_turn(partial(clean, raw, **bounds))


async def chosen(form: FormResult[Any], settings: object) -> Picture | None:
    """The picture of a form's field `photo`, None where none was chosen; raises as `clean`."""
    files = form.files.get("photo")
    if not files or not isinstance(settings, Settings):
        return None
    return await cleaned(files[0], settings)


class Pictured(Protocol):
    """What has a picture: its digest, and whether everybody may see it."""

    @property
    def photo(self) -> str | None: ...

    @property
    def public(self) -> bool: ...


async def answer(
    request: Request, shown: Pictured, small: bool, v: str, stored: Callable[[], Awaitable[bytes | None]]
) -> Response:
    """The JPEG that `stored` reads, or 304 for who has it; `v` is the digest in the address. Raises NotFound."""
    if shown.photo is None:
        raise NotFound()
    tag = f'"{shown.photo[:32]}{"-s" if small else ""}"'
    # An address that names the picture's digest never shows another picture, so a browser may keep it for good.
    fixed = v == shown.photo[:16] and shown.public
    headers = {"etag": tag, "cache-control": "public, max-age=31536000, immutable" if fixed else "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    jpeg = await stored()
    if jpeg is None:
        raise NotFound()
    return Response(jpeg, media_type="image/jpeg", headers=headers)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    return pictures.encoded(picture, "JPEG", quality=quality, progressive=True)
