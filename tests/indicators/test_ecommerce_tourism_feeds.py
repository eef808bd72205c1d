"""What ecommerce tells of places to visit becomes row 6.3 of the smart commune, with products sold online beside it."""

from __future__ import annotations

from typing import Any

from xaso.ecommerce.v1 import events_pb2 as ecommerce

from chassis.units import Unit
from services.indicators.views.things import thing_href
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API
from tests.indicators.rows import row
from tests.support.running import bearer

OPEN = {"status": "published", "has_location": True, "has_opening": True, "bookable": True}


def point(stage: Stage, unit: Unit, number: int = 1, *, sequence: int | None = None, **said: Any) -> Any:
    told = ecommerce.TourismPoint(
        id=f"point-{unit.code}-{number}", unit=unit.code, commune=unit.commune, kind="garden", **{**OPEN, **said}
    )
    return stage.event(ecommerce.TourismPointChanged(point=told), told.id, sequence=sequence)


def product(stage: Stage, unit: Unit, *, live: int = 1, key: bool = False, status: str = "published") -> Any:
    told = ecommerce.Product(
        id=f"sp-{unit.code}", unit=unit.code, name="Gạo", status=status, live_listings=live, key_product=key
    )
    return stage.event(ecommerce.ProductChanged(product=told), told.id)


YES = ("measured", {"flag": True})
NO = ("measured", {"flag": False})
UNKNOWN = ("no_data", None)


async def test_one_place_with_information_that_is_booked_online_is_both(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    assert await row(stage, above, "6.3") == UNKNOWN
    await stage.tell(product(stage, below, live=0))
    for lacking in ({"bookable": False}, {"has_location": False}, {"has_opening": False, "bookable": False}):
        await stage.tell(point(stage, below, **lacking))
        assert await row(stage, above, "6.3") == NO, lacking
    await stage.tell(point(stage, below))
    assert await row(stage, above, "6.3") == YES
    await stage.tell(point(stage, below, status="closed", bookable=False))
    assert await row(stage, above, "6.3") == NO
    await stage.tell(point(stage, below, 2))
    assert await row(stage, above, "6.3") == YES
    # What was told before it was taken back, and comes again late, changes nothing.
    await stage.tell(point(stage, below, 2, status="draft", bookable=False))
    await stage.tell(point(stage, below, 2, sequence=1))
    assert await row(stage, above, "6.3") == NO


async def test_a_product_sold_online_is_digital_trade_and_no_information(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    await stage.tell(product(stage, below))
    assert await row(stage, above, "6.3") == UNKNOWN, "nobody knows of places to visit"
    await stage.tell(point(stage, below, has_location=False, bookable=False))
    assert await row(stage, above, "6.3") == NO
    await stage.tell(point(stage, below, bookable=False))
    assert await row(stage, above, "6.3") == YES
    await stage.tell(product(stage, below, live=0))
    assert await row(stage, above, "6.3") == NO
    await stage.tell(product(stage, below, key=True))
    assert await row(stage, above, "6.3") == YES
    await stage.tell(product(stage, below, status="withdrawn"))
    assert await row(stage, above, "6.3") == NO


async def test_what_staff_say_with_evidence_stands_beside_it(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    await stage.tell(point(stage, below, bookable=False), product(stage, below, live=0))
    body = {
        "unit": above.code,
        "measure": "commune.products_sold_online",
        "value": {"flag": True},
        "evidence": {"document": "12/BC-UBND"},
    }
    answer = await stage.client.post(f"{API}/observations", json=body, headers=bearer(("admin", "30")))
    assert answer.status_code in (200, 201), answer.text
    assert await row(stage, above, "6.3") == YES


def test_a_place_is_shown_by_its_page() -> None:
    assert thing_href("tourism.point", "ecommerce", "0b1e") == "/ecommerce/tourism/points/0b1e"
