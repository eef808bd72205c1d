"""Owns where a set holds: the parts of the country it names, asked of a unit here and of many units in SQL.

A part is named by the path of codes from the province down ("30", "30/298"), which says without a list of units what
lies within what, and does not take a code that is given out again elsewhere for the unit that once had it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Area:
    """Units and all that lies below them; without `paths` the whole country."""

    paths: tuple[str, ...] = ()
    _starts: tuple[str, ...] = field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Asked for each row that is judged: worked out once, and nearly always the first question below answers.
        object.__setattr__(self, "_starts", tuple(f"{path}/" for path in self.paths))

    def holds(self, path: str) -> bool:
        """Whether the unit of that path is one of the units named, or lies below one."""
        return path.startswith(self._starts) or path in self.paths or not self.paths

    def touches(self, path: str) -> bool:
        """Whether the area holds the unit or anything below it."""
        here = f"{path}/"
        return self.holds(path) or any(start.startswith(here) for start in self._starts)

    @property
    def patterns(self) -> list[str]:
        """As the conditions in SQL want it."""
        return [f"{start}%" for start in self._starts]


EVERYWHERE = Area()


def sql_holds(unit: str) -> str:
    """The condition that the area :areas (see `Area.patterns`) holds the row of `unit` called so."""
    return f"(cardinality(CAST(:areas AS text[])) = 0 OR {unit}.path || '/' LIKE ANY(CAST(:areas AS text[])))"


def sql_touches(unit: str) -> str:
    """The condition that the area :areas holds the unit or anything below it."""
    below = f"EXISTS (SELECT FROM unnest(CAST(:areas AS text[])) AS area WHERE starts_with(area, {unit}.path || '/'))"
    return f"({sql_holds(unit)} OR {below})"


def overlapping(paths: Sequence[str]) -> list[tuple[int, str]]:
    """Places of paths that are named twice or lie within another one, with that other."""
    found = []
    for place, path in enumerate(paths):
        others = (one for n, one in enumerate(paths) if n != place and (n < place or one != path))
        other = next((one for one in others if Area((one,)).holds(path)), None)
        if other is not None:
            found.append((place, other))
    return found
