"""What the clock does by itself: listings that begin and end, told once, also after a pause and by several at once."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.db import now
from services.ecommerce import commands
from services.ecommerce.app import service
from services.ecommerce.model import Listing
from services.ecommerce.settings import Settings
from tests.ecommerce.conftest import Shop, ok, url
from tests.support.running import running, settings_for
from tests.support.waiting import eventually

HOUR = timedelta(hours=1)


async def planned(shop: Shop, product: str, begin: datetime, end: datetime | None) -> dict[str, Any]:
    body = {"channel": "shopee", "url": url(), "valid_from": begin.isoformat()}
    if end is not None:
        body["valid_to"] = end.isoformat()
    return dict(ok(await shop.post(f"/products/{product}/listings", body), 201))


async def turn(shop: Shop, at: datetime) -> int:
    async with shop.running.tx() as tx:
        return await commands.turn_listings(tx, at, 100)


async def names(shop: Shop, product: str) -> list[str]:
    return [type(event).__name__ for event in await shop.events(product)]


async def test_a_listing_begins_and_ends_when_its_time_comes(shop: Shop) -> None:
    product = (await shop.published())["id"]
    begin = now() + HOUR
    listing = await planned(shop, product, begin, begin + HOUR)
    await turn(shop, begin - timedelta(seconds=1))
    assert await names(shop, product) == ["ProductPublished", "ProductChanged"]
    # At the very instant of `valid_from` it is live, at the very instant of `valid_to` it no longer is.
    await turn(shop, begin)
    opened = (await shop.events(product))[-1]
    assert type(opened).__name__ == "ListingOpened"
    assert opened.listing.id == listing["id"]
    assert opened.listing.live
    assert opened.product.live_listings == 1
    await turn(shop, begin)
    await turn(shop, begin + HOUR - timedelta(microseconds=1))
    assert len(await shop.events(product)) == 3
    await turn(shop, begin + HOUR)
    ended = (await shop.events(product))[-1]
    assert type(ended).__name__ == "ListingEnded"
    assert (ended.listing.live, ended.product.live_listings) == (False, 0)
    await turn(shop, begin + 2 * HOUR)
    rows = await shop.event_rows(product)
    assert [row.occurred_at for row in rows[2:]] == [begin, begin + HOUR]
    assert [row.sequence for row in rows] == [1, 2, 3, 4]


async def test_after_a_pause_both_turns_are_told_in_order(shop: Shop) -> None:
    product = (await shop.published())["id"]
    begin = now() + HOUR
    await planned(shop, product, begin, begin + HOUR)
    await turn(shop, begin + 5 * HOUR)
    assert (await names(shop, product))[2:] == ["ListingOpened", "ListingEnded"]
    assert [event.product.live_listings for event in await shop.events(product)][2:] == [0, 0]


async def test_listings_of_a_secret_draft_turn_in_silence(shop: Shop) -> None:
    product = (await shop.new_product())["id"]
    begin = now() + HOUR
    await planned(shop, product, begin, None)
    await turn(shop, begin)
    assert await names(shop, product) == []
    ok(await shop.post(f"/products/{product}/publish"))
    assert await names(shop, product) == ["ProductPublished"]
    async with shop.running.tx() as tx:
        query = sa.select(Listing.opened_at).where(Listing.product_id == uuid.UUID(product))
        assert (await tx.execute(query)).scalar_one() == begin


async def test_what_was_ended_by_hand_is_not_ended_again(shop: Shop) -> None:
    product = (await shop.published())["id"]
    at = now()
    listing = await planned(shop, product, at - HOUR, at + HOUR)
    called_off = await planned(shop, product, at + HOUR, at + 2 * HOUR)
    for one in (listing, called_off):
        ok(await shop.post(f"/products/{product}/listings/{one['id']}/end"))
    before = await names(shop, product)
    await turn(shop, at + 5 * HOUR)
    assert await names(shop, product) == before


async def test_several_clocks_tell_each_turn_once(shop: Shop) -> None:
    begin = now() + HOUR
    products = [(await shop.published())["id"] for _ in range(6)]
    for product in products:
        await planned(shop, product, begin, begin + HOUR)
    await asyncio.gather(*(turn(shop, begin + 2 * HOUR) for _ in range(4)))
    await turn(shop, begin + 2 * HOUR)
    for product in products:
        assert (await names(shop, product))[2:] == ["ListingOpened", "ListingEnded"]


async def test_a_turn_waits_for_whoever_holds_the_product(shop: Shop) -> None:
    product = (await shop.published())["id"]
    begin = now() + HOUR
    await planned(shop, product, begin, None)
    async with shop.running.tx() as tx:
        await tx.execute(sa.text("SELECT 1 FROM product WHERE id = :id FOR UPDATE"), {"id": uuid.UUID(product)})
        await turn(shop, begin)
        assert "ListingOpened" not in await names(shop, product)
    await turn(shop, begin)
    assert "ListingOpened" in await names(shop, product)


async def test_two_people_opening_the_same_place_at_once_open_it_once(shop: Shop) -> None:
    product = (await shop.published())["id"]
    body = {"channel": "shopee", "url": url()}
    answers = await asyncio.gather(*(shop.post(f"/products/{product}/listings", body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert await names(shop, product) == ["ProductPublished", "ListingOpened"]


async def test_the_database_itself_keeps_listings_apart(shop: Shop) -> None:
    product = (await shop.published())["id"]
    listing = await planned(shop, product, now(), None)
    with pytest.raises(sa.exc.IntegrityError, match="ex_listing_overlap"):
        async with shop.running.tx() as tx:
            tx.add(
                Listing(
                    product_id=uuid.UUID(product),
                    channel="shopee",
                    url=listing["url"],
                    valid_from=now() + HOUR,
                    valid_to=None,
                    created_at=datetime.now(UTC),
                )
            )


async def test_the_loop_of_the_service_ends_a_listing_by_itself(database: Any) -> None:
    from tests.ecommerce.conftest import AN, DUNG, HOME
    from tests.support.running import ladder

    settings = settings_for(Settings, database("clock"), turn_seconds=0.05)
    async with running(service, settings, parts=["tasks"]) as started:
        await started.enter_units(*ladder(), HOME, DUNG, AN)
        shop = Shop(started)
        product = (await shop.published())["id"]
        listing = await planned(shop, product, now() - HOUR, now() + timedelta(seconds=1))
        assert listing["live"]

        async def told() -> bool:
            return (await names(shop, product))[-1] == "ListingEnded"

        await eventually(told, 20)
        assert ok(await shop.get(f"/products/{product}"))["live_listings"] == 0
