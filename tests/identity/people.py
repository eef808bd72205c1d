"""Owns the people of the identity tests, how they sign in, and the handle on a live service."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from tests.support.running import Running

SECRETS = {
    "admin": {"user": "admin", "password": "một câu thật dài 1"},
    "leader": {"user": "lanhdao", "password": "một câu thật dài 2"},
    "officer": {"user": "canbo", "password": "một câu thật dài 3"},
    "resident": {"user": "nguoidan", "password": "một câu thật dài 4"},
    "producer": {"user": "htx", "password": "một câu thật dài 5"},
    "partner": {"client_id": "vienthong-test", "client_secret": "a secret of a partner, long and random"},
}
# Cheap hashes: the tests prove the flow, not how slow a guess is.
CHEAP = {"argon2_memory_kib": 64, "argon2_time": 1}


@dataclass
class Live:
    """The service on a port of its own, verifying with the keys it publishes itself."""

    url: str
    run: Running

    @property
    def base(self) -> str:
        return f"{self.url}/identity"

    def browser(self) -> httpx.AsyncClient:
        """A browser without cookies; the caller closes it."""
        return httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False)


async def sign_in(browser: httpx.AsyncClient, who: str, password: str | None = None) -> httpx.Response:
    """Sign in through the form, as `who` of SECRETS or as any login with `password`."""
    login = SECRETS.get(who, {"user": who, "password": password})
    await browser.get("/identity/login", headers={"accept": "text/html"})
    form = {
        "login": login["user"],
        "password": password or login["password"],
        "csrf_token": browser.cookies.get("__Host-xaso_csrf") or browser.cookies["xaso_csrf"],
    }
    return await browser.post("/identity/login", data=form, headers={"accept": "text/html"})
