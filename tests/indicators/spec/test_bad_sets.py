"""Documents of criteria that cannot be used: refused with the file, the line, the place and what would be allowed."""

from __future__ import annotations

import re
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import services.indicators
from chassis.i18n import register
from services.indicators.criteria import library
from services.indicators.criteria.documents import BadDefinition, Document, shipped

NAME = "sets/thu-nghiem.yaml"
# Line 1 is `set:`; the rules of the three rows stand on lines 16, 21 and 26.
SET = """\
set: thu-nghiem-2026
title: {vi: "Bộ thử nghiệm", en: "Trial set"}
level: commune
kinds: [xa]
legal_basis:
  number: 1/QĐ-UBND
  date: 2026-01-05
  issuer: UBND tỉnh
  title: "Quyết định thử nghiệm"
valid_from: 2026-01-05
needs: all
items:
  - code: "1"
    title: {vi: "Hàng một", en: "Row one"}
    short: {vi: "một", en: "one"}
    rule: {ratio: thu.hang_mot, operator: ">", target: 80%}
    feeds: [S]
  - code: "2"
    title: {vi: "Hàng hai", en: "Row two"}
    short: {vi: "hai", en: "two"}
    rule: {all: [{flag: thu.hang_hai}, {count: thu.so_lop, operator: ">=", target: 2}]}
    feeds: [S]
  - code: "3"
    title: {vi: "Hàng ba", en: "Row three"}
    short: {vi: "ba", en: "three"}
    rule: {at_least: 1, of: [{flag: thu.hang_hai}, {ratio: thu.hang_mot, operator: ">=", target: 1/2}]}
    feeds: [S]
"""
MEASURES = """\
theme: thu-nghiem
measures:
  - {code: thu.hang_mot, title: {vi: "Một", en: "One"}, level: commune, kind: ratio,
     unit_of_measure: {vi: "hộ", en: "households"}, prefer: [staff]}
  - {code: thu.hang_hai, title: {vi: "Hai", en: "Two"}, level: commune, kind: flag,
     unit_of_measure: {vi: "có", en: "yes"}, prefer: [staff]}
  - {code: thu.so_lop, title: {vi: "Lớp", en: "Classes"}, level: commune, kind: count,
     unit_of_measure: {vi: "lớp", en: "classes"}, prefer: [staff]}
  - {code: thu.vung, title: {vi: "Vùng", en: "Region"}, level: commune, kind: state,
     unit_of_measure: {vi: "vùng", en: "region"}, prefer: [staff],
     states: {nui: {vi: "Núi", en: "Upland"}, bang: {vi: "Đồng bằng", en: "Plain"}}}
  - {code: thu.cua_tinh, title: {vi: "Của tỉnh", en: "Of the province"}, level: province, kind: flag,
     unit_of_measure: {vi: "có", en: "yes"}, prefer: [staff]}
"""
ABOVE = SET.replace("thu-nghiem-2026", "thu-nghiem-tinh").replace("level: commune\nkinds: [xa]", "level: province")
ONE = 'rule: {ratio: thu.hang_mot, operator: ">", target: 80%}'
TWO = 'rule: {all: [{flag: thu.hang_hai}, {count: thu.so_lop, operator: ">=", target: 2}]}'
THREE = 'rule: {at_least: 1, of: [{flag: thu.hang_hai}, {ratio: thu.hang_mot, operator: ">=", target: 1/2}]}'


@cache
def ships() -> tuple[Document, ...]:
    return tuple(shipped())


def build(*texts: tuple[str, str]) -> None:
    """The shipped documents and these."""
    library.build([*ships(), Document("measures/thu-nghiem.yaml", MEASURES), *(Document(*told) for told in texts)])


def refused(*texts: tuple[str, str]) -> BadDefinition:
    with pytest.raises(BadDefinition) as caught:
        build(*texts)
    return caught.value


def changed(old: str, new: str) -> str:
    assert SET.count(old) == 1, old
    return SET.replace(old, new)


def test_the_set_that_the_others_are_made_of_is_good() -> None:
    build((NAME, SET))


def test_building_with_a_bad_set_leaves_the_catalogue_in_force() -> None:
    before = library.catalogue()
    refused((NAME, changed(ONE, "rule: {flag: thu.khong_co}")))
    assert library.catalogue() is before


BAD: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("bad_sets.yaml").read_text("utf-8"))
RULES = {"one": ONE, "two": TWO, "three": THREE}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_set_is_refused_with_its_place_and_what_is_allowed(name: str) -> None:
    bad = BAD[name]
    line, place, words = (bad["told"][key] for key in ("line", "place", "words"))
    old = RULES[bad["row"]] if "row" in bad else bad["change"]
    faults = refused((NAME, changed(old, bad["to"].replace("{endless}", "ạ" * 5000)))).faults
    ours = [fault for fault in faults if fault.file.endswith("thu-nghiem.yaml") and fault.place.startswith(place)]
    assert ours, faults
    assert any(all(word in f"{fault.place}: {fault.message}" for word in words) for fault in ours), ours
    # A parser of YAML may notice an open bracket on a later line than the one it stands on.
    assert any(fault.line == line or (name == "not YAML" and fault.line >= line) for fault in ours), ours


@pytest.mark.parametrize("name", BAD)
def test_every_fault_is_told_in_vietnamese_and_in_english(name: str) -> None:
    bad = BAD[name]
    old = RULES[bad["row"]] if "row" in bad else bad["change"]
    register(Path(services.indicators.__file__).parent / "locale")
    for fault in refused((NAME, changed(old, bad["to"].replace("{endless}", "ạ" * 5000)))).faults:
        vietnamese, english = fault.told("vi"), fault.told("en")
        assert vietnamese != english
        # Nothing is left to be filled in, and no Vietnamese stands in the English but what the document itself holds.
        for told in (vietnamese, english):
            assert not set("{}") & set(re.sub(r"\^.*", "", told)), told
        said = re.sub(r"“[^”]*”|→", "", english)
        assert said.isascii(), english


def test_every_fault_of_a_set_is_told_at_once() -> None:
    text = changed(ONE, "rule: {flag: thu.khong_co}").replace('code: "3"', 'code: "2"')
    found = {(fault.line, fault.place) for fault in refused((NAME, text)).faults}
    assert found >= {(16, "items[0].rule.flag"), (23, "items[2].code")}


def test_two_documents_with_one_set_are_refused() -> None:
    faults = refused((NAME, SET), ("sets/lan-hai.yaml", SET)).faults
    assert [(fault.line, fault.place) for fault in faults] == [(1, "set")]
    assert "thu-nghiem-2026" in faults[0].message


@pytest.mark.parametrize("kind", ["item", "all of items"])
def test_a_circle_through_two_sets_is_refused_and_named(kind: str) -> None:
    def looking_at(other: str) -> str:
        look = f'{{item: {{set: {other}, item: "1"}}}}'
        return f"rule: {look}" if kind == "item" else f"rule: {{all: [{{flag: thu.hang_hai}}, {{any: [{look}]}}]}}"

    one = changed(ONE, looking_at("thu-nghiem-hai"))
    two = changed(ONE, looking_at("thu-nghiem-2026")).replace("set: thu-nghiem-2026\n", "set: thu-nghiem-hai\n", 1)
    faults = refused((NAME, one), ("sets/hai.yaml", two)).faults
    told = " ".join(fault.message for fault in faults)
    assert "thu-nghiem-2026" in told
    assert "thu-nghiem-hai" in told
    assert {fault.line for fault in faults} == {16}


def test_looking_at_another_set_without_a_circle_is_fine() -> None:
    look = changed(ONE, 'rule: {item: {set: thu-nghiem-hai, item: "1"}}')
    two = SET.replace("set: thu-nghiem-2026", "set: thu-nghiem-hai")
    above = ABOVE.replace(ONE, 'rule: {children: {set: thu-nghiem-2026, item: "1"}, operator: ">", target: 60%}')
    above = above.replace(TWO, "rule: {flag: thu.cua_tinh}").replace(THREE, "rule: {flag: thu.cua_tinh}")
    build((NAME, look), ("sets/hai.yaml", two), ("sets/tinh.yaml", above))


OVERLAY = textwrap.dedent(
    """\
    overlay: thu-nghiem-tinh-30
    on: mard-2023-smart-commune
    unit: "30"
    title: {vi: "Mục tiêu của tỉnh", en: "Targets of the province"}
    legal_basis: {number: 2/QĐ-UBND, date: 2026-01-06, issuer: UBND tỉnh, title: "Mục tiêu"}
    valid_from: 2026-01-06
    targets:
      - {item: "4.1", operator: ">=", target: 90%}
    suspend:
      - {item: "4.2", reason: {vi: "Chưa có kế hoạch", en: "No plan yet"}, document: 1414/STTTT-BCVTCNTT}
    """
)


def test_the_overlay_that_the_others_are_made_of_is_good() -> None:
    build(("overlays/thu.yaml", OVERLAY))


@pytest.mark.parametrize(
    ("old", "new", "line", "place", "words"),
    [
        ("on: mard-2023-smart-commune", "on: khong-co", 2, "on", ["khong-co"]),
        ('item: "4.1"', 'item: "4.9"', 8, "targets[0].item", ["4.9"]),
        ('operator: ">=", target: 90%', 'operator: ">="', 8, "targets[0]", ["target"]),
        (
            'item: "4.1", operator: ">=", target: 90%',
            'item: "4.3", operator: ">=", target: 190%',
            8,
            "targets[0].target",
            ["100%"],
        ),
        ('item: "4.1"', 'item: "12.1"', 8, "targets[0]", []),
        ('item: "4.2"', 'item: "4.22"', 10, "suspend[0].item", ["4.22"]),
        (", document: 1414/STTTT-BCVTCNTT", "", 10, "suspend[0]", ["document"]),
        ('reason: {vi: "Chưa có kế hoạch", en: "No plan yet"}, ', "", 10, "suspend[0]", ["reason"]),
        ("document: 1414", "from: 2026-02-01, to: 2026-01-31, document: 1414", 10, "suspend[0].to", []),
        ("title: {vi:", "title: {xx:", 4, "title", ["vi"]),
    ],
)
def test_a_bad_overlay_is_refused_with_its_place(old: str, new: str, line: int, place: str, words: list[str]) -> None:
    assert old in OVERLAY
    faults = refused(("overlays/thu.yaml", OVERLAY.replace(old, new))).faults
    ours = [fault for fault in faults if fault.place.startswith(place) and fault.line == line]
    assert ours, faults
    assert any(all(word in f"{fault.place}: {fault.message}" for word in words) for fault in ours), ours


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("code: thu.hang_hai", "code: thu.hang_mot", 5, ["thu.hang_mot"]),
        ("kind: count", "kind: number", 7, ["count"]),
        ("level: province", "level: world", 12, ["province"]),
        ("kind: state", "kind: flag", 9, ["states"]),
        ("prefer: [staff]", "prefer: [nobody]", 4, ["staff"]),
    ],
)
def test_a_bad_measure_is_refused_with_its_place(old: str, new: str, line: int, words: list[str]) -> None:
    text = MEASURES.replace(old, new, 1)
    assert text != MEASURES
    with pytest.raises(BadDefinition) as caught:
        library.build([*ships(), Document("measures/thu-nghiem.yaml", text)])
    ours = [fault for fault in caught.value.faults if fault.file.endswith("thu-nghiem.yaml")]
    assert any(fault.line == line and all(word in fault.message for word in words) for fault in ours), ours
