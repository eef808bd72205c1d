"""Owns what the pages show: sentences, bars and lines made from sheets, children and explanations."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from chassis.i18n import fmt_number, fmt_percent
from chassis.units import Unit
from services.indicators import criteria as c
from services.indicators import engine
from services.indicators.engine import Figure, Ratio
from services.indicators.explanation import Evidence, Explanation
from services.indicators.model import Change
from services.indicators.queries import Line, Near, Row, Sheet, more
from services.indicators.schemas import rule_json
from services.indicators.words import cause_words, joined, lacks, unknown

Translate = Callable[[str], str]

STATUS_WORDS = {
    "met": "đạt",
    "unmet": "chưa đạt",
    "no_data": "chưa có số liệu",
    "not_applicable": "không áp dụng",
    "measured": "theo dõi",
    "suspended": "tạm hoãn",
}


def address(path: str, **query: str | None) -> str:
    """A path with the query parameters that are not None."""
    return f"{path}?{urlencode({name: value for name, value in query.items() if value is not None})}"


def figure_words(figure: Figure | None, measure: c.Measure | None, locale: str, _: Translate) -> str:
    """A figure for people: 83,3% (200/240 hộ), có, 12."""
    if figure is None:
        return ""
    if isinstance(figure, bool):
        return _("có") if figure else _("không")
    unit = f" {measure.unit_of_measure.in_(locale)}" if measure else ""
    if isinstance(figure, Ratio):
        counted = f"{fmt_number(figure.numerator, locale)}/{fmt_number(figure.denominator, locale)}{unit}"
        return f"{fmt_percent(*figure, locale)} ({counted})" if figure.denominator else counted
    return f"{fmt_number(figure, locale)}{unit}"


@dataclass(frozen=True, slots=True)
class RowView:
    """One row of the sheet as it is drawn. `percent` and `target` are 0 to 100, None without a ratio.

    `asked` says in words what the rule asks for; empty where the document names no level.
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


class SheetView:
    """The sheet of a unit of the set's own level."""

    def __init__(
        self,
        sheet: Sheet,
        catalogue: c.Catalogue,
        locale: str,
        _: Translate,
        *,
        missing_only: bool = False,
        trends: Mapping[str, list[float | None]] | None = None,
    ) -> None:
        self._trends = trends or {}
        self.sheet = sheet
        self.unit = sheet.unit
        self.set_title = sheet.criteria.title.in_(locale)
        self.missing_only = missing_only
        self.missing_count = sum(row.status in ("unmet", "no_data") for row in sheet.rows)
        shown = [row for row in sheet.rows if not missing_only or row.status in ("unmet", "no_data")]
        self.rows = [self._row(row, catalogue, locale, _) for row in shown]
        self.sentence, self.rest = self._sentence(catalogue, locale, _)

    def _sentence(self, catalogue: c.Catalogue, locale: str, _: Translate) -> tuple[str, str]:
        sheet = self.sheet
        sentence = _("{unit} đạt {met}/{total} chỉ tiêu.").format(
            unit=sheet.unit.name, met=sheet.met, total=sheet.total
        )
        lacking, silent = lacks(sheet, catalogue, locale, _), unknown(sheet, locale, _)
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

    def _row(self, row: Row, catalogue: c.Catalogue, locale: str, _: Translate) -> RowView:
        rule = row.item.rule
        measure = catalogue.measures[row.item.measures[0]] if not isinstance(rule, c.Composed) else None
        ratio = row.figure if isinstance(row.figure, Ratio) else None
        target = float(rule.target * 100) if isinstance(rule, c.RatioRule) and rule.target is not None else None
        return RowView(
            row=row,
            title=row.item.title.in_(locale),
            percent=100 * ratio.numerator / ratio.denominator if ratio and ratio.denominator else None,
            target=target if isinstance(rule, c.RatioRule) else None,
            text=figure_words(row.figure, measure, locale, _),
            asked="" if row.status == "measured" else _("Cần {target}").format(target=target_words(rule, _)),
            note=self._note(row, measure, locale, _),
            because=cause_words(row.cause, locale) if row.cause else "",
            trend=self._trends.get(row.item.code, []),
            trend_words=self._trend_words(row.item.code, locale, _),
        )

    def _trend_words(self, code: str, locale: str, _: Translate) -> str:
        known = [point for point in self._trends.get(code, []) if point is not None]
        if len(known) < 2:
            # One day is no trend.
            return ""
        first, last = (fmt_number(int(point * 10) / 10, locale) for point in (known[0], known[-1]))
        return _("90 ngày qua: từ {first}% đến {last}%").format(first=first, last=last)

    @staticmethod
    def _note(row: Row, measure: c.Measure | None, locale: str, _: Translate) -> str:
        number = more(row.item, row.figure) if row.status == "unmet" else None
        if not number or measure is None:
            return ""
        unit = measure.unit_of_measure.in_(locale)
        return _("Thêm {n} {unit} nữa là đạt").format(n=fmt_number(number, locale), unit=unit)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the matrix: a status, or above the set's level how many of how many."""

    item: str
    status: str
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    unit: Unit
    met: int
    total: int
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class NearView:
    """A unit that lacks little, in words."""

    unit: Unit
    met: int
    total: int
    words: str


LEVEL_WORDS = {"village": "thôn", "commune": "xã", "district": "huyện", "province": "tỉnh"}


class Overview:
    """What lies below a unit."""

    def __init__(self, sheet: Sheet, lines: Sequence[Line], near: Sequence[Near], locale: str, _: Translate) -> None:
        self.sheet = sheet
        self.unit = sheet.unit
        self.set = sheet.criteria
        self.set_title = sheet.criteria.title.in_(locale)
        self.level_word = _(LEVEL_WORDS[sheet.criteria.level])
        self.items = sheet.criteria.items
        self.shorts = [item.short.in_(locale) for item in self.items]
        self.rows = [self._row(line, locale) for line in lines]
        self.near = [self._near(one, locale, _) for one in near]
        self.sentence = self._sentence(_, locale)
        self.ratios = [(row.item, row.item.short.in_(locale), row.figure, row.status) for row in sheet.rows]

    def _sentence(self, _: Translate, locale: str) -> str:
        if not self.sheet.total:
            return _("{unit} chưa có {level} nào được nhập.").format(unit=self.unit.name, level=self.level_word)
        return _("{unit} có {met}/{total} {level} đạt {set}.").format(
            unit=self.unit.name,
            met=fmt_number(self.sheet.met, locale),
            total=fmt_number(self.sheet.total, locale),
            level=self.level_word,
            set=self.set_title,
        )

    def _row(self, line: Line, locale: str) -> MatrixRow:
        cells = []
        for item in self.items:
            status, figure = line.cells.get(item.code, ("no_data", None))
            counted = isinstance(figure, Ratio) and line.unit.level != self.set.level
            text = f"{figure.numerator}/{figure.denominator}" if counted and isinstance(figure, Ratio) else ""
            cells.append(Cell(item.code, status, text, item.short.in_(locale)))
        return MatrixRow(line.unit, line.met, line.total, cells)

    @staticmethod
    def _near(one: Near, locale: str, _: Translate) -> NearView:
        parts = []
        for item, number in one.missing:
            short = item.short.in_(locale)
            parts.append(_("{what} (thêm {n})").format(what=short, n=number) if number else short)
        return NearView(one.line.unit, one.line.met, one.line.total, joined(parts, _, 3))


def history_line(change: Change, criteria: c.CriteriaSet, locale: str, _: Translate) -> dict[str, Any]:
    """A change as a line of the timeline."""
    item = criteria.item(change.item_code)
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


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """One fact in words."""

    evidence: Evidence
    attribute: str
    value: str
    source: str
    at: datetime


class ExplanationView:
    """Why an item stands as it does, in words."""

    def __init__(self, found: Explanation, catalogue: c.Catalogue, locale: str, _: Translate) -> None:
        self.found = found
        self.item = found.row.item
        self.title = self.item.title.in_(locale)
        self.status = found.row.status
        self.text = figure_words(found.row.figure, None, locale, _)
        self.because = cause_words(found.row.cause, locale) if found.row.cause else ""
        self.target = target_words(self.item.rule, _)
        self.readings = []
        for reading in found.readings:
            measure = catalogue.measures[reading.measure]
            sources = [
                (one, source_words(one.klass, one.source, _), figure_words(one.figure, measure, locale, _))
                for one in reading.candidates
            ]
            text = figure_words(reading.figure, measure, locale, _)
            self.readings.append((measure.title.in_(locale), reading, text, sources))
        self.facts = [self._fact(evidence, catalogue, locale, _) for evidence in found.evidence]
        self.children = [self._child(line, locale, _) for line in found.children]

    def _fact(self, evidence: Evidence, catalogue: c.Catalogue, locale: str, _: Translate) -> EvidenceView:
        fact = evidence.fact
        measure = catalogue.measures.get(fact.attribute)
        attribute = catalogue.attributes.get(fact.attribute)
        name = measure.title if measure else attribute.title if attribute else c.Text(fact.attribute, fact.attribute)
        if isinstance(fact.value, str):
            value = _(STATE_WORDS.get(fact.value, fact.value))
        else:
            value = figure_words(fact.value, measure, locale, _)
        klass = "event" if evidence.kind == "event" else "partner" if evidence.kind == "observation" else "staff"
        source = source_words(klass, fact.source, _)
        return EvidenceView(evidence, name.in_(locale), value, source, fact.observed_at)

    def _child(self, line: Line, locale: str, _: Translate) -> tuple[Unit, str, str]:
        status, figure = line.cells.get(self.item.code, ("no_data", None))
        return line.unit, status, figure_words(figure, None, locale, _)


STATE_WORDS = {
    "answered": "đã trả lời",
    "open": "chưa trả lời",
    "working": "đang hoạt động",
    "silent": "mất kết nối",
    "analogue": "không phải loa thông minh",
    "retired": "đã thôi dùng",
    "registered": "đã đăng ký",
    "dissolved": "đã giải thể",
    "logged": "có hoạt động",
    "none": "không hoạt động",
    "public_place": "đang quan sát nơi công cộng",
    "main_road": "đang quan sát đường trục chính",
    "dark": "không có hình hoặc chưa nối vào hệ thống của xã",
    "key_listed": "nông sản chủ lực, đang bán trực tuyến",
    "key_unlisted": "nông sản chủ lực, chưa bán trực tuyến",
    "other": "không tính",
}
"""States of facts, in words."""

SERVICE_WORDS = {
    "petitions": "Phản ánh",
    "ecommerce": "Sản phẩm",
    "media": "Truyền thanh & camera",
    "identity": "Con người",
}


def source_words(klass: str, source: str, _: Translate) -> str:
    """Who says it, in words."""
    if source in SERVICE_WORDS:
        return _(SERVICE_WORDS[source])
    if klass == "staff" or source.startswith("staff."):
        return _("Cán bộ nhập")
    return _("Đối tác {name}").format(name=source)


def target_words(rule: c.Rule, _: Translate) -> str:
    """What a rule asks for, in words."""
    if isinstance(rule, c.Composed):
        parts = [target_words(part, _) for part in rule.rules]
        return _("đủ cả {n} điều kiện").format(n=len(parts)) if rule.needed is None else rule.text
    if isinstance(rule, c.FlagRule):
        return _("có, kèm bằng chứng")
    if rule.operator is None:
        return _("chỉ theo dõi, văn bản không nêu mức")
    asked = rule.target_text.replace(".", ",") if isinstance(rule, c.RatioRule) else str(rule.target)
    words = {">": _("trên {x}"), ">=": _("từ {x} trở lên"), "=": _("đúng {x}")}
    return words[rule.operator].format(x=asked)


class SetView:
    """A set in plain words."""

    def __init__(self, criteria: c.CriteriaSet, catalogue: c.Catalogue, locale: str, _: Translate) -> None:
        self.set = criteria
        self.title = criteria.title.in_(locale)
        self.rows = [
            (
                item,
                item.title.in_(locale),
                target_words(item.rule, _),
                [catalogue.measures[code].title.in_(locale) for code in item.measures],
                rule_json(item.rule),
            )
            for item in criteria.items
        ]


def sheet_csv(sheet: Sheet, locale: str, _: Translate) -> str:
    """One line per item."""
    out = io.StringIO()
    writer = csv.writer(out)
    head = [_("Mã"), _("Chỉ tiêu"), _("Kết quả"), _("Tử số"), _("Mẫu số"), _("Mức yêu cầu"), _("Từ"), _("Vì")]
    writer.writerow([_("Mã đơn vị"), _("Đơn vị"), *head])
    for row in sheet.rows:
        numerator, denominator = "", ""
        if isinstance(row.figure, Ratio):
            numerator, denominator = str(row.figure.numerator), str(row.figure.denominator)
        elif row.figure is not None and not isinstance(row.figure, bool):
            numerator = str(engine.whole(row.figure))
        target = "" if sheet.rolled_up else target_words(row.item.rule, _)
        since = row.since.isoformat() if row.since else ""
        why = cause_words(row.cause, locale) if row.cause else ""
        title = row.item.title.in_(locale)
        status = _(STATUS_WORDS[row.status])
        line = [row.item.code, title, status, numerator, denominator, target, since, why]
        writer.writerow([sheet.unit.code, spelled(sheet.unit.name), *map(spelled, line)])
    return out.getvalue()


def children_csv(criteria: c.CriteriaSet, lines: Sequence[Line], _: Translate) -> str:
    """One line per unit below, one column per item: its status in words, or how many of how many."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_("Mã đơn vị"), _("Đơn vị"), _("Đạt"), _("Tổng"), *(item.code for item in criteria.items)])
    for line in lines:
        cells = []
        for item in criteria.items:
            status, figure = line.cells.get(item.code, ("no_data", None))
            if line.unit.level != criteria.level and isinstance(figure, Ratio):
                # With spaces it stays text: a spreadsheet would take 3/7 for a day in July.
                cells.append(f"{figure.numerator} / {figure.denominator}")
            else:
                cells.append(_(STATUS_WORDS[status]))
        writer.writerow([line.unit.code, spelled(line.unit.name), line.met, line.total, *cells])
    return out.getvalue()


def spelled(text: str) -> str:
    """Text that a spreadsheet will not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text
