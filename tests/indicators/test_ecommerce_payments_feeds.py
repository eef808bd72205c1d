"""What ecommerce tells of payments becomes rows 8.1 and 8.2 of the smart commune: households and businesses online."""

from __future__ import annotations

from typing import Any

from xaso.ecommerce.v1 import events_pb2 as ecommerce

from chassis.units import Unit, today
from services.indicators.stream.consumers import household_payment
from services.indicators.views.things import thing_href
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API
from tests.indicators.rows import row
from tests.support.running import bearer

ADMIN = bearer(("admin", "30"))
YEAR = today().year
NOTHING = ("no_data", None)


def share(numerator: int, denominator: int) -> tuple[str, Any]:
    return "measured", {"numerator": numerator, "denominator": denominator}


def payment(
    stage: Stage, unit: Unit, number: int, *services: str, year: int = YEAR, sequence: int | None = None, **said: Any
) -> Any:
    id = f"household-{unit.code}-{number}"
    told = ecommerce.HouseholdPayment(
        household_id=id, unit=unit.code, commune=unit.commune, year=year, services=services, **said
    )
    return stage.event(ecommerce.HouseholdPaymentChanged(payment=told), f"{id}@{year}", sequence=sequence)


def business(stage: Stage, unit: Unit, number: int, online: bool, *, ended: bool = False) -> Any:
    id = f"business-{unit.code}-{number}"
    told = ecommerce.Business(id=id, unit=unit.code, commune=unit.commune, online_payment=online, ended=ended)
    return stage.event(ecommerce.BusinessChanged(business=told), id)


async def enter(stage: Stage, unit: Unit, measure: str, value: Any) -> None:
    """What staff enter with evidence."""
    body = {"unit": unit.code, "measure": measure, "value": value, "evidence": {"document": "12/BC-UBND"}}
    answer = await stage.client.post(f"{API}/observations", json=body, headers=ADMIN)
    assert answer.status_code in (200, 201), answer.text


async def test_households_that_paid_online_this_year_are_counted_among_those_told_of(
    stage: Stage, here: tuple[Unit, Unit]
) -> None:
    above, below = here
    # In January nothing is known of the year until its first charge.
    await stage.tell(payment(stage, below, 1, "waste", year=YEAR - 1, paid_online=3))
    assert (await row(stage, above, "8.1"))[0] == "no_data"
    await stage.tell(payment(stage, below, 1), payment(stage, below, 2), payment(stage, below, 3))
    assert await row(stage, above, "8.1") == share(0, 3)
    await stage.tell(payment(stage, below, 1, "waste", paid_online=1))
    assert await row(stage, above, "8.1") == share(1, 3)
    # Twice is one household; what was paid last year, or given back, is not of this year.
    await stage.tell(payment(stage, below, 1, "waste", "water", paid_online=5))
    await stage.tell(payment(stage, below, 2, "waste", year=YEAR - 1, paid_online=1))
    assert await row(stage, above, "8.1") == share(1, 3)
    late = payment(stage, below, 3, "waste", paid_online=1, sequence=2)
    await stage.tell(payment(stage, below, 3, sequence=3))
    await stage.tell(late)
    assert await row(stage, above, "8.1") == share(1, 3)
    # Who moved away is no household of the commune.
    await stage.tell(payment(stage, below, 2, ended=True))
    assert await row(stage, above, "8.1") == share(1, 2)
    gone = payment(stage, below, 3, ended=True, sequence=4)
    await stage.tell(payment(stage, below, 1, "waste", paid_online=5, ended=True), gone)
    assert (await row(stage, above, "8.1"))[0] == "no_data"


async def test_households_the_register_lacks_stand_below_the_line_and_official_figures_come_first(
    stage: Stage, here: tuple[Unit, Unit]
) -> None:
    above, below = here
    await stage.tell(payment(stage, below, 1, "waste", paid_online=1), payment(stage, below, 2))
    await enter(stage, above, "commune.households", {"count": 1204})
    assert await row(stage, above, "8.1") == share(1, 1204)
    await enter(stage, above, "commune.households_online_payment", {"numerator": 640, "denominator": 1204})
    assert await row(stage, above, "8.1") == share(640, 1204)


async def test_paying_for_waste_is_told_apart_and_silence_is_no_no(stage: Stage, here: tuple[Unit, Unit]) -> None:
    _above, below = here

    def waste(*services: str, **said: Any) -> bool:
        event = payment(stage, below, 1, *services, paid_online=len(services), **said)
        fact = next(f for f in household_payment(event.data, event) if f.attribute == "household.waste_payment")
        assert (fact.value, fact.period, fact.source) == ("paid", str(YEAR), "ecommerce")
        return not fact.withdrawn

    assert waste("water", "waste")
    assert not waste("water")
    assert not waste("waste", ended=True)


async def test_businesses_that_take_online_payment_are_counted_among_those_that_run(
    stage: Stage, here: tuple[Unit, Unit]
) -> None:
    above, below = here
    assert await row(stage, above, "8.2") == NOTHING
    await stage.tell(business(stage, below, 1, False), business(stage, above, 2, False))
    assert await row(stage, above, "8.2") == share(0, 2)
    await stage.tell(business(stage, below, 1, True))
    assert await row(stage, above, "8.2") == share(1, 2)
    await stage.tell(business(stage, above, 2, False, ended=True))
    assert await row(stage, above, "8.2") == share(1, 1)
    await enter(stage, above, "commune.service_businesses", {"count": 40})
    assert await row(stage, above, "8.2") == share(1, 40)
    await enter(stage, above, "commune.businesses_online_payment", {"numerator": 20, "denominator": 40})
    assert await row(stage, above, "8.2") == share(20, 40)


def test_neither_a_household_nor_a_business_has_a_page_for_everybody() -> None:
    assert thing_href("household.online_payment", "ecommerce", f"0b1e@{YEAR}") == ""
    assert thing_href("business.online_payment", "ecommerce", "0b1e") == ""
