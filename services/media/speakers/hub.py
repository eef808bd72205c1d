"""Owns the conversation with the devices: the one MQTT connection, what comes in, what goes out, and who fell silent.

A message takes effect in one database transaction with its events, or not at all. What a device sends can be refused
and counted, never stop the hub; a database that is away is waited for with the message in hand.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import aiomqtt
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import metrics, telemetry
from chassis.db import Sessions, is_transient, now
from chassis.errors import DomainError
from services.media.bulletins import commands as bulletins
from services.media.bulletins import sound
from services.media.settings import Settings
from services.media.speakers import commands, queries, wire
from services.media.speakers.broker import parse_broker
from services.media.speakers.model import Loudspeaker, Outcome, State
from services.media.vault import Vault, VaultClosed

log = telemetry.logger(__name__)

_QUEUE = 20_000
_BATCH = 64
_BEHIND_MOST_SECONDS = 300.0
_WITHOUT_EFFECT = frozenset({"same", "stale"})
_LOG_EVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came; `retained` when the broker repeats it from memory."""

    topic: str
    payload: bytes
    retained: bool = False


@dataclass(frozen=True, slots=True)
class _Opened:
    arrival: Arrival
    address: wire.Address
    leaf: str
    body: dict[str, Any]


class _Client(aiomqtt.Client):
    """aiomqtt's client, made proof against topics that nobody may publish to.

    rumqttd lets a device publish to a topic with a wildcard or with broken UTF-8. aiomqtt raises on it inside paho's
    callback, which then meets the same packet for ever: one device would silence all. There is no public hook before
    that, so the callback itself is wrapped.
    """

    def _on_message(self, *arguments: Any, **named: Any) -> None:
        try:
            super()._on_message(*arguments, **named)
        except ValueError:
            metrics.DEVICE_MESSAGES.labels("media", "topic").inc()


class Hub:
    """The hub of one service. `run` is its life; `take` and the rest are single steps, so that tests can take them."""

    def __init__(self, sessions: Sessions, settings: Settings, vault: Vault) -> None:
        self._sessions = sessions
        self._settings = settings
        self._vault = vault
        self._broker = parse_broker(settings.mqtt)
        self._listening_since: datetime | None = None
        self._behind_since: float | None = None
        self._logged: dict[str, float] = {}

    async def run(self) -> None:
        """Keep the connection to the broker until cancelled, with growing pauses while it is away."""
        pause = 0.25
        while True:
            began = time.monotonic()
            try:
                await self._session()
            except (aiomqtt.MqttError, OSError) as error:
                log.warning("mqtt_away", error=type(error).__name__, host=self._broker.host, port=self._broker.port)
            finally:
                await self._note(connected=False)
            pause = 0.25 if time.monotonic() - began > 10 else min(pause * 2, self._settings.mqtt_backoff_seconds)
            # Replicas and services that lost the same broker must not all come back in the same instant.
            await asyncio.sleep(pause * (0.75 + secrets.randbelow(500) / 1000))

    async def _session(self) -> None:
        broker, settings = self._broker, self._settings
        client = _Client(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=f"{settings.mqtt_root}-hub-{secrets.token_hex(6)}",
            keepalive=settings.mqtt_keepalive_seconds,
            timeout=10,
            clean_session=True,
            max_queued_incoming_messages=_QUEUE,
            tls_context=ssl.create_default_context() if broker.tls else None,
        )
        async with client:
            await client.subscribe([(f"{settings.mqtt_root}/+/+/{leaf}", 1) for leaf in wire.UPWARD])
            self._listening_since, self._behind_since = now(), None
            await self._note(connected=True)
            log.info("mqtt_connected", host=broker.host, port=broker.port)
            await _until_one_ends(self._listen(client), self._dispatch(client), self._watch())

    async def _listen(self, client: aiomqtt.Client) -> None:
        messages = client.messages
        async for first in messages:
            batch = [first]
            # What has piled up shares a transaction: after a power cut a whole commune speaks at once.
            while len(messages) and len(batch) < _BATCH:
                batch.append(await anext(messages))
            self._behind_since = self._behind_since or time.monotonic()
            outcomes = await self.take_all(
                [Arrival(m.topic.value, bytes(m.payload or b""), retained=bool(m.retain)) for m in batch]
            )
            if not len(messages):
                self._behind_since = None
            for outcome in outcomes:
                metrics.DEVICE_MESSAGES.labels(self._settings.name, outcome).inc()

    async def take(self, topic: str, payload: bytes, *, retained: bool = False) -> str:
        """Let one message take effect; returns a fixed word for what came of it."""
        return (await self.take_all([Arrival(topic, payload, retained)]))[0]

    async def take_all(self, arrivals: Sequence[Arrival]) -> list[str]:
        """Let messages take effect in their order, in one transaction; returns a fixed word for each.

        A passing trouble of the database is waited out with the messages in hand. Where another error strikes, each
        message is tried by itself, so that only the one that causes it is left out.
        """
        pause = 0.1
        while True:
            try:
                async with self._sessions.begin() as tx:
                    return await self._take_all(tx, arrivals)
            except Exception as error:
                if is_transient(error):
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 5.0)
                elif len(arrivals) > 1:
                    return [(await self.take_all([arrival]))[0] for arrival in arrivals]
                else:
                    log.error("device_message_failed", error=type(error).__name__, exc_info=error)
                    return ["failed"]

    async def _take_all(self, tx: AsyncSession, arrivals: Sequence[Arrival]) -> list[str]:
        opened = [self._open(arrival) for arrival in arrivals]
        devices = {o.address.device for o in opened if isinstance(o, _Opened)}
        speakers = await queries.by_devices(tx, devices) if devices else {}
        villages: set[tuple[str, str]] = set()
        outcomes = []
        for one in opened:
            if isinstance(one, str):
                outcomes.append(one)
                continue
            speaker = speakers.get(one.address.device)
            try:
                # Whatever is refused is refused before anything is written.
                outcome = await self._take(tx, one, speaker)
            except wire.BadMessage as bad:
                outcome = self._refused(bad.reason)
            except DomainError as error:
                outcome = self._refused(error.code)
            except VaultClosed:
                outcome = self._refused("vault_closed")
            else:
                if speaker is not None and outcome not in _WITHOUT_EFFECT:
                    villages.add((speaker.unit, speaker.commune))
            outcomes.append(outcome)
        for unit, commune in sorted(villages):
            await commands.tell_audibility(tx, unit, commune)
        return outcomes

    def _open(self, arrival: Arrival) -> _Opened | str:
        """The message taken apart, or the word for why not."""
        try:
            address, leaf = wire.parse_topic(self._settings.mqtt_root, arrival.topic)
            body = wire.decode(arrival.payload, limit=self._settings.mqtt_max_message_bytes)
        except wire.BadMessage as bad:
            return self._refused(bad.reason)
        return _Opened(arrival, address, leaf, body)

    async def _take(self, tx: AsyncSession, one: _Opened, speaker: Loudspeaker | None) -> str:
        if speaker is None or speaker.commune != one.address.commune or not speaker.smart:
            raise wire.BadMessage("unknown_device")
        if speaker.sealed_secret is None:
            raise wire.BadMessage("retired")
        if self._settings.mqtt_signatures:
            secret = self._vault.open(speaker.sealed_secret, owner=speaker.device_id)
            wire.verify(secret, one.arrival.topic, one.body)
        heard = wire.read(one.leaf, one.body, retained=one.arrival.retained)
        at = now()
        if heard.ack is not None:
            if not one.arrival.retained:
                speaker.last_heartbeat_at = at
            verdict = await bulletins.acknowledge(
                tx, speaker, heard.ack.id, heard.ack.stage, seconds=heard.ack.seconds, at=at, device_at=heard.device_at
            )
            return "same" if verdict is None else f"acknowledged_{verdict.value}"
        if heard.report is None:
            raise wire.BadMessage("malformed")
        outcome = await commands.hear(tx, speaker, heard.report, received_at=at, device_at=heard.device_at)
        if outcome is Outcome.CHANGED and speaker.state is State.READY:
            await bulletins.hurry(tx, speaker.id, at)
        return outcome.value

    def _refused(self, reason: str) -> str:
        """Count and now and then log a refusal; a device gone wild must not fill the log."""
        if time.monotonic() - self._logged.get(reason, -_LOG_EVERY_SECONDS) >= _LOG_EVERY_SECONDS:
            self._logged[reason] = time.monotonic()
            log.warning("device_message_refused", reason=reason)
        return reason

    async def _dispatch(self, client: aiomqtt.Client) -> None:
        while True:
            try:
                for topic, message in await self.due():
                    await client.publish(topic, message, qos=1, retain=False)
            except aiomqtt.MqttError:
                raise
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("database_away", error=type(error).__name__)
            await asyncio.sleep(self._settings.dispatch_seconds)

    async def due(self) -> list[tuple[str, bytes]]:
        """Topics and signed messages of the commands to send now; each is planned again until it is confirmed."""
        settings = self._settings
        async with self._sessions.begin() as tx:
            waiting = await bulletins.take_due(tx, at=now(), resend=settings.resend_seconds)
        messages = []
        for command in waiting:
            topic = wire.Address(settings.mqtt_root, command.commune, command.device).topic("command")
            try:
                secret = self._vault.open(command.sealed_secret, owner=command.device)
            except VaultClosed:
                # One device whose secret cannot be read must not keep the others from their commands.
                log.error("vault_closed", device=command.device)
                continue
            if command.cancel:
                body = wire.cancel_command(command.delivery, command.bulletin)
            else:
                body = wire.play_command(
                    command.delivery, command.bulletin, sound=self._sound(command), expires_at=command.expires_at
                )
            messages.append((topic, wire.signed(secret, topic, body)))
        return messages

    def _sound(self, command: bulletins.Command) -> wire.Sound:
        settings = self._settings
        ticket = sound.ticket(settings.secret.get_secret_value(), command.delivery)
        url = f"{settings.public_url}/{settings.name}/api/v1/deliveries/{command.delivery}/sound?ticket={ticket}"
        return wire.Sound(url, sound.digest(command.seconds), command.seconds)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._settings.watchdog_seconds)
            try:
                await self.look()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("database_away", error=type(error).__name__)

    async def look(self, at: datetime | None = None) -> int:
        """Declare lost who has been silent too long at `at` (default: now); returns how many."""
        settings, moment = self._settings, at or now()
        if self._listening_since is None:
            return 0
        # Heartbeats that wait in our own queue are no silence of the devices; a flood may hide one for a while only.
        behind = time.monotonic() - self._behind_since if self._behind_since is not None else 0.0
        before = commands.deadline(settings.heartbeat_seconds, settings.heartbeat_factor, moment)
        before -= timedelta(seconds=min(behind, _BEHIND_MOST_SECONDS))
        async with self._sessions.begin() as tx:
            count = await commands.silence(tx, before=before, at=moment, listening_since=self._listening_since)
        async with self._sessions.read() as tx:
            for state, devices in (await queries.states(tx)).items():
                metrics.DEVICES.labels(settings.name, "loudspeaker", state).set(devices)
        return count

    async def _note(self, *, connected: bool) -> None:
        """Tell the pages whether states are live; without a database there is nobody to tell."""
        metrics.HUB_CONNECTED.labels(self._settings.name).set(int(connected))
        try:
            async with self._sessions.begin() as tx:
                await commands.note_hub(tx, connected=connected)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("database_away", error=type(error).__name__)


async def _until_one_ends(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts side by side; as soon as one ends the others are cancelled and its exception goes on."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
