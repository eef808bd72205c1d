"""Owns what successors inherit of a figure: links between units, the parts of each predecessor, and their sum.

Pure functions over links and what was known of the predecessors on their last day; `carrying` reads and writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any

from chassis.units import VIETNAM
from services.indicators.calculation import engine
from services.indicators.calculation.engine import Fact, Origin, Reading
from services.indicators.calculation.model import code_of, figure_json
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Ratio, Value, whole
from services.indicators.reorganisation import apportioning

SOURCE = "succession"
"""The source of carried figures."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SAME_THING = {"people": "population", "parts of the area": "area_km2"}
"""What is counted by a measure, in English, to the name of its share in a document, where the two differ."""


@dataclass(frozen=True, slots=True)
class Link:
    """One predecessor and one successor, by unit key. `share` None: nobody said which part."""

    change_set: str
    predecessor: str
    successor: str
    effective_on: date
    level: str
    share: Fraction | None
    named: Mapping[str, Fraction]
    legal_basis: str
    successors: int
    predecessors: int
    group: str

    @property
    def whole(self) -> bool:
        return self.successors == 1 and self.predecessor != self.successor

    @property
    def continued(self) -> bool:
        """The same unit in another frame: nothing was added to it and nothing taken away."""
        return self.whole and self.predecessors == 1

    def share_of(self, thing: str) -> Fraction | None:
        """The share for what is counted, in English words."""
        return self.named.get(thing) or self.named.get(SAME_THING.get(thing, thing)) or self.share


@dataclass(frozen=True, slots=True)
class Part:
    """What one predecessor has to give of one figure. `given` None: it cannot be said, for `trouble`."""

    predecessor: str
    figure: Value | None
    share: Fraction | None
    given: Value | None
    trouble: str = ""
    period: str = ""
    origin: Origin | None = None

    def json(self) -> dict[str, Any]:
        shown = self.figure if isinstance(self.figure, str) or self.figure is None else figure_json(self.figure)
        given = self.given if isinstance(self.given, str) or self.given is None else figure_json(self.given)
        share = f"{self.share.numerator}/{self.share.denominator}" if self.share is not None else None
        return {"unit": self.predecessor, "figure": shown, "share": share, "given": given, "trouble": self.trouble}


@dataclass(frozen=True, slots=True)
class Carried:
    """What becomes of one figure at one successor: a value, or a reason to ask people with what is proposed."""

    successor: str
    measure: str
    value: Value | None
    reason: str
    parts: tuple[Part, ...]
    period: str = ""
    origin: Origin | None = None


Readings = dict[tuple[str, str], dict[str, Reading]]
"""(change set, predecessor) to what was known of each of its measures and registers on its last day."""


def readings_of(
    facts: Sequence[Fact],
    level: str,
    day: date,
    measures: Sequence[c.Measure],
    registers: set[str],
    catalogue: c.Catalogue,
) -> dict[str, Reading]:
    heaps = engine.tally(facts, catalogue)
    found: dict[str, Reading] = {}
    for measure in measures:
        if measure.level == level:
            reading = engine.read(measure, heaps, facts, day)
            if reading.chosen is not None:
                found[measure.code] = reading
    for code in registers:
        entries = [fact for fact in facts if fact.attribute == code and isinstance(fact.value, int)]
        if entries:
            last = max(entries, key=lambda fact: (engine.about(fact), *fact.order))
            candidate = engine.Candidate(last.origin, last.source, last.value or 0, last)
            found[code] = Reading(code, last.value, candidate, (candidate,))
    return found


def part_of(one: Link, brothers: Sequence[Link], code: str, readings: Readings, catalogue: c.Catalogue) -> Part:
    """What one predecessor gives of one figure to one successor."""
    reading = readings.get((one.change_set, one.predecessor), {}).get(code)
    if reading is None or reading.chosen is None:
        return Part(one.predecessor, None, None, None, "unknown")
    figure, chosen = reading.figure, reading.chosen
    if chosen.klass == "counted":
        # Single things are no figure to be carried: they went along, or their service says where they are.
        return Part(one.predecessor, figure, None, None, "" if one.whole else "entities")
    period = chosen.fact.period if chosen.fact is not None else ""
    origin = chosen.fact.origin if chosen.fact is not None else None
    given = Part(one.predecessor, figure, Fraction(1), figure, "", period, origin)
    if one.continued:
        return given
    measure = catalogue.measures.get(code)
    rule = measure.carry if measure is not None else "share"
    if rule == "renew" or isinstance(figure, bool | str):
        return replace(given, trouble="renew")
    if one.whole:
        return given
    thing = measure.unit_of_measure.en if measure is not None else _thing_of(code)
    shares = {other.successor: other.share_of(thing) for other in brothers}
    share = shares[one.successor]
    known = {key: value for key, value in shares.items() if value is not None}
    if share is None or len(known) < len(brothers) or sum(known.values(), Fraction(0)) != 1:
        return replace(given, share=share, given=None, trouble="no_share")
    if isinstance(figure, Ratio):
        part: Value = apportioning.parted_ratio(figure, known)[one.successor]
    else:
        part = apportioning.parted(whole(figure), known)[one.successor]
    return replace(given, share=share, given=part, trouble="" if rule == "share" else "not_shared")


def _thing_of(register: str) -> str:
    """What a register counts, in English, from its code: commune.households, village.working_age_people."""
    name = register.rpartition(".")[2]
    return "people" if name.endswith("people") else name


TROUBLES = ("no_share", "renew", "not_shared", "entities", "mixed", "unknown")
"""Why people are asked, the weightiest first."""


def joined(successor: str, code: str, parts: Sequence[Part], continued: bool, catalogue: c.Catalogue) -> Carried | None:
    """The parts of one figure together; None where there is nothing to carry and nothing to ask."""
    counted = [
        part for part in parts if part.figure is not None and part.given is None and part.trouble in ("", "entities")
    ]
    if all(part.trouble in ("", "unknown") and part.given is None for part in parts):
        return None
    troubles = {part.trouble for part in parts if part.trouble}
    if counted and len(counted) < len(parts) and troubles <= {"unknown", "entities", ""}:
        troubles.add("mixed")
    given = [part.given for part in parts if part.given is not None]
    measure = catalogue.measures.get(code)
    value = _together(given, adding=measure is None or measure.carry != "renew")
    reason = next((trouble for trouble in TROUBLES if trouble in troubles), "")
    last = max((part for part in parts if part.given is not None), key=lambda p: _ends(p.period), default=parts[0])
    origin = last.origin if continued or last.predecessor == successor else _weakest(measure)
    if not reason and origin is None:
        reason = "not_open"
    return Carried(successor, code, value, reason, tuple(parts), last.period, origin)


def _together(given: Sequence[Value], *, adding: bool) -> Value | None:
    """Numbers added up; a yes/no, a trait, or a number that no adding makes sense of, where all agree on it."""
    if not given:
        return None
    if not adding or any(isinstance(one, bool | str) for one in given):
        return given[0] if len(set(given)) == 1 else None
    return apportioning.added([one for one in given if isinstance(one, Ratio | int)])


def _ends(period: str) -> date:
    return engine.period_end(period) if period else date.min


def _weakest(measure: c.Measure | None) -> Origin | None:
    """The class of source that is trusted least, so that any other word wins over a carried figure."""
    if measure is None:
        return "staff"
    found: Origin | None = None
    for klass in measure.prefer:
        if klass in ("event", "staff", "partner"):
            found = klass
    return found


def carried_fact(one: Carried, last: Link) -> Fact:
    """The figure as a fact of the source `succession`, observed as the new order began."""
    at = datetime.combine(last.effective_on, time.min, tzinfo=VIETNAM)
    givers = "+".join(part.predecessor for part in one.parts if part.given is not None)
    return Fact(
        attribute=one.measure,
        entity=f"{one.successor}/{SOURCE}",
        source=SOURCE,
        origin=one.origin or "staff",
        unit=code_of(one.successor),
        value=one.value,
        sequence=(at - EPOCH) // timedelta(microseconds=1),
        cause=f"{SOURCE}:{last.change_set}/{givers}",
        observed_at=at,
        period=one.period,
    )


def news_of(held: Fact | None, fact: Fact) -> list[Fact]:
    """The fact if it says anything else than what is held: then as a later word."""
    if held is None:
        return [fact]
    said = (held.value, type(held.value), held.origin, held.period, held.cause, held.withdrawn)
    if said == (fact.value, type(fact.value), fact.origin, fact.period, fact.cause, fact.withdrawn):
        return []
    return [replace(fact, sequence=held.sequence + 1)]
