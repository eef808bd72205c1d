"""The gRPC client: it tries again what may be tried again, and gives up at its deadline."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from chassis import rpc
from tests.chassis.noting import refused


@dataclass
class Flaky:
    """A server that answers UNAVAILABLE so many times before it answers; counts what it was asked."""

    failures: int
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    asked: int = 0
    tokens: tuple[str, ...] = ()

    async def answer(self, request: bytes, context: Any) -> bytes:
        self.asked += 1
        metadata = dict(context.invocation_metadata())
        self.tokens += (str(metadata.get("authorization", "")),)
        if self.asked <= self.failures:
            await context.abort(self.code, "not now")
        return request


@asynccontextmanager
async def flaky(plan: Flaky) -> AsyncIterator[str]:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(plan.answer)
    methods = grpc.method_handlers_generic_handler("t.T", {"GetIt": handler, "DoIt": handler})
    server.add_generic_rpc_handlers((methods,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.mark.parametrize(
    ("method", "metadata", "failures", "asked"),
    [
        ("GetIt", (), 2, 3),
        ("GetIt", (), 9, 4),
        ("DoIt", (), 1, 1),
        ("DoIt", (("idempotency-key", "k"),), 1, 2),
    ],
)
async def test_the_client_tries_again_what_may_be_tried_again(
    method: str, metadata: Any, failures: int, asked: int
) -> None:
    plan = Flaky(failures)
    async with flaky(plan) as target, rpc.channel(target) as channel:
        call = channel.unary_unary(f"/t.T/{method}")(b"x", metadata=metadata)
        if failures < asked:
            assert await call == b"x"
        else:
            assert (await refused(call)).code() == grpc.StatusCode.UNAVAILABLE
    assert plan.asked == asked


async def test_the_client_fetches_a_refused_token_anew_once() -> None:
    class Tokens:
        issued = 0
        held: str | None = None

        async def token(self) -> str:
            if self.held is None:
                self.issued += 1
                self.held = f"t-{self.issued}"
            return self.held

        def forget(self) -> None:
            self.held = None

    plan, source = Flaky(1, grpc.StatusCode.UNAUTHENTICATED), Tokens()
    async with flaky(plan) as target, rpc.channel(target, source) as channel:  # type: ignore[arg-type]  # the same shape.
        assert await channel.unary_unary("/t.T/DoIt")(b"x") == b"x"
    assert plan.tokens == ("Bearer t-1", "Bearer t-2")


async def test_the_client_gives_up_at_its_deadline() -> None:
    async with rpc.channel("127.0.0.1:1", timeout=0.3) as channel:
        error = await refused(channel.unary_unary("/t.T/GetIt")(b"x"))
    assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


STARTS_PROGRAMS = """
import asyncio, subprocess
import chassis.rpc
import grpc

async def main():
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.channel_ready()
        for _ in range(20):
            # As the launcher starts engines: what is asked of the child makes it a fork.
            subprocess.run(["true"], preexec_fn=lambda: None, check=True)
    await server.stop(None)

asyncio.run(main())
"""


async def test_programs_are_started_beside_grpc_without_a_word_from_it() -> None:
    """Its own preparations for a fork go wrong in the child now and then, which then never becomes the program."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTS_PROGRAMS, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await child.communicate()
    # What it says of its connections, which end here in any order, is another matter.
    about_forks = [line for line in said.decode().splitlines() if "fork" in line]
    assert (child.returncode, about_forks) == (0, []), said.decode()
