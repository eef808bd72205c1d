"""Owns what every test has: the shared engines, and the rule that a skipped test may not pass for a run one in CI."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

PLUGINS = ("engines", "browser", "running")
pytest_plugins = [f"tests.support.{name}" for name in PLUGINS if find_spec(f"tests.support.{name}")]

_skipped: list[str] = []


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
