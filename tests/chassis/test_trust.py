"""The authorities a process trusts are read once, however many services ask identity from it."""

from typing import Any

import httpx
import pytest

from chassis import tokens
from chassis.settings import ServiceSettings
from chassis.tokens import Verifier


async def test_the_clients_of_a_process_share_what_they_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    read, real = [], httpx.create_ssl_context

    def counted(*arguments: Any, **more: Any) -> Any:
        context = real(*arguments, **more)
        read.append(context)
        return context

    monkeypatch.setattr(httpx, "create_ssl_context", counted)
    tokens.trusted.cache_clear()
    verifiers = [Verifier(ServiceSettings(name=name)) for name in ("petitions", "media", "ecommerce")]
    try:
        clients = {id(verifier._http()) for verifier in verifiers}
        assert len(clients) == len(verifiers)
        assert len(read) == 1
        # Certificates are checked: the shared context is not one that lets everybody pass.
        assert read[0].check_hostname
    finally:
        for verifier in verifiers:
            await verifier.close()
        tokens.trusted.cache_clear()
