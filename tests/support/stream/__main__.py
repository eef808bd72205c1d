"""Runs the consuming part of the indicators service as a process that can be killed, with a fault at a chosen point.

python -m tests.support.stream [fault]; the settings come from XASO_INDICATORS_… variables. Faults, each in the third
write that carries events, so that memory holds something by then: `folded` (events are folded, nothing is written),
`written` (everything is written, nothing committed), `committed` (the commit is done, memory does not know it), `still`
(stands still before the write, as a process does that was paused or swapped out), and `asked` (killed when it is asked
to hand over partitions). Planted bugs that the checker must see: `lose` (every seventh event is not folded), `twice` (a
line of the history is written twice), `deaf` (facts are written and not judged).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from chassis import stream_offsets
from chassis.service import Runner, run
from chassis.stream import Stream
from services.indicators.app import service
from services.indicators.calculation import evaluation
from services.indicators.settings import Settings
from services.indicators.stream.sink import Intake

WRITES_BEFORE = 2
"""Writes that go well before the fault."""
_AGAIN = sa.text("""
    INSERT INTO fact_history SELECT * FROM fact_history WHERE attribute = 'petition.answer' LIMIT 1
""")


def end(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def third() -> Callable[[], bool]:
    """Whether this is the third time it is asked."""
    count = 0

    def asked() -> bool:
        nonlocal count
        count += 1
        return count == WRITES_BEFORE + 1

    return asked


def plant_death(fault: str) -> None:
    due = third()
    write, advance, revoked, committed = Stream._write, stream_offsets.advance, Stream.revoked, Intake.written

    async def before_write(self: Stream, load: Any) -> None:
        if load.events and due():
            end(signal.SIGSTOP if fault == "still" else signal.SIGKILL)
        await write(self, load)

    async def before_commit(tx: Any, cluster: str, before: Any, after: Any) -> None:
        await advance(tx, cluster, before, after)
        if after and due():
            # What was given to the transaction reaches the server before the process dies.
            await tx.execute(sa.text("SELECT 1"))
            end(signal.SIGKILL)

    def after_commit(self: Intake) -> None:
        if due():
            end(signal.SIGKILL)
        committed(self)

    async def when_asked(self: Stream) -> None:
        if self._written:
            end(signal.SIGKILL)
        await revoked(self)

    if fault in ("folded", "still"):
        Stream._write = before_write  # type: ignore[method-assign]  # the planted fault.
    elif fault == "written":
        stream_offsets.advance = before_commit
    elif fault == "committed":
        Intake.written = after_commit  # type: ignore[method-assign]  # the planted fault.
    elif fault == "asked":
        Stream.revoked = when_asked  # type: ignore[method-assign]  # the planted fault.


def plant_bug(fault: str) -> None:
    fold, write = Intake.fold, Intake.write
    seen = 0

    def fold_most(self: Intake, record: Any, headers: Any) -> bool:
        nonlocal seen
        seen += 1
        return fold(self, record, headers) if seen % 7 else True

    async def write_more(self: Intake, tx: Any, folded: Any) -> Any:
        done = await write(self, tx, folded)
        await tx.execute(_AGAIN)
        return done

    async def judge_nothing(*_: Any) -> int:
        return 0

    if fault == "lose":
        Intake.fold = fold_most  # type: ignore[method-assign]  # the planted fault.
    elif fault == "twice":
        Intake.write = write_more  # type: ignore[method-assign]  # the planted fault.
    elif fault == "deaf":
        evaluation.recompute = judge_nothing  # type: ignore[assignment]  # the planted fault.


DEATHS = ("folded", "written", "committed", "still", "asked")
BUGS = ("lose", "twice", "deaf")


def plant(fault: str) -> None:
    if fault in DEATHS:
        plant_death(fault)
    elif fault in BUGS:
        plant_bug(fault)
    elif fault:
        raise SystemExit(f"unknown fault {fault}")


def tell() -> None:
    """Write where every task stands to standard error: the test asks for it when a run does not settle."""
    for task in asyncio.all_tasks():
        task.print_stack(limit=4, file=sys.stderr)


async def live(fault: str) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
    if fault == "still":
        # By itself: a transaction of another task that stands still would hold its locks against everybody.
        await Runner(service(Settings())).start(relay=False, consume=True, rpc=False, tasks=False)
        await asyncio.Event().wait()
    await run(service(Settings()), "consume", timedelta())


if __name__ == "__main__":
    planted = sys.argv[1] if len(sys.argv) > 1 else ""
    plant(planted)
    asyncio.run(live(planted))
