"""Owns the pictures of the story. They are drawn here, so that no photograph of a real place or person is needed."""

from __future__ import annotations

import io
import math
from enum import Enum
from random import Random

from PIL import Image, ImageDraw, ImageFilter

SIZE = (1200, 900)
Colour = tuple[int, int, int]
GPS_IFD = 0x8825
MAKE, MODEL, TAKEN = 0x010F, 0x0110, 0x0132


class Picture(Enum):
    """What a product photo shows."""

    RICE = "rice"
    MELON = "melon"


def petition_photo() -> bytes:
    """A JPEG of a puddle in a village road, with what a telephone writes into a picture: device, time and position."""
    image = _gradient((176, 208, 232), (226, 236, 240))
    draw = ImageDraw.Draw(image)
    random = Random(7)  # noqa: S311 - a drawing.
    width, height = SIZE
    horizon = height * 45 // 100
    draw.rectangle((0, horizon, width, height), fill=(118, 160, 84))
    for _ in range(900):
        x, y = random.randrange(width), random.randrange(horizon, height)
        draw.line((x, y, x + random.randrange(-4, 5), y - random.randrange(6, 18)), fill=(92, 136, 66), width=2)
    draw.polygon([(520, horizon), (680, horizon), (1130, height), (70, height)], fill=(168, 160, 150))
    for _ in range(1500):
        y = random.randrange(horizon + 10, height)
        reach = 80 + (y - horizon) * 0.9
        left = width / 2 + random.uniform(-reach, reach)
        shade = random.randrange(138, 186)
        draw.ellipse((left, y, left + 5, y + 3), fill=(shade, shade - 6, shade - 14))
    _blob(draw, (600, 690), (250, 78), (120, 108, 92), random)
    _blob(draw, (600, 694), (218, 60), (122, 146, 160), random)
    _blob(draw, (560, 684), (90, 16), (176, 200, 212), random)
    for x in (150, 1040):
        draw.rectangle((x, horizon - 210, x + 14, horizon + 30), fill=(112, 84, 58))
        _blob(draw, (x + 7, horizon - 230), (90, 78), (70, 118, 58), random)
    exif = Image.Exif()
    exif[MAKE], exif[MODEL], exif[TAKEN] = "Xa So", "Demo", "2026:01:15 07:30:00"
    exif.get_ifd(GPS_IFD).update({1: "N", 2: (20.0, 49.0, 0.0), 3: "E", 4: (106.0, 24.0, 0.0)})
    return _jpeg(image, exif)


def product_photo(picture: Picture) -> bytes:
    """A JPEG of the product on a table."""
    image = _gradient((246, 240, 226), (232, 216, 186))
    draw = ImageDraw.Draw(image)
    random = Random(11)  # noqa: S311 - a drawing.
    width, height = SIZE
    draw.rectangle((0, height * 68 // 100, width, height), fill=(166, 122, 78))
    for _ in range(40):
        y = random.randrange(height * 68 // 100, height)
        draw.line((0, y, width, y + random.randrange(-6, 7)), fill=(150, 108, 66), width=2)
    draw.ellipse((190, 600, 1010, 800), fill=(126, 90, 54))
    if picture is Picture.RICE:
        _rice(draw, random)
    else:
        _melons(draw, random)
    return _jpeg(image)


def _rice(draw: ImageDraw.ImageDraw, random: Random) -> None:
    """A bowl heaped with rice."""
    for _ in range(2600):
        angle, reach = random.uniform(0, math.pi), math.sqrt(random.random())
        x, y = 600 + 300 * reach * math.cos(angle), 520 - 190 * reach * math.sin(angle)
        shade = random.randrange(226, 254)
        draw.ellipse((x - 11, y - 5, x + 11, y + 5), fill=(shade, shade - 3, shade - 16), outline=(208, 200, 178))
    draw.pieslice((270, 270, 930, 770), 0, 180, fill=(58, 112, 116))
    draw.rectangle((270, 500, 930, 534), fill=(74, 132, 136))
    draw.rectangle((480, 752, 720, 784), fill=(48, 96, 100))


def _melons(draw: ImageDraw.ImageDraw, random: Random) -> None:
    """Three melons with their stripes."""
    yellow, edge = (222, 204, 96), (176, 156, 60)
    for x, y, size in ((430, 560, 190), (760, 560, 200), (600, 480, 185)):
        draw.ellipse((x - size, y - size * 0.82, x + size, y + size * 0.82), fill=yellow, outline=edge)
        for stripe in range(-3, 4):
            reach = abs(stripe) * size * 0.27 + 4
            side = 90 if stripe < 0 else 270
            box = (x - reach, y - size * 0.8, x + reach, y + size * 0.8)
            draw.arc(box, side, side + 180, fill=(244, 234, 168), width=9)
        draw.line((x, y - size * 0.8, x + random.randrange(-20, 21), y - size), fill=(96, 120, 58), width=12)


def _blob(
    draw: ImageDraw.ImageDraw, centre: tuple[int, int], reach: tuple[int, int], colour: Colour, random: Random
) -> None:
    """An uneven ellipse."""
    points = []
    for step in range(36):
        angle, much = step * math.tau / 36, random.uniform(0.9, 1.1)
        points.append((centre[0] + reach[0] * much * math.cos(angle), centre[1] + reach[1] * much * math.sin(angle)))
    draw.polygon(points, fill=colour)


def _gradient(top: Colour, bottom: Colour) -> Image.Image:
    mask = Image.linear_gradient("L").resize(SIZE)
    return Image.composite(Image.new("RGB", SIZE, bottom), Image.new("RGB", SIZE, top), mask)


def _jpeg(image: Image.Image, exif: Image.Exif | None = None) -> bytes:
    target = io.BytesIO()
    soft = image.filter(ImageFilter.GaussianBlur(1.2))
    soft.save(target, "JPEG", quality=86, **({"exif": exif} if exif else {}))
    return target.getvalue()
