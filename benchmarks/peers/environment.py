"""Owns the environment that the other stream processors run in: they are no dependencies of the product.

uv makes it from `requirements.txt` (exact versions with their hashes, compiled from `requirements.in`) in the cache of
the project, once for each content of that file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.rig import PROJECT

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
MAKING_SECONDS = 300.0


class Unavailable(Exception):
    """The environment cannot be made on this machine; the text says why."""


def interpreter() -> Path:
    """The Python that has Quix Streams and faust, made where it is not there yet; raises Unavailable."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    place = PROJECT / ".cache" / "peers" / f"{sys.version_info.major}.{sys.version_info.minor}-{digest}"
    # Written last: an environment without it was not finished.
    stamp = place / "finished"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not stamp.exists():
        shutil.rmtree(place, ignore_errors=True)
        _make(place, python)
        stamp.touch()
    return python


def versions() -> list[str]:
    """The processors and what is theirs, as they are asked for."""
    return REQUIREMENTS.with_suffix(".in").read_text(encoding="utf-8").split()


def _make(place: Path, python: Path) -> None:
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise Unavailable("uv is not installed")
    env = {"UV_SYSTEM_CERTS": "true", **os.environ}
    install = ("pip", "install", "-q", "--python", str(python), "--no-deps", "--require-hashes")
    for command in (
        (uv, "venv", "-q", "--python", sys.executable, str(place)),
        (uv, *install, "--only-binary", ":all:", "-r", str(REQUIREMENTS)),
    ):
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=MAKING_SECONDS)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"uv {command[1]} took longer than {MAKING_SECONDS:.0f} s") from None
        if done.returncode != 0:
            raise Unavailable(f"uv {command[1]}: {done.stderr.strip()[-300:]}")
