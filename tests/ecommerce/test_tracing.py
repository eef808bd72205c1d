"""Traceability over JSON: diaries, quiet days, lots and their steps, recalls, and what is told of them."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.auth import Grant, Principal
from chassis.db import now
from services.ecommerce.commands import change_producer
from services.ecommerce.tracing import commands, queries
from services.ecommerce.tracing.commands import relocate
from services.ecommerce.tracing.diaries import EntryFields, write_entry
from services.ecommerce.tracing.epcis import gtin_of
from services.ecommerce.tracing.model import (
    TRANSITIONS,
    DiaryEntry,
    Lot,
    LotStatus,
    LotStep,
    Plot,
    Step,
    StepNotPossible,
    Work,
    after,
)
from tests.ecommerce.conftest import AN, BASE, DUNG, FAR, FOREIGN, HOME, Shop, ok, refused
from tests.ecommerce.tracing import HARVEST, SEASON, TODAY, at, day, farm
from tests.support.running import bearer
from tests.support.waiting import eventually


async def test_from_the_diary_to_a_published_lot_and_what_is_told_of_it(shop: Shop) -> None:
    here = await farm(shop)
    ok(await here.write("sowing", SEASON, done_by="households", households=4), 201)
    spray = {"product": "Validacin 5SL", "quiet_days": 7, "note": "Phun khi có bệnh khô vằn."}
    ok(await here.write("pesticide", HARVEST - timedelta(days=7), **spray), 201)
    code = await here.lot()
    lot = ok(await shop.get(f"/lots/{code}", shop.producer))
    assert (lot["status"], lot["traceable"], lot["diary_entries"]) == ("open", False, 2)
    assert await here.told(code) == [], "a lot that is not published is its producer's own business"
    ok(await here.step(code))
    ok(await shop.post(f"/lots/{code}/publish"))
    ok(await here.step(code, "shipping", at=at(TODAY, 0), place="Chợ Tứ Kỳ", quantity=1000))
    told = (await here.told(code))[-1]
    assert (told.code, told.status, told.cooperative, told.traceable) == (code, "shipped", True, True)
    assert (told.diary_entries, told.households, told.year) == (2, 4, HARVEST.year)
    assert told.product_id == here.product
    assert told.HasField("published_at")
    assert (told.unit, told.commune, told.producer_id) == (lot["unit"], HOME.code, here.producer)
    seen = ok(await shop.get(f"/lots/{code.lower()}"))
    assert [step["kind"] for step in seen["steps"]] == ["harvest", "packing", "shipping"]
    assert [step["quantity"] for step in seen["steps"]] == [1250.5, 1250.5, 1000]
    refused(await here.step(code, "shipping", at=at(TODAY, 0), place="Chợ Mũ", quantity=251), 422, field="quantity")
    ok(await here.step(code, "shipping", at=at(TODAY, 0), place="Chợ Mũ"))
    refused(await here.step(code, "shipping", at=at(TODAY, 0), place="Nơi khác"), 409, "lot_step_not_possible")
    assert ok(await here.step(code, "closing", at=at(TODAY, 0)))["status"] == "closed"


@pytest.mark.parametrize(("quiet_days", "allowed"), [(3, True), (4, False)])
async def test_a_harvest_waits_for_the_quiet_days(shop: Shop, quiet_days: int, allowed: bool) -> None:
    here = await farm(shop)
    spray = {"product": "Regent 800WG", "quiet_days": quiet_days}
    ok(await here.write("pesticide", HARVEST - timedelta(days=3), **spray), 201)
    answers = [await shop.post("/lots", here.lot_body()), await here.write("harvest", HARVEST)]
    if allowed:
        assert [answer.status_code for answer in answers] == [201, 201]
        return
    first = HARVEST + timedelta(days=1)
    for answer in answers:
        body = refused(answer, 409, "harvest_in_quiet_days")
        assert f"{first:%d/%m/%Y}" in body["detail"]
        assert "Regent 800WG" in body["detail"]
    assert len(ok(await shop.get(f"/plots/{here.plot}/diary", shop.producer))["items"]) == 1, "nothing was written"


async def test_a_spray_written_down_late_breaks_the_trace_and_is_told(shop: Shop) -> None:
    here = await farm(shop)
    code = await here.packed()
    assert (await here.told(code))[-1].traceable
    late = {"product": "Regent 800WG", "quiet_days": 10}
    entry = ok(await here.write("pesticide", HARVEST - timedelta(days=2), **late), 201)
    told = (await here.told(code))[-1]
    assert (told.traceable, told.diary_entries) == (False, 2)
    refused(await here.step(code, "shipping"), 409, "harvest_in_quiet_days")
    # What is written after the harvest is about the season that follows, and tells nothing.
    count = len(await here.told(code))
    ok(await here.write("sowing", TODAY), 201)
    assert len(await here.told(code)) == count
    corrected = {"day": day(HARVEST - timedelta(days=12)), "work": "pesticide", **late}
    body = {"reason": "Ghi nhầm ngày.", "entry": corrected}
    newest = ok(await shop.post(f"/diary/{entry['id']}/correct", body))
    assert newest["replaces"] == entry["id"]
    assert (await here.told(code))[-1].traceable
    lines = ok(await shop.get(f"/plots/{here.plot}/diary", shop.producer))["items"]
    struck = next(line for line in lines if line["id"] == entry["id"])
    assert (struck["struck_reason"], struck["product"]) == ("Ghi nhầm ngày.", "Regent 800WG")


async def test_two_corrections_of_one_line_make_one(shop: Shop) -> None:
    here = await farm(shop)
    entry = ok(await here.write("watering", HARVEST), 201)
    body = {"reason": "Ghi nhầm thửa."}
    answers = await asyncio.gather(*(shop.post(f"/diary/{entry['id']}/correct", body) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    refused(await shop.post(f"/diary/{entry['id']}/correct", body), 409, "entry_already_struck")


async def test_a_spray_and_a_harvest_at_once_leave_no_harvest_in_quiet_days(shop: Shop) -> None:
    """Whichever comes first: no lot is taken for sound that the diary forbids."""
    here = await farm(shop)
    ok(await here.write("sowing", SEASON), 201)
    spray = here.write("pesticide", HARVEST, product="Regent 800WG", quiet_days=10)
    sprayed, made = await asyncio.gather(spray, shop.post("/lots", here.lot_body()))
    ok(sprayed, 201)
    assert made.status_code in (201, 409)
    if made.status_code == 201:
        code = made.json()["code"]
        refused(await here.step(code), 409, "harvest_in_quiet_days")


@pytest.mark.parametrize("meanwhile", ["spray", "kind"])
async def test_what_is_being_written_is_told_by_a_publication_beside_it(shop: Shop, meanwhile: str) -> None:
    """It waits for its plots and its producer: else it would tell of what holds no longer, unmended."""
    here = await farm(shop)
    ok(await here.write("sowing", SEASON), 201)
    code = await here.lot()
    ok(await here.step(code))
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    me = Principal("acc-producer", "", "person", (Grant("producer", HOME.code, HOME.path),))
    late = EntryFields(HARVEST, Work.PESTICIDE, "Regent 800WG", quiet_days=10)
    async with shop.running.tx() as tx:
        if meanwhile == "spray":
            await write_entry(tx, me, uuid.UUID(here.plot), late)
        else:
            await change_producer(tx, me, uuid.UUID(here.producer), kind="household")
            await tx.flush()
        published = asyncio.create_task(shop.post(f"/lots/{code}/publish"))

        async def waiting() -> bool:
            async with shop.running.tx() as watching:
                return bool(await watching.scalar(sa.text(waits))) or published.done()

        await eventually(waiting)
    ok(await published)
    assert [(lot.traceable, lot.cooperative) for lot in await here.told(code)] == [
        (False, True) if meanwhile == "spray" else (True, False)
    ]


async def test_no_more_is_shipped_than_was_packed_and_nothing_before_it(shop: Shop) -> None:
    here = await farm(shop)
    code = await here.lot()
    ok(await here.step(code, quantity=1000.125))
    refused(await here.step(code, "shipping", at=at(HARVEST, 14)), 422, field="at")
    body = refused(await here.step(code, "shipping", quantity=1000.126), 422, field="quantity")
    assert "(1.000,125)" in body["errors"][0]["message"]
    ok(await here.step(code, "shipping", at=at(HARVEST, 16), quantity=1000))
    refused(await here.step(code, "closing"), 422, field="at")
    ok(await here.step(code, "shipping", at=at(HARVEST, 16)))
    closed = ok(await here.step(code, "closing", at=at(HARVEST, 16)))
    assert [step["quantity"] for step in closed["steps"]][1:] == [1000.125, 1000, 0.125, 1000.125]


async def test_steps_sent_twice_and_out_of_turn_are_refused(shop: Shop) -> None:
    here = await farm(shop)
    code = await here.lot()
    refused(await here.step(code, "shipping"), 409, "lot_not_packed")
    refused(await here.step(code, "closing"), 409, "lot_step_not_possible")
    for kind in ("harvest", "recall", "lifting"):
        refused(await here.step(code, kind), 422, field="kind")
    refused(await here.step(code, at=at(HARVEST - timedelta(days=1))), 422, field="at")
    refused(await here.step(code, at=at(TODAY + timedelta(days=1))), 422, field="at")
    answers = await asyncio.gather(*(here.step(code) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    refused(await here.step(code), 409, "lot_already_packed")
    ok(await here.step(code, "shipping", quantity=10))
    refused(await here.step(code, "shipping", quantity=10), 409, "lot_step_repeated")
    ok(await shop.post(f"/lots/{code}/publish"))
    refused(await shop.post(f"/lots/{code}/publish"), 409, "lot_already_published")
    step = {"kind": "shipping", "at": at(HARVEST, 16), "place": "Chợ Mũ"}
    refused(await shop.post(f"/lots/{code}/steps", step, shop.rival), 403)


async def test_a_recall_is_never_one_step_too_many(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MAX_STEPS", 2)
    here = await farm(shop)
    code = await here.lot()
    ok(await here.step(code))
    refused(await here.step(code, "shipping"), 409, "too_many_lot_steps")
    ok(await shop.post(f"/lots/{code}/recall", {"reason": "Mẫu thử vượt mức dư lượng."}))


async def test_a_recall_warns_of_what_was_not_even_published_and_only_staff_lift_it(shop: Shop) -> None:
    here = await farm(shop)
    code = await here.lot()
    refused(await shop.get(f"/lots/{code}"), 404)
    refused(await shop.post(f"/lots/{code}/recall", {"reason": "ngắn"}), 422, field="reason")
    ok(await shop.post(f"/lots/{code}/recall", {"reason": "Mẫu thử vượt mức dư lượng."}))
    refused(await shop.post(f"/lots/{code}/recall", {"reason": "Lần nữa thôi."}), 409, "lot_step_not_possible")
    seen = ok(await shop.get(f"/lots/{code}"))
    assert (seen["status"], seen["steps"][-1]["reason"]) == ("recalled", "Mẫu thử vượt mức dư lượng.")
    refused(await here.step(code), 409, "lot_step_not_possible")
    lift = {"reason": "Mẫu đối chứng đạt."}
    refused(await shop.post(f"/lots/{code}/lift-recall", lift), 403)
    assert ok(await shop.post(f"/lots/{code}/lift-recall", lift, shop.officer))["status"] == "open"
    refused(await shop.post(f"/lots/{code}/lift-recall", lift, shop.officer), 409, "lot_step_not_possible")
    seen = ok(await shop.get(f"/lots/{code}"))
    assert [step["kind"] for step in seen["steps"]] == ["harvest", "recall", "lifting"], "nothing is forgotten"
    assert [step["by_staff"] for step in seen["steps"]] == [False, False, True]
    assert [lot.status for lot in await here.told(code)] == ["recalled", "open"]
    async with shop.running.tx() as tx:
        query = sa.text("SELECT action FROM audit WHERE target = :id ORDER BY id")
        acts = await tx.scalars(query, {"id": await here.id_of(code)})
        assert list(acts) == ["lot.recalled", "lot.recall_lifted"]


async def test_what_a_producer_is_changes_what_its_lots_tell(shop: Shop) -> None:
    here = await farm(shop)
    code = await here.packed()
    ok(await shop.client.patch(f"{BASE}/producers/{here.producer}", json={"kind": "household"}, headers=shop.producer))
    assert [lot.cooperative for lot in await here.told(code)] == [True, False]


async def test_plots_and_lots_follow_their_village(shop: Shop) -> None:
    here = await farm(shop)
    code = await here.lot()

    async def paths() -> set[str]:
        async with shop.running.tx() as tx:
            of_lot, of_plot = (
                "SELECT path || ' ' || commune FROM " + of for of in ("lot WHERE code = :code", "plot WHERE id = :plot")
            )
            query = sa.text(f"{of_lot} UNION {of_plot}")
            return set(await tx.scalars(query, {"code": code, "plot": uuid.UUID(here.plot)}))

    for moved in (replace(DUNG, parent=FOREIGN.code, path=f"{FOREIGN.path}/{DUNG.code}"), DUNG):
        async with shop.running.tx() as tx:
            await relocate(tx, moved)
        assert await paths() == {f"{moved.path} {moved.commune}"}


BAD_ENTRIES: dict[str, tuple[dict[str, Any], str]] = {
    "tomorrow": ({"day": day(TODAY + timedelta(days=1)), "work": "watering"}, "day"),
    "long ago": ({"day": "2001-01-01", "work": "watering"}, "day"),
    "pesticide without a name": ({"day": day(TODAY), "work": "pesticide", "quiet_days": 3}, "product"),
    "pesticide without quiet days": ({"day": day(TODAY), "work": "pesticide", "product": "A"}, "quiet_days"),
    "households unnamed": ({"day": day(TODAY), "work": "watering", "done_by": "households"}, "households"),
    "unknown work": ({"day": day(TODAY), "work": "magic"}, "work"),
    "minus households": ({"day": day(TODAY), "work": "watering", "households": -1}, "households"),
    "control": ({"day": day(TODAY), "work": "watering", "note": "a\u0007b"}, "note"),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
async def test_a_wrong_line_is_refused_with_its_field(shop: Shop, case: str) -> None:
    body, field = BAD_ENTRIES[case]
    here = await farm(shop)
    refused(await shop.post(f"/plots/{here.plot}/diary", body), 422, field=field)
    assert ok(await shop.get(f"/plots/{here.plot}/diary", shop.producer))["items"] == []


async def test_a_wrong_lot_is_refused_with_its_field(shop: Shop) -> None:
    here, other = await farm(shop), await farm(shop)
    later, earlier = day(TODAY + timedelta(days=1)), day(SEASON - timedelta(days=700))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"plots": []}, "plots"),
        ({"plots": [str(uuid.uuid4())]}, "plots"),
        ({"plots": [other.plot]}, "plots"),
        ({"product_id": str(uuid.uuid4())}, "product_id"),
        ({"harvested_on": later}, "harvested_on"),
        ({"season_from": later}, "season_from"),
        ({"season_from": earlier}, "season_from"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": 1e12}, "quantity"),
        ({"quantity": "1.0001"}, "quantity"),
        ({"uom": "bushel"}, "uom"),
        ({"gtin": "8931234567890"}, "gtin"),
        ({"gtin": "không"}, "gtin"),
        ({"quantity": "1.250,5"}, "quantity"),
    ]
    for changed, field in wrong:
        refused(await shop.post("/lots", here.lot_body(**changed)), 422, field=field)
    assert ok(await shop.get(f"/lots?producer={here.producer}", shop.producer))["items"] == []
    # A program writes a quarter as it reads it from its own database; only people group by thousands with a point.
    made = ok(await shop.get(f"/lots/{await here.lot(quantity='1.250')}", shop.producer))
    assert made["quantity"] == 1.25


async def test_plots_lie_in_the_producers_commune(shop: Shop) -> None:
    here = await farm(shop)
    for unit in (FAR.code, HOME.code, "99999"):
        body = {"producer_id": here.producer, "name": "Bãi Dưới", "unit": unit}
        refused(await shop.post("/plots", body), 422, field="unit")
    refused(await shop.post("/plots", {"producer_id": here.producer, "name": "", "unit": unit}), 422, field="name")


async def test_who_sees_what_is_not_published(shop: Shop) -> None:
    here = await farm(shop)
    hidden, open_ = await here.lot(), await here.packed()
    insiders, outsiders = (shop.producer, shop.officer, shop.viewer), (shop.rival, shop.stranger, {})
    for who in (*insiders, *outsiders):
        for question in (f"producer={here.producer}", f"producer={here.producer}&unit={HOME.code}"):
            found = [lot["code"] for lot in ok(await shop.get(f"/lots?{question}", who))["items"]]
            assert found == ([open_, hidden] if who in insiders else [open_])
    refused(await shop.get(f"/lots/{hidden}", shop.stranger), 404)
    async with shop.running.tx() as tx:
        assert await queries.lots(tx, path=HOME.path[:-1], everything=True, limit=1) == [], "a path is no prefix"
    # What the head of a village finds in the list of the village opens, too; the producer is registered on the commune.
    for village, status in ((DUNG, 200), (AN, 404)):
        assert (await shop.get(f"/lots/{hidden}", bearer(("village_head", village.path)))).status_code == status
    first = ok(await shop.get(f"/lots?producer={here.producer}&limit=1", shop.officer))
    rest = ok(await shop.get(f"/lots?producer={here.producer}&limit=1&after={first['next']}", shop.officer))
    assert [first["items"][0]["code"], rest["items"][0]["code"], rest["next"]] == [open_, hidden, None]
    assert ok(await shop.get(f"/lots?unit={FOREIGN.code}"))["items"] == []


async def test_staff_write_for_a_producer_with_a_trace(shop: Shop) -> None:
    here = await farm(shop)
    entry = {"day": day(TODAY), "work": "watering"}
    written = ok(await shop.post(f"/plots/{here.plot}/diary", entry, shop.officer), 201)
    assert written["by_staff"] is True
    async with shop.running.tx() as tx:
        query = sa.text("SELECT count(*) FROM audit WHERE target = :id AND action = 'diary.written'")
        assert await tx.scalar(query, {"id": written["id"]}) == 1


def line(day_: date, work: Work = Work.WATERING, *, quiet_days: int = 0, struck: bool = False) -> DiaryEntry:
    struck_at = now() if struck else None
    return DiaryEntry(plot_id=PLOT.id, day=day_, work=work.value, quiet_days=quiet_days, struck_at=struck_at)


PLOT = Plot(id=uuid.uuid4())
BEFORE = SEASON - timedelta(days=1)


@pytest.mark.parametrize(
    ("entries", "counted", "traceable"),
    [
        ([line(SEASON)], 1, True),
        ([line(HARVEST)], 1, True),
        ([line(BEFORE)], 0, False),
        ([line(HARVEST + timedelta(days=1))], 0, False),
        ([line(SEASON, struck=True)], 0, False),
        ([line(HARVEST, Work.HARVEST)], 1, False),
        ([line(SEASON), line(BEFORE, Work.PESTICIDE, quiet_days=365)], 1, False),
        ([line(SEASON), line(BEFORE, Work.PESTICIDE, quiet_days=365, struck=True)], 1, True),
    ],
)
def test_a_lot_is_traceable_by_work_of_its_season(entries: list[DiaryEntry], counted: int, traceable: bool) -> None:
    packing = LotStep(kind=Step.PACKING.value)
    lot = Lot(season_from=SEASON, harvested_on=HARVEST, plots=[PLOT], steps=[packing])
    standing = queries.standing_of(lot, entries)
    assert (standing.counted, standing.traceable) == (counted, traceable)
    lot.steps.clear()
    assert not queries.standing_of(lot, entries).traceable


def test_the_life_of_a_lot_is_the_table() -> None:
    possible = {(status, step) for status in LotStatus for step in Step if (status, step) in TRANSITIONS}
    for status in LotStatus:
        for step in Step:
            if (status, step) in possible:
                assert after(status, step) in LotStatus
            else:
                with pytest.raises(StepNotPossible):
                    after(status, step)
    assert {status for status, step in possible if step is Step.RECALL} == set(LotStatus) - {LotStatus.RECALLED}


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("8936012345674", "08936012345674"),
        ("4012345999990", "04012345999990"),
        ("96385074", "00000096385074"),
        ("036000291452", "00036000291452"),
        ("893 6012 345674", "08936012345674"),
        ("8936012345675", None),
        ("00000000", None),
        ("89360123456", None),
        ("٤٠١٢٣٤٥٩٩٩٩٩٠", None),
        ("", None),
    ],
)
def test_gtins_are_checked(typed: str, whole: str | None) -> None:
    assert gtin_of(typed) == whole
