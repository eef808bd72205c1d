"""Owns a commune of the journeys: its people as they sign in, its villages, and the addresses that deeds go to."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from launcher.addresses import Addresses, Client, Login, Logins
from launcher.scenario.talk import CSRF_FIELD, Visitor, until
from tests.media.phones import PushService

IDENTITY, PETITIONS = "/identity/api/v1", "/petitions/api/v1"
MEDIA, ECOMMERCE = "/media/api/v1", "/ecommerce/api/v1"


class Person(Visitor):
    """Somebody signed in, who also changes things."""

    async def put(self, path: str, body: Any) -> Any:
        return await self._written("PUT", path, json=body)

    async def patch(self, path: str, body: Any) -> Any:
        return await self._written("PATCH", path, json=body)

    async def write(self, path: str, body: Any) -> httpx.Response:
        """The answer to a POST, whatever it is."""
        return await self._send("POST", path, json=body)

    async def fill_in(self, page: str, form: str, **typed: str) -> None:
        """Send the form that stands on `page` to `form`."""
        token = CSRF_FIELD.search((await self.ask(page)).text)
        assert token, page
        answer = await self._send("POST", form, data={**typed, "csrf_token": token[1]})
        assert answer.status_code == httpx.codes.SEE_OTHER, answer.text

    async def _written(self, method: str, path: str, **options: Any) -> Any:
        answer = await self._send(method, path, **options)
        assert answer.is_success, (path, answer.text)
        return answer.json()


@dataclass
class Place:
    """A commune with two villages, and who is about there; `kept` is what a deed leaves for the step back."""

    addresses: Addresses
    logins: Logins
    data: Path
    pushes: PushService
    exits: contextlib.AsyncExitStack
    admin: Person
    officer: Person
    elsewhere: Person
    residents: tuple[Person, Person]
    commune: str
    villages: tuple[str, str]
    kept: dict[str, Any] = field(default_factory=dict)


async def sign_in(exits: contextlib.AsyncExitStack, web: str, login: Login) -> Person:
    http = await exits.enter_async_context(httpx.AsyncClient(base_url=web, timeout=30, trust_env=False))
    person = Person(http, login["user"])
    await person.sign_in(login)
    return person


async def settle(
    addresses: Addresses,
    logins: Logins,
    data: Path,
    pushes: PushService,
    exits: contextlib.AsyncExitStack,
    *,
    district: str = "298",
    name: str = "Xã Tái Sơn",
) -> Place:
    """The province's administrator makes the accounts of a commune, its officer enters the villages."""
    web = addresses.web
    admin, elsewhere = [await sign_in(exits, web, logins[who]) for who in ("admin", "officer")]  # type: ignore[literal-required]  # keys of Logins.
    found = await admin.all(f"{IDENTITY}/units", level="commune", parent=district, q=name)
    commune = str(found[0]["code"])
    officer = await sign_in(exits, web, await account(admin, "officer", commune))
    names = ("Thôn Thượng Sơn", "Thôn Thiết Tái")
    entered = [await officer.post(f"{IDENTITY}/units", {"parent": commune, "name": n, "kind": "thon"}) for n in names]
    villages = (str(entered[0]["code"]), str(entered[1]["code"]))
    first, second = [await sign_in(exits, web, await account(admin, "resident", village)) for village in villages]
    place = Place(addresses, logins, data, pushes, exits, admin, officer, elsewhere, (first, second), commune, villages)
    for known in (
        f"/indicators/api/v1/units/{villages[1]}/sets/hd-288-2023",
        f"{PETITIONS}/petitions?unit={villages[1]}",
        f"{ECOMMERCE}/products?unit={villages[1]}",
        f"{MEDIA}/clusters?unit={villages[1]}",
    ):
        await comes_true(lambda known=known: _is_known(officer, known), known)  # type: ignore[misc]  # bound at once.
    return place


async def account(admin: Person, role: str, unit: str) -> Login:
    login: Login = {"user": f"{role}.{unit}".replace("-", "."), "password": secrets.token_urlsafe(12)}
    body = {"name": f"Người {unit}", "role": role, "unit": unit, "username": login["user"]}
    await admin.post(f"{IDENTITY}/accounts", {**body, "password": login["password"]})
    return login


async def comes_true(look: Callable[[], Awaitable[bool]], what: str) -> None:
    async def true() -> bool | None:
        return await look() or None

    await until(true, lambda: what)


async def _is_known(person: Person, path: str) -> bool:
    return (await person.ask(path)).is_success


async def token_of(place: Place, client: Client) -> str:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        answer = await http.post(
            place.addresses.token_endpoint,
            data={"grant_type": "client_credentials"},
            auth=(client["client_id"], client["client_secret"]),
        )
    assert answer.is_success, answer.text
    return str(answer.json()["access_token"])
