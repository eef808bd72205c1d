"""Owns the audit log: who did what to which thing on which unit, in a form whose alteration shows.

A row is inserted in the transaction of the deed and takes no lock. A background :class:`Sealer` chains committed rows
(``hash = sha256(previous hash || canonical JSON of the row)``) and appends signed checkpoints to a file kept elsewhere.
A trigger refuses changes by ordinary means; :func:`verify` shows those made by whoever can switch the trigger off.
What can go unseen: a row removed within the seconds before it is sealed, and the end of a checkpoint file cut off
together with the same end of the log. Keep the file where the database's administrator cannot write.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import metrics, telemetry
from chassis.auth import Principal
from chassis.checkpoints import Checkpoint, Checkpoints
from chassis.db import Sessions, audit_table, is_transient, later, new_id
from chassis.settings import ServiceSettings

log = telemetry.logger(__name__)

GENESIS = bytes(32)
"""The hash before the first row."""

SYSTEM = "system"
"""The actor of what the platform does by itself."""

_BATCH = 500

AUDIT_DDL: tuple[str, ...] = (
    """
    CREATE OR REPLACE FUNCTION xaso_audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND OLD.chain IS NULL AND NEW.chain IS NOT NULL
            AND NEW.prev_hash IS NOT NULL AND NEW.hash IS NOT NULL
            AND (NEW.id, NEW.at, NEW.actor, NEW.action, NEW.target, NEW.unit, NEW.detail)
                IS NOT DISTINCT FROM (OLD.id, OLD.at, OLD.actor, OLD.action, OLD.target, OLD.unit, OLD.detail)
        THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    """
    CREATE TRIGGER audit_guard_rows BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION xaso_audit_guard()
    """,
    """
    CREATE TRIGGER audit_guard_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION xaso_audit_guard()
    """,
)
"""Statements of the first migration: rows may be sealed once and are otherwise fixed."""


async def record(
    tx: AsyncSession,
    principal: Principal | None,
    action: str,
    target: str,
    unit: str,
    detail: Mapping[str, Any] | None = None,
) -> uuid.UUID:
    """Write down a deed in the transaction of the deed; returns the row's id.

    ``action`` is ``<subject>.<past tense>``, ``target`` the id of the thing, ``unit`` its unit code, ``detail`` JSON
    without personal data (keys that name such are blanked). Without a principal the platform itself acted.
    """
    row_id, actor = new_id(), principal.subject if principal is not None else SYSTEM
    kept = orjson.dumps(telemetry.redacted(dict(detail or {}))).decode()
    await later(tx, (_RECORD, (row_id, actor, action, target, unit, kept)))
    return row_id


_RECORD = "@ AS (INSERT INTO audit (id, actor, action, target, unit, detail) VALUES ($1, $2, $3, $4, $5, $6))"


def canonical(chain: int, row: Any) -> bytes:
    """The bytes of a row that are hashed: JSON with sorted keys, no spaces, times in UTC to the microsecond."""
    at: datetime = row.at
    return json.dumps(
        {
            "chain": chain,
            "id": str(row.id),
            "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
            "actor": row.actor,
            "action": row.action,
            "target": row.target,
            "unit": row.unit,
            "detail": row.detail,
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()


def link(previous: bytes, chain: int, row: Any) -> bytes:
    """The hash of a row behind ``previous``."""
    return hashlib.sha256(previous + canonical(chain, row)).digest()


async def seal(tx: AsyncSession, limit: int = _BATCH) -> tuple[int, int, bytes]:
    """Chain up to ``limit`` committed rows; returns how many, and number and hash of the last link.

    One transaction seals at a time: where another one does, nothing is done (0, 0, GENESIS).
    """
    if not await tx.scalar(sa.text("SELECT pg_try_advisory_xact_lock(hashtext('xaso-audit'))")):
        return 0, 0, GENESIS
    t = audit_table
    last = (
        await tx.execute(
            sa.select(t.c.chain, t.c.hash).where(t.c.chain.is_not(None)).order_by(t.c.chain.desc()).limit(1)
        )
    ).first()
    chain, previous = (int(last.chain), bytes(last.hash)) if last is not None else (0, GENESIS)
    rows = (await tx.execute(sa.select(t).where(t.c.chain.is_(None)).order_by(t.c.id).limit(limit))).all()
    sealed = []
    for row in rows:
        chain += 1
        digest = link(previous, chain, row)
        sealed.append({"row_id": row.id, "new_chain": chain, "new_prev": previous, "new_hash": digest})
        previous = digest
    if sealed:
        connection = await tx.connection()
        await connection.execute(_SEAL, sealed)
    return len(sealed), chain, previous


_SEAL = (
    sa.update(audit_table)
    .where(audit_table.c.id == sa.bindparam("row_id"))
    .values(chain=sa.bindparam("new_chain"), prev_hash=sa.bindparam("new_prev"), hash=sa.bindparam("new_hash"))
)


class Sealer:
    """Chains new rows every ``interval`` seconds and appends a signed checkpoint at most every ``every`` seconds.

    At start and every ``verify_every`` seconds it verifies the whole log: findings go to the log and to the metric
    ``xaso_audit_findings``, on which an alert rests.

    Several processes may run one: they take turns by a lock in the database. Without ``settings.audit_checkpoints``
    rows are chained but a rewrite of the whole log cannot be shown; this is logged at start.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        sessions: Sessions,
        *,
        interval: float = 2.0,
        every: float = 10.0,
        verify_every: float = 86_400.0,
    ) -> None:
        self._service = settings.name
        self._sessions = sessions
        self._checkpoints = Checkpoints.of(settings)
        self._interval = interval
        self._every = every
        self._verify_every = verify_every
        self._verified: float | None = None
        self._noted = 0.0

    async def run(self) -> None:
        """Seal until cancelled; survives the loss of the database. The last checkpoint is written on the way out."""
        if self._checkpoints is None:
            log.warning("audit_without_checkpoints", hint="set audit_checkpoints to a directory kept elsewhere")
        try:
            while True:
                try:
                    await self.round()
                    await self._check_when_due()
                except Exception as error:
                    if not is_transient(error):
                        log.error("audit_seal_failed", error=type(error).__name__, exc_info=error)
                    await asyncio.sleep(self._interval)
                await asyncio.sleep(self._interval)
        finally:
            await asyncio.shield(self._last_words())

    async def round(self, *, note: bool = False) -> int:
        """Seal what is there and note a checkpoint where one is due or asked for; returns how many rows."""
        async with self._sessions.read() as tx:
            waiting = await tx.scalar(sa.select(sa.func.count()).where(audit_table.c.chain.is_(None)))
        # Set before sealing, so that the number grows where sealing itself fails.
        metrics.AUDIT_UNSEALED.labels(self._service).set(waiting or 0)
        total = 0
        while True:
            async with self._sessions.begin() as tx:
                count, chain, digest = await seal(tx)
            total += count
            if count:
                metrics.AUDIT_SEALED.labels(self._service).inc(count)
            if count < _BATCH:
                break
        clock = asyncio.get_running_loop().time()
        if self._checkpoints is not None and chain and (note or clock - self._noted >= self._every):
            # The file is written after the commit: a checkpoint never names a link that a rollback took away.
            await asyncio.to_thread(self._checkpoints.append, chain, digest)
            self._noted = clock
        return total

    async def check(self) -> list[Finding]:
        """Verify the log now; findings are logged and measured."""
        async with self._sessions.read() as tx:
            findings = await verify(tx, self._checkpoints)
        metrics.AUDIT_FINDINGS.labels(self._service).set(len(findings))
        for finding in findings[:20]:
            log.error("audit_finding", finding=finding.kind, sequence=finding.chain, hint=finding.detail)
        return findings

    async def _check_when_due(self) -> None:
        clock = asyncio.get_running_loop().time()
        if self._verified is None or clock - self._verified >= self._verify_every:
            self._verified = clock
            await self.check()

    async def _last_words(self) -> None:
        try:
            await asyncio.wait_for(self.round(note=True), 5)
        except Exception as error:
            log.warning("audit_last_checkpoint_missed", error=type(error).__name__)


FindingKind = Literal[
    "edited", "deleted", "reordered", "truncated", "rewritten", "checkpoint_forged", "checkpoint_lost"
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One sign of tampering at link number ``chain`` (0: not tied to a link)."""

    kind: FindingKind
    chain: int
    detail: str


async def verify(tx: AsyncSession, checkpoints: Checkpoints | None) -> list[Finding]:
    """Walk the whole chain and hold it against the signed checkpoints; an empty list means nothing was found.

    Time is linear in the length of the log, memory is constant but for the checkpoints (about 100 bytes each).
    """
    findings: list[Finding] = []
    notes: dict[int, bytes] = {}
    if checkpoints is not None:
        noted, trouble = await asyncio.to_thread(checkpoints.load)
        findings += [Finding("checkpoint_lost" if lost else "checkpoint_forged", 0, text) for lost, text in trouble]
        notes = _by_chain(noted, findings)
    expected, previous = 1, GENESIS
    async for row in _links(tx):
        chain = int(row.chain)
        whole = chain == expected
        if not whole:
            gap = f"{expected}" if chain == expected + 1 else f"{expected}–{chain - 1}"
            findings.append(Finding("deleted", expected, f"links {gap} are missing"))
        findings += _check(chain, row, previous if whole else None, notes.pop(chain, None))
        expected, previous = chain + 1, bytes(row.hash)
    missing = [chain for chain in notes if chain >= expected]
    if missing:
        findings.append(Finding("truncated", expected, f"a checkpoint knows link {max(missing)}, the log ends before"))
    return findings


def _check(chain: int, row: Any, previous: bytes | None, noted: bytes | None) -> list[Finding]:
    found: list[Finding] = []
    if previous is not None and bytes(row.prev_hash) != previous:
        found.append(Finding("reordered", chain, "the link does not continue the one before it"))
    elif link(bytes(row.prev_hash), chain, row) != bytes(row.hash):
        found.append(Finding("edited", chain, "the row is not the one that was sealed"))
    if noted is not None and noted != bytes(row.hash):
        found.append(Finding("rewritten", chain, "a signed checkpoint holds another hash"))
    return found


def _by_chain(noted: list[Checkpoint], findings: list[Finding]) -> dict[int, bytes]:
    notes: dict[int, bytes] = {}
    for checkpoint in noted:
        if notes.setdefault(checkpoint.chain, checkpoint.hash) != checkpoint.hash:
            findings.append(Finding("rewritten", checkpoint.chain, "two signed checkpoints disagree"))
    return notes


async def _links(tx: AsyncSession) -> AsyncIterator[Any]:
    t, after = audit_table, 0
    while True:
        rows = (await tx.execute(sa.select(t).where(t.c.chain > after).order_by(t.c.chain).limit(1000))).all()
        for row in rows:
            yield row
        if len(rows) < 1000:
            return
        after = int(rows[-1].chain)
