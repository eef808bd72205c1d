"""Owns one run of the authorization code flow, step by step, so that a test can spoil any step."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from services.identity.settings import Settings
from tests.identity.people import Live

BACK = "https://app.example/back?tenant=1"


class Flow:
    """One authorization: the request's parameters, and the token requests that follow."""

    def __init__(self, browser: httpx.AsyncClient, client_id: str = "app") -> None:
        self.browser = browser
        self.verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        self.params = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": BACK,
            "scope": "openid profile offline_access",
            "state": "xyz",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }

    async def authorize(self, **changed: str | None) -> httpx.Response:
        params = {k: v for k, v in {**self.params, **changed}.items() if v is not None}
        return await self.browser.get("/identity/authorize", params=params, headers={"accept": "text/html"})

    async def code(self) -> str:
        answer = await self.authorize()
        assert answer.status_code == 302, answer.text
        return returned(answer)["code"]

    async def redeem(self, code: str | None, **changed: str | None) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "client_id": self.params["client_id"],
            "code_verifier": self.verifier,
            **changed,
        }
        return await token(self.browser, **form)

    async def tokens(self) -> dict[str, Any]:
        answer = await self.redeem(await self.code())
        assert answer.status_code == 200, answer.text
        got: dict[str, Any] = answer.json()
        return got


async def token(browser: httpx.AsyncClient, **form: str | None) -> httpx.Response:
    return await browser.post("/identity/token", data={k: v for k, v in form.items() if v is not None})


async def refresh(browser: httpx.AsyncClient, refresh_token: str, client_id: str = "app") -> httpx.Response:
    return await token(browser, grant_type="refresh_token", refresh_token=refresh_token, client_id=client_id)


def returned(answer: httpx.Response) -> dict[str, str]:
    """What came back to the application."""
    place = answer.headers["location"]
    assert place.startswith(BACK + "&"), place
    return {k: v[0] for k, v in parse_qs(urlsplit(place).query).items()}


def settings_of(live: Live) -> Settings:
    settings = live.run.runner.settings
    assert isinstance(settings, Settings)
    return settings
