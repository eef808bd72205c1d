"""Owns the register of what each type of event means here: a pure mapping to facts, or a deed that needs the database.

It stands where the chassis's `Consumers` stands, so dead letters are decoded and replayed as everywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Consumers, Event
from services.indicators.calculation import ledger
from services.indicators.calculation.engine import Fact
from services.indicators.calculation.prepared import prepared
from services.indicators.calculation.state import State
from services.indicators.criteria import library
from services.indicators.sources import observing


class Envelope(Protocol):
    """The CloudEvents attributes a mapping needs; `sequence` counts the events of the subject."""

    @property
    def id(self) -> Any: ...
    @property
    def source(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def time(self) -> datetime: ...
    @property
    def sequence(self) -> int: ...


Mapping = Callable[[Any, Any], Iterable[Fact]]
Deed = Callable[[AsyncSession, Sequence[Event[Any]]], Awaitable[None]]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Feed:
    """One type of event. Of `latest` ones only the last word of a day is remembered (see `observing`)."""

    name: str
    message: type[Message]
    mapping: Mapping | None
    deed: Deed | None = None
    latest: bool = False


class Feeds(Consumers):
    """The feeds of the service. `@on(Message)` registers a mapping, `@on.latest` and `@on.deed` the other kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: dict[bytes, Feed] = {}
        """By `ce_type`, as it stands in the header."""

    def __call__(self, *messages: type[Message]) -> Callable[[F], F]:
        return self._register(messages, lambda name, message, given: Feed(name, message, given))

    def latest(self, *messages: type[Message]) -> Callable[[F], F]:
        """Register a mapping of events that tell the same figure again and again."""
        return self._register(messages, lambda name, message, given: Feed(name, message, given, latest=True))

    def deed(self, *messages: type[Message]) -> Callable[[F], F]:
        """Register what is done, before any fact of the same batch is written, with all events of these types in it."""
        return self._register(messages, lambda name, message, given: Feed(name, message, None, given))

    def _register(
        self, messages: Sequence[type[Message]], make: Callable[[str, type[Message], Any], Feed]
    ) -> Callable[[F], F]:
        def register(given: F) -> F:
            for message in messages:
                name = message.DESCRIPTOR.full_name
                if name in self.handlers:
                    raise ValueError(f"two handlers for {name}")
                self.handlers[name] = (message, given)
                self.kinds[name.encode()] = make(name, message, given)
            return given

        return register

    async def apply(self, tx: AsyncSession, events: Sequence[Event[Any]]) -> int:
        """Bring events into effect within `tx` as one batch; what they say is absorbed where it is known."""
        batch = ledger.Batch()
        deeds: dict[Deed, list[Event[Any]]] = {}
        documented: observing.Documented = {}
        for event in events:
            feed = self.kinds[event.type.encode()]
            if feed.deed is not None:
                deeds.setdefault(feed.deed, []).append(event)
            elif feed.mapping is not None:
                for fact in feed.mapping(event.data, event):
                    if fact.unit:
                        batch.add(fact)
                        if feed.latest and event.data.evidence:
                            documented[fact.cause] = event.data
        await do(tx, deeds)
        await observing.keep(tx, documented)
        await ledger.settle(tx, State(), batch, prepared(library.catalogue()))
        return len(events)


async def do(tx: AsyncSession, deeds: dict[Deed, list[Event[Any]]]) -> None:
    """Do the deeds of a batch, those that describe units first: they are registered first."""
    for deed, events in deeds.items():
        await deed(tx, events)
