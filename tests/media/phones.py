"""Owns the phones of the tests: a browser's side of web push, and a push service that speaks HTTP.

The phone has the keys a browser makes and reads what arrives as RFC 8291 tells, so that a wrong encryption, a foreign
signature or a missing header shows.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import http_ece
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


@dataclass
class Phone:
    """A browser that subscribed at `host` (host:port), or at a public push service that nobody calls."""

    host: str = ""
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    secret: bytes = field(default_factory=lambda: uuid.uuid4().bytes)

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}/{self.name}" if self.host else f"https://push.example.com/{self.name}"

    @property
    def described(self) -> dict[str, str]:
        """What the page sends of it."""
        point = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        public = self.key.public_key().public_bytes(*point)
        return {"endpoint": self.endpoint, "p256dh": text(public), "auth": text(self.secret)}

    def read(self, body: bytes) -> dict[str, str]:
        """What a push says, opened with the phone's own key."""
        plain = http_ece.decrypt(body, private_key=self.key, auth_secret=self.secret)
        return dict(json.loads(plain))


@dataclass
class Arrived:
    """One request a push service got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def phone(self) -> str:
        return self.path.strip("/")

    def claims(self) -> dict[str, Any]:
        """What the sender says of itself (RFC 8292), its signature checked against the key it shows."""
        scheme, _, rest = self.headers["authorization"].partition(" ")
        assert scheme == "vapid"
        shown = dict(part.strip().split("=", 1) for part in rest.split(","))
        point = raw(shown["k"])
        assert len(point) == 65
        key = ECKey.import_key({"kty": "EC", "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:])})
        token = jwt.decode(shown["t"], key, algorithms=["ES256"])
        return {**token.claims, "key": shown["k"]}


@dataclass
class PushService:
    """A push service on this machine; `answers` says by phone what it replies, 201 to the others.

    To a phone in `silent` nothing is said before its event is set.
    """

    host: str = ""
    arrived: list[Arrived] = field(default_factory=list)
    answers: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    silent: dict[str, asyncio.Event] = field(default_factory=dict)

    def of(self, phone: Phone) -> list[Arrived]:
        return [one for one in self.arrived if one.phone == phone.name]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        _, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.arrived.append(Arrived(path, headers, body))
        if path.strip("/") in self.silent:
            await self.silent[path.strip("/")].wait()
        waiting = self.answers.get(path.strip("/"), [])
        status, more = waiting.pop(0) if waiting else (201, {})
        lines = [f"HTTP/1.1 {status} Said", "content-length: 0", "connection: close"]
        writer.write("\r\n".join([*lines, *(f"{k}: {v}" for k, v in more.items()), "", ""]).encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def push_service(listening: socket.socket | None = None) -> AsyncIterator[PushService]:
    """A push service while the block runs; on a socket that listens already, where its address was told before."""
    made = PushService()
    server = await asyncio.start_server(made.serve, sock=listening or socket.create_server(("127.0.0.1", 0)))
    made.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
