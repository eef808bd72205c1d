"""The media service, wired: what it is made of, as a table of contents."""

from __future__ import annotations

from chassis.relay import dsn
from chassis.service import Runtime, Service
from services.media import live, web
from services.media.bulletins import api as bulletins_api
from services.media.cameras import api as cameras_api
from services.media.cameras.prober import Prober
from services.media.consumers import on
from services.media.notices import api as notices_api
from services.media.notices.sender import Sender
from services.media.rpc import rpcs
from services.media.settings import Settings
from services.media.speakers import api as speakers_api
from services.media.speakers.hub import Hub
from services.media.speakers.leader import lead
from services.media.vault import vault_for
from services.media.watching import api as watching_api
from services.media.watching.watcher import Watcher


def service(settings: Settings | None = None) -> Service:
    """The media service with `settings`, by default those of the environment."""
    chosen = settings or Settings()
    vault = vault_for(chosen.secret.get_secret_value())

    async def hub(runtime: Runtime) -> None:
        """The MQTT hub, in one process of the service at a time."""
        if chosen.mqtt:
            await lead(dsn(chosen), Hub(runtime.sessions, chosen, vault).run, pause=chosen.leader_seconds)

    async def prober(runtime: Runtime) -> None:
        """The camera probes, shared by all processes of the service."""
        await Prober(runtime.sessions, chosen, vault).run()

    async def watcher(runtime: Runtime) -> None:
        """The looks at cameras that have rules, shared by all processes of the service."""
        await Watcher(runtime.sessions, chosen, vault).run()

    async def sender(runtime: Runtime) -> None:
        """Notices that are due and pushes to phones, shared by all processes of the service."""
        await Sender(runtime.sessions, chosen).run()

    return Service(
        settings=chosen,
        package="services.media",
        title="Xã Số: truyền thanh và camera",
        pages=web.pages(),
        api=[speakers_api.api, bulletins_api.api, cameras_api.api, watching_api.api, notices_api.api, live.api],
        consumers=on,
        rpcs=rpcs(chosen),
        tasks=[hub, prober, watcher, sender],
    )
