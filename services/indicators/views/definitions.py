"""Owns the criteria sets in plain words: the list of all of them, and one with its rules, sources and overlays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from chassis.i18n import fmt_date
from services.indicators.answers.queries import Place
from services.indicators.criteria import catalogue as c
from services.indicators.views.feeding import feed_words
from services.indicators.views.grouping import grouped
from services.indicators.views.rules import RuleView, RuleWords, judged, target_words
from services.indicators.views.wording import LEVEL_WORDS, Translate


@dataclass(frozen=True, slots=True)
class SetLine:
    """A set in the list of sets. `state` is one of current, coming, past."""

    code: str
    title: str
    level: str
    basis: str
    validity: str
    count: int
    state: str
    auxiliary: bool
    area: str


def area_words(criteria: c.CriteriaSet, places: Mapping[str, Place], locale: str, _: Translate) -> str:
    """Where a set holds: the units it names, each with what it lies in; `places` by path."""
    if not criteria.area.paths:
        return _("mọi nơi, để so sánh") if criteria.unofficial else _("cả nước")
    found = []
    for path in criteria.area.paths:
        place = places.get(path)
        words = ", ".join(place.names) if place else path
        if place is not None and place.ended is not None:
            words = _("{unit} (không còn từ {day}, đơn vị kế tiếp không xét theo bộ này)").format(
                unit=words, day=fmt_date(place.ended, locale)
            )
        found.append(words)
    return "; ".join(found)


def state_of(criteria: c.CriteriaSet, today: date) -> str:
    """Whether a set counts today, will count, or no longer does."""
    if criteria.holds_on(today):
        return "current"
    return "coming" if today < criteria.valid_from else "past"


def validity_words(criteria: c.CriteriaSet, locale: str, _: Translate) -> str:
    first = fmt_date(criteria.valid_from, locale)
    if criteria.valid_to is None:
        return _("từ {first}").format(first=first)
    return _("từ {first} đến hết ngày trước {last}").format(first=first, last=fmt_date(criteria.valid_to, locale))


def set_lines(
    catalogue: c.Catalogue, places: Mapping[str, Place], today: date, locale: str, _: Translate
) -> list[SetLine]:
    """Every set, the official ones first."""
    found = [
        SetLine(
            code=one.code,
            title=one.title.in_(locale),
            level=one.level,
            basis=f"{one.legal_basis.number}, {fmt_date(one.legal_basis.date, locale)}, {one.legal_basis.issuer}",
            validity=validity_words(one, locale, _),
            count=len(one.items),
            state=state_of(one, today),
            auxiliary=one.auxiliary,
            area=area_words(one, places, locale, _),
        )
        for one in catalogue.sets.values()
    ]
    return sorted(found, key=lambda line: line.auxiliary)


@dataclass(frozen=True, slots=True)
class MeasureWords:
    """A figure and where it comes from: `sources` best first, `counted` the facts of entities it is made of."""

    title: str
    unit: str
    sources: tuple[str, ...]
    counted: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """What an overlay makes of a row."""

    title: str
    basis: str
    unit: str
    words: str


@dataclass(frozen=True, slots=True)
class RowWords:
    """A row of a set in words."""

    code: str
    title: str
    rule: RuleView
    feeds: tuple[str, ...]
    measures: tuple[MeasureWords, ...]
    local: tuple[LocalTarget, ...]
    note: str


class SetView:
    """A set in plain words."""

    def __init__(
        self,
        criteria: c.CriteriaSet,
        catalogue: c.Catalogue,
        locale: str,
        _: Translate,
        places: Mapping[str, Place],
    ) -> None:
        self._catalogue, self._locale, self._translate = catalogue, locale, _
        self._words = RuleWords(catalogue, locale, _)
        self.set = criteria
        self.title = criteria.title.in_(locale)
        self.level_word = _(LEVEL_WORDS[criteria.level])
        self.note = criteria.note.in_(locale) if criteria.note else ""
        self.validity = validity_words(criteria, locale, _)
        self.area = area_words(criteria, places, locale, _)
        self.judges_somewhere = not criteria.area.paths or any(one.ended is None for one in places.values())
        self.sentence = self._sentence(_)
        self.overlays = catalogue.overlays_of(criteria.code)
        self.added = [(one, [self._row(item) for item in one.items]) for one in self.overlays if one.items]
        self.groups = grouped(criteria, ((item, self._row(item)) for item in criteria.items), locale, _)

    def _sentence(self, _: Translate) -> str:
        count = len(self.set.items)
        if not any(judged(item.rule) for item in self.set.items):
            return _(
                "Bộ này có {n} chỉ tiêu; văn bản không nêu mức nên chỉ theo dõi, không chấm đạt hay chưa đạt."
            ).format(n=count)
        if self.set.needed is None:
            return _("Bộ này có {n} chỉ tiêu và cần đạt đủ.").format(n=count)
        return _("Bộ này có {n} chỉ tiêu, đạt khi có ít nhất {k}.").format(n=count, k=self.set.needed)

    def _row(self, item: c.Item) -> RowWords:
        _ = self._translate
        return RowWords(
            code=item.code,
            title=item.title.in_(self._locale),
            rule=self._words.view(item.rule),
            feeds=feed_words(item, self._catalogue, _),
            measures=tuple(self.measure(code) for code in item.measures),
            local=tuple(self._local(item)),
            note=item.note.in_(self._locale) if item.note else "",
        )

    def measure(self, code: str) -> MeasureWords:
        """Where the figure of a measure comes from."""
        _, locale, catalogue = self._translate, self._locale, self._catalogue
        measure = catalogue.measures[code]
        classes = {
            "counted": _("đếm từ từng dữ kiện"),
            "event": _("mục khác của hệ thống báo sang"),
            "below": _("cộng từ các đơn vị bên dưới"),
            "staff": _("cán bộ nhập kèm bằng chứng"),
            "partner": _("đối tác gửi đến"),
        }
        codes = sorted(measure.counted.attributes) if measure.counted else []
        if measure.counted and measure.counted.register:
            codes.append(measure.counted.register)
        counted = [catalogue.attributes[one].title.in_(locale) for one in codes if one in catalogue.attributes]
        if measure.below:
            counted.append(catalogue.measures[measure.below].title.in_(locale))
        return MeasureWords(
            title=measure.title.in_(locale),
            unit=measure.unit_of_measure.in_(locale),
            sources=tuple(classes[klass] for klass in measure.prefer),
            counted=tuple(counted),
            text=measure.text,
        )

    def _local(self, item: c.Item) -> Sequence[LocalTarget]:
        _, found = self._translate, []
        for overlay in self.overlays:
            where = (overlay.title.in_(self._locale), overlay.legal_basis.number, overlay.unit)
            for target in overlay.targets:
                if target.item == item.code:
                    words = target_words(c.aimed(item.rule, target), _, locale=self._locale)
                    found.append(LocalTarget(*where, words))
            for suspension in overlay.suspensions:
                if suspension.item == item.code:
                    words = _("tạm hoãn: {reason} ({document})").format(
                        reason=suspension.reason.in_(self._locale), document=suspension.document
                    )
                    found.append(LocalTarget(*where, words))
        return found
