"""Owns the arithmetic of a reorganisation: how the figure of a unit is parted among its successors, and added up.

Exact: shares are rationals, parts are whole numbers, and the parts add up to the whole. Each part first gets the whole
number below its quota; what is left goes, one each, to the largest remainders, ties to the earlier name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

from services.indicators.criteria.figures import Ratio

K = TypeVar("K", bound=str)


def parted(whole: int, shares: Mapping[K, Fraction], caps: Mapping[K, int] | None = None) -> dict[K, int]:
    """`whole` parted by shares that add up to 1; `caps` keeps a part from exceeding a number (they hold the whole).

    Raises ValueError for shares that do not add up to 1 or are negative, and for a whole below 0.
    """
    if whole < 0 or any(share < 0 for share in shares.values()) or sum(shares.values(), Fraction(0)) != 1:
        raise ValueError("shares must be parts of 1")
    quotas = {name: share * whole for name, share in shares.items()}
    parts = {name: quota.numerator // quota.denominator for name, quota in quotas.items()}
    left = whole - sum(parts.values())
    order = sorted(quotas, key=lambda name: (parts[name] - quotas[name], name))
    while left:
        given = 0
        for name in order:
            if left and (caps is None or parts[name] < caps[name]):
                parts[name] += 1
                left -= 1
                given += 1
        if not given:
            raise ValueError("the caps hold less than the whole")
    return parts


def parted_ratio(whole: Ratio, shares: Mapping[K, Fraction]) -> dict[K, Ratio]:
    """A ratio parted: denominators first, then numerators, none above its denominator unless that of the whole is."""
    below = parted(whole.denominator, shares)
    caps = None if whole.numerator > whole.denominator else below
    above = parted(whole.numerator, shares, caps)
    return {name: Ratio(above[name], below[name]) for name in shares}


def added(figures: Sequence[Ratio | int]) -> Ratio | int:
    """Figures of merged units added up: numerators and denominators each. Raises TypeError for a mixture of kinds."""
    if all(isinstance(figure, Ratio) for figure in figures):
        ratios = [figure for figure in figures if isinstance(figure, Ratio)]
        return Ratio(sum(r.numerator for r in ratios), sum(r.denominator for r in ratios))
    numbers = [figure for figure in figures if isinstance(figure, int)]
    if len(numbers) != len(figures):
        raise TypeError("figures of different kinds cannot be added up")
    return sum(numbers)
