"""Owns "what if this one thing were otherwise": single households, products, cameras changed on the side.

What is known of the thing is moved from one heap to another, just as an event would; nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.units import Unit
from services.indicators.answers.needs import Moved, places_of
from services.indicators.answers.standing import Ground, closure, measures_for
from services.indicators.calculation import engine
from services.indicators.calculation.engine import Fact, FactKey
from services.indicators.calculation.model import fact_of, unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.catalogue import Pair
from services.indicators.criteria.figures import Value


@dataclass(frozen=True, slots=True)
class Single:
    """One thing that would be another: an attribute of an entity, known today, has another value; None: it is gone."""

    attribute: str
    entity: str
    value: Value | None


Fault = Callable[[str, str], None]
"""Takes the field (below `changes.N.`) and what is wrong, in Vietnamese."""

_KNOWN = sa.text("""
    SELECT * FROM fact
    WHERE unit = ANY(CAST(:units AS text[])) AND attribute = ANY(CAST(:attributes AS text[]))
      AND entity = ANY(CAST(:entities AS text[])) AND NOT withdrawn
    ORDER BY attribute, entity, source
""")


async def laid_over(
    tx: AsyncSession,
    known: Ground,
    unit: Unit,
    pairs: Iterable[Pair],
    catalogue: c.Catalogue,
    asked: Sequence[tuple[Single, Fault]],
) -> tuple[Ground, Moved]:
    """What is known, with single things as they are supposed, and what was moved. Faults are told and left out."""
    together = counted_together(catalogue, pairs)
    right = [(single, fault) for single, fault in asked if _fits(single, together, catalogue, fault)]
    if not right:
        return known, Moved()
    places = places_of(known, unit)
    held: dict[FactKey, Fact] = {}
    values = {
        "units": [unit_key(place) for place in places],
        "attributes": sorted({code for single, _ in right for code in together[single.attribute]}),
        "entities": sorted({name for single, _ in right for name in _names(single.entity, places)}),
    }
    for fact in map(fact_of, await tx.execute(_KNOWN, values)):
        held[fact.key] = fact
    before = dict(held)
    touched: dict[FactKey, None] = {}
    for single, fault in right:
        names = _names(single.entity, places)
        facts = _supposed(single, names, held, together[single.attribute], known.moment.instant)
        if not facts:
            fault("entity", "Không có đối tượng mang mã này ở đơn vị.")
        for fact in facts:
            held[fact.key] = fact
            touched[fact.key] = None
    moved = tuple((before.get(key), held[key]) for key in touched)
    heaps = dict(known.heaps)
    for heap, more in engine.deltas(moved, catalogue).items():
        mine = heaps[heap.unit] = dict(heaps.get(heap.unit, {}))
        mine[heap] = mine.get(heap, 0) + more
    return replace(known, heaps=heaps), Moved(moved)


def _names(entity: str, places: Sequence[Unit]) -> set[str]:
    """How a thing may be stored: ids of partners are kept behind the code of the unit."""
    return {entity, *(f"{place.code}/{entity}" for place in places)}


def counted_together(catalogue: c.Catalogue, pairs: Iterable[Pair]) -> dict[str, set[str]]:
    """Every attribute the rows count, with those that are counted of the same things."""
    found: dict[str, set[str]] = {}
    for code in measures_for(catalogue, closure(catalogue, pairs)):
        counted = catalogue.measures[code].counted
        if counted is None:
            continue
        for attribute in counted.attributes:
            thing = catalogue.attributes[attribute].entity
            alike = {one for one in counted.attributes if catalogue.attributes[one].entity == thing}
            found.setdefault(attribute, set()).update(alike)
    return found


def _fits(single: Single, together: dict[str, set[str]], catalogue: c.Catalogue, fault: Fault) -> bool:
    attribute = catalogue.attributes.get(single.attribute)
    if attribute is None:
        fault("attribute", "Không có thuộc tính mang mã này.")
    elif single.attribute not in together:
        fault("attribute", "Bộ chỉ tiêu này không đếm thuộc tính đó.")
    elif not allowed(attribute, single.value):
        fault("value", "Thuộc tính không có giá trị này.")
    else:
        return True
    return False


def allowed(attribute: c.Attribute, value: Value | None) -> bool:
    """Whether a thing can have this value of an attribute; None: it is gone."""
    if value is None:
        return True
    if attribute.kind == "flag":
        return isinstance(value, bool)
    return attribute.kind == "state" and isinstance(value, str) and value in attribute.states


def _supposed(single: Single, names: set[str], held: dict[FactKey, Fact], alike: set[str], now: datetime) -> list[Fact]:
    """What each source that knows the thing would say of it: observed now, so that it counts for this period."""
    known = [fact for fact in held.values() if fact.entity in names and not fact.withdrawn]
    own = [fact for fact in known if fact.attribute == single.attribute]
    # A source that knows the thing by another attribute only would say this one of it for the first time.
    said = own or list(
        {fact.source: replace(fact, attribute=single.attribute) for fact in known if fact.attribute in alike}.values()
    )
    return [
        replace(fact, value=single.value, observed_at=now, period="", withdrawn=single.value is None) for fact in said
    ]
