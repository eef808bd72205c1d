"""Owns devices that are not there: loudspeakers that speak MQTT and cameras that speak RTSP, as real ones would.

The demo scenario and the tests use them. They speak the public language of the devices (services/media/README.md) and
know nothing of the service's insides: a loudspeaker knows its topic, its secret and the broker, nothing more.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Self

import aiomqtt
import httpx

STAGES = ("received", "fetched", "started", "finished")
Fetch = Callable[[str], Awaitable[bytes]]


def sign(secret: str, topic: str, body: dict[str, Any]) -> bytes:
    """A message as devices send it: JSON with sorted keys, no spaces, and the `mac` over topic and content."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    mac = hmac.new(secret.encode(), topic.encode() + b"\n" + text, hashlib.sha256).hexdigest()
    return json.dumps({**body, "mac": mac}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


async def fetch_by_http(url: str) -> bytes:
    """The content of `url`; raises httpx.HTTPError."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        answer = await client.get(url)
        answer.raise_for_status()
        return answer.content


class _Line:
    """The wire between a device and the broker: a relay on 127.0.0.1 that can be cut or can stop carrying anything."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._talks: set[asyncio.Task[None]] = set()

    async def open(self) -> int:
        """Listen; returns the port a device connects to."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def hold(self) -> None:
        """Carry nothing more, in either direction, while the connection stays up."""
        self._flowing.clear()

    async def cut(self) -> None:
        """Break every connection without a word; new ones are carried again."""
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        self._flowing.set()

    async def close(self) -> None:
        """Cut and listen no more."""
        if self._server is not None:
            self._server.close()
        await self.cut()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._carry(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            writers.append(far_writer)
            pumps = [
                asyncio.create_task(self._pump(reader, far_writer)),
                asyncio.create_task(self._pump(far_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            return
        finally:
            for end in writers:
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            await self._flowing.wait()
            writer.write(chunk)
            await writer.drain()


class SimulatedLoudspeaker:
    """A loudspeaker: connects with a will, tells its birth and state, beats, plays what it is told and proves it.

    `topic` and `secret` are what the registration answered as `device.topic` and `device.secret`; `pace` shortens the
    time playing takes (1.0 is real time, 0 is at once). `clock_ahead` seconds is how wrong its clock goes.
    """

    def __init__(
        self,
        host: str,
        port: int,
        topic: str,
        secret: str,
        *,
        heartbeat_seconds: float = 30.0,
        pace: float = 1.0,
        fetch: Fetch = fetch_by_http,
        keepalive: int = 5,
        clock_ahead: float = 0.0,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self.topic = topic
        self.secret = secret
        self.birth = int(time.time() * 1000)
        self.played: list[str] = []
        self._line = _Line(host, port)
        self._login = (username, password)
        self._heartbeat_seconds = heartbeat_seconds
        self._pace = pace
        self._fetch = fetch
        self._keepalive = keepalive
        self._clock_ahead = clock_ahead
        self._sequence = 0
        self._last: dict[str, dict[str, Any]] = {}
        self._client: aiomqtt.Client | None = None
        self._life: asyncio.Task[None] | None = None
        self._playing: dict[str, asyncio.Task[None]] = {}
        self._plugged_in = asyncio.Event()
        self._online = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, seconds: float = 15.0) -> None:
        """Connect and say that it is ready; returns once the broker has taken that. Raises TimeoutError."""
        self._plugged_in.set()
        if self._life is None:
            self._life = asyncio.create_task(self._live())
        try:
            await asyncio.wait_for(self._online.wait(), seconds)
        except TimeoutError:
            await self._end()
            raise

    async def stop(self) -> None:
        """Say goodbye and leave: the state becomes disconnected, the will is not sent."""
        if self._client is not None and self._online.is_set():
            with contextlib.suppress(aiomqtt.MqttError):
                await self.say("$state", {"state": "disconnected"}, retain=True)
        await self._end()

    async def cut(self) -> None:
        """Lose the connection as when the cable is pulled, until `reconnect`: the broker sends the will."""
        self._plugged_in.clear()
        self._online.clear()
        await self._line.cut()

    def freeze(self) -> None:
        """Let nothing pass while the connection stays up, until `reconnect`: no heartbeat, no answer, no ping."""
        self._line.hold()

    async def reconnect(self) -> None:
        """Come back after `cut` or `freeze` with a new birth."""
        self._online.clear()
        await self._line.cut()
        await self.start()

    async def sleep(self) -> None:
        """Say that it sleeps (at night, by its own plan)."""
        await self.say("$state", {"state": "sleeping"}, retain=True)

    async def raw(self, leaf: str, payload: bytes, *, retain: bool = False) -> None:
        """Send anything at all below its topic."""
        await self._connected().publish(f"{self.topic}/{leaf}", payload, qos=1, retain=retain)

    async def acknowledge(self, command: str, stage: str, *, seconds: float | None = None) -> None:
        """Acknowledge a stage of a command; kept by the broker, so that a hub that was away learns of it."""
        body: dict[str, Any] = {"id": command, "stage": stage}
        if seconds is not None:
            body["seconds"] = seconds
        self._last[command] = body
        await self.say("ack", body, retain=True)

    async def beat(self) -> None:
        """One heartbeat."""
        self._sequence += 1
        await self.say("heartbeat", {"seq": self._sequence})

    def _connected(self) -> aiomqtt.Client:
        if self._client is None:
            raise ConnectionError("the loudspeaker is not connected")
        return self._client

    def _now(self) -> str:
        return datetime.fromtimestamp(time.time() + self._clock_ahead, UTC).isoformat()

    async def say(self, leaf: str, body: dict[str, Any], *, retain: bool = False) -> None:
        """Publish a signed message below its topic, with birth and clock."""
        topic = f"{self.topic}/{leaf}"
        message = sign(self.secret, topic, {**body, "birth": self.birth, "at": self._now()})
        await self._connected().publish(topic, message, qos=1, retain=retain)

    async def _live(self) -> None:
        """Stay connected: after a broken connection come back, each time with a larger birth."""
        while True:
            await self._plugged_in.wait()
            with contextlib.suppress(aiomqtt.MqttError, OSError):
                await self._connection()
            self._online.clear()
            await asyncio.sleep(0.2)

    async def _connection(self) -> None:
        username, password = self._login
        self.birth = max(self.birth + 1, int(time.time() * 1000))
        self._sequence = 0
        topic = f"{self.topic}/$state"
        will = aiomqtt.Will(topic, sign(self.secret, topic, {"state": "lost", "birth": self.birth}), 1, True)
        client = aiomqtt.Client(
            "127.0.0.1",
            await self._line.open(),
            username=username,
            password=password,
            timeout=5,
            identifier=f"{self.topic.rsplit('/', 1)[-1]}-{secrets.token_hex(3)}",
            keepalive=self._keepalive,
            will=will,
        )
        async with client:
            self._client = client
            try:
                await self.say("birth", {}, retain=True)
                await self.say("$state", {"state": "init"}, retain=True)
                await client.subscribe(f"{self.topic}/command", 1)
                await self.say("$state", {"state": "ready"}, retain=True)
                self._online.set()
                beating = asyncio.create_task(self._heartbeats())
                try:
                    async for message in client.messages:
                        await self._told(bytes(message.payload or b""))
                finally:
                    beating.cancel()
                    await asyncio.gather(beating, return_exceptions=True)
            finally:
                self._client = None

    async def _heartbeats(self) -> None:
        while True:
            await self.beat()
            await asyncio.sleep(self._heartbeat_seconds)

    async def _told(self, payload: bytes) -> None:
        """Obey a command of the hub, and only of the hub; a repetition is answered with the last stage again."""
        body = json.loads(payload)
        given = body.pop("mac", "")
        right = json.loads(sign(self.secret, f"{self.topic}/command", body))["mac"]
        if not hmac.compare_digest(given, right):
            return
        command = body["id"]
        if body["kind"] == "cancel":
            if (task := self._playing.pop(command, None)) is not None:
                task.cancel()
        elif body["kind"] == "play" and command in self._last:
            await self.say("ack", self._last[command], retain=True)
        elif body["kind"] == "play" and datetime.fromisoformat(body["expires_at"]) > datetime.now(UTC):
            await self.acknowledge(command, "received")
            self._playing[command] = asyncio.create_task(self._play(command, body))

    async def _play(self, command: str, body: dict[str, Any]) -> None:
        try:
            sound = await self._fetch(body["url"])
            if hashlib.sha256(sound).hexdigest() != body["sha256"]:
                raise ValueError("the sound is not the one that was announced")
        except (httpx.HTTPError, ValueError, OSError):
            await self._reached(command, "failed")
            return
        await self._reached(command, "fetched")
        await self._reached(command, "started")
        await asyncio.sleep(body["seconds"] * self._pace)
        self.played.append(body["bulletin"])
        await self._reached(command, "finished", seconds=float(body["seconds"]))

    async def _reached(self, command: str, stage: str, *, seconds: float | None = None) -> None:
        """Acknowledge; without a connection it is remembered and told when the hub asks again."""
        with contextlib.suppress(aiomqtt.MqttError, ConnectionError):
            await self.acknowledge(command, stage, seconds=seconds)

    async def _end(self) -> None:
        tasks = [t for t in (self._life, *self._playing.values()) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._life, self._client = None, None
        self._playing.clear()
        self._online.clear()
        await self._line.close()


SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=Camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
)


class SimulatedCamera:
    """A camera as far as a probe sees it: an RTSP server on 127.0.0.1 that answers OPTIONS and DESCRIBE.

    With `username` and `password` it asks for digest authentication (MD5, qop auth), or basic with `basic`. `silent`,
    `refuse` and `without_video` are set to let it fail in three ways.
    """

    def __init__(self, *, username: str = "", password: str = "", path: str = "/live", basic: bool = False) -> None:
        self.username = username
        self.password = password
        self.path = path
        self.basic = basic
        self.port = 0
        self.silent = False
        self.refuse = False
        self.without_video = False
        self.described = 0
        self._nonce = secrets.token_hex(16)
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The address to register, with user name and password."""
        login = f"{self.username}:{self.password}@" if self.username else ""
        return f"rtsp://{login}127.0.0.1:{self.port}{self.path}"

    async def start(self) -> None:
        """Listen; after `stop` on the same port again."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go off the air."""
        if self._server is None:
            return
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                if self.silent:
                    await asyncio.Event().wait()
                writer.write(self._answer(head))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, head: list[str]) -> bytes:
        method, _, rest = head[0].partition(" ")
        uri = rest.rsplit(" ", 1)[0]
        headers = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:])}
        sequence = headers.get("cseq", "0")
        if method == "OPTIONS":
            return _reply(200, "OK", sequence, ["Public: OPTIONS, DESCRIBE"])
        if method != "DESCRIBE":
            return _reply(405, "Method Not Allowed", sequence)
        if self.refuse:
            return _reply(503, "Service Unavailable", sequence)
        if self.username and not self._signed_in(headers.get("authorization", ""), uri):
            digest = f'WWW-Authenticate: Digest realm="camera", nonce="{self._nonce}", qop="auth", algorithm=MD5'
            challenge = 'WWW-Authenticate: Basic realm="camera"' if self.basic else digest
            return _reply(401, "Unauthorized", sequence, [challenge])
        if not uri.endswith(self.path):
            return _reply(404, "Not Found", sequence)
        self.described += 1
        sdp = SDP.split("m=video", 1)[0] if self.without_video else SDP
        return _reply(200, "OK", sequence, ["Content-Type: application/sdp"], sdp)

    def _signed_in(self, given: str, uri: str) -> bool:
        if self.basic:
            login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return hmac.compare_digest(given, f"Basic {login}")
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', given.removeprefix("Digest ")))
        first = _md5(f"{self.username}:camera:{self.password}")
        second = _md5(f"DESCRIBE:{uri}")
        middle = f"{fields.get('nc')}:{fields.get('cnonce')}:{fields.get('qop')}"
        right = _md5(f"{first}:{self._nonce}:{middle}:{second}")
        return fields.get("nonce") == self._nonce and hmac.compare_digest(fields.get("response", ""), right)


def _md5(text: str) -> str:
    # The RTSP digest of cameras in the field is defined with MD5.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _reply(status: int, word: str, sequence: str, headers: list[str] | None = None, body: str = "") -> bytes:
    lines = [f"RTSP/1.0 {status} {word}", f"CSeq: {sequence}", *(headers or []), f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
