"""Owns agreeing to be listed in the public directory, and withdrawing from it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import Principal
from chassis.errors import Forbidden
from services.identity.accounts import commands as accounts
from services.identity.accounts import grants
from services.identity.accounts.model import CONSENT_CONTACT, LISTED_ROLES, Consent
from services.identity.directory import listing
from services.identity.directory.model import StaffContact
from services.identity.staff import register

WORDING = "danh-ba-2026-01"


@dataclass(frozen=True)
class Contact:
    """How the public reaches somebody in their office."""

    position: str
    phone: str = ""
    email: str = ""


async def publish(tx: AsyncSession, me: Principal, contact: Contact) -> StaffContact:
    """List the person under the first unit they serve and record that they agreed; raises Forbidden for others."""
    account_id = uuid.UUID(me.subject)
    await accounts.get(tx, account_id, lock=True)
    serving = [g for g in grants.as_grants(await grants.current(tx, account_id)) if g.role in LISTED_ROLES]
    if not serving:
        raise Forbidden()
    listed = await tx.get(StaffContact, account_id, with_for_update=True)
    if listed is None:
        listed = StaffContact(account_id=account_id)
        tx.add(listed)
        tx.add(Consent(account_id=account_id, purpose=CONSENT_CONTACT, wording=WORDING))
    listed.unit, listed.path = serving[0].unit, serving[0].path
    listed.position, listed.phone, listed.email = contact.position, contact.phone, contact.email
    await register.tell(tx, account_id)
    return listed


async def withdraw(tx: AsyncSession, account_id: uuid.UUID) -> None:
    """Take the person off the directory; the consent stays on record as withdrawn."""
    await listing.remove(tx, account_id)
    await register.tell(tx, account_id)
