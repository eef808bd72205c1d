"""The indicators service, as a table of contents."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from chassis import units
from chassis.consumer import Consumer, Consumers
from chassis.db import Sessions, now
from chassis.service import Runtime, Service
from chassis.settings import ServiceSettings
from services.indicators import commands, web
from services.indicators.answers import live
from services.indicators.answers.live import Live
from services.indicators.criteria import library
from services.indicators.interchange import backlog, forgetting
from services.indicators.reorganisation import carrying
from services.indicators.reorganisation.lateness import Lateness
from services.indicators.routes import rpc
from services.indicators.routes.api import api
from services.indicators.routes.exchange import exchange
from services.indicators.routes.imports import imports as import_routes
from services.indicators.routes.inquiries import inquiries
from services.indicators.routes.refusals import refusals
from services.indicators.routes.settlements import settlements
from services.indicators.settings import Settings
from services.indicators.sources.readings import Readings, tell
from services.indicators.stream import sink as stream
from services.indicators.stream.consumers import on
from services.indicators.upkeep import following
from services.indicators.upkeep.maintaining import maintaining


@dataclass
class IndicatorsService(Service):
    """The service and what its entry points share: the changes as they come, and what other systems read."""

    live: Live = field(kw_only=True)
    readings: Readings = field(kw_only=True)


async def sequence(runtime: Runtime) -> None:
    """Gives changes their order and rolls them up to the units above."""
    await live.sequence(runtime.sessions, settings_of(runtime), library.catalogue)


async def calendar(runtime: Runtime) -> None:
    """Looks whether a new day began: a year's figures begin anew, suspensions begin and end.

    What came late about units that were reorganised is carried over here, too, and old files that came to nothing are
    cleared.
    """
    while True:
        async with runtime.sessions.begin() as tx:
            await commands.follow_calendar(tx, library.catalogue(), units.today())
        async with runtime.sessions.begin() as tx:
            await carrying.catch_up(tx, library.catalogue(), units.today())
        await forget_files(runtime)
        await asyncio.sleep(settings_of(runtime).calendar_seconds)


async def forget_files(runtime: Runtime) -> int:
    """Clears imported files that came to nothing and were kept long enough; returns how many."""
    done = 0
    while True:
        async with runtime.sessions.begin() as tx:
            cleared = await forgetting.clear(tx, now() - timedelta(days=settings_of(runtime).import_kept_days))
        done += cleared
        if cleared < forgetting.MOST:
            return done


async def late_words(runtime: Runtime) -> None:
    """Carries over what is said late about units that were reorganised."""
    await Lateness(runtime.sessions, library.catalogue).follow(settings_of(runtime).late_seconds)


async def imports(runtime: Runtime) -> None:
    """Applies and undoes imports that are too large for a request."""
    while True:
        if not await backlog.work(runtime.sessions, library.catalogue(), "figures"):
            await asyncio.sleep(settings_of(runtime).import_poll_seconds)


async def files(runtime: Runtime) -> None:
    """Reads imported files that are too large for a request; none waits for another one's figures to be applied."""
    while True:
        if not await backlog.work(runtime.sessions, library.catalogue(), "files"):
            await asyncio.sleep(settings_of(runtime).import_poll_seconds)


async def readings(runtime: Runtime) -> None:
    """Tells which systems read the data of which communes; a failure keeps what was not told."""
    service = runtime.service
    if not isinstance(service, IndicatorsService):
        raise TypeError("readings are noted by the service of indicators")
    while True:
        taken = service.readings.take()
        try:
            if taken:
                async with runtime.sessions.begin() as tx:
                    await tell(tx, taken, library.catalogue())
        except BaseException:
            service.readings.give_back(taken)
            raise
        await asyncio.sleep(settings_of(runtime).reading_seconds)


async def criteria(runtime: Runtime) -> None:
    """Keeps the catalogue of this process the one in force."""
    await following.follow(runtime.sessions, settings_of(runtime))


async def criteria_work(runtime: Runtime) -> None:
    """Judges units again where sets, measures or overlays changed."""
    await following.work(runtime.sessions, settings_of(runtime))


def follow(settings: ServiceSettings, sessions: Sessions, registry: Consumers) -> Consumer:
    """The service folds its events as one stream instead of handling them one by one."""
    return stream.stream(settings, sessions, registry, library.catalogue)


def settings_of(runtime: Runtime) -> Settings:
    settings = runtime.settings
    return settings if isinstance(settings, Settings) else Settings(**settings.model_dump())


def service(settings: Settings | None = None) -> Service:
    settings = settings or Settings()
    watched, read = Live(settings), Readings()
    return IndicatorsService(
        title="Chỉ tiêu",
        package="services.indicators",
        settings=settings,
        pages=web.routers,
        api=[api, inquiries, import_routes, refusals, settlements, maintaining, exchange],
        rpcs=rpc.rpcs(settings, watched, read),
        consumers=on,
        make_consumer=follow,
        tasks=[sequence, calendar, late_words, imports, files, criteria_work, readings],
        everywhere=[criteria],
        live=watched,
        readings=read,
    )
