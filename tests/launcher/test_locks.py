"""Lock files name versions and hashes, never a place: they serve a machine behind a mirror."""

import shutil
from pathlib import Path

import pytest

from launcher import locks


def test_the_lock_files_of_the_project_are_fit() -> None:
    assert locks.faults() == []


@pytest.mark.parametrize(
    ("file", "addition", "fault"),
    [
        ("requirements.lock", "--index-url https://example.org/simple\n", "leads to one certain place"),
        ("requirements.lock", "mkdocs==1.6\n", "mkdocs==1.6 has no hash"),
        ("requirements-node.lock", "-e ./here\n", "leads to one certain place"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, file: str, addition: str, fault: str) -> None:
    for name in (*locks.TEXT_LOCKS, locks.NPM_LOCK):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(locks.PROJECT / name, tmp_path / name)
    assert locks.faults(tmp_path) == []
    with (tmp_path / file).open("a", encoding="utf-8") as lock:
        lock.write(addition)
    assert any(fault in found for found in locks.faults(tmp_path))
