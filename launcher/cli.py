"""Owns the command line: `xaso up`, `xaso demo`, `xaso doctor`, `xaso units`, `xaso criteria`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from launcher import databases
from launcher.datadir import DirectoryInUse
from launcher.jars import JarsMissing
from launcher.platform import Platform, running
from launcher.processes import EngineFailed, PortTaken

# What only some commands need is loaded by them: `xaso up` starts its engines before anything else.
if TYPE_CHECKING:
    from launcher.doctor import Finding
    from launcher.scenario import Outcome

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    # Plain tracebacks: a decorated one may show values of variables, and some of them are passwords.
    pretty_exceptions_enable=False,
    help="Xã Số: the whole platform on one machine.",
)
FOLLOWABLE_SECONDS = 2.0
INTERRUPTED = 130

Data = Annotated[Path, typer.Option("--data", help="Data directory; made at the first start.")]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Web port; 8080 by default, 0 a free one.")]
Json = Annotated[bool, typer.Option("--json", help="Nothing but JSON on standard output.")]


@app.command()
def up(data: Data = Path(".data"), port: Port = None, as_json: Json = False) -> None:
    """Start the platform with units and criteria; it stays until Ctrl-C or SIGTERM."""
    screen = Screen(as_json)

    async def stay(platform: Platform, stopping: asyncio.Event) -> int:
        screen.announce(platform)
        await stopping.wait()
        return 0

    raise typer.Exit(_run(data, port, screen, stay))


@app.command()
def demo(
    data: Data = Path(".data"),
    port: Port = None,
    as_json: Json = False,
    to_end: Annotated[bool, typer.Option("--exit", help="Play at full speed, check every status, end.")] = False,
    pace: Annotated[float, typer.Option(min=0, help="Seconds between two steps.")] = FOLLOWABLE_SECONDS,
) -> None:
    """Start the platform and play the scenario; `--exit` takes an empty platform of its own unless --data is given."""
    screen = Screen(as_json)
    told: list[Outcome] = []

    async def show(platform: Platform, stopping: asyncio.Event) -> int:
        screen.announce(platform)
        # The devices of the story stay on the air with the platform: without them criteria would fall back.
        async with contextlib.AsyncExitStack() as exits:
            outcomes = await _until_stopped(_play(platform, pace, screen, exits), stopping)
            if outcomes is None:
                return 0
            screen.outcomes(outcomes)
            screen.say("The scenario has been played; the platform stays until Ctrl-C.")
            await stopping.wait()
        return 0

    async def check(platform: Platform, stopping: asyncio.Event) -> int:
        async with contextlib.AsyncExitStack() as exits:
            outcomes = await _until_stopped(_play(platform, 0.0, screen, exits), stopping)
        if outcomes is None:
            return INTERRUPTED
        told.extend(outcomes)
        return 0 if outcomes and all(_as_expected(outcome) for outcome in outcomes) else 1

    if not to_end:
        raise typer.Exit(_run(data, port, screen, show))
    with contextlib.ExitStack() as stack:
        if data == Path(".data"):
            data = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="xaso-demo-", ignore_cleanup_errors=True))
            )
        code = _run(data, port, screen, check)
    # Said after everything has stopped, so that it is the last thing on standard output.
    if told:
        screen.outcomes(told, last=True)
    raise typer.Exit(code)


@app.command()
def doctor(
    data: Data = Path(".data"),
    url: Annotated[str | None, typer.Option(help="Address of a running platform, http://host:port.")] = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with this machine or a running platform, and how to mend it; exit code 1 when anything is."""
    from launcher import doctor as checks

    findings = checks.examine(data, url)
    if as_json:
        sys.stdout.write(json.dumps([finding.as_dict() for finding in findings], ensure_ascii=False) + "\n")
    else:
        Screen(False).findings(findings)
    raise typer.Exit(1 if any(finding.broken for finding in findings) else 0)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def units(context: typer.Context, data: Data = Path(".data")) -> None:
    """Administrative units over time: import, preview or apply a reorganisation (`xaso units --help`)."""
    operator = import_module("services.identity.units.operator")
    try:
        code = operator.main(context.args, lambda: databases.settings_of("identity", data))
    except databases.NoDatabase as trouble:
        Screen(False).fail(str(trouble))
        code = 1
    raise typer.Exit(code)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def criteria(context: typer.Context, data: Data = Path(".data")) -> None:
    """Sets, measures and overlays as documents: lint, diff, show, apply, withdraw, list (`xaso criteria --help`)."""
    upkeep = import_module("services.indicators.upkeep.command")
    try:
        code = upkeep.main(context.args, lambda: databases.settings_of("indicators", data))
    except databases.NoDatabase as trouble:
        Screen(False).fail(str(trouble))
        code = 1
    raise typer.Exit(code)


class Screen:
    """What a person sees: progress and tables. With `as_json` progress goes to standard error."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(file=sys.stderr if as_json else sys.stdout, highlight=False, soft_wrap=True)
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """One line of progress with the seconds since the start."""
        self._out.print(f"[dim]{time.monotonic() - self._started:6.1f} s[/dim]  {text}")

    def fail(self, text: str) -> None:
        """Why it ended, always on standard error."""
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]{escape(text)}[/red]")

    def announce(self, platform: Platform) -> None:
        """Addresses and logins, or the one line of JSON."""
        addresses, logins = platform.addresses, platform.logins
        self.say("[bold green]ready[/bold green]")
        if self.as_json:
            sys.stdout.write(json.dumps(addresses.announcement(logins), ensure_ascii=False) + "\n")
            sys.stdout.flush()
            return
        table = Table(show_header=False, box=None, padding=(0, 2))
        table.add_row("Open", f"[bold]{addresses.web}/[/bold]")
        table.add_row("Sign in", f"{addresses.web}/identity/login")
        for role, word in {"officer": "staff", "resident": "resident", "admin": "province admin"}.items():
            login = logins[role]  # type: ignore[literal-required]  # the three keys are keys of Logins.
            table.add_row(f"  {word}", f"{login['user']}  {login['password']}")
        table.add_row("gRPC", "  ".join(f"{name} {address}" for name, address in addresses.grpc.items()))
        table.add_row("Kafka, MQTT", f"{addresses.kafka}  {addresses.mqtt}")
        table.add_row("Data, logins, log", f"{platform.data.path}  secrets.json  log/platform.log")
        self._out.print(table)

    def outcomes(self, outcomes: list[Outcome], *, last: bool = False) -> None:
        """The table criterion, before, after, because of; JSON when it is the last thing said."""
        if self.as_json:
            if last:
                rows = [{key: getattr(row, key) for key in ("code", "before", "after", "because")} for row in outcomes]
                sys.stdout.write(json.dumps(rows, ensure_ascii=False) + "\n")
                sys.stdout.flush()
            return
        table = Table("criterion", "before", "after", "because of")
        for row in outcomes:
            mark = "" if _as_expected(row) else "  [red]expected " + str(row.expected) + "[/red]"
            table.add_row(row.code, str(row.before), f"{row.after}{mark}", escape(str(row.because)))
        self._out.print(table)

    def findings(self, findings: list[Finding]) -> None:
        """One line each; below a broken one, how to mend it."""
        marks = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "broken": "[red]✗[/red]"}
        for finding in findings:
            self._out.print(f"{marks[finding.state]} {finding.subject}: {escape(finding.what)}")
            if finding.mend:
                self._out.print(f"    → {escape(finding.mend)}")


class NotPlayed(RuntimeError):
    """The scenario met a platform that does not do what it expects; the message says what and where."""


async def _play(platform: Platform, pace: float, screen: Screen, exits: contextlib.AsyncExitStack) -> list[Outcome]:
    scenario = await asyncio.to_thread(import_module, "launcher.scenario")
    # The cameras come back where they were: the platform remembers the address it probes them at.
    ports = platform.data.ports("camera-1", "camera-2")
    devices = scenario.Devices(exits, list(ports.values()))
    played: list[Outcome]
    try:
        played = await scenario.play(
            platform.addresses, platform.logins, pace, lambda step: screen.say(escape(str(step))), devices
        )
    except scenario.ScenarioFailed as trouble:
        raise NotPlayed(str(trouble)) from trouble
    return played


async def _until_stopped(played: Coroutine[Any, Any, list[Outcome]], stopping: asyncio.Event) -> list[Outcome] | None:
    """What the scenario ended with, or None when it was told to stop before."""
    playing = asyncio.create_task(played)
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({playing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return playing.result() if playing.done() else None
    finally:
        for task in (playing, stopped):
            task.cancel()
        await asyncio.gather(playing, stopped, return_exceptions=True)


def _as_expected(outcome: Outcome) -> bool:
    return outcome.after == outcome.expected


def _run(
    data: Path, port: int | None, screen: Screen, body: Callable[[Platform, asyncio.Event], Coroutine[Any, Any, int]]
) -> int:
    """Run a platform around `body`; the exit code. What a person can mend is said in one line, without a traceback."""
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_around(data, port, screen, body))
    except (DirectoryInUse, PortTaken, EngineFailed, JarsMissing, NotPlayed, TimeoutError) as trouble:
        screen.fail(str(trouble))
        return 1


async def _around(
    data: Path, port: int | None, screen: Screen, body: Callable[[Platform, asyncio.Event], Coroutine[Any, Any, int]]
) -> int:
    async with _signals() as (stopping, interrupt_start):
        main = asyncio.current_task()
        interrupt_start(main)
        try:
            async with running(data, port, screen.say) as platform:
                interrupt_start(None)
                code = await body(platform, stopping)
                screen.say("stopping")
        except asyncio.CancelledError:
            if not stopping.is_set():
                raise
            return INTERRUPTED
        return code


@contextlib.asynccontextmanager
async def _signals() -> AsyncIterator[tuple[asyncio.Event, Callable[[asyncio.Task[Any] | None], None]]]:
    """An event that Ctrl-C and SIGTERM set; while a task is named, it is cancelled too (a start is broken off)."""
    stopping = asyncio.Event()
    victim: list[asyncio.Task[Any]] = []
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        while victim:
            victim.pop().cancel()

    def name(task: asyncio.Task[Any] | None) -> None:
        victim[:] = [task] if task is not None else []

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield stopping, name
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


if __name__ == "__main__":
    app()
