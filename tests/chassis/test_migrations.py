"""The quick look at the start: whether a database has the newest schema is told without Alembic, and told rightly."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from chassis import migrations
from chassis.settings import ServiceSettings
from launcher.datadir import SERVICES

PACKAGE = "services.petitions"
ROOT = Path(__file__).parents[2]


def revision(folder: Path, name: str, follows: str) -> None:
    (folder / "versions").mkdir(exist_ok=True)
    (folder / "versions" / f"{name}.py").write_text(
        f'"""One migration."""\nfrom nowhere import nothing\nrevision: str = "{name}"\ndown_revision = {follows}\n'
    )


@pytest.mark.parametrize("service", SERVICES)
def test_the_newest_revision_is_the_one_that_alembic_finds(service: str) -> None:
    folder = ROOT / "services" / service / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    heads = ScriptDirectory.from_config(config).get_heads()
    assert heads
    assert migrations.newest(folder) == set(heads)


def test_branches_and_their_union_are_told_without_running_the_files(tmp_path: Path) -> None:
    revision(tmp_path, "a", "None")
    revision(tmp_path, "b", '"a"')
    revision(tmp_path, "c", '"a"')
    assert migrations.newest(tmp_path) == {"b", "c"}
    revision(tmp_path, "d", '("b", "c")')
    assert migrations.newest(tmp_path) == {"d"}


async def test_a_database_is_brought_up_once_and_one_that_is_behind_is_noticed(database: Callable[[str], str]) -> None:
    url = database("migrated")
    settings = ServiceSettings(name="petitions", database_url=url)
    assert not await migrations.is_newest(settings, PACKAGE)
    # Both are behind when they are looked at; the second then finds what the first made.
    await migrations.upgrade_all([(settings, PACKAGE), (settings, PACKAGE)])
    assert await migrations.is_newest(settings, PACKAGE)
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    finally:
        await engine.dispose()
    assert not await migrations.is_newest(settings, PACKAGE)
    assert not any(
        await asyncio.gather(*(migrations.is_newest(settings, f"services.{name}") for name in ("media", "ecommerce")))
    )
