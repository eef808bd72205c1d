"""Owns the embedded MQTT broker: rumqttd from the `iotcore` wheel, as a child process on 127.0.0.1, MQTT 3.1.1.

With `logins` nobody connects without one of them: rumqttd knows names and passwords by its configuration, which is
written with mode 0600. It drops a stranger's connection without an answer, so that a client with a wrong password sees
a time-out. What is retained lives in memory: after a restart the hub and the devices publish their state again.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from launcher import processes
from launcher.processes import LOOPBACK, EngineFailed

START_SECONDS = 20.0
STOP_SECONDS = 5.0
MAX_PAYLOAD_BYTES = 65_536


class EmbeddedMqtt:
    """One broker; `port=None` takes a free one and keeps it over restarts of this object.

    `logins` maps user names to passwords; None lets anybody in (the loopback address is the only one served).
    """

    def __init__(
        self, port: int | None = None, *, logins: Mapping[str, str] | None = None, data_dir: Path | None = None
    ) -> None:
        self.port = port or 0
        self.logins = dict(logins or {})
        self._fixed_port = port is not None
        self._own_directory: tempfile.TemporaryDirectory[str] | None = None
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """The address served."""
        return LOOPBACK

    @property
    def url(self) -> str:
        """`mqtt://host:port`, without a login."""
        return f"mqtt://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id of the broker, None when it does not run."""
        return self._process.pid if self.running and self._process is not None else None

    @property
    def running(self) -> bool:
        """Whether the broker started by this object is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> "EmbeddedMqtt":
        """Start and wait until connections are accepted."""
        if self.running:
            return self
        for _ in range(5):
            if not self.port:
                self.port = processes.free_port()
            elif processes.listening(self.port):
                if self._fixed_port:
                    raise EngineFailed(f"port {self.port} for MQTT is taken by another program")
                self.port = processes.free_port()
            try:
                self._launch()
            except EngineFailed:
                self.kill()
                if self._fixed_port or not processes.listening(self.port):
                    raise
            else:
                return self
        raise EngineFailed("no free port for MQTT")

    def stop(self) -> None:
        """End the broker; wills of connected devices are not sent, they see a cut connection."""
        self._end(signal.SIGTERM)
        if self._own_directory is not None:
            self._own_directory.cleanup()
            self._own_directory = None

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._process is not None:
            processes.end(self._process, number, STOP_SECONDS)
            self._process = None

    def _launch(self) -> None:
        directory = self._directory()
        configuration = directory / "rumqttd.toml"
        configuration.unlink(missing_ok=True)
        configuration.touch(mode=0o600)
        configuration.write_text(self._toml(), encoding="utf-8")
        log = directory / "output"
        log.write_bytes(b"")
        # rumqttd reports every packet as an error span: only CRITICAL keeps the log, and the processor, quiet.
        command = [sys.executable, "-I", "-m", "iotcore", "--config", str(configuration), "--log-level", "CRITICAL"]
        self._process = processes.spawn(command, log=log, directory=directory)
        processes.wait_until(
            lambda: processes.listening(self.port),
            seconds=START_SECONDS,
            what="MQTT",
            alive=lambda: self.running,
            log=log,
        )

    def _directory(self) -> Path:
        if self._data_dir is not None:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            return self._data_dir.resolve()
        if self._own_directory is None:
            self._own_directory = tempfile.TemporaryDirectory(prefix="xaso-mqtt-")
        return Path(self._own_directory.name)

    def _toml(self) -> str:
        lines = [
            "id = 0",
            "[router]",
            "id = 0",
            "max_connections = 10010",
            "max_outgoing_packet_count = 200",
            "max_segment_size = 8388608",
            "max_segment_count = 10",
            "[v4.1]",
            'name = "v4-1"',
            f'listen = "{LOOPBACK}:{self.port}"',
            "next_connection_delay_ms = 1",
            "[v4.1.connections]",
            "connection_timeout_ms = 10000",
            f"max_payload_size = {MAX_PAYLOAD_BYTES}",
            "max_inflight_count = 200",
            "dynamic_filters = true",
        ]
        if self.logins:
            lines.append("[v4.1.connections.auth]")
            # A JSON string is a TOML basic string as long as nothing beyond ASCII is escaped as a surrogate pair.
            lines += [
                f"{json.dumps(name, ensure_ascii=False)} = {json.dumps(secret, ensure_ascii=False)}"
                for name, secret in self.logins.items()
            ]
        return "\n".join(lines) + "\n"
