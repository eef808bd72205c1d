"""What each kind of rule says of figures on, above and below its threshold, and of figures that are not known."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest

from services.indicators.criteria import library
from services.indicators.criteria.documents import Document, shipped
from services.indicators.criteria.figures import Outcome, Ratio
from services.indicators.criteria.judging import judge, summarise

BIG = 10**18
KINDS = {
    "ty_le": "ratio",
    "so_lan": "count",
    "mot": "flag",
    "hai": "flag",
    "ba": "flag",
    "vung": "state, states: {nui: {vi: Núi, en: Upland}, dao: {vi: Đảo, en: Island}, bang: {vi: Đồng, en: Plain}}",
}
MEASURES = "theme: quy-tac\nmeasures:\n" + "".join(
    f"  - {{code: quy.{name}, title: {{vi: Thử, en: Trial}}, level: district, prefer: [staff],\n"
    f"     unit_of_measure: {{vi: hộ, en: households}}, kind: {kind}}}\n"
    for name, kind in KINDS.items()
)
SET = """\
set: quy-tac-2026
title: {{vi: "Thử", en: "Trial"}}
level: district
applies_to: {{units: ["30"]}}
legal_basis: {{number: 1/QĐ, date: 2026-01-01, issuer: UBND, title: "Thử"}}
valid_from: 2026-01-01
needs: all
items:
  - {{code: "1", title: {{vi: "Một", en: "One"}}, short: {{vi: "một", en: "one"}}, feeds: [S],
     rule: {rule}}}
"""
FLAGS = "[{flag: quy.mot}, {flag: quy.hai}, {flag: quy.ba}]"


@cache
def ships() -> tuple[Document, ...]:
    return tuple(shipped())


@cache
def rule(text: str) -> Any:
    documents = [*ships(), Document("measures/quy-tac.yaml", MEASURES), Document("sets/q.yaml", SET.format(rule=text))]
    return library.build(documents).sets["quy-tac-2026"].items[0].rule


def status(text: str, **figures: Any) -> str:
    return judge(rule(text), {f"quy.{name}": value for name, value in figures.items()}).status


@pytest.mark.parametrize(
    ("operator", "target", "counted", "everything", "expected"),
    [
        (">", "80%", 80, 100, "unmet"),
        (">", "80%", 4, 5, "unmet"),
        (">", "80%", 1999, 2500, "unmet"),
        (">", "80%", 2001, 2500, "met"),
        (">", "80%", 8 * BIG, 10 * BIG, "unmet"),
        (">", "80%", 8 * BIG + 1, 10 * BIG, "met"),
        (">=", "80%", 80, 100, "met"),
        (">=", "80%", 1999, 2500, "unmet"),
        (">=", "80%", 8 * BIG - 1, 10 * BIG, "unmet"),
        (">=", "1/3", 1, 3, "met"),
        (">=", "1/3", 333_333_333, 1_000_000_000, "unmet"),
        ("=", "100%", 7, 7, "met"),
        ("=", "100%", 6, 7, "unmet"),
        ("=", "100%", BIG - 1, BIG, "unmet"),
        ("=", "100%", 0, 1, "unmet"),
        (">=", "100%", 7, 7, "met"),
        (">", "99.96%", 2499, 2500, "unmet"),
        (">", "0%", 0, 5, "unmet"),
        (">", "0%", 1, BIG, "met"),
        (">=", "0%", 0, 5, "met"),
    ],
)
def test_a_ratio_is_compared_as_whole_numbers(
    operator: str, target: str, counted: int, everything: int, expected: str
) -> None:
    text = f'{{ratio: quy.ty_le, operator: "{operator}", target: {target}}}'
    assert status(text, ty_le=Ratio(counted, everything)) == expected


@pytest.mark.parametrize("operator", [">", ">=", "="])
def test_nobody_to_count_is_never_met_and_only_the_text_makes_it_not_applicable(operator: str) -> None:
    text = f'{{ratio: quy.ty_le, operator: "{operator}", target: 80%'
    assert status(text + "}", ty_le=Ratio(0, 0)) == "no_data"
    assert status(text + ", when_zero: not_applicable}", ty_le=Ratio(0, 0)) == "not_applicable"
    # What nobody has counted is unknown, also where a zero would be no matter.
    assert status(text + ", when_zero: not_applicable}") == "no_data"


@pytest.mark.parametrize(
    ("operator", "target", "number", "expected"),
    [
        (">=", 3, 2, "unmet"),
        (">=", 3, 3, "met"),
        (">=", 3, 4, "met"),
        (">", 3, 3, "unmet"),
        (">", 3, 4, "met"),
        ("=", 3, 3, "met"),
        ("=", 3, 4, "unmet"),
        ("=", 3, 2, "unmet"),
        (">=", 1, 0, "unmet"),
        (">=", 0, 0, "met"),
    ],
)
def test_a_count(operator: str, target: int, number: int, expected: str) -> None:
    text = f'{{count: quy.so_lan, operator: "{operator}", target: {target}}}'
    assert status(text, so_lan=number) == expected
    assert status(text) == "no_data"


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("{ratio: quy.ty_le}", "ty_le", [Ratio(0, 9), Ratio(9, 9)]),
        ("{count: quy.so_lan}", "so_lan", [0, 1, BIG]),
        ("{flag: quy.mot, judged: false}", "mot", [True, False]),
    ],
)
def test_without_a_figure_in_the_text_a_row_is_measured_whatever_the_value(
    text: str, name: str, values: list[Any]
) -> None:
    assert [status(text, **{name: value}) for value in values] == ["measured"] * len(values)
    assert status(text) == "no_data"


BY = '{ratio: quy.ty_le, operator: ">=", by: {measure: quy.vung, cases: {nui: 50%, dao: 50%}, else: 80%}}'


@pytest.mark.parametrize(
    ("place", "counted", "expected"),
    [
        ("nui", 1249, "unmet"), ("nui", 1250, "met"), ("nui", 1999, "met"),
        ("dao", 1249, "unmet"), ("dao", 1250, "met"),
        ("bang", 1250, "unmet"), ("bang", 1999, "unmet"), ("bang", 2000, "met"),
        (None, 1250, "no_data"), (None, 1999, "no_data"),
    ],
)  # fmt: skip
def test_a_threshold_by_a_trait_of_the_unit(place: str | None, counted: int, expected: str) -> None:
    assert status(BY, vung=place, ty_le=Ratio(counted, 2500)) == expected


@pytest.mark.parametrize("place", ["nui", "bang", None])
def test_a_threshold_by_a_trait_needs_the_figure_too(place: str | None) -> None:
    assert status(BY, vung=place) == "no_data"
    assert status(BY, vung=place, ty_le=Ratio(0, 0)) == "no_data"


def three_valued(needed: int, flags: tuple[bool | None, ...]) -> str:
    """`needed` of the conditions hold: certain, impossible, or open."""
    if sum(flag is True for flag in flags) >= needed:
        return "met"
    if sum(flag is not False for flag in flags) < needed:
        return "unmet"
    return "no_data"


@pytest.mark.parametrize("flags", list(itertools.product([True, False, None], repeat=3)), ids=str)
def test_all_any_and_at_least_say_what_is_certain_and_no_more(flags: tuple[bool | None, ...]) -> None:
    given = dict(zip(("mot", "hai", "ba"), flags, strict=True))
    assert status(f"{{all: {FLAGS}}}", **given) == three_valued(3, flags)
    assert status(f"{{any: {FLAGS}}}", **given) == three_valued(1, flags)
    for needed in (1, 2, 3):
        assert status(f"{{at_least: {needed}, of: {FLAGS}}}", **given) == three_valued(needed, flags)


def test_a_condition_that_does_not_apply_leaves_the_decision_to_the_others() -> None:
    nothing = '{ratio: quy.ty_le, operator: "=", target: 100%, when_zero: not_applicable}'
    both = f"{{all: [{{flag: quy.mot}}, {nothing}]}}"
    assert status(both, mot=True, ty_le=Ratio(0, 0)) == "met"
    assert status(both, mot=False, ty_le=Ratio(0, 0)) == "unmet"
    assert status(both, ty_le=Ratio(0, 0)) == "no_data"
    assert status(f"{{all: [{nothing}]}}", ty_le=Ratio(0, 0)) == "not_applicable"
    # One of two must hold: that one of them has nothing to count does not make it hold.
    either = f"{{any: [{{flag: quy.mot}}, {nothing}]}}"
    assert status(either, mot=False, ty_le=Ratio(0, 0)) in ("unmet", "not_applicable")
    assert status(either, mot=True, ty_le=Ratio(0, 0)) == "met"


CHILDREN = '{children: {set: hd-288-2023, item: "288.1"}, operator: "%s", target: %s}'


def of_children(text: str, counted: int, everything: int, unknown: int = 0) -> str:
    return judge(rule(text), {}, lambda *_: Outcome("measured", Ratio(counted, everything), unknown)).status


@pytest.mark.parametrize(
    ("operator", "target", "counted", "everything", "expected"),
    [
        (">", "60%", 3, 5, "unmet"),
        (">", "60%", 12, 20, "unmet"),
        (">", "60%", 13, 20, "met"),
        (">=", "60%", 106, 178, "unmet"),
        (">=", "60%", 107, 178, "met"),
        (">=", "20%", 35, 178, "unmet"),
        (">=", "20%", 36, 178, "met"),
        ("=", "100%", 21, 22, "unmet"),
        ("=", "100%", 22, 22, "met"),
    ],
)
def test_a_share_of_the_units_below(operator: str, target: str, counted: int, everything: int, expected: str) -> None:
    assert of_children(CHILDREN % (operator, target), counted, everything) == expected


@pytest.mark.parametrize(
    ("counted", "unknown", "expected"),
    [(14, 8, "met"), (14, 0, "met"), (13, 9, "no_data"), (13, 1, "no_data"), (13, 0, "unmet"), (9, 5, "no_data"),
     (9, 4, "unmet"), (0, 22, "no_data"), (0, 0, "unmet")],
)  # fmt: skip
def test_units_below_of_which_nobody_knows_leave_open_only_what_they_could_turn(
    counted: int, unknown: int, expected: str
) -> None:
    """Over 60% of 22: fourteen are needed."""
    assert of_children(CHILDREN % (">", "60%"), counted, 22, unknown) == expected


def test_no_unit_below_is_not_met() -> None:
    assert of_children(CHILDREN % ("=", "100%"), 0, 0) in ("no_data", "not_applicable")
    number = '{children: {set: hd-288-2023, item: "288.1"}, count: true, operator: ">=", target: 3}'
    assert of_children(number, 0, 0) != "met"


@pytest.mark.parametrize(("counted", "expected"), [(2, "unmet"), (3, "met"), (4, "met"), (0, "unmet")])
def test_a_number_of_units_below(counted: int, expected: str) -> None:
    text = '{children: {set: hd-288-2023, item: "288.1"}, count: true, operator: ">=", target: 3}'
    assert of_children(text, counted, 12) == expected


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["met", "met"], "met"),
        (["met", "unmet"], "unmet"),
        (["met", "no_data"], "no_data"),
        (["unmet", "no_data"], "unmet"),
        (["met", "not_applicable"], "met"),
        (["not_applicable", "not_applicable"], "not_applicable"),
        (["measured", "measured"], "measured"),
        (["met", "measured"], "met"),
        (["unmet", "measured"], "unmet"),
        (["no_data", "no_data"], "no_data"),
        (["met", "suspended"], "met"),
        (["unmet", "suspended"], "unmet"),
        (["suspended", "suspended"], "suspended"),
    ],
)
def test_a_sheet_is_met_when_every_row_that_is_judged_is(statuses: list[str], expected: str) -> None:
    summary = summarise(statuses)
    assert summary.status == expected
    assert (summary.met, summary.total) == (statuses.count("met"), len(statuses))
