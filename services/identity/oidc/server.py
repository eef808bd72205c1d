"""Owns the authorization server: Authlib's framework-free core, given requests as plain values and answering so too."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from authlib.common.security import generate_token
from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import AuthorizationServer, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, OAuth2Payload
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oidc.core.errors import ConsentRequiredError, LoginRequiredError
from joserfc import jws
from joserfc.errors import JoseError

from services.identity.accounts.model import Account
from services.identity.oidc import grants
from services.identity.oidc.grants import AUTH_METHODS, Context
from services.identity.oidc.model import Client, RefreshToken, digest
from services.identity.sessions import tokens

_REFRESH_CHARS = 64
_MOST_VALUE_CHARS = 4096


@dataclass
class Answer:
    """An OAuth answer before the web framework: status, JSON body (or nothing) and headers."""

    status: int
    body: Mapping[str, Any] | None
    headers: dict[str, str]

    @property
    def location(self) -> str | None:
        return self.headers.get("Location")


@dataclass(frozen=True)
class EndUser:
    """The person in front of the authorization page, and when they last proved it."""

    account: Account
    auth_time: datetime


class _Payload(OAuth2Payload):  # type: ignore[misc] # Authlib ships no types.
    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            if value:  # RFC 6749 §3.1: a parameter without a value is as one left out.
                self._lists[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        return {name: values[0] for name, values in self._lists.items()}

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return self._lists


class Request(OAuth2Request):  # type: ignore[misc] # Authlib ships no types.
    """A request as Authlib reads it, made from its encoded parameters."""

    def __init__(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        # Authlib refuses plain http beyond this machine. Whether TLS ends here or at the operator's entrance is decided
        # by the deployment (`public_url`), so the scheme it sees is always https.
        super().__init__(method, f"https://identity{path}", headers=headers)
        self.payload = _Payload([])

    def read(self, encoded: str) -> None:
        """Take the parameters; raises InvalidRequestError."""
        self.payload = _Payload(_pairs(encoded))

    def refuse_repeated(self) -> None:
        """Raise InvalidRequestError where a parameter stands more than once, which RFC 6749 forbids."""
        if any(len(values) > 1 for values in self.payload.datalist.values()):
            raise InvalidRequestError("A parameter stands more than once.")

    @property
    def form(self) -> dict[str, str]:
        data: dict[str, str] = self.payload.data
        return data


def _pairs(encoded: str) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError as error:
        raise InvalidRequestError("The parameters cannot be read.") from error
    if any(len(value) > _MOST_VALUE_CHARS or "\0" in name + value for name, value in pairs):
        raise InvalidRequestError("A parameter is too long or holds a NUL.")
    return pairs


def _basic(query_client: Callable[[str], Client | None], request: Request) -> Client | None:
    """The client of HTTP Basic credentials, form-encoded as RFC 6749 §2.3.1 asks, or as they are: clients do either."""
    client_id, secret = extract_basic_authorization(request.headers)
    if not client_id or not secret or "\0" in client_id:
        return None
    client = query_client(unquote_plus(client_id)) or query_client(client_id)
    if client is not None and (client.check_client_secret(unquote_plus(secret)) or client.check_client_secret(secret)):
        return client
    raise InvalidClientError("The client is unknown or its secret is wrong.", status_code=401)


class Revocation(RevocationEndpoint):  # type: ignore[misc] # Authlib ships no types.
    """RFC 7009: either token ends its whole family."""

    CLIENT_AUTH_METHODS = AUTH_METHODS

    def query_token(self, token_string: str, token_type_hint: str | None) -> RefreshToken | _AccessToken | None:
        context: Context = self.server.context
        refresh: RefreshToken | None = context.session.get(RefreshToken, digest(token_string))
        return refresh or _access_token(context, token_string)

    def revoke_token(self, token: RefreshToken | _AccessToken, request: OAuth2Request) -> None:
        context: Context = self.server.context
        context.revoke_family(token.family_id, "app_tokens.revoked")


@dataclass(frozen=True)
class _AccessToken:
    family_id: uuid.UUID
    client_id: str

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id


def _access_token(context: Context, text: str) -> _AccessToken | None:
    # Only a token signed by the present key is taken at its word; an older one expires within minutes anyway.
    try:
        claims = json.loads(jws.deserialize_compact(text, context.signer.key, ["RS256"]).payload)
        return _AccessToken(uuid.UUID(claims["sid"]), str(claims["client_id"]))
    except (JoseError, ValueError, KeyError, TypeError):
        return None


class Server(AuthorizationServer):  # type: ignore[misc] # Authlib ships no types.
    """The authorization server of one request; its `context` holds the transaction."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.register_grant(grants.AuthorizationCodeGrant, [grants.S256Only(), grants.IdToken(context)])
        self.register_grant(grants.RefreshTokenGrant)
        self.register_grant(grants.ClientCredentialsGrant)
        self.register_endpoint(Revocation)
        self.register_client_auth_method("client_secret_basic", _basic)
        self.register_token_generator(
            "default",
            BearerTokenGenerator(self._access_token, self._refresh_token, self._seconds),
        )

    # What Authlib asks of a server.

    def query_client(self, client_id: str) -> Client | None:
        client: Client | None = self.context.session.get(Client, client_id)
        return client if client is not None and client.disabled_at is None else None

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        if "refresh_token" in token:
            grants.save_refresh_token(self.context, token["refresh_token"], request, token.get("scope", ""))

    def create_oauth2_request(self, request: Request) -> Request:
        self._request = request
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Answer:
        # The web layer says what the body is and that nobody keeps it.
        ours = ("content-type", "cache-control", "pragma")
        kept = {name: value for name, value in headers if name.lower() not in ours}
        answer = Answer(status, body if isinstance(body, dict) else None, kept)
        if answer.location:
            # RFC 9207: the client learns which server answers, which ends mix-up attacks.
            kept["Location"] = add_params_to_uri(answer.location, [("iss", self.context.settings.issuer)])
        return answer

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nothing listens: what is worth keeping is in the tables."""

    # What our entry points ask.

    def guarded(
        self, method: str, path: str, encoded: str, headers: Mapping[str, str], act: Callable[[Request], Any]
    ) -> Any:
        """What `act` makes of the request; a client's mistake becomes the answer its standard prescribes.

        Authlib raises ValueError where a client's own words cannot stand in an error description, and where basic
        credentials do not decode: both are the client's mistake.
        """
        request = Request(method, path, headers)
        try:
            request.read(encoded)
            return act(request)
        except OAuth2Error as error:
            return self.handle_error_response(request, error)
        except ValueError:
            return self.handle_error_response(request, InvalidRequestError("The request is malformed."))

    def consent(self, request: Request, user: EndUser | None) -> Any:
        """The validated authorization request (a grant); raises OAuth2Error."""
        request.refuse_repeated()
        return self.get_consent_grant(request, user)

    def authorize(self, request: Request, user: EndUser | None) -> Answer:
        """The redirect back to the client: with a code, or with access_denied where `user` is None."""
        grant = self.consent(request, user)
        answer: Answer = self.create_authorization_response(request, grant_user=user, grant=grant)
        return answer

    def login_required(self, request: Request) -> Answer:
        """The redirect that says a person would have to sign in (OpenID Connect Core, 3.1.2.6)."""
        return self._send_back(request, LoginRequiredError)

    def consent_required(self, request: Request) -> Answer:
        """The redirect that says a person would have to be asked."""
        return self._send_back(request, ConsentRequiredError)

    def answer(self, name: str, method: str, encoded: str, headers: Mapping[str, str]) -> Answer:
        """The answer of the token endpoint (`token`) or the revocation endpoint (`revoke`)."""

        def act(request: Request) -> Any:
            request.refuse_repeated()
            if name == "token":
                return self.create_token_response(request)
            return self.create_endpoint_response("revocation", request)

        made: Answer = self.guarded(method, f"/{name}", encoded, headers, act)
        return made

    def _send_back(self, request: Request, kind: type[OAuth2Error]) -> Answer:
        # Reached only after `consent` found the client and its address good.
        error = kind(redirect_uri=request.payload.redirect_uri)
        error.state = request.payload.state
        answer: Answer = self.handle_error_response(request, error)
        return answer

    def _access_token(self, client: Client, grant_type: str, user: Account | None, scope: str) -> str:
        return tokens.sign(
            self.context.signer,
            self.context.settings.issuer,
            self.context.subject(client, user),
            scope=scope,
            seconds=self._seconds(client, grant_type),
            client_id=client.client_id,
            family=self._family_of(self._request),
        )

    def _family_of(self, request: Request) -> str | None:
        if request.authorization_code is not None:
            return str(request.authorization_code.family)
        return str(request.refresh_token.family_id) if request.refresh_token is not None else None

    def _refresh_token(self, **_: Any) -> str:
        return str(generate_token(_REFRESH_CHARS))

    def _seconds(self, client: Client, grant_type: str) -> int:
        settings = self.context.settings
        return settings.partner_seconds if grant_type == "client_credentials" else settings.access_seconds
