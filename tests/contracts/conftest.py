"""Owns the five services that all contract tests share: started once, each on a database of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from launcher.postgres import EmbeddedPostgres
from tests.contracts.services import NAMES, start
from tests.contracts.walk import UNITS, Stage
from tests.support.running import ladder


@pytest.fixture(scope="package")
async def stages(postgres: EmbeddedPostgres) -> AsyncIterator[dict[str, Stage]]:
    """The services with their gRPC ports and the units of the walk; every test arranges objects of its own."""
    # The fixture `database` lives for one module, these services for all of this folder, and no longer: the catalogue
    # of indicators is the process's own, and the modules that come next have others.
    addresses = {name: postgres.create_database(f"contracts_{name}", secrets.token_urlsafe(12)) for name in NAMES}
    async with start(addresses.__getitem__, parts=("rpc",)) as started:
        for running in started.values():
            await running.enter_units(*ladder(), *UNITS)
        yield {name: Stage(name, running) for name, running in started.items()}
    for name in NAMES:
        postgres.drop_database(f"contracts_{name}")
