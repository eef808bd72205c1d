"""Owns what a new platform starts with: the official units, and the first accounts whose secrets the launcher made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.db import Sessions, make_engine
from chassis.service import Runtime
from services.identity.accounts import commands as accounts
from services.identity.accounts.model import Account
from services.identity.desk import Desk
from services.identity.oidc import clients
from services.identity.settings import Settings
from services.identity.units import commands as unit_commands
from services.identity.units import official

PROVINCE = "30"
COMMUNE = "11083"
"""Xã Đại Sơn of huyện Tứ Kỳ: the commune of the demonstration. Other provinces have communes of that name."""

BY = "seed"


@dataclass(frozen=True)
class Person:
    """An account of the seed: the key of its secrets, the name shown, role and unit."""

    key: str
    name: str
    role: str
    unit: str


PEOPLE = (
    Person("admin", "Quản trị tỉnh", "admin", PROVINCE),
    Person("leader", "Lãnh đạo xã Đại Sơn", "leader", COMMUNE),
    Person("officer", "Công chức xã Đại Sơn", "officer", COMMUNE),
    Person("resident", "Người dân xã Đại Sơn", "resident", COMMUNE),
    Person("producer", "Hợp tác xã Đại Sơn", "producer", COMMUNE),
)


async def load_units(tx: AsyncSession) -> int:
    """Enter the official units that are not there yet and publish them; returns how many were new."""
    return await unit_commands.load_official(tx, official.hai_duong())


async def ensure(where: Runtime | Settings, secrets: Mapping[str, Mapping[str, Any]]) -> None:
    """Load the units and make each account and client that `secrets` names and that is not there yet.

    `where` is a running service, or settings to connect with. `secrets` maps a key of PEOPLE to `{user, password}` and
    `partner` to `{client_id, client_secret}`; other keys are left alone. Running it again changes nothing; an account
    whose password was changed since keeps it.
    """
    settings = where if isinstance(where, Settings) else where.settings
    if not isinstance(settings, Settings):
        raise TypeError("the runtime given is not one of the identity service")
    async with _sessions(where) as sessions:
        desk = Desk.of(settings)
        async with sessions.begin() as tx:
            await load_units(tx)
        async with sessions.begin() as tx:
            await _people(tx, desk, secrets)
            if "partner" in secrets:
                await _partner(tx, secrets["partner"])
            await desk.keys.published(tx)


@asynccontextmanager
async def _sessions(where: Runtime | Settings) -> AsyncIterator[Sessions]:
    if not isinstance(where, Settings):
        yield where.sessions
        return
    engine = make_engine(where)
    try:
        yield Sessions(engine)
    finally:
        await engine.dispose()


async def create_admin(settings: Settings, user: str, password: str, province: str = PROVINCE) -> None:
    """Make an administrator of a province; raises NameTaken, Invalid, UnknownUnit.

    On a platform without any unit, those of the province that `xaso up` starts with are loaded; a province elsewhere
    applies its own first (`xaso units`).
    """
    async with _sessions(settings) as sessions, sessions.begin() as tx:
        if not await units.search(tx, limit=1):
            await load_units(tx)
        await _person(tx, Desk.of(settings), replace(PEOPLE[0], unit=province), user, password)


async def _people(tx: AsyncSession, desk: Desk, secrets: Mapping[str, Mapping[str, Any]]) -> None:
    for person in PEOPLE:
        login = secrets.get(person.key)
        if login is None:
            continue
        user = str(login["user"])
        if not await tx.scalar(sa.select(Account.id).where(Account.username == user)):
            await _person(tx, desk, person, user, str(login["password"]))


async def _person(tx: AsyncSession, desk: Desk, person: Person, user: str, password: str) -> None:
    unit = await units.get(tx, person.unit)
    new = accounts.CreateAccount(name=person.name, password=password, role=person.role, unit=person.unit, username=user)
    await accounts.store(tx, desk.tools, new, unit, by=BY)


async def _partner(tx: AsyncSession, secret: Mapping[str, Any]) -> None:
    # After a reorganisation the province may be part of another one; who of the partners works there is settled anew.
    province = await units.find(tx, PROVINCE)
    await clients.ensure(
        tx,
        clients.NewClient(
            client_id=str(secret["client_id"]),
            secret=str(secret["client_secret"]),
            name="Doanh nghiệp viễn thông",
            grant_types=("client_credentials",),
            scopes=clients.PARTNER_SCOPES,
            roles=(("partner", province),) if province else (),
        ),
        by=BY,
    )
