"""Runs one side of the ledger as a process that can be killed, with a fault at a chosen point.

python -m tests.support.ledger writer|reader [fault]; the settings come from LEDGER_… variables. Faults: `send` (after
the commit, before anything is sent), `mark` (after the broker's acknowledgement, before the mark), `offset` (after the
effect is committed, before the offset is), `twice` (a planted bug: the inbox is ignored), `lose` (a planted bug: rows
are marked without being sent).
"""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from typing import Any

from chassis import inbox, service
from chassis.consumer import Consumer
from chassis.relay import Relay
from tests.support.ledger.app import LedgerSettings, reader, writer


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def plant(fault: str) -> None:
    send = Relay._send
    process = Consumer.process

    async def die_before_send(self: Relay, connection: Any, producer: Any, rows: Any) -> Any:
        die()
        return await send(self, connection, producer, rows)

    async def die_after_send(self: Relay, connection: Any, producer: Any, rows: Any) -> Any:
        await send(self, connection, producer, rows)
        die()

    async def mark_without_sending(self: Relay, connection: Any, producer: Any, rows: Any) -> Any:
        kept = [row for row in rows if row["id"] % 7]
        await send(self, connection, producer, kept)
        return [row["id"] for row in rows], None

    async def die_before_offset(self: Consumer, records: Any) -> None:
        await process(self, records)
        die()

    async def claim_everything(_tx: Any, event_ids: Any) -> set[Any]:
        return set(event_ids)

    async def process_twice(self: Consumer, records: Any) -> None:
        await process(self, records)
        await process(self, records[:1])

    if fault == "send":
        Relay._send = die_before_send  # type: ignore[method-assign]  # the planted fault.
    elif fault == "mark":
        Relay._send = die_after_send  # type: ignore[method-assign]  # the planted fault.
    elif fault == "lose":
        Relay._send = mark_without_sending  # type: ignore[method-assign]  # the planted fault.
    elif fault == "offset":
        Consumer.process = die_before_offset  # type: ignore[method-assign]  # the planted fault.
    elif fault == "twice":
        inbox.claim = claim_everything  # type: ignore[assignment]  # the planted fault.
        Consumer.process = process_twice  # type: ignore[method-assign]  # the planted fault.
    elif fault:
        raise SystemExit(f"unknown fault {fault}")


def tell() -> None:
    """Write where every task stands to standard error: the test asks for it when a run does not settle."""
    for task in asyncio.all_tasks():
        task.print_stack(limit=4, file=sys.stderr)


async def live(role: str) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
    side = {"writer": writer, "reader": reader}[role]
    await service.run(side(LedgerSettings()), "all", timedelta())


if __name__ == "__main__":
    plant(sys.argv[2] if len(sys.argv) > 2 else "")
    asyncio.run(live(sys.argv[1]))
