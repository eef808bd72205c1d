"""The data directory: one launcher at a time, secrets made once and kept to their owner."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import processes
from launcher.datadir import SERVICES, DataDir, DirectoryInUse

HOLDER = (
    "import sys; from pathlib import Path; from launcher.datadir import DataDir\n"
    "data = DataDir(Path(sys.argv[1])); data.hold(); print('held', flush=True); sys.stdin.read()"
)


def test_a_second_launcher_is_refused_and_told_who_has_the_directory(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        second = DataDir(tmp_path)
        with pytest.raises(DirectoryInUse, match=f"process {first.pid}.*--data"):
            second.hold()
        assert second.holder() == first.pid
        first.kill()
    second.hold()
    assert second.holder() == os.getpid()
    second.release()
    assert second.holder() is None


def test_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    first = DataDir(tmp_path).secrets()
    assert DataDir(tmp_path).secrets() == first
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert set(first.databases) == set(first.services) == set(SERVICES)
    assert all(len(secret) >= 32 for secret in first.services.values())


def test_two_machines_have_different_logins(tmp_path: Path) -> None:
    one, other = DataDir(tmp_path / "a"), DataDir(tmp_path / "b")
    one.path.mkdir()
    other.path.mkdir()
    assert one.secrets().logins["officer"]["password"] != other.secrets().logins["officer"]["password"]
    assert one.secrets().logins["partner"]["client_secret"] != other.secrets().logins["partner"]["client_secret"]


def test_a_login_added_later_is_made_and_the_kept_ones_stay(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    before = data.secrets()
    kept = json.loads((tmp_path / "secrets.json").read_text(encoding="utf-8"))
    del kept["logins"]["producer"], kept["databases"]["media"]
    (tmp_path / "secrets.json").write_text(json.dumps(kept), encoding="utf-8")
    after = data.secrets()
    assert after.logins["officer"] == before.logins["officer"]
    assert after.logins["producer"]["user"] == before.logins["producer"]["user"]
    assert after.databases["media"]


def test_ports_of_the_last_start_are_kept_while_they_are_free(tmp_path: Path) -> None:
    import socket

    data = DataDir(tmp_path)
    first = data.ports("grpc-identity", "mqtt")
    assert data.ports("grpc-identity", "mqtt") == first
    with socket.create_server((processes.LOOPBACK, first["mqtt"])):
        again = data.ports("grpc-identity", "mqtt")
    assert again["grpc-identity"] == first["grpc-identity"]
    assert again["mqtt"] != first["mqtt"]
