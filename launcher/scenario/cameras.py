"""Owns the cameras of the village: small RTSP servers of this machine, registered by the officer, probed by the hub."""

from __future__ import annotations

from typing import Any

from launcher.devices import SimulatedCamera
from launcher.scenario.talk import Visitor, until

CAMERAS = {"public_place": "Camera nhà văn hóa thôn", "main_road": "Camera trục đường chính"}
API = "/media/api/v1/cameras"


def device(port: int) -> SimulatedCamera:
    """A camera that answers on `port` (0: a free one) and asks for a login, as they do."""
    camera = SimulatedCamera(username="hub", password="chi-doc-hinh")  # noqa: S106 - the factory setting of a device that exists only on 127.0.0.1.
    camera.port = port
    return camera


async def register(officer: Visitor, unit: str, place: str, camera: SimulatedCamera) -> None:
    """Register the camera for `place`; returns once the hub has seen its stream.

    One that is registered already is kept while the hub still reaches it at the address it knows; where the device
    came back with another address, it is retired and registered anew.
    """
    name = CAMERAS[place]
    for there in await officer.all(API, unit=unit):
        if there["name"] == name:
            if (await _probed(officer, there["id"], there["last_probed_at"]))["last_result"] == "ok":
                return
            await officer.post(f"{API}/{there['id']}/retire")
    body = {"unit": unit, "name": name, "place": place, "url": camera.url}
    made = await officer.post(API, body)
    await _online(officer, made["id"], name)


async def _probed(officer: Visitor, camera: str, before: str | None) -> dict[str, Any]:
    """The camera after a probe that was asked for now."""
    await officer.post(f"{API}/{camera}/probe")

    async def look() -> dict[str, Any] | None:
        found: dict[str, Any] = await officer.get(f"{API}/{camera}")
        return found if found["last_probed_at"] != before else None

    return await until(look, lambda: f"camera {camera} was not probed")


async def _online(officer: Visitor, camera: str, name: str) -> None:
    last: dict[str, Any] = {}

    async def look() -> bool | None:
        last.update(await officer.get(f"{API}/{camera}"))
        return True if last["state"] == "online" and last["in_hub"] else None

    await until(look, lambda: f"{name} is {last['state']} ({last['last_result']})")
