"""Owns the loudspeakers of the village: registered by the officer, brought up over MQTT, proven by a test bulletin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from launcher.addresses import Addresses, Login
from launcher.devices import SimulatedLoudspeaker
from launcher.scenario.talk import ScenarioFailed, Visitor, until

CLUSTERS = ("Xóm Đình", "Xóm Giữa", "Xóm Bãi")
SPEAKERS = {"Loa nhà văn hóa": (0, 1), "Loa cổng Xóm Bãi": (2,)}
"""The loudspeakers and the residential clusters each covers, as positions in CLUSTERS."""

API = "/media/api/v1"


@dataclass(frozen=True)
class Registered:
    """A registered loudspeaker and what was typed into the device."""

    id: str
    name: str
    topic: str
    secret: str
    heartbeat_seconds: float


async def enter_clusters(officer: Visitor, unit: str) -> list[str]:
    """The ids of the village's residential clusters, entered where they are not there yet."""
    there = {cluster["name"]: cluster for cluster in await officer.all(f"{API}/clusters", unit=unit)}
    made = [there.get(name) or await officer.post(f"{API}/clusters", {"unit": unit, "name": name}) for name in CLUSTERS]
    return [str(cluster["id"]) for cluster in made]


async def register(officer: Visitor, unit: str) -> list[Registered]:
    """Register the loudspeakers; one that is there already gets a new secret, for the old one was shown only once."""
    clusters = await enter_clusters(officer, unit)
    there = {speaker["name"]: speaker for speaker in await officer.all(f"{API}/loudspeakers", unit=unit)}
    made = []
    for name, covered in SPEAKERS.items():
        if name in there:
            answer = await officer.post(f"{API}/loudspeakers/{there[name]['id']}/secret")
        else:
            body = {"unit": unit, "name": name, "smart": True, "clusters": [clusters[n] for n in covered]}
            answer = await officer.post(f"{API}/loudspeakers", body)
        made.append(_registered(answer))
    return made


def _registered(answer: dict[str, Any]) -> Registered:
    speaker, device = answer["loudspeaker"], answer["device"]
    return Registered(speaker["id"], speaker["name"], device["topic"], device["secret"], device["heartbeat_seconds"])


def device(addresses: Addresses, login: Login, known: Registered, pace: float) -> SimulatedLoudspeaker:
    """The device itself, not started yet; `pace` 0 plays at once, 1 in real time."""
    host, _, port = addresses.mqtt.rpartition(":")
    return SimulatedLoudspeaker(
        host,
        int(port),
        known.topic,
        known.secret,
        heartbeat_seconds=known.heartbeat_seconds / 3,
        pace=pace,
        username=login["user"],
        password=login["password"],
    )


async def test_bulletin(officer: Visitor, unit: str, speakers: Sequence[Registered]) -> None:
    """Let these loudspeakers play the test tone; returns once each has acknowledged that it played to the end."""
    await _nothing_under_way(officer, unit)
    body = {"unit": unit, "loudspeakers": [speaker.id for speaker in speakers]}
    sent = await officer.post(f"{API}/bulletins", body)
    last: dict[str, Any] = {}

    async def look() -> bool | None:
        last.update(await officer.get(f"{API}/bulletins/{sent['id']}"))
        if last["progress"] not in ("under_way", "finished"):
            raise ScenarioFailed(f"the test bulletin is {last['progress']}")
        return True if last["finished"] == len(speakers) else None

    await until(look, lambda: f"{last['finished']} of {len(speakers)} loudspeakers acknowledged the test bulletin")


async def _nothing_under_way(officer: Visitor, unit: str) -> None:
    """Cancel a bulletin that a demonstration broken off before has left; a village tests one at a time."""
    for bulletin in await officer.all(f"{API}/bulletins", unit=unit):
        if bulletin["progress"] == "under_way":
            await officer.post(f"{API}/bulletins/{bulletin['id']}/cancel")
