"""The shapes others build against: the HTTP answers of the issue's "Interfaces that stay", key by key."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis.units import Unit
from tests.indicators.spec.world import (
    ADMIN,
    OFFICIAL,
    SET,
    World,
    ago,
    audible,
    ended,
    entered,
    figure,
    partner,
    petition,
    ratio,
    speaker,
)
from tests.support.running import bearer
from tests.support.waiting import eventually

API = "/indicators/api/v1"
STATUSES = {"met", "unmet", "no_data", "not_applicable", "measured", "suspended"}
TARGETS: dict[str, dict[str, Any]] = {
    "288.5": {"operator": ">", "numerator": 80, "denominator": 100},
    "288.6": {"operator": ">=", "numerator": 95, "denominator": 100},
    "288.7": {"operator": "=", "numerator": 100, "denominator": 100},
    "288.8": {"operator": "=", "numerator": 100, "denominator": 100},
    "288.9": {"operator": "=", "numerator": 100, "denominator": 100},
}
MEASURES = {
    "288.1": ["village.digital_dialogue"],
    "288.2": ["village.smart_loudspeaker"],
    "288.3": ["village.active_digital_team"],
    "288.4": ["village.camera_public_place", "village.camera_main_road"],
    "288.5": ["village.fibre_households"],
    "288.6": ["village.mobile_internet_people"],
    "288.7": ["village.audible_area"],
    "288.8": ["village.signal_area"],
    "288.9": ["village.key_products_online"],
}


async def get(world: World, path: str, **params: str) -> dict[str, Any]:
    answer = await world.client.get(f"{API}/{path}", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


async def test_the_sheet_has_exactly_the_promised_keys(world: World) -> None:
    (village,) = await world.villages(1)
    await world.publish(speaker(village), audible(village, 4, 5))
    await world.take(figure(village, "village.fibre_households", (81, 100)))
    await world.drained()
    sheet = await world.sheet(village)
    # `counts` says what `met` of `total` are; everything else is the issue's.
    assert set(sheet) == {"unit", "set", "status", "met", "total", "items", "counts"}
    assert (sheet["unit"], sheet["set"], sheet["status"], sheet["met"], sheet["total"]) == (
        village.code, SET, "unmet", 2, 9,
    )  # fmt: skip
    items = {item["code"]: item for item in sheet["items"]}
    assert len(items) == len(sheet["items"]) == 9
    for code, item in items.items():
        promised = {"code", "title", "status", "value", "target", "changed_at", "since", "because"}
        # What an overlay does to the row stands beside: nothing lies over this set.
        assert set(item) == promised | {"overlay", "base_target", "suspended"}
        assert not any(item[key] for key in ("overlay", "base_target", "suspended"))
        assert item["status"] in STATUSES
        assert TARGETS.get(code, {"flag": True}).items() <= item["target"].items()
        if item["value"] is None:
            assert (item["status"], item["changed_at"]) == ("no_data", None)
        else:
            assert datetime.fromisoformat(item["changed_at"]).utcoffset() is not None
    assert items["288.2"]["value"] == {"flag": True}
    assert items["288.5"]["value"] == ratio(81, 100)
    assert items["288.7"]["value"] == ratio(4, 5)
    # bool is an int to Python, not to a program that reads the answer.
    assert items["288.2"]["value"]["flag"] is True
    english = {item["code"]: item["title"] for item in (await world.sheet(village, lang="en"))["items"]}
    assert english["288.5"] == "Fibre broadband covers more than 80% of the households of the village"
    assert items["288.5"]["title"] == "Có hạ tầng mạng băng thông rộng cáp quang phủ trên 80% hộ gia đình trong thôn"


async def test_grpc_get_says_the_same_as_http(world: World) -> None:
    (village,) = await world.villages(1)
    await world.publish(speaker(village), audible(village, 5, 5))
    await world.drained()
    sheet = await world.sheet(village)
    stub = stubs.ComplianceServiceStub(world.channel)
    answer: pb.GetResponse = await stub.Get(
        pb.GetRequest(unit=village.code, set=SET), metadata=partner(scope="indicators.read"), timeout=10
    )
    assert (answer.unit, answer.set, answer.status, answer.met, answer.total) == (
        sheet["unit"], sheet["set"], sheet["status"], sheet["met"], sheet["total"],
    )  # fmt: skip
    for told, item in zip(answer.items, sheet["items"], strict=True):
        assert (told.code, told.title, told.status, told.because) == (
            item["code"], item["title"], item["status"], item["because"],
        )  # fmt: skip
        assert told.target == (item["target"]["text"] if item["code"] in TARGETS else told.target)
        if item["value"] is None:
            assert not told.HasField("value")
            assert not told.HasField("changed_at")
        elif "flag" in item["value"]:
            assert told.value.flag is item["value"]["flag"]
        else:
            assert ratio(told.value.ratio.numerator, told.value.ratio.denominator) == item["value"]


async def test_sets_and_the_definition_with_the_measures_of_each_row(world: World) -> None:
    sets = await get(world, "sets")
    assert SET in [found["set"] for found in sets["items"]]
    definition = await get(world, f"sets/{SET}")
    assert (definition["set"], definition["level"]) == (SET, "village")
    assert definition["legal_basis"]["number"] == "288/QĐ-UBND"
    assert definition["legal_basis"]["date"] == "2023-02-23"
    assert {item["code"]: item["measures"] for item in definition["items"]} == MEASURES
    assert [item["code"] for item in definition["items"]] == list(MEASURES)
    described = {measure["code"]: measure["kind"] for measure in definition["measures"]}
    assert described == {
        code: "ratio" if row in TARGETS else "flag" for row, codes in MEASURES.items() for code in codes
    }
    for item in definition["items"]:
        assert set(item) == {"code", "title", "measures", "rule", "target", "feeds"} | {"group", "overlay"}
        assert set(item["title"]) == {"vi", "en"}
        assert TARGETS.get(item["code"], {"flag": True}).items() <= item["target"].items()


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("sets/khong-co", {}, 404),
        ("units/99999/sets/hd-288-2023", {}, 404),
        ("units/11086/sets/khong-co", {}, 404),
        ("units/11086/sets/hd-288-2023", {"as_of": "hôm qua"}, 422),
        ("units/11086%00/sets/hd-288-2023", {}, 400),
        ("units", {"as_of": "2025-02-30"}, 422),
        ("units", {"level": "galaxy"}, 422),
        ("units", {"q": "a\0b"}, 422),
        ("units", {"after": "không"}, 400),
        ("units", {"limit": "0"}, 422),
        ("changes", {"unit": "99999"}, 404),
        ("changes", {"set": "khong-co"}, 404),
        ("units/11086/sets/hd-288-2023/items/288.10/explanation", {}, 404),
    ],
)
async def test_a_question_that_makes_no_sense_is_answered_as_a_problem(
    world: World, path: str, params: dict[str, str], status: int
) -> None:
    answer = await world.client.get(f"{API}/{path}", params=params, headers=OFFICIAL)
    assert answer.status_code in ({status} if status != 422 else {400, 422}), answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert {"type", "title", "status", "detail", "code"} <= set(answer.json())


async def test_an_explanation_names_ids_only_to_those_who_look_after_the_unit(world: World) -> None:
    (village,) = await world.villages(1)
    events = [petition(village, answered_at=ago(hours=1))]
    await world.publish(*events)
    await world.take(figure(village, "village.fibre_households", (81, 100)))
    await world.drained()
    for row, id in (("288.1", events[0].id), ("288.5", "vienthong/")):
        path = f"{API}/units/{village.code}/sets/{SET}/items/{row}/explanation"
        inside = await world.client.get(path, headers=bearer(("officer", "30/298/11086")))
        assert id in inside.text
        for headers in ({}, bearer(("officer", "30/298/11098")), bearer(("resident", "30/298/11086"))):
            outside = await world.client.get(path, headers=headers)
            assert outside.status_code == 200
            assert all(not fact["entity"] and not fact["source"]["id"] for fact in outside.json()["facts"])
            assert outside.json()["measures"][0]["value"] == inside.json()["measures"][0]["value"]


async def test_a_code_with_two_validities_is_the_unit_in_force_on_the_day(world: World) -> None:
    turn = date(2025, 7, 1)
    town = Unit("11074", "Thị trấn Tứ Kỳ", "commune", "thi_tran", "298", "30/298/11074", date(2020, 1, 1))
    until = Unit("11074", "Thị trấn Tứ Kỳ", "commune", "thi_tran", "298", "30/298/11074", date(2020, 1, 1), turn)
    since = Unit("11074", "Xã Tứ Kỳ", "commune", "xa", "298", "30/298/11074", turn)
    await world.publish(entered(town), ended(until), entered(since))
    await world.drained()

    async def named(**params: str) -> list[tuple[str, str, str, str | None]]:
        found = (await get(world, "units", level="commune", parent="298", q="tu ky", **params))["items"]
        assert all(
            set(unit) == {"code", "name", "level", "kind", "parent", "path", "valid_from", "valid_to"} for unit in found
        )
        return [(unit["code"], unit["name"], unit["valid_from"], unit["valid_to"]) for unit in found]

    old = [("11074", "Thị trấn Tứ Kỳ", "2020-01-01", "2025-07-01")]
    new = [("11074", "Xã Tứ Kỳ", "2025-07-01", None)]
    assert await named(as_of="2025-06-30") == old
    assert await named(as_of="2025-07-01") == new
    assert await named(as_of="2020-01-01") == old
    assert await named(as_of="2019-12-31") == []
    assert await named() == new
    # Midnight is Việt Nam's: 17:00 UTC of the thirtieth is the first of July there.
    assert await named(as_of="2025-06-30T16:59:59Z") == old
    assert await named(as_of="2025-06-30T17:00:00Z") == new


async def test_a_new_village_under_an_old_code_does_not_inherit_its_figures(world: World) -> None:
    turn = date(2026, 3, 1)
    code, path = "11086-900", "30/298/11086/11086-900"
    old = Unit(code, "Thôn Cũ", "village", "thon", "11086", path, date(2020, 1, 1))
    closed = Unit(code, "Thôn Cũ", "village", "thon", "11086", path, date(2020, 1, 1), turn)
    new = Unit(code, "Thôn Mới", "village", "thon", "11086", path, turn)
    measure = "village.fibre_households"
    await world.publish(entered(old))
    await world.drained()
    await world.take(figure(code, measure, (90, 100), at=datetime.fromisoformat("2026-02-01T00:00:00Z")))
    assert (await world.figures(code))["288.5"][0] == "met"
    await world.publish(ended(closed), entered(new))
    await world.drained()
    assert (await world.figures(code))["288.5"] == ("no_data", None)
    # A report about the old days comes late: it is the old village's.
    late = figure(code, measure, (95, 100), at=datetime.fromisoformat("2026-02-15T00:00:00Z"))
    await world.take(late)
    assert (await world.figures(code))["288.5"] == ("no_data", None)
    await world.take(figure(code, measure, (10, 100), at=datetime.fromisoformat("2026-03-02T00:00:00Z")))
    assert (await world.figures(code))["288.5"] == ("unmet", ratio(10, 100))


async def test_units_are_found_by_level_parent_and_words_and_paged(world: World) -> None:
    commune = Unit("11110", "Xã Phân Trang", "commune", "xa", "298", "30/298/11110", date(2020, 1, 1))
    await world.publish(entered(commune))
    made = {unit.code for unit in await world.villages(5, commune)}
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = await get(world, "units", parent="11110", level="village", limit="2", **after)
        assert set(page) == {"items", "next"}
        seen += [unit["code"] for unit in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert len(seen) == 5
    assert set(seen) == made
    decomposed = "xa\u0303 pha\u0302n"
    for words in ("phân trang", "PHAN TRANG", decomposed):
        assert [unit["code"] for unit in (await get(world, "units", q=words))["items"]] == ["11110"]


async def test_a_suspended_row_is_neither_met_nor_unmet_and_says_why(world: World) -> None:
    suspended, beside = await world.villages(2)
    await world.publish(petition(suspended), petition(beside))
    await world.drained()
    asked = {
        "unit": suspended.code,
        "set": SET,
        "item": "288.1",
        "reason": "Nâng cấp hệ thống",
        "document": "45/QĐ-UBND",
    }
    officer = bearer(("officer", "30/298/11086"))
    assert (await world.client.post(f"{API}/suspensions", json=asked, headers=officer)).status_code == 403
    refused = await world.client.post(f"{API}/suspensions", json=asked | {"reason": ""}, headers=ADMIN)
    assert refused.status_code == 422
    made = await world.client.post(f"{API}/suspensions", json=asked, headers=ADMIN)
    assert made.status_code == 201, made.text
    assert (await world.figures(suspended))["288.1"][0] == "suspended"
    assert (await world.figures(beside))["288.1"][0] == "unmet"
    (told,) = (await world.explanation(suspended, "288.1"))["suspensions"]
    assert (told["reason"], told["document"]) == ("Nâng cấp hệ thống", "45/QĐ-UBND")
    # Facts go on being taken in; lifting shows where they stand.
    await world.publish(petition(suspended, answered_at=datetime.now().astimezone(), sequence=2))
    await world.drained()
    assert (await world.figures(suspended))["288.1"][0] == "suspended"
    assert (await world.sheet(suspended))["met"] == 0
    lifted = await world.client.post(f"{API}/suspensions/{made.json()['id']}/lift", headers=ADMIN)
    assert lifted.is_success, lifted.text
    assert (await world.figures(suspended))["288.1"][0] == "met"


async def test_villages_roll_up_to_commune_district_and_province(world: World) -> None:
    since = date(2020, 1, 1)
    province = Unit("31", "Thành phố Hải Phòng", "province", "thanh_pho", "", "31", since)
    districts = [Unit(f"3{n}1", f"Huyện {n}", "district", "huyen", "31", f"31/3{n}1", since) for n in (1, 2)]
    communes = [
        Unit(f"{above.code}{n}", f"Xã {n}", "commune", "xa", above.code, f"{above.path}/{above.code}{n}", since)
        for above in districts
        for n in (1, 2)
    ]
    await world.publish(*(entered(unit) for unit in (province, *districts, *communes)))
    villages = [unit for above in communes for unit in await world.villages(2, above)]
    # One village of the first commune, both of the second and one of the third can be heard everywhere.
    await world.publish(*(audible(unit, 5, 5) for unit in (villages[0], *villages[2:4], villages[4])))
    await world.publish(audible(villages[1], 4, 5))

    async def row(unit: Unit) -> dict[str, Any]:
        return next(item for item in (await world.sheet(unit))["items"] if item["code"] == "288.7")

    expected = {
        "31": ratio(4, 8), "311": ratio(3, 4), "321": ratio(1, 4),
        "3111": ratio(1, 2), "3112": ratio(2, 2), "3211": ratio(1, 2), "3212": ratio(0, 2),
    }  # fmt: skip
    above = (province, *districts, *communes)

    async def settled() -> bool:
        assert {unit.code: (await row(unit))["value"] for unit in above} == expected
        return True

    assert await eventually(settled)
    for unit in above:
        sheet = await world.sheet(unit)
        assert (sheet["unit"], sheet["met"]) == (unit.code, 0)
        assert (sheet["total"], sheet["counts"]) == (expected[unit.code]["denominator"], "village")
        # No source asks a commune for a share of its villages: the row is shown, not judged.
        assert (await row(unit))["status"] == "measured"
    why = await world.client.get(
        f"{API}/units/3111/sets/{SET}/items/288.7/explanation", headers=bearer(("viewer", "31"))
    )
    told = {child["unit"]: child["status"] for child in why.json()["children"]}
    assert told == {villages[0].code: "met", villages[1].code: "unmet"}
    # A village that ends is no longer counted.
    gone = villages[1]
    last = Unit(gone.code, gone.name, gone.level, gone.kind, gone.parent, gone.path, since, date(2026, 1, 1))
    subject = entered(gone).subject
    assert ended(last).subject == subject
    await world.publish(ended(last))
    expected |= {"31": ratio(4, 7), "311": ratio(3, 3), "3111": ratio(1, 1)}
    assert await eventually(settled)
