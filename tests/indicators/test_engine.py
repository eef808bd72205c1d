"""The arithmetic at its boundaries, written from the text of the decision: 80% is not more than 80%."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from services.indicators.calculation import engine
from services.indicators.calculation.engine import Fact, Figure, Outcome, Ratio
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import library
from tests.indicators.outcomes import outcome_of

TODAY = date(2026, 11, 22)
NOON = datetime(2026, 11, 22, 5, tzinfo=UTC)
CATALOGUE = library.catalogue()
SET = CATALOGUE.sets["hd-288-2023"]


def reported(measure: str, value: Figure, **changed: object) -> Fact:
    fact = Fact(measure, "u/", "viettel", "partner", "u@2020-01-01", value, 1, "observation:viettel/1", NOON)
    return replace(fact, **changed)  # type: ignore[arg-type]  # a builder takes any field.


def outcome(code: str, facts: Sequence[Fact], today: date = TODAY) -> Outcome:
    item = SET.item(code)
    assert item is not None
    return outcome_of(item, CATALOGUE, engine.tally(facts, CATALOGUE), facts, today)


def entities(attribute: str, *values: object, **changed: object) -> list[Fact]:
    return [
        replace(reported(attribute, True), entity=f"e{i}", value=value, **changed)  # type: ignore[arg-type]
        for i, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("code", "measure", "numerator", "denominator", "status"),
    [
        ("288.5", "village.fibre_households", 80, 100, "unmet"),  # trên 80%: exactly 80% is not enough.
        ("288.5", "village.fibre_households", 81, 100, "met"),
        ("288.5", "village.fibre_households", 4, 5, "unmet"),
        ("288.5", "village.fibre_households", 7996, 10000, "unmet"),
        ("288.5", "village.fibre_households", 8001, 10000, "met"),
        ("288.5", "village.fibre_households", 0, 0, "no_data"),
        ("288.6", "village.mobile_internet_people", 95, 100, "met"),  # có 95%: exactly 95% is enough.
        ("288.6", "village.mobile_internet_people", 94, 100, "unmet"),
        ("288.6", "village.mobile_internet_people", 94999, 100000, "unmet"),
        ("288.6", "village.mobile_internet_people", 19, 20, "met"),
        ("288.6", "village.mobile_internet_people", 0, 0, "no_data"),
        ("288.7", "village.audible_area", 6, 6, "met"),
        ("288.7", "village.audible_area", 5, 6, "unmet"),
        ("288.7", "village.audible_area", 0, 0, "no_data"),
        ("288.8", "village.signal_area", 2**62, 2**62, "met"),
        ("288.8", "village.signal_area", 2**62 - 1, 2**62, "unmet"),
        ("288.8", "village.signal_area", 0, 0, "no_data"),
        ("288.9", "village.key_products_online", 1, 1, "met"),
        ("288.9", "village.key_products_online", 2, 3, "unmet"),
        ("288.9", "village.key_products_online", 0, 0, "not_applicable"),  # nothing to sell.
    ],
)
def test_ratios_at_their_boundaries(code: str, measure: str, numerator: int, denominator: int, status: str) -> None:
    value = Ratio(numerator, denominator)
    assert outcome(code, [reported(measure, value)]) == Outcome(status, value)


@pytest.mark.parametrize("item", SET.items, ids=lambda item: item.code)
def test_no_facts_at_all_is_no_data(item: c.Item) -> None:
    assert outcome(item.code, []) == Outcome("no_data", None)


@pytest.mark.parametrize(
    ("code", "facts", "status"),
    [
        ("288.1", entities("petition.answer", "answered", period="2026"), "met"),
        ("288.1", entities("petition.answer", "answered", period="2025"), "unmet"),
        ("288.1", entities("petition.answer", "open", period="2026"), "unmet"),
        ("288.2", entities("loudspeaker.service", "silent", "working"), "met"),
        ("288.2", entities("loudspeaker.service", "silent", "analogue", "retired"), "unmet"),
        (
            "288.3",
            [*entities("team.standing", "registered"), *entities("team.activity", "logged", period="2026")],
            "met",
        ),
        ("288.3", entities("team.standing", "registered"), "unmet"),
        ("288.4", entities("camera.watch", "public_place", "main_road"), "met"),
        ("288.4", entities("camera.watch", "public_place", "public_place"), "unmet"),
        ("288.4", entities("camera.watch", "dark", "main_road"), "unmet"),
        ("288.5", entities("household.fibre", *[True] * 5), "met"),
        ("288.5", entities("household.fibre", *[True] * 4, False), "unmet"),
    ],
)
def test_facts_of_entities_are_counted(code: str, facts: list[Fact], status: str) -> None:
    assert outcome(code, facts).status == status


def test_a_register_keeps_a_few_reported_households_from_being_all_of_them() -> None:
    fibre = entities("household.fibre", True, True, True)
    assert outcome("288.5", fibre) == Outcome("met", Ratio(3, 3))
    register = reported("village.households", 100, origin="staff", source="staff.1")
    assert outcome("288.5", [*fibre, register]) == Outcome("unmet", Ratio(3, 100))


def test_a_withdrawn_fact_counts_no_more() -> None:
    fibre = entities("household.fibre", True, True, True, True, False)
    assert outcome("288.5", fibre) == Outcome("unmet", Ratio(4, 5))
    fibre[4] = replace(fibre[4], withdrawn=True)
    assert outcome("288.5", fibre) == Outcome("met", Ratio(4, 4))
    assert outcome("288.8", [reported("village.signal_area", Ratio(1, 1), withdrawn=True)]).status == "no_data"


def test_of_several_sources_the_preferred_one_counts_and_the_disagreement_shows() -> None:
    measure = CATALOGUE.measures["village.fibre_households"]
    telecom = reported("village.fibre_households", Ratio(812, 1000))
    commune = reported("village.fibre_households", Ratio(790, 1000), origin="staff", source="staff.1", sequence=9)
    reading = engine.read(measure, {}, [commune, telecom], TODAY)
    assert (reading.figure, reading.disagrees, len(reading.candidates)) == (Ratio(812, 1000), True, 2)
    later = reported("village.fibre_households", Ratio(805, 1000), source="vnpt", sequence=2)
    assert engine.read(measure, {}, [commune, telecom, later], TODAY).figure == Ratio(805, 1000)


@pytest.mark.parametrize(
    ("below", "sum_"),
    [
        ([], None),
        ([Ratio(1, 2), Ratio(3, 4)], Ratio(4, 6)),
        ([Ratio(1, 2), None], None),  # what one of them has is not what all of them have.
        ([None, None], None),
        ([Ratio(0, 0), Ratio(3, 4)], Ratio(3, 4)),
        ([3, 0, 4], 7),
        ([3, None], None),
    ],
)
def test_a_sum_is_known_once_every_part_is(below: list[Figure | None], sum_: Figure | None) -> None:
    assert engine.added_up(below) == sum_


@pytest.mark.parametrize(("register", "denominator"), [(None, 3), (2, 3), (3, 3), (100, 100), (0, 3)])
def test_the_register_is_the_least_there_is_to_count(register: int | None, denominator: int) -> None:
    """Three households told of a hundred are 3/100; a register that is behind takes none away."""
    told = entities("household.fibre", True, True, False)
    registers = [] if register is None else [reported("village.households", register, origin="staff", source="s")]
    measure = CATALOGUE.measures["village.fibre_households"]
    found = engine.read(measure, engine.tally(told, CATALOGUE), registers, TODAY)
    assert found.figure == Ratio(2, denominator)


def test_a_figure_of_a_later_period_counts_whenever_it_was_sent() -> None:
    autumn = reported("village.signal_area", Ratio(9, 9), period="2026-Q3", sequence=1)
    corrected = reported("village.signal_area", Ratio(8, 9), period="2026-Q2", sequence=2)
    assert outcome("288.8", [corrected, autumn]).figure == Ratio(9, 9)


def test_one_source_saying_yes_is_enough_where_the_policy_says_so() -> None:
    filed = entities("petition.answer", "open", period="2026")
    staff = reported("village.digital_dialogue", True, origin="staff", source="staff.1", period="2026")
    assert outcome("288.1", [*filed, staff]).status == "met"
    assert outcome("288.1", [*filed, replace(staff, period="2025")]).status == "unmet"


def test_a_rule_without_a_figure_is_measured() -> None:
    rule = c.RatioRule("village.signal_area")
    assert engine.judge(rule, {"village.signal_area": Ratio(1, 2)}).status == "measured"
    assert engine.judge(c.CountRule("x"), {"x": 3}).status == "measured"


@pytest.mark.parametrize(
    ("operator", "target", "figure", "status"),
    [(">=", 2, 2, "met"), (">", 2, 2, "unmet"), ("=", 2, 3, "unmet"), (">=", 2, 1, "unmet")],
)
def test_counts_are_compared_exactly(operator: c.Operator, target: int, figure: int, status: str) -> None:
    assert engine.judge(c.CountRule("x", operator, target), {"x": figure}).status == status


@pytest.mark.parametrize(
    ("needed", "statuses", "status"),
    [
        (None, ["met", "met"], "met"),
        (None, ["met", "unmet", "no_data"], "unmet"),
        (None, ["met", "no_data"], "no_data"),
        (None, ["met", "not_applicable"], "met"),
        (None, ["not_applicable"], "not_applicable"),
        (None, ["measured", "not_applicable"], "measured"),
        (1, ["unmet", "met"], "met"),
        (1, ["unmet", "no_data"], "no_data"),
        (1, ["unmet", "unmet"], "unmet"),
        (2, ["met", "unmet", "met"], "met"),
        (2, ["met", "unmet", "no_data"], "no_data"),
        (2, ["met", "unmet", "unmet"], "unmet"),
    ],
)
def test_composed_rules(needed: int | None, statuses: list[str], status: str) -> None:
    figures: dict[str, Figure | None] = {}
    rules: list[c.Rule] = []
    for i, wanted in enumerate(statuses):
        name = f"m{i}"
        if wanted in ("measured", "not_applicable"):
            figures[name] = Ratio(1, 2) if wanted == "measured" else Ratio(0, 0)
            rules.append(c.RatioRule(name, when_zero="not_applicable"))
        else:
            figures[name] = {"met": True, "unmet": False, "no_data": None}[wanted]
            rules.append(c.FlagRule(name))
    assert engine.judge(c.Composed(tuple(rules), needed), figures).status == status


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["met"] * 9, ("met", 9, 9)),
        (["met"] * 8 + ["not_applicable"], ("met", 8, 9)),
        (["met"] * 8 + ["no_data"], ("no_data", 8, 9)),
        (["met"] * 7 + ["no_data", "unmet"], ("unmet", 7, 9)),
        (["met"] * 8 + ["suspended"], ("met", 8, 9)),
    ],
)
def test_a_sheet_is_met_when_nothing_in_it_is_open(statuses: list[str], expected: tuple[str, int, int]) -> None:
    assert engine.summarise(statuses) == expected


@pytest.mark.parametrize(
    ("rule", "figure", "more"),
    [
        (c.RatioRule("x", ">", Fraction(4, 5)), Ratio(80, 100), 1),
        (c.RatioRule("x", ">", Fraction(4, 5)), Ratio(69, 100), 12),
        (c.RatioRule("x", ">=", Fraction(19, 20)), Ratio(94, 100), 1),
        (c.RatioRule("x", ">=", Fraction(19, 20)), Ratio(0, 3), 3),
        (c.RatioRule("x", "=", Fraction(1)), Ratio(3, 7), 4),
        (c.RatioRule("x", "=", Fraction(1)), Ratio(0, 0), None),
        (c.RatioRule("x", ">", Fraction(1)), Ratio(7, 7), None),
        (c.CountRule("x", ">", 3), 1, 3),
        (c.FlagRule("x"), False, 1),
    ],
)
def test_the_least_that_would_do(rule: c.Rule, figure: Figure, more: int | None) -> None:
    assert engine.lacking(rule, {"x": figure}) == more
    if more and isinstance(figure, Ratio):
        enough = engine.judge(rule, {"x": Ratio(figure.numerator + more, figure.denominator)})
        too_few = engine.judge(rule, {"x": Ratio(figure.numerator + more - 1, figure.denominator)})
        assert (enough.status, too_few.status) == ("met", "unmet")


@pytest.mark.parametrize("period", ["26", "2026-", "2026-13", "2026-Q5", "2026-1", "20２6", "2026-11-22", "x"])
def test_malformed_periods_are_refused(period: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        engine.period_bounds(period)


def test_periods_have_bounds() -> None:
    assert engine.period_bounds("2026") == (date(2026, 1, 1), date(2027, 1, 1))
    assert engine.period_bounds("2026-Q4") == (date(2026, 10, 1), date(2027, 1, 1))
    assert engine.period_bounds("2026-12") == (date(2026, 12, 1), date(2027, 1, 1))
    assert engine.period_end("2026-02") == date(2026, 2, 28)
