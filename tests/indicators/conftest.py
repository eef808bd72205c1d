"""Owns the running indicators service of a test module and the builders of events its tests feed it with."""

from __future__ import annotations

import functools
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from xaso.identity.v1 import events_pb2 as identity

from chassis.consumer import Event
from chassis.db import new_id
from chassis.units import Unit
from services.indicators.app import service
from services.indicators.calculation import sequencer
from services.indicators.criteria import library
from services.indicators.criteria.catalogue import Catalogue
from services.indicators.settings import Settings
from services.indicators.stream.consumers import on
from tests.support.running import Running, commune, ladder, running, settings_for, village

_numbers = itertools.count(1)


@dataclass
class Stage:
    """A running service with units, and the ways to tell it things as the other services would."""

    running: Running
    commune: Unit
    villages: list[Unit]
    _sequences: dict[str, int] = field(default_factory=dict)

    @property
    def client(self) -> Any:
        return self.running.client

    def event(
        self, message: Message, subject: str, *, sequence: int | None = None, at: datetime | None = None
    ) -> Event[Any]:
        """An event as the consumer sees it; the sequence counts per subject unless given."""
        if sequence is None:
            self._sequences[subject] = self._sequences.get(subject, 0) + 1
            sequence = self._sequences[subject]
        kind = message.DESCRIPTOR.full_name
        return Event(new_id(), "test", kind, subject, at or datetime.now(UTC), sequence, "", message)

    async def tell(self, *events: Event[Any]) -> None:
        """One batch of events in one transaction, as the consumer takes them."""
        async with self.running.tx() as tx:
            await on.apply(tx, list(events))

    async def settle(self) -> int:
        """Number and roll up whatever is committed."""
        total = 0
        while True:
            async with self.running.tx() as tx:
                done = await sequencer.number(tx) + await sequencer.roll_up(tx, library.catalogue())
            if not done:
                return total
            total += done

    async def new_village(self) -> Unit:
        """One more village of the commune, described by identity's own event."""
        unit = village(self.commune, 10 + next(_numbers), f"Thôn số {next(_numbers)}")
        await self.tell(self.event(entered(unit), f"unit/{unit.code}"))
        return unit

    async def sheet(self, unit: Unit | str, **params: str) -> dict[str, Any]:
        code = unit if isinstance(unit, str) else unit.code
        response = await self.client.get(f"/indicators/api/v1/units/{code}/sets/hd-288-2023", params=params)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def item(self, unit: Unit | str, code: str) -> dict[str, Any]:
        found = await self.sheet(unit)
        return next(item for item in found["items"] if item["code"] == code)

    async def status(self, unit: Unit | str, code: str) -> str:
        return str((await self.item(unit, code))["status"])


def entered(unit: Unit) -> identity.UnitEntered:
    return identity.UnitEntered(
        unit=identity.Unit(
            code=unit.code,
            name=unit.name,
            level=unit.level,
            kind=unit.kind,
            parent=unit.parent,
            path=unit.path,
            valid_from=unit.valid_from.isoformat(),
            valid_to=unit.valid_to.isoformat() if unit.valid_to else "",
        )
    )


def ago(**delta: float) -> datetime:
    return datetime.now(UTC) - timedelta(**delta)


@functools.cache
def shipped() -> Catalogue:
    """What ships, read once."""
    return library.read()


@pytest.fixture
def restored() -> Iterator[None]:
    """The catalogue is the process's own: other modules' databases know nothing of what is applied here."""
    before = library.catalogue()
    yield
    library.install(before)


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    """The service on a database of this module: Hải Dương, Tứ Kỳ, Đại Sơn and its first village."""
    # The catalogue is the process's own: what was applied to the database of another module may still be in force.
    library.install(shipped())
    settings = settings_for(Settings, database("indicators"))
    async with running(service, settings) as live:
        here = commune()
        first: Sequence[Unit] = [*ladder(), here, village(here)]
        await live.enter_units(*first)
        yield Stage(live, here, [first[-1]])


@pytest.fixture
async def here(stage: Stage, request: pytest.FixtureRequest) -> tuple[Unit, Unit]:
    """A commune of its own with one village."""
    number = 60000 + sum(map(ord, request.node.name))
    above = commune(str(number), f"Xã {number}")
    below = village(above)
    for unit in (above, below):
        await stage.tell(stage.event(entered(unit), f"unit/{unit.code}"))
    return above, below
