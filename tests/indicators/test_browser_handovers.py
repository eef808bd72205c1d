"""In a real browser: figures of former units with their documents, and a sheet of which few rows name a level."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from chassis.service import origin
from chassis.units import Unit
from services.indicators.app import service
from services.indicators.criteria import library
from services.indicators.criteria.figures import Ratio
from services.indicators.settings import Settings
from tests.indicators.editing import follow_up, put
from tests.indicators.inquiring import record, said
from tests.indicators.test_handovers import ITEM, SET, settled
from tests.indicators.test_stream import Served
from tests.indicators.test_watched_rows import MEASURES, OVERLAY, codes
from tests.indicators.test_watched_rows import SET as WATCHED
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import commune, ladder, running, serving, settings_for, token, village


@pytest.fixture(scope="module", autouse=True)
def restored() -> Iterator[None]:
    """The catalogue is the process's own: other modules' databases know nothing of what is applied here."""
    before = library.catalogue()
    yield
    library.install(before)


@pytest.fixture(scope="module")
async def merged(database: Callable[[str], str]) -> AsyncIterator[tuple[Served, Unit]]:
    """A commune that came of two, one of its figures accepted, and another that aims at three of 39 watched rows."""
    settings = settings_for(Settings, database("browser_handovers"), sequence_poll_seconds=0.2)
    async with running(service, settings) as live:
        here = commune()
        await live.enter_units(*ladder(), here, village(here))
        async with serving(origin([live.runner])) as address:
            served = Served(live, here, [village(here)], address=address)
            heir, _, _ = await settled(served)
            answer = await put(served, "xa-2026", OVERLAY.format(unit=here.code, rows=codes()))
            assert answer.status_code == 200, answer.text
            await follow_up(served)
            await record(served, *(said(here, measure, Ratio(n, 10)) for n, measure in enumerate(MEASURES, 7)))
            await served.settle()
            yield served, heir


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_where_figures_come_from_and_what_is_judged_can_be_read(
    merged: tuple[Served, Unit], open_page: OpenPage, size: tuple[int, int]
) -> None:
    served, heir = merged
    paths = {
        f"why-{name}": f"/indicators/units/{heir.code}/items/{item}?set={SET}"
        for name, item in zip(("carried", "accepted"), ITEM.values(), strict=True)
    }
    paths["sheet-of-former-figures"] = f"/indicators/units/{heir.code}?set={SET}"
    paths["sheet-few-judged"] = f"/indicators/units/{served.commune.code}?set={WATCHED}"
    paths["overview-few-judged"] = f"/indicators/?unit=298&set={WATCHED}"
    page = await open_page(size)
    cookie = {"name": "xaso_session", "value": token(("admin", "30")), "url": served.address}
    await page.context.add_cookies([cookie])
    for name, path in paths.items():
        await page.goto(served.address + path)
        await page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true; })")
        await screenshot(page, f"indicators-{size[0]}-{name}")
        assert await axe(page) == [], path
        await assert_no_sideways_scroll(page)
        assert page_errors(page) == [], path
