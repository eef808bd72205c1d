"""Connections cut while changes pour in: who comes back with the last position has everything, once, in order."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import httpx
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis.units import Unit
from tests.indicators.test_stream import READER, Served, flip
from tests.indicators.test_stream import stage as stage

SET = "hd-288-2023"
CHANGES = 40
EVERY = 3
"""Changes a reader gets before its connection is cut."""


async def pour(stage: Served, unit: Unit) -> None:
    for number in range(CHANGES):
        await flip(stage, unit, "lost" if number % 2 else "ready")


async def read_some(stage: Served, unit: Unit, last: str | None, most: int) -> list[dict[str, Any]]:
    """Up to `most` changes behind the last one, over a connection that is then cut without a word."""
    found: list[dict[str, Any]] = []
    headers = {"last-event-id": last} if last is not None else {}
    async with httpx.AsyncClient(base_url=stage.address, timeout=30) as client:
        request = client.build_request(
            "GET", "/indicators/api/v1/changes", params={"unit": unit.code, "set": SET, "after": 0}, headers=headers
        )
        response = await client.send(request, stream=True)
        network = response.extensions["network_stream"]
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line[6:]))
                if len(found) == most:
                    # The socket closes under the response: what the server had sent behind it is lost.
                    await network.aclose()
                    break
    return found


def expected() -> list[str]:
    return ["unmet" if number % 2 else "met" for number in range(CHANGES)]


async def test_events_lose_nothing_and_repeat_nothing_over_cut_connections(stage: Served) -> None:
    unit = await stage.new_village()
    writing = asyncio.create_task(pour(stage, unit))
    seen: list[dict[str, Any]] = []
    cuts = 0
    async with asyncio.timeout(120):
        while len(seen) < CHANGES:
            last = str(seen[-1]["id"]) if seen else None
            seen += await read_some(stage, unit, last, min(EVERY, CHANGES - len(seen)))
            cuts += 1
    await writing
    assert cuts >= CHANGES // EVERY
    assert [change["after"] for change in seen] == expected()
    assert [change["id"] for change in seen] == sorted({change["id"] for change in seen})


async def test_watch_loses_nothing_and_repeats_nothing_over_cut_channels(stage: Served) -> None:
    unit = await stage.new_village()
    writing = asyncio.create_task(pour(stage, unit))
    seen: list[pb.WatchResponse] = []
    metadata = (("authorization", f"Bearer {READER}"),)
    async with asyncio.timeout(120):
        while len(seen) < CHANGES:
            token = seen[-1].resume_token if seen else "0"
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}")
            watch = stubs.ComplianceServiceStub(channel).Watch(
                pb.WatchRequest(unit=unit.code, set=SET, resume_token=token), timeout=30, metadata=metadata
            )
            for _ in range(min(EVERY, CHANGES - len(seen))):
                seen.append(await watch.read())
            # The channel goes away with the call still open.
            await channel.close(grace=0)
    await writing
    assert [change.after for change in seen] == expected()
    tokens = [int(change.resume_token) for change in seen]
    assert tokens == sorted(set(tokens))
