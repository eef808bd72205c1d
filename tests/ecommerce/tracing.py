"""Owns what the tests of traceability arrange: a producer with a plot, its diary, a lot, and what was told of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from xaso.ecommerce.v1 import events_pb2

from chassis.units import VIETNAM, today
from tests.ecommerce.conftest import DUNG, Shop, ok

TODAY = today()
HARVEST = TODAY - timedelta(days=3)
SEASON = HARVEST - timedelta(days=100)


def day(date_: date) -> str:
    return date_.isoformat()


def at(date_: date, hour: int = 9) -> str:
    return datetime.combine(date_, time(hour), VIETNAM).isoformat()


@dataclass
class Farm:
    """A cooperative with one product and one plot, for tests that go on from there."""

    shop: Shop
    producer: str
    product: str
    plot: str

    async def write(self, work: str, on: date, **more: Any) -> Any:
        body = {"day": day(on), "work": work, **more}
        return await self.shop.post(f"/plots/{self.plot}/diary", body)

    def lot_body(self, **changed: Any) -> dict[str, Any]:
        body = {
            "product_id": self.product,
            "plots": [self.plot],
            "season_from": day(SEASON),
            "harvested_on": day(HARVEST),
            "quantity": 1250.5,
            "uom": "kg",
            "households": 4,
        }
        return {**body, **changed}

    async def lot(self, **changed: Any) -> str:
        return str(ok(await self.shop.post("/lots", self.lot_body(**changed)), 201)["code"])

    async def step(self, code: str, kind: str = "packing", **more: Any) -> Any:
        body = {"kind": kind, "at": at(HARVEST, 15), "place": "Kho HTX Đại Sơn", **more}
        return await self.shop.post(f"/lots/{code}/steps", body)

    async def packed(self, **changed: Any) -> str:
        """A lot with a diary, packed and published."""
        ok(await self.write("sowing", SEASON, done_by="households", households=4), 201)
        code = await self.lot(**changed)
        ok(await self.step(code))
        ok(await self.shop.post(f"/lots/{code}/publish"))
        return code

    async def told(self, code: str) -> list[events_pb2.Lot]:
        """What was told of a lot, oldest first."""
        messages: list[Any] = list(await self.shop.events(await self.id_of(code)))
        return [message.lot for message in messages]

    async def id_of(self, code: str) -> str:
        async with self.shop.running.tx() as tx:
            return str(await tx.scalar(sa.text("SELECT id FROM lot WHERE code = :code"), {"code": code}))


async def farm(shop: Shop) -> Farm:
    made = await shop.new_producer()
    product = await shop.new_product(producer_id=made)
    plot = await shop.post("/plots", {"producer_id": made, "name": "Bãi Trên", "unit": DUNG.code})
    return Farm(shop, made, str(product["id"]), str(ok(plot, 201)["id"]))
