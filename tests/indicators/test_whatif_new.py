"""What would be if there were more of them: households, products, cameras that nobody has reported yet."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.units import Unit
from services.indicators.answers import standing
from services.indicators.calculation.engine import Fact, Ratio
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API, ask, of_entity, record, row, said
from tests.indicators.test_events import camera, product
from tests.indicators.test_whatif import OFFICER, SET, rows_of
from tests.indicators.test_whatif_things import of_households, page_of
from tests.support.running import bearer, commune, ladder, village

FIBRE = {"attribute": "household.fibre", "value": {"flag": True}}
NONE = {"attribute": "household.fibre", "value": {"flag": False}}
MODEL = "hd-1414-ntm-model-4.7"
LISTED = {"attribute": "product.sale", "value": {"state": "key_listed"}}
_ids = itertools.count(1)


def new(count: int, *attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    kind = more.pop("kind", attributes[0]["attribute"].partition(".")[0] if attributes else "household")
    return {"new_things": {"kind": kind, "count": count, "attributes": list(attributes), **more}}


async def supposed(stage: Stage, unit: Unit, *changes: dict[str, Any], code: str = "288.5") -> dict[str, Any]:
    answer = await ask(stage, unit, SET, {"changes": list(changes)}, headers=OFFICER)
    assert answer.status_code == 200, answer.text
    return row(answer.json(), code)


async def test_new_households_are_counted_above_and_below_and_nothing_is_stored(stage: Stage) -> None:
    unit = await of_households(stage, 7, 3)
    before = await rows_of(stage)
    three = await supposed(stage, unit, new(3, FIBRE))
    assert (three["before"]["value"], three["after"]["value"]) == (
        {"numerator": 7, "denominator": 10},
        {"numerator": 10, "denominator": 13},
    )
    assert (three["after"]["status"], three["least"]["effort"]) == ("unmet", 1)
    six = await supposed(stage, unit, new(5, FIBRE), new(1, FIBRE))
    assert (six["after"]["value"], six["after"]["status"]) == ({"numerator": 13, "denominator": 16}, "met")
    poorer = await supposed(stage, unit, new(4, NONE))
    assert poorer["after"]["value"] == {"numerator": 7, "denominator": 14}
    (step,) = poorer["least"]["steps"]
    # They could be counted too, but have no id to be asked back by.
    assert (step["entities_total"], len(step["entities"]), step["more"]) == (7, 3, 5)
    assert await rows_of(stage) == before


async def test_new_ones_stand_beside_known_ones_and_figures(stage: Stage) -> None:
    unit = await of_households(stage, 5, 5)
    known = {**FIBRE, "entity": "H-6"}
    found = await supposed(stage, unit, known, new(2, FIBRE), {"measure": "village.fibre_households", "more": 1})
    assert found["after"]["value"] == {"numerator": 9, "denominator": 12}


async def test_a_register_that_knows_of_more_stays_the_total(stage: Stage) -> None:
    unit = await stage.new_village()
    facts = [of_entity(unit, "household.fibre", f"H-{n}", n <= 8) for n in range(1, 11)]
    await record(stage, said(unit, "village.households", 20), *facts)
    found = await supposed(stage, unit, new(5, FIBRE))
    assert found["after"]["value"] == {"numerator": 13, "denominator": 20}
    (step,) = found["least"]["steps"]
    assert (step["entities_total"], step["unreported"]) == (2, 5)


async def test_the_first_thing_of_its_kind(stage: Stage) -> None:
    """Nobody has said anything of products there: the first key product that is listed meets the row."""
    unit = await stage.new_village()
    found = await supposed(stage, unit, new(1, LISTED), code="288.9")
    assert (found["before"]["status"], found["after"]["status"]) == ("no_data", "met")
    assert found["after"]["value"] == {"numerator": 1, "denominator": 1}


KINDS: dict[str, tuple[str, list[Any]]] = {
    "household.fibre": ("household", [True, False]),
    "person.mobile_internet": ("person", [True, False]),
    "area.signal": ("area", [True, False]),
    "product.sale": ("product", ["key_listed", "key_unlisted", "sold_online", "other"]),
    "camera.watch": ("camera", ["public_place", "main_road", "dark", "retired"]),
    "loudspeaker.service": ("loudspeaker", ["working", "silent", "analogue", "retired"]),
    "team.activity": ("digital_team", ["logged", "none"]),
    "petition.answer": ("petition", ["answered", "open"]),
}


def told(unit: Unit, attribute: str, value: Any, source: str) -> Fact:
    return of_entity(unit, attribute, f"T-{next(_ids)}", value, source=source)


def some(chance: random.Random, unit: Unit, sources: dict[str, list[str]]) -> list[Fact]:
    """Things that are known already: each kind from no, one or two sources."""
    facts = []
    for attribute, (_, values) in KINDS.items():
        sources[attribute] = chance.sample(["vienthong", "vnpt"], chance.randint(0, 2))
        for source in sources[attribute]:
            facts += [told(unit, attribute, chance.choice(values), source) for _ in range(chance.randint(1, 6))]
    return facts


def stated(value: Any) -> dict[str, Any]:
    return {"flag": value} if isinstance(value, bool) else {"state": value}


@pytest.mark.parametrize("seed", range(12))
async def test_it_is_what_would_come_of_their_being_reported(stage: Stage, seed: int) -> None:
    """Whatever is known and whatever is new: the answer is the sheet that the same facts make once they are told."""
    chance = random.Random(seed)
    unit = await stage.new_village()
    sources: dict[str, list[str]] = {}
    known = some(chance, unit, sources)
    if chance.random() < 0.5:
        known.append(said(unit, "village.households", chance.randint(1, 30)))
    await record(stage, *known)
    changes, facts = [], []
    for attribute in chance.sample(sorted(KINDS), chance.randint(1, 5)):
        kind, values = KINDS[attribute]
        value, count = chance.choice(values), chance.randint(1, 7)
        changes.append(new(count, {"attribute": attribute, "value": stated(value)}, kind=kind))
        facts += [told(unit, attribute, value, s) for s in sources[attribute] or ["somebody"] for _ in range(count)]
    before = await rows_of(stage)
    answer = await ask(stage, unit, SET, {"changes": changes}, headers=OFFICER)
    assert answer.status_code == 200, answer.text
    assert await rows_of(stage) == before
    await record(stage, *facts)
    sheet = (await stage.client.get(f"{API}/units/{unit.code}/sets/{SET}")).json()
    supposed_rows = [(one["code"], one["after"]["status"], one["after"]["value"]) for one in answer.json()["items"]]
    assert supposed_rows == [(one["code"], one["status"], one["value"]) for one in sheet["items"]]
    assert (answer.json()["after"]["met"], answer.json()["after"]["status"]) == (sheet["met"], sheet["status"])


async def test_it_is_what_the_events_of_a_service_would_make(stage: Stage) -> None:
    unit = await stage.new_village()
    await stage.tell(stage.event(product(unit, f"rice-{unit.code}", 0), f"rice-{unit.code}"))
    watch = {"attribute": "camera.watch", "value": {"state": "main_road"}}
    changes = [new(2, LISTED), new(1, watch), new(1, {**watch, "value": {"state": "public_place"}})]
    answer = await ask(stage, unit, SET, {"changes": changes}, headers=OFFICER)
    await stage.tell(
        *(stage.event(product(unit, f"{n}-{unit.code}", 1), f"{n}-{unit.code}") for n in ("tea", "lychee")),
        *(
            stage.event(camera(unit, f"{place}-{unit.code}", place), f"{place}-{unit.code}")
            for place in ("main_road", "public_place")
        ),
    )
    sheet = (await stage.client.get(f"{API}/units/{unit.code}/sets/{SET}")).json()
    for code, status in (("288.9", "unmet"), ("288.4", "met")):
        then, now = row(answer.json(), code)["after"], row(sheet, code)
        assert (then["status"], then["value"]) == (now["status"], now["value"])
        assert now["status"] == status


async def of_its_own(stage: Stage, code: str) -> tuple[Unit, Unit, Unit]:
    """A commune of which nothing is known, and its two villages."""
    here = commune(code)
    both = [village(here, n, f"Thôn {n}") for n in (1, 2)]
    await stage.running.enter_units(here, *both)
    return here, both[0], both[1]


async def test_a_commune_counts_new_things_of_its_own_and_of_its_villages(stage: Stage) -> None:
    here, _, second = await of_its_own(stage, "11077")
    working = {"attribute": "loudspeaker.service", "value": {"state": "working"}}
    for where in ({}, {"unit": here.code}, {"unit": second.code}):
        answer = await ask(stage, here, MODEL, {"changes": [new(1, working, **where)]}, headers=OFFICER)
        assert answer.status_code == 200, answer.text
        found = row(answer.json(), "g9")
        assert (found["before"]["status"], found["after"]["status"]) == ("no_data", "met"), where


async def test_a_village_of_the_commune_asked_about(stage: Stage) -> None:
    """Households in a village change the commune's share just as their being reported would."""
    here, first, second = await of_its_own(stage, "11080")
    await record(stage, said(first, "village.fibre_households", Ratio(1, 2)))
    await record(stage, *(told(second, "household.fibre", n < 2, "vienthong") for n in range(5)))
    await record(stage, said(here, "commune.fibre_agencies", Ratio(1, 1)))
    for count, status in ((5, "unmet"), (15, "met")):
        change = new(count, FIBRE, unit=second.code)
        answer = await ask(stage, here, MODEL, {"changes": [change]}, headers=OFFICER)
        assert answer.status_code == 200, answer.text
        found = row(answer.json(), "s3")
        assert (found["before"]["status"], found["after"]["status"]) == ("unmet", status)
    await record(stage, *(told(second, "household.fibre", True, "vienthong") for _ in range(15)))
    await stage.settle()
    sheet = (await stage.client.get(f"{API}/units/{here.code}/sets/{MODEL}")).json()
    changed = [one for one in answer.json()["items"] if one["changed"]]
    assert {one["code"] for one in changed} == {"s3"}
    for one in changed:
        now = row(sheet, one["code"])
        assert (one["after"]["status"], one["after"]["value"]) == (now["status"], now["value"])


OCOP = "hd-1414-ntm-advanced-8"
PLAN = "tuky-2025"


async def presenting(stage: Stage, code: str) -> Unit:
    """A commune that meets row 8.4: both its products of OCOP are on a floor."""
    here, _, _ = await of_its_own(stage, code)
    for measure in ("dossiers_online", "officials_digital_training", "people_digital_training", "digital_addresses"):
        await record(stage, said(here, f"commune.{measure}", Ratio(9, 9), origin="staff", source=f"staff.{code}"))
    staff = {"origin": "staff", "source": f"staff.{code}"}
    await record(stage, said(here, "commune.satisfaction_survey_app", True, **staff))
    await record(stage, *(told(here, "product.ocop", "on_floor", "ecommerce") for _ in range(2)))
    return here


async def test_a_district_asks_about_new_things_in_one_of_its_communes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A product of OCOP on no floor takes its commune out of those that present all of theirs."""
    here = await presenting(stage, "11083")
    district = ladder()[1]
    await stage.settle()
    change = new(1, {"attribute": "product.ocop", "value": {"state": "off_floor"}}, unit=here.code)
    before = await rows_of(stage)
    answer = await ask(stage, district, PLAN, {"changes": [change]}, headers=bearer(("officer", "30/298")))
    assert answer.status_code == 200, answer.text
    assert await rows_of(stage) == before
    found = row(answer.json(), "3b")
    counts = [found[side]["value"]["numerator"] for side in ("before", "after")]
    assert counts[0] - counts[1] == 1
    # Nobody counts them of the district itself, and of no unit that is not there.
    for wrong in ("99999", None):
        elsewhere = {"new_things": {**change["new_things"], "unit": wrong}}
        refused = await ask(stage, district, PLAN, {"changes": [elsewhere]})
        assert [e["field"] for e in refused.json()["errors"]] == ["changes.0.new_things.unit"]
    monkeypatch.setattr(standing, "MOST_UNITS", 0)
    large = await ask(stage, district, PLAN, {"changes": [change]})
    assert (large.status_code, large.json()["errors"][0]["message"]) == (
        422, "Có quá nhiều đơn vị bên dưới để thử ở đây: hãy thử ở chính đơn vị đó.",
    )  # fmt: skip
    monkeypatch.undo()
    await record(stage, told(here, "product.ocop", "off_floor", "ecommerce"))
    asked = {"as_of": datetime.now(UTC).isoformat()}
    sheet = (await stage.client.get(f"{API}/units/298/sets/{PLAN}", params=asked)).json()
    now = [(one["code"], one["status"], one["value"]) for one in sheet["items"]]
    assert [(one["code"], one["after"]["status"], one["after"]["value"]) for one in answer.json()["items"]] == now


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (new(0, FIBRE), "changes.0.new_things.count"),
        (new(1_000_001, FIBRE), "changes.0.new_things.count"),
        (new(1), "changes.0.new_things.attributes"),
        (new(1, FIBRE, kind="spaceship"), "changes.0.new_things.kind"),
        (new(1, FIBRE, kind="unit"), "changes.0.new_things.kind"),
        (new(1, FIBRE, kind="product"), "changes.0.new_things.attributes.0.attribute"),
        (new(1, FIBRE, FIBRE), "changes.0.new_things.attributes.1.attribute"),
        (new(1, {**FIBRE, "attribute": "no.such"}, kind="household"), "changes.0.new_things.attributes.0.attribute"),
        (new(1, {**FIBRE, "value": {"state": "on"}}), "changes.0.new_things.attributes.0.value"),
        (new(1, {**FIBRE, "value": {"count": 1}}), "changes.0.new_things.attributes.0.value"),
        (new(1, {"attribute": "household.fibre"}), "changes.0.new_things.attributes.0.value"),
        (new(1, {**LISTED, "attribute": "product.ocop"}), "changes.0.new_things.attributes.0.attribute"),
        (new(1, FIBRE, unit="99999"), "changes.0.new_things.unit"),
        (new(1, FIBRE, unit="11074"), "changes.0.new_things.unit"),
        (new(1, FIBRE, unit="a\u0000"), "changes.0.new_things.unit"),
        ({**new(1, FIBRE), "more": 1}, "changes.0"),
        ({**new(1, FIBRE), "gone": True}, "changes.0"),
        ({**new(1, FIBRE), "measure": "village.fibre_households"}, "changes.0"),
        ({"new_things": None}, "changes.0"),
    ],
)
async def test_new_things_that_cannot_be_are_refused_with_their_place(
    stage: Stage, change: dict[str, Any], field: str
) -> None:
    unit = await of_households(stage, 1, 0)
    answer = await ask(stage, unit, SET, {"changes": [change]}, headers=OFFICER)
    assert answer.status_code == 422, answer.text
    assert any(error["field"].startswith(field) for error in answer.json()["errors"]), answer.text


async def test_households_are_counted_in_villages_so_a_commune_must_name_one(stage: Stage) -> None:
    """Without a village they would be counted nowhere, which would look like an answer."""
    answer = await ask(stage, stage.commune, MODEL, {"changes": [new(1, FIBRE)]}, headers=OFFICER)
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == ["changes.0.new_things.unit"]


async def test_everybody_may_suppose_new_things_but_not_known_ones(stage: Stage) -> None:
    unit = await of_households(stage, 4, 1)
    for who in ({}, bearer(("resident", "30/298/11074"))):
        answer = await ask(stage, unit, SET, {"changes": [new(1, FIBRE)]}, headers=who)
        assert answer.status_code == 200
        assert row(answer.json(), "288.5")["after"]["value"] == {"numerator": 5, "denominator": 6}


async def test_the_page_asks_for_new_things_where_they_are_counted(stage: Stage) -> None:
    unit = await of_households(stage, 8, 2)
    plain = (await page_of(stage, unit, {})).text
    assert 'name="new:village.fibre_households"' in plain
    assert "Thêm bao nhiêu hộ mới?" in plain
    assert "Đều được ghi nhận: Hộ được phủ cáp quang (có)." in plain
    # Of hearing the loudspeakers only shares are told, not single clusters.
    assert 'name="new:village.audible_area"' not in plain
    fields = {"new:village.fibre_households": "1", "new:village.key_products_online": "2"}
    then = (await page_of(stage, unit, fields)).text
    assert "nếu như vậy sẽ đạt 2/9" in then
    assert 'name="new:village.fibre_households" inputmode="numeric" maxlength="7" value="1"' in then
    english = (await page_of(stage, unit, {**fields, "lang": "en"})).text
    assert "How many new households?" in english
    stage.client.cookies.clear()
    for wrong in ("0", "-1", "x", "1.5", "9999999"):
        refused = (await page_of(stage, unit, {"new:village.fibre_households": wrong})).text
        assert "Phải là số nguyên từ 1 đến 1.000.000." in refused
        assert "nếu như vậy" not in refused
    for subject in ("no.such", "village.audible_area"):
        refused = (await page_of(stage, unit, {f"new:{subject}": "1"})).text
        assert "Chưa tính được" in refused


async def test_what_is_told_of_whole_villages_is_not_overtaken_on_the_page(stage: Stage) -> None:
    """Three households counted one by one would stand before 180 of 240 told as a whole: the page does not offer it."""
    unit = await stage.new_village()
    await record(stage, said(unit, "village.fibre_households", Ratio(180, 240)))
    assert 'name="new:village.fibre_households"' not in (await page_of(stage, unit, {})).text


@pytest.mark.parametrize("order", [("1", ""), ("", "1"), ("1", " ")])
async def test_a_field_that_two_rows_share_is_not_lost_where_one_of_them_was_left_empty(
    stage: Stage, order: tuple[str, str]
) -> None:
    """A browser sends every field of the form: the empty one of another row takes nothing back."""
    unit = await of_households(stage, 8, 2)
    address = f"/indicators/units/{unit.code}/what-if"
    sent = [("set", SET), *(("new:village.fibre_households", value) for value in order)]
    then = await stage.client.get(address, params=sent, headers={"accept": "text/html"})
    assert then.status_code == 200
    assert "nếu như vậy sẽ đạt 1/9" in then.text
    assert 'name="new:village.fibre_households" inputmode="numeric" maxlength="7" value="1"' in then.text
