"""Owns how units stood at a moment, worked out anew from facts: figures, outcomes, and what is rolled up from below.

The working state of the live sheets lies in `state`; this is the slow and exact twin for questions about another day or
about figures that never were. `Moment` says when, `ground` reads what was known then, `Standing` judges it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import covers
from chassis.db import now
from chassis.units import LEVELS, VIETNAM, Unit
from services.indicators.calculation import engine
from services.indicators.calculation.engine import Fact, Reading, TallyKey
from services.indicators.calculation.evaluation import added_up
from services.indicators.calculation.model import fact_of, figure_of, unit_key
from services.indicators.calculation.state import NOTHING
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import judging
from services.indicators.criteria.catalogue import Pair
from services.indicators.criteria.figures import Outcome, Value

_VALID_BELOW = sa.text("""
    SELECT code, name, level, kind, parent, path, valid_from, valid_to FROM unit
    WHERE path LIKE ANY(CAST(:below AS text[])) AND level = ANY(CAST(:levels AS text[]))
      AND valid_from <= :day AND (valid_to IS NULL OR valid_to > :day)
    ORDER BY code LIMIT :most
""")
_NOW = sa.text("""
    SELECT * FROM fact
    WHERE unit = ANY(CAST(:units AS text[])) AND attribute = ANY(CAST(:inputs AS text[])) AND NOT withdrawn
""")
# A line of history says which unit it counted for, and a withdrawn one that the fact left it for another.
HELD_THEN = """
    SELECT * FROM (
        SELECT DISTINCT ON (unit, attribute, entity, source) * FROM fact_history
        WHERE unit = ANY(CAST(:units AS text[])) AND attribute = ANY(CAST(:inputs AS text[])) AND observed_at <= :at
          AND (CAST(:known_at AS timestamptz) IS NULL OR recorded_at <= :known_at)
        ORDER BY unit, attribute, entity, source, sequence DESC, cause DESC, withdrawn DESC
    ) AS newest WHERE NOT withdrawn
"""
"""The facts of `units` among `inputs` that held at `at`, leaving out what was recorded after `known_at`."""
_THEN = sa.text(HELD_THEN)
_ABOUT = sa.text(
    HELD_THEN.replace("observed_at <= :at", "(observed_at <= :at OR period = ANY(CAST(:about AS text[])))")
)
_SUSPENDED = sa.text("""
    SELECT set_code, item_code, path FROM suspension
    WHERE set_code = ANY(CAST(:sets AS text[]))
      AND starts_on <= :day AND (ends_on IS NULL OR ends_on > :day)
      AND (lifted_at IS NULL OR lifted_at > :at)
      AND (CAST(:known_at AS timestamptz) IS NULL OR created_at <= :known_at)
""")
_ITEMS = sa.text("""
    SELECT unit, set_code, item_code, status, flag, numerator, denominator, unknown FROM item
    WHERE unit = ANY(CAST(:units AS text[])) AND set_code = ANY(CAST(:sets AS text[]))
""")
_LOGGED = sa.text("""
    SELECT DISTINCT ON (unit, set_code, item_code) unit, set_code, item_code, after AS status, flag, numerator,
        denominator, 0 AS unknown
    FROM change WHERE unit = ANY(CAST(:units AS text[])) AND set_code = ANY(CAST(:sets AS text[])) AND at <= :at
    ORDER BY unit, set_code, item_code, id DESC
""")

MOST_UNITS = 400
"""Units below one unit that are judged anew for a question about the past; above it the log of changes answers."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When one asks about. `at` None: now. `known_at` leaves out what was recorded later.

    `judged_on` is the day whose periods count where it is not that of `at`. Of a period that one asks `about` figures
    count whenever they were said, and figures that name a period outside it do not.
    """

    at: datetime | None = None
    known_at: datetime | None = None
    judged_on: date | None = None
    about: str | None = None

    @property
    def is_now(self) -> bool:
        return self.at is None and self.known_at is None

    @property
    def instant(self) -> datetime:
        return self.at or now()

    @property
    def day(self) -> date:
        """The day in Việt Nam."""
        return self.judged_on or self.instant.astimezone(VIETNAM).date()


@dataclass
class Ground:
    """What is known of some units at a moment. Everything is by unit key; `below` are all valid units further down.

    `latest` holds, per attribute, the fact that was observed last. `rolled` are outcomes of lower sets at the units
    asked about, for pairs that are not judged anew.
    """

    moment: Moment
    units: dict[str, Unit]
    heaps: dict[str, dict[TallyKey, int]] = field(default_factory=dict)
    reported: dict[str, list[Fact]] = field(default_factory=dict)
    latest: dict[str, dict[str, Fact]] = field(default_factory=dict)
    suspended: list[tuple[str, str, str]] = field(default_factory=list)
    rolled: dict[tuple[str, Pair], Outcome] = field(default_factory=dict)
    deep: bool = False

    def is_suspended(self, unit: Unit, pair: Pair) -> bool:
        return any((s, i) == pair and covers(path, unit.path) for s, i, path in self.suspended)

    def below(self, unit: Unit, level: str) -> list[Unit]:
        """The units of a level below `unit`, by code."""
        return [u for u in self.units.values() if u.level == level and u.path.startswith(f"{unit.path}/")]


def closure(catalogue: c.Catalogue, pairs: Iterable[Pair]) -> set[Pair]:
    """The pairs and everything they look at, however far down."""
    found: set[Pair] = set()
    waiting = list(pairs)
    while waiting:
        pair = waiting.pop()
        if pair in found or pair[0] not in catalogue.sets:
            continue
        found.add(pair)
        for item in catalogue.rows_of(pair[0]):
            if item.code == pair[1]:
                waiting += item.looks_at
    return found


def measures_for(catalogue: c.Catalogue, pairs: Iterable[Pair]) -> set[str]:
    """Codes of the measures some items read, and of those whose figures are added up for them."""
    found: set[str] = set()
    for set_code, item_code in pairs:
        for item in catalogue.rows_of(set_code):
            if item.code == item_code:
                for code in item.measures:
                    wanted: str | None = code
                    while wanted is not None and wanted not in found:
                        found.add(wanted)
                        wanted = catalogue.measures[wanted].below
    return found


async def ground(
    tx: AsyncSession,
    asked: Sequence[Unit],
    pairs: Iterable[Pair],
    moment: Moment,
    catalogue: c.Catalogue,
    *,
    deep: bool,
) -> Ground:
    """What is known of `asked` at the moment, as far as the outcomes of `pairs` rest on it.

    With `deep` the units below are judged anew too, as long as they are no more than MOST_UNITS; otherwise what is
    rolled up to the units asked about is taken as it stands (now) or as the log has it (then).
    """
    wanted = closure(catalogue, pairs)
    own = {pair for pair in wanted if any(catalogue.sets[pair[0]].level == unit.level for unit in asked)}
    lowest = max(LEVELS.index(unit.level) for unit in asked)
    lower = {pair for pair in wanted if LEVELS.index(catalogue.sets[pair[0]].level) > lowest}
    found = Ground(moment, {unit_key(unit): unit for unit in asked})
    if deep and lower:
        below = await _below(tx, asked, _levels(catalogue, wanted), moment.day, MOST_UNITS + 1)
        if len(below) <= MOST_UNITS:
            found.deep = True
            found.units |= below
    if not found.deep:
        levels = _levels_of_measures(catalogue, measures_for(catalogue, own))
        found.units |= await _below(tx, asked, levels, moment.day, None)
        await _add_rolled(tx, found, [unit_key(unit) for unit in asked], lower)
    measures = measures_for(catalogue, wanted if found.deep else own)
    await _add_facts(tx, found, {i for m in measures for i in catalogue.measures[m].inputs}, catalogue)
    sets = sorted({pair[0] for pair in wanted})
    values = {"sets": sets, "day": moment.day, "at": moment.instant, "known_at": moment.known_at}
    found.suspended = [(r.set_code, r.item_code, r.path) for r in await tx.execute(_SUSPENDED, values)]
    return found


def _levels(catalogue: c.Catalogue, pairs: Iterable[Pair]) -> set[str]:
    pairs = set(pairs)
    return {catalogue.sets[s].level for s, _ in pairs} | _levels_of_measures(catalogue, measures_for(catalogue, pairs))


def _levels_of_measures(catalogue: c.Catalogue, codes: Iterable[str]) -> set[str]:
    """The levels whose facts make the figures: the measure's own, and the villages whose entities are counted above."""
    measures = [catalogue.measures[code] for code in codes]
    counted = {"village"} if any(m.counted is not None and m.level == "commune" for m in measures) else set()
    return {measure.level for measure in measures} | counted


async def _below(
    tx: AsyncSession, asked: Sequence[Unit], levels: set[str], day: date, most: int | None
) -> dict[str, Unit]:
    highest = min(LEVELS.index(unit.level) for unit in asked)
    lower = [level for level in levels if LEVELS.index(level) > highest]
    if not lower:
        return {}
    values = {"below": [f"{unit.path}/%" for unit in asked], "levels": lower, "day": day, "most": most}
    rows = await tx.execute(_VALID_BELOW, values)
    found = [Unit(r.code, r.name, r.level, r.kind, r.parent, r.path, r.valid_from, r.valid_to) for r in rows]
    return {unit_key(unit): unit for unit in found}


async def _add_rolled(tx: AsyncSession, found: Ground, keys: list[str], pairs: set[Pair]) -> None:
    if not pairs:
        return
    values: dict[str, Any] = {"units": keys, "sets": sorted({pair[0] for pair in pairs})}
    if found.moment.is_now:
        rows = await tx.execute(_ITEMS, values)
    else:
        rows = await tx.execute(_LOGGED, {**values, "at": found.moment.instant})
    for r in rows:
        figure = figure_of(r.flag, r.numerator, r.denominator)
        found.rolled[r.unit, (r.set_code, r.item_code)] = Outcome(r.status, figure, r.unknown)


async def _add_facts(tx: AsyncSession, found: Ground, inputs: set[str], catalogue: c.Catalogue) -> None:
    keys = sorted(found.units)
    facts = await facts_at(tx, keys, sorted(inputs), found.moment)
    if found.moment.about is not None:
        meant = {"", *periods_in(found.moment.about)}
        facts = [fact for fact in facts if fact.attribute not in catalogue.measures or fact.period in meant]
    by_unit: dict[str, list[Fact]] = {}
    for fact in facts:
        by_unit.setdefault(fact.unit, []).append(fact)
    for key, mine in by_unit.items():
        mine.sort(key=lambda fact: (fact.observed_at, fact.order))
        found.latest[key] = {fact.attribute: fact for fact in mine}
        found.heaps[key] = engine.tally(mine, catalogue)
        found.reported[key] = [fact for fact in mine if engine.heap(fact, catalogue) is None]


def periods_in(period: str) -> list[str]:
    """A period of ours and every one that lies within it: of 2026-Q4 the quarter and its three months."""
    start, end = engine.period_bounds(period)
    months = [date(start.year, month, 1) for month in range(1, 13)]
    inner = [f"{day.year}-{day.month:02d}" for day in months if start <= day < end]
    quarters = [f"{start.year}-Q{n}" for n in range(1, 5)] if len(inner) == 12 else []
    return list(dict.fromkeys([period, *quarters, *inner]))


async def facts_at(tx: AsyncSession, keys: Sequence[str], inputs: Sequence[str], moment: Moment) -> list[Fact]:
    """The facts of some units that hold at the moment: the newest word of each source up to it, not withdrawn; of the
    period asked about, if any, the newest word of all.
    """
    if moment.is_now:
        return [fact_of(row) for row in await tx.execute(_NOW, {"units": keys, "inputs": inputs})]
    values: dict[str, Any] = {"units": keys, "inputs": inputs, "at": moment.instant, "known_at": moment.known_at}
    if moment.about is not None:
        values["about"] = periods_in(moment.about)
        return [fact_of(row) for row in await tx.execute(_ABOUT, values)]
    return [fact_of(row) for row in await tx.execute(_THEN, values)]


class Standing:
    """How units stand on their ground. `figures` and `rules` laid over it make it a question of what would be."""

    def __init__(
        self,
        known: Ground,
        catalogue: c.Catalogue,
        *,
        figures: Mapping[tuple[str, str], Value | None] | None = None,
        outcomes: Mapping[tuple[str, Pair], Outcome] | None = None,
        rules: Mapping[Pair, c.Rule] | None = None,
    ) -> None:
        self.known = known
        self.catalogue = catalogue
        self._figures = figures or {}
        self._rules = rules or {}
        self._readings: dict[tuple[str, str], Reading] = {}
        self._outcomes: dict[tuple[str, Pair], Outcome] = dict(outcomes or {})

    @property
    def day(self) -> date:
        return self.known.moment.day

    def rule(self, unit: Unit, pair: Pair) -> c.Rule | None:
        """The rule of an item as it holds for the unit on the day."""
        if pair in self._rules:
            return self._rules[pair]
        item = self.catalogue.item_for(pair[0], pair[1], unit, self.day)
        return item.rule if item else None

    def reading(self, unit: Unit, code: str) -> Reading:
        """The figure of a measure, with what every source says."""
        key = (unit_key(unit), code)
        found = self._readings.get(key)
        if found is None:
            found = self._readings[key] = self._read(unit, self.catalogue.measures[code])
        return found

    def figure(self, unit: Unit, code: str) -> Value | None:
        key = (unit_key(unit), code)
        return self._figures[key] if key in self._figures else self.reading(unit, code).figure

    def figures(self, unit: Unit, rule: c.Rule) -> dict[str, Value | None]:
        """The figures of the measures a rule reads."""
        return {code: self.figure(unit, code) for code in c.measures_of(rule)}

    def outcome(self, unit: Unit, pair: Pair) -> Outcome:
        """How an item stands at a unit: judged where the set is of its level, rolled up where it lies above."""
        key = (unit_key(unit), pair)
        found = self._outcomes.get(key)
        if found is None:
            found = self._outcomes[key] = self._judge(unit, pair)
        return found

    def _judge(self, unit: Unit, pair: Pair) -> Outcome:
        criteria = self.catalogue.sets[pair[0]]
        if LEVELS.index(criteria.level) > LEVELS.index(unit.level):
            return self._roll_up(unit, pair)
        rule = self.rule(unit, pair)
        if rule is None:
            return NOTHING
        outcome = judging.judge(rule, self.figures(unit, rule), lambda s, i: self.outcome(unit, (s, i)))
        return outcome._replace(status="suspended") if self.known.is_suspended(unit, pair) else outcome

    def counted_below(self, unit: Unit, pair: Pair) -> list[Unit]:
        """The units whose outcomes are rolled up to `unit`."""
        criteria = self.catalogue.sets[pair[0]]
        return [u for u in self.known.below(unit, criteria.level) if criteria.judges(u)]

    def _roll_up(self, unit: Unit, pair: Pair) -> Outcome:
        if not self.known.deep:
            return self.known.rolled.get((unit_key(unit), pair), NOTHING)
        return added_up([self.outcome(child, pair) for child in self.counted_below(unit, pair)])

    def _read(self, unit: Unit, measure: c.Measure) -> Reading:
        heaps = dict(self.known.heaps.get(unit_key(unit), {}))
        if measure.counted is not None and measure.level == "commune" and unit.level == "commune":
            for village in self.known.below(unit, "village"):
                heaps |= self.known.heaps.get(unit_key(village), {})
        below = engine.added_up([figure for _, figure in self.parts_below(unit, measure)])
        return engine.read(measure, heaps, self.known.reported.get(unit_key(unit), []), self.day, below)

    def parts_below(self, unit: Unit, measure: c.Measure) -> list[tuple[Unit, Value | None]]:
        """Each unit below whose figure is added up, with its figure (None: unknown)."""
        if measure.below is None:
            return []
        below = self.catalogue.measures[measure.below]
        children = self.known.below(unit, below.level)
        if measure.below_kinds:
            children = [child for child in children if child.kind in measure.below_kinds]
        return [(child, self.figure(child, below.code)) for child in children]


async def valid_unit(tx: AsyncSession, code: str, moment: Moment) -> Unit:
    """The generation a code names at the moment; raises UnknownUnit."""
    return await units.get(tx, code, moment.day)
