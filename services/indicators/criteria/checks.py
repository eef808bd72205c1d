"""Owns what a schema cannot say: whether documents that are well-formed each make sense together.

Every check yields faults with file, line and place; `library.build` refuses the documents with all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chassis.units import LEVELS
from services.indicators.criteria import definitions
from services.indicators.criteria import rules as c
from services.indicators.criteria.documents import Document, Fault, Place

KINDS: dict[str, tuple[str, ...]] = {
    "province": ("tinh", "thanh_pho"),
    "district": ("huyen", "quan", "thi_xa", "thanh_pho"),
    "commune": ("xa", "phuong", "thi_tran", "dac_khu"),
    "village": ("thon", "xom", "ap", "ban", "buon", "bon", "lang", "phum", "soc", "khom", "khu", "khu_pho", "tieu_khu",
                "to_dan_pho"),
}  # fmt: skip
"""The kinds of units a level may have."""


@dataclass
class Known:
    """What the documents define, as far as it could be read; checks of one look the others up here."""

    attributes: dict[str, c.Attribute] = field(default_factory=dict)
    measures: dict[str, c.Measure] = field(default_factory=dict)
    sets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    set_documents: dict[str, Document] = field(default_factory=dict)


def among(names: Collection[str], most: int = 40) -> str:
    """What is allowed, shortened where it is a long list."""
    listed = sorted(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def measures(documents: Sequence[Document], known: Known) -> Iterator[Fault]:
    """Of all documents that define attributes and measures together."""
    taken: dict[str, str] = {}
    for document in documents:
        for part in ("attributes", "measures"):
            for index, raw in enumerate(document.data.get(part, ())):
                if raw["code"] in taken:
                    where = "" if taken[raw["code"]] == document.name else f" (in {taken[raw['code']]})"
                    yield document.fault((part, index, "code"), f"the code {raw['code']} is already taken{where}")
                taken.setdefault(raw["code"], document.name)
        for index, raw in enumerate(document.data["measures"]):
            yield from _measure(document, raw, ("measures", index), known)


def _measure(document: Document, raw: dict[str, Any], place: Place, known: Known) -> Iterator[Fault]:
    for key, part in raw.get("counted", {}).items():
        yield from _counted(document, key, part, (*place, "counted", key), known)
    if ("counted" in raw["prefer"]) != ("counted" in raw):
        said = "prefers counted facts but counts none" if "counted" not in raw else "counts facts but does not prefer"
        yield document.fault((*place, "prefer"), f"{raw['code']} {said}: name `counted` in both places or in none")
    if ("below" in raw["prefer"]) != ("below" in raw):
        said = f"{raw['code']}: name `below` as a key and in `prefer`, or in neither"
        yield document.fault((*place, "prefer"), said)
    if "below" in raw:
        yield from _below(document, raw, (*place, "below", "measure"), known)
    if raw.get("unbounded") and raw["kind"] != "ratio":
        yield document.fault((*place, "unbounded"), f"only a ratio can exceed its denominator, not a {raw['kind']}")


def _counted(document: Document, key: str, part: Any, place: Place, known: Known) -> Iterator[Fault]:
    named = {"register": [part], "known_by": part}.get(key, [])
    if isinstance(part, dict):
        named = [part["attribute"]]
        attribute = known.attributes.get(part["attribute"])
        for state in part["states"]:
            if attribute and state not in attribute.states:
                allowed = ", ".join(attribute.states) or "none: it is a count"
                yield document.fault(place, f"{attribute.code} has no state {state!r} (allowed: {allowed})")
    for code in named:
        if code not in known.attributes:
            allowed = among(known.attributes)
            yield document.fault(place, f"unknown attribute {code!r} (allowed: {allowed})")
        elif key == "register" and known.attributes[code].kind != "count":
            yield document.fault(place, f"{code} is a {known.attributes[code].kind}; a register is a count")


def _below(document: Document, raw: dict[str, Any], place: Place, known: Known) -> Iterator[Fault]:
    wanted = raw["below"]["measure"]
    lower = known.measures.get(wanted)
    if lower is None:
        yield document.fault(place, f"unknown measure {wanted!r} (allowed: {among(known.measures)})")
        return
    if LEVELS.index(lower.level) <= LEVELS.index(raw["level"]):
        yield document.fault(place, f"{wanted} is of level {lower.level}, which does not lie below a {raw['level']}")
    yield from _kinds(document, raw["below"].get("kinds", ()), lower.level, (*place[:-1], "kinds"))
    if lower.kind != raw["kind"] or raw["kind"] not in ("ratio", "count"):
        allowed = "ratios and counts are added up, each from its own kind"
        yield document.fault(place, f"{wanted} is a {lower.kind}, {raw['code']} a {raw['kind']}: {allowed}")


@dataclass
class Rows:
    """What the rules of one document are judged by: its rows' level and kinds, and everything known."""

    document: Document
    level: str
    kinds: tuple[str, ...]
    known: Known

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
            yield self.document.fault((*place, "at_least"), "asks for more conditions than are listed")

    def _measure(self, rule: dict[str, Any], kind: str, place: Place) -> Iterator[Fault]:
        measure = self.known.measures.get(rule[kind])
        if measure is None:
            allowed = among([m.code for m in self.known.measures.values() if m.level == self.level and m.kind == kind])
            text = f"unknown measure {rule[kind]!r} (allowed for a {kind} of level {self.level}: {allowed})"
            yield self.document.fault(place, text)
            return
        if measure.kind != kind:
            yield self.document.fault(place, f"{measure.code} is a {measure.kind}, not a {kind}")
        if measure.level != self.level:
            text = f"{measure.code} is of level {measure.level}; a row of level {self.level} reads its own level only"
            yield self.document.fault(place, text)

    def _other(self, named: dict[str, str], place: Place) -> Iterator[Fault]:
        other = self.known.sets.get(named["set"])
        if other is None:
            yield self.document.fault(place, f"unknown set {named['set']!r} (allowed: {among(self.known.sets)})")
            return
        codes = [item["code"] for item in other["items"]]
        if named["item"] not in codes:
            yield self.document.fault(place, f"{named['set']} has no row {named['item']!r} (allowed: {among(codes)})")

    def _children(self, named: dict[str, str], place: Place) -> Iterator[Fault]:
        yield from self._other(named, place)
        other = self.known.sets.get(named["set"])
        if other is not None and LEVELS.index(other["level"]) <= LEVELS.index(self.level):
            text = f"{named['set']} is of level {other['level']}, which does not lie below a {self.level}"
            yield self.document.fault(place, text)

    def _item(self, named: dict[str, str], place: Place) -> Iterator[Fault]:
        yield from self._other(named, place)
        other = self.known.sets.get(named["set"])
        if other is None:
            return
        if other["level"] != self.level:
            text = f"{named['set']} is of level {other['level']}, not {self.level}: use children for a lower level"
            yield self.document.fault(place, text)
        missing = set(self.kinds or ("every kind",)) - set(other.get("kinds", self.kinds or ("every kind",)))
        if missing:
            yield self.document.fault(place, f"{named['set']} is not for units of {among(missing)}")

    def _threshold(self, rule: dict[str, Any], place: Place) -> Iterator[Fault]:
        if not ({"ratio", "count", "children"} & set(rule)):
            return
        value = "target" in rule or "by" in rule
        if ("operator" in rule) != value:
            lacks = "a value: target, or by" if "operator" in rule else "an operator: >, >= or ="
            yield self.document.fault(place, f"a threshold needs {lacks}")
        if "by" in rule:
            yield from self._by(rule, (*place, "by"))
        bounded = "ratio" in rule and not getattr(self.known.measures.get(rule["ratio"]), "unbounded", False)
        yield from _values(self.document, rule, place, bounded or "children" in rule)

    def _by(self, rule: dict[str, Any], place: Place) -> Iterator[Fault]:
        by = rule["by"]
        measure = self.known.measures.get(by["measure"])
        traits = [m.code for m in self.known.measures.values() if m.kind == "state" and m.level == self.level]
        if measure is None or measure.kind != "state" or measure.level != self.level:
            text = f"{by['measure']!r} is no trait of a {self.level} (allowed: {among(traits) or 'none is defined'})"
            yield self.document.fault((*place, "measure"), text)
            return
        for state in by["cases"]:
            if state not in measure.states:
                text = f"{measure.code} has no state {state!r} (allowed: {', '.join(measure.states)})"
                yield self.document.fault((*place, "cases", state), text)
        left = [state for state in measure.states if state not in by["cases"]]
        if left and "else" not in by:
            yield self.document.fault(place, f"no value for {', '.join(left)}: name them or give else")


def _values(document: Document, rule: dict[str, Any], place: Place, bounded: bool) -> Iterator[Fault]:
    by = rule.get("by", {})
    values: list[tuple[Place, Any]] = [(("target",), rule["target"])] if "target" in rule else []
    values += [(("by", "cases", state), value) for state, value in by.get("cases", {}).items()]
    values += [(("by", "else"), by["else"])] if "else" in by else []
    for where, value in values:
        if "children" in rule and isinstance(value, int) != bool(rule.get("count")):
            text = "a number of units goes with `count: true`, a share without"
            yield document.fault((*place, *where), text)
        elif isinstance(value, str) and value.endswith("/0"):
            yield document.fault((*place, *where), "the denominator is zero")
        elif isinstance(value, str) and bounded and definitions.fraction(value) > 1:
            yield document.fault((*place, *where), "a share of the whole cannot be asked to exceed 100%")
        elif isinstance(value, str) and bounded and definitions.fraction(value) == 1 and rule.get("operator") == ">":
            yield document.fault((*place, *where), "no share is more than 100%")


def sets(documents: Sequence[Document], known: Known) -> Iterator[Fault]:
    """Of every set by itself and with the others; `known.sets` holds all of them."""
    defined: dict[str, str] = {}
    for document in documents:
        data = document.data
        if data["set"] in defined:
            text = f"another file defines the set {data['set']!r}: {defined[data['set']]}"
            yield document.fault(("set",), text)
        defined.setdefault(data["set"], document.name)
        yield from _validity(document)
        yield from _kinds(document, data.get("kinds", ()), data["level"], ("kinds",))
        groups = [group["code"] for group in data.get("groups", ())]
        for index, code in enumerate(groups):
            if code in groups[:index]:
                yield document.fault(("groups", index, "code"), f"two groups with the code {code}")
        rows = Rows(document, data["level"], tuple(data.get("kinds", ())), known)
        yield from _items(rows, set(), groups)


def _kinds(document: Document, kinds: Sequence[str], level: str, place: Place) -> Iterator[Fault]:
    for index, kind in enumerate(kinds):
        if kind not in KINDS[level]:
            text = f"no {level} is of kind {kind!r} (allowed: {', '.join(KINDS[level])})"
            yield document.fault((*place, index), text)


def _validity(document: Document) -> Iterator[Fault]:
    start, end = document.data["valid_from"], document.data.get("valid_to")
    if end is not None and end <= start:
        yield document.fault(("valid_to",), f"ends on {end}, which is not after its first day {start}")


def _items(rows: Rows, taken: set[str], groups: Collection[str]) -> Iterator[Fault]:
    seen = set(taken)
    for index, item in enumerate(rows.document.data.get("items", ())):
        if item["code"] in seen:
            yield rows.document.fault(("items", index, "code"), f"two rows with the code {item['code']}")
        seen.add(item["code"])
        if "group" in item and item["group"] not in groups:
            text = f"unknown group {item['group']!r} (allowed: {among(groups) or 'none is defined'})"
            yield rows.document.fault(("items", index, "group"), text)
        yield from rows.faults(item["rule"], ("items", index, "rule"))


def overlays(documents: Sequence[Document], known: Known) -> Iterator[Fault]:
    """Of every overlay against the set it lies on."""
    defined: dict[str, str] = {}
    added: dict[str, set[str]] = {}
    for document in documents:
        data = document.data
        if data["overlay"] in defined:
            text = f"another file defines the overlay {data['overlay']!r}: {defined[data['overlay']]}"
            yield document.fault(("overlay",), text)
        defined.setdefault(data["overlay"], document.name)
        yield from _validity(document)
        base = known.sets.get(data["on"])
        if base is None:
            yield document.fault(("on",), f"unknown set {data['on']!r} (allowed: {among(known.sets)})")
            continue
        own = {item["code"] for item in base["items"]}
        rows = Rows(document, base["level"], tuple(base.get("kinds", ())), known)
        yield from _items(rows, own | added.setdefault(data["on"], set()), [g["code"] for g in base.get("groups", ())])
        added[data["on"]] |= {item["code"] for item in data.get("items", ())}
        rules = {item["code"]: item["rule"] for item in base["items"]}
        for index, target in enumerate(data.get("targets", ())):
            yield from _target(rows, target, rules, ("targets", index))
        for index, order in enumerate(data.get("suspend", ())):
            yield from _order(rows, order, rules, ("suspend", index))


def _row(rows: Rows, named: dict[str, Any], rules: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    if named["item"] not in rules:
        text = f"the set has no row {named['item']!r} (allowed: {among(rules)})"
        yield rows.document.fault((*place, "item"), text)
    elif "measure" in named:
        read = set(c.measures_of(definitions.rule(rules[named["item"]])))
        if named["measure"] not in read:
            text = f"row {named['item']} does not read {named['measure']!r} (allowed: {among(read) or 'none'})"
            yield rows.document.fault((*place, "measure"), text)


def _target(rows: Rows, target: dict[str, Any], rules: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    faults = list(_row(rows, target, rules, place))
    yield from faults
    if faults:
        return
    rule = rules[target["item"]]
    if "measure" in target:
        rule = _part(rule, target["measure"])
    kind = next((k for k in ("ratio", "flag", "children", "count") if k in rule), None)
    if kind is None:
        text = "the row has several conditions: name by `measure` the one whose target this is"
        yield rows.document.fault(place, text)
    elif kind == "flag":
        if "target" in target:
            yield rows.document.fault((*place, "target"), "a yes/no row has no value: naming it makes it judged")
    elif "target" not in target:
        yield rows.document.fault(place, f"the target of a {kind} needs operator and value")
    elif (kind == "count" or bool(rule.get("count") is True)) != isinstance(target["target"], int):
        text = "a count is compared with a whole number, a ratio with a share such as 80%"
        yield rows.document.fault((*place, "target"), text)
    else:
        bounded = kind != "ratio" or not getattr(rows.known.measures.get(rule["ratio"]), "unbounded", False)
        yield from _values(rows.document, target, place, bounded)


def _part(rule: dict[str, Any], measure: str) -> dict[str, Any]:
    """The condition of a rule that reads the measure."""
    if measure in (rule.get("ratio"), rule.get("flag"), rule.get("count")):
        return rule
    for key in ("all", "any", "of"):
        for part in rule.get(key, ()):
            found = _part(part, measure)
            if found:
                return found
    return {}


def _order(rows: Rows, order: dict[str, Any], rules: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    yield from _row(rows, order, rules, place)
    if "from" in order and "to" in order and order["to"] <= order["from"]:
        yield rows.document.fault((*place, "to"), "ends before it begins")
