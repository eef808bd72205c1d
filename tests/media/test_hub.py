"""The hub with real devices on a real broker: states, losses, proofs, and what must not count."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.message import Message

from launcher.devices import sign
from launcher.mqtt import EmbeddedMqtt
from services.media.bulletins.model import Bulletin, Delivery
from tests.media.conftest import (
    COMMUNE,
    OTHER_COMMUNE,
    Media,
    kinds,
)
from tests.media.devices import DEADLINE, becomes, device, place, settled, state
from tests.support.waiting import eventually


async def test_a_village_is_in_earshot_once_its_loudspeakers_proved_themselves(hub: Media, mqtt: EmbeddedMqtt) -> None:
    unit = await place(hub)
    first, second, third = [await hub.cluster(f"Xóm {n}", unit) for n in ("Đông", "Tây", "Bắc")]
    a = await hub.speaker("Loa đình", first, second, unit=unit)
    b = await hub.speaker("Loa chợ", third, unit=unit)
    async with device(hub, mqtt, a) as one, device(hub, mqtt, b):
        await becomes(hub, a, "ready")
        await becomes(hub, b, "ready")
        sent = await hub.post("/bulletins", {"unit": unit})
        assert sent.status_code == 201, sent.text
        assert sent.json()["targets"] == 2

        async def finished() -> dict[str, Any] | None:
            now = (await hub.get(f"/bulletins/{sent.json()['id']}")).json()
            assert now["progress"] == "finished", now
            return dict(now)

        proof = await eventually(finished, DEADLINE)
        assert one.played == [sent.json()["id"]]
        assert proof is not None
        for each in proof["proofs"]:
            assert [s["stage"] for s in each["stages"]] == ["received", "fetched", "started", "finished"]
            assert {s["verdict"] for s in each["stages"]} == {"counted"}
    audible = [(e.clusters, e.clusters_in_earshot) for e in await hub.events(unit)]  # type: ignore[attr-defined]  # VillageAudibilityChanged.
    assert audible[:3] == [(1, 0), (2, 0), (3, 0)]
    assert (3, 3) in audible
    events = await hub.events(a["loudspeaker"]["id"])
    assert kinds(events)[:2] == ["LoudspeakerRegistered", "LoudspeakerStateChanged"]
    assert "BulletinAcknowledged" in kinds(events)
    await becomes(hub, a, "disconnected")
    assert [(e.clusters, e.clusters_in_earshot) for e in await hub.events(unit)][-1] == (3, 0)  # type: ignore[attr-defined]  # as above.


async def test_a_cut_device_is_lost_by_its_will_and_comes_back(hub: Media, mqtt: EmbeddedMqtt) -> None:
    a = await hub.speaker("Loa", unit=await place(hub))
    async with device(hub, mqtt, a) as one:
        await becomes(hub, a, "ready")
        await one.cut()
        await becomes(hub, a, "lost")
        await one.reconnect()
        await becomes(hub, a, "ready")


async def test_a_frozen_device_is_lost_by_its_silence(hub: Media, mqtt: EmbeddedMqtt) -> None:
    a = await hub.speaker("Loa", unit=await place(hub))
    async with device(hub, mqtt, a, keepalive=60) as one:
        await becomes(hub, a, "ready")
        one.freeze()
        await becomes(hub, a, "lost")
        await one.reconnect()
        await becomes(hub, a, "ready")


async def test_stale_forged_and_broken_messages_do_not_count(hub: Media, mqtt: EmbeddedMqtt) -> None:
    unit = await place(hub)
    a, b = [await hub.speaker(name, unit=unit) for name in ("Loa a", "Loa b")]
    async with device(hub, mqtt, a) as one:
        await becomes(hub, a, "ready")
        before = states_told(await hub.events(a["loudspeaker"]["id"]))
        state_topic = f"{one.topic}/$state"
        stale = sign(one.secret, state_topic, {"state": "lost", "birth": one.birth - 1})
        forged = sign("another secret", state_topic, {"state": "lost", "birth": one.birth})
        unsigned = json.dumps({"state": "lost", "birth": one.birth}).encode()
        # b's secret opens only b's topics, a message of b is worth nothing below a's topic.
        of_b = sign(b["device"]["secret"], state_topic, {"state": "lost", "birth": one.birth})
        moved = sign(one.secret, f"{b['device']['topic']}/$state", {"state": "lost", "birth": one.birth})
        broken = [b"", b"{", b"[]", b"null", b"\xff\xfe", b"x" * 5000, b'{"birth":NaN}', b"[" * 3000]
        odd: list[dict[str, Any]] = [
            {"state": "dead", "birth": one.birth},
            {"state": "lost", "birth": -1},
            {"state": "lost", "birth": True},
            {"state": "lost", "birth": 2**70},
            {"state": "lost", "birth": 1.5},
            {"state": "lost", "birth": str(one.birth)},
            {"state": "lost"},
            {"state": "lost", "birth": one.birth, "at": "yesterday"},
        ]
        for payload in (stale, forged, unsigned, of_b, moved, *broken):
            await one.raw("$state", payload)
        for body in odd:
            await one.raw("$state", sign(one.secret, state_topic, body))
        for leaf in ("birth", "heartbeat", "ack"):
            await one.raw(leaf, b"\x00")
        await settled(hub, one)
        assert (await state(hub, a))["state"] == "ready"
        told = states_told(await hub.events(a["loudspeaker"]["id"]))
        assert told == [*before, "sleeping", "ready"], "the two of settled() and nothing else"


def states_told(events: list[Message]) -> list[str]:
    return [e.loudspeaker.state for e in events]  # type: ignore[attr-defined]  # all are about a loudspeaker.


async def test_a_device_speaks_only_below_its_own_commune(hub: Media, mqtt: EmbeddedMqtt) -> None:
    a = await hub.speaker("Loa", unit=await place(hub))
    topic = a["device"]["topic"].replace(COMMUNE.code, OTHER_COMMUNE.code)
    async with device(hub, mqtt, {"device": {**a["device"], "topic": topic}}) as stranger:
        await stranger.beat()
        unknown = f"{topic.rsplit('/', 1)[0]}/loa-aaaaaaaaaaaa"
        async with device(hub, mqtt, {"device": {**a["device"], "topic": unknown}}), device(hub, mqtt, a):
            await becomes(hub, a, "ready")
    assert kinds(await hub.events(a["loudspeaker"]["id"])).count("LoudspeakerRegistered") == 1
    await becomes(hub, a, "disconnected")


async def test_acknowledgements_count_once_in_time_and_from_their_own_device(hub: Media, mqtt: EmbeddedMqtt) -> None:
    unit = await place(hub)
    a, b = [await hub.speaker(name, unit=unit) for name in ("Loa a", "Loa b")]

    async def proofs(bulletin: str) -> dict[str, dict[str, str]]:
        found = (await hub.get(f"/bulletins/{bulletin}")).json()["proofs"]
        return {p["name"]: {s["stage"]: s["verdict"] for s in p["stages"]} for p in found}

    async with device(hub, mqtt, a) as one, device(hub, mqtt, b, pace=1000.0) as two:
        await becomes(hub, a, "ready")
        await becomes(hub, b, "ready")
        sent = (await hub.post("/bulletins", {"unit": unit})).json()["id"]

        async def played() -> bool:
            return (await proofs(sent))["Loa a"].get("finished") == "counted"

        await eventually(played, DEADLINE)
        own, foreign = [await delivery(hub, sent, s["loudspeaker"]["id"]) for s in (a, b)]
        await one.acknowledge(own, "finished", seconds=10.0)
        await one.acknowledge(own, "finished", seconds=10.0)
        await one.acknowledge(foreign, "finished", seconds=10.0)
        await one.acknowledge(str(uuid.uuid4()), "finished", seconds=10.0)
        await one.say("ack", {"id": own, "stage": "sung"})
        await one.say("ack", {"id": own, "stage": "finished", "seconds": 1e300})
        await settled(hub, one)
        assert kinds(await hub.events(a["loudspeaker"]["id"])).count("BulletinAcknowledged") == 1
        assert "finished" not in (await proofs(sent))["Loa b"]
        await two.acknowledge(foreign, "failed")
        await settled(hub, two)
        short = (await hub.post("/bulletins", {"unit": unit, "loudspeakers": [b["loudspeaker"]["id"]]})).json()["id"]
        ours = await delivery(hub, short, b["loudspeaker"]["id"])
        await two.acknowledge(ours, "finished", seconds=3.0)
        await settled(hub, two)
        assert (await proofs(short))["Loa b"]["finished"] == "short"
        assert "BulletinAcknowledged" not in kinds(await hub.events(b["loudspeaker"]["id"]))


async def delivery(hub: Media, bulletin: str, speaker: str) -> str:
    async with hub.running.tx() as tx:
        query = sa.select(Delivery.id).where(
            Delivery.bulletin_id == uuid.UUID(bulletin), Delivery.loudspeaker_id == uuid.UUID(speaker)
        )
        return str((await tx.scalars(query)).one())


async def test_cancelled_and_expired_bulletins_prove_nothing(hub: Media, mqtt: EmbeddedMqtt) -> None:
    unit = await place(hub)
    a = await hub.speaker("Loa", unit=unit)
    speaker = a["loudspeaker"]["id"]
    async with device(hub, mqtt, a, pace=1000.0) as one:
        await becomes(hub, a, "ready")
        cancelled = (await hub.post("/bulletins", {"unit": unit})).json()["id"]

        async def started() -> bool:
            return "started" in (await hub.get(f"/bulletins/{cancelled}")).text

        await eventually(started, DEADLINE)
        assert (await hub.post(f"/bulletins/{cancelled}/cancel")).json()["progress"] == "cancelled"
        assert (await hub.post(f"/bulletins/{cancelled}/cancel")).status_code == 409
        await one.acknowledge(await delivery(hub, cancelled, speaker), "finished", seconds=10.0)
        expired = (await hub.post("/bulletins", {"unit": unit})).json()["id"]
        command = await delivery(hub, expired, speaker)
        async with hub.running.tx() as tx:
            past = sa.update(Bulletin).where(Bulletin.id == uuid.UUID(expired)).values(expires_at=sa.func.now())
            await tx.execute(past)
        await one.acknowledge(command, "finished", seconds=10.0)
        await settled(hub, one)
        for bulletin, verdict in ((cancelled, "cancelled"), (expired, "late")):
            shown = (await hub.get(f"/bulletins/{bulletin}")).json()
            assert (shown["progress"], shown["finished"]) == (("cancelled" if verdict == "cancelled" else "expired"), 0)
            assert [s["verdict"] for s in shown["proofs"][0]["stages"] if s["stage"] == "finished"] == [verdict]
        assert "BulletinAcknowledged" not in kinds(await hub.events(speaker))
        assert one.played == []


async def test_a_loudspeaker_that_comes_back_in_time_still_plays(hub: Media, mqtt: EmbeddedMqtt) -> None:
    unit = await place(hub)
    a = await hub.speaker("Loa", unit=unit)
    sent = (await hub.post("/bulletins", {"unit": unit})).json()["id"]
    async with device(hub, mqtt, a) as one:

        async def finished() -> bool:
            return (await hub.get(f"/bulletins/{sent}")).json()["progress"] == "finished"

        await eventually(finished, DEADLINE)
        assert one.played == [sent]


async def test_a_wrong_clock_is_noticed_and_decides_nothing(hub: Media, mqtt: EmbeddedMqtt) -> None:
    unit = await place(hub)
    a = await hub.speaker("Loa", unit=unit)
    async with device(hub, mqtt, a, clock_ahead=-86_400 * 400):
        await becomes(hub, a, "ready")
        sent = (await hub.post("/bulletins", {"unit": unit})).json()["id"]

        async def finished() -> bool:
            return (await hub.get(f"/bulletins/{sent}")).json()["progress"] == "finished"

        await eventually(finished, DEADLINE)
        assert (await state(hub, a))["clock_skew_seconds"] == pytest.approx(-86_400 * 400, abs=5)


async def test_a_retired_device_is_not_heard_any_more(hub: Media, mqtt: EmbeddedMqtt) -> None:
    unit = await place(hub)
    a, b = [await hub.speaker(name, unit=unit) for name in ("Loa a", "Loa b")]
    async with device(hub, mqtt, a) as one, device(hub, mqtt, b) as two:
        await becomes(hub, a, "ready")
        await becomes(hub, b, "ready")
        assert (await hub.post(f"/loudspeakers/{a['loudspeaker']['id']}/retire")).status_code == 200
        await one.sleep()
        await settled(hub, two)
        assert (await state(hub, a))["state"] == "ready"
        assert kinds(await hub.events(a["loudspeaker"]["id"]))[-1] == "LoudspeakerRetired"


async def test_a_replaced_secret_opens_nothing(hub: Media, mqtt: EmbeddedMqtt) -> None:
    unit = await place(hub)
    a, b = [await hub.speaker(name, unit=unit) for name in ("Loa a", "Loa b")]
    renewed = (await hub.post(f"/loudspeakers/{a['loudspeaker']['id']}/secret")).json()
    async with device(hub, mqtt, a) as old, device(hub, mqtt, b) as two:
        await old.beat()
        await becomes(hub, b, "ready")
        await settled(hub, two)
        assert (await state(hub, a))["state"] == "unknown"
    async with device(hub, mqtt, renewed):
        await becomes(hub, a, "ready")
