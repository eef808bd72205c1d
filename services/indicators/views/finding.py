"""Owns a unit in the answer to a search by name: where it lies, and for one that has ended its last day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from chassis.i18n import fmt_date
from chassis.units import Unit, today
from services.indicators.answers.queries import Place
from services.indicators.views.wording import address


@dataclass(frozen=True)
class FoundUnit:
    """One unit found; `places` holds what it lies in."""

    unit: Unit
    places: Mapping[str, Place]
    locale: str

    @property
    def name(self) -> str:
        return self.unit.name

    @property
    def code(self) -> str:
        return self.unit.code

    @property
    def place(self) -> str:
        """What it lies in, the smallest first; empty for a province."""
        found = self.places.get(self.unit.path)
        return ", ".join(found.names[1:]) if found is not None else ""

    @property
    def last(self) -> str:
        """The last day of a unit that has ended, in words; empty otherwise."""
        day = self._last_day
        return fmt_date(day, self.locale) if day is not None else ""

    @property
    def href(self) -> str:
        """Its sheet; of a unit that has ended that of its last day, since its code may name another one by now."""
        sheet, day = f"/indicators/units/{self.unit.code}", self._last_day
        return address(sheet, as_of=day.isoformat()) if day is not None else sheet

    @property
    def _last_day(self) -> date | None:
        end = self.unit.valid_to
        return end - timedelta(days=1) if end is not None and end <= today() else None
