"""Owns how a service's schema reaches its database: Alembic, run from the service's own package."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.audit import AUDIT_DDL
from chassis.db import chassis_metadata
from chassis.settings import ServiceSettings

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
    connection: sa.Connection = context.config.attributes["connection"]
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


def _config(package: str) -> Config:
    module = importlib.import_module(package)
    folder = Path(str(module.__file__)).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: sa.Connection, package: str) -> None:
    config = _config(package)
    heads = set(ScriptDirectory.from_config(config).get_heads())
    if set(MigrationContext.configure(connection).get_current_heads()) == heads:
        return
    connection.rollback()
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
    engine = create_async_engine(settings.database_url, poolclass=sa.NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade, package)
    finally:
        await engine.dispose()
