"""Owns how an operator's command finds a service's database: the environment's, else that of the platform here."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from launcher.datadir import DataDir
from launcher.postgres import EmbeddedPostgres


class NoDatabase(RuntimeError):
    """No platform runs on the data directory and the environment names no database."""


def settings_of(service: str, data: Path) -> Any:
    """Settings of a service with its database; raises NoDatabase."""
    variable = f"XASO_{service.upper()}_DATABASE_URL"
    settings = import_module(f"services.{service}.settings").Settings
    if os.environ.get(variable):
        return settings()
    return settings(database_url=_address(DataDir(data), service, variable))


def _address(data: DataDir, service: str, variable: str) -> str:
    if data.holder() is None:
        raise NoDatabase(
            f"no platform runs on {data.path}: start one with 'xaso up', name its directory with --data, "
            f"or set {variable}"
        )
    # The fourth line of PostgreSQL's own note of itself is the port that it listens on.
    note = (data.path / "postgres" / "cluster" / "postmaster.pid").read_text(encoding="ascii").splitlines()
    server = EmbeddedPostgres(data.path / "postgres", int(note[3]))
    return server.address(service, data.secrets().databases[service], service, driver="asyncpg")
