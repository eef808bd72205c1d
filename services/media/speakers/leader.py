"""Owns the seat of the one active hub: an advisory lock that PostgreSQL frees the moment its holder is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from chassis import telemetry

log = telemetry.logger(__name__)

_LOCK = "SELECT pg_try_advisory_lock(hashtext('xaso-media-hub'))"


async def lead(dsn: str, work: Callable[[], Awaitable[None]], *, pause: float) -> None:
    """Run `work` while holding the seat, waiting for it as long as another process has it; runs until cancelled.

    The connection that holds the lock is asked every `pause` seconds: when it is gone another process may have the
    seat, so `work` is stopped before anything else is done.
    """
    while True:
        try:
            await _one_term(dsn, work, pause)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            log.warning("hub_seat_lost", error=type(error).__name__)
        await asyncio.sleep(pause)


async def _one_term(dsn: str, work: Callable[[], Awaitable[None]], pause: float) -> None:
    connection = await asyncpg.connect(dsn, timeout=5, command_timeout=5)
    working: asyncio.Future[None] | None = None
    try:
        if not await connection.fetchval(_LOCK):
            return
        log.info("hub_seat_taken")
        working = asyncio.ensure_future(work())
        while not working.done():
            await asyncio.wait({working}, timeout=pause)
            await connection.fetchval("SELECT 1")
        working.result()
    finally:
        if working is not None:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        # Closing politely frees the seat at once; a connection that is gone cannot be closed politely.
        try:
            await connection.close(timeout=1)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            connection.terminate()
