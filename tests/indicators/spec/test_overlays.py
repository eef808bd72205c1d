"""What a province lays over a set: local targets for measured rows, rows of its own, rows it suspends."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any

import pytest

from chassis.units import Unit
from services.indicators.criteria import library
from services.indicators.criteria.documents import Document, shipped
from services.indicators.criteria.figures import Ratio
from services.indicators.criteria.judging import judge
from tests.indicators.elsewhere import catalogue_with

SET = "mard-2023-smart-commune"
# As of units, the last day of a validity is the first on which it no longer holds.
OVERLAY = """\
overlay: hai-duong-muc-tieu-2026
on: mard-2023-smart-commune
unit: "30"
title: {vi: "Mục tiêu của tỉnh", en: "Targets of the province"}
legal_basis: {number: 2/QĐ-UBND, date: 2026-01-06, issuer: UBND tỉnh, title: "Mục tiêu"}
valid_from: 2026-01-06
valid_to: 2027-01-01
targets:
  - {item: "4.1", operator: ">=", target: 90%}
  - {item: "16.1", operator: ">", target: 60%}
  - {item: "12.1", operator: ">=", target: 4}
  - {item: "1.1"}
items:
  - code: hd.1
    title: {vi: "Hàng của tỉnh", en: "Row of the province"}
    short: {vi: "của tỉnh", en: "own"}
    rule: {flag: commune.digital_forum}
    feeds: [S]
suspend:
  - item: "15.1"
    from: 2026-03-01
    to: 2026-06-01
    reason: {vi: "Chờ hướng dẫn", en: "Waiting for guidance"}
    document: 9/CV-UBND
  - item: "15.2"
    unit: "298"
    reason: {vi: "Chưa có công trình", en: "No works yet"}
    document: 10/CV-UBND
"""
MAY, YEAR_BEFORE, YEAR_AFTER, JUNE = date(2026, 5, 31), date(2026, 1, 5), date(2027, 1, 1), date(2026, 6, 1)


def commune(path: str) -> Unit:
    *_, district, code = path.split("/")
    return Unit(code, "Xã", "commune", "xa", district, path, date(2019, 12, 1))


TU_KY, THANH_HA, ELSEWHERE = commune("30/298/11086"), commune("30/294/10837"), commune("31/315/11824")


@cache
def catalogue() -> Any:
    return library.build([*shipped(), Document("overlays/tinh.yaml", OVERLAY)])


def status(code: str, unit: Unit = TU_KY, day: date = MAY, **figures: Any) -> str:
    (item,) = [item for item in catalogue().items_for(SET, unit, day) if item.code == code]
    told = {f"commune.{name}": value for name, value in figures.items()}
    return judge(item.rule, told).status


@pytest.mark.parametrize(
    ("counted", "everything", "expected"),
    [(90, 100, "met"), (2249, 2500, "unmet"), (2251, 2500, "met"), (120, 100, "met"), (0, 100, "unmet")],
)
def test_a_local_target_makes_a_measured_row_judged(counted: int, everything: int, expected: str) -> None:
    assert status("4.1", internet_subscriptions=Ratio(counted, everything)) == expected
    assert status("4.1", ELSEWHERE, internet_subscriptions=Ratio(counted, everything)) == "measured"


def test_a_local_target_strictly_above() -> None:
    assert status("16.1", waste_sorting_households=Ratio(3, 5)) == "unmet"
    assert status("16.1", waste_sorting_households=Ratio(1501, 2500)) == "met"


def test_local_targets_of_counts_and_flags() -> None:
    assert [status("12.1", digital_skill_classes=number) for number in (3, 4)] == ["unmet", "met"]
    assert [status("1.1", online_public_services=yes) for yes in (False, True)] == ["unmet", "met"]
    assert status("1.1", ELSEWHERE, online_public_services=True) == "measured"
    assert status("1.2", satisfaction_data=False) == "measured"


def test_a_local_target_holds_on_its_days() -> None:
    lines = {"internet_subscriptions": Ratio(90, 100)}
    days = (YEAR_BEFORE, date(2026, 1, 6), date(2026, 12, 31), YEAR_AFTER)
    assert [status("4.1", day=day, **lines) for day in days] == ["measured", "met", "met", "measured"]


def test_base_and_overlay_of_a_row_are_both_to_be_seen() -> None:
    rows = {item.code: item for item in catalogue().items_for(SET, TU_KY, MAY)}
    assert (rows["4.1"].overlay, rows["4.2"].overlay) == ("hai-duong-muc-tieu-2026", None)
    assert rows["4.1"].base_rule == next(item.rule for item in catalogue().sets[SET].items if item.code == "4.1")


def test_rows_of_the_province_are_rows_of_its_communes_only() -> None:
    def codes(unit: Unit, day: date = MAY) -> list[str]:
        return [item.code for item in catalogue().items_for(SET, unit, day)]

    assert len(codes(TU_KY)) == 40
    assert "hd.1" in codes(TU_KY)
    assert "hd.1" in codes(THANH_HA)
    for others in (codes(ELSEWHERE), codes(TU_KY, YEAR_BEFORE), codes(TU_KY, YEAR_AFTER)):
        assert len(others) == 39
        assert "hd.1" not in others
    assert status("hd.1", digital_forum=True) == "met"


def test_a_row_is_suspended_for_its_period() -> None:
    using = {"renewable_households": Ratio(1, 100)}
    days = (date(2026, 2, 28), date(2026, 3, 1), MAY, JUNE)
    assert [status("15.1", day=day, **using) for day in days] == ["measured", "suspended", "suspended", "measured"]
    assert status("15.1", ELSEWHERE, **using) == "measured"


def test_a_row_is_suspended_for_a_unit_and_what_is_below_it() -> None:
    assert status("15.2", TU_KY, wastewater_inventory=True) == "suspended"
    assert status("15.2", THANH_HA, wastewater_inventory=True) == "measured"


ADVANCED = "hd-1414-ntm-advanced-8"
REST = {
    "commune.dossiers_online": Ratio(50, 100),
    "commune.officials_digital_training": Ratio(20, 20),
    "commune.people_digital_training": Ratio(70, 100),
    "commune.ocop_on_floor": Ratio(3, 3),
    "commune.satisfaction_survey_app": True,
}


@pytest.mark.parametrize("addresses", [None, Ratio(0, 2500), Ratio(2499, 2500), Ratio(2500, 2500)])
def test_the_letter_suspends_digital_addresses_in_hai_duong_and_nothing_else_of_8_4(addresses: Ratio | None) -> None:
    # The letter is for Hải Dương; a place that took its criteria over would not have taken over its difficulty.
    beyond = catalogue_with("31")

    def judged(unit: Unit, **changed: Any) -> str:
        (item,) = [item for item in beyond.items_for(ADVANCED, unit, MAY) if item.code == "8.4"]
        told = REST | {"commune.digital_addresses": addresses}
        return judge(item.rule, told | {f"commune.{name}": value for name, value in changed.items()}).status

    assert judged(TU_KY) == "met"
    for name, bad in (
        ("dossiers_online", Ratio(49, 100)),
        ("officials_digital_training", Ratio(19, 20)),
        ("people_digital_training", Ratio(69, 100)),
        ("ocop_on_floor", Ratio(2, 3)),
        ("satisfaction_survey_app", False),
    ):
        assert judged(TU_KY, **{name: bad}) == "unmet"
        assert judged(TU_KY, **{name: None}) == "no_data"
    without = "no_data" if addresses is None else "met" if addresses == Ratio(2500, 2500) else "unmet"
    assert judged(ELSEWHERE) == without


NATIONAL = ("mard-2023-", "pm-924-2025", "nd-smart-hamlet-2023", "recognition-")
"""How the sets begin that no text binds to one place."""


@pytest.mark.parametrize(
    ("path", "of_the_province", "of_the_district"),
    [("30/298/1", True, True), ("30/294/1", True, False), ("31/315/1", False, False), ("301/298/1", False, False)],
)
def test_every_set_applies_to_units_of_its_level_kind_and_place_and_to_no_other(
    path: str, of_the_province: bool, of_the_district: bool
) -> None:
    kinds = {
        "province": ["tinh", "thanh_pho"],
        "district": ["huyen", "thi_xa", "thanh_pho", "quan"],
        "commune": ["xa", "phuong", "thi_tran"],
        "village": ["thon"],
    }
    for name, criteria in catalogue().sets.items():
        for level, choices in kinds.items():
            for kind in choices:
                unit = Unit("1", "Đơn vị", level, kind, "", path, date(2019, 12, 1))
                there = name.startswith(NATIONAL) or (of_the_district if name.startswith("tuky-") else of_the_province)
                expected = there and level == criteria.level and (level != "commune" or kind == "xa")
                assert bool(catalogue().items_for(name, unit, MAY)) == expected, (name, level, kind)
