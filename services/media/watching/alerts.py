"""Owns what happens to alerts: how they begin and end, what people say of them, who sees their pictures."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit
from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import NotFound
from services.media import facts
from services.media.cameras.model import Camera
from services.media.vault import Vault
from services.media.watching.model import Alert, Rule, SnapshotGone, Verdict


def begun(vault: Vault, camera: Camera, rule: Rule, snapshot: bytes | None, at: datetime) -> Alert:
    """An alert that begins, its picture sealed."""
    alert = Alert(camera_id=camera.id, rule_id=rule.id, kind=rule.kind, unit=camera.unit, path=camera.path)
    alert.id, alert.created_at, alert.has_snapshot = new_id(), at, snapshot is not None
    if snapshot is not None:
        alert.snapshot = vault.seal_bytes(snapshot, owner=str(alert.id))
    return alert


async def end(tx: AsyncSession, rules: Sequence[uuid.UUID]) -> None:
    """The alerts of these rules go on no longer."""
    if rules:
        ended = sa.update(Alert).where(Alert.rule_id.in_(rules), Alert.ended_at.is_(None)).values(ended_at=now())
        await tx.execute(ended.execution_options(synchronize_session=False))


async def judge(tx: AsyncSession, me: Principal, alert_id: uuid.UUID, verdict: Verdict) -> Alert:
    """Say whether an alert was right; who says otherwise later has the last word, and both are in the audit log."""
    alert = await _for_staff(tx, me, alert_id)
    if alert.verdict is not verdict:
        alert.verdict, alert.judged_at, alert.judged_by, alert.judged_name = verdict, now(), me.subject, me.name
        if verdict is Verdict.NEW:
            alert.judged_at, alert.judged_by, alert.judged_name = None, None, ""
        await tx.flush()
        await audit.record(
            tx, me, "camera_alert.judged", str(alert.id), alert.unit, {"verdict": verdict.value, "kind": alert.kind}
        )
        camera = await tx.get_one(Camera, alert.camera_id)
        await facts.lock_village(tx, camera.unit, camera.commune)
    return alert


async def look_at_snapshot(tx: AsyncSession, me: Principal, vault: Vault, alert_id: uuid.UUID) -> bytes:
    """The picture of an alert (JPEG), for staff of its unit only; that they looked is written down.

    Raises SnapshotGone, VaultClosed.
    """
    alert = await _for_staff(tx, me, alert_id)
    sealed = await tx.scalar(sa.select(Alert.snapshot).where(Alert.id == alert.id))
    if sealed is None:
        raise SnapshotGone
    await audit.record(tx, me, "camera_alert.snapshot_seen", str(alert.id), alert.unit, {"kind": alert.kind})
    return vault.open_bytes(sealed, owner=str(alert.id))


async def forget_snapshots(tx: AsyncSession, *, before: datetime, limit: int = 500) -> int:
    """Delete the pictures of alerts older than `before`; returns how many."""
    old = sa.select(Alert.id).where(Alert.has_snapshot, Alert.created_at < before).limit(limit)
    old = old.with_for_update(skip_locked=True)
    forget = (
        sa.update(Alert)
        .where(Alert.id.in_(old.scalar_subquery()))
        .values(snapshot=None, has_snapshot=False)
        .returning(Alert.id)
        .execution_options(synchronize_session=False)
    )
    return len((await tx.execute(forget)).all())


async def forget_person(tx: AsyncSession, account_id: str) -> None:
    """A person asked for erasure: alerts they judged no longer name them."""
    forget = sa.update(Alert).where(Alert.judged_by == account_id).values(judged_name="")
    await tx.execute(forget.execution_options(synchronize_session=False))


async def _for_staff(tx: AsyncSession, me: Principal, alert_id: uuid.UUID) -> Alert:
    alert = await tx.get(Alert, alert_id, with_for_update={"key_share": True})
    if alert is None:
        raise NotFound
    me.require(STAFF, alert.path, hide=True)
    return alert
