"""A province on its first day: no page and no answer about any set breaks where nobody has said or entered anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from services.indicators.app import service
from services.indicators.criteria import library
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage, shipped
from tests.indicators.inquiring import ask
from tests.support.running import bearer, commune, ladder, running, settings_for

OFFICER = bearer(("officer", "30"), scope="xaso")
SETS = sorted(shipped().sets)
PAGE, API = "/indicators", "/indicators/api/v1"


@pytest.fixture(scope="module")
async def bare(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    """Hải Dương, Tứ Kỳ and Đại Sơn, which has no village yet."""
    library.install(shipped())
    settings = settings_for(Settings, database("empty"))
    async with running(service, settings) as live:
        here = commune()
        await live.enter_units(*ladder(), here)
        yield Stage(live, here, [])


def ways(unit: str, of: str, items: list[str]) -> Iterator[str]:
    yield f"{PAGE}/units/{unit}?set={of}"
    yield f"{PAGE}/?unit={unit}&set={of}"
    yield f"{PAGE}/units/{unit}/quality?set={of}&show=missing"
    yield f"{PAGE}/units/{unit}/entry?set={of}"
    yield f"{PAGE}/units/{unit}/sheet.csv?set={of}"
    yield f"{API}/units/{unit}/sets/{of}?sources=true"
    for item in items:
        yield f"{PAGE}/units/{unit}/items/{item}?set={of}"
        yield f"{PAGE}/units/{unit}/items/{item}/history?set={of}"
        yield f"{API}/units/{unit}/sets/{of}/items/{item}/reasons"


@pytest.mark.parametrize("of", SETS)
@pytest.mark.parametrize("unit", ["30", "298", "11074"])
async def test_every_answer_about_a_set(bare: Stage, of: str, unit: str) -> None:
    here = bare.commune if unit == "11074" else next(one for one in ladder() if one.code == unit)
    criteria = shipped().sets[of]
    # Above the set's level all rows are added up alike, so one of them will do.
    items = [item.code for item in criteria.items][: None if criteria.level == here.level else 1]
    offered = (await bare.client.get(f"{API}/units/{unit}/sets/{of}")).status_code == 200
    # The sheet of what lies below is the overview, and a page leads to a set that is asked of the unit.
    expected = {200, 303} if offered else {200, 303, 404, 409, 422}
    answered = {way: (await bare.client.get(way, headers=OFFICER)).status_code for way in ways(unit, of, items)}
    assert {way: code for way, code in answered.items() if code not in expected} == {}
    judged_here = offered and criteria.level == here.level
    page = await bare.client.get(f"{PAGE}/units/{unit}/what-if?set={of}", headers=OFFICER)
    told = await ask(bare, here, of, {"changes": [], "targets": []})
    assert {page.status_code, told.status_code} <= ({200} if judged_here else {303, 404, 409, 422}), page.text
