"""Owns what a started platform tells the outside: its addresses and the logins made at its first start."""

from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict


class Login(TypedDict):
    """A person's, or a device's, name and password."""

    user: str
    password: str


class Client(TypedDict):
    """A partner's client credentials."""

    client_id: str
    client_secret: str


class Logins(TypedDict):
    """Made at first start, different on every machine."""

    partner: Client
    officer: Login
    resident: Login
    admin: Login
    leader: Login
    producer: Login
    device: Login


@dataclass(frozen=True)
class Addresses:
    """Where a started platform is found.

    `web` is the origin (`http://127.0.0.1:8080`), `grpc` maps service names to `host:port`, `kafka` and `mqtt` are
    `host:port`, `token_endpoint` is the OAuth 2.0 token endpoint.
    """

    web: str
    grpc: dict[str, str] = field(default_factory=dict)
    kafka: str = ""
    mqtt: str = ""
    token_endpoint: str = ""

    def announcement(self, logins: Logins) -> dict[str, Any]:
        """The object of the one line of `xaso up --json`."""
        return {**asdict(self), "logins": logins}
