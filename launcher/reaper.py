"""Owns the promise that no engine outlives the process that started it, not even after kill -9 of that process.

The file is run as a program of its own, with the standard library alone: it reads lines `+PID` and `-PID` from a pipe.
When the pipe closes (its other end was held by the launcher only), whatever is still listed is asked to stop and then
killed. A pipe is used and not PR_SET_PDEATHSIG because that signal follows the *thread* that started the child, and
engines are started in worker threads; a pipe works on every POSIX system besides.
"""

import contextlib
import os
import signal
import sys
import time

GRACE_SECONDS = 8.0


def alive(pid: int) -> bool:
    """Whether a process with this id exists, zombies included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def reap(pids: list[int]) -> None:
    """Stop the processes: SIGINT (PostgreSQL's fast shutdown), SIGTERM (the others), SIGKILL at the end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(alive(pid) for pid in pids):
        time.sleep(0.05)
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Follow the pipe on standard input until it closes, then reap."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: list[int] = []
    for line in sys.stdin:
        mark, pid = line[0], int(line[1:])
        if mark == "+":
            watched.append(pid)
        elif pid in watched:
            watched.remove(pid)
    reap(watched)


if __name__ == "__main__":
    main()
