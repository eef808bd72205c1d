"""Pictures of strangers: only pixels pass, upright and within bounds; what is no picture is refused as that."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import pytest
from PIL import Image, PngImagePlugin

from chassis import pictures

FORMATS = ("JPEG", "PNG", "WEBP")


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def phone() -> bytes:
    """A JPEG lying on its side, with a place, a maker and something behind its end."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Điện thoại"
    exif.get_ifd(0x8825)[1] = "N"
    return saved(Image.new("RGB", (40, 20), "red"), "JPEG", exif=exif, comment=b"nha ong A") + b"bi mat"


def test_nothing_but_pixels_passes_and_the_picture_stands_upright() -> None:
    drawn = pictures.pixels(phone(), FORMATS)
    assert (drawn.mode, drawn.size, drawn.info, dict(drawn.getexif())) == ("RGB", (20, 40), {}, {})
    again = pictures.encoded(drawn, "JPEG", quality=90)
    assert all(word not in again for word in (b"nha ong A", b"bi mat", b"Exif", "Điện".encode()))


def test_texts_of_a_png_stay_behind_and_what_is_transparent_stays_so() -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("Author", "Nguyễn Văn A")
    data = saved(Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "PNG", pnginfo=told)
    drawn = pictures.pixels(data, FORMATS)
    assert (drawn.mode, drawn.getpixel((0, 0))) == ("RGBA", (255, 0, 0, 0))
    assert b"Author" not in pictures.encoded(drawn, "PNG")
    assert pictures.on_white(drawn).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "CMYK", "1"])
def test_every_kind_of_colour_is_drawn(mode: str) -> None:
    form = "JPEG" if mode == "CMYK" else "PNG"
    assert pictures.on_white(pictures.pixels(saved(Image.new(mode, (3, 5)), form), FORMATS)).mode == "RGB"


@pytest.mark.parametrize("form", FORMATS)
def test_a_large_picture_is_made_smaller_and_a_small_one_is_left(form: str) -> None:
    data = saved(Image.new("RGB", (400, 100), "blue"), form)
    assert pictures.pixels(data, FORMATS, most_side=200).size == (200, 50)
    assert pictures.pixels(data, FORMATS, most_side=500).size == (400, 100)


@pytest.mark.parametrize("cut", [0, 3, 20, 200])
@pytest.mark.parametrize("form", FORMATS)
def test_a_broken_picture_is_unreadable(form: str, cut: int) -> None:
    data = saved(Image.effect_noise((64, 64), 90).convert("RGB"), form)
    with pytest.raises(pictures.Unreadable):
        pictures.pixels(data[:cut], FORMATS)


def test_another_format_is_unreadable_whatever_it_is() -> None:
    with pytest.raises(pictures.Unreadable):
        pictures.pixels(saved(Image.new("RGB", (2, 2)), "GIF"), FORMATS)
    with pytest.raises(pictures.Unreadable):
        pictures.pixels(saved(Image.new("RGB", (2, 2)), "PNG"), ("JPEG",))


def bomb(side: int) -> bytes:
    """A few bytes that say they are a picture of `side` times `side` pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_000, 12_000, 60_000])
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_a_bomb_is_not_decoded(side: int, action: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]  # both are actions.
        with pytest.raises(pictures.TooManyPixels):
            pictures.pixels(bomb(side), FORMATS)


async def test_work_is_done_in_turn() -> None:
    assert await pictures.in_turn(pictures.encoded, Image.new("RGB", (1, 1)), "PNG")
    with pytest.raises(pictures.Unreadable):
        await pictures.in_turn(pictures.pixels, b"x", FORMATS)
