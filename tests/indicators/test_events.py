"""What events of the other services do to the sheet of a village."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.message import Message
from sqlalchemy import text
from xaso.ecommerce.v1 import events_pb2 as ecommerce
from xaso.identity.v1 import events_pb2 as identity
from xaso.indicators.v1 import events_pb2 as indicators
from xaso.media.v1 import events_pb2 as media
from xaso.petitions.v1 import events_pb2 as petitions

from chassis import outbox, units
from chassis.units import Unit
from tests.indicators.conftest import Stage, ago, entered
from tests.support.running import village

YEAR = units.today().year


def speaker(unit: Unit, state: str, *, id: str = "loa-1", smart: bool = True, in_service: bool = True) -> Message:
    return media.LoudspeakerStateChanged(
        loudspeaker=media.Loudspeaker(id=id, unit=unit.code, state=state, smart=smart, in_service=in_service)
    )


def camera(
    unit: Unit, id: str, place: str, state: str = "online", *, in_hub: bool = True, retired: bool = False
) -> Message:
    seen = media.Camera(id=id, unit=unit.code, place=place, state=state, in_hub=in_hub, retired=retired)
    return media.CameraStateChanged(camera=seen)


def product(unit: Unit, id: str, live: int, *, key: bool = True, status: str = "published") -> Message:
    state = ecommerce.Product(id=id, unit=unit.code, key_product=key, status=status, live_listings=live)
    return ecommerce.ProductChanged(product=state)


def team(unit: Unit, id: str, activities: dict[int, int], dissolved: str = "") -> Message:
    state = identity.DigitalTeam(id=id, unit=unit.code, activities_by_year=activities, dissolved_on=dissolved)
    return identity.DigitalTeamActivityLogged(team=state)


def petition(unit: Unit, id: str, answered: datetime | None, status: str = "answered") -> petitions.PetitionAnswered:
    state = petitions.Petition(id=id, commune=unit.parent, village=unit.code, status=status)
    state.filed_at.FromDatetime(datetime.now(UTC))
    if answered is not None:
        state.answered_at.FromDatetime(answered)
    return petitions.PetitionAnswered(petition=state)


async def test_a_village_nobody_has_spoken_of_has_no_data_anywhere(stage: Stage) -> None:
    sheet = await stage.sheet(await stage.new_village())
    assert (sheet["status"], sheet["met"], sheet["total"], len(sheet["items"])) == ("no_data", 0, 9, 9)
    assert {item["status"] for item in sheet["items"]} == {"no_data"}
    assert {item["changed_at"] for item in sheet["items"]} == {None}


async def test_a_smart_loudspeaker_counts_while_it_is_reachable_and_in_service(stage: Stage) -> None:
    unit = await stage.new_village()
    for state, expected in (("unknown", "unmet"), ("ready", "met"), ("lost", "unmet"), ("sleeping", "met")):
        await stage.tell(stage.event(speaker(unit, state, id=f"loa-{unit.code}"), f"loa-{unit.code}"))
        assert await stage.status(unit, "288.2") == expected, state
    await stage.tell(stage.event(speaker(unit, "ready", id=f"loa-{unit.code}", in_service=False), f"loa-{unit.code}"))
    assert await stage.status(unit, "288.2") == "unmet"
    await stage.tell(stage.event(speaker(unit, "ready", id=f"horn-{unit.code}", smart=False), f"horn-{unit.code}"))
    assert await stage.status(unit, "288.2") == "unmet"


async def test_cameras_must_watch_both_a_public_place_and_the_main_road(stage: Stage) -> None:
    unit = await stage.new_village()
    square, road = f"c1-{unit.code}", f"c2-{unit.code}"
    await stage.tell(stage.event(camera(unit, square, "public_place"), square))
    assert (await stage.item(unit, "288.4"))["status"] == "unmet"
    await stage.tell(stage.event(camera(unit, road, "main_road", in_hub=False), road))
    assert (await stage.item(unit, "288.4"))["status"] == "unmet"
    await stage.tell(stage.event(camera(unit, road, "main_road"), road))
    assert (await stage.item(unit, "288.4"))["value"] == {"flag": True}
    for state in ("offline", "unknown", "maintenance"):
        await stage.tell(stage.event(camera(unit, square, "public_place", state), square))
        assert (await stage.item(unit, "288.4"))["status"] == "unmet", state


async def test_a_digital_team_counts_once_it_logged_activity_this_year_and_until_it_is_dissolved(stage: Stage) -> None:
    unit = await stage.new_village()
    subject = f"team-{unit.code}"
    for activities, dissolved, expected in (
        ({}, "", "unmet"),
        ({YEAR - 1: 4}, "", "unmet"),
        ({YEAR - 1: 4, YEAR: 1}, "", "met"),
        ({YEAR - 1: 4, YEAR: 1}, "2026-11-20", "unmet"),
    ):
        await stage.tell(stage.event(team(unit, subject, activities, dissolved), subject))
        assert await stage.status(unit, "288.3") == expected


async def test_a_petition_counts_when_it_was_answered_in_this_calendar_year(stage: Stage) -> None:
    unit = await stage.new_village()
    first = f"p1-{unit.code}"
    await stage.tell(stage.event(petition(unit, first, None, "filed"), first))
    assert await stage.status(unit, "288.1") == "unmet"
    last_year = datetime(YEAR - 1, 12, 31, 16, 59, tzinfo=UTC)
    await stage.tell(stage.event(petition(unit, first, last_year), first))
    assert await stage.status(unit, "288.1") == "unmet"
    # 17:00 UTC on 31 December is midnight in Việt Nam: the new year has begun there.
    await stage.tell(stage.event(petition(unit, first, last_year + timedelta(minutes=1)), first))
    assert await stage.status(unit, "288.1") == "met"


async def test_key_products_count_while_a_listing_is_live_and_a_village_without_one_has_nothing_to_sell(
    stage: Stage,
) -> None:
    unit = await stage.new_village()
    tea, rice, other = (f"{name}-{unit.code}" for name in ("tea", "rice", "other"))
    await stage.tell(stage.event(product(unit, other, 0, key=False), other))
    assert (await stage.item(unit, "288.9"))["status"] == "not_applicable"
    await stage.tell(stage.event(product(unit, tea, 1), tea), stage.event(product(unit, rice, 0), rice))
    item = await stage.item(unit, "288.9")
    assert (item["status"], item["value"]) == ("unmet", {"numerator": 1, "denominator": 2})
    await stage.tell(stage.event(product(unit, rice, 2), rice))
    item = await stage.item(unit, "288.9")
    assert (item["status"], item["value"]) == ("met", {"numerator": 2, "denominator": 2})
    ended = stage.event(ecommerce.ListingEnded(product=product(unit, tea, 0).product), tea)  # type: ignore[attr-defined]  # the builder makes a ProductChanged.
    await stage.tell(ended)
    item = await stage.item(unit, "288.9")
    assert (item["status"], item["because"]) == ("unmet", f"xaso.ecommerce.v1.ListingEnded:{ended.id}")
    await stage.tell(stage.event(product(unit, tea, 0, status="withdrawn"), tea))
    assert (await stage.item(unit, "288.9"))["value"] == {"numerator": 1, "denominator": 1}


async def test_audibility_needs_every_cluster(stage: Stage) -> None:
    unit = await stage.new_village()
    for clusters, heard, expected in ((0, 0, "no_data"), (3, 2, "unmet"), (3, 3, "met"), (4, 3, "unmet")):
        change = media.VillageAudibilityChanged(unit=unit.code, clusters=clusters, clusters_in_earshot=heard)
        await stage.tell(stage.event(change, f"audibility-{unit.code}"))
        assert await stage.status(unit, "288.7") == expected


async def test_an_older_event_that_comes_late_and_one_that_comes_twice_change_nothing(stage: Stage) -> None:
    unit = await stage.new_village()
    id = f"loa-{unit.code}"
    newer = stage.event(speaker(unit, "ready", id=id), id, sequence=7)
    await stage.tell(newer)
    await stage.tell(newer)
    await stage.tell(stage.event(speaker(unit, "lost", id=id), id, sequence=6))
    assert await stage.status(unit, "288.2") == "met"
    async with stage.running.tx() as tx:
        counted = await tx.execute(text("SELECT sum(count) FROM tally WHERE unit LIKE :u"), {"u": f"{unit.code}@%"})
        kept = await tx.execute(text("SELECT count(*) FROM fact_history WHERE entity = :e"), {"e": id})
        assert (counted.scalar_one(), kept.scalar_one()) == (1, 2)


async def test_an_entity_that_moves_counts_in_its_new_village_only(stage: Stage) -> None:
    here, there = await stage.new_village(), await stage.new_village()
    id = f"loa-{here.code}"
    await stage.tell(stage.event(speaker(here, "ready", id=id), id))
    await stage.tell(stage.event(speaker(there, "ready", id=id), id))
    assert await stage.status(here, "288.2") == "no_data"
    assert await stage.status(there, "288.2") == "met"


async def test_facts_of_a_village_nobody_has_described_yet_wait_for_it(stage: Stage) -> None:
    unit = village(stage.commune, 99, "Thôn đến sau")
    await stage.tell(stage.event(speaker(unit, "ready", id="loa-early"), "loa-early"))
    assert (await stage.client.get(f"/indicators/api/v1/units/{unit.code}/sets/hd-288-2023")).status_code == 404
    await stage.tell(stage.event(entered(unit), "unit/late"))
    assert await stage.status(unit, "288.2") == "met"


async def test_a_change_is_published_with_its_cause(stage: Stage) -> None:
    unit = await stage.new_village()
    id = f"loa-{unit.code}"
    told = stage.event(speaker(unit, "ready", id=id), id)
    await stage.tell(told)
    async with stage.running.tx() as tx:
        row = (
            await tx.execute(
                text("""
                    SELECT topic, key, unit, type, payload FROM outbox
                    WHERE unit = :unit AND subject LIKE '%/hd-288-2023/%'
                """),
                {"unit": unit.code},
            )
        ).one()
    assert (row.topic, row.key, row.type) == (
        "xaso.indicators.v1",
        stage.commune.code,
        "xaso.indicators.v1.ComplianceChanged",
    )
    message = indicators.ComplianceChanged.FromString(row.payload)
    assert (message.unit, message.set, message.item) == (unit.code, "hd-288-2023", "288.2")
    assert (message.before, message.after, message.met, message.total) == ("no_data", "met", 1, 9)
    assert message.because == f"xaso.media.v1.LoudspeakerStateChanged:{told.id}"


async def test_events_of_one_item_are_numbered_without_a_gap_also_when_many_are_written_together(stage: Stage) -> None:
    villages = [await stage.new_village() for _ in range(3)]
    for state in ("ready", "lost", "ready"):
        await stage.tell(*(stage.event(speaker(u, state, id=f"n-{u.code}"), f"n-{u.code}") for u in villages))
    async with stage.running.tx() as tx:
        rows = await tx.execute(
            text("""
                SELECT unit, sequence, payload FROM outbox
                WHERE unit = ANY(:codes) AND subject LIKE '%/hd-288-2023/%' ORDER BY id
            """),
            {"codes": [u.code for u in villages]},
        )
        told: dict[str, list[tuple[int, str]]] = {}
        for row in rows:
            after = indicators.ComplianceChanged.FromString(row.payload).after
            told.setdefault(row.unit, []).append((row.sequence, after))
    assert told == {u.code: [(1, "met"), (2, "unmet"), (3, "met")] for u in villages}


async def test_two_events_of_one_subject_are_not_written_together(stage: Stage) -> None:
    unit = stage.villages[0]
    twice = [outbox.Outgoing(indicators.ComplianceChanged(unit=unit.code), unit, "same") for _ in range(2)]
    async with stage.running.tx() as tx:
        with pytest.raises(ValueError, match="two events of one subject"):
            await outbox.add_all(tx, twice)


async def test_each_row_above_names_its_own_cause_and_a_new_unit_changes_all_of_them(stage: Stage) -> None:
    unit = await stage.new_village()
    heard = stage.event(speaker(unit, "ready", id="loa-of-two"), "loa-of-two")
    seen = stage.event(camera(unit, "cam-of-two", "public_place"), "cam-of-two")
    await stage.tell(heard, seen)
    await stage.settle()
    for code in (stage.commune.code, "298", "30"):
        assert (await stage.item(code, "288.2"))["because"].endswith(str(heard.id))
        assert (await stage.item(code, "288.4"))["because"].endswith(str(seen.id))
    before = (await stage.sheet("30"))["items"]
    await stage.new_village()
    await stage.settle()
    after = (await stage.sheet("30"))["items"]
    grown = [
        (now["value"]["denominator"] - was["value"]["denominator"]) for was, now in zip(before, after, strict=True)
    ]
    assert grown == [1] * len(before)


async def test_villages_are_rolled_up_to_commune_district_and_province(stage: Stage) -> None:
    await stage.settle()
    before = {code: await stage.item(code, "288.2") for code in ("11074", "298", "30")}
    unit = await stage.new_village()
    id = f"loa-{unit.code}"
    await stage.tell(stage.event(speaker(unit, "ready", id=id), id))
    await stage.settle()
    for code, earlier in before.items():
        item = await stage.item(code, "288.2")
        was = earlier["value"] or {"numerator": 0, "denominator": 1}
        assert item["status"] == "measured"
        assert item["value"] == {"numerator": was["numerator"] + 1, "denominator": was["denominator"] + 1}
    sheet = await stage.sheet("298")
    assert (sheet["status"], sheet["met"], sheet["counts"]) == ("measured", 0, "village")
    assert sheet["total"] == (await stage.item("298", "288.2"))["value"]["denominator"]


async def test_the_past_is_answered_as_it_was_known(stage: Stage) -> None:
    unit = await stage.new_village()
    id = f"loa-{unit.code}"
    start = datetime.now(UTC)
    await stage.tell(stage.event(speaker(unit, "ready", id=id), id))
    between = datetime.now(UTC)
    await stage.tell(stage.event(speaker(unit, "lost", id=id), id))
    for moment, status, met in ((start, "no_data", 0), (between, "met", 1), (datetime.now(UTC), "unmet", 0)):
        sheet = await stage.sheet(unit, as_of=moment.isoformat())
        assert (sheet["items"][1]["status"], sheet["met"]) == (status, met)
    response = await stage.client.get(
        f"/indicators/api/v1/units/{unit.code}/sets/hd-288-2023", params={"as_of": ago(days=365 * 20).isoformat()}
    )
    assert response.status_code == 404
