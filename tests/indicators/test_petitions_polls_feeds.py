"""What petitions tells of polls becomes rows 1.2 and 10.3 of the smart commune: on surveys of residents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from xaso.petitions.v1 import events_pb2 as petitions

from chassis.units import VIETNAM, Unit, today
from services.indicators.views.things import thing_href
from tests.indicators.conftest import Stage

API, SMART = "/indicators/api/v1", "mard-2023-smart-commune"
YEAR = today().year


async def item(stage: Stage, unit: Unit, code: str, set_code: str = SMART) -> dict[str, Any]:
    answer = await stage.client.get(f"{API}/units/{unit.code}/sets/{set_code}")
    return next(item for item in answer.json()["items"] if item["code"] == code)


async def row(stage: Stage, unit: Unit, code: str) -> Any:
    """Yes, no, or None where nothing is known; both rows are watched and not judged."""
    found = await item(stage, unit, code)
    assert found["status"] == ("no_data" if found["value"] is None else "measured")
    return found["value"] and found["value"]["flag"]


def polled(stage: Stage, unit: Unit, name: str, purpose: str, *, at: datetime | None = None, **changed: Any) -> Any:
    """An event of a poll; what kind it is does not matter, its state does."""
    state: Any = {"status": "open", **changed}
    poll = petitions.Poll(id=f"{name}-{unit.code}", unit=unit.code, commune=unit.commune, purpose=purpose, **state)
    poll.closes_at.FromDatetime(at or datetime.now(UTC))
    return stage.event(petitions.PollPublished(poll=poll), poll.id)


async def test_learning_needs_are_met_when_asked_answered_over_and_responded_to(
    stage: Stage, here: tuple[Unit, Unit]
) -> None:
    above, below = here
    assert await row(stage, above, "10.3") is None

    async def tell(unit: Unit = above, name: str = "a", **changed: Any) -> Any:
        await stage.tell(polled(stage, unit, name, "learning_needs", **changed))
        return await row(stage, above, "10.3")

    responded: Any = {"responded": True, "responded_on": f"{YEAR}-01-01"}
    assert await tell() is False, "asked"
    assert await tell(answers=40) is False, "answered, not over"
    assert await tell(status="closed", answers=40) is False, "over, and nothing done about it"
    assert await tell(status="closed", answers=0, **responded) is False, "nobody answered"
    assert await tell(status="closed", answers=1, **responded) is True
    last_year: Any = {"responded": True, "responded_on": f"{YEAR - 1}-12-31"}
    assert await tell(status="closed", answers=1, **last_year) is False, "met, but in another year"
    assert await tell(below, "b", status="closed", answers=9, **responded) is True, "one village counts, too"
    assert await tell(below, "b", status="withdrawn", answers=9) is False, "what is left is of last year"


async def test_a_survey_of_satisfaction_is_data_on_satisfaction_once_somebody_answered(
    stage: Stage, here: tuple[Unit, Unit]
) -> None:
    above, _below = here

    async def tell(name: str = "a", purpose: str = "satisfaction", **changed: Any) -> Any:
        await stage.tell(polled(stage, above, name, purpose, **changed))
        return await row(stage, above, "1.2")

    assert await tell("c", "consultation", answers=50) is None, "asks for advice, not for content"
    assert await tell() is False
    assert await tell(answers=1) is True
    new_year = datetime(YEAR, 1, 1, tzinfo=VIETNAM)
    assert await tell(status="closed", answers=1, at=new_year + timedelta(seconds=1)) is True
    assert await tell(status="closed", answers=1, at=new_year) is False, "its last day was the last of last year"
    assert await tell(status="withdrawn", answers=1) is None
    rated = petitions.Petition(id=f"r-{above.code}", commune=above.code, category="khac", rating=2)
    rated.filed_at.FromDatetime(datetime.now(UTC))
    await stage.tell(stage.event(petitions.PetitionRated(petition=rated), rated.id))
    assert await row(stage, above, "1.2") is True, "a rating is such data as well"


async def test_a_survey_on_new_countryside_work_counts_when_over_and_answered_online(
    stage: Stage, here: tuple[Unit, Unit]
) -> None:
    above, _below = here

    async def tell(**changed: Any) -> str:
        await stage.tell(polled(stage, above, "n", "new_countryside", **changed))
        return str((await item(stage, above, "8.4", "hd-1414-ntm-advanced-8"))["status"])

    assert await tell(answers=9) == "unmet", "not over"
    assert await tell(status="closed", answers=9, assisted=9) == "unmet", "on paper only"
    # Of the other conditions of the row nothing is known.
    assert await tell(status="closed", answers=10, assisted=9) == "no_data"


def test_a_poll_is_shown_where_it_was_held() -> None:
    assert thing_href("poll.learning_needs", "petitions", "0b1e") == "/petitions/polls/0b1e"
    assert thing_href("petition.rating", "petitions", "poll:0b1e") == "/petitions/polls/0b1e"
    assert thing_href("petition.rating", "petitions", "0b1e") == "/petitions/inbox/0b1e"
