"""Owns what rules look like at the edge: what is accepted, how a zone is written, and the words for it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, Field

from chassis.text import Line
from services.media.watching.commands import Words
from services.media.watching.model import MOST_POINTS, Kind, Point, Rule

Percent = Annotated[int, Field(ge=0, le=100)]
TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="HH:MM, Asia/Ho_Chi_Minh.")]

AREAS: dict[str, tuple[Point, ...]] = {
    "all": ((0, 0), (100, 0), (100, 100), (0, 100)),
    "left": ((0, 0), (50, 0), (50, 100), (0, 100)),
    "right": ((50, 0), (100, 0), (100, 100), (50, 100)),
    "top": ((0, 0), (100, 0), (100, 50), (0, 50)),
    "bottom": ((0, 50), (100, 50), (100, 100), (0, 100)),
    "middle": ((25, 25), (75, 25), (75, 75), (25, 75)),
}
"""Zones that need no drawing, by the name a form gives them."""
LINES: dict[str, tuple[Point, ...]] = {"upright": ((50, 0), (50, 100)), "level": ((0, 50), (100, 50))}
"""Lines likewise."""

_POINT = re.compile(r"(\d{1,3})\s*,\s*(\d{1,3})")


class WordsIn(BaseModel):
    """What a rule says. Zones and lines have name, points and hours, zones a share; the other kinds have checks."""

    name: Line(60, 0) = ""  # type: ignore[valid-type]  # Line makes a type at run time.
    checks: int = Field(default=3, ge=1, le=60, description="Looks in a row that must find it before it warns.")
    points: list[tuple[Percent, Percent]] = Field(
        default_factory=list,
        max_length=MOST_POINTS,
        description="Corners of the zone or ends of the line: percentages of the picture from the left and the top.",
    )
    share: int = Field(default=5, ge=1, le=100, description="Percentage of the zone that must move.")
    begins: TimeOfDay = Field(default="00:00", description="Warns from here on; the same as `ends` is all day.")
    ends: TimeOfDay = "00:00"

    def words(self) -> Words:
        points = tuple((x, y) for x, y in self.points)
        return Words(self.name, self.checks, points, self.share, minute_of(self.begins), minute_of(self.ends))


class RuleIn(WordsIn):
    """A new rule of a camera."""

    kind: Kind


def minute_of(clock: str) -> int:
    """Minutes of the day of HH:MM."""
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def clock_of(minute: int) -> str:
    """HH:MM of minutes of the day."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def points_of(text: str) -> tuple[Point, ...]:
    """The points written as `10,20 80,20 80,90`; none where they are written otherwise."""
    if _POINT.sub("", text).strip(" ;"):
        return ()
    return tuple((int(m[1]), int(m[2])) for m in _POINT.finditer(text))


def text_of(rule: Rule) -> str:
    """The points of a drawing as `points_of` reads them."""
    return " ".join(f"{x},{y}" for x, y in rule.drawing)


def area_of(rule: Rule) -> str:
    """The name of a zone or line that needs no drawing; `own` for every other."""
    known = (*AREAS.items(), *LINES.items())
    return next((name for name, points in known if points == rule.drawing), "own")
