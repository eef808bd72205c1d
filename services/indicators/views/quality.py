"""Owns the words about the quality of figures: who should send what is missing, what is old, who differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from chassis.i18n import fmt_date, fmt_number
from services.indicators.answers.queries.quality import Count, Dispute, Gap, Old
from services.indicators.calculation.engine import Candidate
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Value
from services.indicators.interchange.workbooks import Cell, Table, clock
from services.indicators.sources.rejections import Example, Line
from services.indicators.views.feeding import feed_words
from services.indicators.views.wording import STATE_WORDS, Translate, address, figure_words, source_words


@dataclass(frozen=True, slots=True)
class GapView:
    """A row without a figure, and who feeds it."""

    code: str
    unit: str
    above: str
    item: str
    title: str
    feeds: str
    href: str


def gaps(
    found: Sequence[Gap], set_code: str, catalogue: c.Catalogue, names: Mapping[str, str], locale: str, _: Translate
) -> list[GapView]:
    return [
        GapView(
            code=gap.unit.code,
            unit=gap.unit.name,
            above=names.get(gap.unit.parent, ""),
            item=gap.item.code,
            title=gap.item.short.in_(locale),
            feeds=", ".join(feed_words(gap.item, catalogue, _)),
            href=address(f"/indicators/units/{gap.unit.code}/items/{gap.item.code}", set=set_code),
        )
        for gap in found
    ]


@dataclass(frozen=True, slots=True)
class OldView:
    """A reported figure that is old, in words."""

    code: str
    unit: str
    above: str
    title: str
    value: str
    period: str
    at: datetime
    source: str
    href: str


def old(found: Sequence[Old], names: Mapping[str, str], locale: str, _: Translate) -> list[OldView]:
    return [
        OldView(
            code=one.code,
            unit=one.name,
            above=names.get(one.parent, ""),
            title=one.measure.title.in_(locale),
            value=value_words(one.fact.value, one.measure, locale, _),
            period=one.fact.period,
            at=one.fact.observed_at,
            source=source_words(one.fact.origin, one.fact.source, _),
            href=address(f"/indicators/units/{one.code}/entry", measure=one.measure.code),
        )
        for one in found
    ]


def value_words(value: Value | None, measure: c.Measure, locale: str, _: Translate) -> str:
    """A figure or a trait for people."""
    if isinstance(value, str):
        names = dict(zip(measure.states, measure.state_titles, strict=False))
        return names[value].in_(locale) if value in names else _(STATE_WORDS.get(value, value))
    return figure_words(value, measure, locale, _)


@dataclass(frozen=True, slots=True)
class VoiceView:
    """What one source says; `counts` marks the one that is used."""

    who: str
    value: str
    at: datetime | None
    counts: bool


@dataclass(frozen=True, slots=True)
class DisputeView:
    """A measure the sources of a unit differ on."""

    code: str
    unit: str
    above: str
    title: str
    voices: list[VoiceView]


def disputes(found: Sequence[Dispute], names: Mapping[str, str], locale: str, _: Translate) -> list[DisputeView]:
    def voice(one: Candidate, dispute: Dispute) -> VoiceView:
        value = value_words(one.figure, dispute.measure, locale, _)
        at = one.fact.observed_at if one.fact is not None else None
        return VoiceView(voice_words(one, _), value, at, one is dispute.reading.chosen)

    return [
        DisputeView(
            code=dispute.unit.code,
            unit=dispute.unit.name,
            above=names.get(dispute.unit.parent, ""),
            title=dispute.measure.title.in_(locale),
            voices=[voice(one, dispute) for one in dispute.reading.candidates],
        )
        for dispute in found
    ]


def voice_words(one: Candidate, _: Translate) -> str:
    """Who says it: a source, the facts counted from one, or the sum of the units below."""
    if one.klass == "below":
        return _("Cộng từ các đơn vị bên dưới")
    if one.klass == "counted":
        return _("Đếm từ từng dữ kiện, nguồn: {source}").format(source=source_words(one.klass, one.source, _))
    return source_words(one.klass, one.source, _)


@dataclass(frozen=True, slots=True)
class RestView:
    """Why a row is not judged, where and until when."""

    where: str
    item: str
    title: str
    reason: str
    document: str
    dates: str


def rests(
    rows: Sequence[Any],
    overlays: Sequence[tuple[c.Overlay, c.Suspension]],
    criteria: c.CriteriaSet,
    catalogue: c.Catalogue,
    names: Mapping[str, str],
    locale: str,
    _: Translate,
) -> list[RestView]:
    """Orders of suspension and what overlays suspend, in words."""

    def title(code: str) -> str:
        item = catalogue.row(criteria.code, code)
        return item.short.in_(locale) if item else code

    found = [
        RestView(
            names.get(row.unit, row.unit),
            row.item_code,
            title(row.item_code),
            row.reason,
            row.document,
            _dates(row.starts_on, row.ends_on, locale, _),
        )
        for row in rows
    ]
    for overlay, one in overlays:
        where = one.unit or overlay.unit
        dates = _dates(one.starts_on or overlay.valid_from, one.ends_on or overlay.valid_to, locale, _)
        found.append(
            RestView(names.get(where, where), one.item, title(one.item), one.reason.in_(locale), one.document, dates)
        )
    return found


@dataclass(frozen=True, slots=True)
class RejectedView:
    """What one source sent in vain for one reason; `examples` names the last ones, newest first."""

    source: str
    way: str
    code: str
    reason: str
    count: str
    number: int
    at: datetime
    examples: list[str]


def rejected(found: Sequence[Line], locale: str, _: Translate) -> list[RejectedView]:
    """Refused observations in words. What partners wrote is shown as it came: ids and codes, nothing else is kept."""
    ways = {"grpc": _("gửi qua gRPC"), "stream": _("gửi qua dòng sự kiện")}

    def example(one: Example) -> str:
        parts = [one.id, one.measure, _("đơn vị {code}").format(code=one.unit) if one.unit else ""]
        return ", ".join(part for part in parts if part)

    return [
        RejectedView(
            source=line.source or _("không nêu tên"),
            way=ways[line.way],
            code=line.reason,
            reason=_(line.words),
            count=(_("hơn {n}") if line.more else "{n}").format(n=fmt_number(line.count, locale)),
            number=line.count,
            at=line.last_at,
            examples=[example(one) for one in line.examples],
        )
        for line in found
    ]


def _dates(first: date, last: date | None, locale: str, _: Translate) -> str:
    if last is None:
        return _("từ {first}").format(first=fmt_date(first, locale))
    return _("từ {first} đến hết ngày trước {last}").format(first=fmt_date(first, locale), last=fmt_date(last, locale))


class QualityView:
    """The head of the page: how much is missing, old and suspended, and per row."""

    def __init__(
        self, unit_name: str, set_title: str, counts: Sequence[Count], stale: int, locale: str, _: Translate
    ) -> None:
        self.counts = counts
        self.missing = sum(count.missing for count in counts)
        self.suspended = sum(count.suspended for count in counts)
        self.asked = sum(count.units for count in counts)
        self.stale = stale
        self.worst = sorted((c for c in counts if c.missing), key=lambda count: -count.missing)[:3]
        missing, asked = fmt_number(self.missing, locale), fmt_number(self.asked, locale)
        words = {"unit": unit_name, "set": set_title, "n": missing, "all": asked}
        if not self.asked:
            self.sentence = _("{unit} chưa có đơn vị nào để xét theo {set}.").format(**words)
        elif not self.missing:
            self.sentence = _("{unit} có đủ số liệu cho {set}.").format(**words)
        else:
            self.sentence = _("{unit} còn thiếu {n} trong {all} số liệu của {set}.").format(**words)
        names = [
            _("{item} ({n} đơn vị)").format(item=count.item.short.in_(locale), n=count.missing) for count in self.worst
        ]
        self.rest = _("Thiếu nhiều nhất: {list}.").format(list=", ".join(names)) if names else ""


def quality_table(show: str, rows: Sequence[Any], _: Translate) -> Table:
    """One of the lists of the page to take home; `rows` are the views of that list."""
    unit = [_("Mã đơn vị"), _("Đơn vị"), _("Thuộc")]
    if show == "missing":
        head = [*unit, _("Mã"), _("Chỉ tiêu"), _("Ai gửi")]
        lines: list[list[Cell]] = [[r.code, r.unit, r.above, r.item, r.title, r.feeds] for r in rows]
    elif show == "old":
        head = [*unit, _("Số liệu"), _("Giá trị"), _("Kỳ"), _("Nguồn"), _("Lúc")]
        lines = [[r.code, r.unit, r.above, r.title, r.value, r.period, r.source, clock(r.at)] for r in rows]
    elif show == "differing":
        head = [*unit, _("Số liệu"), _("Nguồn"), _("Giá trị"), _("Lúc"), _("Được tính")]
        lines = [
            [
                r.code,
                r.unit,
                r.above,
                r.title,
                v.who,
                v.value,
                clock(v.at) if v.at else None,
                _("có") if v.counts else "",
            ]
            for r in rows
            for v in r.voices
        ]
    elif show == "rejected":
        head = [_("Nguồn"), _("Đường gửi"), _("Mã"), _("Lý do"), _("Số lần"), _("Lần cuối"), _("Ví dụ")]
        lines = [[r.source, r.way, r.code, r.reason, r.number, clock(r.at), "; ".join(r.examples)] for r in rows]
    else:
        head = [_("Nơi áp dụng"), _("Mã"), _("Chỉ tiêu"), _("Lý do"), _("Văn bản"), _("Thời gian")]
        lines = [[r.where, r.item, r.title, r.reason, r.document, r.dates] for r in rows]
    return Table(show, head, lines)
