"""Owns the command `rebuild`: everything computed again, from the facts or from the stream, and what was wrong told."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import orjson
import sqlalchemy as sa

from chassis import telemetry
from chassis.db import Sessions, is_transient, make_engine
from chassis.replaying import LogBroken
from services.indicators import commands
from services.indicators.criteria import editions, library
from services.indicators.settings import Settings
from services.indicators.upkeep import switching
from services.indicators.upkeep.rereading import Stage
from services.indicators.upkeep.switching import Unready

STATEMENT_SECONDS = 3600.0
"""Longest time one statement over all facts of a province may take."""
TOLD_SECONDS = 2.0
"""Time between two lines of progress."""


def main(arguments: Sequence[str], settings: Settings | None = None) -> int:
    """The command; 0: nothing was wrong, 1: something was, and was mended unless only compared, 2: wrong usage,
    3: not possible now.
    """
    parser = argparse.ArgumentParser(prog="rebuild", description="Compute everything again, and tell what was wrong.")
    parser.add_argument(
        "--from-stream", action="store_true", help="read the topics again, compare with the live tables, switch over"
    )
    parser.add_argument("--dry-run", action="store_true", help="with --from-stream: only compare")
    parser.add_argument("--report", type=Path, help="with --from-stream: write every difference to this file as JSON")
    given = parser.parse_args(list(arguments))
    if not given.from_stream:
        if given.dry_run or given.report:
            parser.error("--dry-run and --report need --from-stream")
        return asyncio.run(rebuild(settings))
    return asyncio.run(rebuild_from_stream(settings, dry=given.dry_run, report=given.report))


async def rebuild(settings: Settings | None = None) -> int:
    """Rebuild heaps and statuses in one transaction; 0 where nothing was wrong, 1 where something was mended."""
    engine = make_engine(settings or Settings(), command_timeout=STATEMENT_SECONDS)
    try:
        async with Sessions(engine).begin() as tx:
            # A province's facts take longer than a request may.
            await tx.execute(sa.text("SET LOCAL lock_timeout = 0"))
            await editions.refresh(tx)
            found = await commands.rebuild(tx, library.catalogue())
    finally:
        await engine.dispose()
    sys.stdout.write(
        f"facts read: {found.facts}; heaps mended: {found.heaps}; items changed: {found.items}; "
        f"sheets mended: {found.sheets}\n"
    )
    return 1 if found.heaps or found.items or found.sheets else 0


async def rebuild_from_stream(
    settings: Settings | None = None, *, dry: bool = False, report: Path | None = None
) -> int:
    """Rebuild from the stream beside the live tables and switch over what differs; the exit code is that of `main`."""
    settings = settings or Settings()
    engine = make_engine(settings, command_timeout=STATEMENT_SECONDS)
    said = 0.0

    async def told(stage: Stage, records: int, lag: int) -> None:
        nonlocal said
        if stage != "reading" or time.monotonic() - said >= TOLD_SECONDS:
            said = time.monotonic()
            sys.stderr.write(f"{stage}: {records} records read, {lag} to go\n")
            sys.stderr.flush()

    try:
        found = await switching.rebuild(settings, engine, told, dry=dry)
    except (Unready, LogBroken) as trouble:
        sys.stderr.write(f"{trouble}\n")
        return 3
    except Exception as error:
        if not is_transient(error):
            raise
        sys.stderr.write(f"the database gave up; nothing was changed: {telemetry.describe(error)}\n")
        return 3
    finally:
        await engine.dispose()
    if report is not None:
        text = orjson.dumps(found.json(), option=orjson.OPT_INDENT_2)
        await asyncio.to_thread(report.write_bytes, text)
    sys.stdout.write("".join(f"{line}\n" for line in found.lines()))
    return 1 if found.differs else 0
