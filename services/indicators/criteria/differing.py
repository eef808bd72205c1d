"""Owns the comparison of two catalogues: which documents, rows and measures are other, and which sets that concerns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.indicators.criteria import catalogue as c
from services.indicators.criteria.catalogue import Catalogue

What = Literal["added", "removed", "changed"]
Kind = Literal["set", "row", "overlay", "measure"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is other. `before` and `after` are the two of it; None where there is none.

    `code` names the set, overlay or measure; `row` the row of the set.
    """

    what: What
    kind: Kind
    code: str
    row: str
    before: Any
    after: Any


def compare(old: Catalogue, new: Catalogue) -> list[Difference]:
    """Every difference, sets and their rows first."""
    found = []
    for difference in _mapped("set", old.sets, new.sets):
        found.append(difference)
        if difference.what == "changed":
            found += _rows(difference.before, difference.after)
    found += _mapped("overlay", old.overlays, new.overlays)
    found += _mapped("measure", old.measures, new.measures)
    return found


def _mapped(kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for code in sorted({*old, *new}):
        before, after = old.get(code), new.get(code)
        if before != after:
            yield Difference(_what(before, after), kind, code, "", before, after)


def _what(before: Any, after: Any) -> What:
    if before is None:
        return "added"
    return "removed" if after is None else "changed"


def _rows(before: c.CriteriaSet, after: c.CriteriaSet) -> Iterator[Difference]:
    was, now = ({item.code: item for item in criteria.items} for criteria in (before, after))
    for code in dict.fromkeys([*now, *was]):
        if was.get(code) != now.get(code):
            yield Difference(_what(was.get(code), now.get(code)), "row", after.code, code, was.get(code), now.get(code))


def touched(old: Catalogue, new: Catalogue) -> list[str]:
    """Codes of the sets some outcome of which may be another now, from the villages up; removed sets come first."""
    gone = [code for code in old.sets if code not in new.sets]
    stale = {code for code in new.sets if _set_differs(old, new, code)}
    # A set that looks at rows of another follows it: a kind less below is a smaller denominator above.
    ordered = list(dict.fromkeys(set_code for set_code, _ in new.order))
    for set_code, item_code in new.order:
        item = next(item for item in new.rows_of(set_code) if item.code == item_code)
        if any(seen in stale for seen, _ in item.looks_at):
            stale.add(set_code)
    return [*gone, *(code for code in ordered if code in stale)]


def _set_differs(old: Catalogue, new: Catalogue, code: str) -> bool:
    if old.sets.get(code) != new.sets[code] or old.overlays_of(code) != new.overlays_of(code):
        return True
    return any(_measure_differs(old, new, measure) for item in new.rows_of(code) for measure in item.measures)


def _measure_differs(old: Catalogue, new: Catalogue, code: str) -> bool:
    wanted: str | None = code
    while wanted is not None:
        before, after = old.measures.get(wanted), new.measures[wanted]
        if before != after or any(old.attributes.get(a) != new.attributes.get(a) for a in after.inputs):
            return True
        wanted = after.below
    return False
