"""Owns rules in plain words: the short "trên 80%" of a sheet, and the whole rule as sentences and small tables."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.i18n import fmt_number
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.judging import judged as judged
from services.indicators.views.wording import Translate, many


def target_words(rule: c.Rule, _: Translate, *, locale: str = "vi") -> str:
    """What a rule asks for, in a few words."""
    match rule:
        case c.Composed():
            return _counted(rule, _)
        case c.Suspended():
            return target_words(rule.rule, _, locale=locale)
        case c.FlagRule():
            return _("có, kèm bằng chứng") if rule.judged else _("chỉ theo dõi, văn bản không nêu mức")
        case c.ItemRule():
            return _("đạt {code}").format(code=rule.item_code)
        case c.RatioRule() | c.CountRule() | c.ChildrenRule():
            if rule.operator is None:
                return _("chỉ theo dõi, văn bản không nêu mức")
            if isinstance(rule, c.ChildrenRule) or rule.by is None:
                return compared(rule.operator, _asked(rule, locale), _)
            texts = dict.fromkeys(_number(text, locale) for _state, text in rule.by.texts)
            return compared(rule.operator, " / ".join(texts), _)


def _counted(rule: c.Composed, _: Translate) -> str:
    if rule.needed is None:
        return _("đủ cả {n} điều kiện").format(n=len(rule.rules))
    if rule.needed == 1:
        return _("một trong {n} điều kiện").format(n=len(rule.rules))
    return _("ít nhất {k} trong {n} điều kiện").format(k=rule.needed, n=len(rule.rules))


def _asked(rule: c.RatioRule | c.CountRule | c.ChildrenRule, locale: str) -> str:
    if isinstance(rule, c.CountRule):
        return fmt_number(rule.target, locale)
    return _number(rule.target_text, locale)


def _number(text: str, locale: str) -> str:
    """A target as it is written in the files, with the reader's decimal mark."""
    return text if locale == "en" else text.replace(".", ",")


def compared(operator: c.Operator, asked: str, _: Translate) -> str:
    """ "trên 80%"."""
    words = {">": _("trên {x}"), ">=": _("từ {x} trở lên"), "=": _("đúng {x}")}
    return words[operator].format(x=asked)


def _share(operator: c.Operator, asked: str, of: str, _: Translate) -> str:
    """ "trên 80% số hộ"."""
    words = {">": _("trên {x} số {of}"), ">=": _("từ {x} số {of} trở lên"), "=": _("đủ {x} số {of}")}
    return words[operator].format(x=asked, of=of)


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule in sentences. `head` goes before `asked`; `parts` are conditions below it; `cases` a table by trait."""

    head: str
    asked: str
    parts: tuple[RuleView, ...] = ()
    cases: tuple[tuple[str, str], ...] = ()
    trait: str = ""
    href: str = ""
    link: str = ""
    notes: tuple[str, ...] = ()
    suspended: str = ""


@dataclass(frozen=True, slots=True)
class RuleWords:
    """Says rules for a reader: the catalogue gives the names, the locale the language."""

    catalogue: c.Catalogue
    locale: str
    translate: Translate

    def view(self, rule: c.Rule) -> RuleView:
        """The whole rule."""
        _ = self.translate
        match rule:
            case c.Composed():
                return RuleView(_counted(rule, _), "", tuple(self.view(part) for part in rule.rules))
            case c.Suspended():
                inner = self.view(rule.rule)
                why = _("Đang tạm hoãn: {reason} ({document}).").format(
                    reason=rule.reason.in_(self.locale), document=rule.document
                )
                return RuleView(inner.head, inner.asked, inner.parts, inner.cases, inner.trait, suspended=why)
            case c.FlagRule():
                return RuleView(self._title(rule.measure), target_words(rule, _), notes=self._period(rule.measure))
            case c.ItemRule():
                return self._item(rule)
            case c.ChildrenRule():
                return self._children(rule)
            case c.RatioRule() | c.CountRule():
                return self._number(rule)

    def _title(self, measure: str) -> str:
        return self.catalogue.measures[measure].title.in_(self.locale)

    def _period(self, measure: str) -> tuple[str, ...]:
        _ = self.translate
        period = self.catalogue.measures[measure].period
        words = {"year": _("Tính trong năm."), "quarter": _("Tính trong quý."), "month": _("Tính trong tháng.")}
        return (words[period],) if period else ()

    def _number(self, rule: c.RatioRule | c.CountRule) -> RuleView:
        _ = self.translate
        measure = self.catalogue.measures[rule.measure]
        head, notes = measure.title.in_(self.locale), list(self._period(rule.measure))
        if isinstance(rule, c.RatioRule) and rule.when_zero == "not_applicable" and rule.operator:
            unit = measure.unit_of_measure.in_(self.locale)
            notes.append(_("Nơi không có {unit} nào thì không áp dụng.").format(unit=unit))
        if rule.operator is None:
            return RuleView(head, target_words(rule, _), notes=tuple(notes))
        if rule.by is None:
            return RuleView(head, self._wanted(rule, measure, _asked(rule, self.locale)), notes=tuple(notes))
        trait = self.catalogue.measures[rule.by.measure]
        names = dict(zip(trait.states, (title.in_(self.locale) for title in trait.state_titles), strict=False))
        cases = tuple(
            (
                names.get(state, state) if state else _("các nơi khác"),
                self._wanted(rule, measure, _number(text, self.locale)),
            )
            for state, text in rule.by.texts
        )
        return RuleView(head, "", cases=cases, trait=trait.title.in_(self.locale), notes=tuple(notes))

    def _wanted(self, rule: c.RatioRule | c.CountRule, measure: c.Measure, asked: str) -> str:
        _ = self.translate
        if rule.operator is None:
            return ""
        unit = measure.unit_of_measure.in_(self.locale)
        if isinstance(rule, c.RatioRule):
            if measure.unbounded:
                return compared(rule.operator, asked, _)
            return _share(rule.operator, asked, unit, _)
        return compared(rule.operator, f"{asked} {unit}", _)

    def _row(self, set_code: str, item_code: str) -> tuple[str, str, str]:
        """Title of the row, title of its set, and where the row is defined."""
        criteria = self.catalogue.sets.get(set_code)
        item = self.catalogue.row(set_code, item_code)
        title = item.short.in_(self.locale) if item else item_code
        name = criteria.title.in_(self.locale) if criteria else set_code
        return title, name, f"/indicators/sets/{set_code}#row-{item_code}"

    def _item(self, rule: c.ItemRule) -> RuleView:
        _ = self.translate
        title, name, href = self._row(rule.set_code, rule.item_code)
        link = _("{code} “{title}” của bộ {set}").format(code=rule.item_code, title=title, set=name)
        return RuleView("", _("đạt"), href=href, link=link)

    def _children(self, rule: c.ChildrenRule) -> RuleView:
        _ = self.translate
        title, name, href = self._row(rule.set_code, rule.item_code)
        link = _("{code} “{title}” của bộ {set}").format(code=rule.item_code, title=title, set=name)
        criteria = self.catalogue.sets.get(rule.set_code)
        level = many(criteria.level if criteria else "village", self.locale, _)
        notes = []
        if rule.unknown == "unmet":
            notes.append(_("Nơi chưa có quyết định hay số liệu được tính là chưa đạt."))
        if rule.operator is None:
            asked = _("bao nhiêu {level} đạt (chỉ theo dõi)").format(level=level)
        elif rule.count:
            asked = _("{target} đạt").format(
                target=compared(rule.operator, f"{_asked(rule, self.locale)} {level}", self.translate)
            )
        else:
            asked = _("{target} đạt").format(
                target=_share(rule.operator, _asked(rule, self.locale), level, self.translate)
            )
        return RuleView("", asked, href=href, link=link, notes=tuple(notes))
