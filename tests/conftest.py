"""Owns what every test has: the shared engines, and the rule that a skipped test may not pass for a run one in CI."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

PLUGINS = ("engines", "browser", "running")
pytest_plugins = [f"tests.support.{name}" for name in PLUGINS if find_spec(f"tests.support.{name}")]

_skipped: list[str] = []


ONE_PLATFORM = ("tests/journeys/test_browser.py", "tests/journeys/test_every_feed.py")
"""Files that share a platform, whose start takes longer than their tests: one process runs them all."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """With `--dist loadfile`, the files of ONE_PLATFORM count as one."""
    if config.getvalue("dist") != "loadfile":
        return None

    class Sharing(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return ONE_PLATFORM[0] if file in ONE_PLATFORM else file

    return Sharing(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--no-skips`, given in CI: there a skipped test is a failure."""
    parser.addoption("--no-skips", action="store_true", help="fail the run when anything was skipped")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember skipped tests; an expected failure is not one."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Remember modules skipped as a whole."""
    if report.skipped:
        _skipped.append(report.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Turn a run with skipped tests into a failed one when asked to."""
    if session.config.getoption("--no-skips") and _skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why the run failed although no test did; the reasons of each skip stand above it."""
    if _skipped and config.getoption("--no-skips"):
        terminalreporter.write_line(f"--no-skips: {len(_skipped)} skipped, which counts as a failure here", red=True)
