"""Every route of every service, asked by everybody who has no business there (the cases: walk_<service>.py).

A new route fails `test_every_route_is_walked` until it has a case, or a place in the list of open routes with a reason.
"""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.contracts import walk_ecommerce, walk_identity, walk_indicators, walk_media, walk_petitions
from tests.contracts.services import NAMES
from tests.contracts.walk import EVERYWHERE, A, Case, Stage, covered, described, routes, walk

WALKS: dict[str, ModuleType] = {
    "identity": walk_identity,
    "petitions": walk_petitions,
    "ecommerce": walk_ecommerce,
    "indicators": walk_indicators,
    "media": walk_media,
}
CASES = [(name, case) for name in NAMES for case in WALKS[name].CASES]


def test_every_service_is_walked() -> None:
    assert set(WALKS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_route_is_walked(stages: dict[str, Stage], name: str) -> None:
    cases, open_to_all = WALKS[name].CASES, {**EVERYWHERE, **WALKS[name].OPEN}
    known, there = covered(cases, open_to_all), routes(stages[name].running)
    assert there - known == set(), "routes that nobody walks: give each a case, or say why it is open to everybody"
    assert known - there == set(), "cases of routes that are gone"
    assert described(stages[name].running) <= known
    assert {case.route for case in cases}.isdisjoint(open_to_all), "either walked or open"
    assert all(open_to_all.values()), "each open route says why"


@pytest.mark.parametrize(
    ("name", "case"), CASES, ids=[f"{name} {case.route}{' own' if case.hidden else ''}" for name, case in CASES]
)
async def test_nobody_foreign_gets_in(stages: dict[str, Stage], name: str, case: Case) -> None:
    assert await walk(stages[name], case) == []


@pytest.mark.parametrize("name", NAMES)
async def test_open_routes_are_open(stages: dict[str, Stage], name: str) -> None:
    """What is called open and takes no id answers nobody in particular, and is no error."""
    for route in {**EVERYWHERE, **WALKS[name].OPEN}:
        method, path = route.split(" ", 1)
        if method != "GET" or "{" in path or path.endswith("/changes"):
            continue
        response = await stages[name].ask({}, method, path)
        assert response.status_code < 500, route


async def test_the_walk_finds_a_planted_leak(stages: dict[str, Stage]) -> None:
    """Routes that are open on purpose, called guarded: the walk must report who gets in and what changes."""
    reading = await walk(stages["identity"], Case("GET /api/v1/teams"))
    assert len(reading) == len(Case("GET /api/v1/teams").principals())
    writing = await walk(stages["petitions"], Case("POST /api/v1/petitions", "resident", json=walk_petitions.REPORT))
    assert any("resident of another commune got 201" in line for line in writing)
    assert "petition" in writing[-1]
    assert "tables changed" in writing[-1]
    shown = Case("GET /api/v1/petitions", arrange=walk_petitions.filed, query={"unit": A.code}, hidden="{code}")
    assert any("anonymous got 200 with PA-" in line for line in await walk(stages["petitions"], shown))


async def test_the_walk_finds_a_case_that_proves_nothing(stages: dict[str, Stage]) -> None:
    """A refusal for another reason than the role: the owner is refused too, and the case is reported."""
    early = Case("POST /api/v1/petitions/{id}/rate", "resident", walk_petitions.filed, json={"rating": 5})
    assert any("resident of the commune got 409" in line for line in await walk(stages["petitions"], early))
