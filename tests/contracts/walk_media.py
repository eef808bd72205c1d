"""Owns the cases of media in the walk, and its routes that are open to everybody, each with its reason."""

from __future__ import annotations

import uuid
from datetime import timedelta

import sqlalchemy as sa

from chassis.db import new_id, now
from services.media.vault import vault_for
from services.media.watching.model import Alert, Kind
from tests.contracts.walk import A_VILLAGE, DEAD_LETTERS, OWNERS, A, Case, Made, Stage

API = "/api/v1"
CODE = A_VILLAGE.code
OFFICER = OWNERS["officer"]


def name() -> str:
    return f"Cụm {uuid.uuid4()}"


async def village(_stage: Stage) -> Made:
    return {"code": CODE, "name": name()}


async def cluster(stage: Stage) -> Made:
    made = await stage.do("officer", "POST", f"{API}/clusters", {"unit": CODE, "name": name()})
    return {"cluster_id": made["id"], "name": made["name"]}


async def speaker(stage: Stage) -> Made:
    made = await cluster(stage)
    body = {"unit": CODE, "name": name(), "smart": True, "clusters": []}
    registered = await stage.do("officer", "POST", f"{API}/loudspeakers", body)
    return {**made, "speaker_id": registered["loudspeaker"]["id"], "speaker": registered["loudspeaker"]["name"]}


async def bulletin(stage: Stage) -> Made:
    made = await speaker(stage)
    sent = await stage.do("officer", "POST", f"{API}/bulletins", {"unit": CODE, "loudspeakers": [made["speaker_id"]]})
    return {**made, "bulletin_id": sent["id"]}


async def cancelled(stage: Stage) -> Made:
    """A village in which no bulletin is under way, so that another can be sent."""
    made = {**await speaker(stage), "code": CODE}
    for sent in (await stage.do("officer", "GET", f"{API}/bulletins", params={"unit": CODE, "limit": 200}))["items"]:
        if sent["cancelled_at"] is None and sent["progress"] not in ("done", "finished", "expired"):
            await stage.ask(OFFICER, "POST", f"{API}/bulletins/{sent['id']}/cancel")
    return made


async def fresh_bulletin(stage: Stage) -> Made:
    await cancelled(stage)
    return await bulletin(stage)


async def delivery(stage: Stage) -> Made:
    made = await fresh_bulletin(stage)
    async with stage.running.tx() as tx:
        found = await tx.scalar(
            sa.text("SELECT id FROM delivery WHERE bulletin_id = :id"), {"id": uuid.UUID(made["bulletin_id"])}
        )
    return {**made, "delivery_id": str(found)}


async def camera(stage: Stage) -> Made:
    body = {"unit": CODE, "name": name(), "place": "main_road", "url": "rtsp://127.0.0.1:8554/one"}
    made = await stage.do("officer", "POST", f"{API}/cameras", body)
    return {"camera_id": made["id"], "name": made["name"]}


async def frozen(stage: Stage) -> Made:
    return {**await camera(stage), "kind": "frozen"}


async def rule(stage: Stage) -> Made:
    made = await camera(stage)
    path = f"{API}/cameras/{made['camera_id']}/rules"
    return {**made, "rule_id": (await stage.do("officer", "POST", path, {"kind": "frozen"}))["id"]}


async def alert(stage: Stage) -> Made:
    """An alert with a picture, as a look at the camera leaves it."""
    made = await rule(stage)
    vault = vault_for(stage.running.runner.runtime.settings.secret.get_secret_value())
    async with stage.running.tx() as tx:
        row = Alert(camera_id=uuid.UUID(made["camera_id"]), rule_id=uuid.UUID(made["rule_id"]), kind=Kind.FROZEN)
        row.id, row.unit, row.path, row.created_at, row.has_snapshot = new_id(), CODE, A_VILLAGE.path, now(), True
        row.snapshot = vault.seal_bytes(b"\xff\xd8\xff\xd9", owner=str(row.id))
        tx.add(row)
    return {**made, "alert_id": str(row.id)}


async def notice(stage: Stage) -> Made:
    """One that waits for its time: nobody but staff knows of it."""
    body = {"unit": CODE, "topic": "general", "title": name(), "text": "Họp", "publish_at": f"{now() + DAY:%FT%TZ}"}
    made = await stage.do("officer", "POST", f"{API}/notices", body)
    return {"notice_id": made["id"], "title": made["title"]}


async def waste_rule(stage: Stage) -> Made:
    body = {"unit": CODE, "kind": "household", "weekdays": [1], "at": "06:00"}
    made = await stage.do("officer", "POST", f"{API}/waste-rules", body)
    return {"rule_id": made["id"], "code": CODE}


DAY = timedelta(days=1)
NOTICE = {"topic": "general", "title": "Họp thôn", "text": "Mời bà con."}
RULE = {"kind": "bulky", "at": "06:00"}
OPEN = {
    "GET /push-worker.js": "the program that shows notices on phones",
    "GET /notices": "what a village was told is public, and nothing else is shown there",
    "GET /notices/feed.atom": "the same for feed readers",
    f"POST {API}/subscriptions": "phones of residents need no account; a phone speaks for itself",
    f"POST {API}/subscriptions/mine": "the address of a phone is the key: whoever knows it is the phone",
    f"POST {API}/subscriptions/end": "as above",
    f"POST {API}/receipts": "the ticket travels encrypted: whoever has it is the phone it was sent to",
    "GET /": "how far the loudspeakers of each village reach is public; devices are shown to staff only (case below)",
}
IN_A = {"unit": A.code}

CASES = (
    *DEAD_LETTERS,
    Case(f"GET {API}/villages", query=IN_A),
    Case(f"GET {API}/clusters", query=IN_A),
    Case(f"POST {API}/clusters", json={"unit": CODE, "name": name()}),
    Case(f"POST {API}/clusters/{{cluster_id}}/retire", arrange=cluster),
    Case(f"GET {API}/loudspeakers", arrange=speaker, query=IN_A),
    Case(f"POST {API}/loudspeakers", json={"unit": CODE, "name": name()}),
    Case(f"GET {API}/loudspeakers/{{speaker_id}}", arrange=speaker),
    Case(f"GET {API}/loudspeakers/{{speaker_id}}/intervals", arrange=speaker),
    Case(f"PUT {API}/loudspeakers/{{speaker_id}}/clusters", arrange=speaker, json={"clusters": ["{cluster_id}"]}),
    Case(f"POST {API}/loudspeakers/{{speaker_id}}/secret", arrange=speaker),
    Case(f"POST {API}/loudspeakers/{{speaker_id}}/retire", arrange=speaker),
    Case(f"GET {API}/bulletins", query=IN_A),
    Case(f"POST {API}/bulletins", arrange=cancelled, json={"unit": CODE, "loudspeakers": ["{speaker_id}"]}),
    Case(f"GET {API}/bulletins/{{bulletin_id}}", arrange=fresh_bulletin),
    Case(f"POST {API}/bulletins/{{bulletin_id}}/cancel", arrange=fresh_bulletin),
    # The ticket in a device's command is the only key to it, so nobody of commune A has more right than others.
    Case(f"GET {API}/deliveries/{{delivery_id}}/sound", arrange=delivery, query={"ticket": "0" * 32}, streams=True),
    Case(f"GET {API}/cameras", arrange=camera, query=IN_A),
    Case(
        f"POST {API}/cameras",
        json={"unit": CODE, "name": name(), "place": "main_road", "url": "rtsp://127.0.0.1:8554/two"},
    ),
    Case(f"GET {API}/cameras/{{camera_id}}", arrange=camera),
    Case(f"GET {API}/cameras/{{camera_id}}/intervals", arrange=camera),
    Case(f"POST {API}/cameras/{{camera_id}}/maintenance", arrange=camera, json={"on": True}),
    Case(f"POST {API}/cameras/{{camera_id}}/probe", arrange=camera),
    Case(f"POST {API}/cameras/{{camera_id}}/retire", arrange=camera),
    Case(f"GET {API}/cameras/{{camera_id}}/watch", arrange=rule),
    Case(f"POST {API}/cameras/{{camera_id}}/rules", arrange=camera, json={"kind": "covered", "checks": 2}),
    Case(f"PUT {API}/camera-rules/{{rule_id}}", arrange=rule, json={"checks": 5}),
    Case(f"POST {API}/camera-rules/{{rule_id}}/pause", arrange=rule, json={"on": True}),
    Case(f"POST {API}/camera-rules/{{rule_id}}/remove", arrange=rule),
    Case(f"GET {API}/camera-alerts", arrange=alert, query=IN_A),
    Case(f"GET {API}/camera-alerts/{{alert_id}}", arrange=alert),
    Case(f"GET {API}/camera-alerts/{{alert_id}}/snapshot", arrange=alert),
    Case(f"POST {API}/camera-alerts/{{alert_id}}/verdict", arrange=alert, json={"verdict": "confirmed"}),
    Case(f"GET {API}/changes", query=IN_A, streams=True),
    Case(f"GET {API}/notices", arrange=notice, query=IN_A),
    Case(f"POST {API}/notices", json={"unit": CODE, **NOTICE}),
    Case(f"GET {API}/notices/{{notice_id}}", arrange=notice),
    Case(f"POST {API}/notices/{{notice_id}}/withdraw", arrange=notice),
    Case(f"GET {API}/waste-rules", arrange=waste_rule, query=IN_A),
    Case(f"POST {API}/waste-rules", json={"unit": CODE, "weekdays": [2], **RULE}),
    Case(f"POST {API}/waste-rules/{{rule_id}}/end", arrange=waste_rule),
    Case("GET /notices/desk", arrange=notice, query=IN_A),
    Case("GET /notices/new", query=IN_A),
    Case("POST /notices/new", query=IN_A, form=NOTICE),
    Case("GET /notices/{notice_id}", arrange=notice),
    Case("GET /notices/{notice_id}/withdraw", arrange=notice),
    Case("POST /notices/{notice_id}/withdraw", arrange=notice),
    Case("GET /villages/{code}/waste", arrange=waste_rule),
    Case("POST /villages/{code}/waste", arrange=waste_rule, form={"weekdays": "3", **RULE}),
    Case("GET /waste-rules/{rule_id}/end", arrange=waste_rule),
    Case("POST /waste-rules/{rule_id}/end", arrange=waste_rule),
    Case("GET /villages/{code}", arrange=village),
    Case("GET /loudspeakers.csv", arrange=speaker, query=IN_A),
    Case("GET /cameras.csv", arrange=camera, query=IN_A),
    Case("POST /villages/{code}/clusters", arrange=village, form={"name": "{name}"}),
    Case("GET /clusters/{cluster_id}/retire", arrange=cluster),
    Case("POST /clusters/{cluster_id}/retire", arrange=cluster),
    Case("GET /villages/{code}/loudspeakers/new", arrange=village),
    Case("POST /villages/{code}/loudspeakers/new", arrange=village, form={"name": "{name}", "smart": "1"}),
    Case("GET /loudspeakers/{speaker_id}", arrange=speaker),
    Case("POST /loudspeakers/{speaker_id}/clusters", arrange=speaker, form={"clusters": "{cluster_id}"}),
    Case("GET /loudspeakers/{speaker_id}/secret", arrange=speaker),
    Case("POST /loudspeakers/{speaker_id}/secret", arrange=speaker),
    Case("GET /loudspeakers/{speaker_id}/retire", arrange=speaker),
    Case("POST /loudspeakers/{speaker_id}/retire", arrange=speaker),
    Case("GET /villages/{code}/test", arrange=cancelled),
    Case("POST /villages/{code}/test", arrange=cancelled),
    Case("GET /bulletins", query=IN_A),
    Case("GET /bulletins/{bulletin_id}", arrange=fresh_bulletin),
    Case("POST /bulletins/{bulletin_id}/cancel", arrange=fresh_bulletin),
    Case("GET /villages/{code}/cameras/new", arrange=village),
    Case(
        "POST /villages/{code}/cameras/new",
        arrange=village,
        form={"name": "{name}", "place": "main_road", "url": "rtsp://127.0.0.1:8554/three"},
    ),
    Case("GET /cameras/{camera_id}", arrange=camera),
    Case("POST /cameras/{camera_id}/probe", arrange=camera),
    Case("POST /cameras/{camera_id}/maintenance", arrange=camera, form={"on": "1"}),
    Case("GET /cameras/{camera_id}/watch", arrange=rule),
    Case("GET /cameras/{camera_id}/rules/{kind}/new", arrange=frozen),
    Case("POST /cameras/{camera_id}/rules/{kind}/new", arrange=frozen, form={"checks": "3"}),
    Case("GET /camera-rules/{rule_id}", arrange=rule),
    Case("POST /camera-rules/{rule_id}", arrange=rule, form={"checks": "4"}),
    Case("POST /camera-rules/{rule_id}/pause", arrange=rule, form={"on": "1"}),
    Case("GET /camera-rules/{rule_id}/remove", arrange=rule),
    Case("POST /camera-rules/{rule_id}/remove", arrange=rule),
    Case("GET /camera-alerts", arrange=alert, query=IN_A),
    Case("GET /camera-alerts/{alert_id}", arrange=alert),
    Case("GET /camera-alerts/{alert_id}/snapshot", arrange=alert),
    Case("POST /camera-alerts/{alert_id}/verdict", arrange=alert, form={"verdict": "false_alarm"}),
    Case("GET /cameras/{camera_id}/retire", arrange=camera),
    Case("POST /cameras/{camera_id}/retire", arrange=camera),
)
