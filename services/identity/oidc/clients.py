"""Owns client applications: their registration, and what people agreed to let them see."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import now
from chassis.units import Unit
from services.identity.accounts.model import RoleGrant
from services.identity.oidc.model import Client, ClientConsent, digest

PEOPLE_SCOPES = ("openid", "profile", "offline_access", "xaso")
PARTNER_SCOPES = (
    "identity.units.read",
    "identity.teams.read",
    "indicators.observations.write",
    "indicators.criteria.write",
    "indicators.read",
    "petitions.read",
    "petitions.write",
    "ecommerce.read",
    "ecommerce.notices.write",
    "media.read",
)
"""What a client may be given; each service names the scopes of its own methods."""


@dataclass(frozen=True)
class NewClient:
    """A client to register. Without `secret` it is public and must use PKCE, which is asked of all."""

    client_id: str
    name: str
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    secret: str | None = None
    redirect_uris: tuple[str, ...] = ()
    first_party: bool = False
    roles: tuple[tuple[str, Unit], ...] = field(default=())


async def ensure(tx: AsyncSession, new: NewClient, by: str) -> Client:
    """Register a client, or bring the one there is to what `new` says; its roles are added, never taken."""
    values = {
        "client_id": new.client_id,
        "secret_hash": digest(new.secret) if new.secret else None,
        "name": new.name,
        "redirect_uris": list(new.redirect_uris),
        "grant_types": list(new.grant_types),
        "scopes": list(new.scopes),
        "first_party": new.first_party,
        "created_by": by,
        "created_at": now(),
    }
    kept = ("client_id", "created_by", "created_at")
    statement = insert(Client).values(values)
    changed = {k: statement.excluded[k] for k in values if k not in kept}
    await tx.execute(statement.on_conflict_do_update(index_elements=["client_id"], set_=changed))
    held = (
        await tx.execute(
            sa.select(RoleGrant.role, RoleGrant.unit).where(
                RoleGrant.client_id == new.client_id, RoleGrant.revoked_at.is_(None)
            )
        )
    ).all()
    for role, unit in new.roles:
        if (role, unit.code) not in {(r.role, r.unit) for r in held}:
            tx.add(RoleGrant(client_id=new.client_id, role=role, unit=unit.code, path=unit.path, granted_by=by))
    await tx.flush()
    client = await tx.get(Client, new.client_id)
    if client is None:
        raise RuntimeError("the client just stored is not there")
    return client


async def agreed(tx: AsyncSession, account_id: uuid.UUID, client: Client, scopes: list[str]) -> bool:
    """Whether the person need not be asked: the client is our own, or they agreed to these scopes before."""
    if client.first_party:
        return True
    given = await tx.get(ClientConsent, (account_id, client.client_id))
    return given is not None and set(scopes) <= set(given.scopes)


async def agree(tx: AsyncSession, account_id: uuid.UUID, client: Client, scopes: list[str]) -> None:
    """Record that the person agreed to `scopes`, beside what they agreed to before."""
    given = await tx.get(ClientConsent, (account_id, client.client_id), with_for_update=True)
    if given is None:
        tx.add(ClientConsent(account_id=account_id, client_id=client.client_id, scopes=sorted(set(scopes))))
    else:
        given.scopes, given.given_at = sorted({*given.scopes, *scopes}), now()
    await tx.flush()
