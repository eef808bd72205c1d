"""Owns child processes of the launcher: how one is started, watched, waited for and ended.

Children run in a session of their own, so that Ctrl-C on the terminal reaches the launcher alone and it can stop the
services before the engines under them. Every child is listed with the reaper (see reaper.py).
"""

import atexit
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from launcher.reaper import GRACE_SECONDS

LOOPBACK = "127.0.0.1"
SERVER_PORTS = range(15_000, 32_000)


class EngineFailed(RuntimeError):
    """An engine did not come up, or ended by itself; the message carries the end of its log."""


class PortTaken(RuntimeError):
    """The web port that was asked for belongs to another program."""


class _Reaper:
    """The one reaper process of this launcher, started with the first child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def tell(self, line: str) -> None:
        with self._lock:
            if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
                self._start()
            process = self._process
            if process is not None and process.stdin is not None:
                process.stdin.write(line + "\n")
                process.stdin.flush()

    def _start(self) -> None:
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def close(self) -> None:
        """Close the pipe and wait: whatever was not stopped in order is stopped now, before the interpreter ends."""
        if self._process is not None and self._owner == os.getpid():
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait(GRACE_SECONDS + 4)
            self._process = None


_reaper = _Reaper()
atexit.register(_reaper.close)


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    directory: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child whose output is appended to `log`; `user` is a system user and needs root."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            cwd=directory,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            start_new_session=True,
        )
    _reaper.tell(f"+{process.pid}")
    return process


def end(process: subprocess.Popen[bytes], number: int, patience: float) -> None:
    """Send the signal, wait `patience` seconds, kill what is left together with its own children, and collect it."""
    family = descendants(process.pid)
    if process.poll() is None:
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    if process.poll() is None:
        process.kill()
        process.wait()
    forget(process.pid)
    _bury(family, patience)


def _bury(family: list[psutil.Process], patience: float) -> None:
    """Wait until none of them runs, killing those that still do after `patience` seconds."""
    if not _all_gone(family, patience):
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        _all_gone(family, patience)


def _all_gone(family: list[psutil.Process], patience: float) -> bool:
    # A zombie counts as gone: orphans are collected by the machine's init, which may take its time.
    deadline = time.monotonic() + patience
    while any(_runs(member) for member in family):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def forget(pid: int) -> None:
    """Take a process that has ended off the reaper's list, lest its number be reused by a stranger."""
    _reaper.tell(f"-{pid}")


def descendants(pid: int) -> list[psutil.Process]:
    """The living descendants of a process; empty when it is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def leftover(pid: int, name: str, *marks: str) -> psutil.Process | None:
    """The process of that number if it is still the program meant: its command line bears the name and every mark."""
    try:
        process = psutil.Process(pid)
        words = process.cmdline()
    except psutil.Error:
        return None
    line = " ".join(words)
    return process if words and name in Path(words[0]).name and all(mark in line for mark in marks) else None


def end_leftover(process: psutil.Process, number: int, patience: float) -> None:
    """Stop an engine that an earlier launcher left running on the same data directory."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = process.children(recursive=True)
        process.send_signal(number)
        _bury([process, *family], patience)


def free_port() -> int:
    """A TCP port of the loopback address that can be bound at this moment.

    It lies below the ports that systems give to outgoing connections (32768 on Linux, 49152 elsewhere): one of those
    could be given to a connection in the seconds until the port that was chosen here is bound.
    """
    for _ in range(100):
        port = secrets.choice(SERVER_PORTS)
        if bindable(port):
            return port
    raise EngineFailed(f"no free port between {SERVER_PORTS.start} and {SERVER_PORTS.stop} on {LOOPBACK}")


def bindable(port: int) -> bool:
    """Whether a server could be opened there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def listening(port: int, host: str = LOOPBACK) -> bool:
    """Whether something accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def wait_until(ready: Callable[[], bool], *, seconds: float, what: str, alive: Callable[[], bool], log: Path) -> None:
    """Poll until `ready`; raises EngineFailed with the end of the log when the child dies or the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        if not alive():
            raise EngineFailed(f"{what} ended while it was starting:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise EngineFailed(f"{what} was not ready after {seconds:.0f} s:\n{tail(log)}")
        time.sleep(0.02)


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log file, or an empty string when there is none."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
