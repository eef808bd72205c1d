"""What a start loads and in which order: engines first, and nothing that only some commands or requests need."""

import gc
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher import platform
from launcher.datadir import DataDir
from launcher.engines import Engines
from launcher.processes import EngineFailed

PATIENCE_SECONDS = 60.0


def loaded(module: str) -> set[str]:
    """The top-level packages, and the launcher's modules, that a fresh Python holds once it has loaded `module`."""
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    return {name.partition(".")[0] for name in names} | {name for name in names if name.startswith("launcher.")}


def keep_the_loop_busy_until(holds: Callable[[], bool]) -> None:
    """Give the loop no turn meanwhile, as loading modules in its thread would."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it waits for the loop"
        time.sleep(0.02)


def test_the_command_line_loads_no_more_than_starting_the_engines_takes() -> None:
    there = loaded("launcher.cli")
    assert {"typer", "launcher.platform", "launcher.engines"} <= there
    assert not there & {"services", "sqlalchemy", "alembic", "fastapi", "pydantic", "httpx", "aiokafka", "PIL"}
    assert not there & {"launcher.hosting", "launcher.scenario", "launcher.doctor", "launcher.devices"}


def test_the_services_load_neither_the_writer_of_workbooks_nor_that_of_migrations() -> None:
    there = loaded("launcher.hosting")
    assert {"services", "sqlalchemy", "fastapi"} <= there
    assert not there & {"openpyxl", "numpy", "alembic", "mako", "launcher.scenario"}


async def test_engines_come_up_while_the_services_code_keeps_the_loop_busy(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    engines = Engines(data, data.secrets(), external_kafka="127.0.0.1:9")
    engines.start(lambda name: None)
    try:
        keep_the_loop_busy_until(lambda: engines.postgres.running)
        assert set(await engines.databases()) == set(data.secrets().databases)
        await engines.ready()
    finally:
        await engines.stop()
    assert not engines.postgres.running


def test_garbage_is_looked_for_again_after_a_start_that_failed() -> None:
    def start() -> None:
        with platform._uncollected():
            assert not gc.isenabled()
            raise EngineFailed("as if")

    with pytest.raises(EngineFailed):
        start()
    assert gc.isenabled()
