"""Stolen sessions: every verifier learns which ended early, and keeps what it knows while identity is away."""

from __future__ import annotations

import json
import time
import uuid

import pytest

from chassis.auth import SessionEnded, session_mark
from chassis.tokens import Verifier
from tests.chassis.test_auth import FIRST, Issuer, issuer, jwks, settings, signed

__all__ = ["issuer"]


def verifier_of(issuer: Issuer) -> Verifier:
    return Verifier(settings(jwks_json="", jwks_url=issuer.url, ended_url=f"{issuer.url}/ended.json"))


async def test_what_was_signed_before_the_end_of_its_session_is_refused(issuer: Issuer) -> None:
    verifier, at = verifier_of(issuer), time.time()
    account, sign_in = str(uuid.uuid4()), str(uuid.uuid4())
    tokens = {
        "of the account": signed(sub=account, iat=at - 10),
        "of the sign-in": signed(sid=sign_in, iat=at - 10),
        "newer": signed(sub=account, iat=at + 0.2),
        "another's": signed(iat=at - 10),
    }
    for token in tokens.values():
        await verifier.verify(token)
    ended = {session_mark(account): at, session_mark(sign_in): at}
    issuer.keys = json.dumps({**json.loads(jwks(FIRST)), "ended": ended})
    await verifier.refresh_ended()
    issuer.status = 503
    await verifier.refresh_ended()
    for name in ("of the account", "of the sign-in"):
        with pytest.raises(SessionEnded):
            await verifier.verify(tokens[name])
    for name in ("newer", "another's"):
        await verifier.verify(tokens[name])
    await verifier.close()


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"ended": []}', '{"ended": {"a": null}}', '{"ended": {"a": "x"}}'])
async def test_an_issuer_that_tells_nothing_of_the_kind_ends_nobody(issuer: Issuer, body: str) -> None:
    verifier = verifier_of(issuer)
    await verifier.verify(token := signed())
    issuer.keys = body
    await verifier.refresh_ended()
    await verifier.verify(token)
    await verifier.close()


async def test_it_asks_only_for_what_is_new(issuer: Issuer) -> None:
    verifier, at = verifier_of(issuer), time.time()
    issuer.keys = json.dumps({"ended": {session_mark("a"): at}})
    await verifier.refresh_ended()
    await verifier.refresh_ended()
    await verifier.close()
    since = [float(asked.partition("since=")[2]) for asked in issuer.asked]
    assert since == [0.0, pytest.approx(at - 60, abs=0.01)], "with an overlap, for what was committed late"
