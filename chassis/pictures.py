"""Owns pictures that strangers send: decoded within bounds and drawn anew, so that only pixels pass.

A picture from a phone says where and when it was taken and on whose device: EXIF, GPS, comments, colour profile and
appended data all stay behind. Only services that take pictures import this, and bring Pillow.
"""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from PIL import Image, ImageOps, UnidentifiedImageError

T = TypeVar("T")

MAX_PIXELS = 50_000_000
"""Most pixels that are decoded: 50 megapixels take about 150 MB of memory; more is a decompression bomb."""

# Pillow warns first and refuses later; where warnings are errors the warning arrives here.
_BOMB = (Image.DecompressionBombWarning, Image.DecompressionBombError)
_UNREADABLE = (
    UnidentifiedImageError,
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
_TURNS = asyncio.Semaphore(2)
"""Two pictures are decoded at a time in one process, so that a burst of uploads cannot take all of its memory."""


class Unreadable(Exception):
    """The bytes are no picture of the formats allowed."""


class TooManyPixels(Unreadable):
    """The picture is too large to be decoded."""


def pixels(data: bytes, formats: Sequence[str], *, most_side: int | None = None) -> Image.Image:
    """A new upright picture with nothing but the pixels of `data`: RGBA where something is transparent, else RGB.

    `formats` are Pillow's names; with `most_side` the picture is made smaller until no side is longer. Raises
    Unreadable, or its TooManyPixels. Takes up to a second of a core.
    """
    try:
        with Image.open(io.BytesIO(data), formats=tuple(formats)) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise TooManyPixels
            if most_side is not None:
                # A JPEG is decoded at the smallest of its built-in scales that is still large enough.
                opened.draft("RGB", (most_side, most_side))
                opened.thumbnail((most_side, most_side), Image.Resampling.LANCZOS)
            ImageOps.exif_transpose(opened, in_place=True)
            mode = "RGBA" if opened.has_transparency_data else "RGB"
            drawn = Image.new(mode, opened.size)
            drawn.paste(opened.convert(mode))
            return drawn
    except _BOMB as error:
        raise TooManyPixels from error
    except _UNREADABLE as error:
        raise Unreadable from error


def on_white(picture: Image.Image) -> Image.Image:
    """The picture without transparency."""
    if picture.mode != "RGBA":
        return picture
    drawn = Image.new("RGB", picture.size, "white")
    drawn.paste(picture, mask=picture.getchannel("A"))
    return drawn


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    """The bytes of a picture in one of Pillow's formats."""
    out = io.BytesIO()
    picture.save(out, form, optimize=True, **options)
    return out.getvalue()


async def in_turn(work: Callable[..., T], *given: Any) -> T:
    """Work on a picture on another thread, so that the event loop goes on, and not on many at once."""
    async with _TURNS:
        return await asyncio.to_thread(work, *given)
