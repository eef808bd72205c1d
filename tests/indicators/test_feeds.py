"""What events of the other services say of communes: reports, ratings, bulletins, OCOP products, action groups."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from xaso.ecommerce.v1 import events_pb2 as ecommerce
from xaso.identity.v1 import events_pb2 as identity
from xaso.media.v1 import events_pb2 as media
from xaso.petitions.v1 import events_pb2 as petitions

from chassis.units import Unit
from tests.indicators.conftest import Stage, entered
from tests.indicators.inquiring import API
from tests.indicators.rows import row
from tests.indicators.test_events import speaker
from tests.support.running import bearer, village

ADMIN = bearer(("admin", "30"))
MODEL, ADVANCED, NTM, VILLAGES = (
    "hd-1414-ntm-model-4.7", "hd-1414-ntm-advanced-8", "hd-1414-ntm-8", "hd-1414-village",
)  # fmt: skip


def petition(above: Unit, id: str, *, category: str = "khac", answered: bool = False, rating: int = 0) -> Message:
    state = petitions.Petition(id=id, commune=above.code, category=category, status="filed", rating=rating)
    state.filed_at.FromDatetime(datetime.now(UTC))
    if answered:
        state.answered_at.FromDatetime(datetime.now(UTC))
    return petitions.PetitionRated(petition=state)


async def test_reports_and_ratings_speak_for_the_commune(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, _ = here
    told = [("1.2", "no_data"), ("6.2", "no_data"), ("16.3", "no_data"), ("18.2", "no_data")]
    assert [(code, (await row(stage, above, code))[0]) for code, _ in told] == told
    await stage.tell(stage.event(petition(above, f"p-{above.code}"), f"p-{above.code}"))
    assert (await row(stage, above, "g7", MODEL))[0] == "met"
    assert await row(stage, above, "1.2") == ("measured", {"flag": False})
    assert await row(stage, above, "6.2") == ("measured", {"flag": False})
    await stage.tell(stage.event(petition(above, f"p-{above.code}", answered=True, rating=2), f"p-{above.code}"))
    assert await row(stage, above, "1.2") == ("measured", {"flag": True})
    assert await row(stage, above, "6.2") == ("measured", {"flag": True})
    assert [(await row(stage, above, code))[0] for code in ("16.3", "18.2")] == ["no_data", "no_data"]
    smoke = petition(above, f"s-{above.code}", category="moi_truong")
    await stage.tell(stage.event(smoke, f"s-{above.code}"))
    assert await row(stage, above, "16.3") == ("measured", {"flag": False})
    smoke = petition(above, f"s-{above.code}", category="moi_truong", answered=True)
    await stage.tell(stage.event(smoke, f"s-{above.code}"))
    assert await row(stage, above, "16.3") == ("measured", {"flag": True})
    assert (await row(stage, above, "18.2"))[0] == "no_data"
    tip = petition(above, f"t-{above.code}", category="an_ninh", answered=True)
    await stage.tell(stage.event(tip, f"t-{above.code}"))
    assert await row(stage, above, "18.2") == ("measured", {"flag": True})


async def test_loudspeakers_of_a_village_speak_for_it_and_its_commune(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    id = f"loa-{below.code}"
    await stage.tell(stage.event(speaker(below, "lost", id=id), id))
    assert (await row(stage, above, "g9", MODEL))[0] == "unmet"
    await stage.tell(stage.event(speaker(below, "ready", id=id), id))
    assert (await row(stage, above, "g9", MODEL))[0] == "met"
    assert (await row(stage, below, "loudspeakers", VILLAGES))[0] == "met"
    assert (await row(stage, below, "loudspeakers-regular", VILLAGES))[0] == "unmet"
    state = media.Loudspeaker(id=id, unit=below.code, state="ready", smart=True, in_service=True)
    played = media.BulletinAcknowledged(bulletin_id="b", loudspeaker=state)
    long_ago = datetime(2026, 1, 31, 17, 0, tzinfo=UTC)  # 1 February in Việt Nam: not this month.
    await stage.tell(stage.event(played, f"ack-{id}", at=long_ago))
    assert (await row(stage, below, "loudspeakers-regular", VILLAGES))[0] == "unmet"
    await stage.tell(stage.event(played, f"ack-{id}"))
    assert (await row(stage, below, "loudspeakers-regular", VILLAGES))[0] == "met"


async def ocop(stage: Stage, above: Unit) -> Any:
    address = f"{API}/units/{above.code}/sets/{ADVANCED}/items/8.4/explanation"
    found = (await stage.client.get(address, headers=ADMIN)).json()
    return next(one["value"] for one in found["measures"] if one["measure"] == "commune.ocop_on_floor")


async def test_ocop_products_count_while_they_are_on_a_floor(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here

    async def sell(id: str, channel: str, *, stars: int = 4, live: bool = True, status: str = "published") -> None:
        state = ecommerce.Product(id=f"{id}-{below.code}", unit=below.code, status=status, ocop_stars=stars)
        state.listings.add(id="l", channel=channel, live=live)
        await stage.tell(stage.event(ecommerce.ProductChanged(product=state), state.id))

    assert (await row(stage, above, "13.1"))[0] == "no_data"
    await sell("plain", "shopee", stars=0)
    assert await ocop(stage, above) == {"numerator": 0, "denominator": 0}
    assert await row(stage, above, "13.1") == ("measured", {"flag": False})
    await sell("tea", "postmart")
    assert await row(stage, above, "13.1") == ("measured", {"flag": True})
    await sell("tea", "postmart", live=False)
    assert await row(stage, above, "13.1") == ("measured", {"flag": False})
    await sell("tea", "postmart")
    await sell("rice", "facebook")
    await sell("honey", "shopee", live=False)
    assert await ocop(stage, above) == {"numerator": 1, "denominator": 3}
    await sell("rice", "voso")
    await sell("honey", "shopee", status="withdrawn")
    assert await ocop(stage, above) == {"numerator": 2, "denominator": 2}


async def test_a_key_product_online_and_a_team_speak_for_the_commune(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    state = ecommerce.Product(id=f"p-{below.code}", unit=below.code, key_product=True, status="published")
    await stage.tell(stage.event(ecommerce.ProductPublished(product=state), state.id))
    assert await row(stage, above, "7.2") == ("measured", {"flag": False})
    state.live_listings = 1
    await stage.tell(stage.event(ecommerce.ListingOpened(product=state), state.id))
    assert await row(stage, above, "7.2") == ("measured", {"flag": True})
    team = identity.DigitalTeam(id=f"t-{below.code}", unit=below.code)
    await stage.tell(stage.event(identity.DigitalTeamRegistered(team=team), team.id))
    assert await row(stage, above, "3.2") == ("measured", {"flag": True})


async def conditions(stage: Stage, unit: Unit, set_code: str, code: str) -> list[tuple[str, Any]]:
    """Status and value of each condition of a row, in the order of the rule, as the tree of reasons has them."""
    address = f"{API}/units/{unit.code}/sets/{set_code}/items/{code}/reasons"
    tree = (await stage.client.get(address)).json()["tree"]
    while tree["kind"] not in ("all", "at_least"):
        tree = tree["nodes"][0]
    return [(one["status"], one["value"]) for one in tree["nodes"]]


async def test_loudspeakers_of_all_villages_are_a_condition_of_the_commune(
    stage: Stage, here: tuple[Unit, Unit]
) -> None:
    """8.3 of the NTM and of the advanced commune: 100% of villages, in working order and regularly."""
    above, first = here
    second = village(above, 2)
    await stage.tell(stage.event(entered(second), f"unit/{second.code}"))

    async def tell(unit: Unit, state: str) -> None:
        id = f"loa-{unit.code}"
        await stage.tell(stage.event(speaker(unit, state, id=id), id))
        await stage.settle()

    async def play(unit: Unit) -> None:
        id = f"loa-{unit.code}"
        device = media.Loudspeaker(id=id, unit=unit.code, state="ready", smart=True, in_service=True)
        played = media.BulletinAcknowledged(bulletin_id="b", loudspeaker=device)
        await stage.tell(stage.event(played, f"ack-{id}"))
        await stage.settle()

    await tell(first, "ready")
    await tell(second, "lost")
    assert (await conditions(stage, above, NTM, "8.3"))[1] == ("unmet", {"numerator": 1, "denominator": 2})
    assert (await row(stage, above, "8.3", NTM))[0] == "unmet"
    await tell(second, "ready")
    assert (await conditions(stage, above, NTM, "8.3"))[1] == ("met", {"numerator": 2, "denominator": 2})
    assert (await row(stage, above, "8.3", NTM))[0] == "no_data"  # Nobody has told of the station.
    await play(first)
    assert (await conditions(stage, above, ADVANCED, "8.3"))[1] == ("unmet", {"numerator": 1, "denominator": 2})
    await play(second)
    assert (await conditions(stage, above, ADVANCED, "8.3"))[1] == ("met", {"numerator": 2, "denominator": 2})
