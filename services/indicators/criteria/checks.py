"""Owns what a schema cannot say: whether documents that are well-formed each make sense together.

Every check yields faults with file, line and place; `library.build` refuses the documents with all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from chassis.errors import Said
from chassis.units import LEVELS
from services.indicators.criteria import definitions
from services.indicators.criteria import rules as c
from services.indicators.criteria.areas import Area, overlapping
from services.indicators.criteria.documents import Document, Fault, Place

KINDS: dict[str, tuple[str, ...]] = {
    "province": ("tinh", "thanh_pho"),
    "district": ("huyen", "quan", "thi_xa", "thanh_pho"),
    "commune": ("xa", "phuong", "thi_tran", "dac_khu"),
    "village": ("thon", "xom", "ap", "ban", "buon", "bon", "lang", "phum", "soc", "khom", "khu", "khu_pho", "tieu_khu",
                "to_dan_pho"),
}  # fmt: skip
"""The kinds of units a level may have."""

COUNTED = ("commune", "village")
"""The levels whose units have things of their own to count: facts lie at a village or a commune."""


@dataclass
class Known:
    """What the documents define, as far as it could be read; checks of one look the others up here."""

    attributes: dict[str, c.Attribute] = field(default_factory=dict)
    measures: dict[str, c.Measure] = field(default_factory=dict)
    sets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    set_documents: dict[str, Document] = field(default_factory=dict)


def among(names: Collection[str], most: int = 40, *, like: str = "") -> Said | str:
    """What is allowed; a long list is shortened, and begins with what is written much like `like`."""
    listed = sorted(names)
    if len(listed) > most:
        near = get_close_matches(like, listed)
        listed = [*near, *(name for name in listed if name not in near)]
        return Said("{names} và {n} mã khác", names=", ".join(listed[:most]), n=len(listed) - most)
    return ", ".join(listed) or NONE


NONE = Said("chưa có mục nào")
ANYWHERE = Said("mọi nơi")


def unknown_measure(code: str, names: Collection[str]) -> Said:
    return Said("không có chỉ số {code} (được dùng: {allowed})", code=code, allowed=among(names, like=code))


def unknown_set(code: str, names: Collection[str]) -> Said:
    return Said("không có bộ chỉ tiêu {code} (được dùng: {allowed})", code=code, allowed=among(names))


def no_row(set_code: str, code: str, names: Collection[str]) -> Said:
    return Said("bộ {set} không có dòng {code} (được dùng: {allowed})", set=set_code, code=code, allowed=among(names))


def no_state(code: str, state: str, states: Sequence[str]) -> Said:
    allowed = ", ".join(states) or Said("không có: đây là một số đếm")
    return Said("{code} không có trạng thái {state} (được dùng: {allowed})", code=code, state=state, allowed=allowed)


def measures(documents: Sequence[Document], known: Known) -> Iterator[Fault]:
    """Of all documents that define attributes and measures together."""
    taken: dict[str, str] = {}
    for document in documents:
        for part in ("attributes", "measures"):
            for index, raw in enumerate(document.data.get(part, ())):
                if raw["code"] in taken:
                    said = Said("mã {code} đã được dùng (trong {file})", code=raw["code"], file=taken[raw["code"]])
                    yield document.fault((part, index, "code"), said)
                taken.setdefault(raw["code"], document.name)
        for index, raw in enumerate(document.data["measures"]):
            yield from _measure(document, raw, ("measures", index), known)


def _both(code: str, key: str) -> Said:
    return Said("{code}: nêu “{key}” cả ở khóa riêng và trong prefer, hoặc không nêu ở đâu cả", code=code, key=key)


def _not_counted(code: str, level: str) -> Said:
    return Said(
        "{code}: chỉ thôn và xã mới được đếm từng đối tượng (counted), cấp {level} thì không: hãy cộng lên bằng below",
        code=code, level=level,
    )  # fmt: skip


def _measure(document: Document, raw: dict[str, Any], place: Place, known: Known) -> Iterator[Fault]:
    for key, part in raw.get("counted", {}).items():
        yield from _counted(document, key, part, (*place, "counted", key), known)
    if "counted" in raw and raw["level"] not in COUNTED:
        yield document.fault((*place, "counted"), _not_counted(raw["code"], raw["level"]))
    if ("counted" in raw["prefer"]) != ("counted" in raw):
        yield document.fault((*place, "prefer"), _both(raw["code"], "counted"))
    if ("below" in raw["prefer"]) != ("below" in raw):
        yield document.fault((*place, "prefer"), _both(raw["code"], "below"))
    if "below" in raw:
        yield from _below(document, raw, (*place, "below", "measure"), known)
    if raw.get("unbounded") and raw["kind"] != "ratio":
        said = Said("chỉ ratio mới có thể vượt quá mẫu số, không phải {kind}", kind=raw["kind"])
        yield document.fault((*place, "unbounded"), said)


def _counted(document: Document, key: str, part: Any, place: Place, known: Known) -> Iterator[Fault]:
    named = {"register": [part], "known_by": part}.get(key, [])
    if isinstance(part, dict):
        named = [part["attribute"]]
        attribute = known.attributes.get(part["attribute"])
        for state in part["states"]:
            if attribute and state not in attribute.states:
                yield document.fault(place, no_state(attribute.code, state, attribute.states))
    for code in named:
        if code not in known.attributes:
            allowed = among(known.attributes)
            yield document.fault(
                place, Said("không có thuộc tính {code} (được dùng: {allowed})", code=code, allowed=allowed)
            )
        elif key == "register" and known.attributes[code].kind != "count":
            kind = known.attributes[code].kind
            yield document.fault(place, Said("{code} thuộc kind {kind}; register phải là count", code=code, kind=kind))


def _below(document: Document, raw: dict[str, Any], place: Place, known: Known) -> Iterator[Fault]:
    wanted = raw["below"]["measure"]
    lower = known.measures.get(wanted)
    if lower is None:
        yield document.fault(place, unknown_measure(wanted, known.measures))
        return
    if LEVELS.index(lower.level) <= LEVELS.index(raw["level"]):
        yield document.fault(place, not_below(wanted, lower.level, raw["level"]))
    yield from _kinds(document, raw["below"].get("kinds", ()), lower.level, (*place[:-1], "kinds"))
    if lower.kind != raw["kind"] or raw["kind"] not in ("ratio", "count"):
        said = Said(
            "{lower} thuộc kind {lower_kind}, {code} thuộc kind {kind}: chỉ cộng ratio với ratio, count với count",
            lower=wanted, lower_kind=lower.kind, code=raw["code"], kind=raw["kind"],
        )  # fmt: skip
        yield document.fault(place, said)


def not_below(code: str, lower: str, level: str) -> Said:
    return Said("{code} thuộc cấp {lower}, không nằm dưới cấp {level}", code=code, lower=lower, level=level)


def not_there(code: str, area: Area, beyond: str | Said) -> Said:
    listed = ", ".join(area.paths)
    return Said("{code} chỉ áp dụng cho {area}, không áp dụng cho {beyond}", code=code, area=listed, beyond=beyond)


@dataclass
class Rows:
    """What the rules of one document are judged by: its rows' level and kinds, and everything known."""

    document: Document
    level: str
    kinds: tuple[str, ...]
    known: Known
    area: Area | None = None
    """Where the rows hold; None where that is not to be seen from the documents (a unit named by its code alone)."""

    def faults(self, rule: dict[str, Any], place: Place) -> Iterator[Fault]:
        """Of one rule and all its parts."""
        for kind in ("ratio", "flag", "count"):
            if isinstance(rule.get(kind), str):
                yield from self._measure(rule, kind, (*place, kind))
        if "children" in rule:
            yield from self._children(rule["children"], (*place, "children"))
        if "item" in rule:
            yield from self._item(rule["item"], (*place, "item"))
        yield from self._threshold(rule, place)
        for key in ("all", "any", "of"):
            for index, part in enumerate(rule.get(key, ())):
                yield from self.faults(part, (*place, key, index))
        if rule.get("at_least", 0) > len(rule.get("of", ())):
            yield self.document.fault((*place, "at_least"), Said("đòi nhiều điều kiện hơn số điều kiện được nêu"))

    def _measure(self, rule: dict[str, Any], kind: str, place: Place) -> Iterator[Fault]:
        measure = self.known.measures.get(rule[kind])
        if measure is None:
            fitting = [m.code for m in self.known.measures.values() if m.level == self.level and m.kind == kind]
            yield self.document.fault(place, unknown_measure(rule[kind], fitting))
            return
        if measure.kind != kind:
            said = Said(
                "{code} thuộc kind {kind}, không phải {asked}", code=measure.code, kind=measure.kind, asked=kind
            )
            yield self.document.fault(place, said)
        if measure.level != self.level:
            said = Said(
                "{code} thuộc cấp {lower}; dòng của cấp {level} chỉ đọc chỉ số của chính cấp đó",
                code=measure.code, lower=measure.level, level=self.level,
            )  # fmt: skip
            yield self.document.fault(place, said)

    def _other(self, named: dict[str, str], place: Place) -> Iterator[Fault]:
        other = self.known.sets.get(named["set"])
        if other is None:
            yield self.document.fault(place, unknown_set(named["set"], self.known.sets))
            return
        codes = [item["code"] for item in other["items"]]
        if named["item"] not in codes:
            yield self.document.fault(place, no_row(named["set"], named["item"], codes))
        there = definitions.area(other)
        if self.area is None or not there.paths:
            return
        beyond = [path for path in self.area.paths if not there.holds(path)]
        if beyond or not self.area.paths:
            yield self.document.fault(place, not_there(named["set"], there, ", ".join(beyond) or ANYWHERE))

    def _children(self, named: dict[str, str], place: Place) -> Iterator[Fault]:
        yield from self._other(named, place)
        other = self.known.sets.get(named["set"])
        if other is not None and LEVELS.index(other["level"]) <= LEVELS.index(self.level):
            yield self.document.fault(place, not_below(named["set"], other["level"], self.level))

    def _item(self, named: dict[str, str], place: Place) -> Iterator[Fault]:
        yield from self._other(named, place)
        other = self.known.sets.get(named["set"])
        if other is None:
            return
        if other["level"] != self.level:
            said = Said(
                "{code} thuộc cấp {other}, không phải {level}: cấp thấp hơn thì dùng children",
                code=named["set"], other=other["level"], level=self.level,
            )  # fmt: skip
            yield self.document.fault(place, said)
        if "kinds" not in other:
            return
        missing = sorted(set(self.kinds) - set(other["kinds"]))
        if missing or not self.kinds:
            kinds = ", ".join(missing) or Said("mọi loại")
            yield self.document.fault(
                place, Said("{code} không dùng cho đơn vị loại {kinds}", code=named["set"], kinds=kinds)
            )

    def _threshold(self, rule: dict[str, Any], place: Place) -> Iterator[Fault]:
        if not ({"ratio", "count", "children"} & set(rule)):
            return
        value = "target" in rule or "by" in rule
        if ("operator" in rule) != value:
            lacks = Said("ngưỡng thiếu giá trị: nêu target hoặc by")
            if "operator" not in rule:
                lacks = Said("ngưỡng thiếu operator: >, >= hoặc =")
            yield self.document.fault(place, lacks)
        if "by" in rule:
            yield from self._by(rule, (*place, "by"))
        bounded = "ratio" in rule and not getattr(self.known.measures.get(rule["ratio"]), "unbounded", False)
        yield from values(self.document, rule, place, bounded or "children" in rule)

    def _by(self, rule: dict[str, Any], place: Place) -> Iterator[Fault]:
        by = rule["by"]
        measure = self.known.measures.get(by["measure"])
        traits = [m.code for m in self.known.measures.values() if m.kind == "state" and m.level == self.level]
        if measure is None or measure.kind != "state" or measure.level != self.level:
            said = Said(
                "{code} không phải là đặc điểm (kind state) của cấp {level} (được dùng: {allowed})",
                code=by["measure"], level=self.level, allowed=among(traits),
            )  # fmt: skip
            yield self.document.fault((*place, "measure"), said)
            return
        for state in by["cases"]:
            if state not in measure.states:
                yield self.document.fault((*place, "cases", state), no_state(measure.code, state, measure.states))
        left = [state for state in measure.states if state not in by["cases"]]
        if left and "else" not in by:
            said = Said("chưa có giá trị cho {states}: nêu ra hoặc thêm else", states=", ".join(left))
            yield self.document.fault(place, said)


def values(document: Document, rule: dict[str, Any], place: Place, bounded: bool) -> Iterator[Fault]:
    """Of the targets of a rule; `bounded`: a share of a whole, which cannot exceed it."""
    by = rule.get("by", {})
    values: list[tuple[Place, Any]] = [(("target",), rule["target"])] if "target" in rule else []
    values += [(("by", "cases", state), value) for state, value in by.get("cases", {}).items()]
    values += [(("by", "else"), by["else"])] if "else" in by else []
    for where, value in values:
        if "children" in rule and isinstance(value, int) != bool(rule.get("count")):
            said = Said("số lượng đơn vị đi với count: true, tỷ lệ thì không")
            yield document.fault((*place, *where), said)
        elif isinstance(value, str) and value.endswith("/0"):
            yield document.fault((*place, *where), Said("mẫu số bằng 0"))
        elif isinstance(value, str) and bounded and definitions.fraction(value) > 1:
            yield document.fault((*place, *where), Said("tỷ lệ trong tổng số không thể phải vượt 100%"))
        elif isinstance(value, str) and bounded and definitions.fraction(value) == 1 and rule.get("operator") == ">":
            yield document.fault((*place, *where), Said("không tỷ lệ nào lớn hơn 100%"))


def sets(documents: Sequence[Document], known: Known) -> Iterator[Fault]:
    """Of every set by itself and with the others; `known.sets` holds all of them."""
    defined: dict[str, str] = {}
    for document in documents:
        data = document.data
        if data["set"] in defined:
            said = Said("tệp khác đã quy định bộ {code}: {file}", code=data["set"], file=defined[data["set"]])
            yield document.fault(("set",), said)
        defined.setdefault(data["set"], document.name)
        yield from validity(document)
        yield from _kinds(document, data.get("kinds", ()), data["level"], ("kinds",))
        yield from _area(document)
        groups = [group["code"] for group in data.get("groups", ())]
        for index, code in enumerate(groups):
            if code in groups[:index]:
                yield document.fault(("groups", index, "code"), Said("hai nhóm cùng mã {code}", code=code))
        rows = Rows(document, data["level"], tuple(data.get("kinds", ())), known, definitions.area(data))
        yield from items(rows, set(), groups)


def _area(document: Document) -> Iterator[Fault]:
    """Of the units a set names. Whether they exist is not to be seen here: a running service knows it (`applying`)."""
    paths, level = document.data.get("applies_to", {}).get("units", ()), document.data["level"]
    for place, other in overlapping(paths):
        said = Said("{unit} đã nằm trong {other}, được nêu ở cùng danh sách", unit=paths[place], other=other)
        yield document.fault(("applies_to", "units", place), said)
    for place, path in enumerate(paths):
        if path.count("/") > LEVELS.index(level):
            yield document.fault(("applies_to", "units", place), too_low(path, level))


def too_low(path: str, level: str) -> Said:
    return Said("{unit} thuộc cấp dưới cấp {level} nên không có đơn vị nào của bộ này ở đó", unit=path, level=level)


def _kinds(document: Document, kinds: Sequence[str], level: str, place: Place) -> Iterator[Fault]:
    for index, kind in enumerate(kinds):
        if kind not in KINDS[level]:
            named = {"level": level, "kind": kind, "allowed": ", ".join(KINDS[level])}
            said = Said("cấp {level} không có đơn vị loại {kind} (được dùng: {allowed})", **named)
            yield document.fault((*place, index), said)


def validity(document: Document) -> Iterator[Fault]:
    """Of the first day and the first day after."""
    start, end = document.data["valid_from"], document.data.get("valid_to")
    if end is not None and end <= start:
        said = Said("kết thúc ngày {end}, không sau ngày đầu tiên {start}", end=end, start=start)
        yield document.fault(("valid_to",), said)


def items(rows: Rows, taken: set[str], groups: Collection[str]) -> Iterator[Fault]:
    """Of the rows of a document; `taken` are codes it may not use again."""
    seen = set(taken)
    for index, item in enumerate(rows.document.data.get("items", ())):
        if item["code"] in seen:
            yield rows.document.fault(("items", index, "code"), Said("hai dòng cùng mã {code}", code=item["code"]))
        seen.add(item["code"])
        if "group" in item and item["group"] not in groups:
            said = Said("không có nhóm {code} (được dùng: {allowed})", code=item["group"], allowed=among(groups))
            yield rows.document.fault(("items", index, "group"), said)
        yield from rows.faults(item["rule"], ("items", index, "rule"))
