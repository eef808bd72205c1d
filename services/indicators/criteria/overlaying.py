"""Owns the checks of overlays: against the set they lie on, and against what other overlays add and ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chassis.errors import Said
from services.indicators.criteria import checks, definitions
from services.indicators.criteria import rules as c
from services.indicators.criteria.checks import Known, Rows
from services.indicators.criteria.documents import Document, Fault, Place

FOREVER = "9999-12-31"


@dataclass
class Laid:
    """What the overlays of one set add and ask together."""

    adding: dict[str, tuple[dict[str, Any], Document]] = field(default_factory=dict)
    """Code of a row that an overlay adds to its rule and the overlay's document."""
    added: set[str] = field(default_factory=set)
    """Codes of the rows added by the documents looked at so far."""
    asked: dict[tuple[str, str, str | None, str], tuple[dict[str, Any], Document]] = field(default_factory=dict)
    """(unit, row, measure, first day) to the target set so far, and the overlay's document."""


def overlays(documents: Sequence[Document], known: Known) -> Iterator[Fault]:
    """Of every overlay against the set it lies on and the other overlays of that set."""
    defined: dict[str, str] = {}
    laid: dict[str, Laid] = {}
    for document in documents:
        adding = laid.setdefault(document.data["on"], Laid()).adding
        for item in document.data.get("items", ()):
            adding.setdefault(item["code"], (item["rule"], document))
    for document in documents:
        data = document.data
        if data["overlay"] in defined:
            file = defined[data["overlay"]]
            yield document.fault(
                ("overlay",), Said("tệp khác đã quy định lớp phủ {code}: {file}", code=data["overlay"], file=file)
            )
        defined.setdefault(data["overlay"], document.name)
        yield from checks.validity(document)
        base = known.sets.get(data["on"])
        if base is None:
            yield document.fault(("on",), checks.unknown_set(data["on"], known.sets))
            continue
        yield from _overlay(document, base, laid[data["on"]], known)


def _overlay(document: Document, base: Mapping[str, Any], laid: Laid, known: Known) -> Iterator[Fault]:
    area = definitions.area(base)
    # Of a set for the whole country the overlay is for a part, and which one its unit's code alone does not say.
    rows = Rows(document, base["level"], tuple(base.get("kinds", ())), known, area if area.paths else None)
    own = {item["code"]: item["rule"] for item in base["items"]}
    groups = [group["code"] for group in base.get("groups", ())]
    yield from checks.items(rows, set(own) | laid.added, groups)
    laid.added |= {item["code"] for item in document.data.get("items", ())}
    rules = {code: rule for code, (rule, _) in laid.adding.items()} | own
    for index, target in enumerate(document.data.get("targets", ())):
        place: Place = ("targets", index)
        faults = list(_target(rows, target, rules, place))
        if not faults and target["item"] not in own:
            faults = list(_reach(document, target, laid.adding[target["item"]][1], place))
        yield from faults or _contradiction(document, target, rules[target["item"]], laid, place)
    for index, order in enumerate(document.data.get("suspend", ())):
        yield from _order(rows, order, rules, ("suspend", index))


def _reach(document: Document, target: Mapping[str, Any], adder: Document, place: Place) -> Iterator[Fault]:
    """A target for a row that another overlay adds must be able to meet it somewhere, some day.

    Codes grow longer from the province down; whether the one lies in the other a running service knows.
    """
    here, there = document.data, adder.data
    names = {"item": target["item"], "overlay": there["overlay"], "unit": there["unit"], "here": here["unit"]}
    if adder is document:
        said = Said("dòng {item} do chính lớp phủ này thêm: ghi mức ngay ở dòng đó", item=target["item"])
        yield document.fault((*place, "item"), said)
        return
    if here["unit"] != there["unit"] and len(here["unit"]) <= len(there["unit"]):
        yield document.fault((*place, "item"), out_of_reach(**names))
    first = max(here["valid_from"], there["valid_from"])
    if first >= min(here.get("valid_to") or FOREVER, there.get("valid_to") or FOREVER):
        said = Said("lớp phủ này và {overlay}, lớp phủ thêm dòng {item}, không có ngày nào cùng hiệu lực", **names)
        yield document.fault((*place, "item"), said)


def out_of_reach(item: str, overlay: str, unit: str, here: str) -> Said:
    return Said(
        "dòng {item} do {overlay} thêm cho {unit}: chỉ {unit} hoặc đơn vị nằm trong đó đặt được mục tiêu, "
        "{here} thì không",
        item=item, overlay=overlay, unit=unit, here=here,
    )  # fmt: skip


def _contradiction(
    document: Document, target: dict[str, Any], rule: Mapping[str, Any], laid: Laid, place: Place
) -> Iterator[Fault]:
    """Two words of one unit from one day on, of which nothing says which is the last."""
    composed = not {"ratio", "flag", "count", "children"} & set(rule)
    measure = target.get("measure") if composed else None
    key = (document.data["unit"], target["item"], measure, document.data["valid_from"])
    held = laid.asked.get(key)
    if held is None:
        laid.asked[key] = (target, document)
    elif held[1] is document:
        said = Said("mục tiêu của dòng {item} được nêu hai lần", item=target["item"])
        yield document.fault((*place, "item"), said)
    elif _words(held[0]) != _words(target):
        said = Said(
            "{overlay} ({file}) đã đặt mục tiêu khác cho dòng {item}, cùng đơn vị và từ cùng ngày",
            overlay=held[1].code, file=held[1].name, item=target["item"],
        )  # fmt: skip
        yield document.fault((*place, "item"), said)


def _words(target: Mapping[str, Any]) -> tuple[Any, Any]:
    return target.get("operator"), target.get("target")


def _row(rows: Rows, named: dict[str, Any], rules: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    if named["item"] not in rules:
        yield rows.document.fault((*place, "item"), checks.no_row(rows.document.data["on"], named["item"], rules))
    elif "measure" in named:
        read = set(c.measures_of(definitions.rule(rules[named["item"]])))
        if named["measure"] not in read:
            said = Said(
                "dòng {item} không đọc chỉ số {code} (được dùng: {allowed})",
                item=named["item"], code=named["measure"], allowed=checks.among(read),
            )  # fmt: skip
            yield rows.document.fault((*place, "measure"), said)


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
        yield rows.document.fault(
            place, Said("dòng có nhiều điều kiện: nêu measure để biết mục tiêu của điều kiện nào")
        )
    elif kind == "flag":
        if "target" in target:
            yield rows.document.fault(
                (*place, "target"), Said("dòng có/không không có giá trị: chỉ cần nêu tên là được chấm")
            )
    elif "target" not in target:
        yield rows.document.fault(place, Said("mục tiêu của {kind} cần cả operator và target", kind=kind))
    elif (kind == "count" or bool(rule.get("count") is True)) != isinstance(target["target"], int):
        said = Said("count so với số nguyên, ratio so với tỷ lệ như 80%")
        yield rows.document.fault((*place, "target"), said)
    else:
        bounded = kind != "ratio" or not getattr(rows.known.measures.get(rule["ratio"]), "unbounded", False)
        yield from checks.values(rows.document, target, place, bounded)


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
        yield rows.document.fault((*place, "to"), Said("kết thúc trước khi bắt đầu"))
