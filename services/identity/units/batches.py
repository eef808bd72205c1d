"""Owns the size in which a reorganisation is written: statements of a bounded length, however large the country."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

BATCH = 2_000
"""Rows of one statement: a reorganisation of the whole country writes about 26,000 events."""

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """`items` in lists of at most `size`, in their order."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
