"""`xaso units` finds its database, or says which one it wants; making a file needs none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from launcher.cli import app

RUN = CliRunner()


def test_without_a_platform_it_says_what_it_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XASO_IDENTITY_DATABASE_URL", raising=False)
    file, data = tmp_path / "hai-duong.yaml", tmp_path / "data"
    made = RUN.invoke(app, ["units", "import", "--province", "30", "--out", str(file)])
    assert made.exit_code == 0, made.output
    assert "66 units begin, 280 links, 13 end without one" in made.output
    asked = RUN.invoke(app, ["units", "preview", str(file), "--data", str(data)])
    assert asked.exit_code == 1
    assert "no platform runs on" in asked.output
    assert not data.exists()


def test_the_environment_names_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Callable[[str], str]
) -> None:
    """The file is read before the database is asked; one without tables is told as what it is."""
    monkeypatch.setenv("XASO_IDENTITY_DATABASE_URL", database("empty"))
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_text("format: xaso-units/1\n", encoding="utf-8")
    refused = RUN.invoke(app, ["units", "apply", str(bad)])
    assert refused.exit_code == 1
    assert "line 1: 'id' is missing" in refused.output
    RUN.invoke(app, ["units", "import", "--province", "30", "--what", "before", "--out", str(good)])
    refused = RUN.invoke(app, ["units", "apply", str(good)])
    assert refused.exit_code == 1
    assert "nothing was written (is it migrated?)" in refused.output
    assert RUN.invoke(app, ["units", "import"]).exit_code == 2
    helped = RUN.invoke(app, ["units", "--help"])
    assert (helped.exit_code, "preview" in helped.output) == (0, True)
