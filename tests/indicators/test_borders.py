"""First days and ends: sets, overlays, suspensions and units count from the one, and on the other no longer."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import pytest

from chassis.units import Unit
from services.indicators.calculation import applying
from services.indicators.calculation.rounds import added_up
from services.indicators.calculation.sequencer import rolled_up
from services.indicators.calculation.state import is_valid
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import editions, library
from services.indicators.criteria.figures import Outcome, Ratio

SET = "hd-288-2023"
VILLAGE = Unit("11074-01", "Thôn Nghĩa Dũng", "village", "thon", "11074", "30/298/11074/11074-01", date(2020, 1, 1))
START, END = date(2026, 3, 1), date(2026, 6, 1)
DAY = timedelta(days=1)
HEAD = """overlay: {name}
on: {on}
unit: "{unit}"
title: {{vi: "Mục tiêu riêng", en: "Local targets"}}
legal_basis: {{number: "15/KH-UBND", date: 2026-01-10, issuer: "UBND", title: "Kế hoạch"}}
valid_from: {start}
valid_to: {end}
"""


def overlay(name: str, body: str, unit: str = "30", start: str = "2026-03-01", end: str = "null", on: str = SET) -> str:
    return HEAD.format(name=name, on=on, unit=unit, start=start, end=end) + body


def target(percent: int, item: str = "288.5") -> str:
    return f'targets: [{{item: "{item}", operator: ">=", target: {percent}%}}]\n'


def with_overlays(*texts: str) -> c.Catalogue:
    return library.build([*editions.shipped(), *(applying.read("overlay/x", text) for text in texts)])


def row(catalogue: c.Catalogue, day: date, unit: Unit = VILLAGE, item: str = "288.5") -> c.Item | None:
    return catalogue.item_for(SET, item, unit, day)


def ruled(catalogue: c.Catalogue, day: date, unit: Unit = VILLAGE) -> str:
    found = row(catalogue, day, unit)
    assert found is not None
    return found.rule.text


def test_a_set_counts_from_its_first_day_and_no_longer_on_its_end() -> None:
    shipped = library.catalogue()
    begins = shipped.sets[SET].valid_from
    assert (row(shipped, begins - DAY), row(shipped, begins) is not None) == (None, True)
    ending = replace(shipped.sets[SET], valid_to=END)
    assert [ending.holds_on(day) for day in (begins - DAY, begins, END - DAY, END)] == [False, True, True, False]
    text = (library.DATA / "sets" / f"{SET}.yaml").read_text("utf-8").replace("valid_to: null", f"valid_to: {END}")
    others = [one for one in editions.shipped() if one.code != SET]
    ended = library.build([*others, applying.read("set/x", text)])
    assert (row(ended, END - DAY) is not None, row(ended, END)) == (True, None)


def test_an_overlay_counts_from_its_first_day_and_no_longer_on_its_end() -> None:
    found = with_overlays(overlay("a", target(90), end=str(END)))
    assert [ruled(found, day) for day in (START - DAY, START, END - DAY, END)] == ["> 80%", ">= 90%", ">= 90%", "> 80%"]


def test_a_suspension_counts_from_its_first_day_and_no_longer_on_its_end() -> None:
    body = f"""suspend:
  - {{item: "288.5", reason: {{vi: "Chưa có", en: "Not yet"}}, document: "1/CV", from: {START + DAY}, to: {END}}}
"""
    found = with_overlays(overlay("a", body))
    rules = [row(found, day) for day in (START, START + DAY, END - DAY, END)]
    assert [one is not None and isinstance(one.rule, c.Suspended) for one in rules] == [False, True, True, False]


@pytest.mark.parametrize("turned", [False, True])
def test_the_smaller_area_has_the_last_word_whichever_is_younger(turned: bool) -> None:
    young, old = "2026-03-01", "2026-01-01"
    found = with_overlays(
        overlay("z-province", target(90), "30", young if turned else old),
        overlay("m-commune", target(70), "11074", old if turned else young),
        overlay("a-district", target(95), "298", young),
    )
    neighbour = replace(VILLAGE, code="11075-01", path="30/298/11075/11075-01")
    far = replace(VILLAGE, code="10507-01", path="30/288/10507/10507-01")
    assert [ruled(found, END, unit) for unit in (VILLAGE, neighbour, far)] == [">= 70%", ">= 95%", ">= 90%"]
    held = row(found, END)
    # However many lie over it, the sheet shows the set's own rule beside the one that counts.
    assert held is not None
    assert held.base_rule is not None
    assert (held.base_rule.text, held.overlay) == ("> 80%", "m-commune")


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_two_for_one_unit_the_younger_has_the_last_word_whatever_it_is_called(names: tuple[str, str]) -> None:
    older, younger = names
    found = with_overlays(
        overlay(older, target(90), start="2026-01-01"), overlay(younger, target(70), start="2026-03-01")
    )
    assert [ruled(found, day) for day in (START - DAY, START)] == [">= 90%", ">= 70%"]


def test_a_local_target_takes_the_place_of_a_target_by_trait() -> None:
    commune = Unit("11074", "Xã Đại Sơn", "commune", "xa", "298", "30/298/11074", date(2020, 1, 1))
    found = with_overlays(overlay("a", target(65, "c5"), on="mard-2023-eligible-smart"))
    here = found.item_for("mard-2023-eligible-smart", "c5", commune, END)
    assert here is not None
    assert isinstance(here.rule, c.RatioRule)
    assert (here.rule.by, here.rule.target, here.rule.operator) == (None, Fraction(65, 100), ">=")
    assert isinstance(here.base_rule, c.RatioRule)
    assert here.base_rule.by is not None


def test_a_unit_is_there_from_its_first_day_and_no_longer_on_its_end() -> None:
    unit = replace(VILLAGE, valid_from=START, valid_to=END)
    assert [is_valid(unit, day) for day in (START - DAY, START, END - DAY, END)] == [False, True, True, False]
    assert is_valid(replace(unit, valid_to=None), END)


def test_units_an_item_does_not_apply_to_or_is_suspended_for_are_not_counted() -> None:
    statuses = ["met", "met", "unmet", "no_data", "not_applicable", "suspended"]
    assert added_up([Outcome(one, None) for one in statuses]) == Outcome("measured", Ratio(2, 4), 1)
    assert added_up([Outcome(one, None) for one in statuses[4:]]) == Outcome("not_applicable", Ratio(0, 0))
    assert added_up([]) == Outcome("no_data", None)
    assert rolled_up(Ratio(2, 4), 6, 1) == Outcome("measured", Ratio(2, 4), 1)
    assert rolled_up(Ratio(0, 0), 6) == Outcome("not_applicable", Ratio(0, 0))
    assert rolled_up(Ratio(0, 0), 0) == Outcome("no_data", None)
