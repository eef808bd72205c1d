"""The writer of `latency`: commits events of the ecommerce service at a fixed rate through the chassis's outbox.

`python -m benchmarks.feed` reads a plan as JSON from standard input and prints, as JSON, for each event its subject,
its sequence, and the instant (CLOCK_MONOTONIC, shared by all processes) at which its commit was acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from dataclasses import asdict, dataclass

import uvloop
from xaso.ecommerce.v1.events_pb2 import Product, ProductChanged

from chassis import outbox
from chassis.db import Sessions, make_engine
from chassis.settings import ServiceSettings


@dataclass
class Plan:
    """`places` are (village, commune) codes; each has one product, which becomes a key product and stops being one."""

    database_url: str
    places: list[tuple[str, str]]
    rate: float
    seconds: float

    def text(self) -> str:
        return json.dumps(asdict(self))


class Feed:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sessions = Sessions(make_engine(ServiceSettings(name="ecommerce", database_url=plan.database_url)))
        self.committed: list[tuple[str, int, float]] = []
        self.products = [str(uuid.uuid4()) for _ in plan.places]

    async def commit(self, n: int) -> None:
        place = n % len(self.plan.places)
        village, commune = self.plan.places[place]
        key = (n // len(self.plan.places)) % 2 == 0
        product = Product(
            id=self.products[place],
            unit=village,
            producer_id=self.products[place],
            name="Ổi Thanh Hà",
            key_product=key,
            status="published",
            live_listings=1,
        )
        async with self.sessions.begin() as tx:
            message = ProductChanged(product=product)
            sequence = await outbox.add(tx, message, unit=village, key=commune, subject=product.id)
        self.committed.append((product.id, sequence, time.monotonic()))

    async def run(self) -> None:
        """Start each commit at its time, whether or not the ones before are through: an open loop hides no delay."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for n in range(int(self.plan.rate * self.plan.seconds)):
                due = began + n / self.plan.rate
                if (pause := due - time.monotonic()) > 0:
                    await asyncio.sleep(pause)
                group.create_task(self.commit(n))


async def main() -> None:
    given = json.loads(sys.stdin.read())
    feed = Feed(Plan(**{**given, "places": [tuple(place) for place in given["places"]]}))
    await feed.run()
    print(json.dumps(feed.committed))


if __name__ == "__main__":
    uvloop.run(main())
