"""Owns the operator's command that registers programs of partners and authorities: `… add-program`.

It works on the service's database, as migrations do. The secret is made here, shown once and kept as a fingerprint.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.db import Sessions, make_engine
from chassis.text import Line
from services.identity.oidc import clients
from services.identity.oidc.model import Client
from services.identity.settings import Settings

ROLES = ("viewer", "partner")
"""What a program may hold: it watches over units for an authority, or it reports what a company knows."""
LEVELS = ("province", "district", "commune")
_ID = re.compile(r"[a-z0-9][a-z0-9.-]{2,62}")
_NAME = TypeAdapter[str](Line(120))


class Refused(ValueError):
    """The program cannot be registered so; the message says why, for the operator's screen."""


@dataclass(frozen=True)
class Program:
    """What the operator says of a program."""

    client_id: str
    name: str
    role: str
    unit: str
    scopes: tuple[str, ...]


async def register(tx: AsyncSession, asked: Program) -> str:
    """Register the program and return its secret; raises Refused, and one that is there stays as it is."""
    if not _ID.fullmatch(asked.client_id):
        raise Refused("a client id has 3 to 63 small letters, digits, dots and hyphens")
    unit = await units.find(tx, asked.unit) if asked.unit.isprintable() else None
    if unit is None or unit.level not in LEVELS:
        raise Refused(f"{asked.unit!r} is no province, district or commune of today")
    if await tx.get(Client, asked.client_id) is not None:
        raise Refused(f"{asked.client_id} is registered already")
    try:
        name = _NAME.validate_python(asked.name)
    except ValidationError:
        raise Refused("a name has 1 to 120 characters on one line") from None
    secret = secrets.token_urlsafe(32)
    new = clients.NewClient(
        client_id=asked.client_id,
        name=name,
        grant_types=("client_credentials",),
        scopes=asked.scopes,
        secret=secret,
        roles=((asked.role, unit),),
    )
    await clients.ensure(tx, new, by="operator")
    detail = {"role": asked.role, "scopes": list(asked.scopes)}
    await audit.record(tx, None, "program.registered", asked.client_id, unit.code, detail)
    return secret


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(arguments: Sequence[str], settings: Callable[[], Settings], say: Callable[[str], None] = _print) -> int:
    """Run the command; says the secret and returns 0, or writes to standard error why not and returns 1."""
    parser = argparse.ArgumentParser(
        prog="python -m services.identity add-program",
        description="Registers a program that signs in with client credentials, and prints its secret once.",
    )
    parser.add_argument("client_id")
    parser.add_argument("--name", required=True, help="as people read it")
    parser.add_argument("--role", required=True, choices=ROLES, help="viewer: an authority's; partner: a company's")
    parser.add_argument("--unit", required=True, help="code of the province, district or commune it works for")
    parser.add_argument("--scope", required=True, action="append", choices=clients.PARTNER_SCOPES)
    asked = parser.parse_args(arguments)
    scopes = tuple(dict.fromkeys(asked.scope))
    program = Program(asked.client_id, asked.name, asked.role, asked.unit, scopes)
    try:
        secret = asyncio.run(_register(settings(), program))
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    say(secret)
    return 0


async def _register(settings: Settings, program: Program) -> str:
    engine = make_engine(settings)
    try:
        async with Sessions(engine).begin() as tx:
            return await register(tx, program)
    finally:
        await engine.dispose()
