"""What the forum of petitions tells of a thread becomes row 3.3 of the smart commune, for each that took part."""

from __future__ import annotations

from typing import Any

import pytest
from xaso.petitions.v1 import events_pb2 as petitions

from chassis.units import Unit, today
from services.indicators.views.things import thing_href
from tests.indicators.conftest import Stage, entered
from tests.support.running import bearer, commune

API, SMART = "/indicators/api/v1", "mard-2023-smart-commune"
YEAR = today().year
UNKNOWN, NO, YES = ("no_data", None), ("measured", {"flag": False}), ("measured", {"flag": True})


@pytest.fixture
async def two(stage: Stage, request: pytest.FixtureRequest) -> tuple[Unit, Unit]:
    """Two communes of their own."""
    number = 60000 + sum(map(ord, request.node.name))
    found = commune(str(number), f"Xã {number}"), commune(str(number + 20000), f"Xã {number + 20000}")
    for unit in found:
        await stage.tell(stage.event(entered(unit), f"unit/{unit.code}"))
    return found


def thread(
    id: str, begun: Unit, *took_part: tuple[Unit, int, int, int], status: str = "open"
) -> tuple[petitions.ForumThreadChanged, str]:
    """As the forum tells it; who took part is (commune, year, visible posts, villages known)."""
    parts = [
        petitions.ForumParticipation(commune=unit.code, year=year, posts=posts, villages=villages)
        for unit, year, posts, villages in took_part
    ]
    state = petitions.ForumThread(
        id=id,
        commune=begun.code,
        topic="ntm",
        status=status,
        posts=sum(one.posts for one in parts),
        communes=sorted({one.commune for one in parts if one.posts}),
        participations=parts,
    )
    return petitions.ForumThreadChanged(thread=state), id


async def forum(stage: Stage, unit: Unit) -> tuple[str, Any]:
    answer = await stage.client.get(f"{API}/units/{unit.code}/sets/{SMART}")
    assert answer.status_code == 200, answer.text
    item = next(item for item in answer.json()["items"] if item["code"] == "3.3")
    return item["status"], item["value"]


async def both(stage: Stage, two: tuple[Unit, Unit]) -> list[tuple[str, Any]]:
    return [await forum(stage, unit) for unit in two]


async def test_one_commune_by_itself_has_no_exchange_and_two_have_one_each(
    stage: Stage, two: tuple[Unit, Unit]
) -> None:
    here, there = two
    assert await both(stage, two) == [UNKNOWN, UNKNOWN]
    await stage.tell(stage.event(*thread("a1", here, (here, YEAR, 7, 1))))
    assert await both(stage, two) == [NO, UNKNOWN]
    exchanged = stage.event(*thread("a1", here, (here, YEAR, 7, 1), (there, YEAR, 1, 0)))
    await stage.tell(exchanged)
    assert await both(stage, two) == [YES, YES]
    # The only post from there was hidden; what was told before arrives again late and says nothing new.
    await stage.tell(stage.event(*thread("a1", here, (here, YEAR, 7, 1), (there, YEAR, 0, 0))))
    await stage.tell(exchanged)
    assert await both(stage, two) == [NO, UNKNOWN]


async def test_two_villages_of_a_commune_exchange_among_themselves(stage: Stage, two: tuple[Unit, Unit]) -> None:
    here, _ = two
    await stage.tell(stage.event(*thread("b1", here, (here, YEAR, 2, 1))))
    assert await forum(stage, here) == NO
    await stage.tell(stage.event(*thread("b1", here, (here, YEAR, 2, 2))))
    assert await forum(stage, here) == YES


async def test_both_must_have_written_in_the_same_year_and_in_this_one(stage: Stage, two: tuple[Unit, Unit]) -> None:
    here, there = two
    last_year = (here, YEAR - 1, 3, 1), (there, YEAR - 1, 3, 1)
    await stage.tell(stage.event(*thread("c1", here, *last_year)))
    assert await both(stage, two) == [NO, NO]
    await stage.tell(stage.event(*thread("c1", here, *last_year, (there, YEAR, 1, 1))))
    assert await both(stage, two) == [NO, NO], "they wrote to people who answered a year ago"
    await stage.tell(stage.event(*thread("c1", here, *last_year, (there, YEAR, 1, 1), (here, YEAR, 1, 0))))
    assert await both(stage, two) == [YES, YES]


async def test_a_locked_thread_can_be_read_and_a_hidden_one_cannot(stage: Stage, two: tuple[Unit, Unit]) -> None:
    here, there = two
    took_part = (here, YEAR, 1, 1), (there, YEAR, 1, 1)
    await stage.tell(stage.event(*thread("d1", here, *took_part, status="locked")))
    assert await both(stage, two) == [YES, YES]
    await stage.tell(stage.event(*thread("d1", here, *took_part, status="hidden")))
    assert await both(stage, two) == [UNKNOWN, UNKNOWN]
    body = {
        "unit": here.code,
        "measure": "commune.digital_forum",
        "value": {"flag": True},
        "evidence": {"document": "5/BC-UBND"},
    }
    sent = await stage.client.post(f"{API}/observations", json=body, headers=bearer(("admin", "30")))
    assert sent.status_code in (200, 201), sent.text
    await stage.tell(stage.event(*thread("d2", here, (here, YEAR, 1, 1))))
    assert await forum(stage, here) == YES, "one yes is enough: there may be a forum elsewhere"


def test_a_thread_is_shown_by_the_forum() -> None:
    assert thing_href("forum.exchange", "petitions", f"0b1e@11074@{YEAR}") == "/petitions/forum/threads/0b1e"
