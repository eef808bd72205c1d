"""What officers may enter over JSON, and what is refused with which field."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Any

import pytest

from chassis.units import Unit
from tests.indicators.conftest import Stage
from tests.support.running import bearer, village

ADDRESS = "/indicators/api/v1/observations"


def entry(unit: Unit, **changed: Any) -> dict[str, Any]:
    return {
        "unit": unit.code,
        "measure": "village.signal_area",
        "value": {"numerator": 4, "denominator": 4},
        "evidence": {"text": "Kết quả đo sóng", "document": "Biên bản 7/BB"},
        **changed,
    }


async def test_an_officer_enters_a_figure_and_the_explanation_names_the_document(stage: Stage) -> None:
    unit = await stage.new_village()
    officer = bearer(("officer", stage.commune.path))
    created = await stage.client.post(ADDRESS, json=entry(unit, id="bb-7"), headers=officer)
    assert (created.status_code, created.json()) == (201, {"id": "bb-7", "outcome": "accepted"})
    found = await stage.client.get(
        f"/indicators/api/v1/units/{unit.code}/sets/hd-288-2023/items/288.8/explanation", headers=officer
    )
    fact = found.json()["facts"][0]
    assert fact["value"] == {"numerator": 4, "denominator": 4}
    assert (fact["source"]["kind"], fact["source"]["note"]) == ("document", "Biên bản 7/BB · Kết quả đo sóng")
    assert found.json()["measures"][0]["sources"][0]["chosen"] is True


async def test_a_repeated_entry_is_answered_the_same_and_stored_once(stage: Stage) -> None:
    unit = await stage.new_village()
    officer = bearer(("officer", stage.commune.path), subject="o-1")
    body = entry(unit, id="bb-8", observed_at="2026-11-20T08:00:00+07:00")
    first = await stage.client.post(ADDRESS, json=body, headers={**officer, "idempotency-key": "k-8"})
    again = await stage.client.post(ADDRESS, json=body, headers={**officer, "idempotency-key": "k-8"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    bare = await stage.client.post(ADDRESS, json=body, headers=officer)
    assert (bare.status_code, bare.json()["outcome"]) == (200, "duplicate")
    other = await stage.client.post(ADDRESS, json={**body, "period": "2026"}, headers=officer)
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "id")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"evidence": {"text": "", "document": ""}}, 422),
        ({"evidence": None}, 422),
        ({"value": {"numerator": 5, "denominator": 4}}, 422),
        ({"value": {"numerator": -1, "denominator": 4}}, 422),
        ({"value": {"numerator": 2**63, "denominator": 2**63}}, 422),
        ({"value": {"numerator": 1.5, "denominator": 4}}, 422),
        ({"value": {"flag": True}}, 422),
        ({"value": {}}, 422),
        ({"measure": "village.happiness"}, 422),
        ({"measure": "a\u0000b"}, 422),
        ({"unit": "99999"}, 404),
        ({"observed_at": "2999-01-01T00:00:00+07:00"}, 422),
        ({"observed_at": "2026-01-01T00:00:00"}, 422),
        ({"period": "2026-99"}, 422),
        ({"surprise": 1}, 422),
    ],
)
async def test_wrong_entries_are_refused_with_the_field(stage: Stage, changed: dict[str, Any], status: int) -> None:
    body = {**entry(stage.villages[0]), **changed}
    answer = await stage.client.post(ADDRESS, json=body, headers=bearer(("officer", stage.commune.path)))
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    if status == 422:
        assert answer.json()["errors"], answer.text


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({"numerator": -1, "denominator": 4}, ["value.ratio.numerator"]),
        ({"numerator": 1}, ["value.ratio.denominator"]),
        ({"numerator": 1, "denominator": 4, "flag": True}, ["value.ratio.flag"]),
        ({"count": "3"}, ["value.count.count"]),
        ({"state": "x" * 81}, ["value.state.state"]),
        ({"state": "other", "note": "?"}, ["value.state.note"]),
        ({"share": 0.5}, ["value"]),
        ({}, ["value"]),
        (3, ["value"]),
        ("3", ["value"]),
    ],
)
async def test_a_wrong_value_is_told_as_the_kind_it_was_meant_to_be(
    stage: Stage, value: object, fields: list[str]
) -> None:
    """One fault, not one for each kind that it is not either."""
    body = {**entry(stage.villages[0]), "value": value}
    answer = await stage.client.post(ADDRESS, json=body, headers=bearer(("officer", stage.commune.path)))
    assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (422, fields), answer.text


async def test_an_officer_is_told_that_a_unit_was_not_there_on_the_day(stage: Stage) -> None:
    """As a partner is; others learn nothing, and a code that never was is unknown."""
    brief = village(stage.commune, 995, "Thôn một năm")
    unit = Unit(brief.code, brief.name, "village", "thon", brief.parent, brief.path, date(2024, 3, 1), date(2025, 3, 1))
    await stage.running.enter_units(unit)
    officer, other = bearer(("officer", stage.commune.path)), bearer(("officer", "30/298/11077"))
    for day, words in (
        ("2024-02-29T23:59:59+07:00", "Đơn vị hành chính này chưa có vào ngày quan sát."),
        ("2025-03-01T00:00:00+07:00", "Đơn vị hành chính này không còn vào ngày quan sát."),
        (None, "Đơn vị hành chính này không còn vào ngày quan sát."),
        ("0001-01-01T00:00:00+14:00", "Thời điểm quan sát thiếu hoặc không hợp lệ."),
        ("9999-12-31T23:59:59-12:00", "Thời điểm quan sát ở tương lai."),
    ):
        told = await stage.client.post(ADDRESS, json=entry(unit, observed_at=day), headers=officer)
        assert (told.status_code, told.json()["code"]) == (422, "observation_rejected"), told.text
        assert [one["message"] for one in told.json()["errors"]] == [words]
        assert (await stage.client.post(ADDRESS, json=entry(unit, observed_at=day), headers=other)).status_code == 403
    there = entry(unit, observed_at="2025-02-28T23:59:59+07:00")
    assert (await stage.client.post(ADDRESS, json=there, headers=officer)).status_code == 201
    page = f"/indicators/units/{unit.code}/entry"
    for who, status in ((officer, 422), (other, 403)):
        answer = await stage.client.get(page, headers={**who, "accept": "text/html"})
        assert answer.status_code == status
        assert ("Đơn vị hành chính này không còn vào ngày quan sát." in answer.text) is (status == 422)
    unknown = await stage.client.get("/indicators/units/99999/entry", headers={**officer, "accept": "text/html"})
    assert unknown.status_code == 404


async def test_an_officer_of_another_commune_may_not_enter_figures(stage: Stage) -> None:
    for grants in ([("officer", "30/298/11077")], [("viewer", "30")], [("resident", stage.commune.path)]):
        answer = await stage.client.post(ADDRESS, json=entry(stage.villages[0]), headers=bearer(*grants))
        assert answer.status_code == 403
    assert (await stage.client.post(ADDRESS, json=entry(stage.villages[0]))).status_code == 401


async def test_decomposed_vietnamese_is_the_same_evidence(stage: Stage) -> None:
    unit = await stage.new_village()
    officer = bearer(("officer", stage.commune.path), subject="o-2")
    body = entry(unit, id="nfc", observed_at="2026-11-20T08:00:00+07:00", evidence={"text": "Đo sóng"})
    await stage.client.post(ADDRESS, json=body, headers=officer)
    decomposed = {**body, "evidence": {"text": unicodedata.normalize("NFD", "Đo sóng")}}
    assert decomposed != body
    assert (await stage.client.post(ADDRESS, json=decomposed, headers=officer)).json()["outcome"] == "duplicate"
