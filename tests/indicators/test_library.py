"""Criteria files: what ships is complete, and a wrong file is refused with file, line, place and what is allowed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chassis.i18n import register
from services.indicators.criteria import documents, editions, library
from services.indicators.criteria.library import BadDefinition

# No service runs here that would bring its English along.
register(library.DATA.parent / "locale")


def edited(tmp_path: Path, file: str, old: str, new: str) -> BadDefinition:
    """The fault that one edit of a copy of the shipped files leads to."""
    shutil.copytree(library.DATA, tmp_path / "data")
    path = tmp_path / "data" / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(BadDefinition) as caught:
        library.read(tmp_path / "data")
    return caught.value


def test_of_many_names_the_one_that_was_meant_comes_first(tmp_path: Path) -> None:
    rule = "rule: {flag: commune.trade_services_trained"
    fault = edited(tmp_path, "sets/mard-2023-ecommerce-core.yaml", rule, rule.replace("trained", "training")).faults[0]
    assert "(được dùng: commune.trade_services_trained, " in fault.message
    assert "mã khác)" in fault.message


def test_the_nine_rows_of_the_decision_are_there() -> None:
    found = library.catalogue().sets["hd-288-2023"]
    assert [item.code for item in found.items] == [f"288.{n}" for n in range(1, 10)]
    assert [item.rule.text for item in found.items[4:]] == ["> 80%", ">= 95%", "= 100%", "= 100%", "= 100%"]
    assert (found.level, found.legal_basis.number) == ("village", "288/QĐ-UBND")
    assert [item.feeds for item in found.items] == [
        ("P", "I", "S"), ("M",), ("I", "S"), ("M",), ("T",), ("T",), ("M",), ("T",), ("E",)
    ]  # fmt: skip


SET = "sets/hd-288-2023.yaml"
MEASURES = "measures/village.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new", "place", "words"),
    [
        (
            SET,
            "ratio: village.fibre_households",
            "ratio: village.fiber",
            "items[4].rule.ratio",
            "không có chỉ số",
        ),
        (SET, 'code: "288.2"', 'code: "288.1"', "items[1].code", "hai dòng cùng mã 288.1"),
        (SET, "flag: village.smart_loudspeaker", "flag: village.signal_area", "items[1].rule.flag", "thuộc kind ratio"),
        (SET, 'operator: ">", target: 80%', 'operator: ">"', "items[4].rule", "target"),
        (SET, 'operator: ">", target: 80%', 'operator: "<", target: 80%', "items[4].rule", "được dùng: >, >=, ="),
        (SET, "target: 80%", "target: 180%", "items[4].rule.target", "vượt 100%"),
        (SET, "target: 80%", "target: 80", "items[4].rule.target", "“80” không đúng dạng (viết như 80%, 2/3)"),
        (SET, "target: 80%", "target: 80 %", "items[4].rule.target", "viết như 80%, 2/3"),
        (SET, 'code: "288.2"', "code: 288.2", "items[1].code", '(viết như "8.1", c5)'),
        (SET, "target: 80%", "target: 8/0", "items[4].rule.target", "mẫu số bằng 0"),
        (SET, "level: village", "level: hamlet", "level", "được dùng: province, district, commune, village"),
        (SET, "valid_from: 2023-02-23", "valid_from: 2023-02-30", "valid_from", "“2023-02-30” không phải là một ngày"),
        (SET, "feeds: [E]", "feeds: [X]", "items[8].feeds[0]", "được dùng"),
        (SET, "needs: all", "needs: all\nneeds: all", "", "được viết hai lần"),
        (SET, "needs: all", "needs: all\nextra: 1", "", "extra"),
        (SET, "needs: all", "needs: [all", "YAML", "expected"),
        (MEASURES, "states: [working]", "states: [humming]", "measures[1].counted.when", "không có trạng thái humming"),
        (
            MEASURES,
            "register: village.households",
            "register: x.y",
            "measures[5].counted.register",
            "thuộc tính x.y",
        ),
        (MEASURES, "code: household.fibre", "code: camera.watch", "attributes[6].code", "đã được dùng"),
        (MEASURES, "prefer: [counted, staff, partner]", "prefer: [nobody]", "measures[0].prefer[0]", "được dùng"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(
    tmp_path: Path, file: str, old: str, new: str, place: str, words: str
) -> None:
    error = edited(tmp_path, file, old, new)
    found = [fault for fault in error.faults if fault.place.startswith(place) and words in fault.message]
    assert found, str(error)
    line = found[0].line
    assert 1 <= line <= len((tmp_path / "data" / file).read_text("utf-8").splitlines())
    if place.startswith("items[4]"):
        around = (tmp_path / "data" / file).read_text("utf-8").splitlines()[line - 5 : line]
        assert any("288.5" in text for text in around)


@pytest.mark.parametrize("level", ["district", "province"])
def test_things_are_counted_at_villages_and_communes_alone(tmp_path: Path, level: str) -> None:
    file = "measures/government.yaml"
    path = library.DATA / file
    text = path.read_text("utf-8").rstrip("\n")
    counted = f"""
  - code: {level}.cameras
    title: {{vi: "Camera hoạt động", en: "Working cameras"}}
    level: {level}
    kind: ratio
    unit_of_measure: {{vi: "camera", en: "cameras"}}
    counted:
      numerator: {{attribute: household.fibre, states: ["true"]}}
      denominator: {{attribute: household.fibre, states: ["true", "false"]}}
    prefer: [counted, staff]
"""
    error = edited(tmp_path, file, text, text + counted)
    [fault] = error.faults
    lines = (tmp_path / "data" / file).read_text("utf-8").splitlines()
    assert (fault.file, lines[fault.line - 2].strip()) == (file, "counted:")
    assert fault.place.endswith(".counted")
    assert f"{level}.cameras: chỉ thôn và xã mới được đếm từng đối tượng" in fault.message
    assert f"a {level} is not: add it up with below" in fault.told("en")


def test_two_files_may_not_define_one_set(tmp_path: Path) -> None:
    shutil.copytree(library.DATA, tmp_path / "data")
    shutil.copy(tmp_path / "data" / SET, tmp_path / "data" / "sets" / "other.yaml")
    with pytest.raises(BadDefinition, match=r"tệp khác đã quy định bộ hd-288-2023: sets/hd-288-2023\.yaml"):
        library.read(tmp_path / "data")


def test_each_document_is_read_and_checked_once_in_a_process() -> None:
    documents.parsed.cache_clear()
    editions.shipped.cache_clear()
    library.read()
    there = len(list((library.DATA / "sets").glob("*.yaml")))
    assert documents.parsed.cache_info().misses > there > 10
    once = documents.parsed.cache_info().misses
    # The start asks twice: for the catalogue that ships, and for the one in force.
    assert len(editions.shipped()) == once
    library.read()
    assert documents.parsed.cache_info().misses == once
