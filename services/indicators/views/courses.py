"""Owns the course of a row over time: the lines of its table, and the figures its chart is drawn from."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction

from chassis.i18n import fmt_date, fmt_number
from chassis.units import VIETNAM
from services.indicators.answers.history import Course, Turn
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Ratio
from services.indicators.shapes.words import cause_words
from services.indicators.views.tables import spelled
from services.indicators.views.wording import STATUS_WORDS, Translate, figure_words

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 36
"""Room around the plot for its labels, in units of the drawing."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A label on an axis, at `at` units of the drawing."""

    at: float
    text: str


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=VIETNAM)


class Chart:
    """A step line of the figure with the target as a second one: a figure holds until it changes.

    `line` and `target` are path data; `words` says what the drawing shows.
    """

    def __init__(self, course: Course, today: date, locale: str, _: Translate) -> None:
        self.width, self.height = WIDTH, HEIGHT
        self.left, self.right, self.top, self.bottom = LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM
        drawn = [(point.at, point.number) for point in course.points]
        known = [number for _at, number in drawn if number is not None]
        self.empty = not known
        if self.empty:
            return
        asked = [one.number for one in course.asked if one.number is not None]
        self._high = Fraction(1) if course.shares else max([*known, *asked, Fraction(1)])
        if course.shares:
            self._high = max([self._high, *known])
        self._first = drawn[0][0].astimezone(VIETNAM)
        last = _start_of(today) + timedelta(days=1)
        self._span = max((last - self._first).total_seconds(), 1.0)
        self.line = self._steps([(at, number) for at, number in drawn])
        turning = [
            (datetime(one.since.year, one.since.month, one.since.day, tzinfo=VIETNAM), one.number)
            for one in course.asked
        ]
        self.target = self._steps(turning)
        number = drawn[-1][1]
        self.end = (float(self.right), self._y(number)) if number is not None else None
        heights = [self._high * part / 2 for part in range(3)]
        self.ups = [Mark(self._y(height), self._label(height, course.shares, locale)) for height in heights]
        self.days = [Mark(float(self.left), fmt_date(self._first)), Mark(float(self.right), fmt_date(today))]
        first, final = (self._label(number, course.shares, locale) for number in (known[0], known[-1]))
        self.words = _("Từ {start} đến {end}: từ {first} đến {last}").format(
            start=fmt_date(self._first), end=fmt_date(today), first=first, last=final
        )

    def _label(self, number: Fraction, shares: bool, locale: str) -> str:
        if not shares:
            return fmt_number(float(number) if number.denominator > 1 else int(number), locale)
        # Cut off and not rounded: 79,96% must not look like 80%.
        return f"{fmt_number(int(number * 1000) / 10, locale)}%"

    def _x(self, at: datetime) -> float:
        share = (at - self._first).total_seconds() / self._span
        return round(self.left + (self.right - self.left) * min(max(share, 0.0), 1.0), 1)

    def _y(self, number: Fraction) -> float:
        return round(self.bottom - (self.bottom - self.top) * float(min(number / self._high, Fraction(1))), 1)

    def _steps(self, points: Sequence[tuple[datetime, Fraction | None]]) -> str:
        path, before = "", None
        for at, number in points:
            x = self._x(at)
            if before is not None:
                path += f"H{x}"
            if number is not None:
                y = self._y(number)
                path += f"V{y}" if before is not None else f"M{x} {y}"
            before = number
        return path + f"H{self.right}" if before is not None else path


@dataclass(frozen=True, slots=True)
class TurnView:
    """One change in words."""

    at: datetime
    before: str
    after: str
    text: str
    why: str
    same_status: bool


class CourseView:
    """The history of a row in words."""

    def __init__(
        self, item: c.Item, turns: Sequence[Turn], course: Course, today: date, catalogue: c.Catalogue,
        locale: str, _: Translate,
    ) -> None:  # fmt: skip
        self.item = item
        self.title = item.title.in_(locale)
        measure = catalogue.measures[item.measures[0]] if len(item.measures) == 1 else None
        self.turns = [turn_view(turn, measure, locale, _) for turn in turns]
        self.chart = Chart(course, today, locale, _)
        self.course = course
        self.overlays = {one.overlay for one in course.asked if one.overlay}


def turn_view(turn: Turn, measure: c.Measure | None, locale: str, _: Translate) -> TurnView:
    shown = measure if isinstance(turn.figure, Ratio) or not isinstance(turn.figure, bool) else None
    text = figure_words(turn.figure, shown, locale, _)
    why = cause_words(turn.cause, locale) if turn.cause else ""
    return TurnView(turn.at, turn.before, turn.after, text, why, turn.before == turn.after)


def history_csv(unit: str, set_code: str, item_code: str, turns: Sequence[Turn], locale: str, _: Translate) -> str:
    """One line per change, newest first."""
    out = io.StringIO()
    writer = csv.writer(out)
    names = ("Mã đơn vị", "Bộ", "Mã", "Lúc", "Trước", "Sau", "Tử số", "Mẫu số", "Vì")
    writer.writerow([_(name) for name in names])
    for turn in turns:
        numerator, denominator = "", ""
        if isinstance(turn.figure, Ratio):
            numerator, denominator = str(turn.figure.numerator), str(turn.figure.denominator)
        elif turn.figure is not None:
            numerator = str(int(turn.figure))
        statuses = [_(STATUS_WORDS[turn.before]), _(STATUS_WORDS[turn.after])]
        at = turn.at.astimezone(VIETNAM).isoformat(timespec="seconds")
        why = spelled(cause_words(turn.cause, locale)) if turn.cause else ""
        writer.writerow([unit, set_code, spelled(item_code), at, *statuses, numerator, denominator, why])
    return out.getvalue()
