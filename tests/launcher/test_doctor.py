"""`xaso doctor`: says what is wrong and how to mend it, and exits with 1 when something is broken."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from launcher import doctor, processes
from launcher.cli import app
from launcher.datadir import DataDir

METRICS = """# HELP xaso_dead_letters Events set aside.
# TYPE xaso_dead_letters gauge
xaso_dead_letters{service="petitions"} 2.0
xaso_outbox_oldest_age_seconds{service="petitions"} 3.1e+02
xaso_consumer_lag{topic="a",partition="0"} 4.0
xaso_consumer_lag{topic="a",partition="1"} 5.0
"""


class Sick(http.server.BaseHTTPRequestHandler):
    """A platform with one ailing service, one that is not ready, and three that are well."""

    def do_GET(self) -> None:
        name, _, what = self.path.strip("/").partition("/")
        status, body = 200, json.dumps({"status": "ready", "checks": {"database": "ok", "relay": "active"}})
        if what == "metrics":
            body = METRICS if name == "petitions" else ""
        elif name == "media":
            status, body = 503, json.dumps({"status": "not ready", "checks": {"database": "OSError"}})
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def sick() -> Iterator[str]:
    with http.server.ThreadingHTTPServer((processes.LOOPBACK, 0), Sick) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{processes.LOOPBACK}:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_ailing_platform_is_described_service_by_service(sick: str, tmp_path: Path) -> None:
    found = {(f.subject, f.state, f.what): f.mend for f in doctor.examine(tmp_path, sick)}
    by_subject = {subject: state for subject, state, _ in found}
    assert by_subject == {
        "identity": "ok",
        "petitions": "broken",
        "ecommerce": "ok",
        "indicators": "ok",
        "media": "broken",
    }
    told = {what for subject, _, what in found if subject == "petitions"}
    assert told == {"2 events could not be processed", "its oldest unsent event has waited for 310 s"}
    assert ("media", "broken", "not ready (503): database OSError") in found
    assert all(mend for (_, state, _), mend in found.items() if state == "broken")
    assert f"{sick}/petitions/dead-letters" in " ".join(found.values())


def test_the_exit_code_is_1_when_anything_is_broken_and_json_is_json(sick: str, tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["doctor", "--url", sick, "--data", str(tmp_path), "--json"])
    assert answer.exit_code == 1
    assert {row["state"] for row in json.loads(answer.stdout)} == {"ok", "broken"}


def test_a_platform_that_does_not_answer_is_broken(tmp_path: Path) -> None:
    found = doctor.examine(tmp_path, f"http://{processes.LOOPBACK}:{processes.free_port()}")
    assert [f.state for f in found] == ["broken"] * 5
    assert all("does not answer" in f.what for f in found)


def test_this_machine_can_run_the_engines(tmp_path: Path) -> None:
    found = {f.subject: f for f in doctor.examine(tmp_path)}
    assert found["Java"].state == found["PostgreSQL"].state == found["Python"].state == "ok"
    assert "18." in found["PostgreSQL"].what


def test_logins_readable_by_others_are_broken_and_mended_by_what_is_said(tmp_path: Path) -> None:
    DataDir(tmp_path).secrets()
    (tmp_path / "secrets.json").chmod(0o644)
    wrong = next(f for f in doctor.examine(tmp_path) if f.subject == "Logins")
    assert wrong.broken
    assert wrong.mend == f"chmod 600 {tmp_path / 'secrets.json'}"
    (tmp_path / "secrets.json").chmod(0o600)
    assert "Logins" not in {f.subject for f in doctor.examine(tmp_path)}


def test_engines_named_by_the_running_platform_are_asked(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.hold()
    with socket.create_server((processes.LOOPBACK, 0)) as broker:
        closed = f"{processes.LOOPBACK}:{processes.free_port()}"
        served = f"{processes.LOOPBACK}:{broker.getsockname()[1]}"
        data.announce({"web": f"http://{closed}", "kafka": served, "mqtt": closed})
        found = {f.subject: f.state for f in doctor.examine(tmp_path)}
    data.release()
    assert (found["Kafka"], found["MQTT"], found["identity"]) == ("ok", "broken", "broken")


def test_samples_are_summed_over_their_labels() -> None:
    numbers = doctor.samples(METRICS)
    assert numbers["xaso_consumer_lag"] == 9.0
    assert numbers["xaso_outbox_oldest_age_seconds"] == 310.0
