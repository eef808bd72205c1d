"""Owns the process in which an import file is read: for one file, bounded in time and memory, without our settings."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import orjson

from chassis.errors import DomainError, Kind
from services.indicators.interchange import layout, opening
from services.indicators.interchange.spreadsheets import Unreadable

MAX_BYTES = 25 * 1024 * 1024
"""Largest file, in bytes."""
READ_SECONDS = 300
"""Longest time a file is read, however busy the machine; what it may cost is bound by `interpreting`."""
_ROOT = Path(__file__).parents[3]
_TURNS = asyncio.Semaphore(2)
"""Two files are read at a time in one process of the service."""


class FileRefused(DomainError):
    """A file that cannot be used as a whole; `reason` is a key of layout.FILE_FAULTS."""

    code: ClassVar[str] = "file_refused"
    kind: ClassVar[Kind] = Kind.INVALID

    def __init__(self, reason: str, **params: object) -> None:
        super().__init__(field="file", **params)
        self.reason = reason

    @property
    def text(self) -> str:
        return layout.FILE_FAULTS[self.reason]


class FileTooLarge(DomainError):
    code: ClassVar[str] = "file_too_large"
    kind: ClassVar[Kind] = Kind.TOO_LARGE
    message: ClassVar[str] = "Tệp nhập không quá 25 MB. Xin chia thành nhiều tệp."


@dataclass(frozen=True, slots=True)
class Found:
    """What `interpreting` makes of a file: all but the values, and the values as lines of JSON."""

    head: dict[str, Any]
    lines: io.BytesIO

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """The values in the order of the file, some hundreds at a time; to be gone through once."""
        for line in self.lines:
            yield orjson.loads(line)


def suffix_of(data: bytes) -> str:
    """What a file is by its size and first bytes: .xlsx or .csv; raises FileTooLarge and FileRefused."""
    if len(data) > MAX_BYTES:
        raise FileTooLarge(field="file")
    try:
        return opening.suffix_of(data)
    except Unreadable as refusal:
        raise FileRefused(refusal.reason, **refusal.params) from refusal


async def read(plan: Sequence[layout.Column], data: bytes) -> Found:
    """The values and faults of a file that `suffix_of` let through; raises FileRefused."""
    columns = [
        {
            "key": column.key,
            "part": column.part,
            "measure": column.measure,
            "period": column.period,
            "states": column.states,
            "unbounded": column.unbounded,
        }
        for column in plan
    ]
    request = orjson.dumps({"columns": columns, "sheet": layout.SHEET})
    async with _TURNS:
        out = await _run(len(request).to_bytes(4, "big") + request + data)
    lines = io.BytesIO(out)
    found: dict[str, Any] = orjson.loads(lines.readline())
    if "refused" in found:
        raise FileRefused(found["refused"], **found["params"])
    return Found(found, lines)


async def _run(request: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.indicators.interchange.interpreting",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=_ROOT,
        # Nothing of our own environment: there are secrets in it, and what reads a stranger's file needs none.
        env={},
    )
    try:
        async with asyncio.timeout(READ_SECONDS):
            out, _ = await process.communicate(request)
    except TimeoutError as error:
        raise FileRefused("too_slow", seconds=READ_SECONDS) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        # It ran out of the memory it is given.
        raise FileRefused("broken")
    return out
