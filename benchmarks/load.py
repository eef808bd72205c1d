"""A load generator for one POST: raw HTTP/1.1 over kept connections, each waiting for its answer before the next.

`python -m benchmarks.load` reads a plan as JSON from standard input and prints what it saw as JSON. It does as little
as can be done per request, so that it is not what is measured; `generator_cpu` tells how busy it was.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import uvloop


@dataclass
class Plan:
    """What to send: `body` is JSON text in which `@n@` becomes the number of the request."""

    port: int
    path: str
    body: str
    requests: int
    connections: int
    headers: dict[str, str] = field(default_factory=dict)
    keys: bool = False
    """Whether each request carries an Idempotency-Key of its own."""
    warm_up: int = 300
    """Requests before the clock starts."""
    seconds: float = 120.0
    """After which the run has failed."""

    def text(self) -> str:
        return json.dumps(asdict(self))

    def request(self, n: int) -> bytes:
        body = self.body.replace("@n@", str(n)).encode()
        more = {"idempotency-key": f"load-{n:012d}"} if self.keys else {}
        head = {"host": f"127.0.0.1:{self.port}", "content-type": "application/json", "content-length": str(len(body))}
        lines = "".join(f"{k}: {v}\r\n" for k, v in {**head, **self.headers, **more}.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


class Connection(asyncio.Protocol):
    """One connection: sends the next request as soon as the answer to the last has come."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.buffer = b""
        self.wanted = -1
        self.sent = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self.run.lost()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.wanted < 0:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            if at < 0:
                raise RuntimeError(f"an answer without a length: {head!r}")
            self.wanted = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self.buffer) >= self.wanted:
            self.run.took(int(self.buffer[9:12]), time.perf_counter() - self.sent)
            self.buffer, self.wanted = b"", -1
            self._next()

    def _next(self) -> None:
        assert self.transport is not None
        request = self.run.next_request()
        if request is None:
            self.transport.close()
            return
        self.sent = time.perf_counter()
        self.transport.write(request)


class Run:
    """All connections of one plan together."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.numbers = iter(range(plan.warm_up + plan.requests))
        self.answered = 0
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.began = self.ended = self.cpu = 0.0
        self.open = plan.connections
        self.done = asyncio.Event()

    def next_request(self) -> bytes | None:
        n = next(self.numbers, None)
        return None if n is None else self.plan.request(n)

    def took(self, status: int, seconds: float) -> None:
        self.answered += 1
        self.ended = time.perf_counter()
        if self.answered <= self.plan.warm_up:
            self.began, self.cpu = self.ended, time.process_time()
            return
        self.latencies.append(seconds)
        self.statuses[status] += 1

    def lost(self) -> None:
        self.open -= 1
        if not self.open:
            self.done.set()

    async def go(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self.began, self.cpu = time.perf_counter(), time.process_time()
        for _ in range(self.plan.connections):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.plan.port)
        async with asyncio.timeout(self.plan.seconds):
            await self.done.wait()
        elapsed = self.ended - self.began
        ordered = sorted(self.latencies)
        return {
            "rate": len(ordered) / elapsed,
            "p50_ms": ordered[len(ordered) // 2] * 1000,
            "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
            "statuses": dict(self.statuses),
            "generator_cpu": (time.process_time() - self.cpu) / elapsed,
        }


class _Nothing(asyncio.Protocol):
    """A server that answers at once: what the generator can do at most."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}")


async def nothing() -> None:
    """Serve `_Nothing` until killed; prints its port."""
    server = await asyncio.get_running_loop().create_server(_Nothing, "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def main() -> None:
    if sys.argv[1:] == ["nothing"]:
        await nothing()
        return
    plan = Plan(**json.loads(sys.stdin.read()))
    print(json.dumps(await Run(plan).go()))


if __name__ == "__main__":
    uvloop.run(main())
