"""Owns what the service does with its stream of events: folds them to facts, and writes what they add up to.

The working state of the units it has met is kept over the batches (`state`), so a write asks the database only for what
is new. Everything that a batch changes (facts, history, heaps, statuses, events, offsets) is one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Consumers, Event, Poison, text_headers
from chassis.db import Sessions
from chassis.settings import ServiceSettings
from chassis.stream import Record, Stream
from services.indicators.calculation import ledger
from services.indicators.calculation.engine import Fact
from services.indicators.calculation.ledger import Batch
from services.indicators.calculation.prepared import Prepared, prepared
from services.indicators.calculation.state import State
from services.indicators.criteria import catalogue as c
from services.indicators.sources import observing
from services.indicators.sources.observing import Observations
from services.indicators.stream import feeds
from services.indicators.stream.feeds import Deed, Feed, Feeds, Mapping

MOST_UNITS = 40_000
"""Units kept in memory; a process that has met more begins anew, which costs a read of each it meets again."""

AHEAD = 500
"""Facts made at once while a write is under way: some milliseconds, in which the write does not go on."""

MOST_SOURCES = 10_000
"""Names of sources kept; they come from outside."""


class Envelope:
    """The CloudEvents attributes of one record."""

    __slots__ = ("id", "sequence", "source", "time", "type")

    def __init__(self, type: str, id: str, source: str, time: datetime, sequence: int) -> None:
        self.type = type
        self.id = id
        self.source = source
        self.time = time
        self.sequence = sequence


@dataclass
class Folded:
    """What was folded for one write."""

    observations: Observations
    batch: Batch = field(default_factory=Batch)
    deeds: dict[Deed, list[Event[Any]]] = field(default_factory=dict)


class Intake:
    """The sink of the service's stream (see `chassis.stream.Sink`)."""

    def __init__(self, registry: Feeds, catalogue: Callable[[], c.Catalogue]) -> None:
        self._registry = registry
        self._catalogue = catalogue
        self._kinds = registry.kinds
        self._folded = Folded(Observations(catalogue()))
        self._state = State()
        self._ready: Prepared | None = None
        self._sure = True
        self._sources: dict[bytes, str] = {}

    @property
    def size(self) -> int:
        return len(self._folded.batch) + len(self._folded.observations)

    def wants(self, kind: bytes) -> bool:
        """Whether events of that type (ce_type) concern the service."""
        return kind in self._kinds

    def fold(self, record: Record, headers: dict[str, bytes]) -> bool:
        feed = self._kinds.get(headers.get("ce_type", b""))
        if feed is None:
            if "ce_type" not in headers:
                raise Poison("no ce_type header")
            return False
        if feed.latest:
            self._folded.observations.add(record, headers, self._source(headers.get("ce_source", b"")))
        elif feed.mapping is not None:
            self._map(feed, feed.mapping, record, headers)
        elif feed.deed is not None:
            event = self._registry.decode(text_headers(record), record.value)
            if event is not None:
                self._folded.deeds.setdefault(feed.deed, []).append(event)
        return True

    def _map(self, feed: Feed, mapping: Mapping, record: Record, headers: dict[str, bytes]) -> None:
        message = feed.message()
        message.ParseFromString(record.value or b"")
        envelope = Envelope(
            feed.name,
            headers["ce_id"].decode(),
            self._source(headers.get("ce_source", b"")),
            self._time(headers["ce_time"]),
            int(headers["ce_sequence"]),
        )
        for fact in mapping(message, envelope):
            if fact.unit:
                self._folded.batch.add(fact)

    def _source(self, raw: bytes) -> str:
        name = self._sources.get(raw)
        if name is None:
            name = observing.source_of(raw.decode("utf-8", "replace"))
            if len(self._sources) > MOST_SOURCES:
                self._sources.clear()
            self._sources[raw] = name
        return name

    def _time(self, raw: bytes) -> datetime:
        found = datetime.fromisoformat(raw.decode())
        if found.tzinfo is None:
            raise Poison("ce_time has no offset")
        return found

    def ahead(self) -> bool:
        """Make facts of some of the observations, which the write would have to do otherwise."""
        return self._folded.observations.ahead(AHEAD)

    def take(self) -> Folded:
        folded = self._folded
        catalogue = self._catalogue()
        same = folded.observations.catalogue is catalogue
        self._folded = Folded(folded.observations.clear() if same else Observations(catalogue))
        return folded

    def forget(self) -> None:
        self._folded = Folded(Observations(self._catalogue()))
        self._state.clear()

    def written(self) -> None:
        """What was written last is committed: the state may be kept."""
        self._sure = True

    async def write(self, tx: AsyncSession, folded: Folded) -> tuple[int, list[tuple[Record, str]]]:
        """Write what was folded; how many facts were known before, and what the units themselves refuse."""
        ready = prepared(self._catalogue())
        if not self._sure or ready is not self._ready or len(self._state.units) > MOST_UNITS:
            # The last write may have been rolled back, or other facts are of interest now.
            self._state.clear()
        self._sure, self._ready = False, ready
        self._state.held.clear()
        await feeds.do(tx, folded.deeds)
        batch, refused = await self._judge(tx, folded, ready)
        news = await ledger.settle(tx, self._state, batch, ready)
        return len(batch.winners) - news, refused

    async def _judge(self, tx: AsyncSession, folded: Folded, ready: Prepared) -> tuple[Batch, list[tuple[Record, str]]]:
        """The facts to write. Refused are observations of units not there on their day, or of another level."""
        if not len(folded.observations):
            return folded.batch, []
        batch = folded.batch.copy()
        said, documented = folded.observations.facts(), folded.observations.documented
        kept: observing.Documented = {}
        await self._state.learn(tx, {fact.unit for fact, _ in said})
        refused: list[tuple[Record, str]] = []
        for fact, record in said:
            reason = self._reason(fact, ready)
            if reason is None:
                batch.add(fact)
                if fact.cause in documented:
                    kept[fact.cause] = documented[fact.cause]
            elif record is not None:
                refused.append((record, reason))
        await observing.keep(tx, kept)
        return batch, refused

    def _reason(self, fact: Fact, ready: Prepared) -> str | None:
        generation = self._state.generation(fact.unit, fact.observed_at)
        if generation is None:
            # Nobody has described it yet: the fact waits, as those of our own services do.
            return None
        day = fact.observed_at.date()
        if day < generation.start:
            return "unit_not_yet"
        if generation.end is not None and generation.end <= day:
            return "unit_ended"
        level = ready.levels.get(fact.attribute)
        return "wrong_level" if level is not None and level != generation.level else None


def stream(
    settings: ServiceSettings, sessions: Sessions, registry: Consumers, catalogue: Callable[[], c.Catalogue]
) -> Stream:
    """The consumer of the service."""
    if not isinstance(registry, Feeds):
        raise TypeError("the service's stream folds feeds")
    return Stream(settings, sessions, registry, sink=Intake(registry, catalogue))
