"""The indicators service, as a table of contents."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from chassis import units
from chassis.service import Runtime, Service
from services.indicators import commands, library, live, rpc, web
from services.indicators.api import api
from services.indicators.consumers import on
from services.indicators.live import Live
from services.indicators.settings import Settings


@dataclass
class IndicatorsService(Service):
    """The service and what its entry points share: the changes as they come."""

    live: Live = field(kw_only=True)


async def sequence(runtime: Runtime) -> None:
    """Gives changes their order and rolls them up to the units above."""
    await live.sequence(runtime.sessions, settings_of(runtime), library.catalogue)


async def calendar(runtime: Runtime) -> None:
    """Looks whether a new day began: a year's figures begin anew, suspensions begin and end."""
    while True:
        async with runtime.sessions.begin() as tx:
            await commands.follow_calendar(tx, library.catalogue(), units.today())
        await asyncio.sleep(settings_of(runtime).calendar_seconds)


def settings_of(runtime: Runtime) -> Settings:
    settings = runtime.settings
    return settings if isinstance(settings, Settings) else Settings(**settings.model_dump())


def service(settings: Settings | None = None) -> Service:
    settings = settings or Settings()
    watched = Live(settings)
    return IndicatorsService(
        title="Chỉ tiêu",
        package="services.indicators",
        settings=settings,
        pages=[web.pages],
        api=[api],
        rpcs=rpc.rpcs(settings, watched),
        consumers=on,
        tasks=[sequence, calendar],
        live=watched,
    )
