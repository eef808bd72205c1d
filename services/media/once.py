"""Owns answers that are shown once: the stored copy, which an idempotency key brings back, lacks the secret."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class ShownOnce(Response):
    """A response of which `kept` is what the idempotency store gets to see and `shown` what the client receives."""

    def __init__(self, shown: bytes, kept: bytes, *, status: int, media_type: str) -> None:
        super().__init__(shown, status, media_type=media_type)
        self.headers["cache-control"] = "no-store"
        self._shown = shown
        self.body = kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.body = self._shown
        await super().__call__(scope, receive, send)
