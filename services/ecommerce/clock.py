"""Owns the loop that tells when listings begin and end by the clock."""

from __future__ import annotations

import asyncio

from chassis.db import now
from chassis.service import Runtime
from services.ecommerce import commands
from services.ecommerce.settings import Settings


async def turn_listings(runtime: Runtime) -> None:
    """Every `turn_seconds`: begin and end what is due, a batch per transaction until nothing is left.

    Several processes may run it: each takes products that no other holds. A failure ends the loop; the chassis logs it
    and starts it again.
    """
    settings = runtime.settings
    if not isinstance(settings, Settings):
        raise TypeError("the clock of listings needs the settings of ecommerce")
    while True:
        async with runtime.sessions.begin() as tx:
            turned = await commands.turn_listings(tx, now(), settings.turn_batch)
        if turned < settings.turn_batch:
            await asyncio.sleep(settings.turn_seconds)
