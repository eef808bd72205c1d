"""Owns how changes reach those who watch: PostgreSQL wakes the process, one reader fills a ring, followers read it.

A follower holds no queue, only the position it has seen: a slow one costs nothing and loses nothing, because what has
left the ring is read from the log again. The listening connection is open only while somebody watches.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import telemetry
from chassis.auth import covers
from chassis.db import Sessions
from chassis.relay import dsn
from services.indicators.answers import queries
from services.indicators.calculation import sequencer
from services.indicators.calculation.model import CHANGES_CHANNEL, PENDING_CHANNEL, Change
from services.indicators.criteria import catalogue as c
from services.indicators.settings import Settings

log = telemetry.logger(__name__)
T = TypeVar("T")
Reads = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""Opens a transaction for reading: `sessions.read` or `rpc.read`."""

RING = 4096
"""Changes kept in memory for those who watch."""
PAGE = 500
POLL_SECONDS = 2.0
"""Longest wait without a notification: one may be lost with its connection."""
RETRY_SECONDS = 1.0


class Bell:
    """Rings when PostgreSQL notifies. A bell whose connection is lost rings no more and says so."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._lost = False

    def ring(self, *_: Any) -> None:
        self._rung.set()

    def lose(self, *_: Any) -> None:
        self._lost = True
        self._rung.set()

    def hush(self) -> None:
        """Forget what rang; called before looking, so that what comes while one looks rings again."""
        if not self._lost:
            self._rung.clear()

    async def within(self, seconds: float) -> None:
        """Wait for a ring at most `seconds`; raises ConnectionError where none can come any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        if self._lost:
            raise ConnectionError("the listening connection was lost")


@asynccontextmanager
async def listening(settings: Settings, channel: str) -> AsyncIterator[Bell]:
    """A bell for `channel`, on a connection of its own."""
    bell = Bell()
    connection = await asyncpg.connect(dsn(settings), timeout=5)
    try:
        connection.add_termination_listener(bell.lose)
        await connection.add_listener(channel, bell.ring)
        yield bell
    finally:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            await connection.close(timeout=2)


async def sequence(sessions: Sessions, settings: Settings, catalogue: Callable[[], c.Catalogue]) -> None:
    """Number committed changes and roll them up for as long as the process lives.

    Numbering goes by itself: a change is on its way to who watches before the units above it are computed.
    """
    async with listening(settings, PENDING_CHANNEL) as pending, asyncio.TaskGroup() as group:
        roll = asyncio.Event()
        group.create_task(_number(sessions, settings, pending, roll), name="indicators:number")
        group.create_task(_roll_up(sessions, settings, catalogue, roll), name="indicators:roll-up")


async def _number(sessions: Sessions, settings: Settings, pending: Bell, roll: asyncio.Event) -> None:
    while True:
        pending.hush()
        async with sessions.begin() as tx:
            done = await sequencer.number(tx)
        roll.set()
        if not done:
            await pending.within(settings.sequence_poll_seconds)


async def _roll_up(
    sessions: Sessions, settings: Settings, catalogue: Callable[[], c.Catalogue], roll: asyncio.Event
) -> None:
    while True:
        await roll.wait()
        roll.clear()
        began = time.monotonic()
        async with sessions.begin() as tx:
            await sequencer.roll_up(tx, catalogue())
        # Under load changes wait to be rolled up together, and at most a quarter of the time goes into it.
        await asyncio.sleep(max(settings.roll_up_seconds, 3 * (time.monotonic() - began)))


class Live:
    """The changes as they come, for any number of followers in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ring: deque[Change] = deque(maxlen=RING)
        self._top = 0
        self._arrived = asyncio.Event()
        self._followers = 0
        self._reader: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()

    async def follow(
        self, read: Reads, after: int | None, *, path: str | None = None, set_code: str | None = None
    ) -> AsyncIterator[Change | None]:
        """Changes after a position (None: from now on), without gaps.

        A first None says that the position is taken: whatever is committed from then on comes. Further ones say that
        nothing came for a heartbeat. `path` stands for the unit and everything below it.
        """
        async with self._reading(read):
            seen = self._top if after is None else after
            if seen > self._top:
                # Another process may be ahead of this one's ring; a token from a database that is gone is not followed.
                seen = min(seen, await _read(read, queries.top_position))
            yield None
            while True:
                arrived = self._arrived
                fresh = await self._after(read, seen, path, set_code)
                for change in fresh[1]:
                    yield change
                seen = fresh[0]
                if seen < self._top:
                    continue
                try:
                    async with asyncio.timeout(self._settings.heartbeat_seconds):
                        await arrived.wait()
                except TimeoutError:
                    yield None

    async def _after(self, read: Reads, seen: int, path: str | None, set_code: str | None) -> tuple[int, list[Change]]:
        """The next changes for a follower and the position it has then seen."""
        if self._ring and self._ring[0].position <= seen + 1:
            skip = seen + 1 - self._ring[0].position
            ahead = [self._ring[i] for i in range(skip, min(len(self._ring), skip + PAGE))]
            return (ahead[-1].position if ahead else seen), [x for x in ahead if wanted(x, path, set_code)]
        if seen >= self._top:
            return seen, []
        top = self._top
        found = await _read(read, lambda tx: queries.changes(tx, seen, path=path, set_code=set_code, limit=PAGE))
        found = [change for change in found if change.position <= top]
        return (found[-1].position if len(found) == PAGE else top), found

    @asynccontextmanager
    async def _reading(self, read: Reads) -> AsyncIterator[None]:
        self._followers += 1
        if self._reader is None:
            self._begun = asyncio.Event()
            self._reader = asyncio.create_task(self._read_on(read), name="indicators:live")
        try:
            await self._begun.wait()
            yield
        finally:
            self._followers -= 1
            if not self._followers and self._reader is not None:
                reader, self._reader = self._reader, None
                self._ring.clear()
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)

    async def _read_on(self, read: Reads) -> None:
        """Fill the ring until cancelled; survives the loss of the database."""
        while True:
            try:
                async with listening(self._settings, CHANGES_CHANNEL) as bell:
                    if not self._begun.is_set():
                        self._top = await _read(read, queries.top_position)
                        self._begun.set()
                    while True:
                        bell.hush()
                        if not await self._fetch(read):
                            await bell.within(POLL_SECONDS)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
                log.warning("live_waits", error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _fetch(self, read: Reads) -> bool:
        top = self._top
        found = await _read(read, lambda tx: queries.changes(tx, top, limit=PAGE))
        if not found:
            return False
        self._ring.extend(found)
        self._top = found[-1].position
        self._arrived.set()
        self._arrived = asyncio.Event()
        return True


def wanted(change: Change, path: str | None, set_code: str | None) -> bool:
    """Whether a follower of `path` and `set_code` asked for this change."""
    return (path is None or covers(path, change.path)) and set_code in (None, change.set_code)


async def _read(read: Reads, ask: Callable[[AsyncSession], Awaitable[T]]) -> T:
    async with read() as tx:
        return await ask(tx)
