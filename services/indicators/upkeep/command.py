"""Owns the commands of those who maintain the criteria: `criteria lint|diff|show|apply|withdraw|list`.

`lint` needs nothing but the files. The others compare with what ships, or with `--live` with what is in force in the
database; `apply` and `withdraw` write there and judge the units again before they end.

What a command says is Vietnamese, or English where `--lang` or the language of the terminal says so.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from chassis.db import Sessions, make_engine
from chassis.errors import DomainError, Said
from chassis.i18n import Locale, locale_of, localize_error, register, tell, translator
from services.indicators.calculation import applying
from services.indicators.calculation.applying import Applied, CriteriaRefused, NothingApplied
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import differing, documents, editions, library
from services.indicators.criteria.checks import unknown_set
from services.indicators.criteria.documents import BadDefinition, Document
from services.indicators.settings import Settings
from services.indicators.upkeep import following
from services.indicators.views import changes, definitions
from services.indicators.views.rules import RuleWords

MakeSettings = Callable[[], Settings]


def main(arguments: Sequence[str], settings: MakeSettings = Settings) -> int:
    """One command; the exit code is 0, 1 where a document is refused, 2 where the command itself is wrong."""
    register(Path(__file__).parents[1] / "locale")
    given = _parser().parse_args(list(arguments))
    try:
        return int(asyncio.run(given.run(given, settings)))
    except (BadDefinition, CriteriaRefused) as refused:
        for fault in refused.faults:
            sys.stderr.write(f"{fault.told(given.lang)}\n")
        return 1
    except DomainError as error:
        sys.stderr.write(f"{localize_error(error, given.lang)}\n")
        return 1


def language(environment: Mapping[str, str]) -> Locale:
    """The language of a terminal: the first of its variables that is set decides."""
    named = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return locale_of(next((tag for tag in named if tag), None))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="xaso criteria", description="Sets, measures and overlays as documents.")
    commands = parser.add_subparsers(required=True, metavar="lint|diff|show|apply|withdraw|list")
    parser_of = {}
    for name, run, words in (
        ("lint", _lint, "check files together with what ships; every fault with file, line and what is allowed"),
        ("diff", _diff, "say in words what files would change"),
        ("show", _show, "print a set in plain words"),
        ("apply", _apply, "bring files into force, and judge the units again"),
        ("withdraw", _withdraw, "take an applied document out of force"),
        ("list", _list, "every document with the edition that stands"),
    ):
        parser_of[name] = one = commands.add_parser(name, help=words, description=words)
        one.set_defaults(run=run)
        one.add_argument("--lang", choices=("vi", "en"), default=language(os.environ))
        if name in ("lint", "diff", "apply"):
            one.add_argument("files", nargs="*" if name == "lint" else "+", type=Path)
        if name in ("lint", "diff", "show"):
            one.add_argument("--live", action="store_true", help="compare with what is in force in the database")
    parser_of["show"].add_argument("set", help="code of a set")
    parser_of["withdraw"].add_argument("name", help="code of a set or overlay, or theme of measures")
    for name in ("apply", "withdraw"):
        parser_of[name].add_argument(
            "--by", default=f"operator.{getpass.getuser()}", help="who does it, for the record"
        )
    return parser


def _read(files: Sequence[Path]) -> list[Document]:
    """The files as documents; raises BadDefinition with the faults of all of them."""
    found, faults = [], []
    for path in files:
        try:
            found.append(Document(str(path), _text(path)))
        except BadDefinition as error:
            faults += error.faults
    if faults:
        raise BadDefinition(faults)
    return found


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > 4 * documents.MAX_CHARS:
            raise BadDefinition([documents.Fault(str(path), 1, "", Said("tệp quá lớn"))])
        return path.read_text(encoding="utf-8")
    except OSError as trouble:
        raise BadDefinition([documents.Fault(str(path), 1, "", Said("không mở được tệp"))]) from trouble
    except UnicodeDecodeError as trouble:
        raise BadDefinition([documents.Fault(str(path), 1, "", Said("tệp không phải là văn bản UTF-8"))]) from trouble


@asynccontextmanager
async def _sessions(settings: MakeSettings) -> AsyncIterator[Sessions]:
    engine = make_engine(settings())
    try:
        yield Sessions(engine)
    finally:
        await engine.dispose()


async def _held(given: argparse.Namespace, settings: MakeSettings) -> list[Document]:
    if not given.live:
        return list(editions.shipped())
    async with _sessions(settings) as sessions, sessions.read() as tx:
        return await editions.in_force(tx)


def _with(held: Sequence[Document], fresh: Sequence[Document]) -> list[Document]:
    names = {(one.kind, one.code) for one in fresh}
    return [*(one for one in held if (one.kind, one.code) not in names), *fresh]


async def _lint(given: argparse.Namespace, settings: MakeSettings) -> int:
    catalogue = library.build(_with(await _held(given, settings), _read(given.files)))
    found = Said(
        "Không có lỗi: {sets} bộ, {rows} dòng, {measures} chỉ số, {overlays} lớp phủ.",
        sets=len(catalogue.sets),
        rows=len(catalogue.order),
        measures=len(catalogue.measures),
        overlays=len(catalogue.overlays),
    )
    sys.stdout.write(f"{tell(found, given.lang)}\n")
    return 0


async def _diff(given: argparse.Namespace, settings: MakeSettings) -> int:
    held = await _held(given, settings)
    old, new = library.build(held), library.build(_with(held, _read(given.files)))
    _tell(new, differing.compare(old, new), given.lang)
    return 0


def _tell(catalogue: c.Catalogue, differences: Sequence[differing.Difference], lang: str) -> None:
    words = changes.Words(catalogue, lang, translator(lang))
    lines = [words.line(one) for one in differences]
    sys.stdout.write("".join(f"{line}\n" for line in lines or [translator(lang)("Không có gì thay đổi.")]))


async def _show(given: argparse.Namespace, settings: MakeSettings) -> int:
    catalogue = library.build(await _held(given, settings))
    criteria = catalogue.sets.get(given.set)
    if criteria is None:
        sys.stderr.write(f"{tell(unknown_set(given.set, catalogue.sets), given.lang)}\n")
        return 1
    _ = translator(given.lang)
    words = RuleWords(catalogue, given.lang, _)
    basis = criteria.legal_basis
    sys.stdout.write(f"{criteria.code}: {criteria.title.in_(given.lang)}\n")
    sys.stdout.write(f"{basis.number}, {basis.date.isoformat()}, {basis.issuer}: {basis.title}\n")
    sys.stdout.write(f"{definitions.validity_words(criteria, given.lang, _)}\n")
    sys.stdout.write(f"{_('Nơi áp dụng')}: {definitions.area_words(criteria, {}, given.lang, _)}\n")
    if criteria.note:
        sys.stdout.write(f"{criteria.note.in_(given.lang)}\n")
    for item in criteria.items:
        rule = changes.sentence(words.view(item.rule))
        sys.stdout.write(f"\n{item.code}  {item.title.in_(given.lang)}\n    {rule}  [{' '.join(item.feeds)}]\n")
    for overlay in catalogue.overlays_of(criteria.code):
        sys.stdout.write(f"\n{changes.Words(catalogue, given.lang, _).standing(overlay)}\n")
    return 0


async def _apply(given: argparse.Namespace, settings: MakeSettings) -> int:
    fresh = _read(given.files)
    async with _sessions(settings) as sessions:
        for document in fresh:
            async with sessions.begin() as tx:
                found = await applying.apply(tx, document, given.by)
            _said(found, given.lang)
        taken = await following.catch_up(sessions)
    sys.stdout.write(f"{tell(Said('Đã chấm lại trong {n} lượt.', n=taken), given.lang)}\n")
    return 0


async def _withdraw(given: argparse.Namespace, settings: MakeSettings) -> int:
    async with _sessions(settings) as sessions:
        async with sessions.begin() as tx:
            held = [one for one in await editions.in_force(tx) if one.code == given.name]
            if not held:
                raise NothingApplied(name=given.name)
            found = await applying.withdraw(tx, held[0].kind, given.name, given.by)
        _said(found, given.lang)
        await following.catch_up(sessions)
    return 0


def _said(found: Applied, lang: str) -> None:
    stands = Said("bản {n}", n=found.version) if found.version else Said("không đổi")
    sys.stdout.write(f"{found.kind}/{found.code}: {tell(stands, lang)}\n")
    _tell(found.catalogue, found.differences, lang)


async def _list(given: argparse.Namespace, settings: MakeSettings) -> int:
    async with _sessions(settings) as sessions, sessions.read() as tx:
        for row in await editions.overview(tx):
            at = row.applied_at.isoformat(timespec="seconds")
            sys.stdout.write(f"{row.kind}/{row.code}  {row.origin} {row.version}  {at}  {row.applied_by}\n")
    return 0
