"""Tokens and grants: what opens a door, what does not, and what happens while identity is away."""

import asyncio
import json
import threading
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from chassis import auth, tokens
from chassis.auth import Grant, KeysUnavailable, Principal, TokenExpired, TokenInvalid, covers
from chassis.errors import Forbidden, NotFound, Unauthenticated, Unavailable
from chassis.settings import ServiceSettings
from chassis.token_source import TokenSource
from chassis.tokens import Verifier

ISSUER = "http://127.0.0.1:8080/identity"
FIRST = RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})
SECOND = RSAKey.generate_key(2048, {"kid": "second", "use": "sig", "alg": "RS256"})
CURVE = ECKey.generate_key("P-256", {"kid": "curve", "use": "sig", "alg": "ES256"})


def jwks(*keys: RSAKey | ECKey) -> str:
    return json.dumps(KeySet(list(keys)).as_dict(private=False))


def signed(key: RSAKey | ECKey = FIRST, header: dict[str, Any] | None = None, **changed: Any) -> str:
    clock = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": "xaso",
        "sub": str(uuid.uuid4()),
        "iat": clock,
        "exp": clock + 600,
        "jti": str(uuid.uuid4()),
        "name": "Người thử",
        "kind": "person",
        "scope": "xaso",
        "grants": [["officer", "11074", "30/298/11074"]],
        **changed,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    algorithm = "ES256" if isinstance(key, ECKey) else "RS256"
    return jwt.encode({"alg": algorithm, "kid": key.kid, "typ": "at+jwt", **(header or {})}, claims, key)


def settings(**changed: Any) -> ServiceSettings:
    return ServiceSettings(name="tests", **{"jwks_json": jwks(FIRST, CURVE), **changed})


@dataclass
class Issuer:
    """An HTTP server that answers keys and tokens as it is told to, and counts what it was asked."""

    keys: str = ""
    status: int = 200
    token: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    state = Issuer(keys=jwks(FIRST))

    class Handler(BaseHTTPRequestHandler):
        protocol_version: ClassVar[str] = "HTTP/1.0"

        def do_GET(self) -> None:
            self._answer(state.keys)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            state.asked.append(f"{self.headers['authorization']} {body}")
            self._answer(json.dumps(state.token))

        def _answer(self, body: str) -> None:
            state.asked.append(self.path)
            self.send_response(state.status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- Grants ---


def test_a_grant_covers_its_unit_and_what_lies_below() -> None:
    assert covers("30/298", "30/298")
    assert covers("30/298", "30/298/11086/11086-01")
    assert not covers("30/298", "30/2981")
    assert not covers("30/298", "30")
    assert not covers("", "30")


segments = st.lists(st.text("0123456789-", min_size=1, max_size=5), min_size=1, max_size=4)


@given(segments, segments)
def test_covering_is_having_the_segments_in_front(granted: list[str], path: list[str]) -> None:
    assert covers("/".join(granted), "/".join(path)) == (path[: len(granted)] == granted)


def test_a_role_counts_on_its_unit_only() -> None:
    person = Principal("p", "", "person", (Grant("officer", "11074", "30/298/11074"), Grant("viewer", "298", "30/298")))
    assert person.may(auth.STAFF, "30/298/11074/11074-01")
    assert not person.may(auth.STAFF, "30/298/11086")
    assert person.may(auth.VIEWERS, "30/298/11086")
    assert person.roles == {"officer", "viewer"}
    assert person.home == person.grants[0]
    person.require(auth.STAFF, "30/298/11074")
    with pytest.raises(Forbidden):
        person.require(auth.STAFF, "30/298/11086")
    with pytest.raises(NotFound):
        person.require(auth.STAFF, "30/298/11086", hide=True)


def test_the_scope_of_everything_is_for_people_only() -> None:
    Principal("p", "", "person", scopes=frozenset({"xaso"})).require_scope("petitions.read")
    Principal("p", "", "partner", scopes=frozenset({"petitions.read"})).require_scope("petitions.read")
    for kind, scopes in (("partner", {"xaso"}), ("person", {"petitions.write"})):
        with pytest.raises(Forbidden) as refused:
            Principal("p", "", kind, scopes=frozenset(scopes)).require_scope("petitions.read")  # type: ignore[arg-type]  # the loop widens the literal.
        assert refused.value.code == "scope_missing"


# --- Verification ---


@pytest.mark.parametrize("key", [FIRST, CURVE], ids=["RS256", "ES256"])
async def test_a_good_token_names_its_bearer(key: RSAKey | ECKey) -> None:
    token = signed(key, sub="u-1", scope="a b", sid="s-1", client_id="c-1")
    principal = await Verifier(settings()).verify(token)
    assert principal == Principal(
        "u-1",
        "Người thử",
        "person",
        (Grant("officer", "11074", "30/298/11074"),),
        frozenset({"a", "b"}),
        "c-1",
        "s-1",
    )


BAD_TOKENS = {
    "another issuer": {"iss": "http://elsewhere/identity"},
    "another audience": {"aud": "elsewhere"},
    "no audience": {"aud": None},
    "no expiry": {"exp": None},
    "expiry as text": {"exp": "tomorrow"},
    "no issue time": {"iat": None},
    "from the future": {"iat": int(time.time()) + 7200},
    "not yet valid": {"nbf": int(time.time()) + 7200},
    "nobody": {"sub": ""},
    "unknown kind": {"kind": "robot"},
    "grants of another shape": {"grants": [["officer", "11074"]]},
    "a grant on nothing": {"grants": [["admin", "30", ""]]},
    "scope as list": {"scope": ["xaso"]},
}


@pytest.mark.parametrize("changed", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
async def test_refuses_a_token_whose_claims_are_wrong(changed: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        await Verifier(settings()).verify(signed(**changed))


async def test_refuses_an_id_token() -> None:
    with pytest.raises(TokenInvalid):
        await Verifier(settings()).verify(signed(header={"typ": "JWT"}))


async def test_refuses_other_algorithms() -> None:
    """Neither none nor a MAC with the public key as its secret opens anything."""
    claims = {"iss": ISSUER, "aud": "xaso", "sub": "u", "iat": int(time.time()), "exp": int(time.time()) + 60}

    def part(content: dict[str, Any]) -> str:
        return urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    none = f"{part({'alg': 'none', 'typ': 'at+jwt', 'kid': 'first'})}.{part(claims)}."
    secret = OctKey.import_key(FIRST.as_pem(private=False).decode().replace("-----", ""))
    mac = jwt.encode({"alg": "HS256", "typ": "at+jwt", "kid": "first"}, claims, secret)
    for token in (none, mac):
        with pytest.raises(TokenInvalid):
            await Verifier(settings()).verify(token)


async def test_refuses_a_foreign_signature_under_a_known_key_id() -> None:
    impostor = RSAKey.import_key({**SECOND.as_dict(private=True), "kid": "first"})
    with pytest.raises(TokenInvalid):
        await Verifier(settings()).verify(signed(impostor))


@pytest.mark.parametrize("text", ["", "x", "a.b", "a.b.c", "..", "é.b.c", "a" * 20_000, "[].e30.x", "\x00.\x00.\x00"])
async def test_refuses_what_is_no_token(text: str) -> None:
    with pytest.raises(TokenInvalid):
        await Verifier(settings()).verify(text)


async def test_refuses_a_changed_token() -> None:
    head, _, signature = signed().split(".")
    other = signed(grants=[["admin", "30", "30"]]).split(".")[1]
    with pytest.raises(TokenInvalid):
        await Verifier(settings()).verify(f"{head}.{other}.{signature}")


async def test_expiry_has_a_minute_of_leeway() -> None:
    verifier, clock = Verifier(settings()), int(time.time())
    await verifier.verify(signed(iat=clock - 700, exp=clock - 30))
    with pytest.raises(TokenExpired) as late:
        await verifier.verify(signed(iat=clock - 700, exp=clock - 120))
    assert late.value.code == "token_expired"


async def test_a_remembered_token_still_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, token = Verifier(settings()), signed()
    await verifier.verify(token)
    real = time.time
    monkeypatch.setattr(tokens.time, "time", lambda: real() + 700)
    with pytest.raises(TokenExpired):
        await verifier.verify(token)


# --- Keys ---


async def test_keys_are_fetched_once_and_kept_while_identity_is_down(issuer: Issuer) -> None:
    verifier = Verifier(settings(jwks_json="", jwks_url=f"{issuer.url}/jwks.json"))
    tokens = [signed() for _ in range(20)]
    await asyncio.gather(*(verifier.verify(token) for token in tokens))
    assert issuer.asked == ["/jwks.json"]
    issuer.status = 500
    await verifier.verify(signed())
    with pytest.raises(TokenInvalid):
        await verifier.verify(signed(SECOND))
    await verifier.verify(signed())
    await verifier.close()


async def test_unknown_key_ids_do_not_hammer_identity(issuer: Issuer) -> None:
    verifier = Verifier(settings(jwks_json="", jwks_url=f"{issuer.url}/jwks.json"))
    await verifier.verify(signed())
    for _ in range(20):
        with pytest.raises(TokenInvalid):
            await verifier.verify(signed(SECOND))
    assert len(issuer.asked) == 1, "the first fetch is younger than ten seconds"
    await verifier.close()


async def test_a_new_key_is_found_and_a_retired_one_stops_counting(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_REFETCH_SECONDS", 0.0)
    verifier = Verifier(settings(jwks_json="", jwks_url=f"{issuer.url}/jwks.json"))
    old = signed()
    await verifier.verify(old)
    issuer.keys = jwks(FIRST, SECOND)
    await verifier.verify(signed(SECOND))
    await verifier.verify(old)
    issuer.keys = jwks(SECOND)
    third = RSAKey.import_key({**CURVE_FREE, "kid": "third"})
    with pytest.raises(TokenInvalid):
        await verifier.verify(signed(third))
    with pytest.raises(TokenInvalid):
        await verifier.verify(old)
    await verifier.close()


CURVE_FREE = RSAKey.generate_key(2048).as_dict(private=True)


async def test_says_unavailable_when_no_key_ever_came(issuer: Issuer) -> None:
    for status, keys in ((500, ""), (200, "not json"), (200, "[]"), (200, '{"keys": []}')):
        issuer.status, issuer.keys = status, keys
        verifier = Verifier(settings(jwks_json="", jwks_url=f"{issuer.url}/jwks.json"))
        with pytest.raises(KeysUnavailable):
            await verifier.verify(signed())
        assert not await verifier.ready()
        await verifier.close()


# --- Tokens for clients ---


async def test_a_token_source_fetches_once_for_many(issuer: Issuer) -> None:
    issuer.token = {"access_token": "t-1", "expires_in": 600, "token_type": "Bearer"}
    async with TokenSource(f"{issuer.url}/token", "viettel", "hush", "indicators.observe") as source:
        assert await asyncio.gather(*(source.token() for _ in range(10))) == ["t-1"] * 10
        assert len(issuer.asked) == 2
        assert issuer.asked[0] == "Basic dmlldHRlbDpodXNo grant_type=client_credentials&scope=indicators.observe"
        issuer.token["access_token"] = "t-2"
        source.forget()
        assert await source.token() == "t-2"


async def test_a_token_source_refreshes_early_and_keeps_the_old_token_meanwhile(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.token = {"access_token": "t-1", "expires_in": 1000}
    real, ahead = time.monotonic, 0.0
    monkeypatch.setattr(tokens.time, "monotonic", lambda: real() + ahead)
    async with TokenSource(f"{issuer.url}/token", "c", "s") as source:
        assert await source.token() == "t-1"
        ahead, issuer.status = 950.0, 503
        assert await source.token() == "t-1", "the endpoint is away but the token still has 50 s"
        ahead = 970.0
        issuer.status, issuer.token = 200, {"access_token": "t-2", "expires_in": 1000}
        assert await source.token() == "t-2"
        ahead, issuer.status = 3000.0, 503
        with pytest.raises(Unavailable):
            await source.token()


async def test_a_refused_client_is_told_so(issuer: Issuer) -> None:
    issuer.status = 401
    async with TokenSource(f"{issuer.url}/token", "c", "wrong") as source:
        with pytest.raises(Unauthenticated):
            await source.token()
