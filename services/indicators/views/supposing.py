"""Owns the words of "what if": what can be supposed of each row, the least that would do, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chassis.i18n import fmt_number
from services.indicators.answers import newcomers
from services.indicators.answers.needs import state_of
from services.indicators.answers.whatif import Row, Supposed
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Ratio, Value
from services.indicators.criteria.judging import judged_rows
from services.indicators.criteria.least import Step
from services.indicators.views.rules import RuleWords, judged, target_words
from services.indicators.views.things import thing_href, thing_name
from services.indicators.views.wording import KIND_WORDS, STATE_WORDS, Translate, figure_words, many


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that can be supposed. `kind`: more (a number on top), share (two numbers), yes, number, state, new.

    `name` is the field's, `typed` what was asked, `options` the states of a trait.
    """

    kind: str
    name: str
    label: str
    hint: str
    typed: str
    typed_of: str = ""
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Thing:
    """One single thing that can be supposed to count: the field, its id, where it is shown, how it stands today."""

    name: str
    value: str
    label: str
    href: str
    now: str
    typed: bool


@dataclass(frozen=True, slots=True)
class SupposedRow:
    """A row that is open, or was made to be met: before, after, what would do, and what can be asked of it."""

    code: str
    title: str
    asked: str
    before: str
    after: str
    needs: str
    questions: tuple[Question, ...]
    new: tuple[Question, ...]
    things: tuple[Thing, ...]
    more_things: int


class SupposedView:
    """The page: the sentence and the rows that are not met today."""

    def __init__(
        self,
        found: Supposed,
        typed: Mapping[str, str],
        catalogue: c.Catalogue,
        locale: str,
        _: Translate,
        *,
        asked: bool,
    ) -> None:
        self._catalogue, self._locale, self._translate = catalogue, locale, _
        self._figures, self._counted, self._typed = found.figures, found.counted, typed
        self._words = RuleWords(catalogue, locale, _)
        self.found = found
        self.asked = asked
        self.sentence = self._sentence(found)
        self.rows = [self._row(row) for row in found.rows if self._shown(row)]
        self.least = self._fill(found)

    def _sentence(self, found: Supposed) -> str:
        """How many rows that name a level are met, and would be."""
        _, of = self._translate, judged_rows(row.item for row in found.rows)
        names = {"unit": found.unit.name, "met": found.before.met, "total": of}
        if self.asked:
            words = _("{unit} hiện đạt {met}/{total} chỉ tiêu; nếu như vậy sẽ đạt {then}/{total}.")
            if of < len(found.rows):
                words = _("{unit} hiện đạt {met}/{total} chỉ tiêu có mức yêu cầu; nếu như vậy sẽ đạt {then}/{total}.")
            return words.format(then=found.after.met, **names)
        if of < len(found.rows):
            return _("{unit} hiện đạt {met}/{total} chỉ tiêu có mức yêu cầu.").format(**names)
        return _("{unit} hiện đạt {met}/{total} chỉ tiêu.").format(**names)

    @staticmethod
    def _shown(row: Row) -> bool:
        return judged(row.item.rule) and (row.before.status in ("unmet", "no_data") or row.before != row.after)

    def _row(self, row: Row) -> SupposedRow:
        things = self._things(row)
        named = sum(len(need.entities) for need in row.needs)
        return SupposedRow(
            code=row.item.code,
            title=row.item.title.in_(self._locale),
            asked=target_words(row.rule, self._translate, locale=self._locale),
            before=row.before.status,
            after=row.after.status,
            needs=self._needs(row),
            questions=tuple(self._questions(row.rule)),
            new=tuple(self._new(row.rule)),
            things=tuple(things),
            more_things=sum(need.total for need in row.needs) - named,
        )

    def _things(self, row: Row) -> list[Thing]:
        """What is supposed of single things already, then those that could be counted besides."""
        measures = [self._catalogue.measures[code] for code in c.measures_of(row.rule)]
        counted = {code for measure in measures if measure.counted for code in measure.counted.attributes}
        found: dict[str, Thing] = {}
        for name, value in self._typed.items():
            kind, _, subject = name.partition(":")
            attribute, _, entity = subject.partition(":")
            if kind == "thing" and attribute in counted:
                found[name] = Thing(name, value, thing_name(entity), "", "", typed=True)
        for need in row.needs:
            for one in need.entities:
                value = state_of(one.counts_as)
                name = f"thing:{one.counted_by}:{one.entity}"
                href = thing_href(one.attribute, one.source, one.entity)
                now = self._state_now(one.value)
                found.setdefault(name, Thing(name, value, thing_name(one.entity), href, now, typed=False))
        return list(found.values())

    def _state_now(self, value: Value | None) -> str:
        if isinstance(value, bool):
            return self._translate("có") if value else self._translate("không")
        return self._translate(STATE_WORDS.get(value, value)) if isinstance(value, str) else ""

    def _needs(self, row: Row) -> str:
        """The least that would still turn the row after what was supposed."""
        _, least = self._translate, row.least
        if least.status == "met":
            return ""
        if not least.reachable:
            return _("Chỉ thêm vào thì chưa đủ: cần đổi chính tổng số, hoặc chưa xét được.")
        parts = [self._step(step) for step in least.steps]
        if least.missing:
            names = ", ".join(self._name(subject) for subject in least.missing)
            parts.append(_("trước hết cần số liệu: {names}").format(names=names))
        return _("Ít nhất cần: {what}.").format(what="; ".join(parts)) if parts else ""

    def _name(self, subject: str) -> str:
        """The title of a measure, or of the row of a set of the units below ("set/item")."""
        if (measure := self._catalogue.measures.get(subject)) is not None:
            return measure.title.in_(self._locale)
        set_code, _slash, item_code = subject.partition("/")
        item = self._catalogue.row(set_code, item_code)
        return item.title.in_(self._locale) if item else item_code

    def _step(self, step: Step) -> str:
        _ = self._translate
        if step.kind in ("children", "item"):
            set_code, _slash, item_code = step.subject.partition("/")
            criteria = self._catalogue.sets[set_code]
            item = self._catalogue.row(set_code, item_code)
            title = item.short.in_(self._locale) if item else item_code
            if step.kind == "item":
                return _("đạt “{title}”").format(title=title)
            level = many(criteria.level, self._locale, _)
            return _("thêm {n} {level} đạt “{title}”").format(n=step.more, level=level, title=title)
        measure = self._catalogue.measures[step.subject]
        if step.kind == "flag":
            return _("có: {title}").format(title=measure.title.in_(self._locale))
        unit = measure.unit_of_measure.in_(self._locale)
        number = fmt_number(abs(step.more), self._locale)
        words = _("thêm {n} {unit}") if step.more >= 0 else _("bớt {n} {unit}")
        return words.format(n=number, unit=unit)

    def _questions(self, rule: c.Rule) -> list[Question]:
        match rule:
            case c.Composed():
                return [question for part in rule.rules for question in self._questions(part)]
            case c.ChildrenRule():
                return [self._below(rule)]
            case c.RatioRule() | c.CountRule() | c.FlagRule():
                return [self._measure(code) for code in dict.fromkeys(c.measures_of(rule))]
        return []

    def _new(self, rule: c.Rule) -> list[Question]:
        """How many things that nobody has reported yet there would be, each as the row counts it."""
        _, found = self._translate, []
        for code in dict.fromkeys(c.measures_of(rule)):
            measure = self._catalogue.measures[code]
            one = newcomers.counting(measure, 1, self._catalogue)
            if one is None or code not in self._counted:
                continue
            label = _("Thêm bao nhiêu {kind} mới?").format(kind=_(KIND_WORDS.get(one.kind, "đối tượng")))
            counted = self._catalogue.attributes[one.attributes[0][0]].title.in_(self._locale)
            state = self._state_now(one.attributes[0][1])
            hint = _("Đều được ghi nhận: {title} ({state}).").format(title=counted, state=state)
            found.append(Question("new", f"new:{code}", label, hint, self._of(f"new:{code}")))
        return found

    def _below(self, rule: c.ChildrenRule) -> Question:
        _ = self._translate
        subject = f"{rule.set_code}/{rule.item_code}"
        level = many(self._catalogue.sets[rule.set_code].level, self._locale, _)
        label = _("Thêm bao nhiêu {unit} đạt?").format(unit=level)
        return Question("more", f"more:{subject}", label, self._words.view(rule).link, self._of(f"more:{subject}"))

    def _measure(self, code: str) -> Question:
        _, measure = self._translate, self._catalogue.measures[code]
        title, unit = measure.title.in_(self._locale), measure.unit_of_measure.in_(self._locale)
        held = self._figures.get(code)
        if measure.kind == "state":
            names = zip(measure.states, (one.in_(self._locale) for one in measure.state_titles), strict=False)
            return Question("state", f"state:{code}", title, "", self._of(f"state:{code}"), options=tuple(names))
        if measure.kind == "flag":
            return Question("yes", f"yes:{code}", title, "", self._of(f"yes:{code}"))
        now = _("Hiện: {now}").format(now=figure_words(held, measure, self._locale, _)) if held is not None else ""  # type: ignore[arg-type]  # a trait was told apart above.
        if measure.kind == "ratio" and not (isinstance(held, Ratio) and held.denominator):
            label = _("{title}: bao nhiêu trên tổng số bao nhiêu {unit}?").format(title=title, unit=unit)
            name = f"share:{code}"
            return Question("share", name, label, now, self._of(name), self._of(f"of:{code}"))
        label = _("{title}: thêm bao nhiêu {unit}?").format(title=title, unit=unit)
        return Question("more", f"more:{code}", label, now, self._of(f"more:{code}"))

    def _of(self, name: str) -> str:
        return self._typed.get(name, "")

    @staticmethod
    def _fill(found: Supposed) -> dict[str, str]:
        """The fields that hold the least for every row that can be reached, for a link that fills them in."""
        fields: dict[str, str] = {}
        for row in found.rows:
            for step in row.least.steps if row.least.exact else ():
                if step.kind in ("numerator", "count", "children") and step.more > 0:
                    fields[f"more:{step.subject}"] = str(max(int(fields.get(f"more:{step.subject}", 0)), step.more))
                elif step.kind == "flag":
                    fields[f"yes:{step.subject}"] = "1"
        return fields
