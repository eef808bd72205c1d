"""What media tells of watched cameras becomes row 18.1 of the smart commune, and leaves 288.4 as it is."""

from __future__ import annotations

from typing import Any

from xaso.media.v1 import events_pb2 as media

from chassis.units import Unit
from services.indicators.views.things import thing_href
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API
from tests.indicators.rows import row
from tests.support.running import bearer

VILLAGE = "hd-288-2023"
ADMIN = bearer(("admin", "30"))


def watched(stage: Stage, unit: Unit, name: str, rules: int, working: bool, **changed: Any) -> Any:
    id = f"{name}-{unit.code}"
    watch = media.CameraWatch(camera_id=id, unit=unit.code, rules_active=rules, working=working)
    return stage.event(media.CameraWatchChanged(watch=watch), id, **changed)


YES, NO = ("measured", {"flag": True}), ("measured", {"flag": False})


async def test_one_camera_that_is_really_watched_is_enough(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    # A camera in the hub is not a watched one.
    camera = media.Camera(id=f"a-{below.code}", unit=below.code, place="main_road", state="online", in_hub=True)
    await stage.tell(stage.event(media.CameraStateChanged(camera=camera), camera.id))
    assert await row(stage, above, "18.1") == ("no_data", None)
    await stage.tell(watched(stage, below, "a", 2, False), watched(stage, below, "b", 1, False))
    assert await row(stage, above, "18.1") == NO, "rules nobody could apply"
    await stage.tell(watched(stage, below, "b", 1, True))
    assert await row(stage, above, "18.1") == YES
    await stage.tell(watched(stage, below, "b", 1, False))
    assert await row(stage, above, "18.1") == NO, "an hour without a picture"
    await stage.tell(watched(stage, below, "a", 2, True), watched(stage, below, "b", 0, False))
    assert await row(stage, above, "18.1") == YES
    await stage.tell(watched(stage, below, "a", 0, False))
    assert await row(stage, above, "18.1") == NO
    # 288.4 asks for cameras at both places, watched by rules or not.
    assert await row(stage, below, "288.4", VILLAGE) == ("unmet", {"flag": False})


async def test_an_older_word_told_late_changes_nothing(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    late = watched(stage, below, "a", 1, True, sequence=1)
    await stage.tell(watched(stage, below, "a", 1, False, sequence=2))
    await stage.tell(late)
    assert await row(stage, above, "18.1") == NO


async def test_what_staff_say_with_evidence_stands_beside_it(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    await stage.tell(watched(stage, below, "a", 1, False))
    body = {"unit": above.code, "measure": "commune.smart_cameras", "value": {"flag": True}}
    said = {**body, "evidence": {"document": "12/BC-UBND"}}
    answer = await stage.client.post(f"{API}/observations", json=said, headers=ADMIN)
    assert answer.is_success, answer.text
    assert await row(stage, above, "18.1") == YES, "the police have a system of their own"


def test_a_watched_camera_is_shown_where_its_service_shows_it() -> None:
    assert thing_href("camera.smart_watch", "media", "0b1e") == "/media/cameras/0b1e"
