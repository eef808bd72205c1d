"""Owns the list of figures staff may enter for a unit: under the sets that ask for them, and under their goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from chassis.text import fold
from chassis.units import Unit
from services.indicators.criteria import catalogue as c
from services.indicators.views.grouping import RowGroup, grouped
from services.indicators.views.wording import Translate


@dataclass(frozen=True, slots=True)
class Choice:
    """A figure that may be entered, and the code of the row that asks for it; empty where no row of a set does."""

    measure: str
    title: str
    row: str


@dataclass(frozen=True, slots=True)
class ChoiceSet:
    """The figures one set asks for. `code` is empty for those that no set of the unit asks for."""

    code: str
    title: str
    number: str
    groups: Sequence[RowGroup[Choice]]

    @property
    def total(self) -> int:
        return sum(len(group.rows) for group in self.groups)


class EntryChoices:
    """What staff may enter for a unit on a day, set by set; a figure stands under every set that asks for it."""

    def __init__(self, catalogue: c.Catalogue, unit: Unit, day: date, locale: str, _: Translate) -> None:
        self._catalogue = catalogue
        self._locale = locale
        self._ = _
        self._open = {m.code: m for m in catalogue.measures.values() if "staff" in m.prefer and m.level == unit.level}
        self.sets = [found for one in self._asking(unit, day) if (found := self._set(one, unit, day)).groups]
        named = {choice.measure for one in self.sets for group in one.groups for choice in group.rows}
        rest = [Choice(m.code, m.title.in_(locale), "") for m in self._open.values() if m.code not in named]
        if rest:
            title = _("Số liệu khác") if self.sets else _("Tất cả số liệu")
            self.sets.append(ChoiceSet("", title, "", [RowGroup("", "", "", rest)]))

    def _asking(self, unit: Unit, day: date) -> list[c.CriteriaSet]:
        """The sets for units like this one: those that judge it for itself before what others only look at."""
        found = [one for one in self._catalogue.sets.values() if one.judges(unit) and one.holds_on(day)]
        return sorted(found, key=lambda one: (one.auxiliary, one.unofficial, -one.valid_from.toordinal(), one.code))

    def _set(self, criteria: c.CriteriaSet, unit: Unit, day: date) -> ChoiceSet:
        rows: list[tuple[c.Item, Choice]] = []
        seen: set[str] = set()
        for item in self._catalogue.items_for(criteria.code, unit, day):
            for code in item.measures:
                if code in self._open and code not in seen:
                    seen.add(code)
                    rows.append((item, Choice(code, self._open[code].title.in_(self._locale), item.code)))
        groups = grouped(criteria, rows, self._locale, self._)
        return ChoiceSet(criteria.code, criteria.title.in_(self._locale), criteria.legal_basis.number, groups)

    def filtered(self, set_code: str, words: str) -> list[ChoiceSet]:
        """Of one set, where it is among them, and where all words stand in the title, the goal or the row's code.

        Marks and capitals do not count.
        """
        wanted = fold(words).split()
        chosen = [one for one in self.sets if one.code == set_code] if set_code else []
        found = []
        for one in chosen or self.sets:
            groups = [
                RowGroup(group.code, group.theme, group.title, kept)
                for group in one.groups
                if (kept := [choice for choice in group.rows if self._fits(choice, group, wanted)])
            ]
            if groups:
                found.append(ChoiceSet(one.code, one.title, one.number, groups))
        return found

    @staticmethod
    def _fits(choice: Choice, group: RowGroup[Choice], wanted: Sequence[str]) -> bool:
        within = fold(f"{choice.title} {choice.row} {group.theme} {group.title}")
        return all(word in within for word in wanted)
