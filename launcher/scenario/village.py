"""Owns what the officer does with identity: enter the villages, register the digital team, log its work."""

from __future__ import annotations

from typing import Any

from launcher.scenario.talk import ScenarioFailed, Visitor, until

DISTRICT = "Huyện Tứ Kỳ"
COMMUNE = "Xã Đại Sơn"
VILLAGES = ("Thôn Nghĩa Dũng", "Thôn 2", "Thôn 3")
"""The first one is the village of the story; the commune's other ones are numbered."""
TEAM = "Tổ công nghệ số cộng đồng Nghĩa Dũng"

UNITS = "/identity/api/v1/units"
# Each answers 404 until the service has heard of the unit.
KNOWN_AT = {
    "indicators": "/indicators/api/v1/units/{unit}/sets/hd-288-2023",
    "petitions": "/petitions/api/v1/petitions?unit={unit}",
    "ecommerce": "/ecommerce/api/v1/products?unit={unit}",
    "media": "/media/api/v1/clusters?unit={unit}",
}


async def _named(visitor: Visitor, level: str, name: str, parent: str | None) -> dict[str, Any] | None:
    found = await visitor.all(UNITS, level=level, parent=parent, q=name)
    return next((unit for unit in found if unit["name"] == name), None)


async def commune(visitor: Visitor) -> str:
    """The code of the commune of the story, found by name."""
    district = await _named(visitor, "district", DISTRICT, None)
    found = await _named(visitor, "commune", COMMUNE, district["code"]) if district else None
    if found is None:
        raise ScenarioFailed(f"the platform does not know {COMMUNE}, {DISTRICT}")
    return str(found["code"])


async def enter_villages(officer: Visitor, parent: str) -> list[tuple[str, str, bool]]:
    """Enter the villages that are not there yet; returns code, name and whether it is new, in the order of VILLAGES."""
    entered = []
    for name in VILLAGES:
        there = await _named(officer, "village", name, parent)
        made = there or await officer.post(UNITS, {"parent": parent, "name": name, "kind": "thon"})
        entered.append((str(made["code"]), name, there is None))
    return entered


async def known_everywhere(officer: Visitor, unit: str) -> None:
    """Return once every service has heard of the village."""
    for service, path in KNOWN_AT.items():

        async def look(path: str = path) -> bool | None:
            return True if (await officer.ask(path.format(unit=unit))).is_success else None

        await until(look, lambda service=service: f"{service} does not know the village {unit}")  # type: ignore[misc]


async def register_team(officer: Visitor, unit: str) -> str:
    """The community digital team of the village, registered where there is none; returns its id."""
    standing = await officer.all("/identity/api/v1/teams", unit=unit, standing=True)
    team = standing[0] if standing else None
    if team is None:
        team = await officer.post("/identity/api/v1/teams", {"unit": unit, "name": TEAM, "member_count": 7})
    return str(team["id"])


async def log_activity(officer: Visitor, team: str) -> None:
    """Log an evening on which the team helped people with online public services."""
    activity = {
        "content": "public_services",
        "note": "Hướng dẫn bà con nộp hồ sơ trực tuyến tại nhà văn hóa thôn.",
        "participants": 24,
    }
    await officer.post(f"/identity/api/v1/teams/{team}/activities", activity)
