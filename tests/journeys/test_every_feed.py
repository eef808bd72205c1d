"""Every event of the other services reaches the rows it feeds: what people did stands on their commune's sheet, with
the event named, and what they took back is gone from it.

On the platform that the journeys share, in a commune of its own. Each case of the table is a deed, the rows it feeds
with what they show then, and, where there is one, the step back with what they show after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from launcher.addresses import Addresses
from launcher.scenario.talk import until
from services.indicators.criteria import library
from tests.journeys import deeds
from tests.journeys.place import Place, settle
from tests.media.phones import push_service

SMART, MODEL = "mard-2023-smart-commune", "hd-1414-ntm-model-4.7"
VILLAGE, HEARD = "hd-288-2023", "hd-1414-village"
OURS = {"I", "P", "M", "E"}
"""The letters of our services where a set says what feeds a row."""

Shown = tuple[str, Any]
Deed = Callable[[Place], Awaitable[None]]

YES: Shown = ("measured", {"flag": True})
NO: Shown = ("measured", {"flag": False})
MET: Shown = ("met", {"flag": True})
UNMET: Shown = ("unmet", {"flag": False})
NOTHING: Shown = ("no_data", None)


SUSPENDED = (("suspended", {"flag": True}), ("suspended", {"flag": False}))
"""The province had no plan for digital addresses, so that the row is not judged; its figure is kept all the same."""


def of(part: int, whole: int, status: str = "measured") -> Shown:
    return (status, {"numerator": part, "denominator": whole})


@dataclass(frozen=True)
class Row:
    """A row of a sheet: what it shows after the deed, and after the step back. Sets of villages: of the first one."""

    set: str
    code: str
    shows: Shown
    then: Shown | None = None
    unit: str = ""


@dataclass(frozen=True)
class Feed:
    """A deed, the event it is told by, its rows, and the step back."""

    deed: Deed
    event: str
    rows: tuple[Row, ...]
    back: Deed | None = None


FEEDS = (
    # First, for the row counts the households that the next one ends, and needs the notices that are withdrawn.
    Feed(
        deeds.pay_through_the_bank,
        "ecommerce.v1.HouseholdPaymentChanged",
        (Row(SMART, "8.1", of(1, 5), of(0, 5)), Row(SMART, "16.4", YES, NOTHING)),
        deeds.give_the_money_back,
    ),
    Feed(
        deeds.keep_a_register_of_households,
        "identity.v1.HouseholdRegisterChanged",
        (Row(SMART, "4.4", YES, NO), Row(SMART, "6.1", YES, NO), Row(MODEL, "s2", *SUSPENDED)),
        deeds.end_the_households_of_a_village,
    ),
    Feed(
        deeds.have_a_digital_team,
        "identity.v1.DigitalTeam",
        (
            Row(SMART, "3.2", YES, NO),
            Row(SMART, "12.1", ("measured", {"count": 1}), ("measured", {"count": 1})),
            Row(VILLAGE, "288.3", MET, UNMET),
        ),
        deeds.dissolve_the_team,
    ),
    Feed(
        deeds.be_listed_and_say_that_one_has_a_smartphone,
        "identity.v1.StaffMemberChanged",
        (Row(SMART, "3.1", of(1, 1), of(0, 1)), Row(SMART, "5.2", of(1, 1), of(0, 1))),
        deeds.leave_the_list,
    ),
    Feed(
        deeds.report_and_answer,
        "petitions.v1.Petition",
        (
            Row(SMART, "1.2", YES),
            Row(SMART, "6.2", YES),
            Row(SMART, "16.3", YES),
            Row(SMART, "18.2", YES),
            Row(MODEL, "g7", MET),
            Row(VILLAGE, "288.1", MET),
        ),
    ),
    Feed(
        deeds.ask_what_people_want_to_learn,
        "petitions.v1.Poll",
        (Row(SMART, "10.3", YES),),
    ),
    Feed(
        deeds.exchange_in_the_forum,
        "petitions.v1.ForumThreadChanged",
        (Row(SMART, "3.3", YES, NOTHING),),
        deeds.hide_the_thread,
    ),
    Feed(
        deeds.send_notices_to_a_phone,
        "media.v1.Notice",
        (Row(SMART, "1.3", YES, NO), Row(SMART, "17", YES, NO)),
        deeds.withdraw_the_notices,
    ),
    Feed(
        deeds.be_heard,
        "media.v1.",
        (
            Row(VILLAGE, "288.2", MET, UNMET),
            Row(VILLAGE, "288.7", of(3, 3, "met"), of(0, 3, "unmet")),
            Row(MODEL, "g9", MET, UNMET),
            Row(HEARD, "loudspeakers-regular", MET),
        ),
        deeds.retire_the_loudspeakers,
    ),
    Feed(
        deeds.watch_with_cameras,
        "media.v1.Camera",
        (Row(SMART, "18.1", YES, NO), Row(VILLAGE, "288.4", MET, UNMET)),
        deeds.take_the_camera_away,
    ),
    Feed(
        deeds.sell_a_product,
        "ecommerce.v1.",
        (
            Row(SMART, "7.2", YES, NO),
            Row(SMART, "13.1", YES, NO),
            Row(VILLAGE, "288.9", of(1, 1, "met"), of(0, 1, "unmet")),
        ),
        deeds.end_the_listing,
    ),
    Feed(
        deeds.receive_visitors,
        "ecommerce.v1.TourismPointChanged",
        (Row(SMART, "6.3", YES, NO),),
        deeds.close_the_point,
    ),
    Feed(
        deeds.trace_a_harvest,
        "ecommerce.v1.LotChanged",
        (Row(SMART, "7.1", YES, NO),),
        deeds.recall_the_lot,
    ),
    Feed(
        deeds.prove_that_a_shop_takes_transfers,
        "ecommerce.v1.BusinessChanged",
        (Row(SMART, "8.2", of(1, 1), of(0, 1)),),
        deeds.hear_that_it_takes_none,
    ),
    Feed(deeds.measure_the_signal, "observation", (Row(VILLAGE, "288.8", of(20, 20, "met")),)),
    Feed(deeds.publish_what_a_register_knows, "observation", (Row(SMART, "4.2", of(38, 40)),)),
    Feed(deeds.merge_two_communes, "succession:quang-phuc-dan-chu", (Row(SMART, "4.3", of(5, 8), unit=deeds.INTO),)),
    Feed(deeds.read_as_the_province, "reading:ioc-", (Row(SMART, "2.1", YES),)),
)


def test_every_row_that_names_one_of_our_services_has_a_case() -> None:
    for code in (SMART, VILLAGE):
        items = library.catalogue().sets[code].items
        ours = {item.code for item in items if OURS.intersection(item.feeds)}
        assert ours - {row.code for feed in FEEDS for row in feed.rows if row.set == code} == set()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(
    announced: dict[str, Any], addresses: Addresses, data: Path, listening: socket.socket
) -> AsyncIterator[Place]:
    """The commune after all that is done in it; devices stay on the air."""
    async with contextlib.AsyncExitStack() as exits:
        pushes = await exits.enter_async_context(push_service(listening))
        made = await settle(addresses, announced["logins"], data, pushes, exits)
        await asyncio.gather(*(feed.deed(made) for feed in FEEDS))
        yield made


async def becomes(place: Place, row: Row, shown: Shown) -> dict[str, Any]:
    """The explanation of the row once it shows this."""
    unit = row.unit or (place.villages[0] if row.set in (VILLAGE, HEARD) else place.commune)
    path = f"/indicators/api/v1/units/{unit}/sets/{row.set}/items/{row.code}/explanation"
    last: dict[str, Any] = {}

    async def look() -> dict[str, Any] | None:
        last.update(await place.admin.get(path))
        return last if (last["item"]["status"], last["item"]["value"]) == shown else None

    return await until(look, lambda: f"{row.code} of {row.set} shows {last['item']}, not {shown}")


def sources(explained: dict[str, Any]) -> list[str]:
    """What the facts of a row rest on: events and whatever else."""
    told = [fact["source"] for fact in explained["facts"]]
    return [str(one.get("type") or one) for one in told] + [explained["item"]["because"]]


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.deed.__name__)
async def test_what_is_done_reaches_its_rows_and_what_is_taken_back_leaves_them(place: Place, feed: Feed) -> None:
    for row in feed.rows:
        explained = await becomes(place, row, row.shows)
        assert any(feed.event in source for source in sources(explained)), (row.code, sources(explained))
    if feed.back:
        await feed.back(place)
    for row in feed.rows:
        if row.then:
            await becomes(place, row, row.then)
