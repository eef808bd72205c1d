"""Owns the verification of access tokens with cached keys, and the list of sessions that ended before their time."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import json
import ssl
import time
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey
from joserfc.jws import JWSRegistry

from chassis.auth import (
    AUDIENCE,
    KeysUnavailable,
    Principal,
    SessionEnded,
    TokenExpired,
    TokenInvalid,
    principal_of,
    session_mark,
)
from chassis.errors import Unauthenticated

if TYPE_CHECKING:
    from chassis.settings import ServiceSettings

ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
ALGORITHMS = ("RS256", "ES256")

_LEEWAY_SECONDS = 60
_MAX_TOKEN_CHARS = 16_384
_REFETCH_SECONDS = 10.0
_REFRESH_SECONDS = 300.0
_CACHE_SIZE = 2048
_ENDED_SECONDS = 5.0
_ENDED_OVERLAP = 60.0
_ENDED_KEPT = 25 * 3600.0
_WATCH_SECONDS = 2.0


class Verifier:
    """Verifies access tokens by itself with cached keys: identity down means no new keys, nothing else.

    Keys come from ``settings.jwks_json`` (inline, never refetched) or ``settings.jwks_url`` (fetched at first use,
    again on an unknown key id at most every 10 s, and in the background when older than 5 minutes, so that a retired
    key stops counting). A failed fetch keeps the keys there are.

    Sessions ended before their time come from ``settings.ended_url``, asked every 5 s while :meth:`follow_ended` runs;
    a failed fetch keeps what is known, so that identity down changes nothing for those who are signed in.
    """

    def __init__(self, settings: ServiceSettings, *, client: httpx.AsyncClient | None = None) -> None:
        self._issuer = str(settings.issuer)
        self._url = settings.jwks_url
        self._keys: KeySet | None = None
        self._fetched_at = -_REFRESH_SECONDS
        self._tried_at = -_REFETCH_SECONDS
        self._client = client
        self._lock = asyncio.Lock()
        self._background: asyncio.Task[None] | None = None
        self._cache: OrderedDict[bytes, tuple[Principal, float, float]] = OrderedDict()
        self._ended_url = settings.ended_url
        self._ended: dict[str, float] = {}
        self._registry = JWSRegistry(algorithms=list(ALGORITHMS))
        self._registry.max_payload_length = _MAX_TOKEN_CHARS
        self._inline = bool(settings.jwks_json)
        if settings.jwks_json:
            self._keys = _import(settings.jwks_json)

    async def verify(self, token: str) -> Principal:
        """Return who ``token`` names; raise TokenExpired, TokenInvalid or KeysUnavailable."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        self._refresh_in_background()
        known = self._cache.get(digest)
        if known is not None:
            if time.time() > known[1] + _LEEWAY_SECONDS:
                del self._cache[digest]
                raise TokenExpired()
            self._cache.move_to_end(digest)
            self._check_ended(known[0], known[2])
            return known[0]
        claims = await self._claims(token)
        principal, signed_at = principal_of(claims), _numeric(claims, "iat")
        self._check_ended(principal, signed_at)
        self._cache[digest] = (principal, _numeric(claims, "exp"), signed_at)
        if len(self._cache) > _CACHE_SIZE:
            self._cache.popitem(last=False)
        return principal

    def _check_ended(self, principal: Principal, signed_at: float) -> None:
        if not self._ended:
            return
        for held_by in (principal.subject, principal.session_id):
            if held_by and self._ended.get(session_mark(held_by), 0.0) > signed_at:
                raise SessionEnded()

    @asynccontextmanager
    async def while_good(self, token: str) -> AsyncIterator[None]:
        """Run the block for as long as `token` is good, then end it and raise what :meth:`verify` says of the token.

        For answers without an end: they must not outlive the session or the grant that opened them.
        """
        watched, trouble = asyncio.current_task(), None

        async def watch() -> None:
            nonlocal trouble
            while True:
                await asyncio.sleep(_WATCH_SECONDS)
                try:
                    await self.verify(token)
                except Unauthenticated as error:
                    trouble = error
                    if watched is not None:
                        watched.cancel()
                    return
                except KeysUnavailable:
                    # Identity is away: nothing is known against the token.
                    continue

        watcher = asyncio.create_task(watch(), name="while-good")
        try:
            yield
        except asyncio.CancelledError:
            # As `asyncio.timeout` does: a cancellation that came from elsewhere, too, goes on.
            if trouble is None or (watched is not None and watched.uncancel() > 0):
                raise
            raise trouble from None
        finally:
            watcher.cancel()

    async def follow_ended(self) -> None:
        """Keep the list of ended sessions up to date until cancelled; returns at once where keys are given inline."""
        while not self._inline and self._ended_url:
            await self.refresh_ended()
            await asyncio.sleep(_ENDED_SECONDS)

    async def refresh_ended(self) -> None:
        """Ask once for the sessions ended since the newest one known; what cannot be had leaves the list as it is."""
        # What was committed late may be older than what was seen already, hence the overlap.
        since = max(self._ended.values(), default=0.0) - _ENDED_OVERLAP
        try:
            response = await self._http().get(self._ended_url, params={"since": f"{max(since, 0.0):.3f}"})
            response.raise_for_status()
            fresh = {str(mark): float(at) for mark, at in response.json()["ended"].items()}
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
            # Another issuer may keep no such list, and identity may be away.
            return
        oldest = time.time() - _ENDED_KEPT
        self._ended = {mark: at for mark, at in {**self._ended, **fresh}.items() if at > oldest}

    async def ready(self) -> bool:
        """Whether keys are at hand, fetching them once when there are none."""
        if self._keys is None:
            await self._refetch()
        return self._keys is not None

    async def close(self) -> None:
        """Stop the background fetch and close the HTTP client."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > _MAX_TOKEN_CHARS or not token.isascii() or token.count(".") != 2:
            raise TokenInvalid()
        header = _header(token)
        # RFC 9068: an ID token carries typ JWT and must not open anything.
        if str(header.get("typ", "")).lower() not in ACCESS_TOKEN_TYPES or header.get("alg") not in ALGORITHMS:
            raise TokenInvalid()
        key = await self._key(header.get("kid"), str(header["alg"]))
        try:
            claims = jwt.decode(token, key, algorithms=list(ALGORITHMS), registry=self._registry).claims
        except (JoseError, ValueError) as error:
            raise TokenInvalid() from error
        self._check(claims)
        return claims

    def _check(self, claims: Mapping[str, Any]) -> None:
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self._issuer or AUDIENCE not in audiences:
            raise TokenInvalid()
        now = time.time()
        if now > _numeric(claims, "exp") + _LEEWAY_SECONDS:
            raise TokenExpired()
        if _numeric(claims, "iat") > now + _LEEWAY_SECONDS:
            raise TokenInvalid()
        if "nbf" in claims and _numeric(claims, "nbf") > now + _LEEWAY_SECONDS:
            raise TokenInvalid()

    async def _key(self, kid: object, alg: str) -> Key:
        key = self._find(kid, alg)
        if key is None and not self._inline:
            await self._refetch()
            key = self._find(kid, alg)
        if key is None:
            raise KeysUnavailable() if self._keys is None else TokenInvalid()
        return key

    def _find(self, kid: object, alg: str) -> Key | None:
        wanted = RSAKey if alg == "RS256" else ECKey
        keys = [key for key in self._keys or () if isinstance(key, wanted) and key.get("use") in (None, "sig")]
        if kid is None:
            return keys[0] if len(keys) == 1 else None
        return next((key for key in keys if key.kid == kid), None)

    def _refresh_in_background(self) -> None:
        stale = time.monotonic() - self._fetched_at > _REFRESH_SECONDS
        idle = self._background is None or self._background.done()
        if not self._inline and self._keys is not None and stale and idle:
            self._background = asyncio.create_task(self._refetch())

    async def _refetch(self) -> None:
        async with self._lock:
            if not self._url or time.monotonic() - self._tried_at < _REFETCH_SECONDS:
                return
            self._tried_at = time.monotonic()
            try:
                response = await self._http().get(self._url)
                response.raise_for_status()
                keys = _import(response.text)
            except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError):
                # Identity is away or answers nonsense: the keys at hand stay good.
                return
            finally:
                if self._keys is None:
                    # Nothing works without a first key set, so the next request may try again a second later.
                    self._tried_at = time.monotonic() - _REFETCH_SECONDS + 1
            if {key.kid for key in self._keys or ()} - {key.kid for key in keys}:
                # A retired key must stop counting, also for tokens that were verified with it before.
                self._cache.clear()
            self._keys, self._fetched_at, self._tried_at = keys, time.monotonic(), time.monotonic()

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            # Identity is a neighbour: a proxy of the environment must not stand between the two.
            self._client = httpx.AsyncClient(timeout=5.0, trust_env=False, verify=trusted())
        return self._client


@cache
def trusted(*, environment: bool = False) -> ssl.SSLContext:
    """The authorities that this process trusts, read once: each client of its own would read all of them anew.

    `environment` adds those that SSL_CERT_FILE and SSL_CERT_DIR name.
    """
    return httpx.create_ssl_context(trust_env=environment)


def _numeric(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenInvalid()
    return float(value)


def _header(token: str) -> dict[str, Any]:
    encoded = token.split(".", 1)[0]
    try:
        header = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError) as error:
        raise TokenInvalid() from error
    if not isinstance(header, dict):
        raise TokenInvalid()
    return header


def _import(text: str) -> KeySet:
    return KeySet.import_key_set(json.loads(text))
