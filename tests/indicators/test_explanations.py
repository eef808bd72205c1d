"""Why: a tree a person can follow from the row down to facts, for every kind of rule; ids only where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.indicators.criteria.figures import Ratio
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API, of_entity, record, said
from tests.indicators.test_events import camera, product
from tests.support.running import bearer

SET = "hd-288-2023"
HTML = {"accept": "text/html"}
OFFICER = bearer(("officer", "30/298/11074"))


async def tree(stage: Stage, unit: str, item: str, set_code: str = SET, **more: Any) -> dict[str, Any]:
    headers = more.pop("headers", OFFICER)
    response = await stage.client.get(
        f"{API}/units/{unit}/sets/{set_code}/items/{item}/reasons", headers=headers, params=more
    )
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()["tree"]
    return found


def every(node: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """All nodes of a kind, from the top down."""

    def walk(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield one
        for part in one["nodes"]:
            yield from walk(part)

    return [one for one in walk(node) if one["kind"] == kind]


async def test_a_composed_row_leads_through_its_conditions_to_the_events(stage: Stage) -> None:
    unit = await stage.new_village()
    told = stage.event(camera(unit, f"c-{unit.code}", "main_road"), f"c-{unit.code}")
    await stage.tell(told)
    found = await tree(stage, unit.code, "288.4")
    (both,) = found["nodes"]
    assert (both["kind"], both["status"]) == ("all", "unmet")
    assert [(one["kind"], one["measure"], one["status"]) for one in both["nodes"]] == [
        ("flag", "village.camera_public_place", "unmet"),
        ("flag", "village.camera_main_road", "met"),
    ]
    (source,) = both["nodes"][1]["nodes"]
    assert (source["source_class"], source["source"], source["chosen"], source["why"]) == (
        "counted",
        "media",
        True,
        "only",
    )
    (group,) = source["nodes"]
    assert (group["kind"], group["state"], group["total"]) == ("group", "main_road", 1)
    (fact,) = group["nodes"]
    assert fact["evidence"]["id"] == str(told.id)
    assert fact["evidence"]["type"] == "xaso.media.v1.CameraStateChanged"
    english = await tree(stage, unit.code, "288.4", lang="en")
    assert english["title"].startswith("Security cameras")


async def test_sources_that_disagree_are_all_shown_with_the_one_that_counts(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(
        stage,
        said(unit, "village.fibre_households", Ratio(180, 240)),
        said(
            unit,
            "village.fibre_households",
            Ratio(200, 240),
            source="staff.11074",
            origin="staff",
            cause="document:person.x/1",
        ),
        *(of_entity(unit, "household.fibre", f"H-{n}", True, source="dien-luc") for n in range(12)),
    )
    found = await tree(stage, unit.code, "288.5")
    (ratio,) = found["nodes"]
    assert (ratio["kind"], ratio["target"], ratio["disagrees"]) == ("ratio", "> 80%", True)
    assert [(one["source_class"], one["chosen"], one["why"]) for one in ratio["nodes"]] == [
        ("counted", True, "preferred"), ("partner", False, "weaker"), ("staff", False, "weaker"),
    ]  # fmt: skip
    (group,) = ratio["nodes"][0]["nodes"]
    assert (group["total"], len(group["nodes"])) == (12, 10)
    kinds = [one["evidence"]["kind"] for one in every(ratio, "fact") if one["attribute"] == "village.fibre_households"]
    assert kinds == ["observation", "document"]


async def test_units_below_are_named_with_their_status_and_a_way_to_them(stage: Stage) -> None:
    met, unmet = await stage.new_village(), await stage.new_village()
    await record(
        stage, said(met, "village.fixed_telephone", True), said(unmet, "village.fixed_telephone", False),
        said(unmet, "village.mobile_telephone", False),
    )  # fmt: skip
    found = await tree(stage, "11074", "8.2", "hd-1414-ntm-8")
    phones = next(one for one in every(found, "children") if one["item"] == "telephone")
    units = {one["unit"]: one["status"] for one in phones["nodes"]}
    assert (units[met.code], units[unmet.code]) == ("met", "unmet")
    assert [one["status"] == "met" for one in phones["nodes"]] == sorted(
        one["status"] == "met" for one in phones["nodes"]
    )
    assert phones["total"] == len(phones["nodes"])
    await stage.settle()
    above = await tree(stage, "298", "telephone", "hd-1414-village")
    assert {one["unit"]: one["status"] for one in above["nodes"]}[met.code] == "met"


async def test_a_figure_added_up_from_villages_says_which_are_unknown(stage: Stage) -> None:
    catalogue_measure = "commune.fibre_households"
    known, unknown = await stage.new_village(), await stage.new_village()
    await record(stage, said(known, "village.fibre_households", Ratio(9, 10)))
    found = await tree(stage, "11074", "s3", "hd-1414-ntm-model-4.7")
    sums = [one for one in every(found, "source") if one["source_class"] == "below"]
    assert [one["measure"] for one in sums] == [catalogue_measure]
    (node,) = sums
    assert (node["chosen"], node["why"]) == (False, "unknown_below")
    parts = {one["unit"]: one["value"] for one in node["nodes"]}
    assert parts[unknown.code] is None
    assert parts[known.code] == {"numerator": 9, "denominator": 10}
    assert node["needed"] == sum(value is None for value in parts.values())


async def test_overlays_and_suspensions_stand_in_the_tree(stage: Stage) -> None:
    found = await tree(stage, "11074", "8.4", "hd-1414-ntm-advanced-8")
    (suspended,) = every(found, "suspension")
    assert suspended["document"] == "1414/STTTT-BCVTCNTT, mục 5.1"
    assert suspended["reason"].startswith("UBND tỉnh chưa ban hành")
    assert suspended["nodes"][0]["measure"] == "commune.digital_addresses"
    unit = await stage.new_village()
    order = {"unit": unit.code, "set": SET, "item": "288.2", "reason": "Thay loa.", "document": "CV 9/UBND"}
    assert (
        await stage.client.post(f"{API}/suspensions", json=order, headers=bearer(("admin", "30")))
    ).status_code == 201
    ordered = await tree(stage, unit.code, "288.2")
    assert (ordered["status"], every(ordered, "suspension")[0]["document"]) == ("suspended", "CV 9/UBND")


async def test_a_row_that_looks_at_another_contains_its_reasons(stage: Stage) -> None:
    found = await tree(stage, "11074", "c1", "mard-2023-eligible-smart")
    (either,) = found["nodes"]
    assert (either["kind"], either["needed"]) == ("at_least", 1)
    inner = either["nodes"][0]
    assert (inner["kind"], inner["set"], inner["item"]) == ("item", "recognition-commune", "advanced-2021")
    assert inner["nodes"][0]["kind"] == "flag"


async def test_a_target_by_trait_shows_the_trait(stage: Stage) -> None:
    await record(
        stage,
        said(stage.commune, "commune.terrain", "island", origin="staff", source="staff.11074"),
        said(stage.commune, "commune.smartphone_subscribers", Ratio(1, 2)),
    )
    found = await tree(stage, "11074", "c5", "mard-2023-eligible-smart")
    assert found["status"] == "met"
    (trait,) = every(found, "trait")
    assert trait["value"] == {"state": "island"}


@pytest.mark.parametrize("who", [{}, bearer(("resident", "30/298/11074")), bearer(("officer", "30/298/11077"))])
async def test_everybody_sees_the_reasons_and_only_those_who_look_after_the_unit_the_ids(
    stage: Stage, who: dict[str, str]
) -> None:
    unit = await stage.new_village()
    secret = f"ma-may-anh-{unit.code}"
    event = stage.event(camera(unit, secret, "main_road"), secret)
    await stage.tell(event, stage.event(product(unit, f"lua-{unit.code}", 0), f"lua-{unit.code}"))
    body = {
        "unit": unit.code, "measure": "village.signal_area", "value": {"numerator": 3, "denominator": 3},
        "evidence": {"text": "Ông A ở đầu thôn nói", "document": "12/BB-UBND"},
    }  # fmt: skip
    assert (await stage.client.post(f"{API}/observations", json=body, headers=OFFICER)).status_code == 201
    for row, hidden, shown in (
        ("288.4", (secret, str(event.id)), "Đếm từng đối tượng"),
        ("288.9", (f"lua-{unit.code}",), "1 đối tượng"),
        ("288.8", ("Ông A", "person."), "12/BB-UBND"),
    ):
        answers = {}
        for name, headers in (("own", OFFICER), ("other", who)):
            path = f"{API}/units/{unit.code}/sets/{SET}/items/{row}"
            reasons = await stage.client.get(f"{path}/reasons", headers=headers)
            flat = await stage.client.get(f"{path}/explanation", headers=headers)
            page = await stage.client.get(f"/indicators/units/{unit.code}/items/{row}", headers={**HTML, **headers})
            assert (reasons.status_code, flat.status_code, page.status_code) == (200, 200, 200)
            answers[name] = (reasons, flat, page)
        for word in hidden:
            assert word in answers["own"][2].text, word
            # The sheet itself names the event of the last change, which an explanation repeats.
            for answer in answers["other"]:
                text = (
                    answer.text.replace(answer.json()["item"]["because"], "")
                    if answer is answers["other"][1]
                    else answer.text
                )
                assert word not in text, (word, answer.url)
        assert shown in answers["other"][2].text
        assert answers["other"][0].json()["reduced"] is True
        assert [one["status"] for one in every(answers["own"][0].json()["tree"], "flag")] == [
            one["status"] for one in every(answers["other"][0].json()["tree"], "flag")
        ]


async def test_the_page_says_what_it_would_take_and_who_lacks_least(stage: Stage) -> None:
    unit = await stage.new_village()
    await stage.tell(
        stage.event(product(unit, f"che-{unit.code}", 1), f"che-{unit.code}"),
        stage.event(product(unit, f"gao-{unit.code}", 0), f"gao-{unit.code}"),
    )
    page = await stage.client.get(f"/indicators/units/{unit.code}/items/288.9", headers={**HTML, **OFFICER})
    assert "Ít nhất cần gì để đạt" in page.text
    assert "thêm 1 sản phẩm chủ lực" in page.text
    assert f"gao-{unit.code}" in page.text
    await record(stage, said(stage.commune, "commune.telecom_standard", True))
    above = await stage.client.get("/indicators/units/11074/items/8.2?set=hd-1414-ntm-8", headers=HTML)
    assert above.status_code == 200
    assert "Các đơn vị bên dưới: Thôn dùng được" in above.text
    assert f"/indicators/units/{unit.code}/items/telephone?set=hd-1414-village" in above.text


@pytest.mark.parametrize(
    "path",
    [
        "units/11074/sets/hd-288-2023/items/288.99",
        "units/99999/sets/hd-288-2023/items/288.1",
        "units/11074/sets/x/items/y",
    ],
)
async def test_reasons_for_what_is_not_there_are_not_found(stage: Stage, path: str) -> None:
    for name in ("reasons", "explanation", "history"):
        assert (await stage.client.get(f"{API}/{path}/{name}")).status_code == 404


async def test_who_may_enter_figures_is_led_from_a_row_to_its_form(stage: Stage) -> None:
    """One figure: a button; several conditions: a list of those that staff may tell. Nobody else sees either."""
    unit = await stage.new_village()
    paths = {
        f"/indicators/units/{unit.code}/items/288.5?set={SET}": ["village.fibre_households"],
        f"/indicators/units/{unit.code}/items/288.4?set={SET}": [
            "village.camera_public_place",
            "village.camera_main_road",
        ],
    }
    for path, measures in paths.items():
        ways = [f'href="/indicators/units/{unit.code}/entry?measure={measure}"' for measure in measures]
        page = (await stage.client.get(path, headers={**HTML, **OFFICER})).text
        assert [way in page for way in ways] == [True] * len(ways)
        for stranger in ({}, bearer(("officer", "30/298/11077"))):
            assert "/entry?measure=" not in (await stage.client.get(path, headers={**HTML, **stranger})).text
    above = await stage.client.get(f"/indicators/units/11074/items/288.5?set={SET}", headers={**HTML, **OFFICER})
    assert "/entry?measure=" not in above.text
