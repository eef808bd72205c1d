"""Cameras end to end: registered, probed, offline with hysteresis, in maintenance, retired; uptime and events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.db import audit_table, idempotency_table, now, outbox_table
from launcher.devices import SimulatedCamera
from services.media.cameras import commands, queries
from services.media.cameras.model import Camera, CameraInterval, CameraState
from services.media.cameras.prober import Prober
from services.media.vault import Vault, VaultClosed, vault_for
from tests.media.conftest import FOREIGN, FOREIGN_OFFICER, HEAD, NGHIA_DUNG, PARTNER, RESIDENT, Media, kinds


async def register(media: Media, name: str, url: str, **changed: Any) -> dict[str, Any]:
    body = {"unit": NGHIA_DUNG.code, "name": name, "place": "public_place", "url": url, **changed}
    answer = await media.post("/cameras", body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def prober(media: Media) -> Prober:
    return Prober(
        media.running.runner.runtime.sessions, media.settings, vault_for(media.settings.secret.get_secret_value())
    )


async def probe_now(media: Media, camera: str) -> dict[str, Any]:
    assert (await media.post(f"/cameras/{camera}/probe")).status_code == 202
    worker = prober(media)
    assert await worker.round() >= 1
    await worker.settle()
    return dict((await media.get(f"/cameras/{camera}")).json())


async def test_a_camera_goes_on_and_off_the_air(media: Media, unique: str) -> None:
    async with SimulatedCamera(username="admin", password=f"bi-mat-{unique}") as device:
        camera = await register(media, f"Cổng {unique}", device.url)
        assert (camera["state"], camera["in_hub"]) == ("unknown", False)
        seen = await probe_now(media, camera["id"])
        assert (seen["state"], seen["in_hub"], seen["last_result"]) == ("online", True, "ok")
        device.refuse = True
        assert (await probe_now(media, camera["id"]))["state"] == "online", "one failure is not enough"
        assert (await probe_now(media, camera["id"]))["state"] == "offline"
        device.refuse = False
        assert (await probe_now(media, camera["id"]))["state"] == "online"
    events = await media.events(camera["id"])
    assert kinds(events) == ["CameraRegistered", *["CameraStateChanged"] * 3]
    assert [e.camera.state for e in events] == ["unknown", "online", "offline", "online"]  # type: ignore[attr-defined]  # camera events.
    stretches = (await media.get(f"/cameras/{camera['id']}/intervals")).json()
    assert [s["state"] for s in stretches] == ["online", "offline", "online", "unknown"]
    assert stretches[0]["until"] is None
    assert [s["since"] for s in stretches[:-1]] == [s["until"] for s in stretches[1:]]


async def test_the_password_is_nowhere_to_be_read(media: Media, unique: str) -> None:
    secret = f"bi-mat-{unique}"
    camera = await register(media, f"Cổng {unique}", f"rtsp://admin:{secret}@10.0.0.7/live?key={secret}")
    assert secret not in (await media.get(f"/cameras/{camera['id']}")).text
    async with media.running.tx() as tx:
        row = await tx.get_one(Camera, camera["id"])
        assert row.sealed_url is not None
        assert secret.encode() not in row.sealed_url
        vault = vault_for(media.settings.secret.get_secret_value())
        assert secret in vault.open(row.sealed_url, owner=str(row.id))
        with pytest.raises(VaultClosed):
            vault.open(row.sealed_url, owner="another row")
        with pytest.raises(VaultClosed):
            Vault("another secret of the service").open(row.sealed_url, owner=str(row.id))
        for table in (outbox_table, audit_table, idempotency_table):
            for found in await tx.execute(sa.select(table)):
                assert secret not in str(tuple(found))


async def test_maintenance_is_neither_up_nor_down(media: Media, unique: str) -> None:
    camera = (await register(media, f"Cổng {unique}", "rtsp://10.0.0.7/live"))["id"]
    begun = await media.post(f"/cameras/{camera}/maintenance", {"on": True})
    assert begun.json()["state"] == "maintenance"
    again = await media.post(f"/cameras/{camera}/maintenance", {"on": True})
    assert again.json()["state_since"] == begun.json()["state_since"]
    await media.post(f"/cameras/{camera}/probe")
    async with media.running.tx() as tx:
        assert (await tx.get_one(Camera, camera)).next_probe_at is None
    ended = await media.post(f"/cameras/{camera}/maintenance", {"on": False})
    assert ended.json()["state"] == "unknown"
    assert kinds(await media.events(camera)) == ["CameraRegistered", "CameraStateChanged", "CameraStateChanged"]


async def test_a_retired_camera_is_forgotten_but_its_history(media: Media, unique: str) -> None:
    camera = (await register(media, f"Cổng {unique}", "rtsp://10.0.0.7/live"))["id"]
    assert (await media.post(f"/cameras/{camera}/retire")).json()["retired"] is True
    assert (await media.post(f"/cameras/{camera}/retire")).status_code == 409
    assert (await media.post(f"/cameras/{camera}/probe")).status_code == 409
    assert (await media.post(f"/cameras/{camera}/maintenance", {"on": True})).status_code == 409
    async with media.running.tx() as tx:
        row = await tx.get_one(Camera, camera)
        assert row.sealed_url is None
        late = await commands.probed(
            tx, row.id, ok=True, result="ok", milliseconds=1, at=now(), settings=media.settings
        )
        assert late is None
    listed = (await media.get("/cameras", unit=NGHIA_DUNG.code, limit=200)).json()["items"]
    assert camera not in [c["id"] for c in listed]
    everything = (await media.get("/cameras", unit=NGHIA_DUNG.code, limit=200, include_retired=True)).json()["items"]
    assert camera in [c["id"] for c in everything]
    await register(media, f"Cổng {unique}", "rtsp://10.0.0.7/live")


async def test_time_nobody_looked_is_unknown(media: Media, unique: str) -> None:
    camera = (await register(media, f"Cổng {unique}", "rtsp://10.0.0.7/live"))["id"]
    start = now()
    stale = commands.stale_after(media.settings)

    async def probed(ok: bool, minutes: float) -> Camera:
        async with media.running.tx() as tx:
            at = start + timedelta(minutes=minutes)
            row = await commands.probed(tx, camera, ok=ok, result="ok", milliseconds=1, at=at, settings=media.settings)
            assert row is not None
            return row

    await probed(True, 0)
    await probed(True, 1)
    await probed(True, 61)
    row = await probed(True, 62)
    async with media.running.tx() as tx:
        found = await queries.uptimes(tx, [row], now=start + timedelta(minutes=122), days=30, stale=stale)
        rows = await tx.scalars(
            sa.select(CameraInterval).where(CameraInterval.camera_id == row.id).order_by(CameraInterval.id)
        )
        assert [r.state for r in rows] == ["unknown", "online", "unknown", "online"]
    uptime = found[row.id]
    # Two watched stretches of a minute, each followed by the 90 s for which the last probe speaks.
    assert uptime.online == 2 * (60 + stale.total_seconds())
    assert uptime.offline == 0
    assert uptime.online + uptime.unknown == pytest.approx(122 * 60, abs=2)
    assert CameraState(row.state) is CameraState.ONLINE


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://10.0.0.1/live\r\nX: y",
        "rtsp://10.0.0.1/\x00",
        "http://10.0.0.1/",
        "rtsp://169.254.169.254/latest",
        "rtsp://" + "a" * 600,
        "",
    ],
)
async def test_bad_addresses_are_refused(media: Media, unique: str, url: str) -> None:
    body = {"unit": NGHIA_DUNG.code, "name": unique, "place": "main_road", "url": url}
    answer = await media.post("/cameras", body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [e["field"] for e in answer.json()["errors"]] == ["url"]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"place": "roof"}, 422),
        ({"unit": "99999-01"}, 404),
        ({"unit": "11074"}, 422),
        ({"unit": FOREIGN.code}, 403),
        ({"unit": "11074-01\x00"}, 422),
        ({"name": "a\x00b"}, 422),
        ({"name": "x" * 121}, 422),
        ({"name": ""}, 422),
    ],
)
async def test_bad_registrations_are_refused(media: Media, unique: str, changed: dict[str, str], status: int) -> None:
    body = {"unit": NGHIA_DUNG.code, "name": unique, "place": "main_road", "url": "rtsp://10.0.0.1/", **changed}
    answer = await media.post("/cameras", body)
    assert answer.status_code == status, answer.text
    async with media.running.tx() as tx:
        assert (await tx.scalars(sa.select(Camera).where(Camera.name == unique))).first() is None


async def test_only_those_of_the_commune_see_and_change_a_camera(media: Media, unique: str) -> None:
    camera = (await register(media, f"Cổng {unique}", "rtsp://10.0.0.7/live"))["id"]
    for by in (FOREIGN_OFFICER, RESIDENT):
        assert (await media.get(f"/cameras/{camera}", by=by)).status_code == 404
        assert (await media.get(f"/cameras/{camera}/intervals", by=by)).status_code == 404
        assert (await media.get("/cameras", by=by, unit=NGHIA_DUNG.code)).status_code == 403
    for by in (FOREIGN_OFFICER, RESIDENT, HEAD, PARTNER):
        for action, body in (("retire", None), ("probe", None), ("maintenance", {"on": True})):
            refused = await media.post(f"/cameras/{camera}/{action}", body, by=by)
            assert refused.status_code in (403, 404), (action, refused.text)
        made = await media.post(
            "/cameras", {"unit": NGHIA_DUNG.code, "name": "x", "place": "main_road", "url": "rtsp://10.0.0.1/"}, by=by
        )
        assert made.status_code == 403
    for by in (HEAD, PARTNER):
        assert (await media.get(f"/cameras/{camera}", by=by)).status_code == 200
    assert (await media.get(f"/cameras/{camera}")).json()["state"] == "unknown"
