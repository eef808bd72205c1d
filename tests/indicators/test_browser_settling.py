"""In a real browser: figures to settle after a split, and a set of one place with rows of its own there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from chassis.service import origin
from services.indicators.app import service
from services.indicators.criteria import library
from services.indicators.settings import Settings
from tests.indicators.editing import follow_up
from tests.indicators.inquiring import API
from tests.indicators.test_local_targets import ROW, overlay, target
from tests.indicators.test_settling import split
from tests.indicators.test_stream import Served
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import bearer, commune, ladder, running, serving, settings_for, token, village


@pytest.fixture(scope="module", autouse=True)
def restored() -> Iterator[None]:
    """The catalogue is the process's own: other modules' databases know nothing of what is applied here."""
    before = library.catalogue()
    yield
    library.install(before)


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Served]:
    """A province with a commune that was split, and a row that a district adds and a commune aims at."""
    settings = settings_for(Settings, database("browser_settling"), sequence_poll_seconds=0.2)
    async with running(service, settings) as live:
        here = commune()
        await live.enter_units(*ladder(), here, village(here))
        async with serving(origin([live.runner])) as address:
            served = Served(live, here, [village(here)], address=address)
            await split(served)
            admin = bearer(("admin", "30"))
            for document in (overlay("huyen", "298", ROW), overlay("xa", here.code, target("70%"))):
                body = {"document": document.text}
                answer = await served.client.put(f"{API}/criteria/{document.code}", json=body, headers=admin)
                assert answer.status_code == 200, answer.text
            await follow_up(served)
            yield served


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_what_is_to_be_settled_and_where_a_set_holds_can_be_read(
    stage: Served, open_page: OpenPage, size: tuple[int, int]
) -> None:
    listed = await stage.client.get(f"{API}/settlements?unit=30&reason=no_share", headers=bearer(("admin", "30")))
    first = listed.json()["items"][0]["id"]
    paths = {
        "settlements": "/indicators/settlements?unit=30",
        "settlements-no-share": "/indicators/settlements?unit=30&reason=no_share",
        "settlement-split": f"/indicators/settlements/{first}",
        "set-with-local-rows": "/indicators/sets/hd-288-2023",
        "sets-with-places": "/indicators/sets",
        "sheet-with-local-target": f"/indicators/units/{stage.villages[0].code}?set=hd-288-2023",
    }
    page = await open_page(size)
    cookie = {"name": "xaso_session", "value": token(("admin", "30")), "url": stage.address}
    await page.context.add_cookies([cookie])
    for name, path in paths.items():
        await page.goto(stage.address + path)
        await screenshot(page, f"indicators-{size[0]}-{name}")
        assert await axe(page) == [], path
        await assert_no_sideways_scroll(page)
        assert page_errors(page) == [], path
