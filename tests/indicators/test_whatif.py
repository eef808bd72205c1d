"""What would be: other figures and targets laid over a sheet, what would do, and that nothing of it is stored."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from services.indicators.criteria.figures import Ratio
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import ask, of_entity, record, row, said
from tests.indicators.test_events import camera, product
from tests.support.running import bearer

SET = "hd-288-2023"
OFFICER = bearer(("officer", "30/298/11074"))


async def rows_of(stage: Stage) -> dict[str, str]:
    async with stage.running.tx() as tx:
        names = await tx.scalars(sa.text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"))
        return {
            name: (
                await tx.execute(sa.text(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} t"))
            ).scalar_one()
            for name in names
            if name != "idempotency"
        }


async def test_more_households_turn_the_row_and_nothing_is_stored(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(stage, said(unit, "village.fibre_households", Ratio(180, 240)))
    before = await rows_of(stage)
    now = row((await ask(stage, unit, SET, {})).json(), "288.5")
    assert (now["before"]["status"], now["changed"], now["least"]["effort"]) == ("unmet", False, 13)
    for more, status in ((12, "unmet"), (13, "met")):
        body = {"changes": [{"measure": "village.fibre_households", "more": more}]}
        answer = (await ask(stage, unit, SET, body)).json()
        found = row(answer, "288.5")
        assert (found["before"]["status"], found["after"]["status"]) == ("unmet", status)
        assert found["after"]["value"] == {"numerator": 180 + more, "denominator": 240}
        assert (answer["before"]["met"], answer["after"]["met"]) == (0, int(status == "met"))
        assert found["least"]["effort"] == 13 - more
    assert await rows_of(stage) == before


async def test_another_target_is_tried_on_the_same_figures(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(stage, said(unit, "village.fibre_households", Ratio(4, 5)))
    for operator, target, status in (
        (">", "80%", "unmet"),
        (">=", "80%", "met"),
        (">=", "4/5", "met"),
        (">", "0.79", "met"),
    ):
        body = {"targets": [{"item": "288.5", "operator": operator, "target": target}]}
        found = row((await ask(stage, unit, SET, body)).json(), "288.5")
        assert (found["before"]["status"], found["after"]["status"]) == ("unmet", status)
        assert found["after"]["target"]["operator"] == operator


async def test_the_entities_behind_a_figure_are_named_to_those_who_look_after_the_unit(stage: Stage) -> None:
    unit = await stage.new_village()
    await stage.tell(
        stage.event(product(unit, f"tea-{unit.code}", 1), f"tea-{unit.code}"),
        stage.event(product(unit, f"rice-{unit.code}", 0), f"rice-{unit.code}"),
        stage.event(product(unit, f"other-{unit.code}", 0, key=False), f"other-{unit.code}"),
        stage.event(camera(unit, f"c-{unit.code}", "main_road", state="offline"), f"c-{unit.code}"),
    )
    own = (await ask(stage, unit, SET, {}, headers=OFFICER)).json()
    (step,) = row(own, "288.9")["least"]["steps"]
    assert (step["more"], step["entities_total"], step["unit_of_measure"]) == (1, 1, "sản phẩm chủ lực")
    assert [one["entity"] for one in step["entities"]] == [f"rice-{unit.code}"]
    roads = row(own, "288.4")["least"]["steps"]
    assert {one["measure"]: [e["entity"] for e in one["entities"]] for one in roads} == {
        "village.camera_public_place": [f"c-{unit.code}"],
        "village.camera_main_road": [f"c-{unit.code}"],
    }
    for headers in ({}, bearer(("resident", "30/298/11074")), bearer(("officer", "30/298/11077"))):
        (public,) = row((await ask(stage, unit, SET, {}, headers=headers)).json(), "288.9")["least"]["steps"]
        assert (public["entities"], public["entities_total"]) == ([], 1)


async def test_households_a_register_knows_and_nobody_reported_are_told_apart(stage: Stage) -> None:
    unit = await stage.new_village()
    facts = [of_entity(unit, "household.fibre", f"H-{n}", n <= 6) for n in range(1, 9)]
    await record(stage, said(unit, "village.households", 10), *facts)
    (step,) = row((await ask(stage, unit, SET, {}, headers=OFFICER)).json(), "288.5")["least"]["steps"]
    assert step["becomes"] == {"numerator": 9, "denominator": 10}
    assert (step["more"], step["entities_total"], step["unreported"]) == (3, 2, 2)


async def test_villages_below_are_counted_and_the_nearest_named(stage: Stage) -> None:
    near, far = await stage.new_village(), await stage.new_village()
    await record(
        stage,
        said(near, "village.fixed_telephone", False),
        said(far, "village.mobile_telephone", True),
        said(stage.commune, "commune.telecom_standard", True),
    )
    found = row((await ask(stage, stage.commune, "hd-1414-ntm-8", {})).json(), "8.2")
    kinds = {(s["kind"], s["set"], s["item"]): s for s in found["least"]["steps"]}
    phones = kinds["children", "hd-1414-village", "telephone"]
    assert phones["becomes"]["numerator"] == phones["becomes"]["denominator"]
    assert near.code in {one["unit"] for one in phones["nearest"]}
    assert far.code not in {one["unit"] for one in phones["nearest"]}
    total = phones["becomes"]["denominator"]
    body = {
        "changes": [
            {"set": "hd-1414-village", "item": name, "value": {"numerator": total, "denominator": total}}
            for name in ("telephone", "internet")
        ]
    }
    after = row((await ask(stage, stage.commune, "hd-1414-ntm-8", body)).json(), "8.2")
    assert after["after"]["status"] == "met"


async def test_the_cheapest_way_to_another_row_of_the_same_unit_is_told(stage: Stage) -> None:
    found = row((await ask(stage, stage.commune, "mard-2023-eligible-smart", {})).json(), "c1")
    (step,) = found["least"]["steps"]
    assert (step["kind"], step["set"], step["item"]) == ("item", "recognition-commune", "advanced-2021")
    assert step["inner"]["steps"][0]["kind"] == "flag"


async def test_a_target_by_trait_follows_a_changed_trait(stage: Stage) -> None:
    await record(stage, said(stage.commune, "commune.smartphone_subscribers", Ratio(60, 100)))
    sheet = "mard-2023-eligible-smart"
    for terrain, status in (("island", "met"), ("other", "unmet")):
        body = {"changes": [{"measure": "commune.terrain", "value": {"state": terrain}}]}
        answer = await ask(stage, stage.commune, sheet, body)
        assert answer.status_code == 200, answer.text
        assert row(answer.json(), "c5")["after"]["status"] == status


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"changes": [{"measure": "no.such", "more": 1}]}, "changes.0.measure"),
        ({"changes": [{"measure": "village.fibre_households", "value": {"flag": True}}]}, "changes.0.value"),
        (
            {"changes": [{"measure": "village.fibre_households", "value": {"numerator": 6, "denominator": 5}}]},
            "changes.0.value",
        ),
        ({"changes": [{"measure": "village.signal_area", "more": 5}]}, "changes.0.more"),
        ({"changes": [{"set": "hd-1414-village", "item": "telephone", "more": 1}]}, "changes.0.item"),
        ({"changes": [{"measure": "village.fibre_households"}]}, "changes.0"),
        ({"changes": [{"measure": "a\u0000b", "more": 1}]}, "changes.0.measure"),
        ({"changes": [{"measure": "village.fibre_households", "more": 1}] * 201}, "changes"),
        ({"targets": [{"item": "288.99", "operator": ">", "target": "80%"}]}, "targets.0.item"),
        ({"targets": [{"item": "288.2", "operator": ">", "target": "80%"}]}, "targets.0.target"),
        ({"targets": [{"item": "288.5", "operator": "<", "target": "80%"}]}, "targets.0.operator"),
        ({"targets": [{"item": "288.5", "operator": ">", "target": "1/0"}]}, "targets.0.target"),
        ({"targets": [{"item": "288.5", "operator": ">", "target": "nhiều"}]}, "targets.0.target"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_place(stage: Stage, body: dict[str, Any], field: str) -> None:
    unit = await stage.new_village()
    answer = await ask(stage, unit, SET, body)
    assert answer.status_code == 422, answer.text
    assert any(error["field"].startswith(field) for error in answer.json()["errors"]), answer.text


NEW = {"kind": "household", "count": 1}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"value": {"numerator": -1, "denominator": 4}}, "value.ratio.numerator"),
        ({"value": {"numerator": 1}}, "value.ratio.denominator"),
        ({"value": {"flag": "yes"}}, "value.flag.flag"),
        ({"value": {"count": "3"}}, "value.count.count"),
        ({"value": {"state": "x" * 81}}, "value.state.state"),
        ({"value": {"share": 0.5}}, "value"),
        ({"value": 3}, "value"),
        (
            {
                "measure": None,
                "new_things": {**NEW, "attributes": [{"attribute": "household.fibre", "value": {"flag": 1}}]},
            },
            "new_things.attributes.0.value.flag.flag",
        ),
        (
            {
                "measure": None,
                "new_things": {**NEW, "attributes": [{"attribute": "household.fibre", "value": {"count": 1}}]},
            },
            "new_things.attributes.0.value",
        ),
    ],
)
async def test_a_bad_value_is_one_fault_with_its_place(stage: Stage, change: dict[str, Any], field: str) -> None:
    body = {"changes": [{"measure": "village.fibre_households", **change}]}
    answer = await ask(stage, stage.villages[0], SET, body)
    fields = [one["field"] for one in answer.json()["errors"]]
    assert (answer.status_code, fields) == (422, [f"changes.0.{field}"]), answer.text


async def test_a_set_is_supposed_only_where_it_is_judged(stage: Stage) -> None:
    above = await ask(stage, stage.commune, SET, {})
    assert (above.status_code, above.json()["code"]) == (404, "set_not_judged_here")
    assert (await ask(stage, stage.villages[0], "hd-2025", {})).status_code == 404
    assert (await ask(stage, stage.villages[0], "nope", {})).status_code == 404
