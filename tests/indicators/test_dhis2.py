"""Figures to and from DHIS2: its words, its periods, its counts, and a round trip that changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from chassis.units import Unit, today
from services.indicators.criteria.figures import Ratio
from services.indicators.interchange import dhis2, outgoing
from tests.indicators.conftest import Stage, entered
from tests.indicators.inquiring import record, said
from tests.support.running import bearer, commune

ADDRESS = "/indicators/api/v1/dataValueSets"
SET = "hd-288-2023"
FIBRE = "village.fibre_households"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("2026", "2026"),
        ("2026Q4", "2026-Q4"),
        ("202611", "2026-11"),
        *((text, None) for text in ("2026W3", "20261", "202613", "20261122", "2026S1", "٢٠٢٦", "0001", "")),
    ],
)
def test_periods_are_theirs_outside_and_ours_inside(theirs: str, ours: str | None) -> None:
    assert dhis2.period_in(theirs) == ours
    if ours is not None:
        assert dhis2.period_out(ours) == theirs


def officer(stage: Stage) -> dict[str, str]:
    return bearer(("officer", stage.commune.path), subject="o-dhis")


async def send(
    stage: Stage, values: list[dict[str, Any]], who: dict[str, str] | None = None, **params: Any
) -> dict[str, Any]:
    body = {"dataSet": SET, "period": "2026", "dataValues": values}
    answer = await stage.client.post(ADDRESS, json=body, params=params, headers=who or officer(stage))
    assert answer.status_code in (200, 409), answer.text
    found: dict[str, Any] = answer.json()
    assert found["httpStatusCode"] == answer.status_code
    return found


def value(unit: str, value: str, combo: str = "default", element: str = FIBRE, **more: Any) -> dict[str, Any]:
    return {"dataElement": element, "orgUnit": unit, "categoryOptionCombo": combo, "value": value, **more}


def ratio(unit: str, numerator: int, denominator: int, **more: Any) -> list[dict[str, Any]]:
    return [
        value(unit, str(numerator), "numerator", **more),
        value(unit, str(denominator), "denominator", **more),
    ]


def counts(found: dict[str, Any]) -> tuple[int, int, int, int]:
    count = found["response"]["importCount"]
    return (count["imported"], count["updated"], count["ignored"], count["deleted"])


async def test_values_come_in_are_changed_and_taken_back_and_are_counted_as_dhis2_counts(stage: Stage) -> None:
    unit = await stage.new_village()
    first = await send(stage, ratio(unit.code, 81, 100))
    assert (first["status"], counts(first)) == ("OK", (2, 0, 0, 0))
    assert first["response"]["responseType"] == "ImportSummary"
    assert (await stage.item(unit, "288.5"))["value"] == {"numerator": 81, "denominator": 100}
    assert counts(await send(stage, ratio(unit.code, 79, 100))) == (0, 2, 0, 0)
    assert await stage.status(unit, "288.5") == "unmet"
    assert counts(await send(stage, ratio(unit.code, 1, 100), importStrategy="CREATE")) == (0, 0, 2, 0)
    assert counts(await send(stage, ratio(unit.code, 90, 100), dryRun=True)) == (0, 2, 0, 0)
    assert (await stage.item(unit, "288.5"))["value"] == {"numerator": 79, "denominator": 100}
    assert counts(await send(stage, ratio(unit.code, 0, 0, deleted=True))) == (0, 0, 0, 2)
    assert await stage.status(unit, "288.5") == "no_data"
    assert counts(await send(stage, ratio(unit.code, 1, 2), importStrategy="UPDATE")) == (0, 0, 2, 0)


async def test_what_is_wrong_is_a_conflict_and_the_rest_counts(stage: Stage) -> None:
    unit, other = await stage.new_village(), await stage.new_village()
    neighbour = commune("11077", "Xã Hưng Đạo")
    await stage.running.enter_units(neighbour)
    found = await send(
        stage,
        [
            *ratio(unit.code, 81, 100),
            value(unit.code, "1", element="village.happiness"),
            value("99999", "true", element="village.smart_loudspeaker"),
            value(other.code, "7", "numerator"),
            value(other.code, "maybe", element="village.smart_loudspeaker"),
            value(other.code, "true", "numerator", element="village.smart_loudspeaker", period="2025"),
            value(other.code, "true", element="village.smart_loudspeaker", period="2026W1"),
            *ratio(other.code, 9, 8, period="2024"),
            value(other.code, "true", element="village.digital_dialogue", period="202601"),
        ],
    )
    assert found["status"] == "WARNING"
    assert counts(found) == (2, 0, 9, 0)
    told = {(c["errorCode"], c["property"], tuple(c["indexes"])) for c in found["response"]["conflicts"]}
    assert told == {
        ("E7610", "dataElement", (2,)),
        ("E7612", "orgUnit", (3,)),
        ("E7619", "value", (4,)),
        ("E7619", "value", (5,)),
        ("E7613", "categoryOptionCombo", (6,)),
        ("E7611", "period", (7,)),
        ("E7619", "value", (8, 9)),
        ("E7611", "period", (10,)),
    }
    assert found["response"]["rejectedIndexes"] == list(range(2, 11))
    assert (await stage.item(unit, "288.5"))["value"] == {"numerator": 81, "denominator": 100}


async def test_what_goes_out_can_come_in_elsewhere(stage: Stage) -> None:
    unit = await stage.new_village()
    sent = [*ratio(unit.code, 83, 100), value(unit.code, "true", element="village.smart_loudspeaker")]
    await send(stage, sent)
    params = {"dataSet": SET, "period": "2026", "orgUnit": "11074", "children": True}
    out = (await stage.client.get(ADDRESS, params=params)).json()
    assert (out["dataSet"], out["period"], out["orgUnit"]) == (SET, "2026", "11074")
    own = [v for v in out["dataValues"] if v["orgUnit"] == unit.code]
    assert {(v["dataElement"], v["categoryOptionCombo"], v["value"]) for v in own} == {
        (FIBRE, "numerator", "83"),
        (FIBRE, "denominator", "100"),
        ("village.smart_loudspeaker", "default", "true"),
    }
    answer = await stage.client.post(ADDRESS, json={**out, "dataValues": own}, headers=officer(stage))
    assert answer.status_code == 200
    assert counts(answer.json()) == (0, 3, 0, 0)
    past = (await stage.client.get(ADDRESS, params={**params, "period": "2020"})).json()
    assert past["dataValues"] == []


async def test_a_value_that_goes_out_names_its_document_now_and_then(stage: Stage) -> None:
    unit = await stage.new_village()
    entry = {"unit": unit.code, "measure": "village.signal_area", "value": {"numerator": 3, "denominator": 4}}
    entry |= {"evidence": {"document": "Biên bản đo sóng 7/BB", "text": "Ông Ba dẫn đường"}}
    entered = await stage.client.post("/indicators/api/v1/observations", json=entry, headers=officer(stage))
    assert entered.status_code == 201, entered.text
    await send(stage, [value(unit.code, "true", element="village.smart_loudspeaker", comment="Ghi chú riêng")])
    params = {"dataSet": SET, "period": "2026", "orgUnit": unit.code, "idScheme": "CODE"}
    out = (await stage.client.get(ADDRESS, params=params)).json()["dataValues"]
    assert {(v["dataElement"], v["categoryOptionCombo"], v["comment"]) for v in out} == {
        ("village.signal_area", "numerator", "Biên bản đo sóng 7/BB"),
        ("village.signal_area", "denominator", "Biên bản đo sóng 7/BB"),
        ("village.smart_loudspeaker", "default", "DHIS2"),
    }
    assert "Ông Ba" not in str(out)
    assert "riêng" not in str(out)
    late = {"measure": "village.signal_area", "value": {"numerator": 2, "denominator": 4}, "period": "2025"}
    answer = await stage.client.post("/indicators/api/v1/observations", json=entry | late, headers=officer(stage))
    assert answer.status_code == 201, answer.text
    past = (await stage.client.get(ADDRESS, params={**params, "period": "2025"})).json()["dataValues"]
    assert [(v["value"], v["comment"]) for v in past] == [
        ("2", "Biên bản đo sóng 7/BB"),
        ("4", "Biên bản đo sóng 7/BB"),
    ]


async def test_a_yes_or_no_of_json_is_taken_as_its_word(stage: Stage) -> None:
    unit = await stage.new_village()
    sent = {"dataElement": "village.smart_loudspeaker", "orgUnit": unit.code, "value": True}
    assert counts(await send(stage, [sent])) == (1, 0, 0, 0)
    assert (await stage.item(unit, "288.2"))["value"] == {"flag": True}


async def told(stage: Stage, unit: Unit, *periods: str, element: str = FIBRE) -> dict[str, list[str]]:
    """What goes out of one element for a unit, by period."""
    found = {}
    for period in periods:
        params = {"dataSet": SET, "period": period, "orgUnit": unit.code}
        out = (await stage.client.get(ADDRESS, params=params)).json()
        found[period] = [v["value"] for v in out["dataValues"] if v["dataElement"] == element]
    return found


async def test_a_figure_without_a_period_goes_out_for_those_by_whose_end_it_was_observed(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(stage, said(unit, FIBRE, Ratio(50, 100), at=datetime(2025, 6, 30, 16, 59, tzinfo=UTC)))
    await record(stage, said(unit, FIBRE, Ratio(60, 100), at=datetime(2025, 6, 30, 17, 0, tzinfo=UTC)))
    assert await told(stage, unit, "2025Q2", "2025Q1", "2025Q3", "2026") == {
        "2025Q2": ["50", "100"],
        "2025Q1": [],
        "2025Q3": ["60", "100"],
        "2026": ["60", "100"],
    }


async def test_figures_of_a_year_go_out_for_it_though_they_were_entered_after_it(stage: Stage) -> None:
    """So most figures of a year are entered; what was said of another year, or of this one, is another value."""
    unit = await stage.new_village()
    await send(stage, ratio(unit.code, 50, 100, period="2024"))
    await send(stage, ratio(unit.code, 71, 100, period="2025"))
    assert await told(stage, unit, "2026") == {"2026": []}
    await send(stage, ratio(unit.code, 90, 100, period="2026"))
    assert await told(stage, unit, "2023", "2024", "2025", "2025Q4", "2026") == {
        "2023": [],
        "2024": ["50", "100"],
        "2025": ["71", "100"],
        "2025Q4": [],
        "2026": ["90", "100"],
    }
    # A correction counts too, and so does taking it back.
    await send(stage, ratio(unit.code, 72, 100, period="2025"))
    assert await told(stage, unit, "2025") == {"2025": ["72", "100"]}
    await send(stage, ratio(unit.code, 0, 0, period="2025", deleted=True))
    assert await told(stage, unit, "2025", "2026") == {"2025": [], "2026": ["90", "100"]}


async def test_a_figure_of_a_month_counts_in_its_quarter_and_year_the_latest_of_them(stage: Stage) -> None:
    unit = await stage.new_village()
    await send(stage, ratio(unit.code, 72, 100, period="202512"))
    await send(stage, ratio(unit.code, 60, 100, period="202507"))
    assert await told(stage, unit, "2025", "2025Q4", "2025Q3", "202512", "202511") == {
        "2025": ["72", "100"],
        "2025Q4": ["72", "100"],
        "2025Q3": ["60", "100"],
        "202512": ["72", "100"],
        "202511": [],
    }


async def test_households_counted_one_by_one_go_out_as_they_were_at_the_end(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(
        stage,
        said(unit, "household.fibre", True, entity="h1", at=datetime(2025, 5, 1, tzinfo=UTC)),
        said(unit, "household.fibre", False, entity="h2", at=datetime(2025, 5, 1, tzinfo=UTC)),
        said(unit, "household.fibre", True, entity="h2", at=datetime(2025, 9, 1, tzinfo=UTC)),
    )
    assert await told(stage, unit, "2025Q1", "2025Q2", "2025") == {
        "2025Q1": [],
        "2025Q2": ["1", "2"],
        "2025": ["2", "2"],
    }


async def test_a_past_period_is_of_the_unit_that_the_code_named_at_its_end(stage: Stage) -> None:
    """The quarter before a reorganisation is asked for under the codes of then, up to their very last day."""
    turn, code = date(2025, 7, 1), "11074-970"
    path = f"{stage.commune.path}/{code}"
    unit = Unit(code, "Thôn cũ", "village", "thon", "11074", path, date(2020, 1, 1))
    await stage.tell(stage.event(entered(unit), "unit/970"))
    await record(stage, said(unit, FIBRE, Ratio(50, 100), at=datetime(2025, 6, 1, tzinfo=UTC)))
    await stage.tell(stage.event(entered(replace(unit, valid_to=turn)), "unit/970"))
    for asked in ({"orgUnit": code}, {"orgUnit": "11074", "children": True}):
        params = {"dataSet": SET, "period": "2025Q2", **asked}
        out = (await stage.client.get(ADDRESS, params=params)).json()["dataValues"]
        assert [v["value"] for v in out if v["orgUnit"] == code] == ["50", "100"], asked
    gone = await stage.client.get(ADDRESS, params={"dataSet": SET, "period": "2025Q3", "orgUnit": code})
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_unit")


async def test_a_past_period_of_many_units_is_for_who_has_signed_in(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.new_village()
    await stage.new_village()
    asked = {"dataSet": SET, "period": "2025", "orgUnit": "11074", "children": True}
    assert (await stage.client.get(ADDRESS, params=asked)).status_code == 200
    monkeypatch.setattr(outgoing, "OPEN_TO_ALL", 1)
    refused = await stage.client.get(ADDRESS, params=asked)
    assert refused.status_code == 401
    assert "Kỳ đã qua của hơn 1 đơn vị" in refused.text
    assert (await stage.client.get(ADDRESS, params=asked, headers=officer(stage))).status_code == 200
    # The running period reads what the sheets show.
    assert (await stage.client.get(ADDRESS, params=asked | {"period": f"{today().year}"})).status_code == 200


async def test_a_unit_of_others_is_refused_and_so_is_who_may_report_nowhere(stage: Stage) -> None:
    unit = await stage.new_village()
    body = {"dataSet": SET, "period": "2026", "dataValues": ratio(unit.code, 1, 2)}
    for who, status in (
        (bearer(("officer", "30/298/11077")), 403),
        (bearer(("resident", stage.commune.path)), 403),
        (bearer(("partner", "30"), kind="partner", client_id="dhis", scope="indicators.read"), 403),
        ({}, 401),
    ):
        assert (await stage.client.post(ADDRESS, json=body, headers=who)).status_code == status
    partner = bearer(("partner", "30"), kind="partner", client_id="dhis", scope="indicators.observations.write")
    assert counts(await send(stage, ratio(unit.code, 1, 2), partner)) == (2, 0, 0, 0)


@pytest.mark.parametrize(
    ("params", "body", "status"),
    [
        ({"idScheme": "uid"}, {"dataValues": []}, 422),
        ({}, {}, 422),
        ({}, {"dataSet": "nope", "dataValues": []}, 404),
        ({}, {"dataValues": [{"dataElement": "a\x00", "value": "1"}]}, 422),
        ({}, {"dataValues": [{"value": "1"}]}, 422),
        ({"importStrategy": "APPEND"}, {"dataValues": []}, 422),
    ],
)
async def test_bad_requests_are_refused(
    stage: Stage, params: dict[str, str], body: dict[str, Any], status: int
) -> None:
    answer = await stage.client.post(ADDRESS, json=body, params=params, headers=officer(stage))
    assert answer.status_code == status, answer.text


async def test_bad_questions_are_refused(stage: Stage) -> None:
    good = {"dataSet": SET, "period": "2026", "orgUnit": "11074"}
    for changed, status in (
        ({"period": "2026W1"}, 400),
        ({"period": "0001"}, 400),
        ({"dataSet": "nope"}, 404),
        ({"orgUnit": "99999"}, 404),
        # Identifiers are codes: answering with codes what was asked in others would be taken for something else.
        ({"idScheme": "UID"}, 422),
        ({"dataElementIdScheme": "UID"}, 422),
    ):
        assert (await stage.client.get(ADDRESS, params={**good, **changed})).status_code == status, changed
