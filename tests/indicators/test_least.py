"""The least change that turns a rule met: it does, and one less does not, whatever the rule and the figures."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Outcome, Ratio, Value
from services.indicators.criteria.judging import Lookup, judge
from services.indicators.criteria.least import Least, Step, holds_after, least, one_less

MEASURES = ("m1", "m2", "m3", "m4")
TRAIT = c.ByTrait(
    "terrain",
    (("mountainous", Fraction(1, 2)), ("island", Fraction(1, 2))),
    Fraction(4, 5),
    (("mountainous", "50%"), ("island", "50%"), ("", "80%")),
)


def ratio(operator: c.Operator, target: str, measure: str = "m1", **more: object) -> c.RatioRule:
    return c.RatioRule(measure, operator, Fraction(target), target, **more)  # type: ignore[arg-type]  # by keyword.


def step(found: Least) -> Step:
    (only,) = found.steps
    return only


@pytest.mark.parametrize(
    ("operator", "target", "figure", "more"),
    [
        # 80% of 240 is 192: more than that, at least that.
        (">", "4/5", Ratio(180, 240), 13),
        (">=", "4/5", Ratio(180, 240), 12),
        (">", "4/5", Ratio(192, 240), 1),
        # 60% of 178 is 106.8.
        (">=", "3/5", Ratio(43, 178), 64),
        (">", "3/5", Ratio(43, 178), 64),
        ("=", "1", Ratio(7, 9), 2),
        ("=", "1/2", Ratio(7, 10), -2),
        (">=", "4/5", Ratio(1999, 2500), 1),
        (">=", "4/5", Ratio(0, 1), 1),
    ],
)
def test_a_share_says_how_many_more(operator: c.Operator, target: str, figure: Ratio, more: int) -> None:
    found = least(ratio(operator, target), {"m1": figure})
    assert (found.exact, step(found).more) == (True, more)
    assert step(found).becomes == Ratio(figure.numerator + more, figure.denominator)


def test_what_no_number_can_do_is_not_promised() -> None:
    assert not least(ratio(">", "1"), {"m1": Ratio(5, 5)}).reachable
    assert not least(ratio("=", "1/3"), {"m1": Ratio(0, 10)}).reachable
    assert least(ratio(">", "1"), {"m1": Ratio(5, 5)}, unbounded={"m1"}).effort == 1


def test_what_nobody_told_of_must_come_first() -> None:
    for figure in (None, Ratio(0, 0)):
        found = least(ratio(">", "4/5"), {"m1": figure})
        assert (found.reachable, found.exact, found.missing) == (True, False, ("m1",))
    found = least(c.CountRule("m1", ">=", 3), {})
    assert (found.exact, step(found).becomes) == (True, 3)


def test_rows_that_are_not_judged_have_nothing_to_reach() -> None:
    assert not least(c.RatioRule("m1"), {"m1": Ratio(1, 2)}).reachable
    zero = c.RatioRule("m1", "=", Fraction(1), "100%", "not_applicable")
    assert least(zero, {"m1": Ratio(0, 0)}).status == "not_applicable"
    suspended = c.Suspended(ratio(">", "4/5"), "ov", c.Text("vì", "because"), "CV 1")
    assert least(suspended, {"m1": Ratio(0, 5)}).status == "suspended"


@pytest.mark.parametrize(("terrain", "more"), [("mountainous", 0), ("plain", 31), (None, 31)])
def test_a_target_by_trait_is_that_of_the_unit_and_the_highest_while_it_is_unknown(
    terrain: str | None, more: int
) -> None:
    rule = c.RatioRule("m1", ">=", by=TRAIT)
    found = least(rule, {"m1": Ratio(49, 100), "terrain": terrain})
    assert found.effort == (1 if terrain == "mountainous" else more)
    assert least(rule, {"m1": Ratio(50, 100), "terrain": "mountainous"}).status == "met"


def test_units_below_are_counted_as_a_share_or_as_a_number() -> None:
    share = c.ChildrenRule("s", "i", ">", Fraction(3, 5), "60%")
    found = least(share, {}, lambda *_: Outcome("measured", Ratio(12, 23), 4))
    assert (step(found).kind, step(found).subject, step(found).more) == ("children", "s/i", 2)
    number = c.ChildrenRule("s", "i", ">=", 3, "3", count=True)
    assert least(number, {}, lambda *_: Outcome("measured", Ratio(1, 12), 11)).effort == 2
    assert not least(number, {}, lambda *_: Outcome("measured", Ratio(1, 2), 1)).reachable


def test_the_cheapest_branch_is_taken_and_shared_figures_are_paid_once() -> None:
    figures = {"m1": Ratio(10, 100), "m2": Ratio(70, 100), "m3": False}
    either = c.Composed((ratio(">=", "4/5"), ratio(">=", "4/5", "m2")), 1)
    assert [(s.subject, s.more) for s in least(either, figures).steps] == [("m2", 10)]
    two = c.Composed((ratio(">=", "4/5"), ratio(">=", "4/5", "m2"), c.FlagRule("m3")), 2)
    assert {s.subject for s in least(two, figures).steps} == {"m2", "m3"}
    # Both of the first two rest on m1: once it is at 60% both hold, which is less than any two others.
    shared = c.Composed((ratio(">=", "1/2"), ratio(">=", "3/5"), ratio(">=", "1", "m2")), 2)
    assert least(shared, {"m1": Ratio(10, 100), "m2": Ratio(45, 100)}).effort == 50


def test_all_conditions_are_added_up() -> None:
    figures: dict[str, Value] = {"m1": Ratio(3, 10), "m2": 1}
    rule = c.Composed((ratio(">=", "1/2"), c.CountRule("m2", ">=", 4), c.FlagRule("m3")))
    found = least(rule, figures)
    assert [(s.subject, s.more) for s in found.steps] == [("m1", 2), ("m2", 3), ("m3", 1)]
    assert found.effort == 6


operators = st.sampled_from((">", ">=", "="))
targets = st.sampled_from([Fraction(n, d) for d in (1, 2, 3, 4, 5, 7, 20, 100) for n in range(1, d + 1)])
measures = st.sampled_from(MEASURES)
ratio_rules = st.builds(
    lambda m, o, t, by: c.RatioRule(m, o, None if by else t, "x", by=TRAIT if by else None),
    st.sampled_from(MEASURES[:2]), st.sampled_from((">", ">=")), targets, st.booleans(),
)  # fmt: skip
simple_rules = (
    ratio_rules
    | st.builds(c.CountRule, st.just("m3"), st.sampled_from((">", ">=")), st.integers(0, 50))
    | st.builds(c.FlagRule, st.just("m4"))
    | st.builds(
        lambda o, t: c.ChildrenRule("s", "i", o, t, "x"), st.sampled_from((">", ">=")), targets
    )
    | st.builds(lambda n: c.ChildrenRule("s", "i", ">=", n, "x", count=True), st.integers(1, 6))
    | st.just(c.ItemRule("s", "own"))
)  # fmt: skip
rules = st.recursive(
    simple_rules,
    lambda parts: st.lists(parts, min_size=1, max_size=4).flatmap(
        lambda found: st.builds(
            c.Composed, st.just(tuple(found)), st.none() | st.integers(1, len(found))
        )
    ),
    max_leaves=8,
)  # fmt: skip
ratios = st.integers(0, 300).flatmap(lambda d: st.builds(Ratio, st.integers(0, d), st.just(d)))
standing = st.fixed_dictionaries(
    {
        "m1": st.none() | ratios, "m2": ratios, "m3": st.none() | st.integers(0, 60), "m4": st.none() | st.booleans(),
        "terrain": st.sampled_from((None, "mountainous", "plain")),
    }
)  # fmt: skip


def lookup_of(below: Ratio, unknown: int, own: str) -> Lookup:
    def lookup(_set_code: str, item_code: str) -> Outcome:
        if item_code == "own":
            return Outcome(own, None)
        return Outcome("measured", below, min(unknown, below.denominator - below.numerator))

    return lookup


@settings(max_examples=600, deadline=None)
@given(rules, standing, ratios, st.integers(0, 20), st.sampled_from(("met", "unmet", "no_data")))
def test_the_least_change_turns_it_and_one_less_does_not(
    rule: c.Rule, figures: dict[str, Value | None], below: Ratio, unknown: int, own: str
) -> None:
    lookup = lookup_of(below, unknown, own)
    found = least(rule, figures, lookup)
    assert found.status == judge(rule, figures, lookup).status
    if found.status == "met":
        assert found.steps == ()
    if not found.exact or found.status == "met":
        return
    assert found.steps
    assert holds_after(rule, found.steps, figures, lookup)
    for place, step in enumerate(found.steps):
        less = one_less(step)
        rest = (*found.steps[:place], *((less,) if less else ()), *found.steps[place + 1 :])
        assert not holds_after(rule, rest, figures, lookup), (step, less)


@settings(max_examples=300, deadline=None)
@given(operators, targets, ratios)
def test_a_single_share_is_turned_by_the_smallest_number_there_is(
    operator: c.Operator, target: Fraction, figure: Ratio
) -> None:
    rule = c.RatioRule("m1", operator, target, "x")
    found = least(rule, {"m1": figure})
    possible = [
        n - figure.numerator
        for n in range(figure.denominator + 1)
        if figure.denominator and judge(rule, {"m1": Ratio(n, figure.denominator)}).status == "met"
    ]
    if found.status == "met" or not figure.denominator:
        assert found.steps == ()
    elif possible:
        assert step(found).effort == min(map(abs, possible))
    else:
        assert not found.reachable
