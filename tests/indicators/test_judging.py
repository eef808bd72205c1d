"""What a rule says of figures: thresholds by trait, children, other items, suspended parts; exact at the boundaries."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from chassis.units import Unit
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import judging, library
from services.indicators.criteria.figures import Outcome, Ratio, Value
from tests.indicators.elsewhere import catalogue_with

CATALOGUE = library.catalogue()
DAY = date(2024, 6, 1)
COMMUNE = Unit("11083", "Xã Đại Sơn", "commune", "xa", "298", "30/298/11083", date(2019, 12, 1))
TOWN = Unit("11074", "Thị trấn Tứ Kỳ", "commune", "thi_tran", "298", "30/298/11074", date(2019, 12, 1))
ELSEWHERE = Unit("13702", "Xã Giao Phong", "commune", "xa", "365", "36/365/13702", date(2019, 12, 1))


def item(set_code: str, code: str) -> c.Item:
    found = CATALOGUE.sets[set_code].item(code)
    assert found is not None
    return found


BY = c.RatioRule(
    "m", ">=", by=c.ByTrait("t", (("hill", Fraction(1, 2)),), Fraction(4, 5), (("hill", "50%"), ("", "80%")))
)


@pytest.mark.parametrize(
    ("figure", "trait", "status"),
    [
        (Ratio(50, 100), "hill", "met"),
        (Ratio(4999, 10000), "hill", "unmet"),
        (Ratio(80, 100), "other", "met"),
        (Ratio(7999, 10000), "other", "unmet"),
        (Ratio(85, 100), None, "met"),  # enough wherever the commune lies.
        (Ratio(60, 100), None, "no_data"),  # the trait decides and nobody knows it.
        (Ratio(40, 100), None, "unmet"),  # too little wherever it lies.
        (Ratio(0, 0), "hill", "no_data"),
        (None, "hill", "no_data"),
    ],
)
def test_a_threshold_by_a_trait(figure: Ratio | None, trait: str | None, status: str) -> None:
    assert judging.judge(BY, {"m": figure, "t": trait}).status == status


def below(figure: Ratio | None, unknown: int = 0) -> judging.Lookup:
    status = "no_data" if figure is None else "measured"
    return lambda _set, _item: Outcome(status, figure, unknown)


@pytest.mark.parametrize(
    ("changed", "figure", "unknown", "status"),
    [
        ({}, Ratio(60, 100), 0, "unmet"),  # over 60%: exactly 60% is not enough.
        ({}, Ratio(61, 100), 0, "met"),
        ({}, Ratio(61, 100), 39, "met"),  # whatever the others turn out to be.
        ({}, Ratio(50, 100), 20, "no_data"),  # 70 are still possible.
        ({}, Ratio(50, 100), 10, "unmet"),  # 60 at most.
        ({"unknown": "unmet"}, Ratio(50, 100), 20, "unmet"),
        ({"operator": "=", "target": Fraction(1)}, Ratio(23, 23), 0, "met"),
        ({"operator": "=", "target": Fraction(1)}, Ratio(22, 23), 0, "unmet"),
        ({"operator": "=", "target": Fraction(1)}, Ratio(22, 23), 1, "no_data"),
        ({"operator": "=", "target": Fraction(1)}, Ratio(0, 23), 23, "no_data"),
        ({"operator": "=", "target": Fraction(1, 2)}, Ratio(10, 24), 5, "no_data"),
        ({"operator": "=", "target": Fraction(1, 2)}, Ratio(12, 24), 1, "no_data"),  # one more would be too many.
        ({"operator": "=", "target": Fraction(1, 2)}, Ratio(13, 24), 5, "unmet"),  # there are too many already.
        ({"operator": "=", "target": Fraction(1, 2)}, Ratio(10, 24), 1, "unmet"),
        ({"operator": "=", "target": Fraction(1, 2)}, Ratio(10, 23), 5, "unmet"),  # nobody can be half a unit.
        ({"count": True, "operator": "=", "target": 3}, Ratio(2, 12), 1, "no_data"),
        ({"count": True, "operator": "=", "target": 3}, Ratio(4, 12), 1, "unmet"),
        ({"count": True, "operator": ">=", "target": 3}, Ratio(3, 12), 0, "met"),
        ({"count": True, "operator": ">=", "target": 3}, Ratio(2, 12), 0, "unmet"),
        ({"count": True, "operator": ">=", "target": 3}, Ratio(2, 12), 1, "no_data"),
        ({}, Ratio(0, 0), 0, "no_data"),
        ({"when_zero": "not_applicable"}, Ratio(0, 0), 0, "not_applicable"),
        ({}, None, 0, "no_data"),
        ({"operator": None, "target": None}, Ratio(1, 2), 0, "measured"),
    ],
)
def test_a_share_of_units_below(changed: dict[str, Any], figure: Ratio | None, unknown: int, status: str) -> None:
    rule = c.ChildrenRule("s", "i", **{"operator": ">", "target": Fraction(3, 5), "target_text": "60%", **changed})
    assert judging.judge(rule, {}, below(figure, unknown)).status == status


@pytest.mark.parametrize("status", ["met", "unmet", "no_data", "not_applicable", "measured", "suspended"])
def test_another_item_of_the_same_unit(status: str) -> None:
    rule = c.ItemRule("s", "i")
    assert judging.judge(rule, {}, lambda _s, _i: Outcome(status, None)).status == status


def test_the_planned_numbers_of_hai_duong_come_out_of_the_shares() -> None:
    """60% and 20% of 178 communes are the 107 and 36 of the plan."""
    for code, have, planned in (("1", 43, 107), ("2", 4, 36)):
        rule = item("hd-2025", code).rule
        assert judging.judge(rule, {}, below(Ratio(have, 178))) == Outcome("unmet", Ratio(have, 178))
        more = judging.lacking(rule, {}, below(Ratio(have, 178)))
        assert more is not None
        assert have + more == planned
        assert judging.judge(rule, {}, below(Ratio(planned, 178))).status == "met"
        assert judging.judge(rule, {}, below(Ratio(planned - 1, 178))).status == "unmet"


def test_letter_1414_suspends_its_own_condition_where_it_holds() -> None:
    figures: dict[str, Any] = {
        "commune.dossiers_online": Ratio(1, 2),
        "commune.officials_digital_training": Ratio(9, 9),
        "commune.people_digital_training": Ratio(7, 10),
        "commune.ocop_on_floor": Ratio(0, 0),
        "commune.satisfaction_survey_app": True,
    }
    here = CATALOGUE.item_for("hd-1414-ntm-advanced-8", "8.4", COMMUNE, DAY)
    assert CATALOGUE.item_for("hd-1414-ntm-advanced-8", "8.4", ELSEWHERE, DAY) is None, "it is for Hải Dương alone"
    there = catalogue_with("36").item_for("hd-1414-ntm-advanced-8", "8.4", ELSEWHERE, DAY)
    assert here is not None
    assert there is not None
    assert judging.judge(here.rule, figures).status == "met"
    assert judging.judge(there.rule, figures).status == "no_data"
    (part,) = c.suspensions_of(here.rule)
    assert (part.document, part.overlay) == ("1414/STTTT-BCVTCNTT, mục 5.1", "hd-1414-digital-addresses-advanced")
    before = CATALOGUE.item_for("hd-1414-ntm-advanced-8", "8.4", COMMUNE, date(2022, 10, 31))
    assert before is None, "the letter itself is of 1 November 2022"
    whole = CATALOGUE.item_for("hd-1414-ntm-model-4.7", "s2", COMMUNE, DAY)
    assert whole is not None
    assert judging.judge(whole.rule, {"commune.address_map": False}) == Outcome("suspended", False)


def test_a_set_is_for_units_of_its_level_and_kind() -> None:
    assert CATALOGUE.items_for("hd-1414-ntm-8", COMMUNE, DAY)
    assert CATALOGUE.items_for("hd-1414-ntm-8", TOWN, DAY) == ()
    assert CATALOGUE.items_for("hd-288-2023", COMMUNE, DAY) == ()


def test_what_is_looked_at_comes_before_who_looks() -> None:
    seen: set[tuple[str, str]] = set()
    for pair in CATALOGUE.order:
        found = next(row for row in CATALOGUE.rows_of(pair[0]) if row.code == pair[1])
        assert set(found.looks_at) <= seen, pair
        seen.add(pair)
    assert seen == {(s.code, row.code) for s in CATALOGUE.sets.values() for row in s.items}


def test_a_figure_added_up_from_below_depends_on_what_lies_below() -> None:
    assert ("hd-1414-ntm-model-4.7", "s3") in CATALOGUE.dependants["household.fibre"]
    assert ("tuky-2025", "3b") in CATALOGUE.dependants["item:hd-1414-ntm-advanced-8/8.4"]


def test_conditions_that_are_suspended_or_do_not_apply_are_not_asked_for() -> None:
    part = c.Suspended(c.FlagRule("a"), "o", c.Text("vì", "why"), "d")
    four = c.Composed((part, c.FlagRule("b"), c.FlagRule("d")), 3)
    assert judging.judge(four, {"a": False, "b": True, "d": True}).status == "met"
    assert judging.judge(c.Composed((part,)), {"a": True}).status == "suspended"
    assert judging.lacking(four, {"a": False, "b": True, "d": False}) == 1


def test_the_least_for_children_and_traits() -> None:
    rule = c.ChildrenRule("s", "i", ">", Fraction(3, 5), "60%")
    assert judging.lacking(rule, {}, below(Ratio(12, 22))) == 2
    assert judging.lacking(c.ChildrenRule("s", "i", ">=", 3, "3", count=True), {}, below(Ratio(1, 12))) == 2
    assert judging.lacking(BY, {"m": Ratio(40, 100), "t": "hill"}) == 10
    assert judging.lacking(BY, {"m": Ratio(40, 100), "t": None}) == 40


@pytest.mark.parametrize("code", [s for s in CATALOGUE.sets if s.startswith("mard-2023-smart-commune")])
def test_the_39_indicators_are_measured_whatever_they_are(code: str) -> None:
    rows = CATALOGUE.sets[code].items
    assert len(rows) == 39
    for row in rows:
        values: tuple[dict[str, Value], ...] = (
            {"ratio": Ratio(0, 5), "flag": False, "count": 0},
            {"ratio": Ratio(5, 5), "flag": True, "count": 9},
        )
        for value in values:
            figures = {measure: value[CATALOGUE.measures[measure].kind] for measure in row.measures}
            assert judging.judge(row.rule, figures).status == "measured"


def test_a_set_may_need_any_of_its_rows() -> None:
    criteria = CATALOGUE.sets["mard-2023-ecommerce-core"]
    assert judging.summarise(["met", "unmet", "no_data", "unmet", "unmet"], criteria.needed) == ("met", 1, 5)
    assert judging.summarise(["unmet"] * 5, criteria.needed).status == "unmet"
    assert judging.summarise(["unmet"] * 4 + ["no_data"], criteria.needed).status == "no_data"
