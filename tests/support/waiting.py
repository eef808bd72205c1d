"""Owns how a test waits: until a condition holds, with a deadline, never for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(check: Callable[[], T | Awaitable[T]], seconds: float = 30.0, pause: float = 0.02) -> T:
    """Call `check` again and again until it answers something true, and give that back.

    Raises AssertionError with the last answer when `seconds` are over.
    An AssertionError of `check` counts as "not yet".
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = check()
            last: object = await answer if inspect.isawaitable(answer) else answer
            if last:
                return last  # type: ignore[return-value]  # isawaitable does not narrow the other branch to T.
        except AssertionError as trouble:
            last = trouble
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {seconds:.0f} s; last: {last!r}")
        await asyncio.sleep(pause)
