"""Owns the operator's tool for reorganisations: `xaso units` and `python -m services.identity units`.

It works on the service's database, as migrations do, and not through the public API: a reorganisation crosses the
borders of every administrator's scope, and it is one transaction. In Kubernetes it is a Job of the identity image with
the environment of the service. The running service publishes what it wrote.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from chassis import units
from chassis.db import Sessions, make_engine
from chassis.units import LEVELS
from services.identity.settings import Settings
from services.identity.units import packages, reading, reorganising
from services.identity.units.changeset import ChangeSet, Fault, Refused, render
from services.identity.units.planning import Plan, named
from services.identity.units.settling import Roles

OK, REFUSED = 0, 1
WHAT = ("reorganisation", "before", "after")
SHOWN = 40
"""Rows of each list on a screen; `--full` and `--json` give all."""


def main(arguments: Sequence[str], settings: Callable[[], Settings], program: str = "xaso units") -> int:
    """Run one command; returns the exit code: 0 done, 1 refused, 2 (argparse) called wrongly."""
    asked = _parser(program).parse_args(arguments)
    try:
        if asked.command == "import":
            return _import(asked)
        change_set = _read(Path(asked.file))
        if asked.command == "preview":
            return asyncio.run(_preview(change_set, settings(), asked))
        return asyncio.run(_apply(change_set, settings(), asked))
    except Refused as refused:
        return _refuse(refused.faults, asked)
    except (packages.PackageMissing, packages.UnknownProvince, OSError) as trouble:
        sys.stderr.write(f"{trouble}\n")
        return REFUSED
    except DBAPIError as trouble:
        # Without its statement and values: what went wrong is enough, and a table that is not there says it plainly.
        sys.stderr.write(f"the database refused; nothing was written (is it migrated?): {trouble.orig}\n")
        return REFUSED


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="Reorganisations of administrative units.")
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("import", help="make the file of a change set from the public packages")
    where = made.add_mutually_exclusive_group(required=True)
    where.add_argument("--province", action="append", metavar="CODE", help="a province; may be given several times")
    where.add_argument("--all", action="store_true", help="the whole country")
    made.add_argument(
        "--what",
        choices=WHAT,
        default=WHAT[0],
        help="the reorganisation of 1 July 2025 (default; provinces by their old codes), only the units before it, or "
        "only those after it (provinces by their new codes)",
    )
    made.add_argument("--out", metavar="FILE", help="where to write; standard output by default")
    for command, what in (
        ("preview", "say what a change set would do; writes nothing"),
        ("apply", "do it, or nothing"),
    ):
        one = commands.add_parser(command, help=what)
        one.add_argument("file", help="the file of the change set")
        one.add_argument("--json", action="store_true", help="nothing but JSON on standard output")
        one.add_argument("--full", action="store_true", help=f"every row of each list, not only {SHOWN}")
    return parser


def _import(asked: argparse.Namespace) -> int:
    provinces = None if asked.all else asked.province
    if asked.what == "reorganisation":
        made = packages.reorganisation(provinces)
    else:
        made = packages.founding(provinces, new=asked.what == "after")
    text = render(made, packages.remarks(asked.what))
    if asked.out:
        Path(asked.out).write_text(text, encoding="utf-8")
        _say(f"{asked.out}: {len(made.begins)} units begin, {len(made.links)} links, {len(made.ends)} end without one")
    else:
        sys.stdout.write(text)
    return OK


def _read(file: Path) -> ChangeSet:
    try:
        return reading.parse(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise Refused([Fault(0, str(file), "is not a text in UTF-8")]) from error


async def _preview(change_set: ChangeSet, settings: Settings, asked: argparse.Namespace) -> int:
    engine = make_engine(settings)
    try:
        async with Sessions(engine).read() as tx:
            made, roles = await reorganising.preview(tx, change_set)
    finally:
        await engine.dispose()
    _report(made, roles, asked)
    if not asked.json:
        _say("This is a preview: nothing was written.")
    return REFUSED if made.faults else OK


async def _apply(change_set: ChangeSet, settings: Settings, asked: argparse.Namespace) -> int:
    engine = make_engine(settings)
    try:
        async with Sessions(engine).begin() as tx:
            done = await reorganising.apply(tx, change_set)
    finally:
        await engine.dispose()
    if done.before:
        if asked.json:
            _json({"change_set": change_set.id, "applied": True, "before": True})
        else:
            _say(f"{change_set.id} was applied before: nothing was done.")
        return OK
    _report(done.plan, done.roles, asked)
    if not asked.json:
        _say(f"{change_set.id} is applied.")
    return OK


def _refuse(faults: Sequence[Fault], asked: argparse.Namespace) -> int:
    if asked.json:
        _json({"faults": [{"line": f.line, "place": f.place, "reason": f.reason} for f in faults]})
    shown = faults if asked.full else faults[:SHOWN]
    for fault in shown:
        sys.stderr.write(f"{asked.file}: {fault}\n")
    if len(faults) > len(shown):
        sys.stderr.write(f"… and {len(faults) - len(shown)} more (--full)\n")
    sys.stderr.write("Refused; nothing was written.\n")
    return REFUSED


def _report(made: Plan, roles: Roles, asked: argparse.Namespace) -> None:
    if asked.json:
        _json(_as_json(made, roles))
        return
    change_set, counts = made.change_set, made.counts()
    _say(f"{change_set.id}  {change_set.title}\neffective on {change_set.effective_on}: {change_set.legal_basis}")
    if change_set.effective_on > units.today():
        _say("that day is still to come: it cannot be applied before")
    for level in LEVELS:
        _say(f"  {level:<9} {counts[f'{level} ends']:>6} end  {counts[f'{level} begins']:>6} begin")
    _say(f"  {counts['split']} are split, {counts['merged']} take in more than one; {counts['links']} links")
    if made.there:
        _say(f"  {made.there} units of it stand already")
    moves = [k for k in made.links if k.predecessor.level == "village"]
    above = {u.code: u for u in made.begins}
    _list(
        "Villages that move",
        [f"{named(k.predecessor)}: to {named(above.get(k.successor.parent, k.successor))}" for k in moves],
        asked,
    )
    _list("To be settled by people", [f"{o.what}: {named(o.unit)}: {o.detail}" for o in made.unsettled], asked)
    _say(f"Roles: {len(roles.carried)} go over, {len(roles.unsettled)} are to be settled.")
    _list(
        "Roles to be settled",
        [f"{u.grant.role} on {named(u.unit)}, of {_holder(u.grant)}: {u.reason}" for u in roles.unsettled],
        asked,
    )
    _list("Reasons to refuse it", [str(fault) for fault in made.faults], asked)


def _holder(grant: Any) -> str:
    return f"account {grant.account_id}" if grant.account_id else f"client {grant.client_id}"


def _as_json(made: Plan, roles: Roles) -> dict[str, Any]:
    return {
        "change_set": made.change_set.id,
        "effective_on": made.change_set.effective_on.isoformat(),
        "counts": made.counts(),
        "villages": [
            {"code": k.predecessor.code, "from": k.predecessor.path, "to": k.successor.path}
            for k in made.links
            if k.predecessor.level == "village"
        ],
        "unsettled": [{"what": o.what, "unit": o.unit.code, "detail": o.detail} for o in made.unsettled],
        "roles": {
            "carried": len(roles.carried),
            "unsettled": [
                {"role": u.grant.role, "unit": u.unit.code, "holder": _holder(u.grant), "reason": u.reason}
                for u in roles.unsettled
            ],
        },
        "faults": [{"line": f.line, "place": f.place, "reason": f.reason} for f in made.faults],
    }


def _list(title: str, rows: Sequence[str], asked: argparse.Namespace) -> None:
    if not rows:
        return
    _say(f"{title} ({len(rows)}):")
    shown = rows if asked.full else rows[:SHOWN]
    for row in shown:
        _say(f"  {row}")
    if len(rows) > len(shown):
        _say(f"  … and {len(rows) - len(shown)} more (--full)")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
