"""Owns the tokens a client of other services asks for with its own credentials."""

from __future__ import annotations

import asyncio
import time
from typing import Self

import httpx

from chassis.errors import Unauthenticated, Unavailable
from chassis.tokens import trusted


class TokenSource:
    """Access tokens for a client-credentials client, fetched at first use and refreshed before they expire.

    One fetch runs at a time. While the token endpoint is away the old token is used until it expires.
    """

    def __init__(
        self,
        token_endpoint: str,
        client_id: str,
        client_secret: str,
        scope: str = "",
        *,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._endpoint = token_endpoint
        self._credentials = (client_id, client_secret)
        self._scope = scope
        self._client = client
        self._owns_client = client is None
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._refresh_at = 0.0
        self._expires_at = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def token(self) -> str:
        """Return a token that is good now; raise Unauthenticated (refused) or Unavailable (no answer)."""
        if self._token is not None and time.monotonic() < self._refresh_at:
            return self._token
        async with self._lock:
            if self._token is not None and time.monotonic() < self._refresh_at:
                return self._token
            return await self._fetch()

    def forget(self) -> None:
        """Drop the token at hand, after a server refused it."""
        self._token = None

    async def close(self) -> None:
        """Close the HTTP client this source made."""
        if self._client is not None and self._owns_client:
            await self._client.aclose()
            self._client = None

    async def _fetch(self) -> str:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=5.0, trust_env=False, verify=trusted())
        form = {"grant_type": "client_credentials", **({"scope": self._scope} if self._scope else {})}
        try:
            response = await self._client.post(self._endpoint, data=form, auth=self._credentials)
        except httpx.HTTPError as error:
            return self._old_token_or(error)
        if response.status_code in (400, 401, 403):
            self._token = None
            raise Unauthenticated()
        if response.status_code != 200:
            return self._old_token_or(None)
        try:
            body = response.json()
            token, lifetime = str(body["access_token"]), float(body.get("expires_in", 60))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self._old_token_or(error)
        now = time.monotonic()
        self._token, self._expires_at = token, now + lifetime
        self._refresh_at = now + max(lifetime * 0.8, lifetime - 60)
        return token

    def _old_token_or(self, error: Exception | None) -> str:
        if self._token is not None and time.monotonic() < self._expires_at:
            self._refresh_at = min(self._expires_at, time.monotonic() + 5)
            return self._token
        raise Unavailable() from error
