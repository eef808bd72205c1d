"""Owns how a service's schema reaches its database: Alembic, run from the service's own package."""

from __future__ import annotations

import ast
import asyncio
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.audit import AUDIT_DDL
from chassis.db import chassis_metadata
from chassis.settings import ServiceSettings

# Alembic is loaded where there is something to migrate: a start with nothing to do is a third of a second quicker.
if TYPE_CHECKING:
    from alembic.config import Config

FOLD_DDL = (
    "CREATE EXTENSION IF NOT EXISTS unaccent",
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    # unaccent(text) is only STABLE because its dictionary could change; naming the dictionary makes the wrapper safe to
    # call immutable, which an index needs. The extension's schema is named so that a search_path cannot change it.
    """
    CREATE OR REPLACE FUNCTION xaso_fold(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN lower(public.unaccent('public.unaccent'::regdictionary, replace(replace(
        normalize(value, NFC), 'đ', 'd'), 'Đ', 'd')))
    """,
)

OUTBOX_NOTIFY_DDL = (
    """
    CREATE OR REPLACE FUNCTION xaso_outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('outbox', '');
        RETURN NULL;
    END $$
    """,
    # A statement-level trigger: one notification per statement, and PostgreSQL folds equal ones of a transaction.
    "CREATE TRIGGER outbox_notify AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION xaso_outbox_notify()",
)


def create_chassis_tables(op: Any) -> None:
    """The first migration of every service: search fold, the chassis's tables, the wake-up of the relay.

    `op` is Alembic's module of that name, which stands for the operations of the migration that runs.
    """
    connection = op.get_bind()
    for statement in FOLD_DDL:
        op.execute(sa.text(statement))
    chassis_metadata.create_all(connection)
    op.execute(sa.text("CREATE INDEX ix_unit_fold ON unit USING gin (xaso_fold(name) gin_trgm_ops)"))
    for statement in (*OUTBOX_NOTIFY_DDL, *AUDIT_DDL):
        op.execute(sa.text(statement))


def drop_chassis_tables(op: Any) -> None:
    chassis_metadata.drop_all(op.get_bind())


def run() -> None:
    """The body of every service's `migrations/env.py`: run on the connection that `upgrade` handed over."""
    from alembic import context

    connection: sa.Connection = context.config.attributes["connection"]
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


def _folder(package: str) -> Path:
    module = importlib.import_module(package)
    return Path(str(module.__file__)).parent / "migrations"


def _config(package: str) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_folder(package)))
    config.set_main_option("path_separator", "os")
    return config


def newest(folder: Path) -> frozenset[str]:
    """The revisions below `folder`/versions that no other follows, as the files' own texts name them."""
    revisions: set[str] = set()
    followed: set[str] = set()
    for file in sorted((folder / "versions").glob("*.py")):
        named = _named(file)
        if "revision" in named:
            revisions.add(str(named["revision"]))
        below = named.get("down_revision")
        followed.update((below,) if isinstance(below, str) else below or ())
    return frozenset(revisions - followed)


def _named(file: Path) -> dict[str, Any]:
    """What a migration says of itself at its top level, without running it."""
    found: dict[str, Any] = {}
    for statement in ast.parse(file.read_bytes()).body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name) and target.id in ("revision", "down_revision"):
                found[target.id] = ast.literal_eval(value)
    return found


async def is_newest(settings: ServiceSettings, package: str) -> bool:
    """Whether the database of `settings` has the newest schema of `package`. Does not need Alembic."""
    engine = create_async_engine(settings.database_url, poolclass=sa.NullPool)
    try:
        async with engine.connect() as connection:
            if not await connection.scalar(sa.text("SELECT to_regclass('alembic_version') IS NOT NULL")):
                return False
            there = await connection.scalars(sa.text("SELECT version_num FROM alembic_version"))
            return set(there) == newest(_folder(package))
    finally:
        await engine.dispose()


def _upgrade(connection: sa.Connection, package: str) -> None:
    from alembic import command

    config = _config(package)
    connection.execute(sa.text("SET lock_timeout = '5s'"))
    # Two processes that start together take turns.
    connection.execute(sa.text("SELECT pg_advisory_lock(hashtext('xaso-migrate'))"))
    connection.commit()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
    connection.execute(sa.text("SELECT pg_advisory_unlock(hashtext('xaso-migrate'))"))
    connection.commit()


async def upgrade(settings: ServiceSettings, package: str) -> None:
    """Bring the database of `settings` to the newest schema of `package` (for example `services.petitions`)."""
    if await is_newest(settings, package):
        return
    engine = create_async_engine(settings.database_url, poolclass=sa.NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade, package)
    finally:
        await engine.dispose()


async def upgrade_all(services: Sequence[tuple[ServiceSettings, str]]) -> None:
    """The same for several services (settings and package of each)."""
    there = await asyncio.gather(*(is_newest(settings, package) for settings, package in services))
    for (settings, package), done in zip(services, there, strict=True):
        if not done:
            # One after another: Alembic keeps the migration under way in a global of the process.
            await upgrade(settings, package)
