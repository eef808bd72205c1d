"""Owns the loop that probes every camera in turn; several replicas share the work through the claims in the table."""

from __future__ import annotations

import asyncio
import time

from chassis import metrics, telemetry
from chassis.db import Sessions, now
from chassis.errors import DomainError
from services.media.cameras import address, commands, queries
from services.media.cameras.probe import Probe, Result, probe
from services.media.settings import Settings
from services.media.vault import Vault, VaultClosed

log = telemetry.logger(__name__)

_MEASURE_SECONDS = 15.0


class Prober:
    """Claims cameras that are due, probes up to `probe_parallel` at once, and enters what it finds."""

    def __init__(self, sessions: Sessions, settings: Settings, vault: Vault) -> None:
        self._sessions = sessions
        self._settings = settings
        self._vault = vault
        self._running: set[asyncio.Task[None]] = set()
        self._measured = -_MEASURE_SECONDS

    async def run(self) -> None:
        """Probe until cancelled; a database that is away is waited for."""
        try:
            while True:
                try:
                    await self.round()
                    await self._measure()
                except Exception as error:
                    log.warning("camera_round_failed", error=type(error).__name__)
                await asyncio.sleep(self._settings.probe_poll_seconds)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def round(self) -> int:
        """Start a probe of every camera that is due; returns how many were started."""
        free = self._settings.probe_parallel - len(self._running)
        if free <= 0:
            return 0
        async with self._sessions.begin() as tx:
            due = await commands.take_due(tx, at=now(), pause=self._settings.probe_seconds, limit=free)
        for camera in due:
            task = asyncio.create_task(self._one(camera))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return len(due)

    async def _measure(self) -> None:
        if time.monotonic() - self._measured < _MEASURE_SECONDS:
            return
        self._measured = time.monotonic()
        async with self._sessions.read() as tx:
            for state, cameras in (await queries.states(tx)).items():
                metrics.DEVICES.labels(self._settings.name, "camera", state).set(cameras)

    async def settle(self) -> None:
        """Wait for the probes under way."""
        await asyncio.gather(*self._running)

    async def _one(self, due: commands.Due) -> None:
        found = await self._look(due)
        try:
            async with self._sessions.begin() as tx:
                await commands.probed(
                    tx,
                    due.id,
                    ok=found.ok,
                    result=found.result.value,
                    milliseconds=found.milliseconds,
                    at=now(),
                    settings=self._settings,
                )
        except Exception as error:
            log.warning("camera_probe_not_entered", error=type(error).__name__)

    async def _look(self, due: commands.Due) -> Probe:
        settings = self._settings
        try:
            url = self._vault.open(due.sealed_url, owner=str(due.id))
            target = address.parse(url, loopback=settings.probe_loopback)
        except (VaultClosed, DomainError) as error:
            log.warning("camera_address_unusable", error=type(error).__name__)
            return Probe(Result.FORBIDDEN_ADDRESS, 0)
        return await probe(target, timeout=settings.probe_timeout_seconds, loopback=settings.probe_loopback)
