"""Signing keys: published before they sign, kept until their last token has expired, never readable at rest."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import sqlalchemy as sa

from chassis.db import now
from chassis.tokens import Verifier
from services.identity.desk import Desk
from services.identity.sessions.model import SigningKey
from tests.identity.flow import Flow, settings_of
from tests.identity.people import Live


async def test_keys_rotate_without_refusing_a_valid_token(live: Live, shop: httpx.AsyncClient) -> None:
    settings = settings_of(live)
    before = await Flow(shop).tokens()
    desk = Desk.of(settings)
    async with live.run.tx() as tx:
        assert await desk.keys.rotate(tx) is None, "it is not time yet"
        new = await desk.keys.rotate(tx, force=True)
        assert await desk.keys.rotate(tx, force=True) is None, "one key waits at a time"
        assert (await desk.keys.signer(tx)).kid != new, "a new key is published before it signs"
    published = [k["kid"] for k in (await shop.get("/identity/jwks.json")).json()["keys"]]
    assert len(published) == 2
    assert new in published
    reader = Verifier(settings)
    try:
        await reader.verify(before["access_token"])
        async with live.run.tx() as tx:
            await tx.execute(sa.update(SigningKey).where(SigningKey.kid == new).values(signs_from=now()))
        after = await Flow(shop).tokens()
        assert header(after["access_token"])["kid"] == new
        await reader.verify(after["access_token"])
        await reader.verify(before["access_token"])
        async with live.run.tx() as tx:
            await tx.execute(sa.update(SigningKey).where(SigningKey.kid != new).values(retires_at=now()))
            await desk.keys.rotate(tx)
        keys = (await shop.get("/identity/jwks.json")).json()["keys"]
        assert [k["kid"] for k in keys] == [new]
        assert not {"d", "p", "q"} & keys[0].keys()
    finally:
        await reader.close()
    async with live.run.tx() as tx:
        stored = await tx.get(SigningKey, new)
        assert stored is not None
        assert b'"d"' not in stored.private_sealed


def header(text: str) -> dict[str, Any]:
    part = text.split(".")[0]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found
