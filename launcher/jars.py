"""Owns the Java archives of Apache Kafka: which ones (kafka.lock.toml, with SHA-256 of each), where they are kept, and
how a missing one is brought by jgo from the machine's Maven repositories.

The lock names coordinates and hashes only. Repositories are jgo's: Maven Central, or those of the user's jgo
configuration for a machine behind a mirror. Nothing is resolved at start: each locked file is fetched by its name, so
that a second start opens no connection at all.
"""

import contextlib
import fcntl
import hashlib
import os
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

ENDPOINT = "org.apache.kafka:kafka_2.13:4.3.0+org.slf4j:slf4j-simple:1.7.36"
LOCK = Path(__file__).with_name("kafka.lock.toml")
TRIES = 3


class JarsMissing(RuntimeError):
    """A locked archive could not be brought, or is not what the lock says."""


@dataclass(frozen=True)
class Jar:
    """One locked archive."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    @property
    def path(self) -> Path:
        """Place inside a Maven repository."""
        tail = f"-{self.classifier}" if self.classifier else ""
        name = f"{self.artifact}-{self.version}{tail}.jar"
        return Path(*self.group.split("."), self.artifact, self.version, name)


def cache_directory() -> Path:
    """`XASO_CACHE`, else `xaso` in the user's cache, else `.cache` beside the sources where HOME is read-only."""
    if chosen := os.environ.get("XASO_CACHE"):
        return Path(chosen).expanduser().resolve()
    general = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    with contextlib.suppress(OSError):
        (general / "xaso").mkdir(parents=True, exist_ok=True)
        if os.access(general / "xaso", os.W_OK):
            return general / "xaso"
    return Path(__file__).resolve().parent.parent / ".cache"


def locked() -> list[Jar]:
    """The archives the lock names, in its order."""
    data = tomllib.loads(LOCK.read_text(encoding="utf-8"))
    return [
        Jar(row["groupId"], row["artifactId"], row["version"], row.get("classifier", ""), row["sha256"])
        for row in data["dependencies"]
    ]


def missing(cache: Path) -> list[Jar]:
    """Locked archives that are not in the cache or are not what the lock says."""
    return [jar for jar in locked() if not intact(cache / "maven" / jar.path, jar)]


def class_path(cache: Path | None = None, *, offline: bool = False) -> list[Path]:
    """Paths of all archives, verified; brings what is missing unless `offline`. Raises JarsMissing."""
    home = cache or cache_directory()
    if lacking := missing(home):
        if offline:
            raise JarsMissing(f"{len(lacking)} archives of Apache Kafka are not in {home}")
        with _one_at_a_time(home):
            _bring(missing(home), home / "maven")
    return [home / "maven" / jar.path for jar in locked()]


def _bring(jars: list[Jar], repository: Path) -> None:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    remotes = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    context = MavenContext(repo_cache=repository, remote_repos=remotes, timeout=60)

    def fetch(jar: Jar) -> None:
        trouble = ""
        for _ in range(TRIES):
            (repository / jar.path).unlink(missing_ok=True)
            try:
                context.project(jar.group, jar.artifact).at_version(jar.version).artifact(jar.classifier).resolve()
            except (RuntimeError, OSError) as error:  # requests' errors are OSErrors.
                trouble = str(error)
                continue
            if intact(repository / jar.path, jar):
                return
            trouble = "its SHA-256 is not the locked one"
        (repository / jar.path).unlink(missing_ok=True)
        raise JarsMissing(f"{jar.group}:{jar.artifact}:{jar.version} could not be brought: {trouble}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fetch, jars))


def intact(path: Path, jar: Jar) -> bool:
    """Whether the file is there and has the locked SHA-256."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Two launchers that start at once bring the archives once."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "jars.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def relock() -> None:
    """Resolve the endpoint anew and rewrite the lock: `python -m launcher.jars`, run when Kafka's version changes."""
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.env import LockFile
    from jgo.maven import MavenContext
    from jgo.parse import Endpoint

    context = MavenContext(repo_cache=cache_directory() / "maven", remote_repos={"central": MAVEN_CENTRAL_URL})
    coordinates = [replace(coordinate, scope="compile") for coordinate in Endpoint.parse(ENDPOINT).coordinates]
    wanted = [context.create_dependency(coordinate) for coordinate in coordinates]
    named, behind = context.resolver.resolve(wanted)
    kept = {dep.artifact.key: dep for dep in (*named, *(d for d in behind if d.scope in {"compile", "runtime"}))}
    LockFile.from_resolved_dependencies(list(kept.values()), environment_name="kafka").save(LOCK)


if __name__ == "__main__":
    relock()
