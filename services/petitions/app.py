"""The petitions service, as a table of contents."""

from __future__ import annotations

import asyncio

from chassis import units
from chassis.service import Runtime, Service
from services.petitions import drafts, web
from services.petitions.api import api
from services.petitions.consumers import on
from services.petitions.forum import desk as forum_desk
from services.petitions.forum import post_pages as forum_posts
from services.petitions.forum import web as forum_web
from services.petitions.forum.api import api as forum_api
from services.petitions.polls import commands as poll_commands
from services.petitions.polls.api import api as polls_api
from services.petitions.polls.web import routers as poll_pages
from services.petitions.rpc import petition_service
from services.petitions.settings import Settings

SWEEP_SECONDS = 3600
POLL_SECONDS = 60


async def sweep_drafts(runtime: Runtime) -> None:
    """Once an hour, unsent reports that nobody came back for are thrown away."""
    settings = runtime.settings
    hours = settings.draft_hours if isinstance(settings, Settings) else 24
    while True:
        async with runtime.sessions.begin() as tx:
            await drafts.sweep(tx, hours)
        await asyncio.sleep(SWEEP_SECONDS)


async def close_polls(runtime: Runtime) -> None:
    """Once a minute, polls whose last day is over are closed: their links are deleted, their results published."""
    while True:
        async with runtime.sessions.begin() as tx:
            closed = await poll_commands.close_due(tx, units.today())
        if closed < poll_commands.AT_ONCE:
            await asyncio.sleep(POLL_SECONDS)


def service(settings: Settings | None = None) -> Service:
    settings = settings or Settings()
    return Service(
        title="Phản ánh",
        package="services.petitions",
        settings=settings,
        pages=[*web.routers, forum_web.pages, forum_posts.pages, forum_desk.pages, *poll_pages],
        api=[api, forum_api, polls_api],
        rpcs=[petition_service(settings.secret.get_secret_value())],
        consumers=on,
        tasks=[sweep_drafts, close_polls],
    )
