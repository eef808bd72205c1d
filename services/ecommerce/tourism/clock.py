"""Owns the loop that does what falls due by itself: closures end, requests expire, visitors' contacts are let go."""

from __future__ import annotations

import asyncio

from chassis.db import now
from chassis.service import Runtime
from services.ecommerce.settings import Settings
from services.ecommerce.tourism import bookings, commands


async def turn_points(runtime: Runtime) -> None:
    """Every `tourism_seconds`; any number of processes may run it. The chassis starts it again after a failure."""
    settings = runtime.settings
    if not isinstance(settings, Settings):
        raise TypeError("the clock of tourism needs the settings of ecommerce")
    while True:
        async with runtime.sessions.begin() as tx:
            at = now()
            opened = await commands.reopen_due(tx, at, settings.turn_batch)
            await bookings.expire(tx, at)
        if opened < settings.turn_batch:
            await asyncio.sleep(settings.tourism_seconds)
