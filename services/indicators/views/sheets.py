"""Owns what the sheet of a unit shows: the sentence, one row per criterion, its trend, and the last changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from chassis.i18n import fmt_date, fmt_number, fmt_percent
from services.indicators.answers.queries import Row, Sheet, more
from services.indicators.calculation.engine import Ratio
from services.indicators.calculation.model import Change
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.judging import judged_rows
from services.indicators.shapes.words import cause_words, joined, lacks, unknown
from services.indicators.views.grouping import grouped
from services.indicators.views.rules import compared, judged, target_words
from services.indicators.views.wording import LEVEL_WORDS, STATUS_WORDS, Translate, figure_words, many

NUMBERED = (c.RatioRule, c.CountRule, c.FlagRule)
"""Rules that rest on one measure."""


@dataclass(frozen=True, slots=True)
class RowView:
    """One row of the sheet as it is drawn. `percent` and `target` are 0 to 100, None without a ratio.

    `asked` says in words what the rule asks for; empty where the document names no level. `local` says what an overlay
    made of it, `halted` by which order it is not judged.
    """

    row: Row
    title: str
    percent: float | None
    target: float | None
    text: str
    asked: str
    note: str
    because: str
    trend: list[float | None]
    trend_words: str
    local: str = ""
    halted: str = ""


class SheetView:
    """The sheet of a unit. `documents` are what reported figures name, by cause.

    Of a unit above the set's level (only of another day: today has the overview) rows say how many units meet them.
    """

    def __init__(
        self,
        sheet: Sheet,
        catalogue: c.Catalogue,
        locale: str,
        _: Translate,
        *,
        missing_only: bool = False,
        trends: Mapping[str, list[float | None]] | None = None,
        traits: Mapping[str, str] | None = None,
        orders: Mapping[str, str] | None = None,
        documents: Mapping[str, str] | None = None,
    ) -> None:
        self._documents = documents or {}
        self._trends = trends or {}
        self._traits = traits or {}
        self._orders = orders or {}
        self.sheet = sheet
        self.unit = sheet.unit
        self.set_title = sheet.criteria.title.in_(locale)
        self.missing_only = missing_only
        self.judged = any(judged(row.item.rule) for row in sheet.rows)
        self.known = sum(row.status != "no_data" for row in sheet.rows)
        self.of = judged_rows(row.item for row in sheet.rows)
        """Of how many rows some can be met: the others are only watched."""
        lacking = [row for row in sheet.rows if self._lacks(row)]
        self.missing_count = len(lacking)
        shown = lacking if missing_only else sheet.rows
        self.rows = [self._row(row, catalogue, locale, _) for row in shown]
        self.groups = grouped(sheet.criteria, ((one.row.item, one) for one in self.rows), locale, _)
        self.sentence, self.rest = self._sentence(catalogue, locale, _)

    def _sentence(self, catalogue: c.Catalogue, locale: str, _: Translate) -> tuple[str, str]:
        sheet = self.sheet
        if sheet.rolled_up:
            return self._counted_sentence(locale, _), ""
        if not self.judged:
            names = {"unit": sheet.unit.name, "known": self.known, "total": len(sheet.rows)}
            words = _("{unit} có số liệu cho {known}/{total} chỉ tiêu theo dõi.").format(**names)
            return words, _("Văn bản không nêu mức nên không chấm đạt hay chưa đạt.")
        sentence = met_words(sheet.unit.name, sheet.met, self.of, len(sheet.rows) - self.of, _)
        lacking = lacks(sheet, lambda item: counted_words(item, catalogue, locale, _), locale, _)
        silent = unknown(replace(sheet, rows=tuple(row for row in sheet.rows if self._lacks(row))), locale, _)
        rest = []
        if sheet.status == "met":
            rest.append(_("Đủ điều kiện đề nghị công nhận {set}.").format(set=self.set_title))
        if lacking:
            rest.append(_("Còn thiếu: {what}.").format(what=joined(lacking, _)))
        if silent:
            rest.append(_("Chưa có số liệu: {what}.").format(what=silent))
        for status, words in (("not_applicable", _("Không áp dụng: {n}.")), ("suspended", _("Tạm hoãn: {n}."))):
            count = sum(row.status == status for row in sheet.rows)
            if count:
                rest.append(words.format(n=count))
        return sentence, " ".join(rest)

    def _lacks(self, row: Row) -> bool:
        """Whether something of a row is missing; where rows are judged, of one that is only watched nothing is."""
        return row.status in ("unmet", "no_data") and (judged(row.item.rule) or not self.judged)

    def _counted_sentence(self, locale: str, _: Translate) -> str:
        sheet, level = self.sheet, self.sheet.criteria.level
        names = {"unit": sheet.unit.name, "level": _(LEVEL_WORDS[level]), "set": self.set_title}
        if not sheet.total:
            return _("{unit} chưa có {level} nào được nhập.").format(**names)
        total = fmt_number(sheet.total, locale)
        if not self.judged:
            names["level"] = many(level, locale, _)
            return _("{unit} theo dõi {set} ở {total} {level}; văn bản không nêu mức đạt.").format(total=total, **names)
        met = fmt_number(sheet.met, locale)
        return _("{unit} có {met}/{total} {level} đạt {set}.").format(met=met, total=total, **names)

    def _counted_row(self, row: Row, locale: str, _: Translate) -> RowView:
        """How many units below meet a row; what a document asks is asked of them, not of this unit."""
        ratio = row.figure if isinstance(row.figure, Ratio) and row.figure.denominator else None
        level, counted = many(self.sheet.criteria.level, locale, _), ""
        if ratio:
            met, total = (fmt_number(number, locale) for number in ratio)
            counted = f"{fmt_percent(*ratio, locale)} ({met}/{total} {level})"
        percent = 100 * ratio.numerator / ratio.denominator if ratio else None
        because = self._because(row.cause, locale)
        return RowView(row, row.item.title.in_(locale), percent, None, counted, "", "", because, [], "")

    def _row(self, row: Row, catalogue: c.Catalogue, locale: str, _: Translate) -> RowView:
        if self.sheet.rolled_up:
            return self._counted_row(row, locale, _)
        inner = judged_rule(row.item)
        measure = measure_of(row.item, catalogue)
        ratio = row.figure if isinstance(row.figure, Ratio) else None
        target = self._target(inner)
        return RowView(
            row=row,
            title=row.item.title.in_(locale),
            percent=100 * ratio.numerator / ratio.denominator if ratio and ratio.denominator else None,
            target=float(target * 100) if target is not None else None,
            text=figure_words(row.figure, measure, locale, _),
            asked=self._asked(inner, target, locale, _) if judged(inner) else "",
            note=self._note(row, catalogue, locale, _),
            because=self._because(row.cause, locale),
            trend=self._trends.get(row.item.code, []),
            trend_words=self._trend_words(row.item.code, locale, _),
            local=local_words(row.item, catalogue, locale, _),
            halted=halted_words(row, catalogue, self._orders, locale, _),
        )

    def _because(self, cause: str, locale: str) -> str:
        """What caused the last change; of a reported figure also the document it names."""
        words, document = cause_words(cause, locale) if cause else "", self._documents.get(cause)
        return f"{words} ({document})" if document else words

    def _target(self, rule: c.Rule) -> Fraction | None:
        """The share asked of this very unit; None where it is no share, or depends on a trait nobody has told."""
        if isinstance(rule, c.ChildrenRule) and not rule.count:
            return None if rule.target is None else Fraction(rule.target)
        if not isinstance(rule, c.RatioRule):
            return None
        if rule.by is None:
            return rule.target
        state = self._traits.get(rule.by.measure)
        found = rule.by.targets(state)
        return next(iter(found)) if len(found) == 1 else None

    @staticmethod
    def _asked(rule: c.Rule, target: Fraction | None, locale: str, _: Translate) -> str:
        if isinstance(rule, c.RatioRule) and rule.by is not None and target is not None and rule.operator is not None:
            asked = compared(rule.operator, f"{fmt_number(target * 100, locale)}%", _)
            return _("Cần {target} (mức của nơi này)").format(target=asked)
        return _("Cần {target}").format(target=target_words(rule, _, locale=locale))

    def _trend_words(self, code: str, locale: str, _: Translate) -> str:
        known = [point for point in self._trends.get(code, []) if point is not None]
        if len(known) < 2:
            # One day is no trend.
            return ""
        first, last = (fmt_number(int(point * 10) / 10, locale) for point in (known[0], known[-1]))
        return _("90 ngày qua: từ {first}% đến {last}%").format(first=first, last=last)

    @staticmethod
    def _note(row: Row, catalogue: c.Catalogue, locale: str, _: Translate) -> str:
        number = more(row.item, row.figure) if row.status == "unmet" else None
        unit = counted_words(row.item, catalogue, locale, _) if number else ""
        if not number or not unit:
            return ""
        return _("Thêm {n} {unit} nữa là đạt").format(n=fmt_number(number, locale), unit=unit)


def met_words(unit: str, met: int, of: int, watched: int, _: Translate) -> str:
    """How many of the rows that name a level a unit meets, and how many are only watched."""
    if not watched:
        return _("{unit} đạt {met}/{total} chỉ tiêu.").format(unit=unit, met=met, total=of)
    words = _("{unit} đạt {met}/{of} chỉ tiêu có mức yêu cầu, {watched} chỉ tiêu chỉ theo dõi.")
    return words.format(unit=unit, met=met, of=of, watched=watched)


def judged_rule(item: c.Item) -> c.Rule:
    """What a row asks, or would ask if it were not suspended."""
    return item.rule.rule if isinstance(item.rule, c.Suspended) else item.rule


def measure_of(item: c.Item, catalogue: c.Catalogue) -> c.Measure | None:
    """The measure whose figure a row shows; None where it rests on several, or is one of a former catalogue."""
    rule = judged_rule(item)
    return catalogue.measures.get(rule.measure) if isinstance(rule, NUMBERED) else None


def counted_words(item: c.Item, catalogue: c.Catalogue, locale: str, _: Translate) -> str:
    """What the row counts, for several: households, communes; empty where a former catalogue knew it."""
    rule = judged_rule(item)
    if isinstance(rule, c.ChildrenRule):
        return many(catalogue.sets[rule.set_code].level, locale, _) if rule.set_code in catalogue.sets else ""
    measure = measure_of(item, catalogue)
    return measure.unit_of_measure.in_(locale) if measure else ""


def local_words(item: c.Item, catalogue: c.Catalogue, locale: str, _: Translate) -> str:
    """What an overlay made of a row: added it, or set its target."""
    overlay = catalogue.overlays.get(item.overlay) if item.overlay else None
    if overlay is None:
        return ""
    names = {"title": overlay.title.in_(locale), "number": overlay.legal_basis.number}
    beside = catalogue.overlays_of(overlay.set_code)
    adder = next((one for one in beside if any(row.code == item.code for row in one.items)), None)
    said = []
    if adder is not None:
        first = {"title": adder.title.in_(locale), "number": adder.legal_basis.number}
        said.append(_("Chỉ tiêu địa phương thêm: {title} ({number}).").format(**first))
    if overlay is not adder and item.base_rule is not None:
        base = target_words(item.base_rule, _, locale=locale)
        words = _("Mức do địa phương đặt: {title} ({number}); văn bản gốc: {base}.")
        said.append(words.format(base=base, **names))
    return " ".join(said)


def halted_words(row: Row, catalogue: c.Catalogue, orders: Mapping[str, str], locale: str, _: Translate) -> str:
    """Why a row, or one of its conditions, is not judged; `orders` are those for the unit, in words, by row."""
    for part in c.suspensions_of(row.item.rule):
        names = {"reason": part.reason.in_(locale), "document": part.document}
        if part is row.item.rule:
            return _("Tạm hoãn: {reason} ({document}).").format(**names)
        what = ", ".join(catalogue.measures[code].title.in_(locale) for code in c.measures_of(part.rule))
        return _("Tạm hoãn riêng điều kiện “{what}”: {reason} ({document}).").format(what=what, **names)
    return orders.get(row.item.code, "")


def history_line(change: Change, catalogue: c.Catalogue, locale: str, _: Translate) -> dict[str, Any]:
    """A change as a line of the timeline."""
    item = catalogue.row(change.set_code, change.item_code)
    short = item.short.in_(locale) if item else change.item_code
    after = _(STATUS_WORDS[change.after])
    if change.before == change.after:
        what = _("{item} {name}: {status}, số liệu mới").format(item=change.item_code, name=short, status=after)
    else:
        before = _(STATUS_WORDS[change.before])
        what = _("{item} {name}: {before} → {after}").format(
            item=change.item_code, name=short, before=before, after=after
        )
    why = _("vì {reason}").format(reason=cause_words(change.cause, locale)) if change.cause else ""
    return {"at": change.at, "what": what, "who": why, "kind": "done" if change.after == "met" else "warm"}


def order_words(rows: Sequence[Any], locale: str, _: Translate) -> dict[str, str]:
    """Per item the order that suspends it today, in words; `rows` as `queries.suspended` gives them."""
    return {
        row.item_code: _("Tạm hoãn từ {start}: {reason} ({document}).").format(
            start=fmt_date(row.starts_on, locale), reason=row.reason, document=row.document
        )
        for row in rows
    }
