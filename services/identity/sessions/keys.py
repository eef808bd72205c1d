"""Owns the keys that tokens are signed with: made here, sealed in the database, published before use, then retired.

A new key is in the published set for `key_ahead_hours` before it signs, so that every verifier has it by then; an old
one stays published until the longest token it signed has expired.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from joserfc.jwk import RSAKey
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import now
from services.identity.sealing import Sealer
from services.identity.sessions.model import SigningKey
from services.identity.settings import Settings

_COLUMN = "signing_key.private"
_BITS = 2048
_STAY_AFTER = timedelta(hours=25)
"""Longer than the longest life a token can be given (24 h) and the leeway of the verifiers together."""


@dataclass(frozen=True)
class Signer:
    """A private key ready to sign, with its id."""

    kid: str
    key: RSAKey


class Keys:
    """The signing keys of this service; opened private keys are kept in memory."""

    def __init__(self, settings: Settings, sealer: Sealer) -> None:
        self._life = timedelta(days=settings.key_days)
        self._ahead = timedelta(hours=settings.key_ahead_hours)
        self._sealer = sealer
        self._opened: dict[str, RSAKey] = {}

    async def signer(self, tx: AsyncSession) -> Signer:
        """The key that signs now; the very first one is made here."""
        row = await self._signing(tx, now())
        if row is None:
            await self.rotate(tx)
            row = await self._signing(tx, now())
        if row is None:
            raise RuntimeError("no signing key although one was just made")
        return Signer(row.kid, self._open(row))

    async def published(self, tx: AsyncSession) -> dict[str, list[dict[str, Any]]]:
        """The public keys as a JWK set (RFC 7517), the oldest first."""
        if await self._signing(tx, now()) is None:
            await self.rotate(tx)
        rows = await tx.scalars(sa.select(SigningKey).where(_alive(now())).order_by(SigningKey.created_at))
        return {"keys": [row.public_jwk for row in rows]}

    async def rotate(self, tx: AsyncSession, *, force: bool = False) -> str | None:
        """Make the next key when it is time (or at once with `force`) and retire what is past use; its id, or None.

        Two replicas take turns, and the second finds the work done.
        """
        await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext("signing-keys"))))
        at = now()
        await tx.execute(sa.delete(SigningKey).where(SigningKey.retires_at <= at))
        newest = await tx.scalar(sa.select(SigningKey).order_by(SigningKey.signs_from.desc()).limit(1))
        if newest is None:
            return await self._make(tx, at)
        waiting = newest.signs_from > at
        due = newest.signs_from + self._life - self._ahead <= at
        if waiting or not (due or force):
            return None
        signs_from = at + self._ahead
        await tx.execute(
            sa.update(SigningKey).where(SigningKey.retires_at.is_(None)).values(retires_at=signs_from + _STAY_AFTER)
        )
        return await self._make(tx, signs_from)

    async def _make(self, tx: AsyncSession, signs_from: datetime) -> str:
        # Finding two large primes takes a good part of a second, in which other requests should not wait.
        key = await asyncio.to_thread(RSAKey.generate_key, _BITS, private=True)
        kid = key.thumbprint()
        public = {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": "RS256"}
        sealed = self._sealer.seal(json.dumps(key.as_dict(private=True)), _COLUMN)
        tx.add(SigningKey(kid=kid, public_jwk=public, private_sealed=sealed, signs_from=signs_from))
        await tx.flush()
        return kid

    async def _signing(self, tx: AsyncSession, at: datetime) -> SigningKey | None:
        query = sa.select(SigningKey).where(SigningKey.signs_from <= at, _alive(at))
        row: SigningKey | None = await tx.scalar(query.order_by(SigningKey.signs_from.desc()).limit(1))
        return row

    def _open(self, row: SigningKey) -> RSAKey:
        key = self._opened.get(row.kid)
        if key is None:
            key = RSAKey.import_key(json.loads(self._sealer.open(row.private_sealed, _COLUMN)))
            self._opened = {row.kid: key}
        return key


def _alive(at: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(SigningKey.retires_at.is_(None), SigningKey.retires_at > at)
