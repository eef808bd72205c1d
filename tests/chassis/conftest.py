"""Owns the service of notes that the modules on gRPC share; its code is generated once for the run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from grpc_tools import protoc

from tests.chassis.noting import Served, serving


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The generated modules of notes.proto."""
    out = tmp_path_factory.mktemp("notes")
    here = Path(__file__).parent
    assert protoc.main(["", f"-I{here}", f"--python_out={out}", f"--grpc_python_out={out}", "notes.proto"]) == 0
    sys.path.insert(0, str(out))
    try:
        yield SimpleNamespace(pb=importlib.import_module("notes_pb2"), grpc=importlib.import_module("notes_pb2_grpc"))
    finally:
        sys.path.remove(str(out))


@pytest.fixture(scope="module")
async def served(notes: SimpleNamespace, database: Callable[[str], str]) -> AsyncIterator[Served]:
    async with serving(notes, database("notes")) as running:
        yield running


@pytest.fixture
def note(notes: SimpleNamespace) -> Any:
    return notes.pb.Note
