"""Owns what a petition can be about and how long the commune has: categories, departments and the working calendar.

All of it is data in `data/*.toml`, read once. A deadline is computed when a petition is filed and then stored: nothing
here is asked again for it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from chassis.units import VIETNAM


@dataclass(frozen=True)
class Category:
    """A subject of petitions. `days` are working days until the answer is due; others never read a non-public one."""

    code: str
    title_vi: str
    title_en: str
    days: int
    public: bool

    def title(self, locale: str) -> str:
        return self.title_en if locale == "en" else self.title_vi


@dataclass(frozen=True)
class Department:
    """A body of the commune to which a petition is routed."""

    code: str
    title_vi: str
    title_en: str

    def title(self, locale: str) -> str:
        return self.title_en if locale == "en" else self.title_vi


@dataclass(frozen=True)
class WorkingCalendar:
    """The days on which a commune works. Years without a row know weekends only."""

    closing: time
    off: frozenset[date]
    working: frozenset[date]

    def is_working(self, day: date) -> bool:
        if day in self.off:
            return False
        return day.weekday() < 5 or day in self.working

    def next_working(self, day: date) -> date:
        """The first working day after `day`."""
        day += timedelta(days=1)
        while not self.is_working(day):
            day += timedelta(days=1)
        return day

    def due(self, filed_at: datetime, days: int) -> datetime:
        """The closing hour of the `days`-th working day after the day of receipt.

        What arrives on a day off or after the closing hour counts as received on the next working day.
        """
        local = filed_at.astimezone(VIETNAM)
        day = local.date()
        if not self.is_working(day) or local.time() >= self.closing:
            day = self.next_working(day)
        for _ in range(days):
            day = self.next_working(day)
        return datetime.combine(day, self.closing, tzinfo=VIETNAM)

    def days_left(self, now: datetime, due_at: datetime) -> int:
        """Working days from today to the due day: 0 on the due day, negative once it is past."""
        today, due = now.astimezone(VIETNAM).date(), due_at.astimezone(VIETNAM).date()
        first, last = min(today, due), max(today, due)
        count = 0
        day = first
        while day < last:
            day += timedelta(days=1)
            count += self.is_working(day)
        return count if due >= today else -count


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files("services.petitions").joinpath("data", name).read_text(encoding="utf-8"))


@cache
def calendar() -> WorkingCalendar:
    raw = _read("calendar.toml")
    years = raw["year"]
    return WorkingCalendar(
        closing=time(raw["closing_hour"]),
        off=frozenset(day for year in years for day in year["off"]),
        working=frozenset(day for year in years for day in year["working"]),
    )


@cache
def _sets() -> tuple[tuple[date, dict[str, Category]], ...]:
    raw = sorted(_read("categories.toml")["set"], key=lambda s: s["valid_from"])
    return tuple((s["valid_from"], {c["code"]: Category(**c) for c in s["category"]}) for s in raw)


def categories(on: date) -> dict[str, Category]:
    """The categories in force on a day, by code, in the order they are offered."""
    in_force = [by_code for valid_from, by_code in _sets() if valid_from <= on]
    return in_force[-1] if in_force else _sets()[0][1]


@cache
def known_categories() -> dict[str, Category]:
    """Every category there ever was, the newest wording winning: for showing old petitions."""
    return {code: category for _, by_code in _sets() for code, category in by_code.items()}


@cache
def departments() -> dict[str, Department]:
    return {d["code"]: Department(**d) for d in _read("departments.toml")["department"]}
