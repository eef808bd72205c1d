"""Owns how tests report observations over gRPC, as a partner does, to a service with its port open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis.db import new_id
from chassis.units import Unit
from services.indicators.app import service
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage, ago
from tests.support.running import commune, ladder, running, settings_for, token, village

SCOPES = "indicators.observations.write indicators.read"
PARTNER = token(("partner", "30"), kind="partner", client_id="viettel", scope=SCOPES)


@asynccontextmanager
async def reached(address: str) -> AsyncIterator[Stage]:
    """As in the other modules, with the gRPC port open and small batches."""
    settings = settings_for(Settings, address, submit_batch=50, submit_max=3000)
    async with running(service, settings, parts=["rpc"]) as live:
        here = commune()
        first = village(here)
        await live.enter_units(*ladder(), here, first)
        yield Stage(live, here, [first])


def observation(unit: Unit | str, **changed: Any) -> pb.Observation:
    """81 of 100 households covered by fibre, observed a minute ago, unless changed."""
    at = changed.pop("observed_at", ago(minutes=1))
    values: dict[str, Any] = {
        "id": str(new_id()),
        "unit": unit if isinstance(unit, str) else unit.code,
        "source": "OSS cáp quang",
        **changed,
    }
    if not values.keys() & {"measure", "fact"}:
        values["measure"] = "village.fibre_households"
    if not values.keys() & {"ratio", "flag", "count", "withdrawn"}:
        values["ratio"] = pb.Ratio(numerator=81, denominator=100)
    message = pb.Observation(**values)
    if at is not None:
        message.observed_at.FromDatetime(at)
    return message


async def submit(stage: Stage, observations: Iterable[pb.Observation], *, as_: str = PARTNER) -> pb.SubmitResponse:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
        stub = stubs.ObservationServiceStub(channel)
        answer: pb.SubmitResponse = await stub.Submit(
            iter(observations), timeout=30, metadata=(("authorization", f"Bearer {as_}"),)
        )
        return answer


def counts(answer: pb.SubmitResponse) -> tuple[int, int, int]:
    return (answer.accepted, answer.duplicate, answer.rejected)
