"""Owns the examples of every row of the sets B to G: read from `rows/*.yaml`, which are written from the source texts.

A row of those files has either *conditions*, all of which must hold, each with values on either side of its boundary;
or *cases*, each told as a whole; or it is *measured*, without a figure in its source. From conditions follow the
examples in which exactly one of them fails, is unknown, or has nobody to count. What fulfils and what does not is
written in the files; nothing here computes a percentage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROWS = Path(__file__).resolve().parent / "rows"

# (counted, all), yes or no, how many, or the name of a trait.
Value = tuple[int, int] | bool | int | str

MET = frozenset({"met"})
UNMET = frozenset({"unmet"})
NO_DATA = frozenset({"no_data"})
MEASURED = frozenset({"measured"})
# Nobody to count where the text does not say which of the two it is, only that it is neither met nor unmet.
NOT_JUDGED = frozenset({"no_data", "not_applicable"})
STATUSES = {
    "met": MET,
    "unmet": UNMET,
    "no_data": NO_DATA,
    "not_applicable": frozenset({"not_applicable"}),
    "not_judged": NOT_JUDGED,
}
EMPTY = (0, 0)


@dataclass(frozen=True)
class Case:
    """One example: what is true of a unit, by the names of `rows/`, and what the row may then be."""

    set: str
    row: str
    words: str
    given: Mapping[str, Value]
    allowed: frozenset[str]

    def __str__(self) -> str:
        return f"{self.set}/{self.row}: {self.words}"


@cache
def document(name: str) -> dict[str, Any]:
    """One file of `rows/`, by its name without ending."""
    found: dict[str, Any] = yaml.safe_load((ROWS / f"{name}.yaml").read_text("utf-8"))
    return found


def told_sets() -> list[str]:
    """The sets that have a file of rows."""
    names = sorted(path.stem for path in ROWS.glob("*.yaml"))
    return [name for name in names if "rows" in document(name)]


def concepts(set_code: str, row: str) -> list[str]:
    """The names that the examples of a row use for what is true."""
    told = document(set_code)["rows"][row]
    for part in ("conditions", "measured", "facts"):
        if part in told:
            return list(told[part])
    raise KeyError(f"{set_code}/{row}")


def cases_of(set_code: str, row: str) -> Iterator[Case]:
    """Every example of a row."""
    told = document(set_code)["rows"][row]
    if "conditions" in told:
        examples = _of_conditions(told["conditions"])
    elif "measured" in told:
        examples = _of_measured(told["measured"])
    else:
        examples = (
            (case["words"], {name: value(given) for name, given in case["given"].items()}, STATUSES[case["status"]])
            for case in told["cases"]
        )
    for words, given, allowed in examples:
        yield Case(set_code, row, words, given, allowed)


def all_cases() -> list[Case]:
    """Every example of every row of every set."""
    return [case for name in told_sets() for row in document(name)["rows"] for case in cases_of(name, row)]


def value(written: object) -> Value:
    """`80/100` is a pair; flags, numbers and names stay what they are."""
    if isinstance(written, str) and "/" in written:
        counted, everything = written.split("/")
        return int(counted), int(everything)
    assert isinstance(written, bool | int | str)
    return written


Example = tuple[str, dict[str, Value], frozenset[str]]


def _of_conditions(conditions: dict[str, Any]) -> Iterator[Example]:
    holding = {name: value(told["good"][0]) for name, told in conditions.items()}
    yield "every condition holds, each just so", holding, MET
    yield "nothing is known", {}, NO_DATA
    for name, told in conditions.items():
        rest = {other: fine for other, fine in holding.items() if other != name}
        for good in told["good"][1:]:
            yield f"{name} is {good}", {**rest, name: value(good)}, MET
        for bad in told["bad"]:
            yield f"only {name} fails with {bad}", {**rest, name: value(bad)}, UNMET
        if isinstance(holding[name], tuple):
            allowed = STATUSES[told.get("zero", "no_data")]
            yield f"nobody to count for {name}", {**rest, name: EMPTY}, allowed
        if rest:
            yield f"only {name} is unknown", rest, NO_DATA
            # What is known to fail decides, whatever the rest will turn out to be.
            yield f"{name} fails and the rest is unknown", {name: value(told["bad"][0])}, UNMET


def _of_measured(measured: dict[str, Any]) -> Iterator[Example]:
    for name, values in measured.items():
        for written in values:
            yield f"{name} is {written}", {name: value(written)}, MEASURED
        yield f"{name} is unknown", {}, NO_DATA
        if isinstance(value(values[0]), tuple):
            yield f"nobody to count for {name}", {name: EMPTY}, NOT_JUDGED | MEASURED
