"""The embedded PostgreSQL: makes databases, keeps data over a crash, takes over what an earlier launcher left."""

import stat
from pathlib import Path

import asyncpg
import psutil
import pytest

from launcher import processes
from launcher.postgres import EmbeddedPostgres
from launcher.processes import EngineFailed


async def ask(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_a_database_belongs_to_its_role_and_has_the_extensions(postgres: EmbeddedPostgres) -> None:
    url = postgres.create_database("launcher_owner", "pass'word")
    assert await ask(url, "SELECT current_user || ' ' || current_database()") == "launcher_owner launcher_owner"
    assert await ask(url, "SELECT count(*) FROM pg_extension WHERE extname IN ('unaccent', 'pg_trgm')") == 2
    assert await ask(url, "SELECT lower(unaccent('Đường HƯ hỏng'))") == "duong hu hong"
    assert await ask(url, "SELECT lower('ĐƯỜNG')") == "đường"
    await ask(url, "CREATE TABLE kept AS SELECT 1 AS x")
    again = postgres.create_database("launcher_owner", "another")
    assert await ask(again, "SELECT x FROM kept") == 1
    postgres.drop_database("launcher_owner")


async def test_a_role_enters_with_its_password_only_and_no_foreign_database(postgres: EmbeddedPostgres) -> None:
    one = postgres.create_database("launcher_one", "right")
    postgres.create_database("launcher_two", "other")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(one.replace("right", "wrong"), "SELECT 1")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(postgres.address("launcher_one", "right", "launcher_two"), "SELECT 1")
    postgres.drop_database("launcher_one")
    postgres.drop_database("launcher_two")


@pytest.mark.parametrize("name", ["Robert'); DROP", "", "1st", "x" * 64])
def test_a_name_that_is_no_plain_identifier_is_refused(postgres: EmbeddedPostgres, name: str) -> None:
    with pytest.raises(ValueError, match="plain"):
        postgres.create_database(name, "secret")


async def test_committed_rows_outlive_a_killed_postmaster(postgres_of_own: EmbeddedPostgres) -> None:
    url = postgres_of_own.start().url
    await ask(url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS x")
    postgres_of_own.kill()
    assert not postgres_of_own.running
    postgres_of_own.start()
    assert postgres_of_own.url == url
    assert await ask(url, "SELECT sum(x) FROM kept") == 500500


async def test_a_postmaster_left_by_an_earlier_launcher_gives_way(postgres_of_own: EmbeddedPostgres) -> None:
    postgres_of_own.start()
    left = postgres_of_own.pid
    assert left is not None
    second = EmbeddedPostgres(postgres_of_own.data_dir)
    try:
        assert await ask(second.start().url, "SELECT 1") == 1
        assert second.pid != left
        assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE
    finally:
        second.kill()


async def test_a_stale_pid_file_of_another_program_is_no_obstacle(postgres_of_own: EmbeddedPostgres) -> None:
    postgres_of_own.start()
    postgres_of_own.kill()
    pid_file = postgres_of_own.cluster / "postmaster.pid"
    lines = pid_file.read_text(encoding="ascii").splitlines()
    pid_file.write_text("\n".join([str(psutil.Process().pid), *lines[1:]]), encoding="ascii")
    assert await ask(postgres_of_own.start().url, "SELECT 1") == 1


def test_the_superuser_password_is_readable_by_its_owner_only(postgres: EmbeddedPostgres) -> None:
    assert stat.S_IMODE((postgres.data_dir / "password").stat().st_mode) == 0o600


def test_a_cluster_without_its_password_is_kept_and_named(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "PG_VERSION").write_text("18\n", encoding="ascii")
    with pytest.raises(EngineFailed, match="password file is missing"):
        EmbeddedPostgres(tmp_path).start()
    assert (tmp_path / "cluster" / "PG_VERSION").exists()


def test_only_the_loopback_address_is_served(postgres: EmbeddedPostgres) -> None:
    assert postgres.pid is not None
    served = {c.laddr.ip for c in psutil.Process(postgres.pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert served == {processes.LOOPBACK}
