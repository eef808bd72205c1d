"""Every row of the sets B to G on either side of each of its boundaries, as the source texts have them."""

from __future__ import annotations

import itertools

import pytest

from services.indicators.criteria import library
from services.indicators.criteria.judging import summarise
from tests.indicators.spec.binding import bindings, statuses_of
from tests.indicators.spec.cases import Case, all_cases, concepts, document, told_sets


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_the_row_is_what_the_text_says(case: Case) -> None:
    found = statuses_of(case)
    assert found
    assert set(found.values()) <= case.allowed, found


@pytest.mark.parametrize("name", told_sets())
def test_every_row_of_the_set_is_told_and_no_other(name: str) -> None:
    """A row that the text does not have, or one of its own that it misses, is a fault of the set."""
    criteria = library.catalogue().sets[name]
    told = document(name)
    assert criteria.level == told["level"]
    assert {row: set(bindings()[name][row]["facts"]) for row in told["rows"]} == {
        row: set(concepts(name, row)) for row in told["rows"]
    }
    assert [item.code for item in criteria.items] == [bindings()[name][row]["code"] for row in told["rows"]]


@pytest.mark.parametrize("name", [name for name in told_sets() if document(name).get("one_is_enough")])
def test_one_of_the_contents_is_enough_and_any_mix_is(name: str) -> None:
    criteria = library.catalogue().sets[name]
    for statuses in itertools.product(["met", "unmet", "no_data"], repeat=len(criteria.items)):
        known = "met" if "met" in statuses else "no_data" if "no_data" in statuses else "unmet"
        assert summarise(statuses, criteria.needed).status == known, statuses
