"""Owns the petition of the story: a resident files it with a photo, the officer answers, the resident rates."""

from __future__ import annotations

from launcher.scenario.pictures import petition_photo
from launcher.scenario.talk import ScenarioFailed, Visitor

API = "/petitions/api/v1/petitions"
DESCRIPTION = "Đường vào trạm bơm có ổ gà sâu, trời mưa ngập nước, xe đạp của học sinh dễ ngã."
ANSWER = "Xã đã cho san lấp ổ gà và đặt biển báo. Cảm ơn chị đã phản ánh."


async def file(resident: Visitor, unit: str) -> tuple[str, str]:
    """File the petition with its photo; returns id and code."""
    body = {"village": unit, "category": "giao_thong", "description": DESCRIPTION, "place": "Đường vào trạm bơm"}
    made = await resident.post(API, body)
    photo = ("duong.jpg", petition_photo(), "image/jpeg")
    kept = await resident.post(f"{API}/{made['id']}/photos", files={"photos": photo})
    if len(kept["items"]) != 1:
        raise ScenarioFailed("the photo of the petition was not kept")
    return str(made["id"]), str(made["code"])


async def route(officer: Visitor, petition: str) -> None:
    """Give the case to the department that builds roads."""
    await officer.post(f"{API}/{petition}/route", {"department": "dia_chinh"})


async def answer(officer: Visitor, petition: str) -> None:
    """Answer in public."""
    await officer.post(f"{API}/{petition}/answer", {"text": ANSWER})


async def close(officer: Visitor, petition: str) -> None:
    """The case ends."""
    await officer.post(f"{API}/{petition}/close")


async def rate(resident: Visitor, petition: str) -> None:
    """Five of five."""
    await resident.post(f"{API}/{petition}/rate", {"rating": 5, "comment": "Làm nhanh, đường dễ đi rồi."})
