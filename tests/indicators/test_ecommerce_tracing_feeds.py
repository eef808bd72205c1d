"""What ecommerce tells of lots becomes row 7.1 of the smart commune: a cooperative's traceable lot, with residents."""

from __future__ import annotations

from typing import Any

from xaso.ecommerce.v1 import events_pb2 as ecommerce

from chassis.units import Unit, today
from services.indicators.views.things import thing_href
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API
from tests.indicators.rows import row
from tests.support.running import bearer

YEAR = today().year
YES, NO = ("measured", {"flag": True}), ("measured", {"flag": False})
WHOLE = {
    "cooperative": True,
    "status": "open",
    "diary_entries": 3,
    "households": 2,
    "traceable": True,
    "year": YEAR,
}


def lot(stage: Stage, unit: Unit, number: int = 1, *, sequence: int | None = None, **said: Any) -> Any:
    published = said.pop("published", True)
    told = ecommerce.Lot(
        id=f"lot-{unit.code}-{number}",
        code=f"261101-{unit.code}{number}",
        unit=unit.code,
        commune=unit.commune,
        **{**WHOLE, **said},
    )
    if published:
        told.published_at.GetCurrentTime()
    return stage.event(ecommerce.LotChanged(lot=told), told.id, sequence=sequence)


async def test_a_lot_counts_when_a_cooperative_and_two_households_can_be_followed(
    stage: Stage, here: tuple[Unit, Unit]
) -> None:
    above, below = here
    assert await row(stage, above, "7.1") == ("no_data", None)
    lacking: tuple[dict[str, Any], ...] = (
        {"cooperative": False},
        {"households": 1},
        {"traceable": False},
        {"diary_entries": 0},
        {"published": False},
        {"status": "recalled"},
    )
    for one in lacking:
        await stage.tell(lot(stage, below, **one))
        assert await row(stage, above, "7.1") == NO, one
    for status in ("open", "shipped", "closed"):
        await stage.tell(lot(stage, below, status=status))
        assert await row(stage, above, "7.1") == YES, status


async def test_a_recall_takes_the_row_back_until_another_lot_carries_it(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    await stage.tell(lot(stage, below, sequence=1))
    assert await row(stage, above, "7.1") == YES
    await stage.tell(lot(stage, below, sequence=2, status="recalled"))
    # Told before the recall, come after it.
    await stage.tell(lot(stage, below, sequence=1))
    assert await row(stage, above, "7.1") == NO
    await stage.tell(lot(stage, below, 2))
    assert await row(stage, above, "7.1") == YES


async def test_a_harvest_of_last_year_is_not_one_of_this_year(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    await stage.tell(lot(stage, below, year=YEAR - 1))
    assert await row(stage, above, "7.1") == NO
    await stage.tell(lot(stage, below, 2))
    assert await row(stage, above, "7.1") == YES


async def test_what_staff_say_with_evidence_stands_beside_it(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    await stage.tell(lot(stage, below, households=1))
    body = {
        "unit": above.code,
        "measure": "commune.cooperative_digital",
        "value": {"flag": True},
        "period": str(YEAR),
        "evidence": {"document": "12/BC-UBND"},
    }
    answer = await stage.client.post(f"{API}/observations", json=body, headers=bearer(("admin", "30")))
    assert answer.status_code in (200, 201), answer.text
    assert await row(stage, above, "7.1") == YES


def test_a_lot_is_shown_by_its_page() -> None:
    assert thing_href("lot.trace", "ecommerce", "261101-7K3F2P") == "/ecommerce/lots/261101-7K3F2P"
