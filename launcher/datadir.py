"""Owns the data directory of a platform: who holds it, its secrets, and the ports it had last.

Layout: `lock` (held by the running launcher), `secrets.json` (mode 0600), `ports.json`, `running.json`
(addresses, while it runs), `log/platform.log`, `postgres/`, `kafka/`, `mqtt/`, `audit/` (signed checkpoints).
"""

import contextlib
import fcntl
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from launcher import processes
from launcher.addresses import Logins

SERVICES = ("identity", "petitions", "ecommerce", "indicators", "media")
_PEOPLE = {
    "admin": "quantri",
    "officer": "canbo",
    "leader": "lanhdao",
    "resident": "nguoidan",
    "producer": "hoptacxa",
    "device": "thietbi",
}


class DirectoryInUse(RuntimeError):
    """Another launcher runs on this data directory."""


@dataclass(frozen=True)
class Secrets:
    """What is made at the first start and kept: passwords of databases and broker, keys of services, logins."""

    databases: dict[str, str]
    services: dict[str, str]
    hub: str
    logins: Logins


class DataDir:
    """One data directory; `hold` before anything in it is touched."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: IO[str] | None = None

    @property
    def log(self) -> Path:
        """The services' log, JSON lines."""
        return self.path / "log" / "platform.log"

    def hold(self) -> None:
        """Take the directory for this process. Raises DirectoryInUse when another one has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(exist_ok=True)
        lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            owner = self.holder() or "unknown"
            raise DirectoryInUse(
                f"{self.path} is in use by another launcher (process {owner}): "
                "stop that one with Ctrl-C, or choose another directory with --data and another --port"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        """Give the directory back."""
        (self.path / "running.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def holder(self) -> int | None:
        """Process id of the launcher that runs on this directory, None when none does."""
        try:
            with (self.path / "lock").open("r+") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except OSError:
                    return int(lock.read() or 0) or None
        except (OSError, ValueError):
            return None
        return None

    def secrets(self) -> Secrets:
        """Read them, making what is missing; the file is readable by its owner only."""
        file = self.path / "secrets.json"
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        whole = _completed(kept)
        if whole != kept:
            fresh = file.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(whole, indent=1), encoding="utf-8")
            fresh.replace(file)
        return Secrets(whole["databases"], whole["services"], whole["hub"], cast(Logins, whole["logins"]))

    def ports(self, *names: str) -> dict[str, int]:
        """A free port for each name: that of the last start where it is still free."""
        file = self.path / "ports.json"
        kept: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads(file.read_text(encoding="utf-8"))
        chosen: dict[str, int] = {}
        for name in names:
            last = kept.get(name, 0)
            free = last and last not in chosen.values() and processes.bindable(last)
            chosen[name] = last if free else processes.free_port()
        file.write_text(json.dumps({**kept, **chosen}), encoding="utf-8")
        return chosen

    def announce(self, addresses: dict[str, Any]) -> None:
        """Leave the addresses where `xaso doctor` finds them; no login is among them."""
        (self.path / "running.json").write_text(json.dumps(addresses), encoding="utf-8")

    def announced(self) -> dict[str, Any] | None:
        """Addresses of the platform that runs on this directory."""
        if self.holder() is None:
            return None
        try:
            return cast(dict[str, Any], json.loads((self.path / "running.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None


def _completed(kept: dict[str, Any]) -> dict[str, Any]:
    logins: dict[str, Any] = dict(kept.get("logins", {}))
    for role, user in _PEOPLE.items():
        logins.setdefault(role, {"user": user, "password": secrets.token_urlsafe(12)})
    logins.setdefault(
        "partner", {"client_id": f"vienthong-{secrets.token_hex(3)}", "client_secret": secrets.token_urlsafe(24)}
    )
    databases = dict(kept.get("databases", {}))
    keys = dict(kept.get("services", {}))
    for name in SERVICES:
        databases.setdefault(name, secrets.token_urlsafe(18))
        keys.setdefault(name, secrets.token_urlsafe(48))
    return {
        "databases": databases,
        "services": keys,
        "hub": kept.get("hub") or secrets.token_urlsafe(18),
        "logins": logins,
    }
