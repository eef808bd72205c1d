"""Owns how a stream of messages becomes batches: full ones, or those that have waited long enough."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Generic, TypeVar

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class _End:
    """The stream is over, or what broke it."""

    error: Exception | None


class Batches(Generic[M]):
    """What comes in, in batches by number or by time; reading goes on while a batch is being committed.

    What breaks the stream is raised where the batches are taken, behind everything that came before it.
    """

    def __init__(self, size: int, wait_seconds: float) -> None:
        self._size, self._wait = size, wait_seconds
        self._queue: asyncio.Queue[M | _End] = asyncio.Queue(maxsize=size * 2)

    async def of(self, messages: AsyncIterator[M]) -> AsyncIterator[list[M]]:
        reader = asyncio.create_task(self._read(messages))
        try:
            while True:
                batch, end = await self._fill()
                if batch:
                    yield batch
                if end is not None and end.error is not None:
                    raise end.error
                if end is not None:
                    return
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self, messages: AsyncIterator[M]) -> None:
        try:
            async for message in messages:
                await self._queue.put(message)
        except Exception as error:
            await self._queue.put(_End(error))
        else:
            await self._queue.put(_End(None))

    async def _fill(self) -> tuple[list[M], _End | None]:
        """A batch, full or over in time, and how the stream ends where it does."""
        batch: list[M] = []
        message = await self._queue.get()
        try:
            async with asyncio.timeout(self._wait):
                while not isinstance(message, _End):
                    batch.append(message)
                    if len(batch) == self._size:
                        return batch, None
                    message = await self._queue.get()
        except TimeoutError:
            return batch, None
        return batch, message
