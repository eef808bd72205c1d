"""Owns the petitions service under test: on a database of the module, with two communes and their villages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from services.petitions.app import service
from services.petitions.settings import Settings
from tests.petitions.people import DAI_SON, ELSEWHERE, HUNG_DAO, NGHIA_DUNG, NGOC_LAM, People, people
from tests.support.running import Running, ladder, running, settings_for


@pytest_asyncio.fixture(scope="module")
async def app(database: Callable[[str], str]) -> AsyncIterator[Running]:
    """The service, without relay, consumer and gRPC, with two communes and their villages."""
    async with running(service, settings_for(Settings, database("petitions"))) as started:
        await started.enter_units(*ladder(), DAI_SON, NGHIA_DUNG, NGOC_LAM, HUNG_DAO, ELSEWHERE)
        yield started


@pytest.fixture(scope="module")
def who() -> People:
    return people()
