"""A web process killed while people watch: who comes back to the next one has every change, once, in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis.units import Unit
from tests.indicators.test_stream import READER, Served, flip
from tests.indicators.test_stream import stage as stage
from tests.support.killable import Side, environment, free_port
from tests.support.waiting import eventually

SET = "hd-288-2023"
PART = 12
"""Changes before the kill, while nobody serves, and after the next start."""
PATIENCE = 300


@pytest.fixture
def web(stage: Served, tmp_path: Path) -> Iterator[Side]:
    """The web part of the service as a process of its own, on the database of the stage."""
    own = {"port": free_port(), "grpc_port": free_port(), "heartbeat_seconds": 0.3}
    settings = stage.running.runner.settings.model_copy(update=own)
    side = Side("services.indicators", "web", environment(settings), tmp_path / "web.log")
    yield side
    side.kill()


async def pour(stage: Served, unit: Unit, start: int) -> None:
    for number in range(start, start + PART):
        await flip(stage, unit, "lost" if number % 2 else "ready")


async def read_events(address: str, unit: Unit, seen: list[dict[str, Any]], most: int) -> None:
    """Server-sent events, coming back with the last id as a browser does, until there are `most`."""
    while len(seen) < most:
        headers = {"last-event-id": str(seen[-1]["id"])} if seen else {}
        try:
            async with (
                httpx.AsyncClient(base_url=address, timeout=10) as client,
                client.stream(
                    "GET",
                    "/indicators/api/v1/changes",
                    params={"unit": unit.code, "set": SET, "after": 0},
                    headers=headers,
                ) as response,
            ):
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        seen.append(json.loads(line[6:]))
                        if len(seen) == most:
                            return
        except httpx.HTTPError:
            await asyncio.sleep(0.05)


async def watch(address: str, unit: Unit, seen: list[pb.WatchResponse], most: int) -> None:
    """The same over gRPC, with the last token."""
    metadata = (("authorization", f"Bearer {READER}"),)
    while len(seen) < most:
        token = seen[-1].resume_token if seen else "0"
        async with grpc.aio.insecure_channel(address) as channel:
            call = stubs.ComplianceServiceStub(channel).Watch(
                pb.WatchRequest(unit=unit.code, set=SET, resume_token=token), timeout=PATIENCE, metadata=metadata
            )
            try:
                async for change in call:
                    seen.append(change)
                    if len(seen) == most:
                        return
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)


async def test_a_killed_web_process_costs_no_watcher_a_change(stage: Served, web: Side) -> None:
    unit = await stage.new_village()
    events: list[dict[str, Any]] = []
    changes: list[pb.WatchResponse] = []
    port, grpc_port = (web.environment[f"XASO_INDICATORS_{name}"] for name in ("PORT", "GRPC_PORT"))
    readers = [
        asyncio.create_task(read_events(f"http://127.0.0.1:{port}", unit, events, 3 * PART)),
        asyncio.create_task(watch(f"127.0.0.1:{grpc_port}", unit, changes, 3 * PART)),
    ]
    try:
        async with asyncio.timeout(PATIENCE):
            web.start()
            await pour(stage, unit, 0)
            await eventually(lambda: min(len(events), len(changes)) >= PART // 2, seconds=PATIENCE)
            web.kill()
            await pour(stage, unit, PART)
            # What had been sent may still be read; nobody sends what came since.
            assert max(len(events), len(changes)) <= PART
            web.start()
            await pour(stage, unit, 2 * PART)
            await asyncio.gather(*readers)
    except TimeoutError:
        pytest.fail(f"{len(events)} events, {len(changes)} changes of {3 * PART}\n{web.said()}")
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    expected = ["unmet" if number % 2 else "met" for number in range(3 * PART)]
    assert [one["after"] for one in events] == expected
    assert [one.after for one in changes] == expected
    positions = [int(one.resume_token) for one in changes]
    assert positions == sorted(set(positions)) == [one["id"] for one in events]
    befores = ["no_data", *expected[:-1]]
    assert [one["before"] for one in events] == befores
