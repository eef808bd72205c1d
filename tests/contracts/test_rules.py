"""Rules of the house that no linter knows: who commits, which rooms a service has, what has an index and an English."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import string
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest
import sqlalchemy as sa

from chassis.errors import DomainError
from chassis.i18n import Translations
from tests.contracts.services import NAMES, ROOT
from tests.contracts.walk import Stage

SERVICES = ROOT / "services"
SOURCES = sorted(SERVICES.rglob("*.py"))
ROOMS = ("README.md", "__main__.py", "app.py", "settings.py", "migrations", "templates", "locale")
ROOMS_ANYWHERE = ("model.py", "rpc.py")
ROOMS_OF_A_SUBJECT = ("model", "commands", "queries", "web", "api")
README_SAYS = {"publishes", "consumes", "settings"}
CONSUMES_NOTHING = ("identity",)


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    """Every call of a method or function called `name`."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) == name
    ]


def test_only_the_chassis_commits() -> None:
    """Entry points open transactions through the chassis; whoever commits by hand leaves outbox and answer behind."""
    found = []
    for path in SOURCES:
        tree = ast.parse(path.read_text("utf-8"))
        for name in ("commit", "commit_prepared"):
            found += [f"{path.relative_to(ROOT)}:{call.lineno}" for call in calls(tree, name)]
    assert found == []


def test_the_rule_about_commits_bites() -> None:
    assert calls(ast.parse("async def f(tx):\n    await tx.commit()"), "commit")


def test_sleeping_in_the_database_is_nobodys_plan() -> None:
    """Services speak to Kafka only by their outbox and their handlers."""
    for path in SOURCES:
        source = path.read_text("utf-8")
        assert "AIOKafkaProducer" not in source, path
        assert "pg_sleep" not in source, path


@pytest.mark.parametrize("name", NAMES)
def test_a_service_has_its_rooms(name: str) -> None:
    folder = SERVICES / name
    for room in ROOMS:
        assert (folder / room).exists(), f"{name} lacks {room}"
    for room in (*ROOMS_ANYWHERE, *(["consumers.py"] if name not in CONSUMES_NOTHING else [])):
        assert [*folder.glob(room), *folder.glob(f"*/{room}")], f"{name} lacks {room}"
    assert (folder / "locale" / "en.po").is_file()
    present = {
        room
        for room in ROOMS_OF_A_SUBJECT
        if any([*folder.glob(f"{at}{room}{end}")] for at in ("", "*/") for end in ("", ".py"))
    }
    assert present == set(ROOMS_OF_A_SUBJECT), f"{name} lacks {set(ROOMS_OF_A_SUBJECT) - present}"


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_tells_what_goes_in_and_out(name: str) -> None:
    text = (SERVICES / name / "README.md").read_text("utf-8").lower()
    assert {word for word in README_SAYS if word not in text} == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_default_or_is_needed_by_all(name: str) -> None:
    settings = importlib.import_module(f"services.{name}.settings").Settings
    assert settings.model_config["env_prefix"] == f"XASO_{name.upper()}_"
    needed = [field for field, info in settings.model_fields.items() if info.is_required()]
    assert set(needed) <= {"name", "database_url"}, needed


_KEYS = sa.text("""
    SELECT c.conrelid::regclass::text || '.' || c.conname FROM pg_constraint c
    WHERE c.contype = 'f' AND NOT EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indpred IS NULL
            AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
    ) ORDER BY 1
""")
_PARTIAL = sa.text("""
    SELECT c.conrelid::regclass::text || '.' || c.conname FROM pg_constraint c
    WHERE c.contype = 'f' AND EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indpred IS NOT NULL
            AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
            AND pg_get_expr(i.indpred, i.indrelid) ~* 'is not null'
    ) ORDER BY 1
""")
_TIMES = sa.text("""
    SELECT table_name || '.' || column_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND data_type = 'timestamp without time zone'
""")


@pytest.mark.parametrize("name", NAMES)
async def test_every_foreign_key_has_an_index(stages: dict[str, Stage], name: str) -> None:
    """Without one, deleting or locking a parent reads the whole child. One over the rows that have a parent will do."""
    async with stages[name].running.tx() as connection:
        bare = set((await connection.execute(_KEYS)).scalars()) - set((await connection.execute(_PARTIAL)).scalars())
    assert bare == set()


@pytest.mark.parametrize("name", NAMES)
async def test_times_know_their_zone(stages: dict[str, Stage], name: str) -> None:
    async with stages[name].running.tx() as connection:
        assert list((await connection.execute(_TIMES)).scalars()) == []


def of_templates(folder: Path) -> Iterator[tuple[str, str]]:
    """Every text a template hands to gettext, with its place."""
    environment = jinja2.Environment(extensions=["jinja2.ext.i18n", "jinja2.ext.do"], autoescape=True)
    for path in sorted(folder.rglob("*.html")):
        for line, _function, text in environment.extract_translations(path.read_text("utf-8")):
            for one in text if isinstance(text, tuple) else (text,):
                if one:
                    yield one, f"{path.name}:{line}"


def of_python(folder: Path) -> Iterator[tuple[str, str]]:
    """Every text that Python hands to gettext, to a flash message, a named error or a sentence, with its place."""
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        given = [call.args[0] for name in ("_", "gettext", "Said") for call in calls(tree, name) if call.args]
        given += [
            keyword.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            for keyword in node.keywords
            if keyword.arg in ("flash", "message_")
        ]
        for node in given:
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value, f"{path.name}:{node.lineno}"


@pytest.fixture(scope="module", params=NAMES)
def language(request: pytest.FixtureRequest) -> tuple[Path, Translations]:
    folder = SERVICES / request.param
    return folder, Translations.load(ROOT / "web" / "locale", folder / "locale")


def test_every_text_of_a_page_has_its_english(language: tuple[Path, Translations]) -> None:
    folder, translations = language
    texts = [*of_templates(folder), *of_python(folder)]
    assert len(texts) > 20
    assert [f"{place}: {text}" for text, place in texts if not translations.has(text, "en")] == []


def test_every_text_of_the_shell_has_its_english() -> None:
    translations = Translations.load(ROOT / "web" / "locale")
    texts = [*of_templates(ROOT / "web" / "templates"), *of_templates(ROOT / "chassis" / "templates")]
    texts += of_python(ROOT / "chassis")
    assert len(texts) > 50
    assert [f"{place}: {text}" for text, place in texts if not translations.has(text, "en")] == []


def named_errors(package: str) -> list[type[DomainError]]:
    """Every named error under a package, all of whose modules are imported."""
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, f"{package}."):
        if "migrations" not in found.name and not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    todo, errors = [DomainError], []
    while todo:
        for kind in todo.pop().__subclasses__():
            todo.append(kind)
            if kind.__module__.startswith(package):
                errors.append(kind)
    return errors


@pytest.mark.parametrize("package", ["chassis", *(f"services.{name}" for name in NAMES)])
def test_every_named_error_has_its_english(package: str) -> None:
    folder = ROOT.joinpath(*package.split("."))
    translations = Translations.load(ROOT / "web" / "locale", folder / "locale")
    missing = []
    for error in named_errors(package):
        message = getattr(error, "message", "")
        if not message:
            continue
        if not translations.has(message, "en"):
            missing.append(f"{error.__name__}: {message}")
            continue
        english = translations.gettext(message, "en")
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (message, english)]
        assert fields[0] == fields[1], f"{error.__name__}: {message} / {english}"
    assert missing == []


def test_codes_of_errors_are_unique_within_a_service() -> None:
    for name in NAMES:
        codes: dict[str, str] = {}
        for error in named_errors(f"services.{name}"):
            code = error.__dict__.get("code")
            if code is not None:
                assert re.fullmatch(r"[a-z][a-z0-9_]*", code), code
                assert codes.setdefault(code, error.__name__) == error.__name__, f"two errors are called {code}"
