"""`xaso up` as a process: one line of JSON, one platform per directory, nothing lost by kill -9, nothing left."""

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from launcher.datadir import SERVICES

PATIENCE_SECONDS = 120


def command(data: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "launcher.cli", *more, "--data", str(data)]


@contextmanager
def platform(data: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A started platform and what it announced; killed at the end if the test did not stop it."""
    with subprocess.Popen(
        command(data, "up", "--json", "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield process, json.loads(line)
        finally:
            process.kill()


def family(data: Path) -> list[psutil.Process]:
    """Every living process that was started for this data directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and str(data) in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("platform")


def test_up_announces_itself_and_outlives_a_kill_with_its_data(data: Path) -> None:
    with platform(data) as (process, first):
        assert set(first) == {"web", "grpc", "kafka", "mqtt", "token_endpoint", "logins"}
        assert set(first["grpc"]) == set(SERVICES)
        assert set(first["logins"]) >= {"partner", "officer", "resident", "admin"}
        assert stat.S_IMODE((data / "secrets.json").stat().st_mode) == 0o600
        for name in SERVICES:
            assert httpx.get(f"{first['web']}/{name}/readyz", timeout=10).json()["status"] == "ready"
        partner = first["logins"]["partner"]
        answer = httpx.post(
            first["token_endpoint"],
            data={"grant_type": "client_credentials"},
            auth=(partner["client_id"], partner["client_secret"]),
            timeout=10,
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["access_token"]

        second = subprocess.run(command(data, "up", "--json"), capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert f"process {process.pid}" in second.stderr
        assert second.stdout == ""

        healthy = subprocess.run(command(data, "doctor", "--json"), capture_output=True, text=True, check=False)
        assert [row for row in json.loads(healthy.stdout) if row["state"] == "broken"] == []
        assert healthy.returncode == 0

        process.send_signal(signal.SIGKILL)
        process.wait()

    with platform(data) as (process, again):
        assert again["logins"] == first["logins"]
        units = httpx.get(f"{again['web']}/indicators/api/v1/units", params={"level": "district"}, timeout=10).json()
        assert "Huyện Tứ Kỳ" in json.dumps(units, ensure_ascii=False)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    _, left = psutil.wait_procs(family(data), timeout=20)
    assert left == []


def test_a_start_that_is_broken_off_leaves_nothing_running(tmp_path: Path) -> None:
    with subprocess.Popen(
        command(tmp_path, "up", "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()  # One engine runs, the others are starting.
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 130
    assert family(tmp_path) == []


def test_a_taken_web_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = subprocess.run(
            command(tmp_path, "up", "--port", str(port)), capture_output=True, text=True, timeout=60, check=False
        )
    assert answer.returncode == 1
    assert f"port {port} belongs to another program" in answer.stderr
    assert not (tmp_path / "postgres").exists()
