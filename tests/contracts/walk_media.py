"""Owns the cases of media in the walk, and its routes that are open to everybody, each with its reason."""

from __future__ import annotations

import uuid

import sqlalchemy as sa

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


OPEN = {
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
    Case(f"GET {API}/changes", query=IN_A, streams=True),
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
    Case("GET /cameras/{camera_id}/retire", arrange=camera),
    Case("POST /cameras/{camera_id}/retire", arrange=camera),
)
