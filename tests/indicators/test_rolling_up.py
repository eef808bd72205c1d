"""What is counted above villages: which of them are in the share of a commune, a district and a province."""

from __future__ import annotations

from datetime import date

from chassis.units import Unit
from services.indicators.criteria.figures import Ratio
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import record, said
from tests.support.running import bearer, commune, village


async def test_what_is_not_asked_of_a_village_is_in_no_share_of_the_units_above(stage: Stage) -> None:
    """Of five villages one meets the row, two do not (of one nothing is known), and two are not asked."""
    here = commune("90901", "Xã Một", "909")
    below = [village(here, number, f"Thôn {number}") for number in range(1, 6)]
    district = Unit("909", "Huyện Chín", "district", "huyen", "30", "30/909", date(2020, 1, 1))
    await stage.running.enter_units(district, here, *below)
    met, unmet, exempt, halted, _ = below
    sold = "village.key_products_online"
    await record(stage, said(met, sold, Ratio(2, 2)), said(unmet, sold, Ratio(1, 2)), said(exempt, sold, Ratio(0, 0)))
    await record(stage, said(halted, sold, Ratio(2, 2)), said(stage.villages[0], sold, Ratio(1, 2)))
    body = {"unit": halted.code, "set": "hd-288-2023", "item": "288.9", "reason": "Đang đếm lại", "document": "7/TB"}
    address = "/indicators/api/v1/suspensions"
    answer = await stage.client.post(address, json=body, headers=bearer(("admin", "30")))
    assert answer.status_code == 201, answer.text
    await stage.settle()
    statuses = [await stage.status(unit, "288.9") for unit in below]
    assert statuses == ["met", "unmet", "not_applicable", "suspended", "no_data"]
    for unit, elsewhere in ((here, 0), (district, 0), ("30", len(stage.villages))):
        assert (await stage.item(unit, "288.9"))["value"] == {"numerator": 1, "denominator": 3 + elsewhere}
