"""Every service's OpenAPI is what it does: valid, with errors described, and no input makes any operation fail.

The inputs are Schemathesis's: some fit the description and some do not; half of them name objects that exist.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chassis.service import Runner, origin
from tests.contracts import walk_ecommerce, walk_identity, walk_indicators, walk_media, walk_petitions, walk_tracing
from tests.contracts.services import NAMES, made
from tests.contracts.walk import A_VILLAGE, OWNERS, A, Made, Stage
from tests.support.running import bearer, serving

EXAMPLES = 12
STREAMS = ("/changes",)
"""Answers without an end; their bad input is asked in tests/indicators/test_stream.py and tests/media."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def descriptions() -> dict[str, dict[str, Any]]:
    """The OpenAPI documents, from services that were assembled and not started."""
    found = {}
    for name in NAMES:
        factory, values = made(name, "postgresql+asyncpg://nobody@127.0.0.1:9/nothing")
        found[name] = Runner(factory(values)).app.openapi()
    return found


DOCUMENTS = descriptions()
OPERATIONS = [
    (name, path, method)
    for name in NAMES
    for path, methods in DOCUMENTS[name]["paths"].items()
    for method in methods
    if not path.endswith(STREAMS)
]


@dataclass
class Live:
    """The services on one port, and what was arranged in each: values for its path parameters."""

    url: str
    arranged: dict[str, Made]


async def arrange(stages: dict[str, Stage]) -> dict[str, Made]:
    visited = await walk_ecommerce.visited(stages["ecommerce"])
    listed = await walk_ecommerce.listed(stages["ecommerce"])
    traced = await walk_tracing.published(stages["ecommerce"])
    bulletin = await walk_media.fresh_bulletin(stages["media"])
    camera = await walk_media.camera(stages["media"])
    return {
        "identity": {
            **await walk_identity.account(stages["identity"]),
            **await walk_identity.team(stages["identity"]),
            "code": A.code,
        },
        "petitions": await walk_petitions.answered(stages["petitions"]),
        "ecommerce": {**visited, **listed, **traced},
        "indicators": {
            **await walk_indicators.suspension(stages["indicators"]),
            "code": A_VILLAGE.code,
            "set_code": walk_indicators.SET,
            "item_code": "288.5",
        },
        "media": {**camera, **bulletin},
    }


@pytest_asyncio.fixture(scope="module")
async def live(stages: dict[str, Stage]) -> AsyncIterator[Live]:
    arranged = await arrange(stages)
    async with serving(origin([stage.running.runner for stage in stages.values()])) as address:
        yield Live(address, arranged)


@pytest.mark.parametrize("name", NAMES)
def test_the_description_is_valid_openapi(name: str) -> None:
    document = DOCUMENTS[name]
    schemathesis.openapi.from_dict(document).validate()
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": f"/{name}"}]
    identities = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(identities) == len(set(identities))


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_says_what_it_does_and_how_it_refuses(name: str) -> None:
    for path, methods in DOCUMENTS[name]["paths"].items():
        for method, operation in methods.items():
            place = f"{method.upper()} {path}"
            assert operation.get("description") or operation.get("summary"), place
            refusal = operation["responses"]["4XX"]["content"]["application/problem+json"]["schema"]
            assert {"type", "title", "status", "detail", "code"} <= set(refusal["required"]), place
            succeeds = [code for code in operation["responses"] if code.startswith("2")]
            assert succeeds, place


@pytest.mark.parametrize("name", NAMES)
async def test_every_operation_says_who_may_call_it(stages: dict[str, Stage], name: str) -> None:
    """The ways to sign in are described, and what is said to need none or one is so: asked without any sign-in."""
    document = DOCUMENTS[name]
    schemes = document["components"]["securitySchemes"]
    flows = {flow: of for scheme in schemes.values() for flow, of in scheme.get("flows", {}).items()}
    assert flows.keys() == {"authorizationCode", "clientCredentials"}
    assert all(flow["tokenUrl"].endswith("/identity/token") for flow in flows.values())
    assert (schemes["bearer"]["scheme"], schemes["session"]["in"]) == ("bearer", "cookie")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            place, ways = f"{method.upper()} {path}", operation["security"]
            for way in ways:
                for scheme, scopes in way.items():
                    offered = [s for flow in schemes[scheme].get("flows", {}).values() for s in flow["scopes"]]
                    assert set(scopes) <= set(offered), place
            if path.endswith(STREAMS) and {} in (ways or [{}]):
                continue
            filled = re.sub(r"{[^}]*}", str(uuid.uuid4()), path)
            answer = await stages[name].ask({}, method.upper(), filled)
            assert (answer.status_code == 401) == (bool(ways) and {} not in ways), (place, answer.status_code)


@pytest.mark.parametrize("name", NAMES)
async def test_an_application_comes_in_by_the_scope_that_is_named(stages: dict[str, Stage], name: str) -> None:
    """A person let it use one scope: it opens the operations that name it, and none of the others."""
    document = DOCUMENTS[name]
    everything = document["components"]["securitySchemes"]["partners"]["flows"]["clientCredentials"]["scopes"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not operation["security"]:
                continue
            named = {s for way in operation["security"] for s in way.get("partners", ())}
            filled = re.sub(r"{[^}]*}", str(uuid.uuid4()), path)
            for scope in {*everything, f"{name}.read", f"{name}.anything"} - named:
                who = bearer(("admin", A.path), scope=f"openid {scope}", client_id="app")
                answer = await stages[name].ask(who, method.upper(), filled)
                assert answer.status_code == 403, (method, path, scope)
                assert answer.json()["code"] == "scope_missing", (method, path, scope)


def attack(url: str, name: str, path: str, method: str, arranged: Made) -> None:
    """Send generated requests to one operation; raises what Schemathesis finds."""
    schema = schemathesis.openapi.from_dict(DOCUMENTS[name])
    operation = schema[path][method.upper()]
    # A copy: Schemathesis adds its own headers to what it is given.
    who = dict(OWNERS["admin" if name in ("indicators", "identity") else "officer"])
    modes = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
    session = requests.Session()
    session.trust_env = False

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(modes), named=st.booleans())
    def run(case: schemathesis.Case, named: bool) -> None:
        if named and case.path_parameters:
            known = {key: arranged[key] for key in case.path_parameters if key in arranged}
            case.path_parameters = {**case.path_parameters, **known}
        response = case.call(base_url=f"{url}/{name}", session=session, headers=who, timeout=20)
        case.validate_response(response, checks=CHECKS)

    run()


@pytest.mark.parametrize(
    ("name", "path", "method"), OPERATIONS, ids=[f"{name} {method} {path}" for name, path, method in OPERATIONS]
)
async def test_no_input_makes_it_fail(live: Live, name: str, path: str, method: str) -> None:
    await asyncio.to_thread(attack, live.url, name, path, method, live.arranged[name])
