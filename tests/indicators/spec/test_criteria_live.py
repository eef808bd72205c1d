"""Changing criteria while the service runs: a province's overlay, a bad document, and who may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from chassis.units import Unit
from tests.indicators.spec.province import API
from tests.indicators.spec.test_bad_sets import ONE, SET, changed
from tests.indicators.spec.test_sets_live import known, row, sheet
from tests.indicators.spec.world import World, figure, ratio
from tests.support.running import bearer
from tests.support.waiting import eventually

PROVINCE, NAME = "96", "muc-tieu-96"
SMART = "mard-2023-smart-commune"
ADMIN = bearer(("admin", PROVINCE))
OVERLAY = """\
overlay: muc-tieu-96
on: mard-2023-smart-commune
unit: "96"
title: {vi: "Mục tiêu của tỉnh", en: "Targets of the province"}
legal_basis: {number: 2/QĐ-UBND, date: 2026-01-06, issuer: UBND tỉnh, title: "Mục tiêu"}
valid_from: 2026-01-06
targets:
  - {item: "4.3", operator: ">=", target: 90%}
suspend:
  - {item: "15.1", reason: {vi: "Chờ hướng dẫn", en: "Waiting for guidance"}, document: 9/CV-UBND}
"""


@pytest.fixture(scope="module")
async def communes(world: World) -> AsyncIterator[tuple[Unit, Unit]]:
    """A commune with exactly 90% of its public points on free wifi, and one with 89.96%."""
    since = date(2020, 1, 1)
    above = [
        Unit(PROVINCE, "Tỉnh Thử Hai", "province", "tinh", "", PROVINCE, since),
        Unit("961", "Huyện Thử", "district", "huyen", PROVINCE, f"{PROVINCE}/961", since),
    ]
    made = [Unit(f"9610{n}", f"Xã {n}", "commune", "xa", "961", f"{PROVINCE}/961/9610{n}", since) for n in (1, 2)]
    await known(world, *above, *made)
    for unit, value in zip(made, ((90, 100), (2249, 2500)), strict=True):
        told = (figure(unit, "commune.wifi_points", value), figure(unit, "commune.renewable_households", (1, 9)))
        assert not (await world.submit(*told, grant=PROVINCE)).rejections
    yield made[0], made[1]
    await world.client.delete(f"{API}/criteria/{NAME}", headers=ADMIN)


async def put(world: World, name: str, document: str, headers: dict[str, str]) -> Any:
    return await world.client.put(f"{API}/criteria/{name}", json={"document": document}, headers=headers)


async def becomes(world: World, unit: Unit, code: str, expected: str) -> None:
    async def so() -> bool:
        found = await row(world, unit, SMART, code)
        assert found[0] == expected, found
        return True

    assert await eventually(so)


async def test_a_province_sets_a_target_while_the_service_runs(world: World, communes: tuple[Unit, Unit]) -> None:
    met, unmet = communes
    assert await row(world, met, SMART, "4.3") == ("measured", ratio(90, 100))
    answer = await put(world, NAME, OVERLAY, ADMIN)
    assert answer.status_code == 200, answer.text
    await becomes(world, met, "4.3", "met")
    await becomes(world, unmet, "4.3", "unmet")
    await becomes(world, met, "15.1", "suspended")
    (item,) = [item for item in (await sheet(world, met, SMART))["items"] if item["code"] == "15.1"]
    assert "9/CV-UBND" in str(item)
    (item,) = [item for item in (await sheet(world, met, SMART))["items"] if item["code"] == "4.3"]
    assert NAME in str(item)
    assert {"operator": ">=", "numerator": 90, "denominator": 100}.items() <= item["target"].items()
    # Another edition: "trên 90%".
    answer = await put(world, NAME, OVERLAY.replace('operator: ">="', 'operator: ">"'), ADMIN)
    assert answer.status_code == 200, answer.text
    await becomes(world, met, "4.3", "unmet")
    gone = await world.client.delete(f"{API}/criteria/{NAME}", headers=ADMIN)
    assert gone.status_code == 200, gone.text
    await becomes(world, met, "4.3", "measured")
    await becomes(world, met, "15.1", "measured")


async def test_a_bad_document_is_refused_with_its_lines_and_changes_nothing(
    world: World, communes: tuple[Unit, Unit]
) -> None:
    here, _ = communes
    before = await sheet(world, here, SMART)
    answer = await put(world, NAME, OVERLAY.replace('item: "4.3"', 'item: "4.33"'), ADMIN)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert "4.33" in answer.text
    assert "8" in answer.text
    assert "targets[0].item" in answer.text
    for text in ("", "[", "overlay: x\0", "1", "overlay: muc-tieu-96"):
        answer = await put(world, NAME, text, ADMIN)
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.headers["content-type"].startswith("application/problem+json")
    assert await sheet(world, here, SMART) == before


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {401}),
        (bearer(("officer", PROVINCE)), {403}),
        (bearer(("viewer", PROVINCE)), {403}),
        (bearer(("admin", "30")), {403, 404}),
        (bearer(("admin", f"{PROVINCE}/961")), {403, 404}),
    ],
)
async def test_an_overlay_is_for_administrators_of_its_unit(
    world: World, communes: tuple[Unit, Unit], headers: dict[str, str], expected: set[int]
) -> None:
    answer = await put(world, NAME, OVERLAY, headers)
    assert answer.status_code in expected, answer.text
    assert (await row(world, communes[0], SMART, "4.3"))[0] == "measured"


async def test_a_set_is_not_for_administrators_of_a_province(world: World) -> None:
    # Not even to see whether it is good: what is asked for is refused before it is read.
    for text in (SET, changed(ONE, "rule: {flag: thu.khong_co}")):
        answer = await put(world, "thu-nghiem-2026", text, ADMIN)
        assert answer.status_code == 403, answer.text
