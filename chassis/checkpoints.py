"""Owns the signed checkpoints of the audit log: a file of lines that only the holder of the key can continue."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if TYPE_CHECKING:
    from chassis.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The number and the hash of the last link at an instant; ``number`` counts the checkpoints of the file from 1."""

    number: int
    chain: int
    hash: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class _Tail:
    size: int
    lines: int
    last: str
    torn: bool


class Checkpoints:
    """The checkpoint file of one service: ``<directory>/<service>.jsonl``, one JSON object a line, fsynced.

    Lines are signed with Ed25519 over their sorted compact JSON without ``signature``. The key is a PEM file; it is
    made with mode 0600 where there is none. Lines are numbered, so that one taken out of the middle shows.
    """

    def __init__(self, directory: Path, service: str, key: Path | None = None) -> None:
        self._service = service
        self._directory = directory
        self._path = directory / f"{service}.jsonl"
        self._key_path = key or directory / f"{service}.key"
        self._key: Ed25519PrivateKey | None = None
        self._known = _Tail(-1, 0, "", False)

    @classmethod
    def of(cls, settings: ServiceSettings) -> Self | None:
        """The checkpoints that the settings ask for; None where they name no directory."""
        if settings.audit_checkpoints is None:
            return None
        return cls(settings.audit_checkpoints, settings.name, settings.audit_key)

    def append(self, chain: int, digest: bytes) -> bool:
        """Sign and write the link ``chain``; returns False where the last line already names it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            # Every process of the service seals: without turns two would write lines of one number.
            fcntl.flock(file, fcntl.LOCK_EX)
            return self._append(file, chain, digest)

    def _append(self, file: TextIO, chain: int, digest: bytes) -> bool:
        tail = self._tail()
        last = _parsed(tail.last)
        if last is not None and last.get("chain") == chain and last.get("hash") == digest.hex():
            return False
        body: dict[str, Any] = {
            "service": self._service,
            "number": tail.lines + 1,
            "chain": chain,
            "hash": digest.hex(),
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        body["signature"] = b64encode(self._signer().sign(_signed_bytes(body))).decode()
        line = json.dumps(body, sort_keys=True) + "\n"
        # A line cut short by a crash is ended first, so that the new one stands by itself.
        file.write("\n" + line if tail.torn else line)
        file.flush()
        os.fsync(file.fileno())
        self._known = _Tail(os.fstat(file.fileno()).st_size, tail.lines + 1, line, False)
        return True

    def load(self) -> tuple[list[Checkpoint], list[tuple[bool, str]]]:
        """The genuine checkpoints, and what is wrong with the others as (lost, text)."""
        genuine: list[Checkpoint] = []
        trouble: list[tuple[bool, str]] = []
        lines = self._whole_lines()
        if not lines:
            return genuine, trouble
        if not self._key_path.is_file():
            return genuine, [(True, "the key of the checkpoint file is gone")]
        verifier = self._signer().public_key()
        for number, line in enumerate(lines, start=1):
            body = _parsed(line)
            try:
                if body is None or body["service"] != self._service:
                    raise ValueError(line)
                verifier.verify(b64decode(body["signature"], validate=True), _signed_bytes(body))
                checkpoint = Checkpoint(
                    int(body["number"]),
                    int(body["chain"]),
                    bytes.fromhex(body["hash"]),
                    datetime.fromisoformat(body["at"]),
                )
            except (InvalidSignature, KeyError, TypeError, ValueError):
                trouble.append((False, f"line {number} of the checkpoint file is not signed by the key"))
                continue
            if checkpoint.number != number:
                trouble.append((True, f"line {number} of the checkpoint file should be number {checkpoint.number}"))
            genuine.append(checkpoint)
        return genuine, trouble

    def _whole_lines(self) -> list[str]:
        """The lines of the file while nobody is in the middle of one."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return self._lines()

    def _lines(self) -> list[str]:
        return self._path.read_text("utf-8", "replace").splitlines() if self._path.is_file() else []

    def _tail(self) -> _Tail:
        """Count and last line of the file; read again only where another process wrote to it."""
        size = self._path.stat().st_size if self._path.is_file() else 0
        if size != self._known.size:
            lines = self._lines()
            torn = size > 0 and not self._path.read_bytes().endswith(b"\n")
            self._known = _Tail(size, len(lines), lines[-1] if lines else "", torn)
        return self._known

    def _signer(self) -> Ed25519PrivateKey:
        if self._key is None:
            self._key = _read_or_make(self._key_path)
        return self._key


def _signed_bytes(body: dict[str, Any]) -> bytes:
    unsigned = {key: value for key, value in body.items() if key != "signature"}
    return json.dumps(unsigned, sort_keys=True, separators=(",", ":")).encode()


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        body = json.loads(line)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _read_or_make(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        return _make(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is not an Ed25519 key")
    return key


def _make(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written elsewhere first: whoever finds the key finds all of it.
    descriptor, written = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(written, path)
        except FileExistsError:
            # Another process of the service was quicker: its key is the key.
            return _read_or_make(path)
    finally:
        Path(written).unlink()
    return key
