"""The petitions service, as a table of contents."""

from __future__ import annotations

import asyncio

from chassis.service import Runtime, Service
from services.petitions import drafts, web
from services.petitions.api import api
from services.petitions.consumers import on
from services.petitions.rpc import petition_service
from services.petitions.settings import Settings

SWEEP_SECONDS = 3600


async def sweep_drafts(runtime: Runtime) -> None:
    """Once an hour, unsent reports that nobody came back for are thrown away."""
    settings = runtime.settings
    hours = settings.draft_hours if isinstance(settings, Settings) else 24
    while True:
        async with runtime.sessions.begin() as tx:
            await drafts.sweep(tx, hours)
        await asyncio.sleep(SWEEP_SECONDS)


def service(settings: Settings | None = None) -> Service:
    settings = settings or Settings()
    return Service(
        title="Phản ánh",
        package="services.petitions",
        settings=settings,
        pages=web.routers,
        api=[api],
        rpcs=[petition_service(settings.secret.get_secret_value())],
        consumers=on,
        tasks=[sweep_drafts],
    )
