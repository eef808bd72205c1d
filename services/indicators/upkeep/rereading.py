"""Owns reading the topics of the service again into the words of the shadow.

Events are folded by the very mappings of the stream, but placed on no unit and written to no live table. What live
processes set aside stays aside until somebody replays it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from chassis.replaying import Log, Place, committed, lost, set_aside
from chassis.stream import Record
from services.indicators.calculation.engine import Fact
from services.indicators.calculation.model import store
from services.indicators.criteria import library
from services.indicators.stream.feeds import Feeds
from services.indicators.stream.sink import Intake
from services.indicators.upkeep import shadowing

FULL = 50_000
"""Facts folded before they are written."""
SKEW = timedelta(seconds=5)
"""How far the clocks of brokers' clients and of the database may be apart."""

HELD_BACK_SECONDS = 5.0
"""How long records may fail to come while writers wait."""

Stage = Literal["reading", "comparing", "compared", "switching", "switched"]
"""How far a rebuild is: `compared` nothing is locked yet, `switching` writers wait, `switched` but for the commit."""
Told = Callable[[Stage, int, int], Awaitable[None]]
"""Is told the stage, how many records were read, and how many remain."""


@dataclass
class Reading:
    """What was read so far."""

    log: Log
    registry: Feeds
    told: Told
    records: int = 0
    events: int = 0
    unreadable: int = 0
    aside: int = 0
    _intake: Intake = field(init=False)
    _seen: list[tuple[str]] = field(default_factory=list)
    _aside: dict[tuple[str, int, int], str | None] = field(default_factory=dict)
    _lost: set[str] = field(default_factory=set)
    _latest: set[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._intake = Intake(self.registry, library.catalogue)
        self._latest = {kind for kind, feed in self.registry.kinds.items() if feed.latest}

    async def catch_up(self, sessions: Sessions, step: int = 0) -> int:
        """Read up to where the live stream is now, in transactions of its own; returns how many records there were."""
        async with sessions.read() as tx:
            until = await self._until(tx)
        before = self.records

        async def pause() -> None:
            await self._tell(until)
            if self._intake.size >= FULL:
                async with sessions.begin() as tx:
                    await self._write(tx, step)

        await self.log.read(until, self._take, pause)
        async with sessions.begin() as tx:
            await self._write(tx, step)
        return self.records - before

    async def finish(self, tx: AsyncSession, step: int) -> None:
        """Read, within `tx`, exactly up to where the live stream is as the transaction sees it."""
        until = await self._until(tx)

        async def pause() -> None:
            if self._intake.size >= FULL:
                await self._write(tx, step)

        await self.log.read(until, self._take, pause, HELD_BACK_SECONDS)
        await self._write(tx, step)

    async def stage(self, stage: Stage) -> None:
        """Tell how far the rebuild is."""
        await self.told(stage, self.records, 0)

    async def _until(self, tx: AsyncSession) -> dict[Place, int]:
        until = await committed(tx, self.log.cluster)
        self._aside = await set_aside(tx, self.log.cluster)
        self._lost = await lost(tx, self.log.cluster)
        return until

    async def _tell(self, until: Mapping[Place, int]) -> None:
        lag = sum(max(0, n - held.next) for p, n in until.items() if (held := self.log.held.get(p)) is not None)
        await self.told("reading", self.records, lag)

    def _take(self, record: Record) -> None:
        self.records += 1
        headers = dict(record.headers)
        kind = headers.get("ce_type")
        if kind is None or not self._intake.wants(kind):
            return
        self.events += 1
        id = headers.get("ce_id", b"").decode("utf-8", "replace")
        place, taken = (record.topic, record.partition, record.offset), False
        if place in self._aside and (self._aside[place] or "") == id:
            self.aside += 1
        else:
            # What was read before must not be lost because one record is broken: live processes set it aside, too.
            try:
                taken = self._intake.fold(record, headers)
            except Exception:
                self.unreadable += 1
        if not taken or kind in self._latest:
            self._seen.append((f"{kind.decode()}:{id}",))

    async def _write(self, tx: AsyncSession, step: int) -> None:
        folded = self._intake.take()
        rows = [_row(fact, False, step) for fact in (*folded.batch.winners.values(), *folded.batch.losers)]
        rows += [_row(fact, True, step) for fact, _ in folded.observations.facts()]
        await shadowing.copy_in(tx, "word", shadowing.WORD, rows)
        seen, self._seen = self._seen, []
        await shadowing.copy_in(tx, "seen", ("cause",), [one for one in seen if "\x00" not in one[0]])

    def whole_kinds(self, prefix: str) -> list[tuple[str, datetime]]:
        """Types of events whose topic was never cut, and since when it is written to."""
        return [
            (name.decode(), shadowing.epoch_start(first) + SKEW)
            for name, feed in self.registry.kinds.items()
            if (first := self._first(prefix + feed.message.DESCRIPTOR.file.package)) is not None
        ]

    @property
    def latest(self) -> list[str]:
        """Types of events of which only the last word of a day is remembered."""
        return sorted(kind.decode() for kind in self._latest)

    def _first(self, topic: str) -> int | None:
        """When the first record of an uncut topic was written; None where it was cut, or holds nothing."""
        held = [held for place, held in self.log.held.items() if place.topic == topic]
        if topic in self._lost or not held or not all(one.whole for one in held):
            return None
        return min((one.first_ms for one in held if one.first_ms is not None), default=None)


def _row(fact: Fact, latest: bool, step: int) -> tuple[Any, ...]:
    state, numerator, denominator = store(fact.value)
    return (
        fact.attribute, fact.entity, fact.source, fact.origin, fact.unit, fact.period, state, numerator, denominator,
        fact.withdrawn, fact.sequence, fact.cause, fact.observed_at, latest, step,
    )  # fmt: skip


def ranges(held: Iterable[tuple[Place, Any]], prefix: str) -> list[str]:
    """What was read of each topic, in words."""
    topics: dict[str, list[Any]] = {}
    for place, one in held:
        topics.setdefault(place.topic.removeprefix(prefix), []).append(one)
    return [
        f"{topic}: {sum(one.records for one in parts)} records in {len(parts)} partitions, "
        + ("from the first" if all(one.whole for one in parts) else "older ones are gone: from the history")
        for topic, parts in sorted(topics.items())
    ]
