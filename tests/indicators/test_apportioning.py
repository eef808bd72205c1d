"""Parting and adding up figures of reorganised units: whole numbers, and the parts are the whole."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.indicators.criteria.figures import Ratio
from services.indicators.reorganisation.apportioning import added, parted, parted_ratio

weights = st.lists(st.integers(0, 1000), min_size=1, max_size=7).filter(sum)


def shares_of(parts: list[int]) -> dict[str, Fraction]:
    return {f"u{n}": Fraction(part, sum(parts)) for n, part in enumerate(parts)}


@given(st.integers(0, 10**9), weights)
def test_parts_add_up_to_the_whole_and_are_within_one_of_their_quota(whole: int, parts: list[int]) -> None:
    shares = shares_of(parts)
    found = parted(whole, shares)
    assert sum(found.values()) == whole
    assert all(abs(found[name] - share * whole) < 1 for name, share in shares.items())


@given(st.integers(0, 10**6), st.integers(0, 10**6), weights)
def test_a_share_stays_a_share_in_every_part(numerator: int, more: int, parts: list[int]) -> None:
    whole = Ratio(numerator, numerator + more)
    found = parted_ratio(whole, shares_of(parts))
    assert added(list(found.values())) == whole
    assert all(part.numerator <= part.denominator for part in found.values())


def test_what_is_left_goes_to_the_largest_remainders_and_ties_to_the_earlier() -> None:
    third = {name: Fraction(1, 3) for name in ("a", "b", "c")}
    assert parted(10, third) == {"a": 4, "b": 3, "c": 3}
    assert parted(100, {"a": Fraction(1, 7), "b": Fraction(6, 7)}) == {"a": 14, "b": 86}
    assert parted_ratio(Ratio(1, 2), {"a": Fraction(1, 2), "b": Fraction(1, 2)}) == {"a": Ratio(1, 1), "b": Ratio(0, 1)}
    # Without the cap the numerator's remainder would give a part 1 of 0.
    assert parted_ratio(Ratio(1, 1), {"a": Fraction(2, 5), "b": Fraction(3, 5)})["b"] == Ratio(1, 1)


@pytest.mark.parametrize("shares", [{"a": Fraction(1, 2)}, {"a": Fraction(3, 2), "b": Fraction(-1, 2)}, {}])
def test_shares_that_are_not_parts_of_one_are_refused(shares: dict[str, Fraction]) -> None:
    with pytest.raises(ValueError, match="parts of 1"):
        parted(5, shares)
    with pytest.raises(TypeError):
        added([Ratio(1, 2), 3])
