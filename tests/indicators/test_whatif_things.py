"""What would be if single things were otherwise: this household, this product; for those who may see their ids."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.units import Unit
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import ask, of_entity, record, row, said
from tests.indicators.test_events import camera, product
from tests.indicators.test_whatif import OFFICER, SET, rows_of
from tests.support.running import bearer

FIBRE = {"attribute": "household.fibre", "value": {"flag": True}}


async def of_households(stage: Stage, yes: int, no: int) -> Unit:
    """A village of which the telecom reported so many households with fibre and so many without."""
    unit = await stage.new_village()
    facts = [of_entity(unit, "household.fibre", f"H-{n}", n <= yes) for n in range(1, yes + no + 1)]
    await record(stage, said(unit, "village.households", yes + no), *facts)
    return unit


async def supposed(stage: Stage, unit: Unit, *changes: dict[str, Any], code: str = "288.5") -> dict[str, Any]:
    answer = await ask(stage, unit, SET, {"changes": list(changes)}, headers=OFFICER)
    assert answer.status_code == 200, answer.text
    return row(answer.json(), code)


async def test_each_household_named_counts_once_and_nothing_is_stored(stage: Stage) -> None:
    unit = await of_households(stage, 7, 3)
    before = await rows_of(stage)
    one = await supposed(stage, unit, {**FIBRE, "entity": "H-8"})
    assert (one["before"]["value"], one["after"]["value"]) == (
        {"numerator": 7, "denominator": 10},
        {"numerator": 8, "denominator": 10},
    )
    assert (one["after"]["status"], one["least"]["effort"]) == ("unmet", 1)
    (step,) = one["least"]["steps"]
    assert {e["entity"] for e in step["entities"]} == {f"{unit.code}/H-9", f"{unit.code}/H-10"}
    assert step["entities_total"] == 2
    # As the answer names it, twice the same, and a further one: two households more, not three.
    three = [{**FIBRE, "entity": name} for name in (f"{unit.code}/H-8", "H-8", "H-9")]
    two = await supposed(stage, unit, *three)
    assert (two["after"]["status"], two["after"]["value"]["numerator"]) == ("met", 9)
    assert await rows_of(stage) == before


async def test_one_less_falls_below_and_one_gone_leaves_the_total(stage: Stage) -> None:
    unit = await of_households(stage, 9, 1)
    lost = await supposed(stage, unit, {"attribute": "household.fibre", "entity": "H-1", "value": {"flag": False}})
    assert (lost["before"]["status"], lost["after"]["status"]) == ("met", "unmet")
    (step,) = lost["least"]["steps"]
    assert (step["entities_total"], step["entities"][0]["entity"]) == (2, f"{unit.code}/H-1")
    gone = await supposed(stage, unit, {"attribute": "household.fibre", "entity": "H-10", "gone": True})
    # The register still knows ten households, of whom nobody reports the tenth.
    assert gone["after"]["value"] == {"numerator": 9, "denominator": 10}


async def test_more_is_counted_on_top_of_single_things(stage: Stage) -> None:
    unit = await of_households(stage, 5, 5)
    more = {"measure": "village.fibre_households", "more": 3}
    both = await supposed(stage, unit, {**FIBRE, "entity": "H-6"}, more)
    assert both["after"]["value"] == {"numerator": 9, "denominator": 10}


async def test_what_is_named_as_a_candidate_can_be_asked_back(stage: Stage) -> None:
    unit = await stage.new_village()
    rice, lost = f"rice-{unit.code}", f"gone-{unit.code}"
    await stage.tell(
        stage.event(product(unit, rice, 0), rice),
        stage.event(product(unit, f"draft-{unit.code}", 0, key=False), f"draft-{unit.code}"),
        stage.event(camera(unit, f"c-{unit.code}", "main_road", state="offline"), f"c-{unit.code}"),
        stage.event(camera(unit, lost, "main_road", retired=True), lost),
    )
    (step,) = (await supposed(stage, unit, code="288.9"))["least"]["steps"]
    (named,) = step["entities"]
    assert (named["entity"], named["counted_by"], named["counts_as"]) == (rice, "product.sale", {"state": "key_listed"})
    asked = {"attribute": named["counted_by"], "entity": named["entity"], "value": named["counts_as"]}
    after = await supposed(stage, unit, asked, code="288.9")
    assert (after["before"]["status"], after["after"]["status"], after["least"]["steps"]) == ("unmet", "met", [])
    cameras = (await supposed(stage, unit, code="288.4"))["least"]["steps"]
    assert {e["entity"] for step in cameras for e in step["entities"]} == {f"c-{unit.code}"}


async def test_only_who_may_see_ids_may_suppose_single_things(stage: Stage) -> None:
    unit = await of_households(stage, 1, 1)
    body = {"changes": [{**FIBRE, "entity": "H-2"}]}
    assert (await ask(stage, unit, SET, body)).status_code == 401
    for stranger in (bearer(("resident", "30/298/11074")), bearer(("officer", "30/298/11077"))):
        known, unknown = [
            await ask(stage, unit, SET, {"changes": [{**FIBRE, "entity": name}]}, headers=stranger)
            for name in ("H-2", "H-99")
        ]
        assert (known.status_code, unknown.status_code) == (403, 403)
        assert known.json()["code"] == unknown.json()["code"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({**FIBRE, "entity": "H-99"}, "changes.0.entity"),
        ({"attribute": "no.such", "entity": "H-1", "value": {"flag": True}}, "changes.0.attribute"),
        ({"attribute": "product.ocop", "entity": "H-1", "value": {"state": "on_floor"}}, "changes.0.attribute"),
        ({"attribute": "household.fibre", "entity": "H-1", "value": {"state": "on"}}, "changes.0.value"),
        ({"attribute": "household.fibre", "entity": "H-1", "value": {"count": 1}}, "changes.0.value"),
        ({"attribute": "household.fibre", "entity": "H-1", "more": 1}, "changes.0"),
        ({"attribute": "household.fibre", "entity": "H-1"}, "changes.0"),
        ({"attribute": "household.fibre", "value": {"flag": True}}, "changes.0"),
        ({**FIBRE, "entity": "H-1", "measure": "village.fibre_households"}, "changes.0"),
        ({"measure": "village.fibre_households", "gone": True}, "changes.0"),
        ({**FIBRE, "entity": "a\u0000"}, "changes.0.entity"),
        ({**FIBRE, "entity": "H" * 201}, "changes.0.entity"),
    ],
)
async def test_a_thing_that_cannot_be_is_refused_with_its_place(
    stage: Stage, change: dict[str, Any], field: str
) -> None:
    unit = await of_households(stage, 1, 0)
    answer = await ask(stage, unit, SET, {"changes": [change]}, headers=OFFICER)
    assert answer.status_code == 422, answer.text
    assert any(error["field"].startswith(field) for error in answer.json()["errors"]), answer.text


async def test_a_thing_of_another_unit_is_not_known_here(stage: Stage) -> None:
    mine, other = await of_households(stage, 0, 1), await of_households(stage, 0, 2)
    body = {"changes": [{**FIBRE, "entity": f"{other.code}/H-2"}]}
    assert (await ask(stage, mine, SET, body, headers=OFFICER)).status_code == 422
    assert (await supposed(stage, mine))["before"]["value"] == {"numerator": 0, "denominator": 1}


PAGE = "/indicators/units/{}/what-if"


async def page_of(stage: Stage, unit: Unit, fields: dict[str, str], **headers: str) -> Any:
    return await stage.client.get(PAGE.format(unit.code), params=fields, headers={"accept": "text/html", **headers})


async def test_the_page_offers_single_things_to_who_looks_after_the_unit(stage: Stage) -> None:
    unit = await of_households(stage, 8, 2)
    rice = f"rice-{unit.code}"
    await stage.tell(stage.event(product(unit, rice, 0), rice))
    plain = (await page_of(stage, unit, {}, **OFFICER)).text
    assert f'name="thing:household.fibre:{unit.code}/H-9" value="true"' in plain
    assert f'href="/ecommerce/products/{rice}"' in plain
    fields = {f"thing:household.fibre:{unit.code}/H-9": "true", f"thing:product.sale:{rice}": "key_listed"}
    then = (await page_of(stage, unit, fields, **OFFICER)).text
    assert "nếu như vậy sẽ đạt 2/9" in then
    assert then.count(" checked>") == 2
    assert f'name="thing:household.fibre:{unit.code}/H-10"' not in then
    wrong = (await page_of(stage, unit, {"thing:household.fibre:H-99": "true"}, **OFFICER)).text
    assert "Chưa tính được" in wrong
    assert "Không có đối tượng mang mã này ở đơn vị." in wrong
    public = (await page_of(stage, unit, {})).text
    assert "H-9" not in public
    assert "thing:" not in public
    stranger = bearer(("resident", "30/298/11074"))
    assert (await page_of(stage, unit, fields, **stranger)).status_code == 403
    assert (await page_of(stage, unit, fields)).status_code in (303, 401)
