"""Owns editions of the shipped sets by which units elsewhere are judged too, as a place would apply them."""

from __future__ import annotations

import re
from typing import Any

import httpx

from services.indicators.criteria import catalogue as c
from services.indicators.criteria import library
from services.indicators.criteria.documents import Document, shipped
from tests.support.running import bearer
from tests.support.waiting import eventually

API = "/indicators/api/v1"
ROBOT = bearer(("partner", "30"), kind="partner", client_id="operator-robot", scope="indicators.criteria.write")
LIMITED = (
    "hd-1414-village", "hd-1414-ntm-8", "hd-1414-ntm-advanced-8", "hd-1414-ntm-model-4.7", "hd-288-2023", "qd-2581-15",
    "hd-2025", "tuky-2025-commune", "tuky-2025",
)  # fmt: skip
"""The sets that hold in one place only, each behind those it looks at."""


def widened(code: str, *paths: str) -> str:
    """A shipped set that holds for these units besides its own."""
    text = (library.DATA / "sets" / f"{code}.yaml").read_text("utf-8")
    more = "".join(f', "{path}"' for path in paths)
    fresh, found = re.subn(r'^(applies_to: {units: \["[^"]*")\]', rf"\1{more}]", text, flags=re.MULTILINE)
    assert found == 1, code
    return fresh


def catalogue_with(*paths: str, more: tuple[Document, ...] = ()) -> c.Catalogue:
    """The shipped catalogue where the limited sets hold for these units as well."""
    others = [one for one in shipped() if one.code not in LIMITED]
    return library.build([*others, *(Document(f"{code}.yaml", widened(code, *paths)) for code in LIMITED), *more])


async def take_over(client: httpx.AsyncClient, *paths: str, sets: tuple[str, ...] = LIMITED) -> None:
    """Have a running service judge units elsewhere by these sets; returns once it does. The units must be known."""
    for code in sets:
        body: dict[str, Any] = {"document": widened(code, *paths)}
        answer = await client.put(f"{API}/criteria/{code}", json=body, headers=ROBOT)
        assert answer.status_code == 200, answer.text
    assert await eventually(lambda: _hold_there(client, sets, set(paths)), seconds=60)


async def _hold_there(client: httpx.AsyncClient, sets: tuple[str, ...], paths: set[str]) -> bool:
    """Whether the process that answers has heard of it."""
    found = {one["set"]: one["applies_to"] for one in (await client.get(f"{API}/sets")).json()["items"]}
    return all(paths <= set(found[code]["units"]) for code in sets)
