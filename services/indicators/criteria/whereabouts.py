"""Owns what of a document only a list of units can tell: which units it names, and whether they fit its level.

An overlay names a unit by its code. Codes are given out again: it means the unit that its code named on its first day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import Said
from chassis.units import LEVELS
from services.indicators.criteria import checks, definitions, overlaying
from services.indicators.criteria import rules as c
from services.indicators.criteria.areas import Area
from services.indicators.criteria.catalogue import Catalogue
from services.indicators.criteria.documents import Document, Fault

_PLACES = sa.text("SELECT DISTINCT path, level FROM unit WHERE path = ANY(CAST(:paths AS text[]))")
_NAMED = sa.text("""
    SELECT code, path, valid_from, valid_to FROM unit WHERE code = ANY(CAST(:codes AS text[])) ORDER BY code, valid_from
""")

Naming = tuple[str, date]
"""A code and the day on which it is said."""


def _meant(named: Sequence[Any], day: date) -> str:
    """The path of the unit that a code named on a day; before the first one that one, after the last one the last.

    Of two that hold on one day, because the end of the older one was not told yet, it is the younger.
    """
    then = [one.path for one in named if one.valid_from <= day and (one.valid_to is None or day < one.valid_to)]
    later = [one.path for one in named if one.valid_from > day]
    return str(then[-1] if then else later[0] if later else named[-1].path)


async def _named(tx: AsyncSession, codes: Iterable[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in await tx.execute(_NAMED, {"codes": sorted(set(codes))}):
        found.setdefault(row.code, []).append(row)
    return found


async def path_of(tx: AsyncSession, document: Document) -> str | None:
    """Where the unit of an overlay's document lies or lay; None where no unit ever had that code."""
    code = document.data["unit"]
    found = await _named(tx, [code])
    return _meant(found[code], date.fromisoformat(document.data["valid_from"])) if found else None


def namings(catalogue: Catalogue) -> set[Naming]:
    """How the overlays and what they suspend name units."""
    found: set[Naming] = set()
    for overlay in catalogue.overlays.values():
        found.add((overlay.unit, overlay.valid_from))
        found |= {(s.unit, s.starts_on or overlay.valid_from) for s in overlay.suspensions if s.unit is not None}
    return found


async def places(tx: AsyncSession, wanted: Collection[Naming]) -> dict[Naming, str]:
    """The paths of the units that are meant, of codes alone that were given out at several paths: others need none."""
    found = await _named(tx, (code for code, _ in wanted)) if wanted else {}
    again = {code: named for code, named in found.items() if len({one.path for one in named}) > 1}
    return {(code, day): _meant(again[code], day) for code, day in wanted if code in again}


async def placed(tx: AsyncSession, catalogue: Catalogue) -> Catalogue:
    """The catalogue with overlays that hold for the units they mean; itself where codes say that by themselves."""
    found = await places(tx, namings(catalogue))
    if not found:
        return catalogue
    return catalogue.with_overlays({code: _placed(one, found) for code, one in catalogue.overlays.items()})


def _placed(overlay: c.Overlay, found: Mapping[Naming, str]) -> c.Overlay:
    def area(code: str | None, day: date) -> Area | None:
        path = found.get((code, day)) if code is not None else None
        return Area((path,)) if path is not None else None

    suspensions = (replace(s, place=area(s.unit, s.starts_on or overlay.valid_from)) for s in overlay.suspensions)
    return replace(overlay, place=area(overlay.unit, overlay.valid_from), suspensions=tuple(suspensions))


async def faults(tx: AsyncSession, document: Document, together: Sequence[Document]) -> list[Fault]:
    """What is wrong with the units a document names, beside all the documents that would be in force.

    Units that ended count: a set of theirs stays readable.
    """
    if document.kind == "set":
        return await _of_set(tx, document)
    return await _of_overlay(tx, document, together) if document.kind == "overlay" else []


async def _of_overlay(tx: AsyncSession, document: Document, together: Sequence[Document]) -> list[Fault]:
    """It must reach into the area of its set; a target for a row of another overlay, lie within that one's unit."""
    code, on = document.data["unit"], document.data["on"]
    base = next(one for one in together if one.kind == "set" and one.code == on)
    beside = [one for one in together if one.kind == "overlay" and one.data["on"] == on and one is not document]
    adders = {item["code"]: one for one in beside for item in one.data.get("items", ())}
    here, area = await path_of(tx, document), definitions.area(base.data)
    found: list[Fault] = []
    if here is None:
        return found
    if not area.touches(here):
        found.append(document.fault(("unit",), checks.not_there(on, area, code)))
    for place, target in enumerate(document.data.get("targets", ())):
        adder = adders.get(target["item"])
        there = await path_of(tx, adder) if adder is not None else None
        if adder is not None and there is not None and not Area((there,)).holds(here):
            said = overlaying.out_of_reach(target["item"], adder.code, adder.data["unit"], code)
            found.append(document.fault(("targets", place, "item"), said))
    return found


async def _of_set(tx: AsyncSession, document: Document) -> list[Fault]:
    paths = definitions.area(document.data).paths
    if not paths:
        return []
    levels = {row.path: row.level for row in await tx.execute(_PLACES, {"paths": list(paths)})}
    level, found = document.data["level"], []
    for place, path in enumerate(paths):
        at = ("applies_to", "units", place)
        if path not in levels:
            said = Said("không có và chưa từng có đơn vị nào ở {unit}; viết mã từ tỉnh xuống, như 30/298", unit=path)
            found.append(document.fault(at, said))
        elif LEVELS.index(levels[path]) > LEVELS.index(level):
            found.append(document.fault(at, checks.too_low(path, level)))
    return found
