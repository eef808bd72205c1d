"""Owns what lies below a unit as it is shown: the sentence, the matrix units by criteria, who lacks least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chassis import units
from chassis.i18n import fmt_number
from chassis.units import LEVELS, Unit
from services.indicators.answers.queries import Line, Near, Sheet, Standing, rows_for
from services.indicators.calculation.engine import Ratio
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.judging import judged_rows
from services.indicators.shapes.words import joined
from services.indicators.views.rules import judged
from services.indicators.views.wording import LEVEL_WORDS, Translate, address, many, short_figure


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the matrix; it opens its explanation.

    A status, or above the set's level how many of how many. Where the document names no level, what is known: the
    figure, or of how many units there is one (`told`).
    """

    item: str
    status: str
    text: str
    title: str
    href: str
    told: bool = False


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One unit of the matrix; `known` counts the rows of its own sheet of which something is known.

    `met` counts of `of`: the rows that name a level, or above the set's level all units; 0 where nothing is judged.
    """

    unit: Unit
    href: str
    met: int
    total: int
    cells: list[Cell]
    known: int | None = None
    of: int = 0


@dataclass(frozen=True, slots=True)
class NearView:
    """A unit that lacks little, in words; `above` is the unit it lies in, where the page is about a larger one."""

    unit: Unit
    above: str
    href: str
    met: int
    total: int
    words: str


def place(unit: Unit, criteria: c.CriteriaSet) -> str:
    """Where a reader sees how a unit stands with a set: its sheet, or the overview of what lies below it."""
    if LEVELS.index(unit.level) < LEVELS.index(criteria.level):
        return address("/indicators/", unit=unit.code, set=criteria.code)
    return address(f"/indicators/units/{unit.code}", set=criteria.code)


@dataclass(frozen=True, slots=True)
class SetChoice:
    """One set a reader can switch to at a unit; `result` is 7/9 or 12/178 with the word of what is counted."""

    code: str
    title: str
    number: str
    result: str
    met: int
    total: int
    href: str
    active: bool
    own: bool
    auxiliary: bool
    judged: bool


def set_choices(
    unit: Unit,
    catalogue: c.Catalogue,
    stands: dict[str, Standing],
    chosen: str,
    locale: str,
    _: Translate,
    page_of: str = "",
) -> list[SetChoice]:
    """The sets that say something of a unit: first its own, then what is counted below it, auxiliary ones last."""
    found = []
    for code, standing in stands.items():
        criteria = catalogue.sets[code]
        own = criteria.level == unit.level
        counted = _("chỉ tiêu") if own else many(criteria.level, locale, _)
        result = f"{fmt_number(standing.met, locale)}/{fmt_number(standing.total, locale)} {counted}"
        of, rows = standing.total, rows_for(criteria, unit, units.today())
        asks = any(judged(item.rule) for item in rows)
        if own:
            of = judged_rows(rows)
            if asks and of < len(rows):
                counted = _("chỉ tiêu có mức yêu cầu")
            result = f"{fmt_number(standing.met, locale)}/{fmt_number(of, locale)} {counted}"
        if own and not asks:
            result = _("theo dõi {n} chỉ tiêu").format(n=standing.total)
        elif not asks:
            result = _("theo dõi ở {n} {level}").format(n=fmt_number(standing.total, locale), level=counted)
        found.append(
            SetChoice(
                code=code,
                title=criteria.title.in_(locale),
                number=criteria.legal_basis.number,
                result=result if standing.total else _("chưa có {level} nào").format(level=counted),
                met=standing.met,
                total=of,
                href=address(f"/indicators/units/{unit.code}/{page_of}", set=code)
                if page_of
                else place(unit, criteria),
                active=code == chosen,
                own=own,
                auxiliary=criteria.auxiliary,
                judged=asks,
            )
        )
    return sorted(found, key=lambda one: (one.auxiliary, not one.own))


def asked_of(unit: Unit, criteria: c.CriteriaSet) -> int:
    """How many rows of a unit's own sheet name a level today; the others are only watched."""
    return judged_rows(rows_for(criteria, unit, units.today()))


class Overview:
    """What lies below a unit."""

    def __init__(self, sheet: Sheet, lines: Sequence[Line], near: Sequence[Near], locale: str, _: Translate) -> None:
        self.sheet = sheet
        self.unit = sheet.unit
        self.set = sheet.criteria
        self.set_title = sheet.criteria.title.in_(locale)
        self.level_word = _(LEVEL_WORDS[sheet.criteria.level])
        self.items = [row.item for row in sheet.rows]
        self.shorts = [item.short.in_(locale) for item in self.items]
        self.judged = any(judged(item.rule) for item in self.items)
        self.rows = [self._row(line, locale, _) for line in lines]
        self.asks = self.judged or any(row.of for row in self.rows)
        self.near = [self._near(one, locale, _) for one in near]
        self.sentence = self._sentence(_, locale)

    def _sentence(self, _: Translate, locale: str) -> str:
        names = {"unit": self.unit.name, "level": self.level_word, "set": self.set_title}
        if not self.sheet.total:
            return _("{unit} chưa có {level} nào được nhập.").format(**names)
        total = fmt_number(self.sheet.total, locale)
        if not self.judged:
            names["level"] = many(self.set.level, locale, _)
            return _("{unit} theo dõi {set} ở {total} {level}; văn bản không nêu mức đạt.").format(total=total, **names)
        met = fmt_number(self.sheet.met, locale)
        return _("{unit} có {met}/{total} {level} đạt {set}.").format(met=met, total=total, **names)

    def _row(self, line: Line, locale: str, _: Translate) -> MatrixRow:
        own, known, cells = line.unit.level == self.set.level, 0, []
        for item, short in zip(self.items, self.shorts, strict=True):
            status, figure = line.cells.get(item.code, ("no_data", None))
            known += status != "no_data"
            if own:
                text = short_figure(figure, locale, _) if status == "measured" else ""
            else:
                counted = figure if judged(item.rule) else line.told(item.code)
                text = f"{counted.numerator}/{counted.denominator}" if isinstance(counted, Ratio) else ""
            href = address(f"/indicators/units/{line.unit.code}/items/{item.code}", set=self.set.code)
            cells.append(Cell(item.code, status, text, short, href, told=not own and not judged(item.rule)))
        of = asked_of(line.unit, self.set) if own else line.total if self.judged else 0
        href = place(line.unit, self.set)
        return MatrixRow(line.unit, href, line.met, line.total, cells, known if own else None, of)

    def _near(self, one: Near, locale: str, _: Translate) -> NearView:
        parts = []
        # What can be counted stands before what nobody knows: it is what somebody can do.
        for item, number in sorted(one.missing, key=lambda pair: pair[1] is None):
            short = item.short.in_(locale)
            parts.append(_("{what} (thêm {n})").format(what=short, n=fmt_number(number, locale)) if number else short)
        unit = one.line.unit
        above = one.above if unit.parent != self.unit.code else ""
        return NearView(unit, above, place(unit, self.set), one.line.met, asked_of(unit, self.set), joined(parts, _, 3))
