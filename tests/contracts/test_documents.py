"""What the documents say can be held against the tree: links, commands, files and names, conventions of commits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.contracts.services import ROOT

DOCUMENTS = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("*/*/README.md"),
    ]
    if not {".venv", "node_modules", ".pytest_cache"} & set(path.relative_to(ROOT).parts)
)


def readable(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_are_documents() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/glossary.md"):
        assert ROOT / name in DOCUMENTS


@pytest.mark.parametrize("path", DOCUMENTS, ids=readable)
def test_links_lead_to_files(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{readable(path)} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{readable(path)} links to {target}"


def anchors(path: Path) -> set[str]:
    """The addresses of the headings of a page, as they are made from their words."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=readable)
def test_commands_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.M))
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(re.findall(r"```.*?```|`[^`]+`", text, flags=re.S))))
    assert named
    assert named <= targets
    commands = set(re.findall(r"\bxaso ([a-z]+)\b", "\n".join(re.findall(r"```.*?```|`[^`]+`", text, flags=re.S))))
    cli = (ROOT / "launcher" / "cli.py").read_text("utf-8")
    for command in commands:
        assert re.search(rf"^def {command}\(", cli, flags=re.M), f"xaso {command}"


def named_places(path: Path) -> list[tuple[str, str]]:
    """`file.py` or `file.py:name` in backquotes, for files with a folder in their name."""
    return re.findall(
        r"`([\w.][\w./-]*/[\w.-]+\.(?:py|proto|html|ts|yaml|toml|md|json))(?::([\w.]+))?`", path.read_text("utf-8")
    )


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if named_places(p)], ids=readable)
def test_named_files_and_names_exist(path: Path) -> None:
    for file, name in named_places(path):
        there = next((base / file for base in (ROOT, path.parent) if (base / file).is_file()), None)
        assert there is not None, f"{readable(path)} names {file}"
        source = there.read_text("utf-8")
        for part in name.split(".") if name else ():
            assert re.search(rf"\b(def|class|message|service|rpc) {part}\b|^{part}\b", source, flags=re.M), (
                f"{readable(path)} names {file}:{name}"
            )


def test_the_life_of_a_petition_names_eight_places() -> None:
    assert len(named_places(ROOT / "docs" / "life-of-a-petition.md")) >= 8


def test_the_glossary_has_both_languages() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs" / "glossary.md").read_text("utf-8"), flags=re.M
    )
    words = [row for row in rows if not set(row[0]) <= {"-", " "} and row[0].strip() != "tiếng Việt"]
    assert len(words) >= 60
    assert len({vi.strip() for vi, _, _ in words}) == len(words)
    assert all(vi.strip() and en.strip() for vi, en, _ in words)


def test_decisions_are_numbered_and_one_page() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in decisions] == [f"{n:04}" for n in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 70, readable(path)
        for heading in ("## Context", "## Decision", "## Consequences"):
            assert heading in text, f"{readable(path)} lacks {heading}"
