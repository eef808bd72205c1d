"""`xaso demo --exit --json`: the story of the README, on an empty directory and again on the same data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SECONDS = 420
CODES = [f"288.{number}" for number in range(1, 10)]
AFTER = dict.fromkeys(CODES, "met") | {"288.9": "unmet"}
LIVES_ON_DATA = ("288.1", "288.3", "288.5", "288.6", "288.8")
"""What stays met while the platform is off: everything but devices, which are not there, and the ended listing."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def demo(data: Path) -> tuple[list[dict[str, Any]], str]:
    """Rows of the table and what was told meanwhile, of a run that ends well."""
    command = [sys.executable, "-m", "launcher.cli", "demo", "--exit", "--json", "--port", "0", "--data", str(data)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr
    # Standard output is the list and nothing behind it.
    rows = json.loads(ended.stdout)
    return rows, ended.stderr


def test_every_criterion_turns_and_one_falls_back(data: Path) -> None:
    rows, told = demo(data)
    assert [row["code"] for row in rows] == CODES
    assert all(set(row) == {"code", "before", "after", "because"} for row in rows)
    assert {row["code"]: row["before"] for row in rows} == dict.fromkeys(CODES, "no_data")
    assert {row["code"]: row["after"] for row in rows} == AFTER
    because = {row["code"]: row["because"] for row in rows}
    assert "phản ánh của người dân" in because["288.1"]
    assert "43/50" in because["288.5"]
    assert because["288.9"].startswith("đạt → chưa đạt")
    # Exactly four fifths is not "trên 80%", and before the listing ended nothing was missing.
    assert "288.5 unmet (40/50)" in told
    assert "meets all of hd-288-2023: 9/9" in told
    assert "288.9 unmet (1/2), 8/9 met" in told


def test_it_plays_again_on_the_same_data(data: Path) -> None:
    rows, told = demo(data)
    before = {row["code"]: row["before"] for row in rows}
    assert [before[code] for code in LIVES_ON_DATA] == ["met"] * len(LIVES_ON_DATA)
    assert before["288.9"] == "unmet"
    assert {row["code"]: row["after"] for row in rows} == AFTER
    assert "officer: finds Thôn Nghĩa Dũng" in told
    assert "officer: entered" not in told
    assert "meets all of hd-288-2023: 9/9" in told
