"""The plans of province and district, counted by the running service from the real units of Hải Dương."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from chassis.units import Unit
from tests.indicators.spec.province import PROVINCE, STAFF, TU_KY, Province, Told, written
from tests.indicators.spec.world import ratio

ADVANCED, ADVANCED_2016 = "commune.recognised_advanced", "commune.recognised_advanced_2016"
MODEL, NTM, PILOT = "commune.recognised_model", "commune.recognised_ntm", "commune.pilot_smart"


def recognised(units: Iterable[Unit], measure: str, yes: bool = True) -> list[Told]:
    """One decision for each unit."""
    return [Told(unit, measure, yes, f"{number}/QĐ-UBND") for number, unit in enumerate(units, 1)]


def number_of(value: Any) -> int:
    """How many units of those below a row counts."""
    return int(value["count"] if "count" in value else value["numerator"])


async def test_the_units_of_the_package_are_all_there(hai_duong: Province) -> None:
    kinds = Counter(unit.kind for unit in hai_duong.units if unit.level == "commune")
    assert kinds == {"xa": 178, "phuong": 47, "thi_tran": 10}
    assert len(hai_duong.districts()) == 12
    assert [len(hai_duong.communes(kind, of=TU_KY)) for kind in ("xa", "thi_tran")] == [22, 1]


async def test_advanced_and_model_communes_of_the_province(hai_duong: Province) -> None:
    """43/178 and 4/178 on 15 March 2023; 107 and 36 are the least that reach 60% and 20%."""
    rural = hai_duong.communes("xa")
    ward, town = hai_duong.communes("phuong")[0], hai_duong.communes("thi_tran")[0]
    status, _ = await hai_duong.row(PROVINCE, "hd-2025", "1")
    assert status in ("unmet", "no_data")
    await hai_duong.enter(recognised(rural, NTM))
    await hai_duong.until(PROVINCE, "recognition-commune", "ntm", ("measured", ratio(178, 178)))

    # Some of the 43 were recognised in 2016-2020, one in both periods: still one commune.
    await hai_duong.enter([*recognised(rural[:20], ADVANCED_2016), *recognised(rural[19:43], ADVANCED)])
    await hai_duong.enter(recognised(rural[:4], MODEL))
    # Wards and townships are no rural communes, whoever recognises them.
    for unit in (ward, town):
        body = {"unit": unit.code, "measure": ADVANCED, "value": written(True), "evidence": {"document": "1/QĐ"}}
        await hai_duong.world.client.post("/indicators/api/v1/observations", json=body, headers=STAFF)
    await hai_duong.until(PROVINCE, "hd-2025", "1", ("unmet", ratio(43, 178)))
    await hai_duong.until(PROVINCE, "hd-2025", "2", ("unmet", ratio(4, 178)))

    await hai_duong.enter(recognised(rural[43:106], ADVANCED))
    await hai_duong.until(PROVINCE, "hd-2025", "1", ("unmet", ratio(106, 178)))
    await hai_duong.enter(recognised(rural[106:107], ADVANCED))
    await hai_duong.until(PROVINCE, "hd-2025", "1", ("met", ratio(107, 178)))
    # A decision that is taken back.
    await hai_duong.enter(recognised(rural[106:107], ADVANCED, yes=False))
    await hai_duong.until(PROVINCE, "hd-2025", "1", ("unmet", ratio(106, 178)))
    await hai_duong.enter(recognised(rural[106:107], ADVANCED))

    await hai_duong.enter(recognised(rural[4:35], MODEL))
    await hai_duong.until(PROVINCE, "hd-2025", "2", ("unmet", ratio(35, 178)))
    await hai_duong.enter(recognised(rural[35:36], MODEL))
    await hai_duong.until(PROVINCE, "hd-2025", "2", ("met", ratio(36, 178)))
    await hai_duong.until(PROVINCE, "hd-2025", "1", ("met", ratio(107, 178)))


async def test_three_advanced_districts(hai_duong: Province) -> None:
    districts = hai_duong.districts()

    async def so(expected: str, number: int) -> None:
        async def found() -> bool:
            status, value = await hai_duong.row(PROVINCE, "hd-2025", "3")
            assert (status, number_of(value)) == (expected, number)
            return True

        await hai_duong.eventually(found)

    await hai_duong.enter(recognised(districts[:2], "district.recognised_advanced"))
    await so("unmet", 2)
    await hai_duong.enter(recognised(districts[2:3], "district.recognised_advanced"))
    await so("met", 3)
    await hai_duong.enter(recognised(districts[3:4], "district.recognised_advanced"))
    await so("met", 4)


async def test_a_pilot_smart_commune_in_the_province(hai_duong: Province) -> None:
    status, _ = await hai_duong.row(PROVINCE, "pm-924-2025", "1")
    assert status in ("unmet", "no_data")
    pilots = hai_duong.communes("xa", of=TU_KY)[:2]
    await hai_duong.enter(recognised(pilots[:1], PILOT, yes=False))
    status, _ = await hai_duong.row(PROVINCE, "pm-924-2025", "1")
    assert status in ("unmet", "no_data")
    await hai_duong.enter(recognised(pilots[1:], PILOT))

    async def found() -> bool:
        status, value = await hai_duong.row(PROVINCE, "pm-924-2025", "1")
        assert (status, number_of(value)) == ("met", 1)
        return True

    await hai_duong.eventually(found)


APPLICATIONS = ("document_management", "official_email", "one_stop", "portal")
NTM_84: dict[str, Any] = {
    "commune.computers_per_official": (12, 24),
    **{f"commune.app_{name}": True for name in APPLICATIONS},
    "commune.dossiers_online": (30, 100),
}
ADVANCED_84: dict[str, Any] = {
    "commune.dossiers_online": (50, 100),
    "commune.officials_digital_training": (20, 20),
    "commune.people_digital_training": (70, 100),
    "commune.ocop_on_floor": (0, 0),
    "commune.satisfaction_survey_app": True,
}


async def test_84_of_the_communes_of_tu_ky(hai_duong: Province) -> None:
    """All 22 communes for the NTM commune, over 60% (14 of 22) for the advanced one; the township is not counted."""
    rural = [unit.code for unit in hai_duong.communes("xa", of=TU_KY)]
    (town,) = hai_duong.communes("thi_tran", of=TU_KY)
    await hai_duong.report(dict.fromkeys(rural[:-1], NTM_84))
    await hai_duong.report({town.code: NTM_84 | ADVANCED_84})
    await hai_duong.until(TU_KY, "tuky-2025", "3a", ("no_data", ratio(21, 22)))
    await hai_duong.report({rural[-1]: NTM_84 | {"commune.dossiers_online": (29, 100)}})
    await hai_duong.until(TU_KY, "tuky-2025", "3a", ("unmet", ratio(21, 22)))

    # The letter itself suspends the digital addresses in Hải Dương: nobody has to tell them for 8.4.
    await hai_duong.report(dict.fromkeys(rural[:13], ADVANCED_84))
    await hai_duong.report({code: ADVANCED_84 | {"commune.satisfaction_survey_app": False} for code in rural[13:-1]})
    await hai_duong.report({rural[-1]: ADVANCED_84 | {"commune.dossiers_online": (49, 100)}})
    await hai_duong.until(TU_KY, "tuky-2025", "3b", ("unmet", ratio(13, 22)))
    # 49% online is enough for the NTM commune.
    await hai_duong.until(TU_KY, "tuky-2025", "3a", ("met", ratio(22, 22)))
    await hai_duong.report({rural[13]: {"commune.satisfaction_survey_app": True}})
    await hai_duong.until(TU_KY, "tuky-2025", "3b", ("met", ratio(14, 22)))
    # The plan of one district of twelve asks nothing of another one, and what is met there says nothing of it.
    other = next(unit for unit in hai_duong.districts() if unit.code != TU_KY)
    answer = await hai_duong.answer(other, "tuky-2025")
    assert (answer.status_code, answer.json()["code"]) == (404, "set_not_for_level")


async def test_15_2_of_the_communes_of_tu_ky(hai_duong: Province) -> None:
    rural = [unit.code for unit in hai_duong.communes("xa", of=TU_KY)]
    await hai_duong.report({code: {"commune.advanced_15_2": number < 13} for number, code in enumerate(rural)})
    await hai_duong.until(TU_KY, "tuky-2025", "3c", ("unmet", ratio(13, 22)))
    await hai_duong.report({rural[13]: {"commune.advanced_15_2": True}})
    await hai_duong.until(TU_KY, "tuky-2025", "3c", ("met", ratio(14, 22)))


async def test_cooperatives_of_the_communes_of_tu_ky(hai_duong: Province) -> None:
    """70% of 22 communes are 16."""
    rural = [unit.code for unit in hai_duong.communes("xa", of=TU_KY)]
    await hai_duong.report({code: {"commune.linked_cooperative": number < 15} for number, code in enumerate(rural)})
    await hai_duong.until(TU_KY, "tuky-2025", "5a", ("unmet", ratio(15, 22)))
    await hai_duong.report({rural[15]: {"commune.linked_cooperative": True}})
    await hai_duong.until(TU_KY, "tuky-2025", "5a", ("met", ratio(16, 22)))


async def test_dossiers_of_district_and_communes(hai_duong: Province) -> None:
    """Dossiers are added up over the communes, and only when all of them are known."""
    await hai_duong.report({TU_KY: {"district.work_dossiers_online": (1999, 2500)}})
    await hai_duong.until(TU_KY, "tuky-2025", "2a", ("unmet", ratio(1999, 2500)))
    await hai_duong.report({TU_KY: {"district.work_dossiers_online": (2000, 2500)}})
    await hai_duong.until(TU_KY, "tuky-2025", "2a", ("met", ratio(2000, 2500)))

    communes = [unit.code for kind in ("thi_tran", "xa") for unit in hai_duong.communes(kind, of=TU_KY)]
    dossiers = "commune.work_dossiers_online"
    await hai_duong.report({code: {dossiers: (70, 100)} for code in communes[:-1]})
    await hai_duong.until(TU_KY, "tuky-2025", "2b", ("no_data", None))
    await hai_duong.report({communes[-1]: {dossiers: (69, 100)}})

    async def share() -> tuple[str, int]:
        status, value = await hai_duong.row(TU_KY, "tuky-2025", "2b")
        assert value
        # The township is at the level of a commune: whether the plan means it too, its text does not say.
        assert value["denominator"] in (2200, 2300)
        return status, value["denominator"] * 7 // 10 - value["numerator"]

    await hai_duong.eventually(share)
    assert await share() == ("unmet", 1)
    await hai_duong.report({communes[-1]: {dossiers: (70, 100)}})

    async def met() -> bool:
        assert await share() == ("met", 0)
        return True

    await hai_duong.eventually(met)


async def test_what_the_letter_suspends_is_shown_as_suspended(hai_duong: Province) -> None:
    """Section 5.1 of letter 1414: no plan of the province for digital addresses yet."""
    (commune, *_) = hai_duong.communes("xa", of="292")
    told = ADVANCED_84 | {"commune.digital_addresses": (0, 2500), "commune.address_map": False}
    await hai_duong.report({commune.code: told})
    for set_code, code, expected in (
        ("hd-1414-ntm-advanced-8", "8.4", "met"),
        ("hd-1414-ntm-model-4.7", "s2", "suspended"),
    ):
        (item,) = [item for item in (await hai_duong.sheet(commune, set_code))["items"] if item["code"] == code]
        assert item["status"] == expected, item
        shown = json.dumps(item, ensure_ascii=False)
        assert "1414/STTTT-BCVTCNTT" in shown
        assert "chưa ban hành kế hoạch" in shown


async def test_a_smartphone_in_each_rural_household(hai_duong: Province) -> None:
    """Households of the countryside are those of the 22 communes: the township need not say anything."""
    rural = [unit.code for unit in hai_duong.communes("xa", of=TU_KY)]
    phones = "commune.smartphone_households"
    await hai_duong.report({code: {phones: (100, 100)} for code in rural[:-1]})
    await hai_duong.until(TU_KY, "tuky-2025", "7", ("no_data", None))
    await hai_duong.report({rural[-1]: {phones: (399, 400)}})
    await hai_duong.until(TU_KY, "tuky-2025", "7", ("unmet", ratio(2499, 2500)))
    await hai_duong.report({rural[-1]: {phones: (400, 400)}})
    await hai_duong.until(TU_KY, "tuky-2025", "7", ("met", ratio(2500, 2500)))
