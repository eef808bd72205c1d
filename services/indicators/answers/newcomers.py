"""Owns "what if there were more of them": households, products, cameras that nobody has reported yet, on the side.

They are counted where an event or observation that told of them would count them; nothing is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from chassis.units import Unit
from services.indicators.answers.needs import Group, places_of, state_of
from services.indicators.answers.singles import Fault, allowed, counted_together
from services.indicators.answers.standing import Ground, closure, measures_for
from services.indicators.calculation import engine
from services.indicators.calculation.engine import Fact, Origin
from services.indicators.calculation.model import unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.catalogue import Pair
from services.indicators.criteria.figures import Value

MOST = 1_000_000
"""Most new things of one group."""
NOBODY: tuple[str, Origin] = ("supposed", "partner")
"""The source of things of a kind that nobody reports anything of."""


@dataclass(frozen=True, slots=True)
class Newcomers:
    """So many things of a kind (household, product …), each with these attributes, in a unit ("": the one asked about).

    The unit is the one asked about or one below it.

    `count` is from 1 to MOST; `attributes` are pairs of code and value.
    """

    kind: str
    count: int
    attributes: tuple[tuple[str, Value | None], ...]
    unit: str = ""


def laid_over(
    known: Ground,
    unit: Unit,
    pairs: Iterable[Pair],
    catalogue: c.Catalogue,
    asked: Sequence[tuple[Newcomers, Fault]],
) -> tuple[Ground, tuple[Group, ...]]:
    """What is known, with new things beside it, and the groups of these. Faults are told and left out.

    Every source that reports such things there would report these too; where none does, the sources of the other units
    looked at, else one of its own. Sources are never added up, so it is each one's own figure that grows.
    """
    if not asked:
        return known, ()
    pairs = list(pairs)
    heaps = dict(known.heaps)
    groups = []
    for one, fault in asked:
        place = _place(one, known, unit, fault)
        if place is None or not _fits(one, place, pairs, catalogue, fault):
            continue
        mine = heaps[unit_key(place)] = dict(heaps.get(unit_key(place), {}))
        for source, origin in _reporters(one, known, place, unit, catalogue):
            for attribute, value in one.attributes:
                fact = Fact(attribute, "", source, origin, unit_key(place), value, 0, "", known.moment.instant)
                heap = engine.heap(fact, catalogue)
                if heap is not None:
                    mine[heap] = mine.get(heap, 0) + one.count
        groups.append(Group(one.count, {code: state_of(value) for code, value in one.attributes}))
    return replace(known, heaps=heaps), tuple(groups)


def counting(measure: c.Measure, count: int, catalogue: c.Catalogue) -> Newcomers | None:
    """So many new things that a measure would count; None where it counts none."""
    counted = measure.counted
    wanted = (counted.numerator or counted.when) if counted is not None else None
    if counted is None or wanted is None:
        return None
    kind = catalogue.attributes[wanted.attribute].entity
    stated = {wanted.attribute: _value(wanted)}
    among = counted.denominator
    if among is not None and catalogue.attributes[among.attribute].entity == kind:
        stated.setdefault(among.attribute, _value(among))
    return Newcomers(kind, count, tuple(stated.items()))


def _value(selection: c.Selection) -> Value:
    state = sorted(selection.states)[0]
    return state == "true" if state in ("true", "false") else state


def _place(one: Newcomers, known: Ground, unit: Unit, fault: Fault) -> Unit | None:
    """The unit the things are in: the one asked about, or one below it, where all that lies below is judged anew."""
    wanted = one.unit or unit.code
    if wanted != unit.code and not known.deep and unit.level in ("province", "district"):
        fault("new_things.unit", "Có quá nhiều đơn vị bên dưới để thử ở đây: hãy thử ở chính đơn vị đó.")
        return None
    found = next((place for place in known.units.values() if place.code == wanted), None)
    if found is None:
        fault("new_things.unit", "Phải là đơn vị đang hỏi hoặc một đơn vị bên dưới.")
    return found


def _fits(one: Newcomers, place: Unit, pairs: Sequence[Pair], catalogue: c.Catalogue, fault: Fault) -> bool:
    """Whether such things can be, and would be counted at the place for one of the rows."""
    if not any(found.entity == one.kind != "unit" for found in catalogue.attributes.values()):
        fault("new_things.kind", "Không có loại đối tượng này.")
        return False
    together = counted_together(catalogue, pairs)
    right = True
    for n, (code, value) in enumerate(one.attributes):
        at = f"new_things.attributes.{n}"
        found = catalogue.attributes.get(code)
        wrong = ""
        if found is None:
            wrong = "Không có thuộc tính mang mã này."
        elif found.entity != one.kind:
            wrong = "Thuộc tính này không phải của loại đối tượng đó."
        elif code not in together:
            wrong = "Bộ chỉ tiêu này không đếm thuộc tính đó."
        elif code in [earlier for earlier, _ in one.attributes[:n]]:
            wrong = "Một thuộc tính chỉ nêu một lần."
        if wrong:
            fault(f"{at}.attribute", wrong)
        elif value is None or found is None or not allowed(found, value):
            wrong = "Thuộc tính không có giá trị này."
            fault(f"{at}.value", wrong)
        right = right and not wrong
    if right and not _counted_at(place, {code for code, _ in one.attributes}, pairs, catalogue):
        fault("new_things.unit", "Đối tượng loại này được đếm ở đơn vị bên dưới: hãy nêu đơn vị đó.")
        return False
    return right


def _counted_at(place: Unit, attributes: set[str], pairs: Sequence[Pair], catalogue: c.Catalogue) -> bool:
    """Whether a measure of the place, or of the commune around a village, counts one of the attributes."""
    levels = {place.level, "commune"} if place.level == "village" else {place.level}
    measures = [catalogue.measures[code] for code in measures_for(catalogue, closure(catalogue, pairs))]
    return any(m.level in levels and m.counted is not None and attributes & m.counted.attributes for m in measures)


def _reporters(
    one: Newcomers, known: Ground, place: Unit, unit: Unit, catalogue: c.Catalogue
) -> list[tuple[str, Origin]]:
    """Who would tell of such things there."""

    def of(units: Iterable[Unit]) -> list[tuple[str, Origin]]:
        found = {
            (key.source, key.origin)
            for where in units
            for key, count in known.heaps.get(unit_key(where), {}).items()
            if count > 0 and catalogue.attributes[key.attribute].entity == one.kind
        }
        return sorted(found)

    return of([place]) or of(places_of(known, place)) or of(known.units.values()) or [NOBODY]
