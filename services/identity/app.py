"""The identity service, as a table of contents."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from chassis.db import now
from chassis.service import Runtime, Service
from services.identity.accounts import api as accounts_api
from services.identity.accounts import handover_web
from services.identity.accounts import staff_web as accounts_staff
from services.identity.accounts import web as accounts_web
from services.identity.desk import Desk
from services.identity.directory import api as directory_api
from services.identity.directory import web as directory_web
from services.identity.households import api as households_api
from services.identity.households import import_web as households_import
from services.identity.households import register as households
from services.identity.households import web as households_web
from services.identity.oidc import api as oidc_api
from services.identity.oidc import web as oidc_web
from services.identity.oidc.model import AuthorizationCode, TokenFamily
from services.identity.rpc import directory_service
from services.identity.sessions import endings, throttle
from services.identity.sessions import web as sessions_web
from services.identity.settings import Settings
from services.identity.staff import register
from services.identity.teams import api as teams_api
from services.identity.teams import web as teams_web
from services.identity.units import api as units_api
from services.identity.units import commands as unit_commands
from services.identity.units import web as units_web

KEEP_SECONDS = 600


async def keep(runtime: Runtime) -> None:
    """Every ten minutes: the next signing key where it is time, and away with what has expired.

    Posts nobody told of are told, too: those from before there was a register, and those of villages that ended; and
    what a new year or the end of a village makes of the registers of households.
    """
    desk = Desk.of(_settings(runtime))
    while True:
        async with runtime.sessions.begin() as tx:
            await desk.keys.rotate(tx)
        async with runtime.sessions.begin() as tx:
            at = now()
            await throttle.sweep(tx, at)
            await endings.sweep(tx, at)
        async with runtime.sessions.begin() as tx:
            await register.tell_everywhere(tx)
        told = households.MOST
        while told == households.MOST:
            async with runtime.sessions.begin() as tx:
                await unit_commands.lock_order(tx)
                told = await households.tell_stale(tx)
        async with runtime.sessions.begin() as tx:
            at = now()
            # A used code stays as long as its family, so that a second use is still noticed.
            gone = sa.select(TokenFamily.id).where(TokenFamily.expires_at <= at)
            await tx.execute(sa.delete(AuthorizationCode).where(AuthorizationCode.family.in_(gone)))
            await tx.execute(sa.delete(TokenFamily).where(TokenFamily.expires_at <= at))
        await asyncio.sleep(KEEP_SECONDS)


def _settings(runtime: Runtime) -> Settings:
    if not isinstance(runtime.settings, Settings):
        raise TypeError("the runtime given is not one of the identity service")
    return runtime.settings


def service(settings: Settings | None = None) -> Service:
    return Service(
        title="Con người",
        package="services.identity",
        settings=settings or Settings(),
        pages=[
            directory_web.pages,
            sessions_web.pages,
            accounts_web.pages,
            accounts_staff.pages,
            handover_web.pages,
            units_web.pages,
            teams_web.pages,
            households_import.pages,
            households_web.pages,
            oidc_web.pages,
        ],
        api=[accounts_api.api, units_api.api, teams_api.api, households_api.api, directory_api.api, oidc_api.api],
        rpcs=[directory_service()],
        tasks=[keep],
    )
