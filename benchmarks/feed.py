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
from datetime import date

import uvloop
from xaso.ecommerce.v1.events_pb2 import Product, ProductChanged

from chassis import outbox
from chassis.db import Sessions, make_engine
from chassis.outbox import Outgoing
from chassis.settings import ServiceSettings
from chassis.units import Unit


@dataclass
class Plan:
    """`places` are (village, commune) codes; each has one product, which becomes a key product and stops being one.

    `together` events of as many villages are one transaction.
    """

    database_url: str
    places: list[tuple[str, str]]
    rate: float
    seconds: float
    together: int = 1

    def text(self) -> str:
        return json.dumps(asdict(self))


class Feed:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sessions = Sessions(make_engine(ServiceSettings(name="ecommerce", database_url=plan.database_url)))
        self.committed: list[tuple[str, int, float]] = []
        self.products = [str(uuid.uuid4()) for _ in plan.places]

    def event(self, n: int) -> Outgoing:
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
        unit = Unit(village, "", "village", "thon", commune, f"30/298/{commune}/{village}", date(2020, 1, 1))
        return Outgoing(ProductChanged(product=product), unit, product.id)

    async def commit(self, n: int) -> None:
        """Commit the events from the n-th on; the products are ours, so each event of one is its next."""
        outgoing = [self.event(n + i) for i in range(self.plan.together)]
        async with self.sessions.begin() as tx:
            await outbox.add_all(tx, outgoing)
        at = time.monotonic()
        self.committed += [(one.subject, (n + i) // len(self.plan.places) + 1, at) for i, one in enumerate(outgoing)]

    async def run(self) -> None:
        """Start each commit at its time, whether or not the ones before are through: an open loop hides no delay."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for n in range(0, int(self.plan.rate * self.plan.seconds), self.plan.together):
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
