"""Owns what the scenario reads of compliance: the sheet of a village, waiting for a status, and why it came to be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from launcher.scenario.talk import PATIENCE_SECONDS, ScenarioFailed, Visitor, until

SET = "hd-288-2023"
WORDS = {
    "met": "đạt",
    "unmet": "chưa đạt",
    "no_data": "chưa có số liệu",
    "not_applicable": "không áp dụng",
    "measured": "theo dõi",
    "suspended": "tạm hoãn",
}


@dataclass(frozen=True)
class Outcome:
    """What became of one criterion: its status at the beginning and at the end, why, and what the end had to be."""

    code: str
    before: str
    after: str
    because: str
    expected: str


@dataclass(frozen=True)
class Row:
    """One criterion as the sheet shows it; `value` as the API gives it, None where nothing is known."""

    code: str
    status: str
    value: dict[str, Any] | None
    because: str

    @property
    def figure(self) -> str:
        """The value as people write it: "43/50", "có", "không"."""
        if self.value is None:
            return ""
        if "flag" in self.value:
            return "có" if self.value["flag"] else "không"
        if "count" in self.value:
            return str(self.value["count"])
        return f"{self.value['numerator']}/{self.value['denominator']}"


@dataclass(frozen=True)
class Sheet:
    """The whole sheet of a village at one moment."""

    met: int
    total: int
    status: str
    rows: dict[str, Row]


class SheetReader:
    """Reads one village's sheet through the public API."""

    def __init__(self, reader: Visitor, unit: str) -> None:
        self._reader = reader
        self._unit = unit

    @property
    def _path(self) -> str:
        return f"/indicators/api/v1/units/{self._unit}/sets/{SET}"

    async def read(self) -> Sheet:
        """How the village stands now."""
        found = await self._reader.get(self._path)
        rows = {
            item["code"]: Row(item["code"], item["status"], item["value"], item["because"]) for item in found["items"]
        }
        return Sheet(found["met"], found["total"], found["status"], rows)

    async def reaches(self, code: str, status: str, figure: str | None = None) -> Sheet:
        """The sheet once the row `code` has the status (and the figure, where one is given)."""
        seen: list[Sheet] = []

        async def look() -> Sheet | None:
            seen[:] = [await self.read()]
            row = seen[0].rows[code]
            return seen[0] if row.status == status and figure in (None, row.figure) else None

        def trouble() -> str:
            row = seen[0].rows[code]
            return f"{code} should be {status} {figure or ''} and the platform reports {row.status} {row.figure}"

        return await until(look, trouble)

    async def counts(self, met: int) -> Sheet:
        """The sheet once it says that this many criteria are met."""
        seen: list[Sheet] = []

        async def look() -> Sheet | None:
            seen[:] = [await self.read()]
            return seen[0] if seen[0].met == met else None

        return await until(look, lambda: f"{met} criteria should be met and the platform reports {seen[0].met}")

    async def reasons(self, sheet: Sheet) -> dict[str, str]:
        """Why each row stands as it does, in Vietnamese words: from the log of changes and the explanations."""
        waiting = {code for code, row in sheet.rows.items() if row.because}
        turned: dict[str, dict[str, Any]] = {}
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), aclosing(self._changes()) as changes:
                async for change in changes:
                    code = change["item"]
                    if change["before"] != change["after"] or code not in turned:
                        turned[code] = change
                    if code in waiting and change["cause"] == sheet.rows[code].because:
                        waiting.discard(code)
                    if not waiting:
                        break
        except TimeoutError:
            raise ScenarioFailed(f"the log of changes does not tell why {', '.join(sorted(waiting))} changed") from None
        return {code: await self._reason(row, turned.get(code)) for code, row in sheet.rows.items()}

    async def _changes(self) -> AsyncGenerator[dict[str, Any], None]:
        """Every change of the village from the first one on."""
        where = "/indicators/api/v1/changes"
        async with self._reader.listen(where, unit=self._unit, set=SET, words="vi", after=0) as lines:
            async for line in lines:
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    async def _reason(self, row: Row, change: dict[str, Any] | None) -> str:
        if change is None:
            return ""
        step = f"{WORDS[change['before']]} → {WORDS[change['after']]}"
        note = await self._note(row.code, change["cause"])
        parts = [f"{step}: {change['because']}", note, row.figure if row.value and "flag" not in row.value else ""]
        return " · ".join(part for part in parts if part)

    async def _note(self, code: str, cause: str) -> str:
        """What the observation behind a change says of its origin, from the item's explanation."""
        after = None
        while True:
            page = await self._reader.get(f"{self._path}/items/{code}/explanation", after=after, limit=200)
            for fact in page["facts"]:
                source = fact["source"]
                if f"{source['kind']}:{source['id']}" == cause:
                    return str(source["note"])
            after = page["next"]
            if after is None:
                return ""
