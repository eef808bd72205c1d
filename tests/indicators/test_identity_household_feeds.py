"""What identity tells of the register of households: rows 4.4 and 6.1 of the smart commune, s2 of the model one."""

from __future__ import annotations

from typing import Any

import pytest
from xaso.identity.v1 import events_pb2 as identity

from chassis.units import today
from tests.indicators.conftest import Stage, entered
from tests.support.running import bearer, commune

API, SMART, MODEL = "/indicators/api/v1", "mard-2023-smart-commune", "hd-1414-ntm-model-4.7"
ADMIN = bearer(("admin", "30"))
NOTHING = ("no_data", None)
YES, NO = ("measured", {"flag": True}), ("measured", {"flag": False})


@pytest.fixture
async def here(stage: Stage, request: pytest.FixtureRequest) -> str:
    """The code of a commune of its own."""
    unit = commune(str(60000 + sum(map(ord, request.node.name))), "Xã An Phú")
    await stage.tell(stage.event(entered(unit), f"unit/{unit.code}"))
    return unit.code


async def tell(stage: Stage, unit: str, *, sequence: int | None = None, **counts: int) -> None:
    register = identity.HouseholdRegister(unit=unit, year=today().year, **counts)
    event = identity.HouseholdRegisterChanged(register=register)
    await stage.tell(stage.event(event, f"households/{unit}", sequence=sequence))


async def row(stage: Stage, unit: str, set_code: str, code: str) -> tuple[str, Any]:
    answer = await stage.client.get(f"{API}/units/{unit}/sets/{set_code}")
    assert answer.status_code == 200, answer.text
    item = next(item for item in answer.json()["items"] if item["code"] == code)
    return item["status"], item["value"]


async def test_basic_data_are_managed_once_every_village_has_households(stage: Stage, here: str) -> None:
    assert await row(stage, here, SMART, "4.4") == NOTHING
    full = {"villages": 9, "villages_recorded": 9, "households": 1205, "households_in_all": 1205}
    await tell(stage, here, **{**full, "villages_recorded": 8})
    assert await row(stage, here, SMART, "4.4") == NO
    await tell(stage, here, **full)
    assert await row(stage, here, SMART, "4.4") == YES
    # A village more, of which nothing is recorded; then what was told before comes once more.
    await tell(stage, here, **{**full, "villages": 10})
    await tell(stage, here, sequence=2, **full)
    assert await row(stage, here, SMART, "4.4") == NO
    await tell(stage, here, **{**full, "households": 9})
    assert await row(stage, here, SMART, "4.4") == NO, "one household of each village is not the data of a commune"
    await tell(stage, here, **{**full, "households_in_all": 0})
    assert await row(stage, here, SMART, "4.4") == NOTHING, "nobody stated how many households there are"
    await tell(stage, here, villages=10, households_in_all=1205)
    assert await row(stage, here, SMART, "4.4") == NOTHING, "a register nobody is in says nothing"


async def test_economic_data_are_managed_once_the_review_of_the_year_reached_every_village(
    stage: Stage, here: str
) -> None:
    kept = {"villages": 9, "villages_recorded": 9, "households": 1204, "households_in_all": 1204}
    await tell(stage, here, **kept, villages_reviewed=8)
    assert await row(stage, here, SMART, "6.1") == NO
    await tell(stage, here, **kept, villages_reviewed=9)
    assert await row(stage, here, SMART, "6.1") == YES
    assert await row(stage, here, SMART, "4.4") == YES
    await tell(stage, here, **{**kept, "households": 1203}, villages_reviewed=9)
    assert await row(stage, here, SMART, "6.1") == NO, "a household is missing"
    await tell(stage, here, **kept, villages_reviewed=0)
    assert await row(stage, here, SMART, "6.1") == NO, "a year began"


COMPLETE = {
    "villages": 9,
    "villages_recorded": 9,
    "households": 1204,
    "households_located": 1204,
    "households_in_all": 1204,
    "offices": 11,
    "offices_located": 11,
}
LACKING = [
    {"households_in_all": 1205},
    {"households_located": 1203},
    {"offices_located": 10},
    {"offices": 0, "offices_located": 0},
    {"villages": 10},
]


async def test_the_address_map_is_complete_with_the_last_house_and_the_last_office(stage: Stage, here: str) -> None:
    for one in LACKING:
        await tell(stage, here, **{**COMPLETE, **one})
        assert await row(stage, here, MODEL, "s2") == ("suspended", {"flag": False}), one
    await tell(stage, here, **COMPLETE)
    # The letter itself suspends the row; what is known of it is shown all the same.
    assert await row(stage, here, MODEL, "s2") == ("suspended", {"flag": True})
    await tell(stage, here, **{**COMPLETE, "households_in_all": 0})
    assert (await row(stage, here, MODEL, "s2"))[1] is None, "nobody stated how many households there are"


async def test_digital_addresses_are_counted_of_all_households_and_offices(stage: Stage, here: str) -> None:
    async def told() -> Any:
        path = f"{API}/units/{here}/sets/hd-1414-ntm-advanced-8/items/8.4/reasons"
        answer = await stage.client.get(path, headers=ADMIN)
        assert answer.status_code == 200, answer.text
        return addresses(answer.json()["tree"])

    def addresses(node: Any) -> Any:
        if node.get("measure") == "commune.digital_addresses":
            return node["value"]
        return next((value for part in node["nodes"] if (value := addresses(part))), None)

    await tell(stage, here, **{**COMPLETE, "households_located": 1203})
    assert await told() == {"numerator": 1214, "denominator": 1215}
    await tell(stage, here, **{**COMPLETE, "households_in_all": 1300})
    assert await told() == {"numerator": 1215, "denominator": 1311}, (
        "households that nobody recorded have no plate that is known"
    )


async def test_one_yes_with_evidence_is_enough_beside_the_register(stage: Stage, here: str) -> None:
    await tell(stage, here, **{**COMPLETE, "villages_recorded": 3, "households_located": 1})
    evidence = {"unit": here, "value": {"flag": True}, "evidence": {"document": "12/BC-UBND"}}
    for measure in ("commune.data_system", "commune.socioeconomic_data_system", "commune.address_map"):
        body = {**evidence, "measure": measure}
        answer = await stage.client.post(f"{API}/observations", json=body, headers=ADMIN)
        assert answer.status_code in (200, 201), answer.text
    assert await row(stage, here, SMART, "4.4") == YES
    assert await row(stage, here, SMART, "6.1") == YES
    assert (await row(stage, here, MODEL, "s2"))[1] == {"flag": True}
