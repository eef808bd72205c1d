"""Owns what values, figures and outcomes are: exact whole numbers, yes or no, the name of a state.

A share is kept as the two numbers it was counted from, never as a percentage: 79.96% is not 80%.
"""

from __future__ import annotations

from typing import NamedTuple


class Ratio(NamedTuple):
    """Whole numbers, not below 0. The numerator is at most the denominator unless the measure is `unbounded`."""

    numerator: int
    denominator: int


Value = Ratio | bool | int | str
"""Of a fact: a ratio, a flag, a count, or the name of a state."""

Figure = Ratio | bool | int
"""Of a measure that is counted or of an item. A measure of kind `state` has the name of its state instead."""


class Outcome(NamedTuple):
    """Status and figure of an item (or of one part of its rule).

    `unknown` is used of roll-ups only: how many of the units in the figure's denominator nothing is known of.
    """

    status: str
    figure: Figure | None
    unknown: int = 0


class Summary(NamedTuple):
    """Status of a whole sheet; `met` of `total` items."""

    status: str
    met: int
    total: int


def whole(value: Value | None) -> int:
    """A count as a number; raises TypeError for anything else, which the library and the intake rule out."""
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"{value!r} is no count")
