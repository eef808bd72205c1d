"""Owns how a process keeps up with the catalogue: it hears of another one, swaps it, and one process does the work.

The listening connection may be lost with a notification in it, so that the number is looked at from time to time too.
"""

from __future__ import annotations

from chassis import telemetry
from chassis.db import Sessions
from services.indicators.answers import live
from services.indicators.calculation import applying
from services.indicators.criteria import editions, library
from services.indicators.settings import Settings

log = telemetry.logger(__name__)

LOOK_SECONDS = 2.0
"""Longest time, in seconds, until another catalogue is noticed whose notification was lost."""
REST_SECONDS = 2.0
"""Longest rest, in seconds, of the worker without a notification."""


async def follow(sessions: Sessions, settings: Settings) -> None:
    """Keep this process at the catalogue in force, for as long as it lives."""
    async with live.listening(settings, editions.CHANNEL) as bell:
        while True:
            bell.hush()
            await look(sessions)
            await bell.within(LOOK_SECONDS)


async def look(sessions: Sessions) -> bool:
    """Swap the catalogue where another one is in force; returns whether it was."""
    async with sessions.read() as tx:
        changed = await editions.refresh(tx)
    if changed:
        log.info("criteria.installed", version=library.catalogue().version)
    return changed


async def work(sessions: Sessions, settings: Settings) -> None:
    """Record what ships, then judge units again wherever a document was applied, for as long as the process lives."""
    async with sessions.begin() as tx:
        await applying.keep_shipped(tx)
    async with live.listening(settings, editions.CHANNEL) as bell:
        while True:
            bell.hush()
            await catch_up(sessions)
            await bell.within(REST_SECONDS)


async def catch_up(sessions: Sessions) -> int:
    """Do all the work there is, one bounded transaction after the other; returns how many it took."""
    done = 0
    while True:
        async with sessions.begin() as tx:
            if not await applying.work(tx):
                return done
        done += 1
