"""Owns the order of the story: who does what, and which status the platform must report after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from launcher.addresses import Addresses, Logins
from launcher.scenario import cameras, loudspeakers, petition, products, telecom, village
from launcher.scenario.sheet import Outcome, Sheet, SheetReader
from launcher.scenario.talk import ScenarioFailed, Visitor, visitor

EXPECTED = {
    "288.1": "met",
    "288.2": "met",
    "288.3": "met",
    "288.4": "met",
    "288.5": "met",
    "288.6": "met",
    "288.7": "met",
    "288.8": "met",
    # Met until a listing ends: that is the end of the story.
    "288.9": "unmet",
}
TONE_PACE = 0.2
"""How much of the time a test tone takes is waited for where the story is told at a pace to follow."""


@dataclass(frozen=True)
class Step:
    """One thing that was done, and how the village stood after it."""

    who: str
    what: str
    code: str = ""
    status: str = ""
    figure: str = ""
    met: int = 0
    total: int = 0

    def __str__(self) -> str:
        done = f"{self.who}: {self.what}"
        if not self.code:
            return done
        figure = f" ({self.figure})" if self.figure else ""
        return f"{done}  →  {self.code} {self.status}{figure}, {self.met}/{self.total} met"


@dataclass
class Devices:
    """The loudspeakers and cameras of the story: they stay on the air until `exits` is closed.

    `camera_ports` are the ports of 127.0.0.1 the cameras answer on; 0 takes a free one.
    """

    exits: AsyncExitStack = field(default_factory=AsyncExitStack)
    camera_ports: Sequence[int] = (0, 0)


async def play(
    addresses: Addresses,
    logins: Logins,
    pace: float,
    report: Callable[[Step], None],
    devices: Devices | None = None,
) -> list[Outcome]:
    """Play the story once; `pace` is the pause between two steps in seconds, 0 none.

    `devices` keeps the devices on the air after the story; without it they leave at its end. Playing again on the same
    data takes up the villages, devices and products that are there. Raises ScenarioFailed.
    """
    async with AsyncExitStack() as stack:
        resident = await stack.enter_async_context(visitor(addresses.web, "resident", logins["resident"]))
        officer = await stack.enter_async_context(visitor(addresses.web, "officer", logins["officer"]))
        producer = await stack.enter_async_context(visitor(addresses.web, "cooperative", logins["producer"]))
        own = devices or Devices(exits=await stack.enter_async_context(AsyncExitStack()))
        story = _Story(addresses, logins, pace, report, own, resident, officer, producer)
        return await story.play()


class _Story:
    """One playing of the story."""

    def __init__(
        self,
        addresses: Addresses,
        logins: Logins,
        pace: float,
        report: Callable[[Step], None],
        devices: Devices,
        resident: Visitor,
        officer: Visitor,
        producer: Visitor,
    ) -> None:
        self._addresses = addresses
        self._logins = logins
        self._pace = pace
        self._report = report
        self._devices = devices
        self._resident = resident
        self._officer = officer
        self._producer = producer

    async def play(self) -> list[Outcome]:
        """Everything, in order."""
        self._commune = await village.commune(self._officer)
        self._unit = await self._villages()
        self._sheet = SheetReader(self._officer, self._unit)
        before = await self._sheet.read()
        where = f"{self._addresses.web}/indicators/units/{self._unit}"
        await self._told("platform", f"{village.VILLAGES[0]} meets {before.met}/{before.total} criteria; see {where}")
        await self._team()
        await self._telecom()
        await self._loudspeakers()
        await self._cameras()
        sold = await self._cooperative()
        await self._petition()
        whole = await self._sheet.counts(9)
        if whole.status != "met" or whole.total != 9:
            raise ScenarioFailed(f"all nine criteria are met and the sheet says {whole.status}, 9/{whole.total}")
        await self._told("platform", f"{village.VILLAGES[0]} meets all of hd-288-2023: 9/9")
        await self._withdraw(sold)
        after = await self._sheet.counts(8)
        return await self._outcomes(before, after)

    async def _outcomes(self, before: Sheet, after: Sheet) -> list[Outcome]:
        reasons = await self._sheet.reasons(after)
        return [
            Outcome(code, before.rows[code].status, after.rows[code].status, reasons[code], expected)
            for code, expected in EXPECTED.items()
        ]

    async def _told(self, who: str, what: str) -> None:
        self._report(Step(who, what))
        await asyncio.sleep(self._pace)

    async def _turns(self, who: str, what: str, code: str, status: str, figure: str | None = None) -> None:
        """Say what was done once the platform reports what it means."""
        sheet = await self._sheet.reaches(code, status, figure)
        row = sheet.rows[code]
        self._report(Step(who, what, code, row.status, row.figure, sheet.met, sheet.total))
        await asyncio.sleep(self._pace)

    async def _villages(self) -> str:
        entered = await village.enter_villages(self._officer, self._commune)
        for code, name, new in entered:
            await village.known_everywhere(self._officer, code)
            await self._told("officer", f"{'entered' if new else 'finds'} {name} of {village.COMMUNE} ({code})")
        return entered[0][0]

    async def _team(self) -> None:
        team = await village.register_team(self._officer, self._unit)
        await self._told("officer", "registered the community digital team")
        await village.log_activity(self._officer, team)
        await self._turns("digital team", "helped 24 people with online public services", "288.3", "met")

    async def _telecom(self) -> None:
        async with telecom.telecom(self._addresses, self._logins["partner"], self._unit) as partner:
            who = "telecom partner"
            told = await partner.fibre(40)
            await self._turns(who, "fibre reaches 40 of 50 households, exactly 80 %", "288.5", "unmet", "40/50")
            repeated = await partner.repeat(told)
            await self._told(who, f"sent the survey again: {repeated} observations are known as duplicates")
            await partner.fibre(43)
            await self._turns(who, "three more households connected", "288.5", "met", "43/50")
            await partner.smartphones(113)
            await self._turns(who, "113 of 120 people have a smartphone on 4G/5G", "288.6", "unmet", "113/120")
            await partner.smartphones(114)
            await self._turns(who, "one more: exactly 95 %, which is enough here", "288.6", "met", "114/120")
            await partner.coverage(19)
            await self._turns(who, "19 of 20 parts of the village have a signal", "288.8", "unmet", "19/20")
            await partner.coverage(20)
            await self._turns(who, "the last part has a signal", "288.8", "met", "20/20")

    async def _loudspeakers(self) -> None:
        known = await loudspeakers.register(self._officer, self._unit)
        await self._told("officer", f"registered {len(known)} loudspeakers and the clusters each covers")
        tone = TONE_PACE if self._pace else 0.0
        for place, one in enumerate(known):
            speaker = loudspeakers.device(self._addresses, self._logins["device"], one, tone)
            await self._devices.exits.enter_async_context(speaker)
            await self._turns("loudspeaker", f"{one.name} is online over MQTT", "288.2", "met")
            await loudspeakers.test_bulletin(self._officer, self._unit, [one])
            sheet = await self._sheet.read()
            if place < len(known) - 1 or sheet.rows["288.7"].status != "met":
                await self._told("loudspeaker", f"{one.name} acknowledged the test bulletin")
        await self._turns("loudspeakers", "every residential cluster hears the village", "288.7", "met", "3/3")

    async def _cameras(self) -> None:
        for (place, name), port in zip(cameras.CAMERAS.items(), self._devices.camera_ports, strict=True):
            camera = await self._devices.exits.enter_async_context(cameras.device(port))
            await cameras.register(self._officer, self._unit, place, camera)
            await self._told("camera", f"{name} answers the hub's probe over RTSP")
        await self._turns("cameras", "public place and main road are watched", "288.4", "met")

    async def _cooperative(self) -> str:
        """Everything of the cooperative; returns the id of the product whose listing ends later."""
        cooperative = await products.register_cooperative(self._producer, self._commune)
        first, second = await products.publish(self._producer, self._officer, cooperative, self._unit)
        await products.end_listings(self._producer, second)
        await self._told("cooperative", "published two products, which the commune counts as its key ones")
        await products.open_listing(self._producer, first, products.ADDRESSES[0])
        await self._turns("cooperative", "sells the first one online", "288.9", "unmet", "1/2")
        await products.open_listing(self._producer, second, products.ADDRESSES[1])
        await self._turns("cooperative", "sells the second one online", "288.9", "met", "2/2")
        return second

    async def _petition(self) -> None:
        case, code = await petition.file(self._resident, self._unit)
        await self._told("resident", f"filed petition {code} with a photo")
        await petition.route(self._officer, case)
        await self._told("officer", f"gave {code} to the department that builds roads")
        await petition.answer(self._officer, case)
        await self._turns("officer", f"answered {code}", "288.1", "met")
        await petition.close(self._officer, case)
        await petition.rate(self._resident, case)
        await self._told("resident", f"rated the answer to {code} 5 of 5")

    async def _withdraw(self, product: str) -> None:
        await products.end_listings(self._producer, product)
        await self._turns("cooperative", "a listing ended", "288.9", "unmet", "1/2")
