"""CatalogueService: what partners may ask, and what they never learn."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio
from xaso.ecommerce.v1 import ecommerce_pb2 as pb
from xaso.ecommerce.v1 import ecommerce_pb2_grpc

from chassis.rpc_client import channel
from services.ecommerce.app import service
from services.ecommerce.settings import Settings
from tests.ecommerce.conftest import AN, DUNG, FOREIGN, HOME, Shop, ok, url
from tests.support.running import ladder, running, settings_for, token


@dataclass
class Catalogue:
    """The service's gRPC face with a partner's token."""

    shop: Shop
    stub: Any

    @staticmethod
    def auth(scope: str = "ecommerce.read") -> tuple[tuple[str, str], ...]:
        return (("authorization", "Bearer " + token(("partner", "30"), kind="partner", scope=scope)),)

    async def list(self, **asked: Any) -> pb.ListProductsResponse:
        return await self.stub.ListProducts(pb.ListProductsRequest(**asked), metadata=self.auth())

    async def refused(self, call: Any) -> grpc.StatusCode:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call
        return error.value.code()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def catalogue(database: Callable[[str], str]) -> AsyncIterator[Catalogue]:
    settings = settings_for(Settings, database("rpc"))
    async with running(service, settings, parts=["rpc"]) as started:
        await started.enter_units(*ladder(), HOME, DUNG, AN, FOREIGN)
        async with channel(f"127.0.0.1:{started.runner.grpc_port}") as opened:
            yield Catalogue(Shop(started), ecommerce_pb2_grpc.CatalogueServiceStub(opened))


async def test_a_product_is_told_as_its_page_tells_it(catalogue: Catalogue) -> None:
    shop = catalogue.shop
    product = await shop.published(name="Bánh gai", price=5_000, price_unit="chiếc")
    ok(await shop.post(f"/products/{product['id']}/listings", {"channel": "shopee", "url": url()}), 201)
    answer = await catalogue.stub.GetProduct(pb.GetProductRequest(id=product["id"]), metadata=catalogue.auth())
    told = answer.product
    assert (told.product.name, told.price, told.price_unit) == ("Bánh gai", 5_000, "chiếc")
    assert (told.product.status, told.product.live_listings) == ("published", 1)
    assert told.producer_name == "HTX Nông nghiệp Đại Sơn"
    assert told.page_url == product["page_url"]
    assert told.photo_url == ""
    assert told.HasField("published_at")


async def test_drafts_and_nonsense_are_not_found(catalogue: Catalogue) -> None:
    draft = await catalogue.shop.new_product()
    for name in (draft["id"], str(uuid.uuid4()), "abc", ""):
        call = catalogue.stub.GetProduct(pb.GetProductRequest(id=name), metadata=catalogue.auth())
        assert await catalogue.refused(call) == grpc.StatusCode.NOT_FOUND, name
    # Also for a person who may see it on the pages: this face is the public catalogue.
    who = (("authorization", catalogue.shop.officer["authorization"]),)
    call = catalogue.stub.GetProduct(pb.GetProductRequest(id=draft["id"]), metadata=who)
    assert await catalogue.refused(call) == grpc.StatusCode.NOT_FOUND


async def test_lists_are_paged_and_narrowed(catalogue: Catalogue) -> None:
    shop = catalogue.shop
    producer = await shop.new_producer()
    ids = [(await shop.published(producer_id=producer, name=f"Vải thiều {n}"))["id"] for n in range(3)]
    ok(await shop.post(f"/products/{ids[1]}/mark-key", None, shop.officer))
    ok(await shop.post(f"/products/{ids[0]}/listings", {"channel": "shopee", "url": url()}), 201)

    async def found(**asked: Any) -> list[str]:
        return [one.product.id for one in (await catalogue.list(query="vai thieu", **asked)).products]

    assert await found() == [ids[2], ids[1], ids[0]]
    assert await found(key_only=True) == [ids[1]]
    assert await found(live_only=True) == [ids[0]]
    assert await found(unit=HOME.code) == [ids[2], ids[1], ids[0]]
    assert await found(unit=FOREIGN.code) == []
    first = await catalogue.list(query="vai thieu", page_size=2)
    assert [one.product.id for one in first.products] == [ids[2], ids[1]]
    last = await catalogue.list(query="vai thieu", page_size=2, page_token=first.next_page_token)
    assert [one.product.id for one in last.products] == [ids[0]]
    assert len(last.products[0].product.listings) == 1
    assert last.next_page_token == ""


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"page_size": -1}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"page_size": 201}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"page_token": "x"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"query": "a\x00"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"query": "a" * 101}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"unit": "nowhere"}, grpc.StatusCode.NOT_FOUND),
        ({"unit": "\x00"}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_bad_question_is_named(catalogue: Catalogue, asked: dict[str, Any], code: grpc.StatusCode) -> None:
    assert await catalogue.refused(catalogue.list(**asked)) == code


async def test_the_scope_is_needed(catalogue: Catalogue) -> None:
    call = catalogue.stub.ListProducts(pb.ListProductsRequest(), metadata=catalogue.auth("petitions.read"))
    assert await catalogue.refused(call) == grpc.StatusCode.PERMISSION_DENIED
    assert await catalogue.refused(catalogue.stub.ListProducts(pb.ListProductsRequest())) == (
        grpc.StatusCode.UNAUTHENTICATED
    )
