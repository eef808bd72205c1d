"""Owns the loop that looks at every camera that has rules; several replicas share the work through the claims.

Waiting for cameras happens on the event loop, each against its own deadline; only what has arrived is decoded, in a few
threads. A camera that hangs holds up nothing but itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from chassis import telemetry
from chassis.db import Sessions, now
from chassis.errors import DomainError
from services.media.cameras import address
from services.media.cameras.probe import Result
from services.media.settings import Settings
from services.media.vault import Vault, VaultClosed
from services.media.watching import alerts, looks, queries
from services.media.watching.capture import NoPicture, Recording, capture

if TYPE_CHECKING:
    from services.media.watching.pictures import Seen

log = telemetry.logger(__name__)


class Watcher:
    """Claims cameras that are due, looks at up to `watch_parallel` at once, and enters what it finds."""

    def __init__(self, sessions: Sessions, settings: Settings, vault: Vault) -> None:
        self._sessions = sessions
        self._settings = settings
        self._vault = vault
        self._running: set[asyncio.Task[None]] = set()
        self._decoders = ThreadPoolExecutor(settings.watch_decoders, "decoder")
        self._swept = -settings.watch_sweep_seconds
        self._lease = 2 * (settings.watch_timeout_seconds + settings.watch_motion_seconds) + settings.watch_seconds

    async def run(self) -> None:
        """Look until cancelled; a database that is away is waited for."""
        try:
            while True:
                try:
                    await self.round()
                    if time.monotonic() - self._swept >= self._settings.watch_sweep_seconds:
                        self._swept = time.monotonic()
                        await self.sweep()
                except Exception as error:
                    log.warning("camera_watch_round_failed", error=type(error).__name__)
                await asyncio.sleep(self._settings.watch_poll_seconds)
        finally:
            await self.close()

    async def close(self) -> None:
        """End the looks under way; a picture that is being decoded is not waited for."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def round(self) -> int:
        """Start a look at every camera that is due; returns how many were started."""
        free = self._settings.watch_parallel - len(self._running)
        if free <= 0:
            return 0
        async with self._sessions.begin() as tx:
            at = now()
            due = await looks.take_due(tx, at=at, lease=self._lease, limit=free)
        for camera in due:
            task = asyncio.create_task(self._one(camera, at))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return len(due)

    async def settle(self) -> None:
        """Wait for the looks under way."""
        await asyncio.gather(*self._running)

    async def sweep(self) -> None:
        """Tell of cameras that are watched no longer, and delete the pictures whose time is over."""
        at = now()
        async with self._sessions.read() as tx:
            lapsed = await queries.lapsed(tx, at)
        for camera in lapsed:
            async with self._sessions.begin() as tx:
                await looks.lapse(tx, camera, at=at)
        async with self._sessions.begin() as tx:
            await alerts.forget_snapshots(tx, before=at - timedelta(days=self._settings.snapshot_days))

    async def _one(self, due: looks.Due, since: datetime) -> None:
        try:
            result, seen = await self._look(due)
            found = looks.Looked(since, result.value, seen.decoded, seen.fingerprint, seen.found, seen.snapshots)
            async with self._sessions.begin() as tx:
                await looks.looked(tx, self._vault, due.camera, found, at=now(), settings=self._settings)
        except Exception as error:
            log.warning("camera_look_not_entered", error=type(error).__name__)

    async def _look(self, due: looks.Due) -> tuple[Result, Seen]:
        # FFmpeg and numpy take 40 MB and a third of a second to load: a commune without rules goes without.
        from services.media.watching import pictures

        at = now()
        questions = [pictures.Question(r.id, r.kind, r.drawing, r.share, r.awake(at)) for r in due.rules]
        try:
            # What moves is seen only while it moves: where motion is asked for, the look takes most of the pause.
            moving = any(question.kind.drawn and question.awake for question in questions)
            recording = await self._capture(due, moving)
        except NoPicture as gone:
            return gone.result, pictures.nothing(questions)
        seen = await self._decode(lambda: pictures.examine(recording, questions, due.fingerprint))
        return (Result.OK if seen.decoded else Result.NO_VIDEO), seen

    async def _capture(self, due: looks.Due, moving: bool) -> Recording:
        settings = self._settings
        try:
            url = self._vault.open(due.sealed_url, owner=str(due.camera))
            target = address.parse(url, loopback=settings.probe_loopback)
        except (VaultClosed, DomainError) as error:
            log.warning("camera_address_unusable", error=type(error).__name__)
            raise NoPicture(Result.FORBIDDEN_ADDRESS) from None
        return await capture(
            target,
            seconds=settings.watch_motion_seconds if moving else settings.watch_burst_seconds,
            most_bytes=settings.watch_most_bytes,
            timeout=settings.watch_timeout_seconds,
            loopback=settings.probe_loopback,
        )

    async def _decode(self, work: Callable[[], Seen]) -> Seen:
        return await asyncio.get_running_loop().run_in_executor(self._decoders, work)
