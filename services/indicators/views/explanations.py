"""Owns an explanation in words: the tree of reasons, what the least change would be, and every fact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chassis.i18n import fmt_number
from chassis.units import Unit
from services.indicators.answers.explanation import Explanation
from services.indicators.answers.needs import Need
from services.indicators.answers.queries import Line
from services.indicators.answers.reasoning import Evidence, Node
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Ratio, Value
from services.indicators.criteria.least import Least
from services.indicators.shapes.supposing import step_titles
from services.indicators.shapes.words import cause_words
from services.indicators.views.rules import compared, judged, target_words
from services.indicators.views.sheets import measure_of
from services.indicators.views.things import thing_href, thing_name
from services.indicators.views.wording import (
    STATE_WORDS,
    Translate,
    address,
    figure_words,
    handed_over_words,
    source_words,
)

OPEN_DEPTH = 2
"""Steps of the tree that stand open when the page comes."""
CAME = ("succession", "settlement")
"""Kinds of evidence of figures that came from former units; the cause of the first is an inner name."""

WHY_WORDS = {
    "only": "được tính, vì là nguồn duy nhất",
    "preferred": "được tính, vì nguồn này được tin trước",
    "larger": "được tính, vì đếm được nhiều hơn",
    "later": "được tính, vì mới hơn",
    "yes": "được tính, vì chỉ cần một nguồn xác nhận",
    "weaker": "không tính, vì có nguồn được tin trước",
    "smaller": "không tính, vì nguồn khác đếm được nhiều hơn",
    "earlier": "không tính, vì có số liệu mới hơn",
    "no": "không tính, vì nguồn khác đã xác nhận",
    "unknown_below": "chưa cộng được, vì còn đơn vị chưa có số liệu",
}
"""Why a source counts or does not; see `reasoning.Node.why`."""


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """One fact in words."""

    evidence: Evidence
    attribute: str
    value: str
    source: str
    at: datetime
    over: str = ""
    """How a figure of former units came to be one of this unit."""
    where: str = ""
    """The village it is in, where it is counted for the commune."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One step of the tree in words: `head`, then `text`, then `note`; `more` counts what is not named below it."""

    head: str
    status: str = ""
    text: str = ""
    note: str = ""
    at: datetime | None = None
    href: str = ""
    file: str = ""
    id: str = ""
    chosen: bool = False
    open: bool = False
    more: int = 0
    parts: tuple[Reason, ...] = ()


class ReasonWords:
    """Puts nodes of the tree into words; with `as_of` its links lead to that day."""

    def __init__(self, catalogue: c.Catalogue, locale: str, _: Translate, as_of: str | None = None) -> None:
        self._as_of = as_of
        self._catalogue = catalogue
        self._locale = locale
        self._ = _

    def reason(self, node: Node, depth: int = 0) -> Reason:
        parts = tuple(self.reason(part, depth + 1) for part in node.nodes)
        found = self._words(node)
        if node.kind in ("item", "children", "unit", "source", "group"):
            found = replace(found, more=max(node.total - len(parts), 0) if node.nodes else 0)
        return replace(found, parts=parts, status=node.status, at=node.last, open=depth < OPEN_DEPTH)

    def _words(self, node: Node) -> Reason:
        _ = self._
        title = node.title.in_(self._locale) if node.title else ""
        asked = self._asked(node.target)
        match node.kind:
            case "item":
                return Reason(title, text=self._value(node.figure, ""), note=asked, href=self._row_href(node))
            case "overlay":
                before = _("Bộ gốc: {target}.").format(target=self._asked(node.target) or _("chỉ theo dõi"))
                return Reason(_("Mức của địa phương"), text=title, note=f"{before} {node.document}")
            case "suspension":
                reason = node.reason.in_(self._locale) if node.reason else ""
                return Reason(_("Tạm hoãn"), text=reason, note=node.document)
            case "all" | "at_least":
                return Reason(self._how_many(node))
            case "ratio" | "flag" | "count":
                note = _("các nguồn nói khác nhau") if node.disagrees else ""
                return Reason(
                    title, text=self._value(node.figure, node.measure), note=" · ".join(filter(None, (asked, note)))
                )
            case "children":
                return Reason(
                    _("Các đơn vị bên dưới: {title}").format(title=title), text=self._share(node.figure), note=asked
                )
            case "trait":
                return Reason(
                    _("Mức tùy theo: {trait}").format(trait=title), text=self._value(node.figure, node.measure)
                )
            case "source":
                return self._source(node)
            case "group":
                return self._group(node, title)
            case "fact":
                return self._fact(node, title)
            case "unit":
                return self._unit(node)
            case "missing":
                return Reason(_("Chưa nguồn nào có số liệu cho mục này."))

    def _asked(self, target: str) -> str:
        """ "> 80%" in words; a target by trait keeps its alternatives."""
        operator, _, asked = target.partition(" ")
        if operator not in (">", ">=", "="):
            return ""
        shown = asked if self._locale == "en" else asked.replace(".", ",")
        words = compared(operator, shown, self._)  # type: ignore[arg-type]  # it is one of the three.
        return self._("Cần {target}").format(target=words)

    def _how_many(self, node: Node) -> str:
        _, n = self._, len(node.nodes)
        if node.kind == "all":
            return _("Đủ cả {n} điều kiện").format(n=n)
        if node.needed == 1:
            return _("Một trong {n} điều kiện").format(n=n)
        return _("Ít nhất {k} trong {n} điều kiện").format(k=node.needed, n=n)

    def _value(self, value: Value | None, measure: str) -> str:
        known = self._catalogue.measures.get(measure)
        if isinstance(value, str):
            titles = dict(zip(known.states, known.state_titles, strict=False)) if known else {}
            named = titles.get(value)
            return named.in_(self._locale) if named else self._(STATE_WORDS.get(value, value))
        return figure_words(value, known, self._locale, self._)

    def _share(self, value: Value | None) -> str:
        if isinstance(value, Ratio):
            return self._("{met}/{total} đơn vị đạt").format(met=value.numerator, total=value.denominator)
        return self._value(value, "")

    def _source(self, node: Node) -> Reason:
        _ = self._
        if node.klass == "below":
            who = _("Cộng từ các đơn vị bên dưới")
            if node.needed:
                who = _("Cộng từ các đơn vị bên dưới ({n} đơn vị chưa có số liệu)").format(n=node.needed)
        elif node.klass == "counted":
            who = _("Đếm từng đối tượng: {who}").format(who=source_words("", node.source, _))
        else:
            who = source_words(node.klass, node.source, _)
        why = _(WHY_WORDS[node.why]) if node.why else ""
        return Reason(who, text=self._value(node.figure, node.measure), note=why, chosen=node.chosen)

    def _group(self, node: Node, title: str) -> Reason:
        state = {"true": self._("có"), "false": self._("không")}.get(node.state) or self._(
            STATE_WORDS.get(node.state, node.state)
        )
        count = self._("{n} đối tượng").format(n=fmt_number(node.total, self._locale))
        where = node.unit.name if node.unit else ""
        return Reason(f"{title}: {state}", text=count, note=where)

    def _fact(self, node: Node, title: str) -> Reason:
        evidence = node.evidence
        if evidence is None:
            return Reason(title)
        words = {
            "event": self._("Sự kiện"),
            "observation": self._("Quan sát"),
            "document": self._("Tài liệu"),
            "succession": self._("Chuyển từ đơn vị cũ"),
            "settlement": self._("Cán bộ xác nhận"),
        }
        head = f"{title}: {self._value(evidence.fact.value, '')}" if title else words[evidence.kind]
        if evidence.kind in CAME:
            over = self.handed_over(evidence)
            shown = f"{evidence.type} {evidence.id}" if evidence.id and evidence.kind == "settlement" else ""
            note = " · ".join(part for part in (over if title else "", evidence.fact.period) if part)
            return Reason(head if title else over or head, note=note, id=shown)
        told = cause_words(evidence.fact.cause, self._locale) if evidence.kind == "event" else ""
        note = " · ".join(part for part in (told, evidence.source, evidence.note, evidence.fact.period) if part)
        thing = evidence.fact.entity.partition("/")[2] or evidence.fact.entity
        return Reason(
            head,
            text=thing,
            note=note,
            file=f"/indicators/documents/{evidence.file}" if evidence.file else "",
            id=f"{evidence.type} {evidence.id}" if evidence.id else "",
        )

    def handed_over(self, evidence: Evidence) -> str:
        """How a figure of former units came to be one of this unit; empty for any other figure."""
        return handed_over_words(evidence.former, evidence.source, evidence.settled_at, self._locale, self._)

    def _unit(self, node: Node) -> Reason:
        unit = node.unit
        if unit is None:
            return Reason("")
        if node.pair is None:
            text = self._value(node.figure, node.measure) or self._("chưa có số liệu")
            here = f"/indicators/units/{unit.code}"
            return Reason(unit.name, text=text, href=address(here, as_of=self._as_of) if self._as_of else here)
        return Reason(unit.name, text=self._value(node.figure, ""), href=self._row_href(node))

    def _row_href(self, node: Node) -> str:
        if node.unit is None or node.pair is None:
            return ""
        here = f"/indicators/units/{node.unit.code}/items/{node.pair[1]}"
        return address(here, set=node.pair[0], as_of=self._as_of)


@dataclass(frozen=True, slots=True)
class NeedView:
    """One step of the least change in words, with the entities or units it would take."""

    text: str
    entities: tuple[tuple[str, str], ...]
    """Id and address of the things that are not counted yet."""
    more: int
    unreported: str
    nearest: tuple[tuple[str, str, str], ...]
    """Name, words and address of units below that lack least."""


class LeastView:
    """The least that would turn a row met, in words."""

    def __init__(
        self, least: Least, needs: Sequence[Need], catalogue: c.Catalogue, locale: str, _: Translate, *, ids: bool
    ) -> None:
        self._catalogue = catalogue
        self._locale = locale
        self._ = _
        self.least = least
        self.steps = [self._need(need, ids) for need in needs]
        self.missing = [self._missing(code) for code in least.missing]

    def _need(self, need: Need, ids: bool) -> NeedView:
        _ = self._
        step = need.step
        title, unit = (text.in_(self._locale) for text in step_titles(step, self._catalogue))
        if step.kind in ("flag", "item"):
            text = (
                _("{what}: cần có").format(what=title)
                if step.kind == "flag"
                else _("{what}: cần đạt").format(what=title)
            )
        else:
            words = _("{what}: thêm {n} {unit}") if step.more >= 0 else _("{what}: bớt {n} {unit}")
            text = words.format(what=title, n=fmt_number(step.effort, self._locale), unit=unit).rstrip()
        shown = need.entities if ids else ()
        named = tuple((thing_name(one.entity), thing_href(one.attribute, one.source, one.entity)) for one in shown)
        unreported = ""
        if need.unreported:
            unreported = _("{n} đối tượng có trong danh sách nhưng chưa ai báo cáo từng đối tượng.").format(
                n=need.unreported
            )
        nearest = tuple(
            (near.unit.name, self._near(near.least), self._href(near.unit, step.subject)) for near in need.nearest
        )
        return NeedView(text, named, max(need.total - len(named), 0), unreported, nearest)

    def _near(self, least: Least) -> str:
        if least.missing:
            return self._("chưa có số liệu")
        return self._("thiếu {n}").format(n=fmt_number(least.effort, self._locale))

    @staticmethod
    def _href(unit: Unit, subject: str) -> str:
        set_code, _, item_code = subject.partition("/")
        return address(f"/indicators/units/{unit.code}/items/{item_code}", set=set_code)

    def _missing(self, code: str) -> str:
        if "/" in code:
            set_code, _, item_code = code.partition("/")
            row = next((item for item in self._catalogue.rows_of(set_code) if item.code == item_code), None)
            return row.title.in_(self._locale) if row else code
        return self._catalogue.measures[code].title.in_(self._locale)


class ExplanationView:
    """Why an item stands as it does, or stood `as_of` a day, in words."""

    def __init__(
        self, found: Explanation, catalogue: c.Catalogue, locale: str, _: Translate, *, as_of: str | None = None
    ) -> None:
        self.found = found
        self._as_of = as_of
        self.item = found.row.item
        self.title = self.item.title.in_(locale)
        self.status = found.row.status
        measure = None if found.sheet.rolled_up else measure_of(self.item, catalogue)
        # Above the set's level a row that is only watched is met by nobody: "0 of 178" would say that all fail.
        watched = found.sheet.rolled_up and not judged(self.item.rule)
        self.text = "" if watched else figure_words(found.row.figure, measure, locale, _)
        self.because = cause_words(found.row.cause, locale) if found.row.cause else ""
        self.target = target_words(self.item.rule, _, locale=locale)
        own = [] if found.sheet.rolled_up else [catalogue.measures[code] for code in self.item.measures]
        here = f"/indicators/units/{found.sheet.unit.code}/entry"
        self.entries = [
            (one.title.in_(locale), address(here, measure=one.code)) for one in own if "staff" in one.prefer
        ]
        """Figures of the row that staff may enter, and where."""
        self._words = ReasonWords(catalogue, locale, _, as_of)
        self.reasons = self._words.reason(found.tree).parts
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
        source = source_words(klass, "settlement" if evidence.kind == "settlement" else fact.source, _)
        over = self._words.handed_over(evidence)
        place = self.found.places.get(fact.unit)
        where = place.name if place is not None and place.code != self.found.sheet.unit.code else ""
        return EvidenceView(evidence, name.in_(locale), value, source, fact.observed_at, over, where)

    def _child(self, line: Line, locale: str, _: Translate) -> tuple[Unit, str, str, str]:
        here = f"/indicators/units/{line.unit.code}/items/{self.item.code}"
        href = address(here, set=self.found.sheet.criteria.code, as_of=self._as_of)
        status, figure = line.cells.get(self.item.code, ("no_data", None))
        if not judged(self.item.rule) and line.unit.level != self.found.sheet.criteria.level:
            known = line.told(self.item.code)
            words = _("{n}/{total} có số liệu").format(n=known.numerator, total=known.denominator) if known else ""
            return line.unit, href, status, words
        return line.unit, href, status, figure_words(figure, None, locale, _)
