"""Owns a process under test that is killed, stopped and started again, with what it wrote to its log."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from chassis.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
LOG_CHARS = 8000


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment(settings: ServiceSettings) -> dict[str, str]:
    """The variables by which a process of its own has the same settings, as far as tests set them."""
    told = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        told[f"XASO_{settings.name.upper()}_{name.upper()}"] = str(plain)
    return told


@dataclass
class Side:
    """`python -m MODULE [ROLE] [FAULT]` as a process of its own; what it says is kept in `log` over all its lives."""

    module: str
    role: str
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, fault: str = "") -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, *filter(None, [self.role, fault])],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
            )

    async def died(self) -> bool:
        """Wait until the process has been killed by its fault."""
        assert self.process is not None
        code = await asyncio.to_thread(self.process.wait, 60)
        return code == -9

    def stopped(self) -> bool:
        """Whether the process stands still (SIGSTOP)."""
        assert self.process is not None
        options = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, options) is not None

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def said(self) -> str:
        """The end of what it wrote; asks it first where each of its tasks stands, if it lives."""
        text = self.log.read_text("utf-8")[-LOG_CHARS:] if self.log.exists() else ""
        return f"{self.role or self.module}:\n{text}"


async def tell(*sides: Side) -> str:
    """What the sides say of themselves, for the message of a test that does not settle."""
    for side in sides:
        if side.process is not None and side.process.poll() is None:
            side.process.send_signal(signal.SIGUSR1)
    await asyncio.sleep(1)
    return "\n".join(side.said() for side in sides)
