"""The audit log: cheap to write, refused to change, and every change by force is found."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, metrics, telemetry
from chassis.audit import AUDIT_DDL, GENESIS, Finding, Sealer, record, seal, verify
from chassis.auth import Grant, Principal
from chassis.checkpoints import Checkpoints
from chassis.db import Sessions, audit_table, chassis_metadata, make_engine
from chassis.settings import ServiceSettings
from tests.support.running import settings_for
from tests.support.waiting import eventually

OFFICER = Principal("officer-1", "Cán bộ", "person", (Grant("officer", "11074", "30/298/11074"),))


@dataclass
class Log:
    settings: ServiceSettings
    sessions: Sessions
    checkpoints: Checkpoints
    sealer: Sealer

    async def write(self, count: int, first: int = 1) -> None:
        async with self.sessions.begin() as tx:
            for number in range(first, first + count):
                await record(tx, OFFICER, "petition.answered", f"p-{number}", "11074", {"n": number, "lời": "Đã sửa"})

    async def sealed(self, count: int) -> None:
        """Write and seal ``count`` rows and note a checkpoint."""
        await self.write(count)
        assert await self.sealer.round(note=True) == count

    async def findings(self) -> list[Finding]:
        async with self.sessions.read() as tx:
            return await verify(tx, self.checkpoints)

    async def kinds(self) -> set[str]:
        return {finding.kind for finding in await self.findings()}

    async def forge(self, *statements: str) -> None:
        """Change the table as its owner can: with the guard switched off."""
        async with self.sessions.begin() as tx:
            await tx.execute(sa.text("ALTER TABLE audit DISABLE TRIGGER USER"))
            for statement in statements:
                await tx.execute(sa.text(statement))
            await tx.execute(sa.text("ALTER TABLE audit ENABLE TRIGGER USER"))

    async def rechain(self) -> None:
        """Compute every hash anew, as somebody would who knows how it is done."""
        await self.forge("UPDATE audit SET chain = NULL, prev_hash = NULL, hash = NULL")
        async with self.sessions.begin() as tx:
            await seal(tx)


@pytest.fixture(scope="module")
async def sessions(database: Callable[[str], str]) -> AsyncIterator[Sessions]:
    engine = make_engine(settings_for(ServiceSettings, database("audit"), name="tests"))
    async with engine.begin() as connection:
        await connection.run_sync(chassis_metadata.create_all)
        for statement in AUDIT_DDL:
            await connection.execute(sa.text(statement))
    yield Sessions(engine)
    await engine.dispose()


@pytest.fixture
async def log(sessions: Sessions, tmp_path: Path) -> AsyncIterator[Log]:
    settings = settings_for(ServiceSettings, "unused", name="tests", audit_checkpoints=tmp_path / "elsewhere")
    telemetry.configure(settings)
    checkpoints = Checkpoints.of(settings)
    assert checkpoints is not None
    fresh = Log(settings, sessions, checkpoints, Sealer(settings, sessions, interval=0.02, every=0.0))
    yield fresh
    await fresh.forge("TRUNCATE audit")


# --- Writing ---


async def test_a_deed_is_written_down_with_its_transaction(log: Log) -> None:
    async def deed(tx: AsyncSession, fail: bool) -> None:
        await record(tx, OFFICER, "petition.closed", "p-1", "11074", {"note": 1})
        if fail:
            raise RuntimeError

    with suppress(RuntimeError):
        async with log.sessions.begin() as tx:
            await deed(tx, fail=True)
    async with log.sessions.begin() as tx:
        await deed(tx, fail=False)
        await record(tx, None, "listing.expired", "l-1", "11074")
    async with log.sessions.read() as tx:
        rows = (await tx.execute(sa.select(audit_table).order_by(audit_table.c.id))).all()
    assert [(row.actor, row.action, row.target, row.unit, row.detail) for row in rows] == [
        ("officer-1", "petition.closed", "p-1", "11074", {"note": 1}),
        ("system", "listing.expired", "l-1", "11074", {}),
    ]
    assert all(row.chain is None for row in rows)


async def test_personal_details_are_blanked(log: Log) -> None:
    async with log.sessions.begin() as tx:
        detail = {"phone": "0909123456", "deep": [{"email": "a@b.vn", "n": 1}]}
        await record(tx, OFFICER, "a.b", "t", "11074", detail)
    async with log.sessions.read() as tx:
        stored = await tx.scalar(sa.select(audit_table.c.detail))
    assert stored == {"phone": "[redacted]", "deep": [{"email": "[redacted]", "n": 1}]}


async def test_writers_do_not_wait_for_each_other(log: Log) -> None:
    async with log.sessions.begin() as first:
        await record(first, OFFICER, "a.b", "t-1", "11074")
        async with log.sessions.begin() as second:
            await second.execute(sa.text("SET LOCAL lock_timeout = '200ms'"))
            await record(second, OFFICER, "a.b", "t-2", "11074")
        # The open transaction does not keep the sealer from what is committed either.
        assert await log.sealer.round() == 1
    assert await log.sealer.round() == 1
    assert await log.findings() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'someone else'",
        "UPDATE audit SET detail = '{}'",
        "UPDATE audit SET chain = 99",
        "UPDATE audit SET hash = NULL, prev_hash = NULL, chain = NULL",
        "DELETE FROM audit",
        "TRUNCATE audit",
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
async def test_the_database_refuses_changes(log: Log, statement: str, sealed: bool) -> None:
    await log.write(2)
    if sealed:
        await log.sealer.round()
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        async with log.sessions.begin() as tx:
            await tx.execute(sa.text(statement))


# --- Sealing ---


async def test_rows_are_chained_in_order(log: Log) -> None:
    await log.sealed(5)
    await log.write(3, first=6)
    await log.sealer.round()
    async with log.sessions.read() as tx:
        rows = (await tx.execute(sa.select(audit_table).order_by(audit_table.c.chain))).all()
    assert [row.chain for row in rows] == list(range(1, 9))
    assert [row.target for row in rows] == [f"p-{n}" for n in range(1, 9)]
    assert bytes(rows[0].prev_hash) == GENESIS
    assert all(bytes(b.prev_hash) == bytes(a.hash) for a, b in pairwise(rows))
    assert await log.findings() == []


async def test_many_rows_take_many_batches(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_BATCH", 7)
    monkeypatch.setattr(audit.seal, "__defaults__", (7,))
    await log.sealed(30)
    assert await log.findings() == []


async def test_sealers_take_turns(log: Log) -> None:
    await log.write(40)
    await log.sealer.round()
    assert metrics.REGISTRY.get_sample_value("xaso_audit_unsealed", {"service": "tests"}) == 40
    await log.write(40)
    other = Sealer(log.settings, log.sessions)
    counts = await asyncio.gather(*(sealer.round() for sealer in (log.sealer, other) * 4))
    assert sum(counts) == 40
    assert await log.findings() == []


async def test_checkpoints_of_several_processes_are_numbered_in_one_line(log: Log) -> None:
    """Each process of a service seals and notes; none makes a key or a number of its own, none is read half."""
    processes = [Checkpoints.of(log.settings) for _ in range(8)]
    assert all(processes)

    def note(at: int) -> None:
        for step in range(5):
            processes[at].append(100 * at + step + 1, bytes([at, step]) * 16)
            assert processes[at].load()[1] == []

    await asyncio.gather(*(asyncio.to_thread(note, at) for at in range(8)))
    noted, trouble = log.checkpoints.load()
    assert trouble == []
    assert [checkpoint.number for checkpoint in noted] == list(range(1, 41))


async def test_the_sealer_runs_until_it_is_cancelled_and_leaves_a_checkpoint(log: Log) -> None:
    sealer = Sealer(log.settings, log.sessions, interval=0.02, every=3600.0)
    task = asyncio.create_task(sealer.run())
    await log.write(3)

    async def chained() -> bool:
        async with log.sessions.read() as tx:
            return await tx.scalar(sa.select(sa.func.max(audit_table.c.chain))) == 3

    await eventually(chained)
    await log.write(2, first=4)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    noted, trouble = log.checkpoints.load()
    assert trouble == []
    assert noted[-1].chain == 5
    assert await log.findings() == []


async def test_the_sealer_outlives_trouble(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    async def failing(tx: AsyncSession, limit: int = 500) -> tuple[int, int, bytes]:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise ConnectionResetError if calls == 1 else RuntimeError
        return await seal(tx, limit)

    monkeypatch.setattr(audit, "seal", failing)
    await log.write(1)
    task = asyncio.create_task(log.sealer.run())

    async def noted() -> bool:
        return bool(log.checkpoints.load()[0])

    await eventually(noted)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# --- What is found ---


async def test_finds_nothing_in_an_honest_log(log: Log) -> None:
    assert await log.findings() == []
    await log.sealed(20)
    await log.write(5)
    assert await log.findings() == []


EDITS = {
    "actor": "UPDATE audit SET actor = 'nobody' WHERE chain = 3",
    "time": "UPDATE audit SET at = at + interval '1 microsecond' WHERE chain = 3",
    "detail": """UPDATE audit SET detail = '{"n": 4, "lời": "Đã sửa"}' WHERE chain = 3""",
    "hash": r"UPDATE audit SET hash = '\x00' WHERE chain = 5",
    "target of the last": "UPDATE audit SET target = 'p-x' WHERE chain = 5",
}


@pytest.mark.parametrize("statement", EDITS.values(), ids=EDITS.keys())
async def test_finds_an_edit(log: Log, statement: str) -> None:
    await log.sealed(5)
    await log.forge(statement)
    assert "edited" in await log.kinds()


async def test_finds_a_deletion(log: Log) -> None:
    await log.sealed(5)
    await log.forge("DELETE FROM audit WHERE chain IN (2, 3)")
    assert await log.findings() == [Finding("deleted", 2, "links 2–3 are missing")]


async def test_finds_a_deletion_whose_gap_was_closed(log: Log) -> None:
    await log.sealed(5)
    await log.forge("DELETE FROM audit WHERE chain = 2", "UPDATE audit SET chain = chain - 1 WHERE chain > 2")
    assert "reordered" in await log.kinds()


async def test_finds_a_reordering(log: Log) -> None:
    await log.sealed(5)
    await log.forge(
        "UPDATE audit SET chain = -2 WHERE chain = 2",
        "UPDATE audit SET chain = 2 WHERE chain = 4",
        "UPDATE audit SET chain = 4 WHERE chain = -2",
    )
    assert "reordered" in await log.kinds()


async def test_finds_a_cut_off_end(log: Log) -> None:
    await log.sealed(5)
    await log.forge("DELETE FROM audit WHERE chain > 3")
    assert [finding.kind for finding in await log.findings()] == ["truncated"]
    # Growing past the cut does not heal it.
    await log.sealed(4)
    assert await log.kinds() == {"rewritten"}


async def test_finds_an_emptied_log(log: Log) -> None:
    await log.sealed(5)
    await log.forge("TRUNCATE audit")
    assert [finding.kind for finding in await log.findings()] == ["truncated"]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit SET actor = 'nobody' WHERE chain = 2", "DELETE FROM audit WHERE chain = 2"],
    ids=["edited", "deleted"],
)
async def test_finds_a_full_rewrite(log: Log, statement: str) -> None:
    await log.sealed(5)
    await log.forge(statement)
    await log.rechain()
    async with log.sessions.read() as tx:
        assert await verify(tx, None) == [], "the chain by itself is in order again"
    assert await log.kinds() <= {"rewritten", "truncated"}
    assert await log.kinds()


async def test_the_sealer_verifies_and_raises_the_metric(log: Log) -> None:
    await log.sealed(3)
    await log.forge("DELETE FROM audit WHERE chain = 2")
    task = asyncio.create_task(log.sealer.run())
    findings = {"service": "tests"}
    await eventually(lambda: metrics.REGISTRY.get_sample_value("xaso_audit_findings", findings) == 1.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await log.forge("TRUNCATE audit")
    path(log).unlink()
    assert await log.sealer.check() == []
    assert metrics.REGISTRY.get_sample_value("xaso_audit_findings", findings) == 0.0


# --- Checkpoints ---


def lines(log: Log) -> list[str]:
    return path(log).read_text("utf-8").splitlines()


def path(log: Log) -> Path:
    assert log.settings.audit_checkpoints is not None
    return log.settings.audit_checkpoints / "tests.jsonl"


async def rounds(log: Log, count: int) -> None:
    for _ in range(count):
        await log.sealed(2)


async def test_checkpoints_are_signed_and_numbered(log: Log) -> None:
    await rounds(log, 3)
    noted, trouble = log.checkpoints.load()
    assert [(c.number, c.chain) for c in noted] == [(1, 2), (2, 4), (3, 6)]
    assert trouble == []
    await log.sealer.round(note=True)
    assert len(lines(log)) == 3, "nothing new, nothing noted"


def rewritten_hash(line: str) -> str:
    return json.dumps({**json.loads(line), "hash": "00" * 32})


Forgery = Callable[[list[str]], list[str]]
FORGERIES: dict[str, tuple[Forgery, str]] = {
    "another hash": (lambda found: [found[0], rewritten_hash(found[1]), found[2]], "checkpoint_forged"),
    "nonsense": (lambda found: [*found, "{}"], "checkpoint_forged"),
    "a torn line": (lambda found: [*found, found[0][:40]], "checkpoint_forged"),
    "one taken out": (lambda found: [found[0], found[2]], "checkpoint_lost"),
    "swapped": (lambda found: [found[1], found[0], found[2]], "checkpoint_lost"),
}


@pytest.mark.parametrize(("forgery", "kind"), FORGERIES.values(), ids=FORGERIES.keys())
async def test_finds_a_forged_checkpoint(log: Log, forgery: Forgery, kind: str) -> None:
    await rounds(log, 3)
    path(log).write_text("\n".join(forgery(lines(log))) + "\n", "utf-8")
    assert await log.kinds() == {kind}


async def test_a_line_cut_short_by_a_crash_does_not_spoil_the_next(log: Log) -> None:
    await rounds(log, 1)
    with path(log).open("a") as file:
        file.write('{"chain": 4, "ha')
    again = Checkpoints.of(log.settings)
    assert again is not None
    assert again.append(2, b"x" * 32)
    noted, trouble = again.load()
    assert [c.number for c in noted] == [1, 3]
    assert [lost for lost, _ in trouble] == [False]


async def test_two_processes_number_on_from_each_other(log: Log) -> None:
    other = Checkpoints.of(log.settings)
    assert other is not None
    for chain, store in enumerate((log.checkpoints, other, log.checkpoints, other), start=1):
        assert store.append(chain, bytes([chain]) * 32)
    noted, trouble = log.checkpoints.load()
    assert [c.number for c in noted] == [1, 2, 3, 4]
    assert trouble == []


async def test_another_key_signs_nothing_of_worth(log: Log, tmp_path: Path) -> None:
    await rounds(log, 1)
    stranger = Checkpoints(path(log).parent, "tests", tmp_path / "stranger.key")
    stranger.append(9, b"y" * 32)
    assert await log.kinds() == {"checkpoint_forged"}


async def test_a_lost_key_is_told_and_not_made_anew(log: Log) -> None:
    await rounds(log, 1)
    key = path(log).with_name("tests.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.unlink()
    fresh = Checkpoints.of(log.settings)
    assert fresh is not None
    assert fresh.load() == ([], [(True, "the key of the checkpoint file is gone")])
    assert not key.exists()


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    (tmp_path / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    with pytest.raises(ValueError, match="Ed25519"):
        Checkpoints(tmp_path, "tests", tmp_path / "k.pem").append(1, b"x" * 32)
